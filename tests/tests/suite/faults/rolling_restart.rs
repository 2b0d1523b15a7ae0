//! B9: edges that are replaced one after another behind a balancer, as a deployment does it (docs/operations/deploy.md).

use nebula_tests::{Balancer, Caller, Database, Edge, Key, User, eventually, http::agent, onboard};
use serde_json::json;
use std::{
    collections::BTreeSet,
    net::SocketAddr,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

/// Battery B9: of so many requests none is lost.
const REQUESTS: usize = 5000;
const CLIENTS: usize = 8;
/// Longer than the balancer needs to notice.
const DELAY: [(&str, &str); 1] = [("NEBULA_SHUTDOWN_DELAY_SECONDS", "1")];

fn address(edge: &Edge) -> SocketAddr {
    edge.base.trim_start_matches("http://").parse().unwrap()
}

/// Stops an edge as systemd and Kubernetes do, and starts its successor at the same address.
fn restart(database: &Database, edge: &mut Edge) {
    let listen = address(edge).to_string();
    edge.terminate();
    assert!(edge.wait().success(), "{}", edge.log());
    assert!(!edge.log().contains("stopped before"), "{}", edge.log());
    *edge = database.serve_with(&[("NEBULA_LISTEN", &listen), DELAY[0]]);
}

#[test]
fn of_five_thousand_requests_none_fails_while_two_edges_are_restarted_one_by_one() {
    let database = Database::new();
    let mut edges = [database.serve_with(&DELAY), database.serve_with(&DELAY)];
    let acme = onboard(&edges[0], "acme");
    database.raise_limits(acme.id);
    let (robot, _) = acme.key(&edges[0], &json!({ "name": "robot", "profile": "write" }));
    let balancer = Balancer::start(&edges.each_ref().map(address));
    let base = format!("http://{}", balancer.address);

    let (begun, answered) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let is_over = AtomicBool::new(false);
    let failures = Mutex::new(Vec::new());
    let created = Mutex::new(BTreeSet::new());
    // One client: reads and writes over connections that are kept alive. Nothing is tried twice.
    let client = || {
        let agent = agent();
        let user = User { base: base.clone(), agent: agent.clone(), token: acme.admin.token.clone() };
        let key = Key { base: base.clone(), agent, secret: robot.secret.clone() };
        while !is_over.load(Ordering::Relaxed) {
            let number = begun.fetch_add(1, Ordering::Relaxed);
            let email = format!("p{number}@acme.example");
            let (request, wanted) = match number % 4 {
                0 => (user.request("POST", "/v1/users").json(&json!({ "email": email, "name": "P" })), 201),
                1 => (key.request("GET", "/v1/users?limit=2"), 200),
                2 => (user.request("GET", "/v1/me"), 200),
                _ => (user.request("GET", "/v1/groups"), 200),
            };
            match request.try_send() {
                Ok(answer) if answer.status == wanted => {
                    if wanted == 201 {
                        created.lock().unwrap().insert(email);
                    }
                }
                Ok(answer) => failures.lock().unwrap().push(format!("{} {}", answer.status, answer.text)),
                Err(error) => failures.lock().unwrap().push(error.to_string()),
            }
            answered.fetch_add(1, Ordering::Relaxed);
            thread::sleep(Duration::from_millis(2));
        }
    };
    thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(client);
        }
        // Whatever fails below ends the clients, too.
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for edge in &mut edges {
                let target = answered.load(Ordering::Relaxed) + REQUESTS / 4;
                eventually("requests are answered", || answered.load(Ordering::Relaxed) >= target);
                restart(&database, edge);
                eventually("the balancer sends requests there again", || balancer.chooses(address(edge)));
            }
            eventually("all requests are answered", || answered.load(Ordering::Relaxed) >= REQUESTS);
        }));
        is_over.store(true, Ordering::Relaxed);
        if let Err(panic) = outcome {
            std::panic::resume_unwind(panic);
        }
    });
    let failures = failures.into_inner().unwrap();
    assert!(failures.is_empty(), "{} of {}: {:?}", failures.len(), answered.into_inner(), failures.first());
    assert_eq!(balancer.refused(), 0);
    let created = created.into_inner().unwrap();
    let there = database.texts("select email from nebula.user where email like 'p%@acme.example'", &[]);
    assert!(created.len() >= REQUESTS / 4 && there.len() == created.len());
    assert_eq!(there.into_iter().collect::<BTreeSet<_>>(), created);
}

#[test]
fn an_edge_that_is_told_to_stop_serves_on_for_its_delay_and_says_that_it_is_not_ready() {
    let database = Database::new();
    let mut edge = database.serve_with(&DELAY);
    let acme = onboard(&edge, "acme");
    edge.terminate();
    eventually("it is not ready", || !edge.is_ready());
    edge.anonymous().get("/health/ready").refused(503, "SERVICE_UNAVAILABLE");
    assert_eq!(edge.anonymous().get("/health").status, 200);
    let answer = acme.admin.get("/v1/me");
    answer.data(200);
    assert_eq!(answer.header("connection"), Some("close"));
    assert!(edge.wait().success());
    assert!(acme.admin.request("GET", "/v1/me").try_send().is_err());
}

#[test]
fn the_health_check_says_whether_the_edge_answers_and_whether_it_is_ready() {
    let database = Database::new();
    let mut edge = database.serve();
    let listen = address(&edge).to_string();
    let check = |arguments: &[&str]| {
        let mut process = nebula_tests::Process::start(database.installation, arguments, &[("NEBULA_LISTEN", &listen)]);
        (process.wait().code(), process.log())
    };
    assert_eq!(check(&["health"]), (Some(0), String::new()));
    assert_eq!(check(&["health", "--ready"]), (Some(0), String::new()));
    edge.terminate();
    edge.wait();
    let (code, said) = check(&["health"]);
    assert_eq!(code, Some(1));
    assert!(said.contains(&listen) && said.contains("connection refused"), "{said}");
    let away =
        Edge::start_without_database(database.installation, "postgresql://nebula_edge@127.0.0.1:1/nowhere", &[("NEBULA_LISTEN", &listen)]);
    assert_eq!(check(&["health"]).0, Some(0));
    let (code, said) = check(&["health", "--ready"]);
    assert_eq!(code, Some(1));
    assert!(said.contains("/health/ready answers 503"), "{said}");
    drop(away);
}
