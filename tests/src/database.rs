//! A test's own database.

use crate::{
    Edge, Handle, Worker,
    cluster::{Installation, Library, TEMPLATE, installation, postgres_program},
    eventually,
};
use postgres::{Client, types::ToSql};
use std::{
    collections::BTreeMap,
    fs,
    path::PathBuf,
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
};
use uuid::Uuid;

/// A copy of the template; dropped with the value.
pub struct Database {
    pub name: String,
    pub installation: &'static Installation,
}

impl Database {
    /// Copies the template.
    #[must_use]
    #[allow(clippy::new_without_default, reason = "it costs a database")]
    pub fn new() -> Self {
        Self::with(Library::OnDemand)
    }

    /// Copies the template of the cluster that loads the library so.
    #[must_use]
    pub fn with(library: Library) -> Self {
        Self::of(installation(library))
    }

    /// Copies the template of this installation. The copy belongs to the role `postgres`, who need not be a superuser.
    #[must_use]
    pub fn of(installation: &'static Installation) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("test_{}", COUNT.fetch_add(1, Ordering::Relaxed));
        let mut superuser = installation.cluster.connect(installation.cluster.superuser, "postgres");
        superuser.batch_execute(&format!("create database {name} template {TEMPLATE} owner postgres")).unwrap();
        Self { name, installation }
    }

    /// A connection as any role that may log in.
    #[must_use]
    pub fn connect(&self, user: &str) -> Client {
        self.installation.cluster.connect(user, &self.name)
    }

    #[must_use]
    pub fn superuser(&self) -> Client {
        self.connect(self.installation.cluster.superuser)
    }

    /// A session of the edge's login.
    #[must_use]
    pub fn handle(&self) -> Handle {
        Handle::new(self.connect("nebula_edge"))
    }

    #[must_use]
    pub fn url(&self, user: &str) -> String {
        self.installation.cluster.url(user, &self.name)
    }

    /// `nebula serve` on this database.
    #[must_use]
    pub fn serve(&self) -> Edge {
        self.serve_with(&[])
    }

    /// The same with more `NEBULA_*` settings.
    #[must_use]
    pub fn serve_with(&self, settings: &[(&str, &str)]) -> Edge {
        Edge::start(self.installation, &self.url("nebula_edge"), settings)
    }

    /// `nebula worker` on this database, which may send from where it stands.
    #[must_use]
    pub fn work(&self) -> Worker {
        self.work_with(&[])
    }

    /// The same with more `NEBULA_*` settings.
    #[must_use]
    pub fn work_with(&self, settings: &[(&str, &str)]) -> Worker {
        self.adopt();
        Worker::start(self.installation, &self.url("nebula_worker"), settings)
    }

    /// A copy of the template stands elsewhere than that: this says that it may send all the same.
    pub fn adopt(&self) {
        self.execute("select nebula.adopt_here()");
    }

    /// Webhooks may name addresses of this machine, for sessions that begin from now on.
    pub fn allow_loopback_webhooks(&self) {
        self.execute(&format!("alter database {} set nebula.allow_loopback_webhooks = on", self.name));
    }

    /// Waits until nothing is due and nothing under way.
    #[track_caller]
    pub fn settle(&self) {
        let unsettled = "select count(*) from nebula.outbox_live where status = 'running' or available_at <= now()";
        eventually("nothing is left to do", || self.number(unsettled, &[]) == 0);
    }

    /// Each statement that inserts into this table takes so long.
    pub fn slow_inserts(&self, table: &str, seconds: f64) {
        self.execute(&format!(
            "create function public.slow() returns trigger language plpgsql as $$ begin perform pg_sleep({seconds}); return null; end $$; \
             create trigger zzz_slow after insert on {table} for each statement execute function public.slow()"
        ));
    }

    /// Waits until every session has ended: a backend writes what it has gathered of its tenants' usage as it ends, which is after its client has gone.
    #[track_caller]
    pub fn wait_until_deserted(&self) {
        let others = "select count(*) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()";
        eventually("every session has ended", || self.number(others, &[]) == 0);
    }

    /// A copy of the installation's keys that this test may change: the folder.
    #[must_use]
    pub fn own_keys(&self) -> PathBuf {
        self.own_keys_named("own")
    }

    /// The same, for a test with several machines.
    #[must_use]
    pub fn own_keys_named(&self, name: &str) -> PathBuf {
        let folder = self.installation.cluster.dir.join(format!("keys-{}-{name}", self.name));
        fs::create_dir(&folder).unwrap();
        for file in fs::read_dir(&self.installation.keys_dir).unwrap() {
            let path = file.unwrap().path();
            fs::copy(&path, folder.join(path.file_name().unwrap())).unwrap();
        }
        folder
    }

    /// Lets a tenant send thousands of requests in a minute, where that is the test's business.
    #[track_caller]
    pub fn raise_limits(&self, tenant: Uuid) {
        let limits =
            r#"{"read":{"perMinute":1000000},"write":{"perMinute":1000000},"admin":{"perMinute":1000000},"auth":{"perMinute":1000000}}"#;
        let set = "insert into nebula.tenant_config (tenant_id, limits) values ($1, $2::text::jsonb)";
        self.superuser().execute(set, &[&tenant, &limits]).unwrap();
    }

    /// Runs statements as the superuser.
    #[track_caller]
    pub fn execute(&self, sql: &str) {
        self.superuser().batch_execute(sql).unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    }

    /// The first column of the only row, as text; the superuser asks.
    #[track_caller]
    #[must_use]
    pub fn text(&self, sql: &str, args: &[&(dyn ToSql + Sync)]) -> String {
        let row = self.superuser().query_one(sql, args).unwrap_or_else(|error| panic!("{sql}: {error:?}"));
        row.get::<_, Option<String>>(0).unwrap_or_default()
    }

    /// The first column of the only row, as a number; the superuser asks.
    #[track_caller]
    #[must_use]
    pub fn number(&self, sql: &str, args: &[&(dyn ToSql + Sync)]) -> i64 {
        self.superuser().query_one(sql, args).unwrap_or_else(|error| panic!("{sql}: {error:?}")).get(0)
    }

    /// The first column of every row, as text; the superuser asks.
    #[track_caller]
    #[must_use]
    pub fn texts(&self, sql: &str, args: &[&(dyn ToSql + Sync)]) -> Vec<String> {
        let rows = self.superuser().query(sql, args).unwrap_or_else(|error| panic!("{sql}: {error:?}"));
        rows.iter().map(|row| row.get::<_, Option<String>>(0).unwrap_or_default()).collect()
    }

    /// All of it as `pg_dump` writes it.
    #[must_use]
    pub fn dump(&self) -> String {
        dump(&self.url("postgres"))
    }

    /// A copy from a dump of now: everything in it is as `pg_restore` gives it back. Dropped by who makes it.
    #[must_use]
    pub fn restored(&self, name: &str) -> Self {
        let copy = Self { name: format!("{}_{name}", self.name), installation: self.installation };
        copy.installation
            .cluster
            .connect("postgres", "postgres")
            .batch_execute(&format!("create database {} template template0", copy.name))
            .unwrap();
        let file = self.installation.cluster.dir.join(format!("{}.sql", copy.name));
        fs::write(&file, self.dump()).unwrap();
        let output = Command::new(postgres_program("psql"))
            .env_clear()
            .args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", &copy.url("postgres"), "-f"])
            .arg(&file)
            .current_dir("/")
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        copy
    }

    /// Every table of the product, partitions left to their parent.
    #[must_use]
    pub fn tables(&self) -> Vec<String> {
        self.texts(
            "select c.oid::regclass::text from pg_class c \
             where c.relnamespace = 'nebula'::regnamespace and c.relkind in ('r', 'p') and not c.relispartition order by 1",
            &[],
        )
    }

    /// The tables of what people and machines did. Counters of requests change with each request, whatever becomes of it.
    fn tables_of_effects(&self) -> Vec<String> {
        const COUNTERS: [&str; 4] = ["nebula.rate_limit", "nebula.login_failure", "nebula.gathered_usage", "nebula.usage_metrics"];
        self.tables().into_iter().filter(|table| !COUNTERS.contains(&table.as_str())).collect()
    }

    /// How many rows every table has: two equal ones mean that nothing was added or removed.
    #[must_use]
    pub fn row_counts(&self) -> BTreeMap<String, i64> {
        let mut superuser = self.superuser();
        let count = |table: String| {
            let count = superuser.query_one(&format!("select count(*) from {table}"), &[]).unwrap().get(0);
            (table, count)
        };
        self.tables_of_effects().into_iter().map(count).collect()
    }

    /// A digest of every table's rows: two equal ones mean that nothing was changed.
    #[must_use]
    pub fn digests(&self) -> BTreeMap<String, String> {
        let mut superuser = self.superuser();
        let digest = |table: String| {
            let sql = format!(
                "select count(*) || ' ' || coalesce(md5(string_agg(r::text, e'\\n' order by r::text collate \"C\")), '') \
                 from (select to_jsonb(t) - 'last_used_at' as r from {table} t) rows"
            );
            let digest = superuser.query_one(&sql, &[]).unwrap().get(0);
            (table, digest)
        };
        self.tables_of_effects().into_iter().map(digest).collect()
    }
}

/// What `pg_dump` writes of a database.
fn dump(url: &str) -> String {
    let output = Command::new(postgres_program("pg_dump")).env_clear().args(["--no-password", url]).current_dir("/").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

impl Drop for Database {
    fn drop(&mut self) {
        let mut postgres = self.installation.cluster.connect(self.installation.cluster.superuser, "postgres");
        let _ = postgres.batch_execute(&format!("drop database {} with (force)", self.name));
    }
}
