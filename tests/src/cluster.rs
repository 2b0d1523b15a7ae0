//! A private Postgres that dies with this process, and the template that every test's database is copied from.

use crate::{token::Signer, wait::eventually};
use postgres::{Client, NoTls};
use std::{
    fs,
    net::TcpListener,
    os::unix::{fs::MetadataExt, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::OnceLock,
    thread::sleep,
    time::{Duration, Instant},
};

/// The template's name.
pub const TEMPLATE: &str = "nebula_template";

/// A private cluster. Trusts whoever connects: it listens on the loopback address alone, and passwords of logins aren't what is tested.
pub struct Cluster {
    pub dir: PathBuf,
    pub port: u16,
    /// The folder of its server's programs.
    programs: PathBuf,
    /// Whom initdb made: the superuser.
    pub superuser: &'static str,
    /// Ends the cluster and everything in `edges/` when this process is gone, however it went: it waits for its standard input to end.
    watcher: Child,
}

/// The cluster of this run, with what was made in it.
pub struct Installation {
    pub cluster: Cluster,
    /// Signs as the edge does.
    pub signer: Signer,
    pub keys_dir: PathBuf,
    pub operator_key: String,
}

/// The checkout.
#[must_use]
pub fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate lies in the workspace")
}

/// A program of the relocated tree that has the extension in it (`make install`).
#[must_use]
pub fn postgres_program(name: &str) -> PathBuf {
    let program = postgres_programs().join(name);
    assert!(program.exists(), "{} is missing: run `make install`, or set NEBULA_PG_BINDIR", program.display());
    program
}

/// The folder of those programs.
#[must_use]
pub fn postgres_programs() -> PathBuf {
    std::env::var_os("NEBULA_PG_BINDIR").map_or_else(|| workspace().join("target/postgres-15/lib/postgresql/15/bin"), PathBuf::from)
}

/// The real binary.
#[must_use]
pub fn nebula_program() -> PathBuf {
    let program = std::env::var_os("NEBULA_BIN").map_or_else(|| workspace().join("target/release/nebula"), PathBuf::from);
    assert!(program.exists(), "{} is missing: run `cargo build --release`", program.display());
    program
}

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|me| me.uid() == 0)
}

/// A command as the user that Postgres may run as, in a clean environment.
fn unprivileged(program: &Path) -> Command {
    let mut command = if is_root() {
        let mut command = Command::new("runuser");
        command.args(["-u", "postgres", "--"]).arg(program);
        command
    } else {
        Command::new(program)
    };
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("LC_ALL", "C.UTF-8").current_dir("/");
    command
}

#[track_caller]
fn run(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{command:?}: {text}{}", String::from_utf8_lossy(&output.stderr));
    text
}

/// A port that nobody listens on now.
#[must_use]
pub fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).and_then(|listener| listener.local_addr()).expect("a free port").port()
}

impl Cluster {
    /// Makes and starts a cluster; `settings` are added to its configuration.
    #[must_use]
    pub fn start(settings: &str) -> Self {
        let cluster = Self::prepare(settings);
        cluster.start_again();
        cluster
    }

    /// Makes a cluster without starting it.
    #[must_use]
    pub fn prepare(settings: &str) -> Self {
        Self::prepare_with(|_| postgres_programs(), settings)
    }

    /// The same with programs of its own, which may be made in the cluster's folder.
    #[must_use]
    pub fn prepare_with(programs: impl FnOnce(&Path) -> PathBuf, settings: &str) -> Self {
        Self::prepare_for("postgres", programs, settings)
    }

    /// The same, of this superuser.
    #[must_use]
    pub fn prepare_for(superuser: &'static str, programs: impl FnOnce(&Path) -> PathBuf, settings: &str) -> Self {
        let made = run(unprivileged(Path::new("mktemp")).args(["-d", "/tmp/nebula-test-XXXXXX"]));
        let dir = PathBuf::from(made.trim());
        fs::create_dir(dir.join("edges")).unwrap();
        let watcher = watch(&dir);
        let programs = programs(&dir);
        let data = dir.join("data");
        run(unprivileged(&programs.join("initdb")).arg("-D").arg(&data).args([
            "-U",
            superuser,
            "-A",
            "trust",
            "-E",
            "UTF8",
            "--locale=C.UTF-8",
            "--no-sync",
        ]));
        let port = free_port();
        let configuration = format!(
            "listen_addresses = '127.0.0.1'\nport = {port}\nunix_socket_directories = '{}'\nmax_connections = 400\n\
             log_line_prefix = '%m [%p] %u@%d '\nlog_lock_waits = on\n{settings}\n",
            dir.display()
        );
        let path = data.join("postgresql.auto.conf");
        fs::write(path, configuration).unwrap();
        Self { dir, port, programs, superuser, watcher }
    }

    /// Starts the server and waits until it accepts connections.
    pub fn start_again(&self) {
        run(unprivileged(&self.programs.join("pg_ctl"))
            .arg("-D")
            .arg(self.dir.join("data"))
            .arg("-l")
            .arg(self.log_path())
            .args(["-w", "-t", "60", "start"]));
    }

    /// A physical copy of this server, as `pg_basebackup` makes it, running beside it.
    #[must_use]
    pub fn base_backup(&self) -> Self {
        self.copy(&[], "")
    }

    /// A replica that streams from this server, which knows it as `replica`. It waits for nobody when it is promoted.
    #[must_use]
    pub fn replica(&self) -> Self {
        let primary = format!("host=127.0.0.1 port={} user={} application_name=replica", self.port, self.superuser);
        self.copy(&["-R", "-d", &primary], "synchronous_standby_names = ''\n")
    }

    fn copy(&self, options: &[&str], more_settings: &str) -> Self {
        let made = run(unprivileged(Path::new("mktemp")).args(["-d", "/tmp/nebula-test-XXXXXX"]));
        let dir = PathBuf::from(made.trim());
        fs::create_dir(dir.join("edges")).unwrap();
        let watcher = watch(&dir);
        let data = dir.join("data");
        let server = ["-h", "127.0.0.1", "-p", &self.port.to_string(), "-U", self.superuser];
        run(unprivileged(&postgres_program("pg_basebackup"))
            .args(server)
            .args(options)
            .args(["-X", "stream", "-c", "fast", "-D"])
            .arg(&data));
        let port = free_port();
        let path = data.join("postgresql.auto.conf");
        let settings = fs::read_to_string(&path).unwrap();
        fs::write(path, format!("{settings}port = {port}\nunix_socket_directories = '{}'\n{more_settings}", dir.display())).unwrap();
        let copy = Self { dir, port, programs: self.programs.clone(), superuser: self.superuser, watcher };
        copy.start_again();
        copy
    }

    /// Starts the server after its first process was killed: what it left behind has to end first, and what was written has to be replayed.
    pub fn start_after_a_crash(&self) {
        let deadline = Instant::now() + Duration::from_secs(180);
        loop {
            let mut start = unprivileged(&self.programs.join("pg_ctl"));
            start.arg("-D").arg(self.dir.join("data")).arg("-l").arg(self.log_path()).args(["-w", "-t", "120", "start"]);
            let status = start.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap();
            if status.success() {
                return;
            }
            let log = self.log();
            let tail = log.lines().rev().take(20).collect::<Vec<_>>();
            assert!(Instant::now() < deadline, "the server doesn't start after a crash; its log, newest first:\n{}", tail.join("\n"));
            sleep(Duration::from_millis(200));
        }
    }

    /// Stops the server: `fast` ends sessions, `immediate` is a crash.
    pub fn stop(&self, mode: &str) {
        run(unprivileged(&self.programs.join("pg_ctl")).arg("-D").arg(self.dir.join("data")).args(["-w", "-m", mode, "stop"]));
    }

    /// A cluster whose files are somewhere already, such as a restored one, on a port of its own.
    #[must_use]
    pub fn run_beside(&self, data: &Path) -> Self {
        let made = run(unprivileged(Path::new("mktemp")).args(["-d", "/tmp/nebula-test-XXXXXX"]));
        let dir = PathBuf::from(made.trim());
        fs::create_dir(dir.join("edges")).unwrap();
        let watcher = watch(&dir);
        std::os::unix::fs::symlink(data, dir.join("data")).unwrap();
        let port = free_port();
        let path = data.join("postgresql.auto.conf");
        let settings = fs::read_to_string(&path).unwrap();
        fs::write(path, format!("{settings}port = {port}\nunix_socket_directories = '{}'\n", dir.display())).unwrap();
        let copy = Self { dir, port, programs: self.programs.clone(), superuser: self.superuser, watcher };
        copy.start_again();
        copy
    }

    /// Makes a primary of a replica, and waits until it is one.
    pub fn promote(&self) {
        run(unprivileged(&self.programs.join("pg_ctl")).arg("-D").arg(self.dir.join("data")).args(["-w", "promote"]));
    }

    /// Kills the server and all of its processes: the machine is gone.
    pub fn kill(&self) {
        let file = fs::read_to_string(self.dir.join("data/postmaster.pid")).unwrap();
        let postmaster = file.lines().next().unwrap();
        let children = Command::new("ps").args(["-o", "pid=", "--ppid", postmaster]).output().unwrap();
        let children = String::from_utf8_lossy(&children.stdout).into_owned();
        // A child may have ended by itself.
        let _ = Command::new("kill").args(["-9", postmaster]).args(children.split_whitespace()).status().unwrap();
    }

    /// Reads its configuration again.
    pub fn reload(&self) {
        run(unprivileged(&self.programs.join("pg_ctl")).arg("-D").arg(self.dir.join("data")).arg("reload"));
    }

    /// A file of the server's own, which only its user reads.
    pub fn own(&self, path: &Path) {
        let dir = fs::metadata(&self.dir).unwrap();
        std::os::unix::fs::chown(path, Some(dir.uid()), Some(dir.gid())).unwrap();
        fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    }

    fn log_path(&self) -> PathBuf {
        self.dir.join("log")
    }

    /// What the server has logged so far.
    #[must_use]
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.log_path()).unwrap_or_default()).into_owned()
    }

    /// A connection string.
    #[must_use]
    pub fn url(&self, user: &str, database: &str) -> String {
        format!("postgresql://{user}@127.0.0.1:{}/{database}", self.port)
    }

    /// A connection.
    #[must_use]
    pub fn connect(&self, user: &str, database: &str) -> Client {
        Client::connect(&self.url(user, database), NoTls).unwrap_or_else(|error| panic!("{user}@{database}: {error}"))
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        drop(self.watcher.stdin.take());
        let _ = self.watcher.wait();
    }
}

/// A shell that outlives us by a moment, out of reach of the terminal's Ctrl-C.
fn watch(dir: &Path) -> Child {
    let as_user = if is_root() { "runuser -u postgres --" } else { "" };
    let script = format!(
        "cat >/dev/null; for edge in '{0}'/edges/*; do [ -e \"$edge\" ] && kill -9 \"${{edge##*/}}\"; done; \
         {as_user} '{1}' -D '{0}/data' -m immediate stop; rm -rf '{0}'",
        dir.display(),
        postgres_program("pg_ctl").display(),
    );
    Command::new("sh")
        .args(["-c", &script])
        .current_dir("/")
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("sh")
}

/// Runs `nebula …` as a DBA would.
#[track_caller]
pub fn nebula(admin_url: &str, keys_dir: &Path, arguments: &[&str]) -> String {
    nebula_of(&nebula_program(), admin_url, keys_dir, arguments)
}

/// The same with the program of any release.
#[track_caller]
pub fn nebula_of(program: &Path, admin_url: &str, keys_dir: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new(program);
    command
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("NEBULA_ADMIN_DATABASE_URL", admin_url)
        .env("NEBULA_KEYS_DIR", keys_dir)
        .args(arguments);
    run(&mut command).trim().to_owned()
}

/// Durability is the faults' business; they start clusters of their own.
pub const QUICK: &str = "fsync = off\nsynchronous_commit = off\nfull_page_writes = off\nautovacuum_naptime = '1h'";

/// How the library comes into a backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Library {
    /// With the first function that is called, as on a managed Postgres.
    OnDemand,
    /// `shared_preload_libraries`.
    Preloaded,
}

/// The cluster of this run with its library loaded so, made when the first test asks for it.
pub fn installation(library: Library) -> &'static Installation {
    // `None` where it failed: that is told once, and not tried again by every test.
    static ON_DEMAND: OnceLock<Option<Installation>> = OnceLock::new();
    static PRELOADED: OnceLock<Option<Installation>> = OnceLock::new();
    let (place, settings) = match library {
        Library::OnDemand => (&ON_DEMAND, QUICK.to_owned()),
        Library::Preloaded => (&PRELOADED, format!("{QUICK}\nshared_preload_libraries = 'nebula'")),
    };
    let made = place.get_or_init(|| std::panic::catch_unwind(|| install(Cluster::start(&settings))).ok());
    made.as_ref().expect("the cluster of this run could not be made; the first test that asked for it says why")
}

/// Makes the template database in a cluster, by the commands that an operator uses.
#[must_use]
pub fn install(cluster: Cluster) -> Installation {
    install_with(&nebula_program(), cluster)
}

/// The same with the program of any release.
#[must_use]
pub fn install_with(program: &Path, cluster: Cluster) -> Installation {
    // Supabase's roles, before the extension: grants follow them.
    cluster
        .connect("postgres", "postgres")
        .batch_execute(
            "create role authenticator login noinherit; create role authenticated nologin; create role anon nologin; \
             grant authenticated, anon to authenticator",
        )
        .unwrap();
    cluster.connect("postgres", "postgres").batch_execute(&format!("create database {TEMPLATE}")).unwrap();
    furnish(program, cluster)
}

/// Makes the template database, which is there and empty, as the role `postgres`, by the commands that an operator uses.
#[must_use]
pub fn furnish(program: &Path, cluster: Cluster) -> Installation {
    let admin_url = cluster.url("postgres", TEMPLATE);
    let keys_dir = cluster.dir.join("keys");
    let nebula = |arguments: &[&str]| nebula_of(program, &admin_url, &keys_dir, arguments);
    nebula(&["migrate"]);
    nebula(&["seed"]);
    // The release before has other words for it.
    let (generate, issue): (&[&str], &[&str]) = if *program == nebula_program() {
        (&["key", "signing", "generate"], &["key", "operator", "issue", "--name", "harness"])
    } else {
        (&["keys", "generate"], &["seed", "--operator", "--name", "harness"])
    };
    let kid = nebula(generate);
    let operator_key = nebula(issue);
    let signer = Signer::load(&keys_dir.join(format!("{kid}.pem")), &kid);
    let mut postgres = cluster.connect(cluster.superuser, "postgres");
    // Nothing may be connected to a template while it is copied.
    eventually("the template's sessions end", || {
        let sessions: i64 = postgres.query_one("select count(*) from pg_stat_activity where datname = $1", &[&TEMPLATE]).unwrap().get(0);
        sessions == 0
    });
    postgres.batch_execute(&format!("alter database {TEMPLATE} with allow_connections false")).unwrap();
    Installation { cluster, signer, keys_dir, operator_key }
}
