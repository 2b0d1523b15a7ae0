//! Old and new side by side: programs, sessions and database of two releases, under load.

use nebula_tests::{
    Behaviour, Caller, Edge, Handle, Key, Previous, Receiver, Tenant, User, eventually, http::agent, onboard, onboard_by_sql, previous,
};
use serde_json::json;
use std::{
    collections::BTreeSet,
    sync::{
        Mutex, RwLock,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

/// What happened to the requests of a time.
#[derive(Default)]
struct Load {
    /// Where the edges are that a balancer would choose from.
    edges: RwLock<Vec<String>>,
    is_over: AtomicBool,
    answered: AtomicUsize,
    /// Retryable answers, by code, and when.
    retried: Mutex<Vec<(Instant, String)>>,
    failures: Mutex<Vec<String>>,
    created: Mutex<BTreeSet<String>>,
}

impl Load {
    fn set_edges(&self, edges: &[&Edge]) {
        *self.edges.write().unwrap() = edges.iter().map(|edge| edge.base.clone()).collect();
    }

    fn answers(&self) -> usize {
        self.answered.load(Ordering::Relaxed)
    }

    /// One client: reads, writes under keys of idempotency, with a token and with a key, until it is over. What may be retried is, under the same key.
    fn run(&self, number: usize, tenant: &Tenant<User>, key: &str) {
        let agent = agent();
        for turn in 0.. {
            if self.is_over.load(Ordering::Relaxed) {
                return;
            }
            let email = format!("p{number}-{turn}@acme.example");
            let deadline = Instant::now() + Duration::from_secs(30);
            loop {
                // Held until the answer is there: whoever takes an edge away knows then that nothing is under way on it.
                let edges = self.edges.read().unwrap();
                let base = edges[(turn + number) % edges.len()].clone();
                let (user, service) = (
                    User { base: base.clone(), agent: agent.clone(), token: tenant.admin.token.clone() },
                    Key { base, agent: agent.clone(), secret: key.to_owned() },
                );
                let (request, wanted) = match turn % 4 {
                    0 => (user.request("POST", "/v1/users").key(&email).json(&json!({ "email": email, "name": "P" })), 201),
                    1 => (service.request("GET", "/v1/users?limit=2"), 200),
                    2 => (user.request("GET", "/v1/me"), 200),
                    _ => (user.request("GET", "/v1/groups"), 200),
                };
                let failure = match request.try_send() {
                    Ok(answer) if answer.status == wanted => None,
                    Ok(answer) if answer.status == 503 && answer.header("retry-after").is_some() && Instant::now() < deadline => {
                        let code = answer.json()["error"]["code"].as_str().unwrap().to_owned();
                        self.retried.lock().unwrap().push((Instant::now(), code));
                        drop(edges);
                        thread::sleep(Duration::from_millis(50));
                        continue;
                    }
                    Ok(answer) => Some(format!("{} {}", answer.status, answer.text)),
                    Err(error) => Some(error.to_string()),
                };
                drop(edges);
                self.answered.fetch_add(1, Ordering::Relaxed);
                match failure {
                    Some(failure) => self.failures.lock().unwrap().push(failure),
                    None if turn % 4 == 0 => drop(self.created.lock().unwrap().insert(email)),
                    None => {}
                }
                break;
            }
            thread::sleep(Duration::from_millis(3));
        }
    }
}

#[test]
fn an_update_and_a_rolling_restart_under_load_lose_no_request() {
    if !previous::runs_here() {
        return;
    }
    let previous = Previous::start("fsync = off");
    let database = &previous.database;
    let old = previous.serve(&[]);
    let acme = onboard(&old, "acme");
    database.raise_limits(acme.id);
    let (key, _) = acme.key(&old, &json!({ "name": "robot", "profile": "write" }));
    // A session that has the old library, and keeps it.
    let mut warm = database.handle();
    let in_warm = |warm: &mut Handle| {
        warm.call(acme.id, &key.secret, "users.list", &json!({})).data(200);
        // The old library doesn't say which it is.
        let readiness: String = warm.client.query_one("select nebula.readiness()::text", &[]).unwrap().get(0);
        !readiness.contains("libraryVersion")
    };

    let load = Load::default();
    load.set_edges(&[&old]);
    let served = |least: usize| {
        let target = load.answers() + least;
        eventually("requests are answered", || load.answers() >= target);
    };
    // It outlives the load.
    let mut new = None;
    let (mut is_old_in_warm, mut update) = (Vec::new(), (Instant::now(), Instant::now()));
    thread::scope(|scope| {
        for number in 0..6 {
            let (load, acme, secret) = (&load, &acme, key.secret.as_str());
            scope.spawn(move || load.run(number, acme, secret));
        }
        // Whatever fails below ends the load, too.
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            served(200);
            is_old_in_warm.push(in_warm(&mut warm));
            update.0 = Instant::now();
            previous.tree.install_present();
            is_old_in_warm.push(in_warm(&mut warm));
            let said = previous.migrate();
            update.1 = Instant::now();
            assert!(said.contains(env!("CARGO_PKG_VERSION")), "{said}");
            is_old_in_warm.push(in_warm(&mut warm));
            // The old edge on the new database.
            served(200);
            let new = new.insert(database.serve());
            load.set_edges(&[&old, new]);
            served(400);
            load.set_edges(&[new]);
            old.terminate();
            served(200);
            is_old_in_warm.push(in_warm(&mut warm));
        }));
        load.is_over.store(true, Ordering::Relaxed);
        if let Err(panic) = outcome {
            std::panic::resume_unwind(panic);
        }
    });
    let failures = load.failures.into_inner().unwrap();
    assert!(failures.is_empty(), "{} of {}: {:?}", failures.len(), load.answered.into_inner(), failures.first());
    assert_eq!(is_old_in_warm, [true; 4]);
    // Between the new files and the end of the update a new session has the new library and not yet what it needs. Nothing else may be asked to come again.
    let retried = load.retried.into_inner().unwrap();
    let elsewhere =
        retried.iter().filter(|(at, code)| code != "SCHEMA_OUTDATED" || *at < update.0 || *at > update.1 + Duration::from_millis(500));
    let elsewhere = elsewhere.collect::<Vec<_>>();
    assert!(elsewhere.is_empty(), "{elsewhere:?}");
    println!("{} requests, {} asked to come again while it was updated", load.answered.load(Ordering::Relaxed), retried.len());
    // Each effect is there once.
    let created = load.created.into_inner().unwrap();
    let there = database.texts("select email from nebula.user where email like 'p%-%@acme.example' order by 1", &[]);
    assert!(created.len() > 100);
    assert_eq!(there.iter().cloned().collect::<BTreeSet<_>>(), created);
    assert_eq!(there.len(), created.len());
    previous.assert_like_new();
}

#[test]
fn a_new_edge_refuses_an_old_database_and_serves_it_once_it_is_updated() {
    if !previous::runs_here() {
        return;
    }
    let previous = Previous::start("fsync = off");
    let old = previous.serve(&[]);
    let acme = onboard(&old, "acme");
    let new = Edge::start_without_database(previous.installation, &previous.database.url("nebula_edge"), &[]);
    let admin = User { base: new.base.clone(), ..acme.admin.clone() };
    let refused = || {
        let answer = admin.get("/v1/users");
        answer.refused(503, "SCHEMA_OUTDATED");
        assert!(answer.header("retry-after").is_some());
        new.anonymous().get("/health/ready").refused(503, "SCHEMA_OUTDATED");
    };
    eventually("the new edge has looked at the database", || admin.get("/v1/users").text.contains("SCHEMA_OUTDATED"));
    refused();
    // Whether a route exists is not known here.
    admin.get("/v1/no-such-route").refused(503, "SCHEMA_OUTDATED");
    assert_eq!(new.anonymous().get("/health").status, 200);
    assert!(new.log().contains("older than this edge"), "{}", new.log());
    acme.admin.get("/v1/users").data(200);

    let _ = previous.update();
    // Its own connections have the old library: it gives them up.
    eventually("the new edge serves", || new.is_ready());
    admin.get("/v1/users").data(200);
    acme.admin.get("/v1/users").data(200);
}

#[test]
fn workers_of_both_releases_deliver_before_and_after_the_update() {
    if !previous::runs_here() {
        return;
    }
    let previous = Previous::start("fsync = off");
    let database = &previous.database;
    database.allow_loopback_webhooks();
    database.adopt();
    let edge = previous.serve(&[]);
    let acme = onboard(&edge, "acme");
    let receiver = Receiver::start();
    receiver.usually(Behaviour::status(200));
    acme.admin.post("/v1/webhooks", &json!({ "url": receiver.url("/hook"), "events": ["user.created"] })).data(201);
    let loopback = [("NEBULA_ALLOW_LOOPBACK_WEBHOOKS", "true")];
    let mut old = previous.work(&loopback);
    let delivered = |email: &str| {
        acme.person(email);
        eventually(email, || receiver.received().iter().filter(|request| request.body.contains("user.created")).count() > 0);
        let count = receiver.received().len();
        eventually("nothing is left", || database.number("select count(*) from nebula.outbox_live where tenant_id = $1", &[&acme.id]) == 0);
        count
    };
    delivered("before");
    let _ = previous.update();
    delivered("old-worker-after");
    let _new = database.work_with(&loopback);
    delivered("both");
    old.process.signal("TERM");
    old.process.wait();
    delivered("new-worker");
    // The administrator's own event waited for the first worker.
    let ids = receiver.received().iter().map(|request| request.headers["webhook-id"].clone()).collect::<Vec<_>>();
    assert_eq!(ids.len(), 5, "{ids:?}");
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), 5, "each event once: {ids:?}");
}

#[test]
fn an_old_edges_session_and_keys_count_in_the_new_one_and_the_reverse() {
    if !previous::runs_here() {
        return;
    }
    let previous = Previous::start("fsync = off");
    let database = &previous.database;
    let old = previous.serve(&[]);
    let acme = onboard(&old, "acme");
    let _ = previous.update();
    let new = database.serve();
    let admin = User { base: new.base.clone(), ..acme.admin.clone() };
    admin.get("/v1/me").data(200);
    // A refresh token of the old edge in the new one, what that gives in the old one, and one of its rotated tokens nowhere.
    let refresh = |edge: &Edge, token: &str| edge.anonymous().post("/v1/auth/refresh", &json!({ "refreshToken": token }));
    let fresh = refresh(&new, &acme.refresh_token).data(200);
    let fresher = refresh(&old, fresh["refreshToken"].as_str().unwrap()).data(200);
    old.user(fresher["accessToken"].as_str().unwrap()).get("/v1/me").data(200);
    new.user(fresher["accessToken"].as_str().unwrap()).get("/v1/me").data(200);
    // A webhook whose secret one of them sealed, the other rotates.
    let hook = admin.post("/v1/webhooks", &json!({ "url": "https://acme.example/hook", "events": ["*"] })).data(201);
    let path = format!("/v1/webhooks/{}/rotate-secret", hook["id"].as_str().unwrap());
    acme.admin.post(&path, &json!({})).data(200);
    // An answer that the old one stored under a key, sealed, the new one replays.
    let create = |caller: &User| {
        caller.request("POST", "/v1/api-keys").key("sealed").json(&json!({ "name": "sealed", "profile": "read-only" })).send()
    };
    let (first, again) = (create(&acme.admin), create(&admin));
    assert_eq!((first.status, again.status), (201, 201));
    assert_eq!(first.text, again.text);
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    // Suspended by one, refused by the other at once.
    let tenant = onboard_by_sql(database, "zeta");
    let suspended = json!({ "status": "suspenso", "suspendedReason": "teste" });
    new.operator().patch(&format!("/v1/tenants/{}/status", tenant.id), &suspended).data(200);
    old.user(&tenant.admin).get("/v1/me").refused(403, "TENANT_SUSPENDED");
}
