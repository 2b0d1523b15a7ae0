//! Traces over OTLP, to a receiver that decodes them.

use nebula_tests::{Behaviour, Caller, Database, Receiver, Spans, eventually, handle::request, onboard, onboard_by_sql};
use serde_json::json;
use std::collections::BTreeSet;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const UNSAMPLED: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";

const SERVER: i32 = 2;
const CLIENT: i32 = 3;

#[test]
fn a_request_is_a_span_with_its_statement_inside_and_a_part_of_the_callers_trace() {
    let (database, spans) = (Database::new(), Spans::receive());
    let edge = database.serve_with(&spans.settings());
    let acme = onboard(&edge, "acme");
    let answer = acme.admin.request("GET", "/v1/users?limit=2").header("traceparent", PARENT).header("x-request-id", "traced-1").send();
    assert_eq!(answer.status, 200);
    let server = spans.wait_for("the request's span", |span| span.attributes.get("nebula.request_id").is_some_and(|id| id == "traced-1"));
    assert_eq!((server.service.as_str(), server.name.as_str(), server.kind), ("nebula-edge", "GET /v1/users", SERVER));
    assert_eq!((server.trace_id.as_str(), server.parent_id.as_str()), (TRACE, "b7ad6b7169203331"));
    let expected = [
        ("http.request.method", "GET"),
        ("http.response.status_code", "200"),
        ("http.route", "/v1/users"),
        ("nebula.request_id", "traced-1"),
        ("url.scheme", "http"),
    ];
    assert_eq!(server.attributes, expected.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
    assert!(!server.is_error && server.duration_ns > 0);
    assert_eq!(answer.header("traceparent"), Some(format!("00-{TRACE}-{}-01", server.span_id).as_str()));
    let statement = spans.wait_for("the statement's span", |span| span.parent_id == server.span_id);
    assert_eq!((statement.name.as_str(), statement.kind), ("SELECT nebula.handle", CLIENT));
    assert_eq!(statement.attributes["db.system.name"], "postgresql");
    assert!(statement.trace_id == TRACE && statement.duration_ns <= server.duration_ns);
}

#[test]
fn the_trace_stands_in_the_audit_log_and_only_where_there_is_one() {
    let (database, spans) = (Database::new(), Spans::receive());
    let traced = database.serve_with(&spans.settings());
    let acme = onboard(&traced, "acme");
    let create = |caller: &nebula_tests::User, name: &str| {
        let body = json!({ "email": format!("{name}@acme.example"), "name": name });
        caller
            .request("POST", "/v1/users")
            .header("traceparent", PARENT)
            .header("x-request-id", format!("creates-{name}"))
            .json(&body)
            .send()
            .data(201);
    };
    create(&acme.admin, "bia");
    let plain = database.serve();
    create(&plain.user(&acme.admin.token), "caio");
    let trace = "select coalesce(metadata ->> 'traceId', 'none') from nebula.audit_log where metadata ->> 'requestId' = $1 and entity_type = 'user'";
    assert_eq!(database.text(trace, &[&"creates-bia"]), TRACE);
    assert_eq!(database.text(trace, &[&"creates-caio"]), "none");
}

#[test]
fn a_made_up_trace_from_the_edges_login_is_left_out() {
    let database = Database::new();
    let acme = onboard_by_sql(&database, "acme");
    let mut handle = database.handle();
    for (number, trace) in
        ["", "x", &TRACE.to_uppercase(), &"0".repeat(32), &format!("{TRACE}0"), "'; drop table x; --"].into_iter().enumerate()
    {
        let mut message = request("users.create", Some(&acme.admin), &json!({ "email": format!("p{number}@acme.example"), "name": "P" }));
        message["traceId"] = json!(trace);
        assert_eq!(handle.send(acme.id, &message).status, 201, "{trace}");
    }
    assert_eq!(database.number("select count(*) from nebula.audit_log where metadata ? 'traceId'", &[]), 0);
}

#[test]
fn a_malformed_parent_is_ignored_and_an_unsampled_one_obeyed() {
    let (database, spans) = (Database::new(), Spans::receive());
    let edge = database.serve_with(&spans.settings());
    for bad in
        ["junk", "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01", "00-00000000000000000000000000000000-b7ad6b7169203331-01"]
    {
        let answer = edge.anonymous().request("GET", "/health").header("traceparent", bad).header("x-request-id", "malformed-1").send();
        assert_eq!(answer.status, 200);
        let own = answer.header("traceparent").unwrap().to_owned();
        assert!(own.len() == 55 && own.starts_with("00-") && own.ends_with("-01") && !own.contains(TRACE), "{own}");
    }
    let unsampled =
        edge.anonymous().request("GET", "/health").header("traceparent", UNSAMPLED).header("x-request-id", "unsampled-1").send();
    let own = unsampled.header("traceparent").unwrap();
    assert!(own.starts_with(&format!("00-{TRACE}-")) && own.ends_with("-00"), "{own}");
    assert!(edge.log().contains(TRACE), "the log has it nevertheless");
    let _ =
        spans.wait_for("the malformed one's span", |span| span.attributes.get("nebula.request_id").is_some_and(|id| id == "malformed-1"));
    assert!(spans.seen().iter().all(|span| span.trace_id != TRACE));
}

#[test]
fn the_setting_decides_where_no_parent_does() {
    let (database, spans) = (Database::new(), Spans::receive());
    let settings = [&spans.settings()[..], &[("NEBULA_TRACES_SAMPLE_RATIO", "0")]].concat();
    let edge = database.serve_with(&settings);
    assert!(edge.anonymous().get("/health").header("traceparent").unwrap().ends_with("-00"));
    edge.anonymous().request("GET", "/health").header("traceparent", PARENT).send();
    let _ = spans.wait_for("the parent's span", |span| span.trace_id == TRACE);
    assert!(spans.seen().iter().all(|span| span.trace_id == TRACE));
}

#[test]
fn failures_say_their_code_and_no_text_of_postgres() {
    let (database, spans) = (Database::new(), Spans::receive());
    let edge = database.serve_with(&spans.settings());
    let acme = onboard(&edge, "acme");
    database.execute(
        "create function public.fail() returns trigger language plpgsql as $$begin raise exception 'canarinho.text'; end$$; \
         create trigger fail before insert on nebula.outbox for each row execute function public.fail()",
    );
    let body = json!({ "email": "canarinho.failed@acme.example", "name": "Canarinho Failed" });
    acme.admin.request("POST", "/v1/users").header("user-agent", "canarinho.agent").json(&body).send().refused(500, "DATABASE_ERROR");
    let server = spans.wait_for("the failed request", |span| span.is_error && span.name == "POST /v1/users");
    assert_eq!(
        (server.attributes["error.type"].as_str(), server.attributes["http.response.status_code"].as_str()),
        ("DATABASE_ERROR", "500")
    );
    let statement = spans.wait_for("the failed statement", |span| span.is_error && span.parent_id == server.span_id);
    assert_eq!((statement.attributes["error.type"].as_str(), statement.attributes["db.response.status_code"].as_str()), ("P0001", "P0001"));
    assert_eq!((server.kind, statement.kind), (SERVER, CLIENT));
    acme.admin.get("/v1/users?q=canarinho.query").data(200);
    acme.admin.get(&format!("/v1/users/{}", acme.admin_id)).data(200);
    let last = acme.admin.request("GET", "/v1/me").header("x-request-id", "the-last-1").send();
    assert_eq!(last.status, 200);
    let _ = spans.wait_for("the last request", |span| span.attributes.get("nebula.request_id").is_some_and(|id| id == "the-last-1"));

    // Nothing of anybody: neither in what is decoded, nor anywhere in the bytes.
    let names = spans.seen().into_iter().flat_map(|span| span.attributes.into_keys()).collect::<BTreeSet<_>>();
    let allowed = [
        "db.operation.name",
        "db.response.status_code",
        "db.stored_procedure.name",
        "db.system.name",
        "error.type",
        "http.request.method",
        "http.response.status_code",
        "http.route",
        "nebula.request_id",
        "url.scheme",
    ];
    assert_eq!(names, allowed.map(str::to_owned).into());
    let bytes = spans.receiver.received().into_iter().flat_map(|received| received.bytes).collect::<Vec<_>>();
    let holds = |text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
    assert!(holds("/v1/users/{id}"));
    for canary in ["anarinho", &acme.id.to_string(), &acme.admin_id.to_string(), &acme.admin_email, "127.0.0.1", &acme.admin.token] {
        assert!(!holds(canary), "{canary}");
    }
}

#[test]
fn requests_go_on_where_nobody_receives() {
    let database = Database::new();
    let edge = database.serve_with(&[("NEBULA_TRACES_ENDPOINT", "http://127.0.0.1:9"), ("OTEL_BSP_SCHEDULE_DELAY", "20")]);
    let acme = onboard(&edge, "acme");
    eventually("the edge says so", || edge.log().contains("the receiver of traces takes nothing"));
    acme.admin.get("/v1/me").data(200);
    assert_eq!(edge.log().matches("the receiver of traces takes nothing").count(), 1, "once");
}

#[test]
fn an_endpoint_that_is_none_ends_the_program_with_the_reason() {
    let database = Database::new();
    for (endpoint, reason) in [
        ("collector", "not a URL"),
        ("ftp://127.0.0.1:4318", "not an http or https URL"),
        ("http://key:secret@127.0.0.1:4318", "without credentials"),
    ] {
        let url = database.url("nebula_edge");
        let settings = [("NEBULA_DATABASE_URL", url.as_str()), ("NEBULA_LISTEN", "127.0.0.1:0"), ("NEBULA_TRACES_ENDPOINT", endpoint)];
        let mut process = nebula_tests::Process::start(database.installation, &["serve"], &settings);
        assert!(!process.wait().success());
        assert!(process.log().contains(reason) && !process.log().contains("secret"), "{}", process.log());
    }
}

#[test]
fn a_webhooks_request_carries_the_trace_of_its_span() {
    let (database, spans, receiver) = (Database::new(), Spans::receive(), Receiver::start());
    database.allow_loopback_webhooks();
    let edge = database.serve();
    let acme = onboard(&edge, "acme");
    acme.admin.post("/v1/webhooks", &json!({ "url": receiver.url("/canarinho"), "events": ["order.paid"] })).data(201);
    receiver.next([Behaviour::status(503)]);
    let emit = || database.execute(&format!("select nebula.emit('order.paid', '{{}}', null, '{}')", acme.id));
    emit();
    let worker = database.work_with(&[&spans.settings()[..], &[("NEBULA_ALLOW_LOOPBACK_WEBHOOKS", "true")]].concat());
    eventually("it is sent", || receiver.received().len() == 1);
    let told = receiver.received()[0].headers["traceparent"].clone();
    let span = spans.wait_for("its span", |span| told == format!("00-{}-{}-01", span.trace_id, span.span_id));
    assert_eq!((span.service.as_str(), span.name.as_str(), span.kind), ("nebula-worker", "webhook.delivery", CLIENT));
    assert!(span.is_error && span.attributes["http.response.status_code"] == "503" && span.attributes["error.type"] == "5xx");
    assert!(span.attributes.values().all(|value| !value.contains("canarinho") && !value.contains("127.0.0.1")));
    drop(worker);
    let _untraced = database.work_with(&[("NEBULA_ALLOW_LOOPBACK_WEBHOOKS", "true")]);
    emit();
    eventually("the next is sent", || receiver.received().len() == 2);
    assert!(!receiver.received()[1].headers.contains_key("traceparent"));
}
