//! The real PgBouncer, in transaction mode: each transaction of a client may run in another backend, which another client used a moment ago.

use crate::{cluster::free_port, database::Database, eventually};
use postgres::{Client, NoTls};
use serde_json::Value;
use std::{
    fs,
    net::TcpStream,
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
};

/// A running PgBouncer before one database; killed by its id when dropped.
pub struct PgBouncer {
    child: Child,
    mark: PathBuf,
    log: PathBuf,
    port: u16,
    database: String,
    pool_size: usize,
}

impl PgBouncer {
    /// Starts it for these logins, with so many backends for each.
    #[must_use]
    pub fn start(database: &Database, logins: &[&str], pool_size: usize) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let program = ["/usr/sbin/pgbouncer", "/usr/bin/pgbouncer"].into_iter().find(|program| fs::exists(program).unwrap_or_default());
        let program = program.expect("pgbouncer is missing: run `make tools`");
        let cluster = &database.installation.cluster;
        let dir = cluster.dir.join(format!("pgbouncer-{}", COUNT.fetch_add(1, Ordering::Relaxed)));
        fs::create_dir(&dir).unwrap();
        // PgBouncer gives up root, and then writes its log here.
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o777)).unwrap();
        let (port, log) = (free_port(), dir.join("log"));
        fs::write(dir.join("logins"), logins.iter().map(|login| format!("\"{login}\" \"\"\n")).collect::<String>()).unwrap();
        let configuration = format!(
            "[databases]\n* = host=127.0.0.1 port={}\n\
             [pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n\
             auth_type = trust\nauth_file = {}\nlogfile = {}\n\
             pool_mode = transaction\nmax_client_conn = 1000\ndefault_pool_size = {pool_size}\n\
             server_login_retry = 1\nlog_connections = 0\nlog_disconnections = 0\n",
            cluster.port,
            dir.join("logins").display(),
            log.display(),
        );
        let file = dir.join("pgbouncer.ini");
        fs::write(&file, configuration).unwrap();
        let mut command = Command::new(program);
        if fs::metadata("/proc/self").is_ok_and(|me| std::os::unix::fs::MetadataExt::uid(&me) == 0) {
            command.args(["-u", "postgres"]);
        }
        let child = command
            .arg(&file)
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mark = cluster.dir.join("edges").join(child.id().to_string());
        fs::write(&mark, "").unwrap();
        let mut bouncer = Self { child, mark, log, port, database: database.name.clone(), pool_size };
        eventually("pgbouncer listens", || {
            assert!(bouncer.child.try_wait().unwrap().is_none(), "pgbouncer ended: {}", bouncer.log());
            TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
        bouncer
    }

    /// A connection string that leads through it.
    #[must_use]
    pub fn url(&self, user: &str) -> String {
        format!("postgresql://{user}@127.0.0.1:{}/{}", self.port, self.database)
    }

    /// A connection through it. Statements with names don't work there.
    pub fn connect(&self, user: &str) -> Result<Client, postgres::Error> {
        Client::connect(&self.url(user), NoTls)
    }

    /// What it has logged so far.
    #[must_use]
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// What is found in the backends of a login that doesn't belong into one that is between two clients: nothing, or a line for each backend.
    ///
    /// As many transactions as there may be backends are open at once, so that each backend is met.
    #[must_use]
    pub fn dirt(&self, login: &str) -> Vec<String> {
        let mut clients = (0..self.pool_size).map(|_| self.connect(login).unwrap()).collect::<Vec<_>>();
        for client in &mut clients {
            client.batch_execute("begin").unwrap();
            client.simple_query("select 1").unwrap();
        }
        let found = clients.iter_mut().filter_map(dirt_of).collect();
        for client in &mut clients {
            client.batch_execute("commit").unwrap();
        }
        found
    }
}

/// What there is in this backend beside what a fresh one has. Settings of the protocol are the pooler's: it lays them for each client.
fn dirt_of(client: &mut Client) -> Option<String> {
    const FOUND: &str = "\
        select jsonb_strip_nulls(jsonb_build_object( \
          'settings', (select jsonb_object_agg(name, setting) from pg_settings where source = 'session' \
             and name not in ('application_name', 'client_encoding', 'DateStyle', 'IntervalStyle', 'TimeZone', 'standard_conforming_strings')), \
          'claims', nullif(current_setting('request.jwt.claims', true), ''), \
          'role', case when current_user <> session_user then current_user end, \
          'prepared', (select jsonb_agg(statement) from pg_prepared_statements where name <> ''), \
          'cursors', (select jsonb_agg(statement) from pg_cursors where name <> ''), \
          'channels', (select jsonb_agg(channel) from pg_listening_channels() channel), \
          'temporary', (select jsonb_agg(relname) from pg_class where relnamespace = pg_my_temp_schema() and pg_my_temp_schema() <> 0), \
          'locks', (select jsonb_agg(jsonb_build_array(classid, objid)) from pg_locks where pid = pg_backend_pid() and locktype = 'advisory')))::text";
    let row = client.query_typed_one(FOUND, &[]).unwrap();
    let found: Value = serde_json::from_str(row.get(0)).unwrap();
    (found != serde_json::json!({})).then(|| found.to_string())
}

impl Drop for PgBouncer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_file(&self.mark);
    }
}
