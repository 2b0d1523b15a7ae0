//! The story of the foundation, as a person would live it.

use nebula_tests::{
    Caller, Database,
    http::id,
    story::{PASSWORD, accept, log_in, tenant_body},
};
use serde_json::json;
use std::collections::BTreeSet;

#[test]
fn a_tenant_is_onboarded_and_its_first_requests_are_governed_end_to_end() {
    let database = Database::new();
    let edge = database.serve();
    let other_edge = database.serve();
    let (operator, anonymous) = (edge.operator(), edge.anonymous());

    // 1. The operator creates a tenant and gets a one-time invite; a repeat is replayed, another body refused.
    let create = |name: &str| {
        let mut body = tenant_body("acme", "pro");
        body["name"] = json!(name);
        operator.request("POST", "/v1/tenants").json(&body).key("onboard-acme-1").send()
    };
    let made = create("Acme");
    let repeated = create("Acme");
    assert_eq!(made.header("idempotency-replayed"), None);
    assert_eq!(repeated.header("idempotency-replayed"), Some("true"));
    assert_eq!((repeated.status, &repeated.text), (201, &made.text));
    create("Another").refused(422, "IDEMPOTENCY_KEY_REUSED");
    let made = made.data(201);
    let (tenant, admin_id) = (id(&made["tenant"]), id(&made["admin"]));
    assert_eq!(made["tenant"]["slug"], "acme");
    assert!(made["invite"]["expiresAt"].is_string());
    let invite = made["invite"]["token"].as_str().unwrap();

    // 2. The admin sets a password, logs in, refreshes, asks who they are. The invite works once.
    let (admin, refresh_token) = accept(&edge, "acme", "admin@acme.example", invite);
    anonymous.post("/v1/auth/password", &json!({ "token": invite, "password": PASSWORD })).refused(401, "INVALID_TOKEN");
    let refreshed = anonymous.post("/v1/auth/refresh", &json!({ "refreshToken": refresh_token })).data(200);
    assert_eq!((&refreshed["tokenType"], &refreshed["expiresIn"]), (&json!("Bearer"), &json!(900)));
    assert_ne!(refreshed["refreshToken"], refresh_token.as_str());
    let admin = {
        drop(admin);
        edge.user(refreshed["accessToken"].as_str().unwrap())
    };
    let me = admin.get("/v1/me").data(200);
    assert_eq!((id(&me["actor"]), id(&me["tenant"]), &me["groups"]), (admin_id, tenant, &json!(["ADM_CLIENTE"])));
    assert_eq!(me["packages"][0]["key"], "pro");
    assert!(me["actions"].as_array().unwrap().contains(&json!("users.create")));

    // 3. The admin creates a person and a group, adds the member, grants a permission.
    let bia = id(&admin.post("/v1/users", &json!({ "email": "bia@acme.example", "name": "Bia" })).data(201));
    let group = id(&admin.post("/v1/groups", &json!({ "name": "Suporte" })).data(201));
    admin.post(&format!("/v1/groups/{group}/users/{bia}"), &json!({})).data(201);
    let grant = json!({ "permissions": [{ "action": "users.list" }] });
    let granted = admin.post(&format!("/v1/groups/{group}/permissions"), &grant).data(201);
    let permission = id(&granted[0]);
    let bias_invite = admin.post(&format!("/v1/users/{bia}/invite"), &json!({})).data(201);
    let (bia_here, _) = accept(&edge, "acme", "bia@acme.example", bias_invite["token"].as_str().unwrap());
    let bia_there = other_edge.user(&bia_here.token);

    // 4. The member may do what was granted and nothing else; grant and revocation count at once, on every connection.
    assert_eq!(bia_here.get("/v1/users").data(200).as_array().unwrap().len(), 2);
    bia_there.get("/v1/users").data(200);
    bia_here.post("/v1/users", &json!({ "email": "x@acme.example", "name": "X" })).forbidden("users.create", "granted");
    admin.delete(&format!("/v1/groups/{group}/permissions/{permission}")).empty();
    bia_here.get("/v1/users").forbidden("users.list", "granted");
    bia_there.get("/v1/users").forbidden("users.list", "granted");
    admin.post(&format!("/v1/groups/{group}/permissions"), &grant).data(201);
    bia_here.get("/v1/users").data(200);
    bia_there.get("/v1/users").data(200);

    // 5. A key scoped to one action may do that and nothing else; suspended, it stops at once.
    let key = admin.post("/v1/api-keys", &json!({ "name": "importer", "actions": ["users.create"] })).data(201);
    let importer = edge.key(key["secret"].as_str().unwrap());
    importer.post("/v1/users", &json!({ "email": "caio@acme.example", "name": "Caio" })).data(201);
    importer.get("/v1/users").forbidden("users.list", "granted");
    importer.get("/v1/me").forbidden("me.read", "granted");
    admin.patch(&format!("/v1/api-keys/{}/status", id(&key)), &json!({ "status": "suspenso", "suspendedReason": "vazou" })).data(200);
    importer.post("/v1/users", &json!({ "email": "davi@acme.example", "name": "Davi" })).refused(401, "INVALID_TOKEN");
    let writer = admin.post("/v1/api-keys", &json!({ "name": "reader", "profile": "read-only" })).data(201);
    let reader = edge.key(writer["secret"].as_str().unwrap());
    reader.get("/v1/users").data(200);

    // 6. A suspended tenant's people and keys are refused at once.
    let status = format!("/v1/tenants/{tenant}/status");
    operator.patch(&status, &json!({ "status": "suspenso", "suspendedReason": "inadimplência" })).data(200);
    admin.get("/v1/me").refused(403, "TENANT_SUSPENDED");
    bia_there.get("/v1/users").refused(403, "TENANT_SUSPENDED");
    reader.get("/v1/users").refused(403, "TENANT_SUSPENDED");
    anonymous
        .post("/v1/auth/login", &json!({ "tenant": "acme", "email": "admin@acme.example", "password": PASSWORD }))
        .refused(403, "TENANT_SUSPENDED");
    operator.patch(&status, &json!({ "status": "ativo" })).data(200);
    admin.get("/v1/me").data(200);

    // 7. Claim and header that differ are refused; a user's header is never a source of the tenant.
    let platform = id(&operator.get("/v1/me").data(200)["tenant"]).to_string();
    admin.request("GET", "/v1/me").header("X-Tenant-Id", &platform).send().refused(400, "TENANT_MISMATCH");
    reader.request("GET", "/v1/users").header("x-tenant-id", &platform).send().refused(400, "TENANT_MISMATCH");
    let same = admin.request("GET", "/v1/me").header("X-TENANT-ID", tenant.to_string()).send().data(200);
    assert_eq!(id(&same["tenant"]), tenant);

    // 8. The audit log shows all of it, refusals included, with request ids; the outbox holds the events.
    let marked = bia_here.request("POST", "/v1/groups").header("X-Request-Id", "story-refused-0001").json(&json!({ "name": "Não" })).send();
    marked.forbidden("groups.create", "granted");
    let logs = admin.get("/v1/audit-logs?limit=200").data(200);
    let logs = logs.as_array().unwrap();
    assert!(logs.iter().filter(|log| log["actorType"] != "system").all(|log| log["requestId"].is_string()), "{logs:?}");
    let refusal = logs.iter().find(|log| log["requestId"] == "story-refused-0001").unwrap();
    assert_eq!((&refusal["metadata"]["outcome"], &refusal["action"]), (&json!("FORBIDDEN_ACTION"), &json!("groups.create")));
    assert_eq!(refusal["actorUserId"], bia.to_string());
    let actions = logs.iter().filter_map(|log| log["action"].as_str()).collect::<BTreeSet<_>>();
    for action in [
        "tenants.create",
        "auth.password",
        "auth.login",
        "users.create",
        "users.invite",
        "groups.create",
        "groups.members.add",
        "groups.permissions.grant",
        "groups.permissions.revoke",
        "api_keys.create",
        "api_keys.status",
        "tenants.status",
    ] {
        assert!(actions.contains(action), "{action} is missing in {actions:?}");
    }
    let outcomes = logs.iter().filter_map(|log| log["metadata"]["outcome"].as_str()).collect::<BTreeSet<_>>();
    for outcome in ["FORBIDDEN_ACTION", "INVALID_TOKEN", "TENANT_SUSPENDED", "TENANT_MISMATCH", "logged_in"] {
        assert!(outcomes.contains(outcome), "{outcome} is missing in {outcomes:?}");
    }
    let events =
        database.texts("select distinct type from nebula.outbox where tenant_id = $1", &[&tenant]).into_iter().collect::<BTreeSet<_>>();
    for event in [
        "tenant.created",
        "tenant.package.assigned",
        "user.created",
        "group.created",
        "user_group.changed",
        "group.permission.changed",
        "api_key.created",
        "api_key.revoked",
    ] {
        assert!(events.contains(event), "{event} is missing in {events:?}");
    }

    // 9. Logout ends the session; reuse of a rotated refresh token ends the family.
    let (session, session_refresh) = log_in(&edge, "acme", "bia@acme.example");
    session.get("/v1/users").data(200);
    session.post("/v1/auth/logout", &json!({ "refreshToken": session_refresh })).empty();
    session.get("/v1/users").refused(401, "INVALID_TOKEN");
    anonymous.post("/v1/auth/refresh", &json!({ "refreshToken": session_refresh })).refused(401, "INVALID_TOKEN");
    database.execute("update nebula.refresh_token set revoked_at = revoked_at - interval '11 seconds' where revoked_at is not null");
    anonymous.post("/v1/auth/refresh", &json!({ "refreshToken": refresh_token })).refused(401, "INVALID_TOKEN");
    admin.get("/v1/me").refused(401, "INVALID_TOKEN");
    anonymous.post("/v1/auth/refresh", &json!({ "refreshToken": refreshed["refreshToken"] })).refused(401, "INVALID_TOKEN");
    let reuse = "select count(*) from nebula.audit_log where tenant_id = $1 and metadata ->> 'outcome' = 'refresh_reuse'";
    assert_eq!(database.number(reuse, &[&tenant]), 1);
}
