//! How much is admitted: exactly what was agreed, however it is asked for. Each case runs with the library loaded on demand and preloaded.

use hmac::{Hmac, Mac};
use nebula_tests::{
    Answer, Caller, Database, Edge, Handled, Library, Tenant, User,
    handle::request,
    onboard, onboard_by_sql, parallel,
    sql_caller::{bound_login, call},
    story::{PASSWORD, log_in},
    token::tenant_of,
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::net::Ipv4Addr;
use uuid::Uuid;

macro_rules! on_both_kinds_of_server {
    ($($name:ident)*) => {
        mod on_demand { $(#[test] fn $name() { super::$name(super::Library::OnDemand); })* }
        mod preloaded { $(#[test] fn $name() { super::$name(super::Library::Preloaded); })* }
    };
}

on_both_kinds_of_server! {
    the_library_is_loaded_as_it_says
    every_answer_tells_which_limits_counted_it
    what_is_refused_for_another_reason_counts_and_what_is_not_authenticated_does_not
    four_edges_admit_exactly_the_limit_of_hundreds_of_parallel_requests
    no_detour_leads_around_a_tenants_limit
    a_tenant_does_not_raise_its_own_limits
    sql_callers_use_up_the_same_limit
    an_open_transaction_that_has_called_blocks_nobody
    an_actions_own_limit_holds_for_that_action_of_that_tenant_alone
    a_months_quota_is_used_up_exactly_and_given_back_by_what_had_no_effect
    guesses_are_limited_by_account_however_it_is_written_and_whether_it_exists
    guesses_are_limited_by_address_and_only_a_trusted_proxy_names_it
    where_the_shared_memory_is_full_the_table_counts_as_exactly
    databases_of_one_server_share_no_counter
}

/// The remaining requests of a policy, as the answer's header tells.
#[track_caller]
fn remaining(answer: &Answer, policy: &str) -> i64 {
    let header = answer.header("ratelimit").unwrap_or_else(|| panic!("no RateLimit: {answer:?}"));
    let quoted = format!("\"{policy}\";r=");
    let member = header.split(", ").find_map(|member| member.strip_prefix(&quoted)).unwrap_or_else(|| panic!("no {policy} in {header}"));
    let (remaining, reset) = member.split_once(";t=").unwrap();
    assert!((1..=65).contains(&reset.parse::<u32>().unwrap()), "{header}");
    remaining.parse().unwrap()
}

/// A 429 that says which limit, in body and headers.
#[track_caller]
fn is_limited(answer: &Answer, policy: &str, limit: u32) {
    assert_eq!(answer.refused(429, "RATE_LIMITED"), json!({ "policy": policy }));
    assert!((1..=65).contains(&answer.header("retry-after").unwrap().parse::<u32>().unwrap()));
    assert_eq!(remaining(answer, policy), 0);
    let policies = answer.header("ratelimit-policy").unwrap();
    assert!(policies.split(", ").any(|member| member == format!("\"{policy}\";q={limit};w=60")), "{policies}");
}

/// What the platform agrees with a tenant.
#[track_caller]
fn agree(edge: &Edge, tenant: Uuid, limits: &Value) {
    let request = edge.operator().request("PUT", "/v1/config").header("X-Tenant-Id", tenant.to_string());
    request.json(&json!({ "flags": {}, "limits": limits })).send().data(200);
}

fn override_limits(edge: &Edge, tenant: Uuid, action: &str, limits: &Value) {
    edge.operator().put(&format!("/v1/tenants/{tenant}/overrides/{action}"), &json!({ "limits": limits })).data(200);
}

fn count(answers: &[Answer], status: u16) -> usize {
    answers.iter().filter(|answer| answer.status == status).count()
}

/// All that were not admitted say so properly.
#[track_caller]
fn all_else_is_limited(answers: &[Answer], admitted: u16, policy: &str, limit: u32) {
    for answer in answers.iter().filter(|answer| answer.status != admitted) {
        is_limited(answer, policy, limit);
    }
}

fn the_library_is_loaded_as_it_says(library: Library) {
    let database = Database::with(library);
    let expected = if library == Library::Preloaded { "nebula" } else { "" };
    assert_eq!(database.text("show shared_preload_libraries", &[]), expected);
}

fn every_answer_tells_which_limits_counted_it(library: Library) {
    let database = Database::with(library);
    let edge = database.serve();
    let acme = onboard(&edge, "acme");
    let policy = |answer: &Answer| answer.header("ratelimit-policy").unwrap().to_owned();
    let group = acme.group("G", &[]);
    for (method, path, body, category, limit) in [
        ("GET", "/v1/users".to_owned(), None, "read", 6000),
        ("POST", "/v1/users".to_owned(), Some(json!({ "email": "bia@acme.example", "name": "Bia" })), "write", 3000),
        ("PATCH", format!("/v1/groups/{group}/status"), Some(json!({ "status": "suspenso" })), "admin", 1200),
    ] {
        let send = || {
            let request = acme.admin.request(method, &path);
            match &body {
                Some(body) => request.json(body).send(),
                None => request.send(),
            }
        };
        let first = send();
        assert!(first.status < 300, "{first:?}");
        assert_eq!(policy(&first), format!("\"{category}\";q={limit};w=60"));
        let left = remaining(&first, category);
        assert_eq!(remaining(&send(), category), left - 1, "{path}: once a request, whatever became of it");
    }
    let login =
        edge.anonymous().post("/v1/auth/login", &json!({ "tenant": "acme", "email": "nobody@acme.example", "password": "wrong one" }));
    assert_eq!(policy(&login), "\"auth-address\";q=300;w=60, \"auth\";q=30;w=60");
    assert_eq!(remaining(&login, "auth"), 29);
    let refreshed = edge.anonymous().post("/v1/auth/refresh", &json!({ "refreshToken": acme.refresh_token }));
    assert_eq!(policy(&refreshed), "\"auth-token\";q=300;w=60");
    assert_eq!(remaining(&refreshed, "auth-token"), 299);
    // A number of its own in one category leaves the others as they are.
    agree(&edge, acme.id, &json!({ "read": { "perMinute": 77 }, "auth": { "perMinute": 7 } }));
    assert_eq!(policy(&acme.admin.get("/v1/users")), "\"read\";q=77;w=60");
    assert_eq!(policy(&acme.admin.patch("/v1/me", &json!({ "name": "Ana" }))), "\"write\";q=3000;w=60");
    let reset = edge.anonymous().post("/v1/auth/password/reset", &json!({ "tenant": "acme", "email": "x@acme.example" }));
    assert_eq!((policy(&reset).as_str(), remaining(&reset, "auth")), ("\"auth-address\";q=300;w=60, \"auth\";q=7;w=60", 6));
}

fn what_is_refused_for_another_reason_counts_and_what_is_not_authenticated_does_not(library: Library) {
    let database = Database::with(library);
    let edge = database.serve();
    let acme = onboard(&edge, "acme");
    let (clerk, ..) = acme.member(&edge, "clerk", &["users.create"]);
    let bia = json!({ "email": "bia@acme.example", "name": "Bia" });
    let create = |caller: &User, key: &str, body: &Value| caller.request("POST", "/v1/users").key(key).json(body).send();
    let made = create(&clerk, "k", &bia);
    let mut left = remaining(&made, "write");
    for (what, status, answer) in [
        ("a replay", 201, create(&clerk, "k", &bia)),
        ("a key that is used again", 422, create(&clerk, "k", &json!({ "email": "x@acme.example", "name": "X" }))),
        ("a duplicate", 409, create(&clerk, "other", &bia)),
        ("an invalid body", 400, create(&clerk, "other", &json!({ "email": 7 }))),
        ("an invalid key", 400, create(&clerk, &"x".repeat(256), &bia)),
        ("what is not allowed", 403, clerk.post("/v1/groups", &json!({ "name": "G" }))),
        (
            "what is the platform's",
            403,
            acme.admin.request("PUT", &format!("/v1/tenants/{}/overrides/users.list", acme.id)).json(&json!({})).send(),
        ),
        ("what is not there", 404, acme.admin.patch(&format!("/v1/users/{}", Uuid::now_v7()), &json!({ "name": "X" }))),
        (
            "a foreign tenant in the header",
            400,
            clerk.request("POST", "/v1/users").header("x-tenant-id", Uuid::now_v7().to_string()).json(&bia).send(),
        ),
    ] {
        assert_eq!(answer.status, status, "{what}: {answer:?}");
        // Overrides are of the category admin.
        if what != "what is the platform's" {
            left -= 1;
            assert_eq!(remaining(&answer, "write"), left, "{what}");
        }
    }
    for (what, answer) in [
        ("no credential", edge.anonymous().post("/v1/users", &bia)),
        ("a token of nobody", edge.user("junk").post("/v1/users", &bia)),
        ("a route that is none", clerk.post("/v1/user", &bia)),
        ("a body that is no JSON", clerk.request("POST", "/v1/users").body("application/json", "{").send()),
    ] {
        assert!(answer.status >= 400 && answer.header("ratelimit").is_none(), "{what}: {answer:?}");
    }
    assert_eq!(remaining(&clerk.patch("/v1/me", &json!({ "name": "C" })), "write"), left - 1);
}

fn four_edges_admit_exactly_the_limit_of_hundreds_of_parallel_requests(library: Library) {
    let database = Database::with(library);
    let edges = [(); 4].map(|()| database.serve_with(&[("NEBULA_POOL_SIZE", "12"), ("NEBULA_POOL_WAIT_MS", "20000")]));
    let [first, ..] = &edges;
    let (acme, zeta) = (onboard(first, "acme"), onboard(first, "zeta"));
    let limit = 137;
    agree(first, acme.id, &json!({ "read": { "perMinute": limit } }));
    let (key, _) = acme.key(first, &json!({ "name": "k", "profile": "read-only" }));
    let answers = parallel(600, 48, |number| match number % 3 {
        0 => edges[number % 4].user(&acme.admin.token).get("/v1/users"),
        1 => edges[number % 4].key(&key.secret).get("/v1/groups?limit=1"),
        _ => edges[number % 4].user(&acme.admin.token).get("/v1/me"),
    });
    assert_eq!(count(&answers, 200), usize::try_from(limit).unwrap());
    all_else_is_limited(&answers, 200, "read", limit);
    // Each of those that were admitted was told another number.
    let mut told = answers.iter().filter(|answer| answer.status == 200).map(|answer| remaining(answer, "read")).collect::<Vec<_>>();
    told.sort_unstable();
    assert_eq!(told, (0..i64::from(limit)).collect::<Vec<_>>());
    // Nobody else is touched, and no other category.
    assert_eq!(remaining(&zeta.admin.get("/v1/users"), "read"), 5999);
    acme.admin.patch("/v1/me", &json!({ "name": "Ana" })).data(200);
    // Requests that were refused are not added to those that count: a higher agreement admits the difference at once, exactly.
    agree(first, acme.id, &json!({ "read": { "perMinute": limit + 20 } }));
    let answers = parallel(100, 24, |number| edges[number % 4].user(&acme.admin.token).get("/v1/users"));
    assert_eq!(count(&answers, 200), 20);
    agree(first, acme.id, &json!({ "read": { "perMinute": 1 } }));
    is_limited(&acme.admin.get("/v1/users"), "read", 1);
}

fn no_detour_leads_around_a_tenants_limit(library: Library) {
    let database = Database::with(library);
    let proxied = database.serve_with(&[("NEBULA_TRUSTED_PROXIES", "127.0.0.0/8")]);
    let edge = database.serve();
    let acme = onboard(&edge, "acme");
    let (clerk, clerk_id, _) = acme.member(&edge, "clerk", &["users.create", "users.list"]);
    let (key, key_id) = acme.key(&edge, &json!({ "name": "k", "profile": "admin" }));
    acme.admin.request("POST", "/v1/groups").key("kept").json(&json!({ "name": "kept" })).send().data(201);
    let rotated = acme.admin.post(&format!("/v1/api-keys/{key_id}/rotate"), &json!({ "gracePeriodSeconds": 60 })).data(200);
    let limit = 40;
    agree(&edge, acme.id, &json!({ "write": { "perMinute": limit } }));
    let mut used = 0;
    while acme.admin.patch("/v1/me", &json!({ "name": "Ana" })).status == 200 {
        used += 1;
        assert!(used <= limit);
    }
    let body = json!({ "name": "detour" });
    let groups = |caller: &dyn Caller| caller.request("POST", "/v1/groups");
    let (fresh, _) = log_in(&edge, "acme", &acme.admin_email);
    let token = acme.admin.token.clone();
    for (detour, answer) in [
        ("another person", clerk.post("/v1/users", &json!({ "email": "x@acme.example", "name": "X" }))),
        ("a key", groups(&key).json(&body).send()),
        ("a key as a bearer", groups(&edge.user(&key.secret)).json(&body).send()),
        ("a rotated key", groups(&edge.key(rotated["secret"].as_str().unwrap())).json(&body).send()),
        ("a new session", groups(&fresh).json(&body).send()),
        ("another edge", groups(&proxied.user(&token)).json(&body).send()),
        ("another address", groups(&proxied.user(&token)).header("x-forwarded-for", "203.0.113.99").json(&body).send()),
        ("a forged address", groups(&acme.admin).header("x-forwarded-for", "203.0.113.98").json(&body).send()),
        ("a replay", groups(&acme.admin).key("kept").json(&json!({ "name": "kept" })).send()),
        ("a fresh idempotency key", groups(&acme.admin).key("fresh").json(&body).send()),
        ("one's own tenant in the header", groups(&acme.admin).header("X-TENANT-ID", acme.id.to_string()).json(&body).send()),
        ("the same in other letters", groups(&acme.admin).header("x-tenant-id", acme.id.to_string().to_uppercase()).json(&body).send()),
        ("the same without hyphens", groups(&acme.admin).header("x-tenant-id", acme.id.simple().to_string()).json(&body).send()),
        ("another tenant in the header", groups(&acme.admin).header("x-tenant-id", Uuid::now_v7().to_string()).json(&body).send()),
        ("another request id", groups(&acme.admin).header("x-request-id", Uuid::now_v7().to_string()).json(&body).send()),
        ("another language", groups(&acme.admin).header("accept-language", "en").json(&body).send()),
        ("another user agent", groups(&acme.admin).header("user-agent", "detour/1").json(&body).send()),
        (
            "another scheme's case",
            edge.anonymous().request("POST", "/v1/groups").header("authorization", format!("bearer {token}")).json(&body).send(),
        ),
        ("another operation of the category", acme.admin.patch(&format!("/v1/users/{clerk_id}"), &json!({ "name": "X" }))),
        ("an encoded path", acme.admin.request("PATCH", "/v1/m%65").json(&json!({ "name": "X" })).send()),
        ("an invalid body", groups(&acme.admin).json(&json!({ "name": 7 })).send()),
        ("one's own password", acme.admin.put("/v1/me/password", &json!({ "currentPassword": "x", "newPassword": "long enough" }))),
        ("deleting one's sessions", acme.admin.delete("/v1/me/sessions")),
    ] {
        match detour {
            // Refused by the edge, or not found at all: nothing is had by it either.
            "an encoded path" if answer.status == 404 => {}
            _ => is_limited(&answer, "write", limit),
        }
    }
    // Nor do a change of rights, of the tenant's own configuration, of the catalog, or a suspension in between start the minute anew.
    acme.admin.put("/v1/config", &json!({ "flags": { "beta": true } })).data(200);
    is_limited(&groups(&acme.admin).json(&body).send(), "write", limit);
    for status in ["suspenso", "ativo"] {
        edge.operator().patch(&format!("/v1/tenants/{}/status", acme.id), &json!({ "status": status })).data(200);
    }
    let (again, _) = log_in(&edge, "acme", &acme.admin_email);
    is_limited(&groups(&again).json(&body).send(), "write", limit);
    database.execute("select nebula.seed()");
    is_limited(&groups(&again).json(&body).send(), "write", limit);
    let after_restart = database.serve();
    is_limited(&groups(&after_restart.user(&again.token)).json(&body).send(), "write", limit);
    assert_eq!(database.number("select count(*) from nebula.\"group\" where name = 'detour'", &[]), 0);
    // What the platform does in a tenant is the platform's, not the tenant's to use up or to be stopped by.
    let acting = groups(&edge.operator()).header("X-Tenant-Id", acme.id.to_string()).json(&json!({ "name": "by the platform" })).send();
    assert_eq!(acting.status, 201);
    assert!(remaining(&acting, "write") > 2000, "{acting:?}");
}

fn a_tenant_does_not_raise_its_own_limits(library: Library) {
    let database = Database::with(library);
    let edge = database.serve();
    let acme = onboard(&edge, "acme");
    let (key, _) = acme.key(&edge, &json!({ "name": "k", "profile": "admin" }));
    let agreed = json!({ "read": { "perMinute": 50 } });
    agree(&edge, acme.id, &agreed);
    for limits in [
        json!({ "read": { "perMinute": 51 } }),
        json!({ "read": { "perMinute": 50 }, "write": { "perMinute": 1 } }),
        json!({ "read": { "perMinute": 1 } }),
        json!({}),
    ] {
        for caller in [&acme.admin as &dyn Caller, &key] {
            caller.put("/v1/config", &json!({ "flags": {}, "limits": limits })).forbidden("config.update", "platform_only");
        }
    }
    for (body, field, rule) in [
        (json!({ "flags": {}, "limits": { "read": { "perMinute": 0 } } }), "limits.read.perMinute", "range"),
        (json!({ "flags": {}, "limits": { "read": { "perMinute": 100_000_001 } } }), "limits.read.perMinute", "range"),
        (json!({ "flags": {}, "limits": { "read": { "perMinute": -1 } } }), "limits.read.perMinute", "invalid"),
        (json!({ "flags": {}, "limits": { "read": { "perMinute": 1.5 } } }), "limits.read.perMinute", "type"),
        (json!({ "flags": {}, "limits": { "read": { "perHour": 1 } } }), "limits.read.perHour", "unknown"),
        (json!({ "flags": {}, "limits": { "all": { "perMinute": 1 } } }), "limits.all", "unknown"),
        (json!({ "flags": {}, "limits": [] }), "limits", "type"),
    ] {
        let answer = acme.admin.put("/v1/config", &body);
        let details = answer.refused(400, "VALIDATION_ERROR");
        assert_eq!(details[0]["field"], field, "{body}: {details}");
        if rule != "invalid" {
            assert_eq!(details[0]["rule"], rule, "{body}: {details}");
        }
    }
    // Saying what is there is no change; nor does leaving it out take it away.
    acme.admin.put("/v1/config", &json!({ "flags": { "beta": true }, "limits": agreed })).data(200);
    assert_eq!(acme.admin.put("/v1/config", &json!({ "flags": {} })).data(200)["limits"], agreed);
    acme.admin
        .request("PUT", &format!("/v1/tenants/{}/overrides/users.list", acme.id))
        .json(&json!({ "limits": { "perMinute": 9 } }))
        .send()
        .refused(403, "FORBIDDEN_ACTION");
    assert_eq!(acme.admin.get("/v1/users").header("ratelimit-policy"), Some("\"read\";q=50;w=60"));
}

fn sql_callers_use_up_the_same_limit(library: Library) {
    let database = Database::with(library);
    let edge = database.serve();
    let acme = onboard_by_sql(&database, "acme");
    let login = bound_login(&database, &acme, &json!({ "name": "app", "profile": "admin" }));
    let admin = edge.user(&acme.admin);
    agree(&edge, acme.id, &json!({ "read": { "perMinute": 10 } }));
    let mut app = database.connect(&login);
    for _ in 0..4 {
        call(&mut app, "users.list", &json!({})).unwrap();
    }
    assert_eq!(remaining(&admin.get("/v1/users"), "read"), 5);
    // A rolled back call was a request, too; so was a typed function, and one in a savepoint.
    let mut transaction = app.transaction().unwrap();
    call(&mut transaction, "groups.list", &json!({})).unwrap();
    transaction.rollback().unwrap();
    app.query_one("select nebula.list_users()", &[]).unwrap();
    let mut transaction = app.transaction().unwrap();
    let mut savepoint = transaction.transaction().unwrap();
    call(&mut savepoint, "users.read", &json!({ "id": Uuid::now_v7() })).unwrap_err().is("PT404", "NOT_FOUND");
    savepoint.rollback().unwrap();
    transaction.commit().unwrap();
    assert_eq!(remaining(&admin.get("/v1/users"), "read"), 1);
    // What asks about rights does nothing, and is not counted.
    for _ in 0..20 {
        app.query_one("select nebula.can('users.list'), nebula.why('users.list'), nebula.current_tenant()", &[]).unwrap();
    }
    call(&mut app, "users.list", &json!({})).unwrap();
    assert_eq!(call(&mut app, "users.list", &json!({})).unwrap_err().is("PT429", "RATE_LIMITED"), json!({ "policy": "read" }));
    is_limited(&admin.get("/v1/users"), "read", 10);
    // A loop that catches its errors gets nothing by them.
    app.batch_execute(
        "do $$ begin for i in 1..20 loop begin perform nebula.call('users.list'); raise exception 'admitted'; \
         exception when sqlstate 'PT429' then null; end; end loop; end $$",
    )
    .unwrap();
}

fn an_open_transaction_that_has_called_blocks_nobody(library: Library) {
    let database = Database::with(library);
    let edge = database.serve_with(&[("NEBULA_REQUEST_TIMEOUT_MS", "3000")]);
    let acme = onboard_by_sql(&database, "acme");
    let login = bound_login(&database, &acme, &json!({ "name": "app", "profile": "admin" }));
    let mut holder = database.connect(&login);
    let mut transaction = holder.transaction().unwrap();
    for action in ["users.list", "groups.list"] {
        call(&mut transaction, action, &json!({})).unwrap();
    }
    call(&mut transaction, "groups.create", &json!({ "name": "open" })).unwrap();
    let mut other = database.connect(&login);
    other.batch_execute("set statement_timeout = '3s'").unwrap();
    let admin = edge.user(&acme.admin);
    for round in 0..5 {
        call(&mut other, "users.list", &json!({})).unwrap();
        call(&mut other, "groups.create", &json!({ "name": format!("other {round}") })).unwrap();
        admin.get("/v1/users").data(200);
        admin.post("/v1/groups", &json!({ "name": format!("http {round}") })).data(201);
    }
    assert_eq!(database.number("select nebula.flush()::bigint", &[]), 0, "a superuser's backend has gathered nothing");
    transaction.commit().unwrap();
}

fn an_actions_own_limit_holds_for_that_action_of_that_tenant_alone(library: Library) {
    let database = Database::with(library);
    let edges = [(); 2].map(|()| database.serve_with(&[("NEBULA_POOL_WAIT_MS", "20000")]));
    let [edge, other] = &edges;
    let (acme, zeta) = (onboard(edge, "acme"), onboard(edge, "zeta"));
    override_limits(edge, acme.id, "users.list", &json!({ "perMinute": 5 }));
    let answers = parallel(60, 16, |number| edges[number % 2].user(&acme.admin.token).get("/v1/users"));
    assert_eq!(count(&answers, 200), 5);
    all_else_is_limited(&answers, 200, "users.list", 5);
    // The tenant's own category counts beside it.
    assert!(remaining(&answers[0], "read") >= 5900);
    acme.admin.get("/v1/groups").data(200);
    zeta.admin.get("/v1/users").data(200);
    // Who isn't allowed uses up nothing of the action's.
    override_limits(edge, acme.id, "groups.create", &json!({ "perMinute": 2 }));
    let (nobody, ..) = acme.member(edge, "nobody", &[]);
    for _ in 0..5 {
        nobody.post("/v1/groups", &json!({ "name": "no" })).forbidden("groups.create", "granted");
    }
    // (The helper made that person a group: one of the two.)
    let made = acme.admin.post("/v1/groups", &json!({ "name": "G1" }));
    assert_eq!((made.status, remaining(&made, "groups.create")), (201, 0));
    is_limited(&other.user(&acme.admin.token).post("/v1/groups", &json!({ "name": "G2" })), "groups.create", 2);
    // The platform's work in the tenant does not.
    for number in 0..3 {
        let acting = edge.operator().request("POST", "/v1/groups").header("x-tenant-id", acme.id.to_string());
        acting.json(&json!({ "name": format!("P{number}") })).send().data(201);
    }
    edge.operator().delete(&format!("/v1/tenants/{}/overrides/groups.create", acme.id)).empty();
    acme.admin.post("/v1/groups", &json!({ "name": "G2" })).data(201);
}

fn a_months_quota_is_used_up_exactly_and_given_back_by_what_had_no_effect(library: Library) {
    let database = Database::with(library);
    let edges = [(); 2].map(|()| database.serve_with(&[("NEBULA_POOL_WAIT_MS", "20000")]));
    let [edge, _] = &edges;
    let (acme, zeta) = (onboard(edge, "acme"), onboard(edge, "zeta"));
    override_limits(edge, acme.id, "users.create", &json!({ "perMonth": 12 }));
    let create = |caller: &User, name: &str| {
        caller.request("POST", "/v1/users").key(name).json(&json!({ "email": format!("{name}@acme.example"), "name": name })).send()
    };
    create(&acme.admin, "first").data(201);
    // None of these had an effect.
    for _ in 0..5 {
        assert_eq!(create(&acme.admin, "first").header("idempotency-replayed"), Some("true"));
        acme.admin.post("/v1/users", &json!({ "email": "first@acme.example", "name": "Again" })).refused(409, "DUPLICATE_RESOURCE");
        acme.admin.post("/v1/users", &json!({ "email": "x" })).refused(400, "VALIDATION_ERROR");
    }
    let used = "select coalesce(sum(count), 0)::bigint from nebula.quota_usage where tenant_id = $1";
    assert_eq!(database.number(used, &[&acme.id]), 1);
    // Of many at once, refused ones among them, exactly as many as are left have their effect.
    let answers = parallel(60, 16, |number| match number % 4 {
        0 => edges[0].user(&acme.admin.token).post("/v1/users", &json!({ "email": "first@acme.example", "name": "Again" })),
        _ => create(&edges[number % 2].user(&acme.admin.token), &format!("p{number}")),
    });
    assert_eq!(count(&answers, 201), 11);
    for answer in answers.iter().filter(|answer| answer.status == 429) {
        assert_eq!(answer.refused(429, "QUOTA_EXCEEDED"), json!({ "toolAction": "users.create", "perMonth": 12 }));
        let seconds = answer.header("retry-after").unwrap().parse::<u32>().unwrap();
        assert!((1..=31 * 86_400).contains(&seconds));
    }
    assert_eq!(count(&answers, 201) + count(&answers, 409) + count(&answers, 429), 60);
    assert_eq!(database.number(used, &[&acme.id]), 12);
    assert_eq!(database.number("select count(*) from nebula.user where tenant_id = $1 and email not like 'admin@%'", &[&acme.id]), 12);
    // A refused request saves nothing: with more agreed, the same key does it.
    create(&acme.admin, "later").refused(429, "QUOTA_EXCEEDED");
    override_limits(edge, acme.id, "users.create", &json!({ "perMonth": 13 }));
    assert_eq!(create(&acme.admin, "later").header("idempotency-replayed"), None);
    create(&acme.admin, "latest").refused(429, "QUOTA_EXCEEDED");
    // Through SQL it is the same month; what is rolled back was not used.
    override_limits(edge, zeta.id, "groups.create", &json!({ "perMonth": 2 }));
    let by_sql = Tenant {
        id: zeta.id,
        slug: zeta.slug.clone(),
        admin: zeta.admin.token.clone(),
        admin_id: zeta.admin_id,
        admin_email: zeta.admin_email.clone(),
        refresh_token: String::new(),
        invite: String::new(),
    };
    let mut app = database.connect(&bound_login(&database, &by_sql, &json!({ "name": "app", "profile": "admin" })));
    for _ in 0..4 {
        let mut transaction = app.transaction().unwrap();
        call(&mut transaction, "groups.create", &json!({ "name": "rolled back" })).unwrap();
        transaction.rollback().unwrap();
    }
    call(&mut app, "groups.create", &json!({ "name": "one" })).unwrap();
    zeta.admin.post("/v1/groups", &json!({ "name": "two" })).data(201);
    call(&mut app, "groups.create", &json!({ "name": "three" })).unwrap_err().is("PT429", "QUOTA_EXCEEDED");
    // Another month has its own.
    database.execute("update nebula.quota_usage set month = (month - interval '1 month')::date");
    create(&acme.admin, "latest").data(201);
}

/// A request as the edge would pass it on.
fn reset_from(ip: &str, slug: &str, email: &str) -> Value {
    let mut request = request("auth.password.reset", None, &json!({ "tenant": slug, "email": email }));
    request["ip"] = json!(ip);
    request
}

#[track_caller]
fn limits_of(handled: &Handled) -> Vec<(String, i64)> {
    let limits = handled.context["rateLimits"].as_array().unwrap_or_else(|| panic!("{handled:?}"));
    limits.iter().map(|limit| (limit["policy"].as_str().unwrap().to_owned(), limit["remaining"].as_i64().unwrap())).collect()
}

fn guesses_are_limited_by_account_however_it_is_written_and_whether_it_exists(library: Library) {
    let database = Database::with(library);
    let edge = database.serve_with(&[("NEBULA_TRUSTED_PROXIES", "127.0.0.1/32")]);
    let acme = onboard(&edge, "acme");
    agree(&edge, acme.id, &json!({ "auth": { "perMinute": 9 } }));
    acme.person("bia");
    let ask = |slug: &str, email: &str, number: usize| {
        let request = edge.anonymous().request("POST", "/v1/auth/password/reset").header("x-forwarded-for", format!("198.51.100.{number}"));
        request.json(&json!({ "tenant": slug, "email": email })).send()
    };
    // The known and the unknown are told the same at each step.
    for (name, slug) in [("bia", "acme"), ("nobody", "acme")] {
        let spellings = [
            format!("{name}@acme.example"),
            format!(" {name}@acme.example"),
            format!("{name}@acme.example\t"),
            format!("{}@acme.example", name.to_uppercase()),
            format!("{name}@ACME.example"),
            format!("\u{a0}{name}@Acme.Example\u{2003}"),
        ];
        for number in 0..9 {
            let answer = ask(slug, &spellings[number % spellings.len()], number);
            assert_eq!((answer.status, remaining(&answer, "auth")), (204, 8 - i64::try_from(number).unwrap()), "{name} {number}");
        }
        for (number, spelling) in spellings.iter().enumerate() {
            is_limited(&ask(slug, spelling, 100 + number), "auth", 9);
        }
        // Whoever asks for resets in somebody's name keeps them from no login: those are counted by themselves, and what is over is not even derived.
        agree(&edge, acme.id, &json!({ "auth": { "perMinute": 3 } }));
        let login = |number: usize| {
            let request = edge.anonymous().request("POST", "/v1/auth/login").header("x-forwarded-for", format!("203.0.113.{number}"));
            request.json(&json!({ "tenant": slug, "email": spellings[number % spellings.len()], "password": PASSWORD })).send()
        };
        for number in 0..3 {
            login(number).refused(401, "INVALID_CREDENTIALS");
        }
        is_limited(&login(3), "auth", 3);
        agree(&edge, acme.id, &json!({ "auth": { "perMinute": 9 } }));
    }
    // An account of another tenant is another account, one of no tenant is counted by the default.
    let zeta = onboard(&edge, "zeta");
    assert_eq!(remaining(&ask("zeta", "bia@acme.example", 50), "auth"), 29);
    assert_eq!(remaining(&ask("nowhere", "bia@acme.example", 50), "auth"), 29);
    assert_eq!(remaining(&ask("nowhere", "BIA@acme.example ", 51), "auth"), 28);
    // 64 at once are counted one by one.
    let answers = parallel(64, 16, |number| ask("zeta", &zeta.admin_email, number));
    assert_eq!(count(&answers, 204), 30);
    all_else_is_limited(&answers, 204, "auth", 30);
}

fn guesses_are_limited_by_address_and_only_a_trusted_proxy_names_it(library: Library) {
    let database = Database::with(library);
    let acme = onboard_by_sql(&database, "acme");
    let nowhere = Uuid::now_v7();
    let mut handle = database.handle();
    let mut ask = |ip: &str, number: usize| {
        let (tenant, slug) = if number.is_multiple_of(2) { (acme.id, "acme") } else { (nowhere, "nowhere") };
        handle.send(tenant, &reset_from(ip, slug, &format!("a{number}@{ip}.example").replace(':', "-")))
    };
    // One subscriber's network of 64 bits is one address, a mapped IPv4 address is itself; 300 in all, of whatever accounts and tenants.
    for (addresses, elsewhere) in [
        (["2001:db8:1:2::1", "2001:db8:1:2:ffff:ffff:ffff:ffff", "2001:DB8:0001:0002:dead::beef"], ["2001:db8:1:3::1", "2001:db8:2:2::1"]),
        (["198.51.100.7", "::ffff:198.51.100.7", "::ffff:c633:6407"], ["198.51.100.8", "::198.51.100.7"]),
    ] {
        for number in 0..300 {
            let handled = ask(addresses[number % 3], number);
            assert_eq!(limits_of(&handled)[0], ("auth-address".to_owned(), 299 - i64::try_from(number).unwrap()), "{handled:?}");
        }
        for (number, address) in addresses.iter().enumerate() {
            let details = ask(address, 900 + number).refused(429, "RATE_LIMITED");
            assert_eq!(details, json!({ "policy": "auth-address" }));
        }
        for address in elsewhere {
            assert_eq!(limits_of(&ask(address, 0))[0].1, 299, "{address}");
        }
    }
    // Over HTTP the address is the connection's, whatever headers say, unless a trusted proxy says it; what its client wrote before counts for nothing.
    let plain = database.serve();
    let proxied = database.serve_with(&[("NEBULA_TRUSTED_PROXIES", "127.0.0.1/32,10.0.0.0/8")]);
    let left = |edge: &Edge, headers: &[(&str, String)], number: usize| {
        let request = edge.anonymous().request("POST", "/v1/auth/password/reset");
        let request = headers.iter().fold(request, |request, (name, value)| request.header(name, value));
        remaining(&request.json(&json!({ "tenant": "acme", "email": format!("h{number}@acme.example") })).send(), "auth-address")
    };
    let mut number = 0;
    let mut expected = 300;
    for name in [
        "X-Forwarded-For",
        "x-forwarded-for",
        "Forwarded",
        "X-Real-IP",
        "X-Client-IP",
        "True-Client-IP",
        "CF-Connecting-IP",
        "X-Originating-IP",
    ] {
        for value in ["203.0.113.5", "127.0.0.1, 203.0.113.6", "for=203.0.113.7"] {
            (number, expected) = (number + 1, expected - 1);
            assert_eq!(left(&plain, &[(name, value.to_owned())], number), expected, "{name}: {value}");
        }
    }
    let mut expected = 300;
    for forged in ["", "203.0.113.1, ", "1.1.1.1, 2.2.2.2, ", "junk, ", "127.0.0.1, ", "::1, 10.0.0.1, "] {
        (number, expected) = (number + 1, expected - 1);
        assert_eq!(left(&proxied, &[("x-forwarded-for", format!("{forged}192.0.2.33"))], number), expected, "{forged}");
        (number, expected) = (number + 1, expected - 1);
        assert_eq!(left(&proxied, &[("x-forwarded-for", format!("{forged}192.0.2.33, 10.1.2.3"))], number), expected, "{forged}");
    }
    (number, expected) = (number + 1, expected - 1);
    let twice = [("x-forwarded-for", "9.9.9.9".to_owned()), ("x-forwarded-for", "192.0.2.33".to_owned())];
    assert_eq!(left(&proxied, &twice, number), expected);
    assert_eq!(left(&proxied, &[("x-forwarded-for", "192.0.2.34".to_owned())], number + 1), 299);
}

/// Where shared memory puts a key (extension/src/kernel/shared_memory.rs): its part and the first of 16 places.
fn place(key: &[u8]) -> (u8, u16) {
    (key[0] % 16, u16::from_be_bytes([key[1], key[2]]) % 2048)
}

fn where_the_shared_memory_is_full_the_table_counts_as_exactly(library: Library) {
    let database = Database::with(library);
    let edges = [(); 4].map(|()| database.serve_with(&[("NEBULA_POOL_SIZE", "8"), ("NEBULA_POOL_WAIT_MS", "20000")]));
    let [edge, ..] = &edges;
    let acme = onboard(edge, "acme");
    let mut digest = Sha256::new();
    for part in [b"tenant".as_slice(), acme.id.as_bytes(), b"write"] {
        digest.update(part);
        digest.update([0]);
    }
    let key = digest.finalize()[..16].to_vec();
    // 32 addresses whose keys want the places of this one. Whoever holds a dump could find them; it takes one who holds the installation's secret.
    let secret: Vec<u8> = database.superuser().query_one("select secret from nebula.installation", &[]).unwrap().get(0);
    let mac = Hmac::<Sha256>::new_from_slice(&secret).unwrap();
    let address_key = |address: Ipv4Addr| {
        let mut mac = mac.clone();
        mac.update(b"address\0");
        mac.update(address.to_string().as_bytes());
        mac.update(&[0]);
        mac.finalize().into_bytes()
    };
    let crowd = (0x1400_0000_u32..).map(Ipv4Addr::from).filter(|address| place(&address_key(*address)) == place(&key)).take(17);
    let mut handle = database.handle();
    let nowhere = Uuid::now_v7();
    let stored = "select count(*) from nebula.rate_limit where key = $1";
    for address in crowd {
        let handled = handle.send(nowhere, &reset_from(&address.to_string(), "nowhere", "x@nowhere.example"));
        assert!([204, 429].contains(&handled.status), "{handled:?}");
    }
    assert!(database.number("select count(*) from nebula.rate_limit", &[]) >= 1, "17 keys found room in 16 places");
    agree(edge, acme.id, &json!({ "write": { "perMinute": 61 } }));
    let answers =
        parallel(240, 32, |number| edges[number % 4].user(&acme.admin.token).patch("/v1/me", &json!({ "name": format!("N{number}") })));
    assert_eq!(database.number(stored, &[&key]), 1, "the table was not asked");
    assert_eq!(count(&answers, 200), 61);
    all_else_is_limited(&answers, 200, "write", 61);
    assert_eq!(acme.admin.get("/v1/users").status, 200);
}

fn databases_of_one_server_share_no_counter(library: Library) {
    // Copies of one template: the platform's tenant has the same id in both.
    let (one, two) = (Database::with(library), Database::with(library));
    let operator = one.installation.operator_key.clone();
    let platform = tenant_of(&operator);
    let list = |database: &Database| database.handle().call(platform, &operator, "tenants.list", &json!({}));
    for expected in [5999, 5998, 5997] {
        assert_eq!(limits_of(&list(&one)), [("read".to_owned(), expected)]);
    }
    assert_eq!(limits_of(&list(&two)), [("read".to_owned(), 5999)]);
}
