//! What edge and worker count, as Prometheus reads it.

use nebula_tests::{
    Behaviour, Caller, Database, Edge, Receiver, Scrape, Spans, Worker, eventually, http::agent, onboard, scrape, story::PASSWORD,
};
use serde_json::json;
use std::thread;
use uuid::Uuid;

pub const ON: (&str, &str) = ("NEBULA_METRICS_LISTEN", "127.0.0.1:0");
pub const WORKER_ON: [(&str, &str); 2] = [("NEBULA_WORKER_METRICS_LISTEN", "127.0.0.1:0"), ("NEBULA_ALLOW_LOOPBACK_WEBHOOKS", "true")];

/// An edge that shows metrics.
pub fn edge(database: &Database) -> Edge {
    database.serve_with(&[ON])
}

/// A worker that shows metrics.
pub fn worker(database: &Database) -> Worker {
    database.work_with(&WORKER_ON)
}

#[test]
fn nothing_is_shown_where_no_setting_asks_for_it() {
    let database = Database::new();
    let (edge, worker) = (database.serve(), database.work_with(&[]));
    edge.anonymous().get("/metrics").refused(404, "NOT_FOUND");
    assert!(!edge.log().contains("metrics") && !worker.process.log().contains("metrics"));
}

#[test]
fn requests_are_counted_by_route_and_status_and_errors_by_code() {
    let database = Database::new();
    let edge = edge(&database);
    let acme = onboard(&edge, "acme");
    let before = Scrape::of(&edge);
    for _ in 0..3 {
        acme.admin.get(&format!("/v1/users/{}", acme.admin_id)).data(200);
    }
    acme.admin.get("/v1/users/0199c2a7-0000-7000-8000-000000000000").refused(404, "NOT_FOUND");
    for number in 0..5 {
        edge.anonymous().request("GET", &format!("/v1/canarinho/{number}")).send().refused(404, "NOT_FOUND");
        let answer = edge.raw(format!("BREW{number} /v1/users HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").as_bytes());
        assert!(answer.starts_with("HTTP/1.1 405 "), "{answer}");
    }
    let after = Scrape::of(&edge);
    let more = |name: &str, labels: &[&str]| after.sum(name, labels) - before.sum(name, labels);
    let route = "route=\"/v1/users/{id}\"";
    assert!(more("nebula_http_requests_total", &[route, "method=\"GET\"", "status=\"200\""]) == 3.0);
    assert!(more("nebula_http_requests_total", &[route, "status=\"404\""]) == 1.0);
    assert!(more("nebula_http_request_duration_seconds_count", &[route, "status_class=\"2xx\""]) == 3.0);
    assert!(more("nebula_http_request_duration_seconds_bucket", &[route, "status_class=\"2xx\"", "le=\"+Inf\""]) == 3.0);
    assert!(more("nebula_http_errors_total", &["code=\"NOT_FOUND\""]) == 6.0);
    // What clients make up are no labels.
    assert!(more("nebula_http_requests_total", &["route=\"none\"", "method=\"GET\"", "status=\"404\""]) == 5.0);
    assert!(more("nebula_http_requests_total", &["method=\"other\"", "status=\"405\""]) == 5.0);
    assert!(!after.text.contains("canarinho") && !after.text.contains("BREW"));
}

#[test]
fn no_label_holds_a_tenant_a_person_or_an_address() {
    let database = Database::new();
    database.allow_loopback_webhooks();
    let receiver = Receiver::start();
    let edge = edge(&database);
    let acme = onboard(&edge, "canarinho");
    acme.person("canarinho-person");
    acme.admin.post("/v1/webhooks", &json!({ "url": receiver.url("/canarinho"), "events": ["order.paid"] })).data(201);
    database.execute(&format!(
        "select nebula.emit('order.canarinho', '{{}}', null, '{0}'), nebula.emit('order.paid', '{{}}', null, '{0}')",
        acme.id
    ));
    let worker = worker(&database);
    eventually("it is sent", || !receiver.received().is_empty());
    for scrape in [Scrape::of(&edge), Scrape::of(&worker)] {
        for canary in ["canarinho", &acme.id.to_string(), &acme.admin_id.to_string(), "127.0.0.1"] {
            let line = scrape.text.lines().find(|line| line.contains(canary));
            assert!(line.is_none(), "{line:?}");
        }
        assert!(!scrape.text.to_lowercase().contains("tenant_id") && !scrape.text.contains("tenantId"));
        assert!(scrape.samples().len() < 2_000, "{}", scrape.samples().len());
    }
}

#[test]
fn both_formats_say_the_same_and_openmetrics_names_a_trace() {
    let (database, spans) = (Database::new(), Spans::receive());
    let edge = database.serve_with(&[&spans.settings()[..], &[ON]].concat());
    let acme = onboard(&edge, "acme");
    let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    acme.admin.request("GET", "/v1/me").header("traceparent", parent).send().data(200);
    let open = Scrape::accepting(&edge, "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.3");
    let classic = Scrape::of(&edge);
    assert_eq!(open.content_type, "application/openmetrics-text; version=1.0.0; charset=utf-8");
    assert_eq!(classic.content_type, "text/plain; version=0.0.4; charset=utf-8");
    assert!(open.text.ends_with("# EOF\n") && !classic.text.contains("# EOF"));
    let exemplar = open.text.lines().find(|line| line.contains("# {trace_id=\"0af7651916cd43dd8448eb211c80319c\"}"));
    assert!(
        exemplar.is_some_and(|line| line.starts_with("nebula_http_request_duration_seconds_bucket{") && line.contains("route=\"/v1/me\""))
    );
    assert!(!classic.text.contains("trace_id"));
    assert!(classic.text.contains("# TYPE nebula_http_requests_total counter\nnebula_http_requests_total{"));
    assert!(classic.text.contains("# TYPE nebula_build_info gauge\nnebula_build_info{program=\"nebula-edge\""));
    let count = |scrape: &Scrape| scrape.text.lines().filter(|line| !line.starts_with('#')).count();
    assert_eq!(count(&open), count(&classic));
}

#[test]
fn the_listener_has_one_page_and_none_of_the_interfaces() {
    let database = Database::new();
    let edge = edge(&database);
    let url = scrape::url(&edge);
    let base = url.trim_end_matches("/metrics");
    for (method, path, status) in
        [("GET", "/", 404), ("GET", "/v1/users", 404), ("GET", "/health", 404), ("POST", "/metrics", 405), ("HEAD", "/metrics", 200)]
    {
        let request = nebula_tests::Anonymous { base: base.to_owned(), agent: agent() }.request(method, path);
        assert_eq!(request.try_send().unwrap().status, status, "{method} {path}");
    }
}

#[test]
fn what_is_shed_slowed_down_or_known_already_is_counted() {
    let database = Database::new();
    let edge = database.serve_with(&[ON, ("NEBULA_MAX_IN_FLIGHT", "1")]);
    let acme = onboard(&edge, "acme");
    let before = Scrape::of(&edge);
    // One request has the only place for as long as somebody holds the table.
    let mut holder = database.superuser();
    holder.batch_execute("begin; lock table nebula.\"group\" in access exclusive mode").unwrap();
    let admin = acme.admin.clone();
    let waiting = thread::spawn(move || admin.post("/v1/groups", &json!({ "name": "Suporte" })));
    eventually("it is under way", || Scrape::of(&edge).sum("nebula_http_requests_in_flight", &[]) == 1.0);
    acme.admin.get("/v1/me").refused(503, "SERVICE_UNAVAILABLE");
    assert!(Scrape::of(&edge).sum("nebula_http_requests_shed_total", &[]) == before.sum("nebula_http_requests_shed_total", &[]) + 1.0);
    holder.batch_execute("commit").unwrap();
    waiting.join().unwrap().data(201);
    eventually("it is gone", || Scrape::of(&edge).sum("nebula_http_requests_in_flight", &[]) == 0.0);

    let looked = |scrape: &Scrape, result: &str| scrape.sum("nebula_token_cache_lookups_total", &[result]);
    let before = Scrape::of(&edge);
    acme.admin.get("/v1/me").data(200);
    acme.admin.get("/v1/me").data(200);
    let after = Scrape::of(&edge);
    assert!(looked(&after, "hit") - looked(&before, "hit") >= 1.0 && after.sum("nebula_token_cache_entries", &[]) >= 1.0);

    let guess = || {
        edge.anonymous()
            .post("/v1/auth/login", &json!({ "tenant": "acme", "email": acme.admin_email, "password": format!("not {PASSWORD}") }))
    };
    let mut guesses = 0;
    while guess().status != 429 {
        guesses += 1;
        assert!(guesses < 30, "never slowed down");
    }
    assert!(Scrape::of(&edge).sum("nebula_login_slowdowns_total", &[]) == 1.0);
}

#[test]
fn the_pool_and_its_statements_are_shown_and_a_database_that_is_away_is_counted() {
    let database = Database::new();
    let edge = database.serve_with(&[ON, ("NEBULA_POOL_SIZE", "3")]);
    let acme = onboard(&edge, "acme");
    acme.admin.get("/v1/me").data(200);
    let scrape = Scrape::of(&edge);
    assert!(scrape.sum("nebula_pool_connections_max", &[]) == 3.0 && scrape.sum("nebula_pool_connections", &[]) >= 1.0);
    let calls = |function: &str| scrape.sum("nebula_database_call_seconds_count", &[&format!("function=\"{function}\"")]);
    assert!(calls("handle") >= 4.0 && calls("login_challenge") == 1.0 && calls("edge_state") >= 1.0);
    assert!(scrape.sum("nebula_pool_wait_seconds_count", &[]) >= calls("handle"));
    assert!(scrape.sum("nebula_edge_is_serving", &[]) == 1.0 && scrape.sum("process_resident_memory_bytes", &[]) > 1e6);

    let away = Edge::start_without_database(database.installation, "postgresql://nebula_edge@127.0.0.1:9/nebula", &[ON]);
    away.anonymous().get("/health/ready").refused(503, "SERVICE_UNAVAILABLE");
    let scrape = Scrape::of(&away);
    assert!(scrape.sum("nebula_database_failures_total", &["kind=\"unavailable\""]) >= 1.0);
    assert!(scrape.sum("nebula_edge_is_serving", &[]) == 0.0);
    assert!(scrape.sum("nebula_http_errors_total", &["code=\"SERVICE_UNAVAILABLE\""]) >= 1.0);
}

/// A tenant that is told of orders, and who is told.
fn subscribed() -> (Database, Receiver, Uuid) {
    let database = Database::new();
    database.allow_loopback_webhooks();
    let receiver = Receiver::start();
    let edge = database.serve();
    let acme = onboard(&edge, "acme");
    acme.admin.post("/v1/webhooks", &json!({ "url": receiver.url("/"), "events": ["order.paid"] })).data(201);
    (database, receiver, acme.id)
}

#[test]
fn deliveries_and_what_becomes_of_them_are_counted() {
    let (database, receiver, acme) = subscribed();
    receiver.next([Behaviour::status(500), Behaviour::Close]);
    let worker = worker(&database);
    for _ in 0..4 {
        database.execute(&format!("select nebula.emit('order.paid', '{{}}', null, '{}')", acme));
    }
    let delivered =
        |scrape: &Scrape, outcome: &str| scrape.sum("nebula_webhook_request_duration_seconds_count", &[&format!("outcome=\"{outcome}\"")]);
    eventually("all were tried", || {
        let scrape = Scrape::of(&worker);
        delivered(&scrape, "2xx") == 2.0 && delivered(&scrape, "5xx") == 1.0 && delivered(&scrape, "no_answer") == 1.0
    });
    let scrape = Scrape::of(&worker);
    let tried =
        |outcome: &str| scrape.sum("nebula_worker_attempts_total", &["type=\"webhook.delivery\"", &format!("outcome=\"{outcome}\"")]);
    assert!(tried("done") == 2.0 && tried("retry") == 2.0);
    assert!(scrape.sum("nebula_worker_claimed_total", &[]) >= 4.0 && scrape.sum("nebula_worker_claims_total", &[]) >= 1.0);
    assert!(scrape.sum("nebula_worker_events_relayed_total", &[]) >= 4.0);
    eventually("nothing is in hand", || Scrape::of(&worker).sum("nebula_worker_in_hand", &[]) == 0.0);
    eventually("tasks have run", || {
        Scrape::of(&worker).sum("nebula_worker_task_runs_total", &["task=\"partitions\"", "outcome=\"done\""]) == 1.0
    });
}

#[test]
fn a_lease_that_is_lost_is_counted() {
    let (database, receiver, acme) = subscribed();
    let worker = database.work_with(&[&WORKER_ON[..], &[("NEBULA_WORKER_LEASE_SECONDS", "1")]].concat());
    eventually("nothing is in hand", || database.number("select count(*) from nebula.outbox_live", &[]) == 0);
    receiver.usually(Behaviour::Hang);
    database.execute(&format!("select nebula.emit('order.paid', '{{}}', null, '{}')", acme));
    eventually("it is under way", || receiver.open() == 1);
    database.execute("update nebula.outbox_live set locked_by = 'somebody else', locked_until = now() + interval '1 minute' where is_job");
    eventually("the worker has noticed", || Scrape::of(&worker).sum("nebula_worker_leases_lost_total", &[]) >= 1.0);
}
