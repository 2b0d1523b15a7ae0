//! Running edges learn of an exposed function by themselves, within a second, and lose no request over it.

use nebula_tests::{
    Caller, Database, Edge, User, eventually,
    exposed::{expose, expose_orders, open_shop},
    onboard,
};
use serde_json::json;
use std::{
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

/// Waits until the path answers with this status; how long that took.
#[track_caller]
fn until(edge: &Edge, caller: &User, path: &str, status: u16) -> Duration {
    let (begun, caller) = (Instant::now(), edge.user(&caller.token));
    while caller.get(path).status != status {
        assert!(begun.elapsed() < Duration::from_secs(10), "{path} did not become {status}");
        thread::sleep(Duration::from_millis(5));
    }
    begun.elapsed()
}

#[test]
fn every_running_edge_serves_it_within_a_second_and_forgets_it_within_a_second() {
    let database = Database::new();
    let mut dba = open_shop(&database);
    let edges = [database.serve(), database.serve()];
    let acme = onboard(&edges[0], "acme");
    for round in 0..3 {
        expose(&mut dba, "shop.list_orders()", "orders.list", "GET", "/v1/orders", "");
        for edge in &edges {
            let waited = until(edge, &acme.admin, "/v1/orders", 200);
            assert!(waited < Duration::from_secs(1), "round {round}: {waited:?}");
        }
        dba.execute("select nebula.unexpose('orders.list')", &[]).unwrap();
        for edge in &edges {
            let waited = until(edge, &acme.admin, "/v1/orders", 404);
            assert!(waited < Duration::from_secs(1), "round {round}: {waited:?}");
        }
    }
}

#[test]
fn requests_under_way_are_not_lost_while_routes_change() {
    let database = Database::new();
    let mut dba = open_shop(&database);
    expose_orders(&mut dba);
    dba.batch_execute("create function shop.slow() returns int language plpgsql as $$ begin perform pg_sleep(0.6); return 1; end $$")
        .unwrap();
    expose(&mut dba, "shop.slow()", "slow.run", "POST", "/v1/slow", "");
    let edge = database.serve();
    let acme = onboard(&edge, "acme");
    let (is_over, served) = (AtomicBool::new(false), AtomicUsize::new(0));
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    acme.admin.get("/v1/orders").data(200);
                    served.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let slow = scope.spawn(|| acme.admin.post("/v1/slow", &json!({})));
        for number in 0..20 {
            expose(&mut dba, "shop.list_orders()", &format!("extra.n{number}"), "GET", &format!("/v1/extra/n{number}"), "");
        }
        // Another function's route under the same action, while it runs.
        dba.execute("select nebula.unexpose('extra.n1')", &[]).unwrap();
        let slow = slow.join().unwrap();
        assert_eq!(slow.status, 200, "{}", slow.text);
        is_over.store(true, Ordering::Relaxed);
    });
    assert!(served.load(Ordering::Relaxed) > 20);
}

#[test]
fn two_hundred_operations_are_served_and_described() {
    let database = Database::new();
    let mut dba = open_shop(&database);
    dba.batch_execute(
        "do $$ begin for i in 1..200 loop \
           execute format('create function shop.f%s(p_a int, p_b text default null) returns int language sql stable as ''select %s''', i, i); \
           perform nebula.expose(format('shop.f%s(int,text)', i)::regprocedure, format('many.f%s', i), 'GET', format('/v1/many/f%s/{p_a}', i), package => 'pro'); \
         end loop; end $$",
    )
    .unwrap();
    let edge = database.serve();
    let acme = onboard(&edge, "acme");
    for number in [1, 77, 200] {
        assert_eq!(acme.admin.get(&format!("/v1/many/f{number}/1?b=x")).data(200), json!(number));
    }
    // The edge reads it after the routes, so that these don't wait for it.
    eventually("the document is served", || edge.anonymous().get("/v1/openapi.json").status == 200);
    let document = edge.anonymous().get("/v1/openapi.json").json();
    assert_eq!(document["paths"].as_object().unwrap().keys().filter(|path| path.starts_with("/v1/many/")).count(), 200);
}
