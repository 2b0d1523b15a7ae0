//! The database's own figures: `nebula.metrics()`, and how the worker shows them.

use super::metrics::{edge, worker};
use nebula_tests::{
    Database, Queue, Scrape,
    cluster::{Cluster, TEMPLATE, install},
    eventually, onboard,
};
use postgres::error::SqlState;
use std::{collections::BTreeMap, time::Instant};

fn value(database: &Database, name: &str, labels: &str) -> f64 {
    let sql = "select sum(value) from nebula.metrics() where name = $1 and labels @> $2::text::jsonb";
    database
        .superuser()
        .query_one(sql, &[&name, &labels])
        .unwrap()
        .get::<_, Option<f64>>(0)
        .unwrap_or_else(|| panic!("there is no {name} {labels}"))
}

#[test]
fn the_worker_and_who_watches_may_read_them_and_a_stolen_edge_login_may_not() {
    let database = Database::new();
    let asked = |role: &str| database.installation.cluster.connect(role, &database.name).query("select * from nebula.metrics()", &[]);
    assert!(asked("nebula_worker").unwrap().len() > 30);
    for role in ["nebula_edge", "nebula_keys"] {
        assert_eq!(asked(role).unwrap_err().code(), Some(&SqlState::INSUFFICIENT_PRIVILEGE), "{role}");
    }
    // Roles are the cluster's: another test must not meet it.
    let login = format!("watcher_{}", database.name);
    database.execute(&format!("create role {login} login; grant pg_monitor to {login}"));
    assert!(asked(&login).unwrap().len() > 30);
    let read = database.installation.cluster.connect(&login, &database.name).query("select from nebula.task", &[]);
    assert_eq!(read.unwrap_err().code(), Some(&SqlState::INSUFFICIENT_PRIVILEGE));
    database.execute(&format!("drop role {login}"));
}

#[test]
fn they_tell_of_the_outbox_how_much_there_is_how_old_it_is_and_what_died() {
    let database = Database::new();
    let edge = database.serve();
    let acme = onboard(&edge, "acme");
    database.execute("delete from nebula.outbox_live");
    database.execute(&format!(
        "select nebula.emit('order.paid', '{{}}', null, '{0}') from generate_series(1, 7); \
         select nebula.emit('order.paid', '{{}}', null, '{0}', now() + interval '1 hour'); \
         update nebula.outbox_live set available_at = now() - interval '100 seconds' \
         where id = (select id from nebula.outbox_live where available_at <= now() order by position limit 1)",
        acme.id
    ));
    assert!(value(&database, "nebula_outbox_rows", r#"{"kind": "event", "status": "pending"}"#) == 8.0);
    assert!(value(&database, "nebula_outbox_due", r#"{"kind": "event"}"#) == 7.0);
    let age = value(&database, "nebula_outbox_oldest_due_seconds", r#"{"kind": "event"}"#);
    assert!((100.0..130.0).contains(&age), "{age}");
    assert!(value(&database, "nebula_outbox_oldest_due_seconds", r#"{"kind": "job"}"#) == 0.0);

    let dead = value(&database, "nebula_outbox_dead_total", "{}");
    let mut queue = Queue::new(&database, "w");
    let jobs = queue.claim(7);
    assert_eq!(jobs.len(), 7);
    assert!(value(&database, "nebula_outbox_rows", r#"{"kind": "event", "status": "running"}"#) == 7.0);
    database.execute("update nebula.outbox_live set locked_until = now() - interval '1 second' where status = 'running' and id in (select id from nebula.outbox_live where status = 'running' limit 2)");
    assert!(value(&database, "nebula_outbox_lapsed", r#"{"kind": "event"}"#) == 2.0);
    database.execute("update nebula.outbox_live set locked_until = now() + interval '1 minute' where status = 'running'");
    for job in &jobs[..3] {
        assert_eq!(queue.fail(job, None, true).as_deref(), Some("dead"));
    }
    assert!(value(&database, "nebula_outbox_dead_total", "{}") == dead + 3.0);
}

#[test]
fn they_tell_of_tasks_partitions_and_schema() {
    let database = Database::new();
    assert!(value(&database, "nebula_partitions_ahead", r#"{"table": "audit_log"}"#) == 12.0);
    assert!(value(&database, "nebula_partition_default_has_rows", r#"{"table": "audit_log"}"#) == 0.0);
    database.execute(
        "drop table nebula.audit_log_default cascade; create table nebula.audit_log_default partition of nebula.audit_log default",
    );
    database.execute("grant select on nebula.audit_log_default to nebula_platform");
    let next = "select format('drop table nebula.%I', max(relname)) from pg_class where relname ~ '^usage_metrics_\\d{4}_\\d{2}$' and relnamespace = 'nebula'::regnamespace";
    database.execute(&database.text(next, &[]));
    assert!(value(&database, "nebula_partitions_ahead", r#"{"table": "usage_metrics"}"#) == 11.0);
    database.execute(
        "insert into nebula.task (name, due_at, last_error, finished_at) values ('retention', now() - interval '10 minutes', 'no storage', '2026-01-02 03:04:05Z'); \
         insert into nebula.task (name) values ('Ana Canarinho')",
    );
    assert!(value(&database, "nebula_task_is_failing", r#"{"task": "retention"}"#) == 1.0);
    assert!(value(&database, "nebula_task_finished_timestamp_seconds", r#"{"task": "retention"}"#) == 1_767_323_045.0);
    assert!(value(&database, "nebula_task_overdue_seconds", r#"{"task": "retention"}"#) >= 600.0);
    assert_eq!(database.number("select count(*) from nebula.metrics() m where m::text like '%Canarinho%'", &[]), 0);
    assert!(value(&database, "nebula_schema_version", "{}") >= value(&database, "nebula_schema_required_version", "{}"));
    assert!(value(&database, "nebula_postgres_blocks_total", r#"{"source": "cache"}"#) > 0.0);
}

#[test]
fn rows_of_one_name_stand_together_and_the_first_has_the_help() {
    let database = Database::new();
    let rows = database.superuser().query("select name, kind, help from nebula.metrics()", &[]).unwrap();
    let mut seen = std::collections::BTreeSet::new();
    let mut last = String::new();
    for row in rows {
        let (name, kind, help): (String, String, String) = (row.get(0), row.get(1), row.get(2));
        assert_eq!(kind == "counter", name.ends_with("_total"), "{name}");
        if name != last {
            assert!(seen.insert(name.clone()) && help.ends_with('.'), "{name} {help}");
            last = name;
        }
    }
}

#[test]
fn a_long_backlog_costs_no_more_than_a_moment() {
    let database = Database::new();
    let edge = database.serve();
    let acme = onboard(&edge, "acme");
    database.execute(&format!(
        "insert into nebula.outbox (tenant_id, type, payload) select '{}', 'order.paid', '{{}}' from generate_series(1, 250000); analyze nebula.outbox_live",
        acme.id
    ));
    let mut worker = database.installation.cluster.connect("nebula_worker", &database.name);
    worker.query("select * from nebula.metrics()", &[]).unwrap();
    let began = Instant::now();
    worker.query("select * from nebula.metrics()", &[]).unwrap();
    let took = began.elapsed();
    assert!(took.as_millis() < 1_000, "{took:?}");
    let rows = value(&database, "nebula_outbox_rows", r#"{"kind": "event", "status": "pending"}"#);
    assert!((200_000.0..300_000.0).contains(&rows), "{rows}");
}

#[test]
fn the_worker_shows_them_and_goes_on_where_they_cannot_be_had() {
    let database = Database::new();
    let worker = worker(&database);
    let shown = Scrape::of(&worker);
    assert!(shown.sum("nebula_database_figures_up", &[]) == 1.0, "{}", shown.text);
    assert!(shown.sum("nebula_partitions_ahead", &["table=\"audit_log\""]) == 12.0);
    assert!(
        shown.text.contains("# TYPE nebula_postgres_blocks_total counter\nnebula_postgres_blocks_total{source=\"cache\"} "),
        "{}",
        shown.text
    );
    database.execute("alter function nebula.metrics() rename to metrics_elsewhere");
    eventually("they are gone and the rest is there", || {
        let shown = Scrape::of(&worker);
        shown.sum("nebula_database_figures_up", &[]) == 0.0
            && !shown.names().contains("nebula_partitions_ahead")
            && shown.names().contains("nebula_worker_claims_total")
    });
    database.execute("alter function nebula.metrics_elsewhere() rename to metrics");
    eventually("they are back", || Scrape::of(&worker).sum("nebula_database_figures_up", &[]) == 1.0);
    // The edge has none: its login may not read them.
    assert!(!Scrape::of(&edge(&database)).names().contains("nebula_partitions_ahead"));
}

#[test]
fn a_figure_that_hangs_holds_up_no_scrape() {
    let database = Database::new();
    let worker = worker(&database);
    assert!(Scrape::of(&worker).sum("nebula_database_figures_up", &[]) == 1.0);
    let mut blocker = database.superuser();
    let mut transaction = blocker.transaction().unwrap();
    transaction.batch_execute("lock table nebula.task in access exclusive mode").unwrap();
    std::thread::sleep(std::time::Duration::from_secs(5));
    let began = Instant::now();
    let shown = Scrape::of(&worker);
    assert!(shown.sum("nebula_database_figures_up", &[]) == 0.0 && began.elapsed().as_secs() < 4, "{:?}", began.elapsed());
    transaction.rollback().unwrap();
    eventually("they are back", || Scrape::of(&worker).sum("nebula_database_figures_up", &[]) == 1.0);
}

#[test]
fn where_statements_are_kept_they_are_told_by_the_function_that_they_call_and_never_by_their_text() {
    let installation = install(Cluster::start("shared_preload_libraries = 'pg_stat_statements'\nfsync = off"));
    let mut postgres = installation.cluster.connect("postgres", "postgres");
    postgres.batch_execute(&format!("alter database {TEMPLATE} with allow_connections true")).unwrap();
    let mut superuser = installation.cluster.connect("postgres", TEMPLATE);
    let mut worker = installation.cluster.connect("nebula_worker", TEMPLATE);
    let told = |client: &mut postgres::Client, name: &str| {
        let sql = "select labels ->> 'function', value from nebula.metrics() where name = $1";
        client.query(sql, &[&name]).unwrap().into_iter().map(|row| (row.get(0), row.get(1))).collect::<BTreeMap<String, f64>>()
    };
    assert!(told(&mut superuser, "nebula_postgres_statement_calls_total").is_empty(), "it is not installed");
    // Anywhere, as on Supabase, and beside a table of that name.
    superuser.batch_execute("create schema extensions; create extension pg_stat_statements schema extensions").unwrap();
    worker.query("select nebula.may_deliver()", &[]).unwrap();
    worker.query("select nebula.may_deliver() /* canarinho */, 'nebula.canarinho(1)'", &[]).unwrap();
    superuser.query("select nebula.readiness()", &[]).unwrap();
    let calls = told(&mut superuser, "nebula_postgres_statement_calls_total");
    assert!(calls["may_deliver"] >= 2.0 && calls.contains_key("readiness") && !calls.contains_key("canarinho"), "{calls:?}");
    assert!(told(&mut superuser, "nebula_postgres_statement_seconds_total")["may_deliver"] > 0.0);
    assert!(told(&mut superuser, "nebula_postgres_statement_slowest_seconds")["may_deliver"] > 0.0);
    // The worker's login may not read its view there until somebody lets it look into the schema, and then sees its own.
    assert!(told(&mut worker, "nebula_postgres_statement_calls_total").is_empty());
    superuser.batch_execute("grant usage on schema extensions to nebula_worker").unwrap();
    let own = told(&mut worker, "nebula_postgres_statement_calls_total");
    assert!(own.contains_key("may_deliver") && !own.contains_key("readiness"), "{own:?}");
}
