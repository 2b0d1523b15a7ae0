//! A service account of the platform in another tenant, and everyone who would like to be one.

use nebula_tests::{
    Answer, Caller, Database, Edge, Key, Tenant, User,
    http::id,
    onboard,
    story::{PASSWORD, accept, log_in},
    token::tenant_of,
};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use uuid::Uuid;

/// The operator in this tenant.
fn acting(edge: &Edge, tenant: Uuid, method: &str, path: &str, body: Option<&Value>) -> Answer {
    let request = edge.operator().request(method, path).header("X-Tenant-Id", tenant.to_string());
    match body {
        Some(body) => request.json(body).send(),
        None => request.send(),
    }
}

fn platform(edge: &Edge) -> Uuid {
    id(&edge.operator().get("/v1/me").data(200)["tenant"])
}

fn scene() -> (Database, Edge, Tenant<User>, Tenant<User>) {
    let database = Database::new();
    let edge = database.serve_with(&[("NEBULA_TRUSTED_PROXIES", "127.0.0.1/32")]);
    let (acme, zeta) = (onboard(&edge, "acme"), onboard(&edge, "zeta"));
    (database, edge, acme, zeta)
}

#[test]
fn it_reads_and_writes_there_as_the_tenant_itself_would_however_the_header_is_spelt() {
    let (database, edge, acme, zeta) = scene();
    zeta.person("third");
    let made = acting(&edge, acme.id, "POST", "/v1/users", Some(&json!({ "email": "bia@acme.example", "name": "Bia" }))).data(201);
    assert_eq!(acme.admin.get(&format!("/v1/users/{}", id(&made))).data(200), made);
    for (name, value) in [
        ("X-Tenant-Id", acme.id.to_string()),
        ("x-tenant-id", acme.id.to_string()),
        ("X-TENANT-ID", acme.id.to_string().to_uppercase()),
        ("x-TeNaNt-iD", acme.id.simple().to_string()),
        ("x-tenant-id", acme.id.braced().to_string()),
        ("x-tenant-id", acme.id.urn().to_string()),
    ] {
        let users = edge.operator().request("GET", "/v1/users").header(name, &value).send().data(200);
        let emails = users.as_array().unwrap().iter().map(|user| user["email"].as_str().unwrap().to_owned()).collect::<BTreeSet<_>>();
        assert_eq!(emails, ["admin@acme.example", "bia@acme.example"].map(str::to_owned).into(), "{name}: {value}");
    }
    // Its own tenant's id, or none, is where it is at home.
    let home = platform(&edge);
    for tenant in [home.to_string(), home.to_string().to_uppercase()] {
        let groups = edge.operator().request("GET", "/v1/users").header("x-tenant-id", tenant).send().data(200);
        assert_eq!(groups, json!([]));
    }
    assert_eq!(database.number("select count(*) from nebula.user where tenant_id = $1", &[&home]), 0);
    // Nothing of a third tenant can be reached from here: not by id, not by reference.
    let (group, their_group) = (acme.group_named("VIEWER"), zeta.group_named("VIEWER"));
    for path in [format!("/v1/users/{}", zeta.admin_id), format!("/v1/groups/{their_group}"), format!("/v1/groups/{their_group}/users")] {
        acting(&edge, acme.id, "GET", &path, None).refused(404, "NOT_FOUND");
    }
    acting(&edge, acme.id, "PATCH", &format!("/v1/users/{}", zeta.admin_id), Some(&json!({ "name": "X" }))).refused(404, "NOT_FOUND");
    let member = acting(&edge, acme.id, "POST", &format!("/v1/groups/{group}/users/{}", zeta.admin_id), Some(&json!({})));
    assert!([400, 404].contains(&member.status), "{member:?}");
    acting(&edge, acme.id, "DELETE", &format!("/v1/users/{}", zeta.admin_id), None).refused(404, "NOT_FOUND");
    assert_eq!(database.number("select count(*) from nebula.user where deleted_at is not null or name = 'X'", &[]), 0);
    // A cursor of one tenant's list is none of another's.
    let page = acting(&edge, acme.id, "GET", "/v1/users?limit=1", None).envelope(200);
    let next = page["meta"]["nextCursor"].as_str().unwrap();
    acting(&edge, zeta.id, "GET", &format!("/v1/users?limit=1&cursor={next}"), None).invalid("cursor", "cursor");
    acting(&edge, acme.id, "GET", &format!("/v1/users?limit=1&cursor={next}"), None).data(200);
}

#[test]
fn both_tenants_logs_tell_of_it_and_where_it_came_from_only_the_platforms() {
    let (database, edge, acme, zeta) = scene();
    let home = platform(&edge);
    let request =
        edge.operator().request("POST", "/v1/users").header("x-tenant-id", acme.id.to_string()).header("x-forwarded-for", "198.51.100.66");
    let request = request.header("user-agent", "operator/1").header("x-request-id", "acting-0001");
    request.json(&json!({ "email": "bia@acme.example", "name": "Bia" })).send().data(201);
    let rows = |tenant: Uuid| {
        database.texts(
            "select entity_type || ' ' || action || ' ' || actor_type || ' ' || coalesce(metadata ->> 'outcome', metadata ->> 'verb') || ' ' || coalesce(metadata ->> 'actorTenantId', '-') \
               || ' ' || coalesce(metadata ->> 'targetTenantId', '-') || ' ' || coalesce(host(ip), '-') || ' ' || coalesce(user_agent, '-') \
             from nebula.audit_log where tenant_id = $1 and metadata ->> 'requestId' = 'acting-0001' order by 1",
            &[&tenant],
        )
    };
    assert_eq!(
        rows(acme.id),
        [format!("tenant users.create service acted_as {home} - - -"), format!("user users.create service insert {home} - - -")]
    );
    assert_eq!(rows(home), [format!("tenant users.create service acted_as - {} 198.51.100.66 operator/1", acme.id)]);
    assert_eq!(rows(zeta.id), [""; 0]);
    // The tenant's people see it, in words that name no address of the operator's.
    let log = acme.admin.get("/v1/audit-logs?limit=200&action=users.create").data(200);
    assert!(
        log.to_string().contains(&home.to_string())
            && !log.to_string().contains("198.51.100.66")
            && !log.to_string().contains("operator/1")
    );
    // Reading is told as well, refusals too, and each call by itself.
    let count = |tenant: Uuid, outcome: &str| {
        database.number("select count(*) from nebula.audit_log where tenant_id = $1 and metadata ->> 'outcome' = $2", &[&tenant, &outcome])
    };
    let before = (count(acme.id, "acted_as"), count(home, "acted_as"));
    acting(&edge, acme.id, "GET", "/v1/users", None).data(200);
    acting(&edge, acme.id, "GET", &format!("/v1/users/{}", Uuid::now_v7()), None).refused(404, "NOT_FOUND");
    acting(&edge, acme.id, "POST", "/v1/users", Some(&json!({}))).refused(400, "VALIDATION_ERROR");
    assert_eq!((count(acme.id, "acted_as"), count(home, "acted_as")), (before.0 + 3, before.1 + 3));
    let outside = "select count(*) from nebula.audit_log where ip = '198.51.100.66' and tenant_id <> $1";
    assert_eq!(database.number(outside, &[&home]), 0);
}

#[test]
fn everyone_else_is_told_that_the_tenants_differ() {
    let (database, edge, acme, zeta) = scene();
    let home = platform(&edge);
    // A person of the platform with every right, keys of the platform without the action, keys of customers with every right they can have.
    let operator = edge.operator();
    let person = id(&operator.post("/v1/users", &json!({ "email": "op@platform.example", "name": "Op" })).data(201));
    let admins = operator
        .get("/v1/groups?limit=200")
        .data(200)
        .as_array()
        .unwrap()
        .iter()
        .find(|group| group["name"] == "ADM_CLIENTE")
        .map(id)
        .unwrap();
    operator.post(&format!("/v1/groups/{admins}/users/{person}"), &json!({})).data(201);
    let invite = operator.post(&format!("/v1/users/{person}/invite"), &json!({})).data(201);
    let slug = database.text("select slug from nebula.tenant where kind = 'platform'", &[]);
    let (human, _) = accept(&edge, &slug, "op@platform.example", invite["token"].as_str().unwrap());
    human.get("/v1/tenants").data(200);
    let key = |body: Value| edge.key(operator.post("/v1/api-keys", &body).data(201)["secret"].as_str().unwrap());
    let scoped = key(json!({ "name": "scoped", "actions": ["users.list", "users.create", "tenants.list"] }));
    let writer = key(json!({ "name": "writer", "profile": "write" }));
    let reader = key(json!({ "name": "reader", "profile": "read-only" }));
    let (customers, _) = zeta.key(&edge, &json!({ "name": "full", "profile": "admin" }));
    let enabled = operator.put(&format!("/v1/tenants/{}/overrides/tenants.act_as", zeta.id), &json!({ "flags": { "enabled": true } }));
    assert_eq!(enabled.status, 200);
    let (customers_with_it, _) = zeta.key(&edge, &json!({ "name": "fuller", "profile": "admin" }));
    let before = database.row_counts()["nebula.\"user\""];
    for (who, caller) in [
        ("a person of the platform", &human as &dyn Caller),
        ("a key of the platform without the action", &scoped),
        ("one that writes", &writer),
        ("one that reads", &reader),
        ("a customer's key", &customers),
        ("a customer's key with the action enabled", &customers_with_it),
        ("a customer's administrator", &zeta.admin),
    ] {
        for (method, path) in [("GET", "/v1/users"), ("POST", "/v1/users"), ("GET", "/v1/me"), ("PUT", "/v1/branding")] {
            let request = caller.request(method, path).header("X-Tenant-Id", acme.id.to_string());
            let answer =
                if method == "GET" { request.send() } else { request.json(&json!({ "email": "x@acme.example", "name": "X" })).send() };
            assert_eq!((answer.status, answer.code().as_str()), (400, "TENANT_MISMATCH"), "{who} {method} {path}: {answer:?}");
            assert!(!answer.text.contains("acme"), "{who}");
        }
    }
    // With the action it may.
    let with_it = key(json!({ "name": "with it", "actions": ["users.list", "tenants.act_as"] }));
    let ask = |caller: &Key, method: &str, path: &str, tenant: &str| caller.request(method, path).header("x-tenant-id", tenant).send();
    ask(&with_it, "GET", "/v1/users", &acme.id.to_string()).data(200);
    // What its scope lacks, it lacks there as well.
    ask(&with_it, "GET", "/v1/groups", &acme.id.to_string()).forbidden("groups.list", "granted");
    // Names, junk, nothing, two at once.
    for junk in
        ["acme", "", "0", "00000000-0000-0000-0000-00000000000g", &format!("{},{}", acme.id, zeta.id), &format!("{}\u{e9}", acme.id)]
    {
        let answer = ask(&with_it, "GET", "/v1/users", junk);
        assert_eq!(answer.status, 400, "{junk}: {answer:?}");
    }
    let two =
        with_it.request("GET", "/v1/users").header("x-tenant-id", acme.id.to_string()).header("x-tenant-id", zeta.id.to_string()).send();
    assert_eq!(two.status, 400, "{two:?}");
    assert_eq!(database.row_counts()["nebula.\"user\""], before);
    // A suspended key of the platform is nothing at all.
    database.execute("update nebula.api_key set status = 'suspenso' where name = 'with it'");
    ask(&with_it, "GET", "/v1/users", &acme.id.to_string()).refused(401, "INVALID_TOKEN");
    let audited = "select count(*) from nebula.audit_log where tenant_id = $1 and metadata ->> 'outcome' = 'TENANT_MISMATCH'";
    assert!(database.number(audited, &[&home]) > 0 && database.number(audited, &[&zeta.id]) > 0);
    assert_eq!(database.number(audited, &[&acme.id]), 0);
}

#[test]
fn unknown_and_suspended_tenants_are_refused_as_such() {
    let (_database, edge, acme, zeta) = scene();
    acting(&edge, Uuid::now_v7(), "GET", "/v1/users", None).refused(401, "TENANT_NOT_FOUND");
    acting(&edge, Uuid::nil(), "GET", "/v1/users", None).refused(401, "TENANT_NOT_FOUND");
    edge.operator().patch(&format!("/v1/tenants/{}/status", zeta.id), &json!({ "status": "suspenso" })).data(200);
    acting(&edge, zeta.id, "GET", "/v1/users", None).refused(403, "TENANT_SUSPENDED");
    acting(&edge, zeta.id, "POST", "/v1/users", Some(&json!({ "email": "a@b.example", "name": "X" }))).refused(403, "TENANT_SUSPENDED");
    edge.operator().patch(&format!("/v1/tenants/{}/status", zeta.id), &json!({ "status": "ativo" })).data(200);
    acting(&edge, zeta.id, "GET", "/v1/users", None).data(200);
    // What the tenant has not bought, or had switched off, is not there for the platform either.
    edge.operator().put(&format!("/v1/tenants/{}/overrides/users.list", acme.id), &json!({ "flags": { "enabled": false } })).data(200);
    acting(&edge, acme.id, "GET", "/v1/users", None).forbidden("users.list", "not_disabled_by_override");
}

#[test]
fn what_is_the_platforms_or_ones_own_is_not_done_in_another_tenant() {
    let (_database, edge, acme, zeta) = scene();
    for (method, path) in [
        ("GET", "/v1/tenants".to_owned()),
        ("POST", "/v1/tenants".to_owned()),
        ("GET", format!("/v1/tenants/{}", acme.id)),
        ("PATCH", format!("/v1/tenants/{}/status", zeta.id)),
        ("PUT", format!("/v1/tenants/{}/overrides/users.list", acme.id)),
        ("POST", "/v1/catalog/tools".to_owned()),
        ("GET", "/v1/me".to_owned()),
        ("PATCH", "/v1/me".to_owned()),
        ("GET", "/v1/me/sessions".to_owned()),
        ("DELETE", "/v1/me/sessions".to_owned()),
    ] {
        let body = json!({ "status": "suspenso" });
        let answer = acting(&edge, acme.id, method, &path, Some(&body).filter(|_| method != "GET" && method != "DELETE"));
        answer.refused(400, "TENANT_MISMATCH");
    }
    acme.admin.get("/v1/me").data(200);
    zeta.admin.get("/v1/me").data(200);
    // Public operations read the header against the tenant that they are about.
    let login = json!({ "tenant": "acme", "email": acme.admin_email, "password": PASSWORD });
    let send =
        |tenant: Uuid| edge.operator().request("POST", "/v1/auth/login").header("x-tenant-id", tenant.to_string()).json(&login).send();
    send(zeta.id).refused(400, "TENANT_MISMATCH");
    send(acme.id).data(200);
}

#[test]
fn keys_and_invites_that_it_makes_are_the_tenants() {
    let (database, edge, acme, _zeta) = scene();
    let person = id(&acting(&edge, acme.id, "POST", "/v1/users", Some(&json!({ "email": "bia@acme.example", "name": "Bia" }))).data(201));
    let admins = acme.group_named("ADM_CLIENTE");
    acting(&edge, acme.id, "POST", &format!("/v1/groups/{admins}/users/{person}"), Some(&json!({}))).data(201);
    let invite = acting(&edge, acme.id, "POST", &format!("/v1/users/{person}/invite"), Some(&json!({}))).data(201);
    assert_eq!(tenant_of(invite["token"].as_str().unwrap()), acme.id);
    let (bia, _) = accept(&edge, "acme", "bia@acme.example", invite["token"].as_str().unwrap());
    bia.get("/v1/users").data(200);
    let made = acting(&edge, acme.id, "POST", "/v1/api-keys", Some(&json!({ "name": "theirs", "profile": "admin" }))).data(201);
    assert_eq!(tenant_of(made["secret"].as_str().unwrap()), acme.id);
    edge.key(made["secret"].as_str().unwrap()).get("/v1/users").data(200);
    // A webhook's secret is sealed for the tenant whose it is.
    let hook =
        acting(&edge, acme.id, "POST", "/v1/webhooks", Some(&json!({ "url": "https://hooks.acme.com/", "events": ["*"] }))).data(201);
    assert_eq!(
        database.number("select count(*) from nebula.webhook_subscription where tenant_id = $1 and id = $2", &[&acme.id, &id(&hook)]),
        1
    );
    // Events are the tenant's.
    let events = database
        .texts("select distinct type from nebula.outbox where tenant_id = $1 and payload::text like '%bia@acme.example%'", &[&acme.id]);
    assert_eq!(events, ["user.created"]);
    assert_eq!(database.number("select count(*) from nebula.outbox where tenant_id = $1 and type like 'user%'", &[&platform(&edge)]), 0);
    log_in(&edge, "acme", "bia@acme.example").0.get("/v1/me").data(200);
}

#[test]
fn a_key_of_idempotency_is_one_of_the_tenant_that_is_acted_in() {
    let (database, edge, acme, zeta) = scene();
    let body = json!({ "name": "Same" });
    let send = |tenant: Option<Uuid>, body: &Value| {
        let request = edge.operator().request("POST", "/v1/groups").key("k");
        let request = tenant
            .map_or(edge.operator().request("POST", "/v1/groups").key("k"), |tenant| request.header("x-tenant-id", tenant.to_string()));
        request.json(body).send()
    };
    for tenant in [Some(acme.id), Some(zeta.id), None] {
        let first = send(tenant, &body);
        assert_eq!((first.status, first.header("idempotency-replayed")), (201, None), "{tenant:?}");
    }
    for tenant in [Some(acme.id), Some(zeta.id), None] {
        assert_eq!(send(tenant, &body).header("idempotency-replayed"), Some("true"), "{tenant:?}");
        send(tenant, &json!({ "name": "Other" })).refused(422, "IDEMPOTENCY_KEY_REUSED");
    }
    let tenants = "select count(distinct tenant_id) from nebula.idempotency_key where key = 'k'";
    assert_eq!(database.number(tenants, &[]), 3);
    // The tenant's own people don't get its answer.
    acme.admin.request("POST", "/v1/groups").key("k").json(&body).send().refused(422, "IDEMPOTENCY_KEY_REUSED");
}

#[test]
fn what_it_does_there_uses_up_the_platforms_limits() {
    let (_database, edge, acme, _zeta) = scene();
    acting(&edge, acme.id, "PUT", "/v1/config", Some(&json!({ "flags": {}, "limits": { "read": { "perMinute": 1 } } }))).data(200);
    acme.admin.get("/v1/users").data(200);
    acme.admin.get("/v1/users").refused(429, "RATE_LIMITED");
    for _ in 0..3 {
        let answer = acting(&edge, acme.id, "GET", "/v1/users", None);
        answer.data(200);
        assert!(answer.header("ratelimit-policy").unwrap().contains("q=6000"));
    }
    edge.operator().put("/v1/config", &json!({ "flags": {}, "limits": { "write": { "perMinute": 2 } } })).data(200);
    let write = || acting(&edge, acme.id, "PUT", "/v1/branding", Some(&json!({}))).status;
    assert_eq!([write(), write(), write()], [200, 200, 429]);
    edge.operator().request("PUT", "/v1/branding").json(&json!({})).send().refused(429, "RATE_LIMITED");
    acme.admin.put("/v1/branding", &json!({})).data(200);
}
