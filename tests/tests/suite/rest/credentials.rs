//! Credentials of integrations: what goes in comes out nowhere.

use base64::{Engine, engine::general_purpose::STANDARD};
use nebula_tests::{Answer, Caller, Database, http::id, onboard};
use serde_json::{Value, json};
use uuid::Uuid;

const PATH: &str = "/v1/integrations/credentials";

fn stripe(name: &str) -> Value {
    json!({ "provider": "stripe", "name": name, "data": { "apiKey": "sk_canary_of_the_vault" } })
}

#[test]
fn a_credential_is_kept_listed_changed_and_removed_and_its_data_is_never_shown() {
    let database = Database::new();
    let edge = database.serve();
    let (acme, zeta) = (onboard(&edge, "acme"), onboard(&edge, "zeta"));
    let mut body = stripe("conta");
    body["expiresAt"] = json!("2099-01-01T00:00:00Z");
    let made = acme.admin.post(PATH, &body).data(201);
    let names = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&made), ["createdAt", "expiresAt", "id", "name", "provider", "updatedAt"]);
    assert_eq!(acme.admin.get(PATH).data(200), json!([made]));
    assert_eq!(acme.admin.get(&format!("{PATH}?q=STRIPE")).data(200), json!([made]));
    assert_eq!(acme.admin.get(&format!("{PATH}?q=paypal")).data(200), json!([]));
    let path = format!("{PATH}/{}", id(&made));
    let sealed = || database.text("select encode(data_encrypted, 'hex') from nebula.integration_credential where name like 'conta%'", &[]);
    let first = sealed();
    assert_eq!(acme.admin.patch(&path, &json!({ "name": "conta nova" })).data(200)["name"], "conta nova");
    assert_eq!(sealed(), first);
    assert_eq!(acme.admin.patch(&path, &json!({ "data": "only a text" })).data(200)["name"], "conta nova");
    assert_ne!(sealed(), first);
    // Any JSON but null, up to 64 KiB of it.
    for data in [json!([1, 2]), json!(7), json!(true), json!({}), json!("x".repeat(65_534))] {
        acme.admin.patch(&path, &json!({ "data": data })).data(200);
    }
    acme.admin.patch(&path, &json!({ "data": "x".repeat(65_535) })).invalid("data", "too_long");
    // A name belongs to one credential of a provider.
    acme.admin.post(PATH, &stripe("conta nova")).refused(409, "DUPLICATE_RESOURCE");
    acme.admin.post(PATH, &json!({ "provider": "paypal", "name": "conta nova", "data": 1 })).data(201);
    let other = id(&acme.admin.post(PATH, &stripe("outra")).data(201));
    acme.admin.patch(&format!("{PATH}/{other}"), &json!({ "name": "conta nova" })).refused(409, "DUPLICATE_RESOURCE");
    acme.admin.patch(&format!("{PATH}/{other}"), &json!({ "name": "outra" })).data(200);
    // Another tenant's is like one that never was.
    assert_eq!(zeta.admin.get(PATH).data(200), json!([]));
    zeta.admin.post(PATH, &stripe("conta nova")).data(201);
    for id in [id(&made), Uuid::now_v7()] {
        zeta.admin.patch(&format!("{PATH}/{id}"), &json!({ "data": 1 })).refused(404, "NOT_FOUND");
        zeta.admin.delete(&format!("{PATH}/{id}")).refused(404, "NOT_FOUND");
    }
    acme.admin.delete(&path).empty();
    acme.admin.delete(&path).refused(404, "NOT_FOUND");
    acme.admin.patch(&path, &json!({ "name": "x" })).refused(404, "NOT_FOUND");
    let audited = "select distinct action from nebula.audit_log where entity_type = 'integration_credential' and tenant_id = $1 order by 1";
    assert_eq!(database.texts(audited, &[&acme.id]), ["credentials.create", "credentials.delete", "credentials.update"]);
    let events =
        "select payload ->> 'data' from nebula.outbox where type = 'credential.changed' and payload #>> '{data,id}' = $1 order by position";
    let events = database.texts(events, &[&id(&made).to_string()]);
    let event = |text: &String| serde_json::from_str::<Value>(text).unwrap();
    assert_eq!(event(&events[0]), json!({ "id": id(&made), "provider": "stripe", "name": "conta", "change": "created" }));
    let changes = events.iter().map(|text| event(text)["change"].as_str().unwrap().to_owned()).collect::<Vec<_>>();
    assert_eq!((changes[1].as_str(), changes.last().unwrap().as_str(), changes.len()), ("updated", "deleted", 9));
    let (viewer, ..) = acme.member(&edge, "viewer", &["credentials.list"]);
    viewer.get(PATH).data(200);
    viewer.post(PATH, &stripe("x")).forbidden("credentials.create", "granted");
}

#[test]
fn what_is_wrong_is_refused_by_its_field_and_nothing_happens() {
    let database = Database::new();
    let edge = database.serve();
    let acme = onboard(&edge, "acme");
    let path = format!("{PATH}/{}", id(&acme.admin.post(PATH, &stripe("conta")).data(201)));
    let before = database.digests();
    let with = |member: &str, value: Value| {
        let mut body = stripe("outra");
        body[member] = value;
        body
    };
    for (body, field, rule) in [
        (json!({ "provider": "stripe", "name": "x" }), "data", "required"),
        (with("data", Value::Null), "data", "type"),
        (with("data", json!("x".repeat(70_000))), "data", "too_long"),
        (with("provider", json!("Stripe!")), "provider", "key"),
        (with("name", json!(" ")), "name", "empty"),
        (with("expiresAt", json!("2001-01-01T00:00:00Z")), "expiresAt", "future"),
        (with("expiresAt", json!("tomorrow")), "expiresAt", "too_short"),
        (with("id", json!(Uuid::now_v7())), "id", "unknown"),
        (with("keyVersion", json!(7)), "keyVersion", "unknown"),
    ] {
        acme.admin.post(PATH, &body).invalid(field, rule);
    }
    for (body, field, rule) in [
        (json!({}), "", "nothing_to_change"),
        (json!({ "data": null }), "data", "type"),
        (json!({ "expiresAt": null }), "expiresAt", "type"),
        (json!({ "provider": "paypal" }), "provider", "unknown"),
    ] {
        acme.admin.patch(&path, &body).invalid(field, rule);
    }
    assert_eq!(database.digests(), before);
}

#[test]
fn a_retry_gets_the_first_answer_and_other_data_under_its_key_is_another_request() {
    let database = Database::new();
    let edge = database.serve();
    let acme = onboard(&edge, "acme");
    let send =
        |method: &str, path: &str, key: &str, body: &Value| -> Answer { acme.admin.request(method, path).key(key).json(body).send() };
    let first = send("POST", PATH, "k", &stripe("conta"));
    let made = id(&first.data(201));
    let again = send("POST", PATH, "k", &stripe("conta"));
    assert_eq!((again.status, &again.text, again.header("idempotency-replayed")), (201, &first.text, Some("true")));
    let mut other = stripe("conta");
    other["data"] = json!({ "apiKey": "another" });
    send("POST", PATH, "k", &other).refused(422, "IDEMPOTENCY_KEY_REUSED");
    let path = format!("{PATH}/{made}");
    send("PATCH", &path, "p", &json!({ "data": [1] })).data(200);
    assert_eq!(send("PATCH", &path, "p", &json!({ "data": [1] })).header("idempotency-replayed"), Some("true"));
    for body in [json!({ "data": [2] }), json!({ "name": "x" }), json!({ "data": [1], "name": "x" })] {
        send("PATCH", &path, "p", &body).refused(422, "IDEMPOTENCY_KEY_REUSED");
    }
    assert_eq!(database.number("select count(*) from nebula.integration_credential", &[]), 1);
}

#[test]
fn the_data_stands_in_no_dump_no_log_and_no_answer() {
    let database = Database::new();
    database.execute(&format!("alter database {} set log_statement = 'all'", database.name));
    let edge = database.serve_with(&[("NEBULA_LOG_LEVEL", "debug")]);
    let acme = onboard(&edge, "acme");
    let data = "sk_canary_of_the_vault";
    let made = acme.admin.request("POST", PATH).key("k").json(&stripe("conta")).send();
    let path = format!("{PATH}/{}", id(&made.data(201)));
    // Also where it is refused.
    let answers = [
        made,
        acme.admin.patch(&path, &json!({ "data": { "apiKey": data } })),
        acme.admin.post(PATH, &json!({ "provider": "?", "name": data, "data": { "apiKey": data } })),
        acme.admin.get(PATH),
        acme.admin.get("/v1/audit-logs?limit=200"),
        acme.admin.get("/v1/jobs"),
    ];
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let (dump, server, log) = (database.dump(), database.installation.cluster.log(), edge.log());
    assert!(dump.contains("conta") && server.contains("nebula.handle"));
    for spelling in [data.to_owned(), hex(data.as_bytes()), STANDARD.encode(data)] {
        assert!(!dump.contains(&spelling) && !server.contains(&spelling) && !log.contains(&spelling), "{spelling}");
        assert!(answers.iter().all(|answer| !answer.text.contains(&spelling)), "{answers:?}");
    }
    let sealed = "select octet_length(data_encrypted)::bigint from nebula.integration_credential";
    assert_eq!(database.number(sealed, &[]), 12 + i64::try_from(json!({ "apiKey": data }).to_string().len()).unwrap() + 16);
}
