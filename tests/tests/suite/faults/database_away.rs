//! B9: the database is away, comes, goes, comes back; clients are slow; the edge is told to stop.

use nebula_tests::{
    Caller, Database, Edge, Gate,
    cluster::{Cluster, Installation, TEMPLATE, install},
    eventually, onboard, onboard_by_sql,
};
use serde_json::json;
use std::{
    io::{Read, Write},
    thread,
    time::{Duration, Instant},
};

/// An installation on a server of its own, that may be stopped; durable.
fn own_installation() -> Installation {
    let installation = install(Cluster::start(""));
    installation
        .cluster
        .connect("postgres", "postgres")
        .batch_execute(&format!("alter database {TEMPLATE} with allow_connections true"))
        .unwrap();
    installation
}

#[test]
fn the_edge_starts_without_a_database_says_so_and_recovers_by_itself() {
    let installation = own_installation();
    installation.cluster.stop("fast");
    let url = installation.cluster.url("nebula_edge", TEMPLATE);
    let edge = Edge::start_without_database(&installation, &url, &[]);
    let anonymous = edge.anonymous();
    assert_eq!(anonymous.get("/health").status, 200);
    let answer = anonymous.get("/health/ready");
    answer.refused(503, "SERVICE_UNAVAILABLE");
    assert!(answer.header("retry-after").is_some());
    let answer = edge.operator().get("/v1/tenants");
    answer.refused(503, "SERVICE_UNAVAILABLE");
    assert!(answer.header("retry-after").is_some());
    assert!(edge.log().contains("cannot read the state of the database"));

    installation.cluster.start_again();
    eventually("the edge finds the database", || edge.is_ready());
    edge.operator().get("/v1/tenants").data(200);

    // A restart breaks every connection of the pool; each is replaced without anyone's help.
    installation.cluster.stop("fast");
    edge.operator().get("/v1/tenants").refused(503, "SERVICE_UNAVAILABLE");
    installation.cluster.start_again();
    eventually("the edge finds the database again", || edge.operator().get("/v1/tenants").status == 200);
    assert!(edge.log().contains("listening on") && edge.is_ready());
}

#[test]
fn what_was_answered_survives_a_crash_of_the_server_and_a_retry_has_no_second_effect() {
    let installation = own_installation();
    let edge = Edge::start(&installation, &installation.cluster.url("nebula_edge", TEMPLATE), &[]);
    let acme = onboard(&edge, "acme");
    let create = || acme.admin.request("POST", "/v1/users").key("crash-1").json(&json!({ "email": "bia@acme.example", "name": "Bia" }));
    let made = create().send();
    made.data(201);
    installation.cluster.stop("immediate");
    installation.cluster.start_again();
    eventually("the edge finds the database", || acme.admin.get("/v1/me").status == 200);
    let replayed = create().send();
    assert_eq!((replayed.status, replayed.header("idempotency-replayed")), (201, Some("true")));
    assert_eq!(replayed.text, made.text);
    let mut superuser = installation.cluster.connect("postgres", TEMPLATE);
    let events: i64 = superuser
        .query_one("select count(*) from nebula.outbox where type = 'user.created' and payload::text like '%bia@%'", &[])
        .unwrap()
        .get(0);
    assert_eq!(events, 1);
}

#[test]
fn a_killed_backend_costs_its_request_and_nothing_else() {
    let database = Database::new();
    let edge = database.serve();
    let acme = onboard(&edge, "acme");
    database.slow_inserts("nebula.\"group\"", 60.0);
    let stalled = thread::spawn({
        let admin = acme.admin.clone();
        move || admin.post("/v1/groups", &json!({ "name": "Stalled" }))
    });
    eventually("the request stalls", || {
        database.number(
            "select count(pg_terminate_backend(pid)) from pg_stat_activity where datname = current_database() and wait_event = 'PgSleep'",
            &[],
        ) == 1
    });
    stalled.join().unwrap().refused(503, "SERVICE_UNAVAILABLE");
    acme.admin.get("/v1/me").data(200);
    assert_eq!(database.number("select count(*) from nebula.\"group\" where name = 'Stalled'", &[]), 0);
}

#[test]
fn a_statement_that_takes_too_long_is_cancelled_and_has_no_effect() {
    let database = Database::new();
    let acme = onboard_by_sql(&database, "acme");
    let edge = database.serve_with(&[("NEBULA_REQUEST_TIMEOUT_MS", "500")]);
    database.slow_inserts("nebula.\"group\"", 60.0);
    let started = Instant::now();
    edge.user(&acme.admin).post("/v1/groups", &json!({ "name": "Stalled" })).refused(503, "SERVICE_UNAVAILABLE");
    assert!(started.elapsed() < Duration::from_secs(5));
    eventually("the statement is cancelled", || {
        database.number("select count(*) from pg_stat_activity where datname = current_database() and wait_event = 'PgSleep'", &[]) == 0
    });
    assert_eq!(database.number("select count(*) from nebula.\"group\" where name = 'Stalled'", &[]), 0);
    edge.user(&acme.admin).get("/v1/me").data(200);
}

#[test]
fn a_client_that_sends_its_headers_or_body_slowly_is_let_go() {
    let database = Database::new();
    let edge = database.serve_with(&[("NEBULA_HEADER_TIMEOUT_MS", "700"), ("NEBULA_BODY_TIMEOUT_MS", "700")]);
    let closes = |head: &[u8], drip: &[u8]| {
        let mut stream = edge.connect();
        stream.write_all(head).unwrap();
        stream.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
        let started = Instant::now();
        let mut answer = Vec::new();
        let mut buffer = [0; 4096];
        while started.elapsed() < Duration::from_secs(10) {
            match stream.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => answer.extend_from_slice(&buffer[..count]),
                Err(error) if matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) => {
                    if stream.write_all(drip).is_err() {
                        break;
                    }
                }
                Err(_) => break,
            }
        }
        assert!(started.elapsed() < Duration::from_secs(8), "still open");
        String::from_utf8_lossy(&answer).into_owned()
    };
    closes(b"", b"");
    closes(b"GET /health HTTP/1.1\r\n", b"X-Drip: 1\r\n");
    closes(b"GET /health HT", b"");
    let answer = closes(b"POST /v1/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n", b" ");
    assert!(answer.starts_with("HTTP/1.1 400") && answer.contains("timeout"), "{answer}");
    // Those who behave were served meanwhile.
    assert_eq!(edge.anonymous().get("/health").status, 200);
}

#[test]
fn told_to_stop_it_finishes_what_runs_and_takes_no_more() {
    let database = Database::new();
    let mut edge = database.serve();
    let acme = onboard(&edge, "acme");
    let gate = Gate::before_groups(&database);
    let running = thread::spawn({
        let admin = acme.admin.clone();
        move || admin.post("/v1/groups", &json!({ "name": "Finished" }))
    });
    gate.await_one();
    edge.terminate();
    eventually("no connection is accepted", || std::net::TcpStream::connect(edge.base.trim_start_matches("http://")).is_err());
    gate.open();
    running.join().unwrap().data(201);
    assert!(edge.wait().success());
    assert_eq!(database.number("select count(*) from nebula.\"group\" where name = 'Finished'", &[]), 1);
}

#[test]
fn where_no_private_key_is_at_hand_nobody_is_logged_in_and_keys_still_work() {
    let database = Database::new();
    let acme = onboard_by_sql(&database, "acme");
    let edge = database.serve_with(&[("NEBULA_KEYS_DIR", "/nonexistent")]);
    edge.operator().get("/v1/tenants").data(200);
    edge.user(&acme.admin).get("/v1/me").data(200);
    let before = database.digests();
    edge.anonymous().post("/v1/auth/refresh", &json!({ "refreshToken": acme.refresh_token })).refused(503, "SERVICE_UNAVAILABLE");
    assert_eq!(database.digests(), before, "the refresh token was used up");
}

#[test]
fn when_every_connection_is_taken_more_requests_are_shed_in_time() {
    let database = Database::new();
    let acme = onboard_by_sql(&database, "acme");
    let edge = database.serve_with(&[("NEBULA_POOL_SIZE", "1"), ("NEBULA_POOL_WAIT_MS", "200")]);
    let gate = Gate::before_groups(&database);
    let admin = edge.user(&acme.admin);
    let running = thread::spawn({
        let admin = admin.clone();
        move || admin.post("/v1/groups", &json!({ "name": "Slow" }))
    });
    gate.await_one();
    admin.get("/v1/me").refused(503, "SERVICE_UNAVAILABLE");
    assert_eq!(edge.anonymous().get("/health").status, 200);
    gate.open();
    running.join().unwrap().data(201);
    admin.get("/v1/me").data(200);
}

#[test]
fn a_connection_that_was_in_use_when_all_were_given_up_is_given_up_when_it_comes_back() {
    let database = Database::new();
    let edge = database.serve();
    let acme = onboard(&edge, "acme");
    let gate = Gate::before_groups(&database);
    thread::scope(|scope| {
        let running = scope.spawn(|| acme.admin.post("/v1/groups", &json!({ "name": "Slow" })));
        let in_use = gate.await_one();
        let is_there = |pid: i32| database.number("select count(*) from pg_stat_activity where pid = $1", &[&pid]) == 1;
        let idle = "select pid::text from pg_stat_activity where application_name = 'nebula-edge' and datname = current_database() and state = 'idle'";
        let before = database.texts(idle, &[]);
        assert!(!before.is_empty());
        // As after an update of the extension: what the sessions have loaded is older.
        let release = database.text("select extversion from pg_extension where extname = 'nebula'", &[]);
        database.execute("update pg_extension set extversion = '99.0.0' where extname = 'nebula'; notify nebula_changed");
        eventually("the idle ones are given up", || before.iter().all(|pid| !is_there(pid.parse().unwrap())));
        database.execute(&format!("update pg_extension set extversion = '{release}' where extname = 'nebula'"));
        assert!(is_there(in_use));
        gate.open();
        running.join().unwrap().data(201);
        eventually("the other one is given up, too", || {
            acme.admin.get("/v1/me").data(200);
            !is_there(in_use)
        });
    });
}
