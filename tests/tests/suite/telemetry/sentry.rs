//! Reports of failures, to a sink of envelopes.

use nebula_tests::{Behaviour, Caller, Database, Reports, Spans, eventually, onboard};
use serde_json::{Value, json};

fn names(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

/// The reports about `POST /v1/users`. Others may come first: while it starts, the edge isn't ready, and says so with 503.
fn of_users(reports: &Reports) -> Vec<Value> {
    reports.events().into_iter().filter(|event| event["transaction"] == "POST /v1/users").collect()
}

fn break_the_outbox(database: &Database) {
    database.execute(
        "create function public.fail() returns trigger language plpgsql as $$begin raise exception 'canarinho.text'; end$$; \
         create trigger fail before insert on nebula.outbox for each row execute function public.fail()",
    );
}

#[test]
fn a_failure_is_reported_scrubbed_and_a_refusal_is_not() {
    let (database, reports, spans) = (Database::new(), Reports::receive(), Spans::receive());
    let edge = database.serve_with(&[reports.settings(), spans.settings()].concat());
    let acme = onboard(&edge, "acme");
    acme.admin.get("/v1/users/not-an-id?q=canarinho").refused(400, "VALIDATION_ERROR");
    acme.admin.get("/v1/nowhere").refused(404, "NOT_FOUND");
    break_the_outbox(&database);
    let body = json!({ "email": "canarinho.failed@acme.example", "name": "Canarinho Failed" });
    let failed = acme
        .admin
        .request("POST", "/v1/users")
        .header("user-agent", "canarinho.agent")
        .header("cookie", "canarinho=cookie")
        .header("x-request-id", "failing-1")
        .json(&body)
        .send();
    failed.refused(500, "DATABASE_ERROR");
    eventually("it is reported", || !of_users(&reports).is_empty());
    let events = reports.events().into_iter().filter(|event| event["tags"]["route"] != "/health/ready").collect::<Vec<_>>();
    assert_eq!(events.len(), 1, "refusals are nobody's failure");
    let event = &events[0];
    assert_eq!(
        names(event),
        [
            "contexts",
            "environment",
            "event_id",
            "fingerprint",
            "logger",
            "message",
            "platform",
            "release",
            "sdk",
            "tags",
            "timestamp",
            "transaction"
        ]
    );
    assert_eq!(names(&event["tags"]), ["error.code", "method", "requestId", "route", "statusCode", "traceId"]);
    assert_eq!((&event["tags"]["requestId"], &event["tags"]["route"]), (&json!("failing-1"), &json!("/v1/users")));
    assert_eq!(event["message"], "DATABASE_ERROR: database: SQLSTATE P0001");
    assert_eq!(
        (&event["environment"], &event["logger"], &event["transaction"]),
        (&json!("test"), &json!("nebula-edge"), &json!("POST /v1/users"))
    );
    assert_eq!(names(&event["contexts"]), ["trace"]);
    assert_eq!(event["contexts"]["trace"]["trace_id"], failed.header("traceparent").unwrap()[3..35]);
    let everything = format!("{:?}", reports.receiver.received());
    for canary in ["anarinho", &acme.id.to_string(), &acme.admin_id.to_string(), &acme.admin_email, &acme.admin.token] {
        assert!(!everything.contains(canary), "{canary} in {everything}");
    }
}

#[test]
fn a_receiver_that_has_enough_is_left_alone_and_requests_go_on() {
    let (database, reports) = (Database::new(), Reports::receive());
    // The first report, whatever it is about.
    reports.receiver.usually(Behaviour::Answer(429, "retry-after: 600\r\n".to_owned()));
    let edge = database.serve_with(&reports.settings());
    let acme = onboard(&edge, "acme");
    break_the_outbox(&database);
    for number in 0..5 {
        let body = json!({ "email": format!("p{number}@acme.example"), "name": "P" });
        acme.admin.post("/v1/users", &body).refused(500, "DATABASE_ERROR");
        eventually("the first is reported", || !reports.receiver.received().is_empty());
    }
    eventually("the edge says so", || edge.log().contains("Sentry takes nothing: status 429"));
    acme.admin.get("/v1/me").data(200);
    assert_eq!(reports.receiver.received().len(), 1);
}

#[test]
fn what_was_reported_last_is_sent_before_the_process_ends() {
    let (database, reports) = (Database::new(), Reports::receive());
    let mut edge = database.serve_with(&reports.settings());
    let acme = onboard(&edge, "acme");
    break_the_outbox(&database);
    acme.admin.post("/v1/users", &json!({ "email": "p@acme.example", "name": "P" })).refused(500, "DATABASE_ERROR");
    edge.terminate();
    assert!(edge.wait().success());
    assert_eq!(of_users(&reports).len(), 1);
}

#[test]
fn a_dsn_that_is_none_ends_the_program_and_is_not_repeated() {
    let database = Database::new();
    let url = database.url("nebula_edge");
    let settings = [("NEBULA_DATABASE_URL", url.as_str()), ("NEBULA_LISTEN", "127.0.0.1:0"), ("NEBULA_SENTRY_DSN", "https://hunter22@/x")];
    let mut process = nebula_tests::Process::start(database.installation, &["serve"], &settings);
    assert!(!process.wait().success());
    assert!(process.log().contains("sentry_dsn is no DSN") && !process.log().contains("hunter22"), "{}", process.log());
}
