//! Service accounts' keys.

use nebula_tests::{Caller, Database, http::id, onboard};
use serde_json::{Value, json};

#[test]
fn a_keys_secret_is_shown_once_and_only_its_digest_is_stored() {
    let database = Database::new();
    let edge = database.serve();
    let acme = onboard(&edge, "acme");
    let made =
        acme.admin.post("/v1/api-keys", &json!({ "name": "robot", "actions": ["users.list", "users.create", "users.list"] })).data(201);
    let secret = made["secret"].as_str().unwrap();
    assert_eq!(secret.len(), 140);
    assert!(secret.starts_with("nbk_"));
    assert_eq!((&made["actions"], &made["profile"]), (&json!(["users.create", "users.list"]), &json!(null)));
    let listed = acme.admin.get("/v1/api-keys");
    let mut expected = made.clone();
    expected.as_object_mut().unwrap().remove("secret");
    assert_eq!(listed.data(200), json!([expected]));
    assert!(!listed.text.contains(&secret[68..132]));
    for table in database.tables() {
        let rows =
            database.texts(&format!("select t::text from {table} t where t::text like '%' || $1 || '%'"), &[&secret[68..132].to_owned()]);
        assert!(rows.is_empty(), "{table} holds the secret");
    }
    edge.key(secret).get("/v1/users").data(200);
    assert_eq!(
        acme.admin.post("/v1/api-keys", &json!({ "name": "robot", "profile": "write" })).refused(409, "DUPLICATE_RESOURCE"),
        json!({ "field": "name" })
    );
}

#[test]
fn a_profile_covers_its_kinds_of_action() {
    let database = Database::new();
    let edge = database.serve();
    let acme = onboard(&edge, "acme");
    let bia = acme.person("bia");
    for (profile, may_write, may_administer) in [("read-only", false, false), ("write", true, false), ("admin", true, true)] {
        let (key, _) = acme.key(&edge, &json!({ "name": profile, "profile": profile }));
        key.get("/v1/users").data(200);
        let written = key.post("/v1/groups", &json!({ "name": profile }));
        if may_write {
            drop(written.data(201))
        } else {
            written.forbidden("groups.create", "granted")
        }
        let administered = key.patch(&format!("/v1/users/{bia}/status"), &json!({ "status": "ativo" }));
        if may_administer {
            drop(administered.data(200))
        } else {
            administered.forbidden("users.status", "granted")
        }
        // Whatever the profile: other tenants and the platform are beyond it.
        assert_eq!(key.get("/v1/tenants").refused(403, "FORBIDDEN_ACTION")["condition"], "platform_only");
        let me = key.get("/v1/me").data(200);
        assert_eq!((&me["actor"]["type"], id(&me["tenant"])), (&json!("service"), acme.id));
    }
}

#[test]
fn a_key_has_either_a_profile_or_actions_of_the_catalog_and_expires_in_the_future() {
    let database = Database::new();
    let edge = database.serve();
    let acme = onboard(&edge, "acme");
    let create = |changes: Value| {
        let mut body = json!({ "name": "k" });
        body.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        acme.admin.post("/v1/api-keys", &body)
    };
    create(json!({})).invalid("actions", "profile_or_actions");
    create(json!({ "profile": "write", "actions": ["users.list"] })).invalid("actions", "profile_or_actions");
    create(json!({ "profile": "root" })).invalid("profile", "enum");
    create(json!({ "actions": [] })).invalid("actions", "length");
    create(json!({ "actions": vec!["users.list"; 201] })).invalid("actions", "length");
    create(json!({ "actions": ["users.list", "no.such"] })).invalid("actions[1]", "unknown_action");
    create(json!({ "actions": ["NO"] })).invalid("actions[0]", "key");
    create(json!({ "actions": "users.list" })).invalid("actions", "type");
    create(json!({ "profile": "write", "expiresAt": "2020-01-01T00:00:00Z" })).invalid("expiresAt", "future");
    create(json!({ "profile": "write", "expiresAt": "soon" })).invalid("expiresAt", "too_short");
    create(json!({ "profile": "write", "expiresAt": "2099-13-01T00:00:00Z" })).invalid("expiresAt", "date-time");
    create(json!({ "profile": "write", "hash": "x" })).invalid("hash", "unknown");
    assert_eq!(acme.admin.get("/v1/api-keys").data(200), json!([]));
}

#[test]
fn rotation_ends_the_old_secret_at_once_or_after_its_grace_period() {
    let database = Database::new();
    let edge = database.serve();
    let acme = onboard(&edge, "acme");
    let (first, key) = acme.key(&edge, &json!({ "name": "k", "profile": "read-only" }));
    let rotate = |body: Value| acme.admin.post(&format!("/v1/api-keys/{key}/rotate"), &body);
    let second = edge.key(rotate(json!({})).data(200)["secret"].as_str().unwrap());
    first.get("/v1/users").refused(401, "INVALID_TOKEN");
    second.get("/v1/users").data(200);
    let third = edge.key(rotate(json!({ "gracePeriodSeconds": 60 })).data(200)["secret"].as_str().unwrap());
    second.get("/v1/users").data(200);
    third.get("/v1/users").data(200);
    database.execute("update nebula.api_key set previous_expires_at = now() where previous_expires_at is not null");
    second.get("/v1/users").refused(401, "INVALID_TOKEN");
    third.get("/v1/users").data(200);
    // Two rotations: the grace is the last secret's alone.
    rotate(json!({ "gracePeriodSeconds": 60 })).data(200);
    rotate(json!({ "gracePeriodSeconds": 60 })).data(200);
    third.get("/v1/users").refused(401, "INVALID_TOKEN");
    rotate(json!({ "gracePeriodSeconds": 604_801 })).invalid("gracePeriodSeconds", "range");
    rotate(json!({ "gracePeriodSeconds": -1 })).refused(400, "VALIDATION_ERROR");
}

#[test]
fn a_suspended_key_stops_and_comes_back() {
    let database = Database::new();
    let edge = database.serve();
    let acme = onboard(&edge, "acme");
    let (caller, key) = acme.key(&edge, &json!({ "name": "k", "profile": "read-only" }));
    let status = |body: Value| acme.admin.patch(&format!("/v1/api-keys/{key}/status"), &body);
    assert_eq!(status(json!({ "status": "suspenso", "suspendedReason": "vazou" })).data(200)["suspendedReason"], "vazou");
    caller.get("/v1/users").refused(401, "INVALID_TOKEN");
    status(json!({ "status": "ativo", "suspendedReason": "x" })).invalid("suspendedReason", "only_when_suspending");
    status(json!({ "status": "ativo" })).data(200);
    caller.get("/v1/users").data(200);
    assert_eq!(database.number("select count(*) from nebula.outbox where type = 'api_key.revoked'", &[]), 1);
}
