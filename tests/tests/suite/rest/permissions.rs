//! What grants allow, what constraints hold back, and that nobody hands on what they don't hold.

use nebula_tests::{Caller, Database, Edge, Tenant, User, http::id, onboard};
use serde_json::{Value, json};
use uuid::Uuid;

fn constrain(acme: &Tenant<User>, group: Uuid, action: &str, constraints: Value) {
    let body = json!({ "permissions": [{ "action": action, "constraints": constraints }] });
    acme.admin.post(&format!("/v1/groups/{group}/permissions"), &body).data(201);
}

fn scene(settings: &[(&str, &str)]) -> (Database, Edge, Tenant<User>) {
    let database = Database::new();
    let edge = database.serve_with(settings);
    let acme = onboard(&edge, "acme");
    (database, edge, acme)
}

#[test]
fn an_address_outside_the_networks_is_refused_and_only_a_trusted_proxy_names_another() {
    let (database, edge, acme) = scene(&[]);
    let (bia, _, group) = acme.member(&edge, "bia", &[]);
    constrain(&acme, group, "users.list", json!({ "ipCidrs": ["203.0.113.0/24"] }));
    bia.get("/v1/users").forbidden("users.list", "constraints_hold");
    let forwarded = |caller: &User, address: &str| caller.request("GET", "/v1/users").header("X-Forwarded-For", address).send();
    forwarded(&bia, "203.0.113.9").forbidden("users.list", "constraints_hold");
    let behind = database.serve_with(&[("NEBULA_TRUSTED_PROXIES", "127.0.0.0/8")]);
    let bia_behind = behind.user(&bia.token);
    forwarded(&bia_behind, "203.0.113.9").data(200);
    forwarded(&bia_behind, "203.0.113.9, 198.51.100.1").forbidden("users.list", "constraints_hold");
    constrain(&acme, group, "users.list", json!({ "ipCidrs": ["2001:db8::/32", "127.0.0.0/8"] }));
    bia.get("/v1/users").data(200);
}

#[test]
fn a_grant_counts_within_its_window_alone() {
    let (_database, edge, acme) = scene(&[]);
    let (bia, _, group) = acme.member(&edge, "bia", &[]);
    for (constraints, status) in [
        (json!({ "validUntil": "2020-01-01T00:00:00Z" }), 403),
        (json!({ "validFrom": "2999-01-01T00:00:00-03:00" }), 403),
        (json!({ "validFrom": "2020-01-01T00:00:00Z", "validUntil": "2999-01-01T00:00:00Z" }), 200),
    ] {
        constrain(&acme, group, "users.list", constraints.clone());
        assert_eq!(bia.get("/v1/users").status, status, "{constraints}");
    }
}

#[test]
fn a_grant_for_one_resource_opens_no_other() {
    let (_database, edge, acme) = scene(&[]);
    let (bia, bia_id, group) = acme.member(&edge, "bia", &[]);
    constrain(&acme, group, "users.read", json!({ "resourceIds": [bia_id] }));
    bia.get(&format!("/v1/users/{bia_id}")).data(200);
    bia.get(&format!("/v1/users/{}", acme.admin_id)).forbidden("users.read", "constraints_hold");
    bia.get(&format!("/v1/users/{}", Uuid::now_v7())).forbidden("users.read", "constraints_hold");
    constrain(&acme, group, "users.list", json!({ "resourceIds": [bia_id] }));
    bia.get("/v1/users").forbidden("users.list", "constraints_hold");
}

#[test]
fn max_per_day_counts_successful_calls_of_each_person() {
    let (database, edge, acme) = scene(&[]);
    let (bia, _, group) = acme.member(&edge, "bia", &[]);
    let (caio, caio_id, _) = acme.member(&edge, "caio", &[]);
    acme.admin.post(&format!("/v1/groups/{group}/users/{caio_id}"), &json!({})).data(201);
    constrain(&acme, group, "users.create", json!({ "maxPerDay": 2 }));
    let create = |caller: &User, name: &str| caller.post("/v1/users", &json!({ "email": format!("{name}@acme.example"), "name": name }));
    create(&bia, "one").data(201);
    create(&bia, "two").data(201);
    create(&bia, "three").forbidden("users.create", "max_per_day");
    create(&caio, "four").data(201);
    // The day after.
    database.execute("update nebula.permission_usage set day = day - 1");
    create(&bia, "five").data(201);
    // Free by another group: nothing is counted.
    let free = acme.group("Livre", &["users.create"]);
    let bia_id = database.text("select id::text from nebula.user where email = 'bia@acme.example'", &[]);
    acme.admin.post(&format!("/v1/groups/{free}/users/{bia_id}"), &json!({})).data(201);
    for name in ["six", "seven", "eight"] {
        create(&bia, name).data(201);
    }
}

#[test]
fn a_refused_or_invalid_call_uses_up_nothing_of_a_days_count() {
    let (_database, edge, acme) = scene(&[]);
    let (bia, _, group) = acme.member(&edge, "bia", &[]);
    constrain(&acme, group, "users.create", json!({ "maxPerDay": 1 }));
    bia.post("/v1/users", &json!({ "email": "no-address", "name": "X" })).refused(400, "VALIDATION_ERROR");
    bia.post("/v1/users", &json!({ "email": acme.admin_email, "name": "X" })).refused(409, "DUPLICATE_RESOURCE");
    bia.post("/v1/users", &json!({ "email": "one@acme.example", "name": "One" })).data(201);
    bia.post("/v1/users", &json!({ "email": "two@acme.example", "name": "Two" })).forbidden("users.create", "max_per_day");
}

#[test]
fn grants_of_several_groups_add_up_and_a_suspended_groups_dont_count() {
    let (_database, edge, acme) = scene(&[]);
    let (bia, bia_id, group) = acme.member(&edge, "bia", &["users.list"]);
    let second = acme.group("Segundo", &["groups.list"]);
    acme.admin.post(&format!("/v1/groups/{second}/users/{bia_id}"), &json!({})).data(201);
    bia.get("/v1/users").data(200);
    bia.get("/v1/groups").data(200);
    acme.admin.patch(&format!("/v1/groups/{group}/status"), &json!({ "status": "suspenso" })).data(200);
    bia.get("/v1/users").forbidden("users.list", "granted");
    bia.get("/v1/groups").data(200);
}

#[test]
fn nobody_grants_what_they_do_not_hold() {
    let (database, edge, acme) = scene(&[]);
    // May manage people, groups and keys, but not create people or read the audit log.
    let held = [
        "groups.create",
        "groups.list",
        "groups.status",
        "groups.members.add",
        "groups.permissions.grant",
        "users.invite",
        "users.update",
        "users.status",
        "api_keys.create",
        "api_keys.rotate",
        "api_keys.status",
    ];
    let (clerk, clerk_id, group) = acme.member(&edge, "clerk", &held);
    let admins = acme.group_named("ADM_CLIENTE");
    let viewers = acme.group_named("VIEWER");
    let (_, admin_key) = acme.key(&edge, &json!({ "name": "admin", "profile": "admin" }));
    let (_, audit_key) = acme.key(&edge, &json!({ "name": "audit", "actions": ["audit.list"] }));
    acme.admin.patch(&format!("/v1/api-keys/{audit_key}/status"), &json!({ "status": "suspenso" })).data(200);
    let strong = acme.group("Auditores", &["audit.list"]);
    acme.admin.patch(&format!("/v1/groups/{strong}/status"), &json!({ "status": "suspenso" })).data(200);
    let refused = |answer: nebula_tests::Answer| {
        assert_eq!(answer.refused(403, "FORBIDDEN_ACTION")["condition"], "not_held_by_grantor", "{answer:?}");
    };
    let before = database.row_counts();
    refused(clerk.post(&format!("/v1/groups/{admins}/users/{clerk_id}"), &json!({})));
    refused(clerk.post(&format!("/v1/groups/{viewers}/users/{clerk_id}"), &json!({})));
    refused(clerk.post(&format!("/v1/groups/{strong}/users/{clerk_id}"), &json!({})));
    refused(clerk.post(&format!("/v1/groups/{group}/permissions"), &json!({ "permissions": [{ "action": "users.create" }] })));
    refused(clerk.post(
        &format!("/v1/groups/{group}/permissions"),
        &json!({ "permissions": [{ "action": "groups.list" }, { "action": "audit.list" }] }),
    ));
    refused(clerk.post(&format!("/v1/groups/{group}/permissions"), &json!({ "permissions": [{ "action": "tenants.create" }] })));
    refused(clerk.post(&format!("/v1/users/{}/invite", acme.admin_id), &json!({})));
    refused(clerk.patch(&format!("/v1/users/{}", acme.admin_id), &json!({ "email": "clerk2@acme.example" })));
    refused(clerk.post("/v1/api-keys", &json!({ "name": "wide", "profile": "admin" })));
    refused(clerk.post("/v1/api-keys", &json!({ "name": "wide", "profile": "read-only" })));
    refused(clerk.post("/v1/api-keys", &json!({ "name": "wide", "actions": ["groups.list", "users.create"] })));
    refused(clerk.post(&format!("/v1/api-keys/{admin_key}/rotate"), &json!({})));
    refused(clerk.patch(&format!("/v1/api-keys/{audit_key}/status"), &json!({ "status": "ativo" })));
    refused(clerk.patch(&format!("/v1/groups/{strong}/status"), &json!({ "status": "ativo" })));
    // Only the refusals were written, in the audit log.
    let mut after = database.row_counts();
    let audited = after["nebula.audit_log"] - before["nebula.audit_log"];
    assert_eq!(audited, 14);
    after.insert("nebula.audit_log".into(), before["nebula.audit_log"]);
    assert_eq!(after, before);
    // What is held may be handed on.
    clerk.post(&format!("/v1/groups/{group}/permissions"), &json!({ "permissions": [{ "action": "groups.list" }] })).data(201);
    clerk.post("/v1/api-keys", &json!({ "name": "narrow", "actions": ["groups.list"] })).data(201);
}

#[test]
fn who_holds_an_action_under_constraints_hands_it_on_to_nobody() {
    let (_database, edge, acme) = scene(&[]);
    let (clerk, _, group) = acme.member(&edge, "clerk", &["groups.permissions.grant", "api_keys.create"]);
    constrain(&acme, group, "users.list", json!({ "ipCidrs": ["127.0.0.0/8"] }));
    clerk.get("/v1/users").data(200);
    let body = json!({ "permissions": [{ "action": "users.list" }] });
    let details = clerk.post(&format!("/v1/groups/{group}/permissions"), &body).refused(403, "FORBIDDEN_ACTION");
    assert_eq!(details, json!({ "toolAction": "users.list", "condition": "not_held_by_grantor" }));
    clerk.post("/v1/api-keys", &json!({ "name": "k", "actions": ["users.list"] })).refused(403, "FORBIDDEN_ACTION");
}

#[test]
fn a_key_hands_on_no_more_than_its_scope() {
    let (_database, edge, acme) = scene(&[]);
    let (key, _) = acme.key(&edge, &json!({ "name": "k", "actions": ["api_keys.create", "users.list"] }));
    key.post("/v1/api-keys", &json!({ "name": "narrow", "actions": ["users.list"] })).data(201);
    key.post("/v1/api-keys", &json!({ "name": "wide", "actions": ["users.create"] })).forbidden("users.create", "not_held_by_grantor");
    key.post("/v1/api-keys", &json!({ "name": "wide", "profile": "admin" })).refused(403, "FORBIDDEN_ACTION");
}

#[test]
fn the_default_groups_hold_what_their_names_say() {
    let (_database, edge, acme) = scene(&[]);
    for (name, holds, lacks) in [
        ("OPERATOR", &["users.list", "users.create"][..], &["users.status"][..]),
        ("VIEWER", &["users.list"], &["users.create", "users.status"]),
    ] {
        let (caller, user, _) = acme.member(&edge, &name.to_lowercase(), &[]);
        let group = acme.group_named(name);
        acme.admin.post(&format!("/v1/groups/{group}/users/{user}"), &json!({})).data(201);
        let actions = caller.get("/v1/me").data(200)["actions"].clone();
        let has = |action: &&str| actions.as_array().unwrap().contains(&json!(action));
        assert!(holds.iter().all(&has), "{name}: {actions}");
        assert!(!lacks.iter().any(has), "{name}: {actions}");
        assert_eq!(id(&caller.get("/v1/me").data(200)["actor"]), user);
    }
}

#[test]
fn counted_grants_of_two_groups_add_up_and_a_refused_call_uses_up_neither() {
    let (database, edge, acme) = scene(&[]);
    let (bia, bia_id, first) = acme.member(&edge, "bia", &[]);
    let second = acme.group("Segundo", &[]);
    acme.admin.post(&format!("/v1/groups/{second}/users/{bia_id}"), &json!({})).data(201);
    for group in [first, second] {
        constrain(&acme, group, "users.create", json!({ "maxPerDay": 1 }));
    }
    let create = |email: &str| bia.post("/v1/users", &json!({ "email": email, "name": "X" }));
    let refused = || {
        create("no-address").refused(400, "VALIDATION_ERROR");
        create(&acme.admin_email).refused(409, "DUPLICATE_RESOURCE");
    };
    refused();
    create("one@acme.example").data(201);
    refused();
    create("two@acme.example").data(201);
    create("three@acme.example").forbidden("users.create", "max_per_day");
    assert_eq!(database.texts("select count::text from nebula.permission_usage where user_id = $1", &[&bia_id]), ["1", "1"]);
    // The day after.
    database.execute("update nebula.permission_usage set day = day - 1");
    create("three@acme.example").data(201);
}
