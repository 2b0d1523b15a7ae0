//! One effect per key.

use nebula_tests::{Answer, Caller, Database, User, onboard, story::tenant_body};
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
