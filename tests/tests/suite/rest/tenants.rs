//! Onboarding, standing, packages, exceptions.

use nebula_tests::{Caller, Database, http::id, onboard, story::tenant_body, token::with};
use serde_json::json;
use uuid::Uuid;

#[test]
fn a_slug_belongs_to_one_tenant_and_a_refused_onboarding_leaves_nothing() {
    let database = Database::new();
    let edge = database.serve();
    let operator = edge.operator();
    operator.post("/v1/tenants", &tenant_body("acme", "pro")).data(201);
    let before = database.row_counts();
    assert_eq!(operator.post("/v1/tenants", &tenant_body("acme", "pro")).refused(409, "DUPLICATE_RESOURCE"), json!({ "field": "slug" }));
    operator.post("/v1/tenants", &tenant_body("zeta", "nothing")).invalid("packageKey", "unknown_package");
    let good = tenant_body("zeta", "pro");
    for (changes, field, rule) in [
        (json!({ "slug": "Zeta" }), "slug", "slug"),
        (json!({ "slug": "z" }), "slug", "too_short"),
        (json!({ "slug": "-zeta" }), "slug", "slug"),
        (json!({ "slug": "a".repeat(64) }), "slug", "too_long"),
        (json!({ "slug": null }), "slug", "required"),
        (json!({ "name": "" }), "name", "empty"),
        (json!({ "adminUser": { "email": "x", "name": "X" } }), "adminUser.email", "email"),
        (json!({ "adminUser": { "email": "x@y.example" } }), "adminUser.name", "required"),
        (json!({ "adminUser": { "email": "x@y.example", "name": "X", "role": "root" } }), "adminUser.role", "unknown"),
        (json!({ "kind": "platform" }), "kind", "unknown"),
        (json!({ "id": Uuid::now_v7() }), "id", "unknown"),
    ] {
        operator.post("/v1/tenants", &with(&good, &changes)).invalid(field, rule);
    }
    operator.post("/v1/tenants", &with(&good, &json!({ "adminUser": ["x@y.example", "X"] }))).refused(400, "VALIDATION_ERROR");
    assert_eq!(database.row_counts(), before);
}

#[test]
fn tenants_are_listed_shown_renamed_and_suspended_but_never_the_platform() {
    let database = Database::new();
    let edge = database.serve();
    let acme = onboard(&edge, "acme");
    let operator = edge.operator();
    let path = format!("/v1/tenants/{}", acme.id);
    assert_eq!(operator.get(&path).data(200)["slug"], "acme");
    assert_eq!(operator.patch(&path, &json!({ "name": "Acme S.A." })).data(200)["name"], "Acme S.A.");
    operator.patch(&path, &json!({ "slug": "other" })).refused(400, "VALIDATION_ERROR");
    assert_eq!(operator.get("/v1/tenants?q=acme").data(200).as_array().unwrap().len(), 1);
    let suspended = operator.patch(&format!("{path}/status"), &json!({ "status": "suspenso", "suspendedReason": "x" })).data(200);
    assert_eq!(suspended["suspendedReason"], "x");
    assert_eq!(operator.get("/v1/tenants?status=suspenso").data(200).as_array().unwrap().len(), 1);
    let platform = id(&operator.get("/v1/me").data(200)["tenant"]);
    let refused = operator.patch(&format!("/v1/tenants/{platform}/status"), &json!({ "status": "suspenso" })).refused(409, "CONFLICT");
    assert_eq!(refused, json!({ "rule": "platform_tenant" }));
    for (method, rest) in [
        ("GET", ""),
        ("PATCH", ""),
        ("PATCH", "/status"),
        ("POST", "/seeds"),
        ("POST", "/packages/pro/assign"),
        ("DELETE", "/packages/pro"),
    ] {
        let request = operator.request(method, &format!("/v1/tenants/{}{rest}", Uuid::now_v7()));
        let body = if rest == "/status" {
            json!({ "status": "suspenso" })
        } else if method == "PATCH" {
            json!({ "name": "X" })
        } else {
            json!({})
        };
        let answer = if ["GET", "DELETE"].contains(&method) { request.send() } else { request.json(&body).send() };
        answer.refused(404, "NOT_FOUND");
    }
    operator.get("/v1/tenants/acme").invalid("tenantId", "uuid");
}

#[test]
fn packages_and_overrides_open_and_close_actions() {
    let database = Database::new();
    let edge = database.serve();
    let acme = onboard(&edge, "acme");
    let operator = edge.operator();
    let tenant = format!("/v1/tenants/{}", acme.id);
    operator.delete(&format!("{tenant}/packages/pro")).empty();
    acme.admin.get("/v1/users").forbidden("users.list", "in_active_package");
    operator.delete(&format!("{tenant}/packages/pro")).refused(404, "NOT_FOUND");
    let set = |body: serde_json::Value| operator.put(&format!("{tenant}/overrides/users.list"), &body);
    set(json!({ "flags": { "enabled": true } })).data(200);
    acme.admin.get("/v1/users").data(200);
    operator.post(&format!("{tenant}/packages/pro/assign"), &json!({})).data(200);
    set(json!({ "flags": { "enabled": false } })).data(200);
    acme.admin.get("/v1/users").forbidden("users.list", "not_disabled_by_override");
    operator.delete(&format!("{tenant}/overrides/users.list")).empty();
    operator.delete(&format!("{tenant}/overrides/users.list")).refused(404, "NOT_FOUND");
    acme.admin.get("/v1/users").data(200);
    set(json!({})).invalid("flags", "required");
    set(json!({ "flags": { "enabled": "yes" } })).invalid("flags.enabled", "type");
    set(json!({ "flags": { "other": true } })).refused(400, "VALIDATION_ERROR");
    set(json!({ "limits": { "perMinute": -1 } })).refused(400, "VALIDATION_ERROR");
    operator.put(&format!("{tenant}/overrides/no.such"), &json!({ "flags": { "enabled": true } })).refused(404, "NOT_FOUND");
    // An expired package is none.
    operator.post(&format!("{tenant}/packages/pro/assign"), &json!({ "expiresAt": "2020-01-01T00:00:00Z" })).data(200);
    acme.admin.get("/v1/users").forbidden("users.list", "in_active_package");
}

#[test]
fn seeding_a_tenant_again_changes_nothing_and_mends_what_is_missing() {
    let database = Database::new();
    let edge = database.serve();
    let acme = onboard(&edge, "acme");
    let operator = edge.operator();
    let seed = || operator.post(&format!("/v1/tenants/{}/seeds", acme.id), &json!({})).data(200)["changed"].as_i64().unwrap();
    assert_eq!(seed(), 0);
    let viewers = acme.group_named("VIEWER");
    let permission = id(&acme.admin.get(&format!("/v1/groups/{viewers}/permissions")).data(200)[0]);
    acme.admin.delete(&format!("/v1/groups/{viewers}/permissions/{permission}")).empty();
    assert_eq!((seed(), seed()), (1, 0));
}

#[test]
fn what_the_platform_does_to_a_tenant_stands_in_both_logs() {
    let database = Database::new();
    let edge = database.serve();
    let acme = onboard(&edge, "acme");
    let request = edge.operator().request("PATCH", &format!("/v1/tenants/{}", acme.id)).header("X-Request-Id", "both-logs-0001");
    request.json(&json!({ "name": "Outra" })).send().data(200);
    let platform = "select count(*) from nebula.audit_log l join nebula.tenant t on t.id = l.tenant_id where t.kind = $1 and l.metadata ->> 'requestId' = 'both-logs-0001'";
    assert_eq!((database.number(platform, &[&"platform"]), database.number(platform, &[&"customer"])), (1, 1));
    let seen = acme.admin.get("/v1/audit-logs?action=tenants.update").data(200);
    assert_eq!((&seen[0]["metadata"]["changed"], &seen[0]["requestId"]), (&json!(["name"]), &json!("both-logs-0001")));
    assert!(seen[0]["metadata"]["actorTenantId"].is_string());
}
