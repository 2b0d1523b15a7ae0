//! Onboarding, standing, packages, exceptions.

use nebula_tests::{Caller, Database, User, http::id, onboard, story::tenant_body, token::with};
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

/// A request of an administrator for each kind of thing that they could do.
fn attempts(admin: &impl Caller, user: Uuid) -> Vec<nebula_tests::Answer> {
    vec![
        admin.get("/v1/users"),
        admin.post("/v1/users", &json!({ "email": "more@acme.example", "name": "More" })),
        admin.post(&format!("/v1/users/{user}/invite"), &json!({})),
        admin.post("/v1/groups", &json!({ "name": "More" })),
        admin.post("/v1/api-keys", &json!({ "name": "more", "profile": "admin" })),
        admin.get("/v1/audit-logs"),
    ]
}

#[test]
fn without_a_package_an_administrator_does_nothing_and_with_one_they_make_another() {
    let database = Database::new();
    let edge = database.serve();
    let acme = onboard(&edge, "acme");
    let operator = edge.operator();
    let tenant = format!("/v1/tenants/{}", acme.id);
    let admins = acme.group_named("ADM_CLIENTE");
    let people = ["bia", "caio", "davi"].map(|name| acme.person(name));
    let add = |user: Uuid| acme.admin.post(&format!("/v1/groups/{admins}/users/{user}"), &json!({}));
    let expired = json!({ "expiresAt": "2020-01-01T00:00:00Z" });
    let ends: [&dyn Fn(); 2] = [&|| operator.delete(&format!("{tenant}/packages/pro")).empty(), &|| {
        drop(operator.post(&format!("{tenant}/packages/pro/assign"), &expired).data(200))
    }];
    for (end, user) in ends.iter().zip(people) {
        end();
        let held = "select count(*) from nebula.group_permission where group_id = $1";
        assert!(database.number(held, &[&admins]) > 30, "the grants are left over");
        for answer in attempts(&acme.admin, user).into_iter().chain([add(user)]) {
            assert_eq!(answer.refused(403, "FORBIDDEN_ACTION")["condition"], "in_active_package", "{answer:?}");
        }
        operator.post(&format!("{tenant}/packages/pro/assign"), &json!({})).data(200);
        add(user).data(201);
    }
    // A smaller package: what is left over of the larger one keeps nobody from becoming an administrator, who holds no more than it.
    operator.delete(&format!("{tenant}/packages/pro")).empty();
    operator.post(&format!("{tenant}/packages/base/assign"), &json!({})).data(200);
    add(people[2]).data(201);
    let (key, _) = acme.key(&edge, &json!({ "name": "k", "profile": "admin" }));
    for actions in [acme.admin.get("/v1/me"), key.get("/v1/me")].map(|me| me.data(200)["actions"].clone()) {
        assert!(actions.as_array().unwrap().contains(&json!("users.list")));
        assert!(!actions.to_string().contains("webhooks."), "{actions}");
    }
}

#[test]
fn an_override_that_disables_keeps_nobody_from_making_an_administrator_or_a_key() {
    let database = Database::new();
    let edge = database.serve();
    let acme = onboard(&edge, "acme");
    let off = json!({ "flags": { "enabled": false } });
    edge.operator().put(&format!("/v1/tenants/{}/overrides/audit.list", acme.id), &off).data(200);
    acme.admin.get("/v1/audit-logs").forbidden("audit.list", "not_disabled_by_override");
    let bia = acme.person("bia");
    acme.admin.post(&format!("/v1/groups/{}/users/{bia}", acme.group_named("ADM_CLIENTE")), &json!({})).data(201);
    let (key, _) = acme.key(&edge, &json!({ "name": "k", "profile": "admin" }));
    key.get("/v1/users").data(200);
    key.get("/v1/audit-logs").forbidden("audit.list", "not_disabled_by_override");
}

#[test]
fn an_action_that_an_override_enables_is_the_administrators_at_once() {
    let database = Database::new();
    let edge = database.serve();
    let (acme, zeta) = (onboard(&edge, "acme"), onboard(&edge, "zeta"));
    let operator = edge.operator();
    operator.post("/v1/catalog/tools", &json!({ "key": "orders", "name": "Pedidos" })).data(201);
    operator.post("/v1/catalog/tools/orders/actions", &json!({ "key": "orders.list", "name": "Listar pedidos", "kind": "read" })).data(201);
    let (bia, _, group) = acme.member(&edge, "bia", &[]);
    let may = |caller: &User| caller.get("/v1/me").data(200)["actions"].as_array().unwrap().contains(&json!("orders.list"));
    let grant = json!({ "permissions": [{ "action": "orders.list" }] });
    acme.admin.post(&format!("/v1/groups/{group}/permissions"), &grant).forbidden("orders.list", "not_held_by_grantor");
    assert!(!may(&acme.admin));
    let on = json!({ "flags": { "enabled": true } });
    operator.put(&format!("/v1/tenants/{}/overrides/orders.list", acme.id), &on).data(200);
    assert!(may(&acme.admin) && !may(&bia) && !may(&zeta.admin));
    acme.admin.post(&format!("/v1/groups/{group}/permissions"), &grant).data(201);
    assert!(may(&bia));
    // Only what is held is handed on: the default groups of fewer rights have not got it.
    let viewers = acme.group_named("VIEWER");
    let held = acme.admin.get(&format!("/v1/groups/{viewers}/permissions?limit=200"));
    held.data(200);
    assert!(!held.text.contains("orders.list"));
    operator.delete(&format!("/v1/tenants/{}/overrides/orders.list", acme.id)).empty();
    assert!(!may(&acme.admin) && !may(&bia));
}

#[test]
fn the_platform_keeps_its_own_package() {
    let database = Database::new();
    let edge = database.serve();
    let operator = edge.operator();
    let platform = id(&operator.get("/v1/me").data(200)["tenant"]);
    let refused = operator.delete(&format!("/v1/tenants/{platform}/packages/platform")).refused(409, "CONFLICT");
    assert_eq!(refused, json!({ "rule": "platform_tenant" }));
    operator.get("/v1/tenants").data(200);
}
