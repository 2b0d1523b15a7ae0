//! B9: the primary is gone, and a replica takes over. Threat: a write that was answered is lost, one that was sent again happens twice, and nobody finds the new
//! primary.
//!
//! The short storm is part of every run; the long one is `make test-failover`.

use nebula_tests::{
    Caller, Edge, Receiver, Tenant, User, Worker,
    cluster::{Cluster, Installation, TEMPLATE, free_port, install, nebula},
    eventually, onboard,
};
use serde_json::json;
use std::{
    collections::BTreeSet,
    io::Write,
    net::TcpListener,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

/// A primary with a synchronous replica beside it.
struct Pair {
    installation: Installation,
    replica: Cluster,
}

impl Pair {
    fn start() -> Self {
        let installation = install(Cluster::start("nebula.allow_loopback_webhooks = on\nwal_sender_timeout = '2s'"));
        let mut superuser = installation.cluster.connect("postgres", "postgres");
        superuser.batch_execute(&format!("alter database {TEMPLATE} with allow_connections true")).unwrap();
        let replica = installation.cluster.replica();
        let pair = Self { installation, replica };
        eventually("the replica streams", || {
            !superuser.query("select from pg_stat_replication where state = 'streaming'", &[]).unwrap().is_empty()
        });
        superuser.batch_execute("alter system set synchronous_standby_names = 'replica'").unwrap();
        pair.installation.cluster.reload();
        eventually("commits wait for it", || {
            !superuser.query("select from pg_stat_replication where sync_state = 'sync'", &[]).unwrap().is_empty()
        });
        pair
    }

    /// Both servers; a client wants the one that takes writes.
    fn url(&self, user: &str) -> String {
        let ports = (self.installation.cluster.port, self.replica.port);
        format!("postgresql://{user}@127.0.0.1:{},127.0.0.1:{}/{TEMPLATE}?target_session_attrs=read-write", ports.0, ports.1)
    }

    fn edge(&self, settings: &[(&str, &str)]) -> Edge {
        Edge::start(&self.installation, &self.url("nebula_edge"), settings)
    }

    /// Limits of requests are not what is tested.
    fn tenant(&self, edge: &Edge) -> Tenant<User> {
        let acme = onboard(edge, "acme");
        lift_limits(edge, &acme);
        acme
    }
}

fn lift_limits(edge: &Edge, tenant: &Tenant<User>) {
    let request = edge.operator().request("PUT", "/v1/config").header("X-Tenant-Id", tenant.id.to_string());
    request.json(&json!({ "flags": {}, "limits": { "write": { "perMinute": 1_000_000 } } })).send().data(200);
}

/// Creates a person under a key, again and again until there is an answer; how often it was tried.
fn insist(admin: &User, name: &str, deadline: Instant) -> usize {
    for attempt in 1.. {
        let request = admin.request("POST", "/v1/users").key(name);
        match request.json(&json!({ "email": format!("{name}@acme.example"), "name": name })).try_send() {
            Ok(answer) if answer.status == 201 => return attempt,
            Ok(answer) => {
                // A request that is still under way on the old server's behalf is in progress.
                assert!(answer.status == 503 || answer.code() == "IDEMPOTENCY_IN_PROGRESS", "{answer:?}");
                assert!(answer.status != 503 || answer.header("retry-after").is_some(), "{answer:?}");
            }
            Err(error) => panic!("the edge itself is there: {error}"),
        }
        assert!(Instant::now() < deadline, "{name} was not answered in time");
        thread::sleep(Duration::from_millis(50));
    }
    unreachable!()
}

/// Writers, each one request after another, and what they were told.
struct Load<'a> {
    admin: &'a User,
    acknowledged: Mutex<BTreeSet<String>>,
    last: Mutex<Instant>,
    longest: Mutex<Duration>,
    retried: AtomicUsize,
    is_over: AtomicBool,
}

impl<'a> Load<'a> {
    fn new(admin: &'a User) -> Self {
        Self {
            admin,
            acknowledged: Mutex::default(),
            last: Mutex::new(Instant::now()),
            longest: Mutex::default(),
            retried: AtomicUsize::new(0),
            is_over: AtomicBool::new(false),
        }
    }

    fn write(&self, writer: usize) {
        for number in 0.. {
            if self.is_over.load(Ordering::SeqCst) {
                return;
            }
            let name = format!("w{writer}-{number}");
            let attempts = insist(self.admin, &name, Instant::now() + Duration::from_secs(90));
            self.retried.fetch_add(attempts - 1, Ordering::SeqCst);
            let mut last = self.last.lock().unwrap();
            let mut longest = self.longest.lock().unwrap();
            *longest = longest.max(last.elapsed());
            *last = Instant::now();
            self.acknowledged.lock().unwrap().insert(name);
        }
    }

    fn count(&self) -> usize {
        self.acknowledged.lock().unwrap().len()
    }

    /// Waits until so many more were acknowledged.
    fn goes_on(&self, more: usize) {
        let wanted = self.count() + more;
        let deadline = Instant::now() + Duration::from_secs(100);
        while self.count() < wanted {
            assert!(Instant::now() < deadline, "{} of {wanted} writes", self.count());
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Each acknowledged person is there, with one audit row and one event; and nobody else is.
    fn reckon(&self, cluster: &Cluster) {
        let mut superuser = cluster.connect("postgres", TEMPLATE);
        let sql = "select u.name, \
              (select count(*) from nebula.outbox o where o.tenant_id = u.tenant_id and o.type = 'user.created' and o.payload::text like '%' || u.id || '%'), \
              (select count(*) from nebula.audit_log a where a.tenant_id = u.tenant_id and a.action = 'users.create' and a.entity_id = u.id) \
            from nebula.\"user\" u where u.email like 'w%@acme.example'";
        let rows = superuser.query(sql, &[]).unwrap();
        let stored = rows.iter().map(|row| row.get::<_, String>(0)).collect::<BTreeSet<_>>();
        let acknowledged = self.acknowledged.lock().unwrap();
        assert_eq!(acknowledged.difference(&stored).collect::<Vec<_>>(), Vec::<&String>::new(), "acknowledged and lost");
        assert_eq!(stored.difference(&acknowledged).collect::<Vec<_>>(), Vec::<&String>::new(), "there, and its writer was never told");
        assert_eq!(rows.len(), stored.len(), "nobody is there twice");
        for row in &rows {
            assert_eq!((row.get::<_, i64>(1), row.get::<_, i64>(2)), (1, 1), "events and audit rows of {}", row.get::<_, String>(0));
        }
    }
}

/// Load, a kill, a promotion; how long nothing was acknowledged, of what the promotion itself took so long.
fn fail_over(writers: usize, before: usize, after: usize) {
    let pair = Pair::start();
    let admin_url = pair.url("postgres");
    let adopted = nebula(&admin_url, &pair.installation.keys_dir, &["standby", "adopt"]);
    assert_eq!(adopted, "server 1: was adopted already\nserver 2: adopted");
    let edge = pair.edge(&[]);
    let acme = pair.tenant(&edge);
    let receiver = Receiver::start();
    acme.admin.post("/v1/webhooks", &json!({ "url": receiver.url("/"), "events": ["user.created"] })).data(201);
    let settings = [("NEBULA_ALLOW_LOOPBACK_WEBHOOKS", "true"), ("NEBULA_WORKER_LEASE_SECONDS", "3")];
    let _worker = Worker::start(&pair.installation, &pair.url("nebula_worker"), &settings);
    let load = Load::new(&acme.admin);
    let promotion = thread::scope(|scope| {
        for writer in 0..writers {
            let load = &load;
            scope.spawn(move || load.write(writer));
        }
        load.goes_on(before);
        pair.installation.cluster.kill();
        let started = Instant::now();
        pair.replica.promote();
        let promotion = started.elapsed();
        load.goes_on(after);
        load.is_over.store(true, Ordering::SeqCst);
        promotion
    });
    load.reckon(&pair.replica);
    let mut superuser = pair.replica.connect("postgres", TEMPLATE);
    eventually("everything is delivered by the same worker", || superuser.query("select from nebula.outbox_live", &[]).unwrap().is_empty());
    let delivered = receiver.received().iter().map(|request| request.headers["webhook-id"].clone()).collect::<BTreeSet<_>>();
    // The administrator's own was before there was a webhook.
    let wanted = "select o.id::text from nebula.outbox o join nebula.webhook_subscription w on w.created_at <= o.created_at where o.type = 'user.created'";
    let events = superuser.query(wanted, &[]).unwrap();
    assert_eq!(delivered, events.iter().map(|row| row.get::<_, String>(0)).collect::<BTreeSet<_>>());
    assert!(delivered.len() >= load.count());
    let silence = *load.longest.lock().unwrap();
    let _ = writeln!(
        std::io::stderr(),
        "failover: {} writes acknowledged, {} attempts answered 503, lost 0, doubled 0; the promotion took {promotion:.1?}, no write was acknowledged for {silence:.1?}",
        load.count(),
        load.retried.load(Ordering::SeqCst),
    );
    assert!(silence < promotion + Duration::from_secs(5), "{silence:?} after a promotion of {promotion:?}");
    let listed = nebula(&admin_url, &pair.installation.keys_dir, &["standby", "list"]);
    assert!(listed.starts_with("server 1: ") && listed.contains("server 2: primary; may send"), "{listed}");
}

#[test]
fn a_promotion_under_load_loses_no_acknowledged_write_and_doubles_none() {
    fail_over(4, 100, 100);
}

#[test]
#[ignore = "minutes: `make test-failover`"]
fn the_same_with_more_load_over_a_longer_time() {
    for round in 1..=3 {
        fail_over(16, 1_000 * round, 2_000);
    }
}

#[test]
fn a_server_that_takes_no_writes_any_more_is_left_for_the_primary_and_no_request_fails() {
    let pair = Pair::start();
    let edge = pair.edge(&[]);
    let acme = pair.tenant(&edge);
    for number in 0..4 {
        insist(&acme.admin, &format!("before{number}"), Instant::now() + Duration::from_secs(20));
    }
    // Its connections stay open, as they do behind a proxy that changes its target.
    let mut superuser = pair.installation.cluster.connect("postgres", "postgres");
    for setting in ["default_transaction_read_only = on", "synchronous_standby_names = ''"] {
        superuser.batch_execute(&format!("alter system set {setting}")).unwrap();
    }
    pair.replica.promote();
    pair.installation.cluster.reload();
    eventually("it takes no writes", || superuser.query_one("show transaction_read_only", &[]).unwrap().get::<_, String>(0) == "on");
    for number in 0..20 {
        assert_eq!(insist(&acme.admin, &format!("after{number}"), Instant::now() + Duration::from_secs(20)), 1);
    }
    let stored = pair.replica.connect("postgres", TEMPLATE).query("select from nebula.\"user\" where name like 'after%'", &[]).unwrap();
    assert_eq!(stored.len(), 20);
}

#[test]
fn a_write_that_no_replica_has_is_not_acknowledged() {
    let pair = Pair::start();
    let edge = pair.edge(&[("NEBULA_REQUEST_TIMEOUT_MS", "1500")]);
    let acme = pair.tenant(&edge);
    pair.replica.stop("immediate");
    let create =
        || acme.admin.request("POST", "/v1/users").key("late").json(&json!({ "email": "late@acme.example", "name": "late" })).send();
    let answer = create();
    answer.refused(503, "SERVICE_UNAVAILABLE");
    // It was committed here, which is what its retry finds out once a replica has it, too.
    pair.replica.start_again();
    eventually("its retry is answered", || {
        let answer = create();
        assert!([201, 503, 409].contains(&answer.status), "{answer:?}");
        answer.status == 201
    });
    let stored =
        pair.installation.cluster.connect("postgres", TEMPLATE).query("select from nebula.\"user\" where name = 'late'", &[]).unwrap();
    assert_eq!(stored.len(), 1);
}

#[test]
fn a_server_that_says_nothing_keeps_nobody_waiting() {
    let installation = install(Cluster::start(""));
    let mut superuser = installation.cluster.connect("postgres", "postgres");
    superuser.batch_execute(&format!("alter database {TEMPLATE} with allow_connections true")).unwrap();
    let silent = TcpListener::bind(("127.0.0.1", free_port())).unwrap();
    let port = silent.local_addr().unwrap().port();
    let url = |user: &str| format!("host=127.0.0.1,127.0.0.1 port={port},{} user={user} dbname={TEMPLATE}", installation.cluster.port);
    let started = Instant::now();
    let edge = Edge::start(&installation, &url("nebula_edge"), &[]);
    edge.operator().get("/v1/tenants").data(200);
    assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
    let started = Instant::now();
    nebula(&url("postgres"), &installation.keys_dir, &["key", "signing", "list"]);
    assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
}

/// What the database says for a while, what the edge says then, and how soon all is well again.
fn passes(edge: &Edge, what: &str, mut begin: impl FnMut(), mut end: impl FnMut()) {
    let acme = log_in_again(edge);
    begin();
    eventually(what, || acme.post("/v1/groups", &json!({ "name": what })).status == 503);
    let answer = acme.post("/v1/groups", &json!({ "name": what }));
    answer.refused(503, "SERVICE_UNAVAILABLE");
    assert!(answer.header("retry-after").is_some(), "{what}");
    end();
    let ended = Instant::now();
    eventually("it is over", || acme.post("/v1/groups", &json!({ "name": format!("{what}, over") })).status == 201);
    assert!(ended.elapsed() < Duration::from_secs(2), "{what}: {:?}", ended.elapsed());
}

fn log_in_again(edge: &Edge) -> User {
    nebula_tests::story::log_in(edge, "acme", "admin@acme.example").0
}

#[test]
fn what_passes_by_itself_is_answered_503_and_over_within_two_seconds() {
    let installation = install(Cluster::start(""));
    let cluster = &installation.cluster;
    let mut superuser = cluster.connect("postgres", "postgres");
    superuser.batch_execute(&format!("alter database {TEMPLATE} with allow_connections true")).unwrap();
    let edge = Edge::start(&installation, &cluster.url("nebula_edge", TEMPLATE), &[("NEBULA_REQUEST_TIMEOUT_MS", "1500")]);
    let _acme = onboard(&edge, "acme");
    let sql = |statement: &str| cluster.connect("postgres", TEMPLATE).batch_execute(statement).unwrap();
    let cut = "select pg_terminate_backend(pid) from pg_stat_activity where usename = 'nebula_edge'";
    passes(
        &edge,
        "the database is read-only",
        || sql(&format!("alter database {TEMPLATE} set default_transaction_read_only = on; {cut}")),
        || sql(&format!("begin read write; alter database {TEMPLATE} reset default_transaction_read_only; commit; {cut}")),
    );
    passes(
        &edge,
        "no connection is left",
        || sql(&format!("alter role nebula_edge connection limit 0; {cut}")),
        || sql("alter role nebula_edge connection limit -1"),
    );
    let mut holder = cluster.connect("postgres", TEMPLATE);
    let holder = std::cell::RefCell::new(&mut holder);
    passes(
        &edge,
        "a table is locked",
        || holder.borrow_mut().batch_execute("begin; lock table nebula.\"group\" in access exclusive mode").unwrap(),
        || holder.borrow_mut().batch_execute("rollback").unwrap(),
    );
    passes(&edge, "the server restarts", || cluster.stop("fast"), || cluster.start_again());
    passes(&edge, "the server crashes", || cluster.kill(), || cluster.start_after_a_crash());
}

#[test]
#[ignore = "half a minute: `make test-failover`"]
fn half_a_minute_without_a_database_under_load_loses_nothing() {
    let installation = install(Cluster::start(""));
    let cluster = &installation.cluster;
    cluster.connect("postgres", "postgres").batch_execute(&format!("alter database {TEMPLATE} with allow_connections true")).unwrap();
    let edge = Edge::start(&installation, &cluster.url("nebula_edge", TEMPLATE), &[]);
    let acme = onboard(&edge, "acme");
    lift_limits(&edge, &acme);
    let load = Load::new(&acme.admin);
    thread::scope(|scope| {
        for writer in 0..8 {
            let load = &load;
            scope.spawn(move || load.write(writer));
        }
        load.goes_on(300);
        cluster.stop("immediate");
        thread::sleep(Duration::from_secs(30));
        cluster.start_again();
        let back = Instant::now();
        load.goes_on(8);
        let _ = writeln!(std::io::stderr(), "30 s away: the first eight writes {:.1?} after it was back", back.elapsed());
        assert!(back.elapsed() < Duration::from_secs(2), "{:?}", back.elapsed());
        load.goes_on(300);
        load.is_over.store(true, Ordering::SeqCst);
    });
    load.reckon(cluster);
}

/// A small file system of its own; gone with the value.
struct SmallDisk(std::path::PathBuf);

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
#[ignore = "mounts a file system, as root: `make test-failover`"]
fn a_full_disk_refuses_writes_for_a_while_and_loses_nothing() {
    let installation = install(Cluster::start(""));
    let cluster = &installation.cluster;
    let folder = cluster.dir.join("small");
    std::fs::create_dir(&folder).unwrap();
    let mounted = std::process::Command::new("mount").args(["-t", "tmpfs", "-o", "size=16m", "tmpfs"]).arg(&folder).status().unwrap();
    assert!(mounted.success(), "only root may mount");
    let _disk = SmallDisk(folder.clone());
    let owner = std::fs::metadata(&cluster.dir).unwrap();
    use std::os::unix::fs::MetadataExt;
    std::os::unix::fs::chown(&folder, Some(owner.uid()), Some(owner.gid())).unwrap();
    let mut superuser = cluster.connect("postgres", "postgres");
    superuser.batch_execute(&format!("alter database {TEMPLATE} with allow_connections true")).unwrap();
    superuser.batch_execute(&format!("create tablespace small location '{}'", folder.display())).unwrap();
    let edge = Edge::start(&installation, &cluster.url("nebula_edge", TEMPLATE), &[]);
    let acme = onboard(&edge, "acme");
    lift_limits(&edge, &acme);
    let mut superuser = cluster.connect("postgres", TEMPLATE);
    superuser
        .batch_execute("alter table nebula.\"user\" set tablespace small; create table public.filler (text text) tablespace small")
        .unwrap();
    let load = Load::new(&acme.admin);
    thread::scope(|scope| {
        for writer in 0..4 {
            let load = &load;
            scope.spawn(move || load.write(writer));
        }
        load.goes_on(50);
        while superuser.batch_execute("insert into public.filler select repeat('x', 2000) from generate_series(1, 100)").is_ok() {}
        while superuser.batch_execute("insert into public.filler values (repeat('x', 2000))").is_ok() {}
        let deadline = Instant::now() + Duration::from_secs(60);
        while load.retried.load(Ordering::SeqCst) == 0 && load.last.lock().unwrap().elapsed() < Duration::from_millis(500) {
            assert!(Instant::now() < deadline, "the disk isn't full");
            thread::sleep(Duration::from_millis(20));
        }
        superuser.batch_execute("drop table public.filler").unwrap();
        let freed = Instant::now();
        load.goes_on(8);
        assert!(freed.elapsed() < Duration::from_secs(2), "{:?}", freed.elapsed());
        load.is_over.store(true, Ordering::SeqCst);
    });
    assert!(load.retried.load(Ordering::SeqCst) > 0, "no write was refused");
    load.reckon(cluster);
    drop(superuser);
    cluster.stop("fast");
}
