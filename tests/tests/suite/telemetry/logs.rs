//! The log: these fields and no others, whoever logs and however loudly.

use nebula_tests::{Behaviour, Caller, Database, Receiver, Reports, Spans, onboard, story::PASSWORD};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Contract, section 10.
const FIELDS: [&str; 13] = [
    "timestamp",
    "level",
    "message",
    "requestId",
    "traceId",
    "tenantId",
    "actorType",
    "actorId",
    "method",
    "route",
    "statusCode",
    "latencyMs",
    "error.code",
];
const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

fn lines(log: &str) -> Vec<Value> {
    log.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

#[track_caller]
fn has_only_these_fields(log: &str) -> BTreeSet<String> {
    let lines = lines(log);
    assert!(!lines.is_empty());
    let names = lines.iter().flat_map(|line| line.as_object().unwrap().keys().cloned()).collect::<BTreeSet<_>>();
    let others = names.iter().filter(|name| !FIELDS.contains(&name.as_str())).collect::<Vec<_>>();
    assert!(others.is_empty(), "{others:?}");
    names
}

#[test]
fn whoever_logs_however_loudly_a_line_has_the_contracts_fields_and_holds_no_canary() {
    let database = Database::new();
    database.allow_loopback_webhooks();
    let (spans, reports, receiver) = (Spans::receive(), Reports::receive(), Receiver::start());
    let loud = [("NEBULA_LOG_LEVEL", "trace"), ("NEBULA_ALLOW_LOOPBACK_WEBHOOKS", "true")];
    let settings = [&loud[..], &spans.settings(), &reports.settings()].concat();
    // `trace` alone is ours alone; this is everybody's.
    let settings = settings
        .into_iter()
        .map(|(name, value)| (name, if name == "NEBULA_LOG_LEVEL" { "trace,nebula_edge=trace" } else { value }))
        .collect::<Vec<_>>();
    let edge = database.serve_with(&settings);
    let acme = onboard(&edge, "acme");
    let (key, _) = acme.key(&edge, &json!({ "name": "k", "profile": "admin" }));
    let person = json!({ "email": "canarinho.person@acme.example", "name": "Canarinho Person" });
    key.post("/v1/users", &person).data(201);
    key.post("/v1/users", &person).refused(409, "DUPLICATE_RESOURCE");
    key.request("GET", "/v1/users?q=canarinho.person")
        .header("user-agent", "canarinho.agent")
        .header("traceparent", PARENT)
        .send()
        .data(200);
    key.get("/v1/canarinho.path").refused(404, "NOT_FOUND");
    edge.anonymous()
        .post("/v1/auth/login", &json!({ "tenant": "acme", "email": "canarinho.nobody@acme.example", "password": "canary password" }))
        .refused(401, "INVALID_CREDENTIALS");
    receiver.usually(Behaviour::status(500));
    acme.admin.post("/v1/webhooks", &json!({ "url": receiver.url("/canarinho.hook"), "events": ["order.paid"] })).data(201);
    database.execute(&format!("select nebula.emit('order.paid', '{{\"who\": \"canarinho.payload\"}}', null, '{}')", acme.id));
    let worker = database.work_with(&settings);
    nebula_tests::eventually("the worker has failed to deliver", || {
        !receiver.received().is_empty() && worker.process.log().contains("failed: HTTP 500")
    });

    let (edge_log, worker_log) = (edge.log(), worker.process.log());
    let names = has_only_these_fields(&edge_log);
    assert_eq!(names.len(), FIELDS.len(), "every field was seen: {names:?}");
    has_only_these_fields(&worker_log);
    assert!(edge_log.contains("\"TRACE\"") || edge_log.contains("\"DEBUG\""), "libraries log, too");
    let traced = lines(&edge_log).into_iter().find(|line| line["traceId"] == PARENT[3..35]).expect("the trace's line");
    assert_eq!((&traced["route"], &traced["statusCode"]), (&json!("/v1/users"), &json!(200)));
    for (what, canary) in [
        ("a person", "anarinho.".to_owned()),
        ("a name", "Canarinho ".to_owned()),
        ("the password", PASSWORD.to_owned()),
        ("a wrong password", "canary password".to_owned()),
        ("an access token", acme.admin.token.clone()),
        ("an API key", key.secret[68..132].to_owned()),
        ("a refresh token", acme.refresh_token[68..132].to_owned()),
    ] {
        for (whose, log) in [("edge", &edge_log), ("worker", &worker_log)] {
            let line = log.lines().find(|line| line.contains(&canary));
            assert!(line.is_none(), "{what} stands in the {whose}'s log: {line:?}");
        }
    }
}

#[test]
fn a_request_is_one_line_and_has_no_trace_where_nothing_traces() {
    let database = Database::new();
    let edge = database.serve();
    let acme = onboard(&edge, "acme");
    let answer = acme.admin.request("GET", "/v1/me").header("x-request-id", "only-once-1").header("traceparent", PARENT).send();
    assert!(answer.status == 200 && answer.header("traceparent").is_none());
    let log = edge.log();
    let of_request = lines(&log).into_iter().filter(|line| line["requestId"] == "only-once-1").collect::<Vec<_>>();
    assert_eq!(of_request.len(), 1);
    let names = of_request[0].as_object().unwrap().keys().map(String::as_str).collect::<Vec<_>>();
    let mut expected =
        ["actorId", "actorType", "latencyMs", "level", "message", "method", "requestId", "route", "statusCode", "tenantId", "timestamp"];
    expected.sort_unstable();
    assert_eq!(names, expected);
    assert_eq!(of_request[0]["tenantId"], acme.id.to_string());
}
