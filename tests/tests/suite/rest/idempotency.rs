//! One effect per key.

use nebula_tests::{
    Answer, Caller, Database, Gate, User,
    http::id,
    onboard, parallel,
    story::{PASSWORD, tenant_body},
};
use serde_json::{Value, json};
use std::{collections::BTreeSet, thread};

fn create(caller: &impl Caller, key: &str, body: &Value) -> Answer {
    caller.request("POST", "/v1/users").key(key).json(body).send()
}

fn bia() -> Value {
    json!({ "email": "bia@acme.example", "name": "Bia" })
}

#[test]
fn of_64_equal_requests_at_once_one_has_the_effect_and_all_get_its_answer() {
    let database = Database::new();
    let edge = database.serve_with(&[("NEBULA_POOL_WAIT_MS", "20000")]);
    let acme = onboard(&edge, "acme");
    let answers = thread::scope(|scope| {
        let attempts = (0..64).map(|_| scope.spawn(|| create(&acme.admin, "same", &bia()))).collect::<Vec<_>>();
        attempts.into_iter().map(|attempt| attempt.join().unwrap()).collect::<Vec<_>>()
    });
    assert!(answers.iter().all(|answer| answer.status == 201), "{:?}", answers.iter().map(|answer| answer.status).collect::<Vec<_>>());
    assert_eq!(answers.iter().map(|answer| answer.text.as_str()).collect::<BTreeSet<_>>().len(), 1);
    let replayed = answers.iter().filter(|answer| answer.header("idempotency-replayed") == Some("true")).count();
    assert_eq!(replayed, 63);
    for (what, sql) in [
        ("person", "select count(*) from nebula.user where email = 'bia@acme.example'"),
        ("event", "select count(*) from nebula.outbox where type = 'user.created' and payload::text like '%bia@%'"),
        ("audit row", "select count(*) from nebula.audit_log where action = 'users.create'"),
        ("key", "select count(*) from nebula.idempotency_key where key = 'same'"),
    ] {
        assert_eq!(database.number(sql, &[]), 1, "{what}");
    }
}

#[test]
fn the_order_of_members_makes_no_other_request_and_another_value_does() {
    let database = Database::new();
    let edge = database.serve();
    let acme = onboard(&edge, "acme");
    let first = create(&acme.admin, "k", &bia());
    let reordered = acme
        .admin
        .request("POST", "/v1/users")
        .key("k")
        .body("application/json", r#" {"name":"Bia",  "email":"bia@acme.example"} "#)
        .send();
    assert_eq!((reordered.header("idempotency-replayed"), &reordered.text), (Some("true"), &first.text));
    create(&acme.admin, "k", &json!({ "email": "bia@acme.example", "name": "Beatriz" })).refused(422, "IDEMPOTENCY_KEY_REUSED");
    assert_ne!(first.header("x-request-id"), reordered.header("x-request-id"));
}

#[test]
fn keys_are_a_tenants_a_callers_and_an_operations_own() {
    let database = Database::new();
    let edge = database.serve();
    let (acme, zeta) = (onboard(&edge, "acme"), onboard(&edge, "zeta"));
    let first = create(&acme.admin, "k", &bia());
    first.data(201);
    let theirs = create(&zeta.admin, "k", &bia());
    assert_eq!((theirs.status, theirs.header("idempotency-replayed")), (201, None));
    assert_ne!(theirs.text, first.text);
    // Another caller of the same tenant can't read an answer by guessing its key.
    let (clerk, ..) = acme.member(&edge, "clerk", &["users.create"]);
    create(&clerk, "k", &bia()).refused(422, "IDEMPOTENCY_KEY_REUSED");
    // Another operation may use the same words.
    let group = acme.admin.request("POST", "/v1/groups").key("k").json(&json!({ "name": "G" })).send();
    assert_eq!((group.status, group.header("idempotency-replayed")), (201, None));
}

#[test]
fn who_lost_the_right_gets_no_replay() {
    let database = Database::new();
    let edge = database.serve();
    let acme = onboard(&edge, "acme");
    let (clerk, _, group): (User, _, _) = acme.member(&edge, "clerk", &["users.create"]);
    create(&clerk, "k", &bia()).data(201);
    acme.admin.patch(&format!("/v1/groups/{group}/status"), &json!({ "status": "suspenso" })).data(200);
    create(&clerk, "k", &bia()).forbidden("users.create", "granted");
}

#[test]
fn a_refused_or_invalid_request_stores_nothing() {
    let database = Database::new();
    let edge = database.serve();
    let acme = onboard(&edge, "acme");
    let (nobody, ..) = acme.member(&edge, "nobody", &[]);
    create(&nobody, "k", &bia()).forbidden("users.create", "granted");
    create(&acme.admin, "k", &json!({ "email": "x" })).refused(400, "VALIDATION_ERROR");
    create(&acme.admin, "k", &json!({ "email": acme.admin_email, "name": "X" })).refused(409, "DUPLICATE_RESOURCE");
    create(&edge.anonymous(), "k", &bia()).refused(401, "UNAUTHORIZED");
    assert_eq!(database.number("select count(*) from nebula.idempotency_key", &[]), 0);
    let made = create(&acme.admin, "k", &bia());
    assert_eq!((made.status, made.header("idempotency-replayed")), (201, None));
}

#[test]
fn an_answer_without_content_is_replayed_as_such() {
    let database = Database::new();
    let edge = database.serve();
    let acme = onboard(&edge, "acme");
    let (group, bia) = (acme.group("G", &[]), acme.person("bia"));
    acme.admin.post(&format!("/v1/groups/{group}/users/{bia}"), &json!({})).data(201);
    let remove = || acme.admin.request("DELETE", &format!("/v1/groups/{group}/users/{bia}")).key("k").send();
    remove().empty();
    let replay = remove();
    replay.empty();
    assert_eq!(replay.header("idempotency-replayed"), Some("true"));
}

#[test]
fn after_a_day_the_key_is_free_again() {
    let database = Database::new();
    let edge = database.serve();
    let acme = onboard(&edge, "acme");
    create(&acme.admin, "k", &bia()).data(201);
    database.execute("update nebula.idempotency_key set created_at = created_at - interval '23 hours 59 minutes'");
    assert_eq!(create(&acme.admin, "k", &bia()).header("idempotency-replayed"), Some("true"));
    database.execute("update nebula.idempotency_key set created_at = created_at - interval '2 minutes'");
    let other = create(&acme.admin, "k", &json!({ "email": "caio@acme.example", "name": "Caio" }));
    assert_eq!((other.status, other.header("idempotency-replayed")), (201, None));
}

#[test]
fn answers_with_a_secret_are_replayed_and_stored_in_no_readable_form() {
    let database = Database::new();
    let edge = database.serve();
    let acme = onboard(&edge, "acme");
    let key = "a-guessable-key-1";
    let twice = |path: &str, body: &Value, caller: &dyn Caller| {
        let send = || caller.request("POST", path).key(key).json(body).send();
        let (first, second) = (send(), send());
        assert_eq!((second.header("idempotency-replayed"), &second.text), (Some("true"), &first.text), "{path}");
        assert!([200, 201].contains(&first.status), "{first:?}");
        first.json()["data"].clone()
    };
    let api_key = twice("/v1/api-keys", &json!({ "name": "k", "profile": "read-only" }), &acme.admin);
    let tenant = twice("/v1/tenants", &tenant_body("zeta", "pro"), &edge.operator());
    let invite = twice(&format!("/v1/users/{}/invite", acme.person("bia")), &json!({}), &acme.admin);
    let rotated = twice(&format!("/v1/api-keys/{}/rotate", api_key["id"].as_str().unwrap()), &json!({}), &acme.admin);
    let everything = database
        .tables()
        .iter()
        .flat_map(|table| database.texts(&format!("select t::text from {table} t"), &[]))
        .collect::<Vec<_>>()
        .join("\n");
    assert!(everything.contains("response_hash") || everything.len() > 10_000);
    for secret in [&api_key["secret"], &tenant["invite"]["token"], &invite["token"], &rotated["secret"]] {
        let secret = secret.as_str().unwrap();
        assert!(!everything.contains(&secret[68..132]), "a secret stands in a table");
    }
    // The key that unseals them isn't stored either.
    assert!(!everything.contains(key));
    edge.key(rotated["secret"].as_str().unwrap()).get("/v1/users").data(200);
}

#[test]
fn signing_in_is_repeatable_and_each_repeat_is_equal_byte_for_byte() {
    let database = Database::new();
    let edge = database.serve();
    let acme = onboard(&edge, "acme");
    let bia = acme.person("bia");
    let invite = acme.admin.post(&format!("/v1/users/{bia}/invite"), &json!({})).data(201);
    let send = |path: &str, key: &str, body: &Value| edge.anonymous().request("POST", path).key(key).json(body).send();
    let twice = |path: &str, key: &str, body: &Value| {
        let (first, second) = (send(path, key, body), send(path, key, body));
        assert!([200, 204].contains(&first.status), "{path}: {first:?}");
        assert_eq!((first.header("idempotency-replayed"), second.header("idempotency-replayed")), (None, Some("true")), "{path}");
        assert_eq!((second.status, &second.text), (first.status, &first.text), "{path}");
        first
    };
    let set = json!({ "token": invite["token"], "password": PASSWORD });
    twice("/v1/auth/password", "k", &set);
    send("/v1/auth/password", "k", &json!({ "token": invite["token"], "password": "another good password" }))
        .refused(422, "IDEMPOTENCY_KEY_REUSED");
    send("/v1/auth/password", "other", &set).refused(401, "INVALID_TOKEN");

    let login = json!({ "tenant": "acme", "email": "bia@acme.example", "password": PASSWORD });
    let first = twice("/v1/auth/login", "k", &login).data(200);
    assert_eq!(database.number("select count(*) from nebula.session where user_id = $1", &[&bia]), 1);
    // A wrong password under the same key is a wrong password: the answer is nobody's who can't prove who they are.
    send("/v1/auth/login", "k", &json!({ "tenant": "acme", "email": "bia@acme.example", "password": "not the password" }))
        .refused(401, "INVALID_CREDENTIALS");
    // Another person's login under that key is another request, and no way to the first one's tokens.
    let theirs = send("/v1/auth/login", "k", &json!({ "tenant": "acme", "email": acme.admin_email, "password": PASSWORD }));
    theirs.refused(422, "IDEMPOTENCY_KEY_REUSED");
    // What is stored of it opens nothing.
    let everything = database
        .tables()
        .iter()
        .flat_map(|table| database.texts(&format!("select t::text from {table} t"), &[]))
        .collect::<Vec<_>>()
        .join("\n");
    for secret in [&first["refreshToken"], &first["accessToken"]] {
        let secret = secret.as_str().unwrap();
        assert!(!everything.contains(&secret[secret.len() - 64..]), "a token stands in a table");
    }

    let refresh = json!({ "refreshToken": first["refreshToken"] });
    let next = twice("/v1/auth/refresh", "k", &refresh).data(200);
    assert_ne!(next["refreshToken"], first["refreshToken"]);
    edge.user(next["accessToken"].as_str().unwrap()).get("/v1/me").data(200);
    // Outside of the window a repeat is reuse, key or not.
    database.execute("update nebula.refresh_token set revoked_at = revoked_at - interval '11 seconds' where revoked_at is not null");
    send("/v1/auth/refresh", "k", &refresh).refused(401, "INVALID_TOKEN");
    edge.user(next["accessToken"].as_str().unwrap()).get("/v1/me").refused(401, "INVALID_TOKEN");

    let reset = json!({ "tenant": "acme", "email": "bia@acme.example" });
    twice("/v1/auth/password/reset", "k", &reset);
    assert_eq!(database.number("select count(*) from nebula.outbox where type = 'user.password.reset'", &[]), 1);
    send("/v1/auth/password/reset", "k", &json!({ "tenant": "acme", "email": "other@acme.example" }))
        .refused(422, "IDEMPOTENCY_KEY_REUSED");
    // Logging out repeats by itself.
    for _ in 0..2 {
        send("/v1/auth/logout", "k", &json!({ "refreshToken": acme.refresh_token })).empty();
    }
}

#[test]
fn of_20_equal_logins_at_once_one_begins_a_session_and_all_get_its_tokens() {
    let database = Database::new();
    let edge = database.serve_with(&[("NEBULA_POOL_WAIT_MS", "20000")]);
    let acme = onboard(&edge, "acme");
    let login = json!({ "tenant": "acme", "email": acme.admin_email, "password": PASSWORD });
    let answers = parallel(20, 20, |_| edge.anonymous().request("POST", "/v1/auth/login").key("same").json(&login).send());
    assert!(answers.iter().all(|answer| answer.status == 200), "{:?}", answers.iter().map(|answer| answer.status).collect::<Vec<_>>());
    assert_eq!(answers.iter().map(|answer| answer.text.as_str()).collect::<BTreeSet<_>>().len(), 1);
    assert_eq!(answers.iter().filter(|answer| answer.header("idempotency-replayed").is_some()).count(), 19);
    assert_eq!(database.number("select count(*) from nebula.session where user_id = $1", &[&acme.admin_id]), 2);
}

#[test]
fn the_second_of_two_gives_up_after_five_seconds_and_does_nothing() {
    let database = Database::new();
    let edge = database.serve();
    let acme = onboard(&edge, "acme");
    let gate = Gate::before_groups(&database);
    let create = |name: &str| acme.admin.request("POST", "/v1/groups").key("slow").json(&json!({ "name": name })).send();
    thread::scope(|scope| {
        let first = scope.spawn(|| create("Slow"));
        gate.await_one();
        // However many wait, an equal request and another one, all are told the same.
        let answers = parallel(3, 3, |number| create(if number == 0 { "Other" } else { "Slow" }));
        for answer in answers {
            answer.refused(409, "IDEMPOTENCY_IN_PROGRESS");
        }
        // Another key, another tenant's, another operation under the same key do not wait.
        acme.admin.request("POST", "/v1/users").key("slow").json(&bia()).send().data(201);
        gate.open();
        first.join().unwrap().data(201);
    });
    assert_eq!(create("Slow").header("idempotency-replayed"), Some("true"));
    create("Other").refused(422, "IDEMPOTENCY_KEY_REUSED");
    assert_eq!(database.number("select count(*) from nebula.\"group\" where name in ('Slow', 'Other')", &[]), 1);
}

#[test]
fn every_operation_that_changes_something_takes_a_key_and_has_one_effect_under_it() {
    let database = Database::new();
    let edge = database.serve();
    let acme = onboard(&edge, "acme");
    let operator = edge.operator();
    let second = acme.person("second");
    let routes: Value = serde_json::from_str(&database.text("select nebula.routes()::text", &[])).unwrap();
    let mut left = routes
        .as_array()
        .unwrap()
        .iter()
        .filter(|route| route["method"] != "GET" && route["scope"] != "public")
        .map(|route| route["operation"].as_str().unwrap().to_owned())
        .collect::<BTreeSet<_>>();
    let mut once = |operation: &str, caller: &dyn Caller, method: &str, path: &str, body: Value| -> Value {
        assert!(left.remove(operation), "{operation} is not a route");
        let send = |body: &Value| {
            let request = caller.request(method, path).key("the-one-key");
            if method == "DELETE" { request.send() } else { request.json(body).send() }
        };
        let first = send(&body);
        assert!(first.status < 300, "{operation}: {first:?}");
        assert_eq!(first.header("idempotency-replayed"), None, "{operation}");
        let effects = database.digests();
        let second = send(&body);
        assert_eq!(
            (second.status, &second.text, second.header("idempotency-replayed")),
            (first.status, &first.text, Some("true")),
            "{operation}"
        );
        assert_eq!(database.digests(), effects, "{operation}: a replay changed something");
        if first.text.is_empty() { Value::Null } else { first.json()["data"].clone() }
    };
    let of = |data: &Value| id(data).to_string();
    let admin = &acme.admin;
    let user = of(&once("users.create", admin, "POST", "/v1/users", json!({ "email": "u@acme.example", "name": "U" })));
    once("users.update", admin, "PATCH", &format!("/v1/users/{user}"), json!({ "name": "V" }));
    once("users.invite", admin, "POST", &format!("/v1/users/{user}/invite"), json!({}));
    once("users.status", admin, "PATCH", &format!("/v1/users/{user}/status"), json!({ "status": "suspenso" }));
    once("me.update", admin, "PATCH", "/v1/me", json!({ "name": "Ana Maria" }));
    let group = of(&once("groups.create", admin, "POST", "/v1/groups", json!({ "name": "G" })));
    once("groups.update", admin, "PATCH", &format!("/v1/groups/{group}"), json!({ "name": "H" }));
    once("groups.members.add", admin, "POST", &format!("/v1/groups/{group}/users/{second}"), json!({}));
    once("groups.members.remove", admin, "DELETE", &format!("/v1/groups/{group}/users/{second}"), Value::Null);
    let granted = once(
        "groups.permissions.grant",
        admin,
        "POST",
        &format!("/v1/groups/{group}/permissions"),
        json!({ "permissions": [{ "action": "users.list" }] }),
    );
    once("groups.permissions.revoke", admin, "DELETE", &format!("/v1/groups/{group}/permissions/{}", of(&granted[0])), Value::Null);
    once("groups.status", admin, "PATCH", &format!("/v1/groups/{group}/status"), json!({ "status": "suspenso" }));
    let key = of(&once("api_keys.create", admin, "POST", "/v1/api-keys", json!({ "name": "k", "profile": "read-only" })));
    once("api_keys.rotate", admin, "POST", &format!("/v1/api-keys/{key}/rotate"), json!({ "gracePeriodSeconds": 5 }));
    once("api_keys.status", admin, "PATCH", &format!("/v1/api-keys/{key}/status"), json!({ "status": "suspenso" }));
    once("branding.update", admin, "PUT", "/v1/branding", json!({ "primaryColor": "#102030" }));
    once("config.update", admin, "PUT", "/v1/config", json!({ "flags": { "beta": true } }));
    let webhook = once("webhooks.create", admin, "POST", "/v1/webhooks", json!({ "url": "https://hooks.acme.com/x", "events": ["*"] }));
    assert!(webhook["secret"].as_str().unwrap().starts_with("whsec_"));
    let webhook = of(&webhook);
    once("webhooks.update", admin, "PATCH", &format!("/v1/webhooks/{webhook}"), json!({ "description": "d" }));
    once("webhooks.rotate_secret", admin, "POST", &format!("/v1/webhooks/{webhook}/rotate-secret"), json!({}));
    let job =
        once("webhooks.test", admin, "POST", &format!("/v1/webhooks/{webhook}/test"), json!({}))["jobId"].as_str().unwrap().to_owned();
    let delivery = database.text(
        "insert into nebula.webhook_delivery (tenant_id, webhook_subscription_id, event_id, event_type, attempt) values ($1, $2, nebula.uuid_v7(), 'user.created', 1) returning id::text",
        &[&acme.id, &webhook.parse::<uuid::Uuid>().unwrap()],
    );
    once("webhooks.redeliver", admin, "POST", &format!("/v1/webhooks/deliveries/{delivery}/redeliver"), json!({}));
    database.execute(&format!("update nebula.outbox set status = 'dead' where id = '{job}'"));
    once("jobs.retry", admin, "POST", &format!("/v1/jobs/{job}/retry"), json!({}));
    once("webhooks.delete", admin, "DELETE", &format!("/v1/webhooks/{webhook}"), Value::Null);
    once("exports.create", admin, "POST", "/v1/exports", json!({ "format": "csv" }));
    let credential = json!({ "provider": "stripe", "name": "conta", "data": { "apiKey": "x" } });
    let credential = of(&once("credentials.create", admin, "POST", "/v1/integrations/credentials", credential));
    once("credentials.update", admin, "PATCH", &format!("/v1/integrations/credentials/{credential}"), json!({ "data": ["y"] }));
    once("credentials.delete", admin, "DELETE", &format!("/v1/integrations/credentials/{credential}"), Value::Null);
    once("users.sessions.revoke", admin, "DELETE", &format!("/v1/users/{user}/sessions"), Value::Null);
    once("users.anonymize", admin, "DELETE", &format!("/v1/users/{user}"), Value::Null);
    once("me.sessions.revoke", admin, "DELETE", "/v1/me/sessions", Value::Null);
    once("me.password", admin, "PUT", "/v1/me/password", json!({ "currentPassword": PASSWORD, "newPassword": "another good password" }));
    let tenant =
        once("tenants.create", &operator, "POST", "/v1/tenants", tenant_body("zeta", "pro"))["tenant"]["id"].as_str().unwrap().to_owned();
    once("tenants.update", &operator, "PATCH", &format!("/v1/tenants/{tenant}"), json!({ "name": "Z" }));
    once("tenants.status", &operator, "PATCH", &format!("/v1/tenants/{tenant}/status"), json!({ "status": "suspenso" }));
    once("tenants.packages.unassign", &operator, "DELETE", &format!("/v1/tenants/{tenant}/packages/pro"), Value::Null);
    once("tenants.packages.assign", &operator, "POST", &format!("/v1/tenants/{tenant}/packages/pro/assign"), json!({}));
    once(
        "tenants.overrides.set",
        &operator,
        "PUT",
        &format!("/v1/tenants/{tenant}/overrides/users.list"),
        json!({ "flags": { "enabled": false } }),
    );
    once("tenants.overrides.remove", &operator, "DELETE", &format!("/v1/tenants/{tenant}/overrides/users.list"), Value::Null);
    once("tenants.seed", &operator, "POST", &format!("/v1/tenants/{tenant}/seeds"), json!({}));
    once("catalog.tools.create", &operator, "POST", "/v1/catalog/tools", json!({ "key": "crm", "name": "CRM" }));
    once("catalog.tools.update", &operator, "PATCH", "/v1/catalog/tools/crm", json!({ "name": "C" }));
    once(
        "catalog.actions.create",
        &operator,
        "POST",
        "/v1/catalog/tools/crm/actions",
        json!({ "key": "crm.list", "name": "L", "kind": "read" }),
    );
    once("catalog.actions.update", &operator, "PATCH", "/v1/catalog/tools/crm/actions/crm.list", json!({ "kind": "write" }));
    once("catalog.packages.create", &operator, "POST", "/v1/catalog/packages", json!({ "key": "crm", "name": "CRM" }));
    once("catalog.packages.update", &operator, "PATCH", "/v1/catalog/packages/crm", json!({ "name": "C" }));
    once("catalog.packages.actions.add", &operator, "POST", "/v1/catalog/packages/crm/actions", json!({ "actionKey": "crm.list" }));
    once("catalog.packages.actions.remove", &operator, "DELETE", "/v1/catalog/packages/crm/actions/crm.list", Value::Null);
    assert!(left.is_empty(), "no case for {left:?}");
}
