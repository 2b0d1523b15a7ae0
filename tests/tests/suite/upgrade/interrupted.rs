//! `nebula migrate` is killed, waits for locks, runs many times at once: what it leaves is whole, and the next run goes on.

use nebula_tests::{
    Database, catalog,
    cluster::{Cluster, Installation, install, nebula, nebula_program},
    eventually, onboard_by_sql,
    previous::assert_like_new,
};
use postgres::{Client, NoTls, error::SqlState};
use std::{
    process::{Command, Output, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

/// Numbers that look random and are the same in each run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        // Knuth's MMIX generator.
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

fn migrate(url: &str) -> Command {
    let mut command = Command::new(nebula_program());
    command
        .arg("migrate")
        .env_clear()
        .env("NEBULA_ADMIN_DATABASE_URL", url)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// The applied versions, if there is a table of them.
fn applied(client: &mut Client) -> Vec<i32> {
    let exists: bool = client.query_one("select to_regclass('nebula.schema_migration') is not null", &[]).unwrap().get(0);
    if !exists {
        return Vec::new();
    }
    client.query("select version from nebula.schema_migration order by 1", &[]).unwrap().iter().map(|row| row.get(0)).collect()
}

/// The cluster of the test's own, with the database `fresh` in which nothing is.
fn own_cluster() -> (&'static Installation, String) {
    let installation: &'static Installation = Box::leak(Box::new(install(Cluster::start("fsync = off"))));
    installation.cluster.connect("postgres", "postgres").batch_execute("create database fresh").unwrap();
    (installation, installation.cluster.url("postgres", "fresh"))
}

#[test]
fn killed_at_random_points_it_goes_on_and_ends_like_a_new_installation() {
    let (installation, url) = own_cluster();
    let cluster = &installation.cluster;
    let began = Instant::now();
    cluster.connect("postgres", "postgres").batch_execute("create database measured").unwrap();
    let _ = nebula(&cluster.url("postgres", "measured"), &installation.keys_dir, &["migrate"]);
    let whole_ms = u64::try_from(began.elapsed().as_millis()).unwrap();

    let all = applied(&mut cluster.connect("postgres", "measured"));
    let (mut dice, mut seen, mut kills) = (Dice(20_261_122), Vec::new(), 0);
    for round in 0..24 {
        let mut child = migrate(&url).spawn().unwrap();
        thread::sleep(Duration::from_millis(dice.below(whole_ms / 3 + 20)));
        match round % 3 {
            // The program; its backend finds nobody to answer.
            0 => child.kill().unwrap(),
            // The backend.
            1 => drop(cluster.connect("postgres", "postgres").query(
                "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'nebula' and datname = 'fresh'",
                &[],
            )),
            // The server.
            _ => {
                cluster.stop("immediate");
                cluster.start_after_a_crash();
            }
        }
        let output = child.wait_with_output().unwrap();
        kills += i32::from(!output.status.success());
        let mut superuser = cluster.connect("postgres", "fresh");
        // Whoever was killed may still be at its last step.
        let others = "select count(*) from pg_stat_activity where application_name = 'nebula' and datname = 'fresh'";
        eventually("nobody migrates", || superuser.query_one(others, &[]).unwrap().get::<_, i64>(0) == 0);
        let now = applied(&mut superuser);
        assert!(all.starts_with(&now), "without a gap: {now:?}");
        assert!(now.starts_with(&seen), "nothing is taken back: {seen:?}, then {now:?}");
        seen = now;
        if seen == all {
            // Nothing is left to interrupt: from the beginning.
            drop(superuser);
            let mut postgres = cluster.connect("postgres", "postgres");
            postgres.batch_execute("drop database fresh with (force)").unwrap();
            postgres.batch_execute("create database fresh").unwrap();
            seen.clear();
        }
    }
    assert!(kills >= 6, "only {kills} were in time");
    let output = migrate(&url).output().unwrap();
    assert!(output.status.success(), "{}", text(&output));
    assert_like_new(&Database { name: "fresh".to_owned(), installation });
}

#[test]
fn many_at_once_apply_each_migration_once() {
    let (installation, url) = own_cluster();
    let children = (0..6).map(|_| migrate(&url).spawn().unwrap()).collect::<Vec<_>>();
    for child in children {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", text(&output));
    }
    assert_like_new(&Database { name: "fresh".to_owned(), installation });
}

/// Takes the last of the frozen migrations back, so that there is one to apply whose foreign key locks `nebula.tenant`.
fn take_the_last_back(database: &Database) -> String {
    let before = database.text("select max(version)::text from nebula.schema_migration", &[]);
    database
        .execute("drop table nebula.integration_credential, nebula.sealing_key; delete from nebula.schema_migration where version = 21");
    before
}

#[test]
fn a_writer_waits_less_than_a_second_while_a_lock_is_in_the_way_of_a_migration() {
    let database = Database::new();
    let acme = onboard_by_sql(&database, "acme");
    let _ = take_the_last_back(&database);
    // Somebody's long transaction: what a migration needs conflicts with it, and what everybody else needs with the migration.
    let mut long = database.superuser();
    long.batch_execute("begin; update nebula.tenant set name = name where slug = 'platform'").unwrap();
    let (is_over, url) = (AtomicBool::new(false), database.url("postgres"));
    let (slowest, writes) = thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut client = database.superuser();
            let (mut slowest, mut writes) = (Duration::ZERO, 0);
            while !is_over.load(Ordering::Relaxed) {
                let began = Instant::now();
                client.execute("update nebula.tenant set name = md5(name) where id = $1", &[&acme.id]).unwrap();
                slowest = slowest.max(began.elapsed());
                writes += 1;
                thread::sleep(Duration::from_millis(5));
            }
            (slowest, writes)
        });
        let child = migrate(&url).spawn().unwrap();
        thread::sleep(Duration::from_secs(4));
        assert_eq!(database.number("select count(*) from nebula.schema_migration where version = 21", &[]), 0);
        long.batch_execute("rollback").unwrap();
        let output = child.wait_with_output().unwrap();
        is_over.store(true, Ordering::Relaxed);
        assert!(output.status.success(), "{}", text(&output));
        assert!(text(&output).contains("trying on"), "{}", text(&output));
        writer.join().unwrap()
    });
    assert!(slowest < Duration::from_secs(1), "a write waited {slowest:?} ({writes} writes)");
    assert!(writes > 50, "{writes}");
    assert_eq!(database.number("select count(*) from nebula.schema_migration where version = 21", &[]), 1);
}

#[test]
fn a_function_call_gives_up_soon_leaves_nothing_and_keeps_to_the_callers_own_patience() {
    let database = Database::new();
    let _ = take_the_last_back(&database);
    let before = catalog::description(&mut database.superuser());
    let mut long = database.superuser();
    long.batch_execute("begin; update nebula.tenant set name = name").unwrap();
    for (setting, least, most) in [("", 0.4, 3.0), ("set lock_timeout = '1500ms'", 1.4, 4.0)] {
        let mut dba = database.superuser();
        dba.batch_execute(setting).unwrap();
        let began = Instant::now();
        let error = dba.batch_execute("select nebula.migrate()").unwrap_err();
        let took = began.elapsed().as_secs_f64();
        assert_eq!(error.code(), Some(&SqlState::LOCK_NOT_AVAILABLE), "{error:?}");
        assert!((least..most).contains(&took), "{setting}: {took}");
    }
    assert_eq!(catalog::description(&mut database.superuser()), before);
    drop(long);
    eventually("the long transaction ends", || database.superuser().batch_execute("select nebula.migrate()").is_ok());
}

#[test]
fn a_migration_that_fails_leaves_nothing_of_itself_and_keeps_those_before_it() {
    let (installation, url) = own_cluster();
    let mut superuser = Client::connect(&url, NoTls).unwrap();
    superuser.batch_execute("create extension nebula").unwrap();
    // Something stands where the last migration would put its second table.
    let step = |client: &mut Client| client.query_one("select nebula.migrate_next()::text", &[]).map(|row| row.get::<_, String>(0));
    while applied(&mut superuser).len() < 20 {
        step(&mut superuser).unwrap();
    }
    superuser.batch_execute("create table nebula.sealing_key ()").unwrap();
    assert_eq!(step(&mut superuser).unwrap_err().code(), Some(&SqlState::DUPLICATE_TABLE));
    let output = migrate(&url).output().unwrap();
    assert!(!output.status.success() && text(&output).contains("sealing_key"), "{}", text(&output));
    assert_eq!(applied(&mut superuser), (1..=20).collect::<Vec<_>>());
    let first: bool = superuser.query_one("select to_regclass('nebula.integration_credential') is null", &[]).unwrap().get(0);
    assert!(first, "the first table of the failed migration stayed");
    superuser.batch_execute("drop table nebula.sealing_key").unwrap();
    assert!(migrate(&url).output().unwrap().status.success());
    assert_like_new(&Database { name: "fresh".to_owned(), installation });
}
