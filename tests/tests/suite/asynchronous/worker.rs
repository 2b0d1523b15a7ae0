//! The worker as a process: it starts and stops as it is told, goes on by itself, and never does in a copy what the original does.

use nebula_tests::{
    Behaviour, Database, Receiver, Tenant, User, Worker,
    cluster::{Cluster, Installation, TEMPLATE, install},
    eventually, onboard,
    story::onboard_by_sql,
};
use postgres::Client;
use serde_json::json;
use std::time::Duration;
use uuid::Uuid;

const ALLOWED: (&str, &str) = ("NEBULA_ALLOW_LOOPBACK_WEBHOOKS", "true");

/// A database with a tenant and a webhook for its people, and nothing left to do.
fn stage() -> (Database, Tenant<User>, Receiver) {
    let database = Database::new();
    database.allow_loopback_webhooks();
    let edge = database.serve();
    let acme = onboard(&edge, "acme");
    work_until_idle(&database);
    let receiver = Receiver::start();
    nebula_tests::Caller::post(&acme.admin, "/v1/webhooks", &json!({ "url": receiver.url("/"), "events": ["order.paid"] })).data(201);
    (database, acme, receiver)
}

fn work_until_idle(database: &Database) {
    database.adopt();
    let url = database.url("nebula_worker");
    let mut worker = Worker::start_anyhow(database.installation, &url, &["--until-idle"], &[ALLOWED]);
    assert!(worker.process.wait().success(), "{}", worker.process.log());
}

fn emit(superuser: &mut Client, tenant: Uuid, count: i32) {
    let sql = "select count(nebula.emit('order.paid', jsonb_build_object('number', n), null, $1)) from generate_series(1, $2::integer) n";
    superuser.query_one(sql, &[&tenant, &count]).unwrap();
}

fn left(database: &Database) -> i64 {
    database.number("select count(*) from nebula.outbox_live", &[])
}

#[test]
fn a_worker_that_is_told_so_ends_when_nothing_is_left() {
    let (database, acme, receiver) = stage();
    emit(&mut database.superuser(), acme.id, 500);
    work_until_idle(&database);
    assert_eq!((left(&database), receiver.received().len()), (0, 500));
    work_until_idle(&database);
    assert_eq!(receiver.received().len(), 500, "each once");
}

#[test]
fn several_workers_share_the_work_and_each_event_is_sent_once() {
    let (database, acme, receiver) = stage();
    let _workers = [0; 3].map(|_| database.work_with(&[ALLOWED]));
    for _ in 0..5 {
        emit(&mut database.superuser(), acme.id, 100);
    }
    eventually("all are sent", || receiver.received().len() >= 500 && left(&database) == 0);
    assert_eq!(receiver.received().len(), 500);
}

#[test]
fn a_worker_that_is_told_to_stop_finishes_what_it_does_and_claims_no_more() {
    let (database, acme, receiver) = stage();
    let mut worker = database.work_with(&[ALLOWED]);
    receiver.next([Behaviour::Late(Duration::from_secs(2), 200)]);
    emit(&mut database.superuser(), acme.id, 1);
    eventually("the request is under way", || receiver.received().len() == 1);
    worker.process.signal("TERM");
    eventually("it says that it stops", || worker.process.log().contains("stopping"));
    emit(&mut database.superuser(), acme.id, 1);
    assert!(worker.process.wait().success());
    let status =
        "select string_agg(type || ' ' || status, ', ' order by type) from nebula.outbox where type in ('order.paid', 'webhook.delivery')";
    assert_eq!(database.text(status, &[]), "order.paid done, order.paid pending, webhook.delivery done");
    assert_eq!(database.number("select count(*) from nebula.webhook_delivery where status_code = 200", &[]), 1);
    assert_eq!(receiver.received().len(), 1);
}

#[test]
fn what_cannot_be_finished_in_time_is_left_to_its_lease_and_done_by_another() {
    let (database, acme, receiver) = stage();
    let mut worker = database.work_with(&[ALLOWED, ("NEBULA_DRAIN_SECONDS", "1"), ("NEBULA_WORKER_LEASE_SECONDS", "2")]);
    receiver.next([Behaviour::Hang]);
    emit(&mut database.superuser(), acme.id, 1);
    eventually("the request is under way", || receiver.received().len() == 1);
    worker.process.signal("TERM");
    assert!(worker.process.wait().success());
    assert!(worker.process.log().contains("stopped before everything had finished"));
    assert_eq!(database.text("select type || ' ' || status || ' ' || failures from nebula.outbox_live", &[]), "webhook.delivery running 0");
    let _worker = database.work_with(&[ALLOWED]);
    eventually("another does it", || receiver.received().len() == 2 && left(&database) == 0);
}

#[test]
fn a_killed_workers_work_is_done_by_another() {
    let (database, acme, receiver) = stage();
    let mut worker = database.work_with(&[ALLOWED, ("NEBULA_WORKER_LEASE_SECONDS", "2")]);
    receiver.next([0; 8].map(|_| Behaviour::Hang));
    emit(&mut database.superuser(), acme.id, 50);
    eventually("requests are under way", || receiver.received().len() >= 8);
    worker.process.signal("KILL");
    assert!(!worker.process.wait().success());
    let _worker = database.work_with(&[ALLOWED, ("NEBULA_WORKER_LEASE_SECONDS", "2")]);
    eventually("nothing is left", || left(&database) == 0);
    let delivered = database.number("select count(distinct event_id) from nebula.webhook_delivery where status_code = 200", &[]);
    assert_eq!(delivered, 50);
}

#[test]
fn a_lease_is_prolonged_for_as_long_as_the_work_takes() {
    let (database, acme, receiver) = stage();
    let _workers = [0; 2].map(|_| database.work_with(&[ALLOWED, ("NEBULA_WORKER_LEASE_SECONDS", "1")]));
    receiver.next([Behaviour::Late(Duration::from_secs(4), 200)]);
    emit(&mut database.superuser(), acme.id, 1);
    eventually("it is done", || database.number("select count(*) from nebula.webhook_delivery", &[]) == 1);
    eventually("nothing is left", || left(&database) == 0);
    assert_eq!(receiver.received().len(), 1, "nobody else did it meanwhile");
    assert_eq!(database.number("select attempts::bigint from nebula.outbox where type = 'webhook.delivery'", &[]), 1);
}

#[test]
fn a_tenant_has_its_share_of_a_worker_and_no_more() {
    let (database, acme, receiver) = stage();
    let zeta = onboard_by_sql(&database, "zeta");
    let _worker = database.work_with(&[ALLOWED, ("NEBULA_WORKER_TENANT_CONCURRENCY", "3"), ("NEBULA_WEBHOOK_TIMEOUT_MS", "60000")]);
    receiver.usually(Behaviour::Hang);
    emit(&mut database.superuser(), acme.id, 20);
    eventually("its share is under way", || receiver.open() == 3);
    // Another tenant's events are handed on though twenty of the first one's wait.
    emit(&mut database.superuser(), zeta.id, 20);
    let done = "select count(*) from nebula.outbox where tenant_id = $1 and type = 'order.paid' and status = 'done'";
    eventually("the other tenant is served", || database.number(done, &[&zeta.id]) == 20);
    assert_eq!(receiver.open(), 3);
    let running = "select count(*) from nebula.outbox_live where tenant_id = $1 and status = 'running'";
    assert!(database.number(running, &[&acme.id]) <= 3);
}

#[test]
fn a_copy_of_a_database_sends_nothing_until_it_is_adopted() {
    let (original, acme, receiver) = stage();
    emit(&mut original.superuser(), acme.id, 1);
    let copy = format!("{}_copy", original.name);
    let mut postgres = original.installation.cluster.connect("postgres", "postgres");
    drop_sessions(&mut postgres, &original.name);
    postgres.batch_execute(&format!("create database {copy} template {}", original.name)).unwrap();
    let url = original.installation.cluster.url("nebula_worker", &copy);
    let mut worker = Worker::start_anyhow(original.installation, &url, &["--until-idle"], &[ALLOWED]);
    assert!(!worker.process.wait().success());
    assert!(worker.process.log().contains("this database is a copy"), "{}", worker.process.log());
    assert_eq!(receiver.received().len(), 0);
    // Who adopts needs an administrator's login.
    let mut worker = Worker::start_anyhow(original.installation, &url, &["--until-idle", "--adopt"], &[ALLOWED]);
    assert!(!worker.process.wait().success());
    assert!(worker.process.log().contains("NEBULA_ADMIN_DATABASE_URL"));
    let admin = original.installation.cluster.url("postgres", &copy);
    let settings = [ALLOWED, ("NEBULA_ADMIN_DATABASE_URL", admin.as_str())];
    let mut worker = Worker::start_anyhow(original.installation, &url, &["--until-idle", "--adopt"], &settings);
    assert!(worker.process.wait().success(), "{}", worker.process.log());
    assert_eq!(receiver.received().len(), 1);
    postgres.batch_execute(&format!("drop database {copy} with (force)")).unwrap();
}

fn drop_sessions(postgres: &mut Client, database: &str) {
    eventually("nobody is connected", || {
        let sql = "select count(pg_terminate_backend(pid)) from pg_stat_activity where datname = $1";
        postgres.query_one(sql, &[&database]).unwrap().get::<_, i64>(0) == 0
    });
}

/// An installation on a server of its own, that may be stopped; durable.
fn own_installation() -> Installation {
    let installation = install(Cluster::start(""));
    installation
        .cluster
        .connect("postgres", "postgres")
        .batch_execute(&format!(
            "alter database {TEMPLATE} with allow_connections true; alter database {TEMPLATE} set nebula.allow_loopback_webhooks = on"
        ))
        .unwrap();
    installation
}

#[test]
fn a_worker_goes_on_by_itself_when_the_database_comes_and_goes() {
    let installation = own_installation();
    let cluster = &installation.cluster;
    let receiver = Receiver::start();
    // The platform's own tenant will do.
    let tenant = |superuser: &mut Client| superuser.query_one("select id from nebula.tenant", &[]).unwrap().get::<_, Uuid>(0);
    let mut superuser = cluster.connect("postgres", TEMPLATE);
    let platform = tenant(&mut superuser);
    let hook = nebula_tests::Edge::start(&installation, &cluster.url("nebula_edge", TEMPLATE), &[]);
    nebula_tests::Caller::post(&hook.operator(), "/v1/webhooks", &json!({ "url": receiver.url("/"), "events": ["order.paid"] })).data(201);
    drop(hook);
    drop(superuser);
    cluster.stop("fast");
    let url = cluster.url("nebula_worker", TEMPLATE);
    let mut worker = Worker::start_anyhow(&installation, &url, &[], &[ALLOWED]);
    eventually("it says that the database is away", || worker.process.log().contains("cannot ask whether this database may send"));
    cluster.start_again();
    emit(&mut cluster.connect("postgres", TEMPLATE), platform, 1);
    eventually("it finds the database", || receiver.received().len() == 1);
    for mode in ["fast", "immediate"] {
        let before = receiver.received().len();
        cluster.stop(mode);
        eventually("it says so", || worker.process.log().matches("cannot claim work").count() > 0);
        cluster.start_again();
        emit(&mut cluster.connect("postgres", TEMPLATE), platform, 3);
        eventually("it goes on", || receiver.received().len() >= before + 3);
    }
    assert!(worker.process.ended().is_none());
    // What was done while nobody could be told is told afterwards, and not done again.
    let before = receiver.received().len();
    receiver.next([Behaviour::Late(Duration::from_secs(2), 200)]);
    emit(&mut cluster.connect("postgres", TEMPLATE), platform, 1);
    eventually("the request is under way", || receiver.received().len() == before + 1);
    cluster.stop("fast");
    eventually("it is answered", || receiver.open() == 0);
    cluster.start_again();
    let mut superuser = cluster.connect("postgres", TEMPLATE);
    let mut left = || superuser.query_one("select count(*) from nebula.outbox_live", &[]).unwrap().get::<_, i64>(0);
    eventually("nothing is left", || left() == 0);
    assert_eq!(receiver.received().len(), before + 1);
}

#[test]
fn periodic_tasks_are_done_by_one_worker_at_a_time() {
    let database = Database::new();
    let _workers = [0; 2].map(|_| database.work());
    const TASKS: [&str; 6] = ["expired_exports", "export_audit_heads", "partitions", "reseal", "retention", "seal_audit"];
    let names = "select name from nebula.task where finished_at is not null and locked_by is null and last_error is null order by 1";
    eventually("each was done", || database.texts(names, &[]) == TASKS);
    assert_eq!(database.number("select count(*) from nebula.task where due_at > now()", &[]), 6);
}

#[test]
fn a_worker_without_its_settings_says_which() {
    let database = Database::new();
    for (settings, complaint) in [
        (vec![("NEBULA_WORKER_DATABASE_URL", "nonsense")], "not a Postgres connection string"),
        (vec![("NEBULA_STORAGE_URL", "nonsense")], "storage"),
    ] {
        let mut worker = Worker::start_anyhow(database.installation, &database.url("nebula_worker"), &[], &settings);
        assert!(!worker.process.wait().success());
        assert!(worker.process.log().contains(complaint), "{}", worker.process.log());
    }
}
