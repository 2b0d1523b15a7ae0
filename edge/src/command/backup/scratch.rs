//! A cluster that was restored, running for itself: nobody reaches it but through a socket in a private folder.

use crate::{command::os_user::OsUser, error::Error};
use std::{
    fs::{self, DirBuilder},
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    time::Duration,
};
use tokio::time::{Instant, sleep};
use tokio_postgres::{Client, NoTls, error::SqlState};

/// Between two looks at whether it is ready.
const PAUSE: Duration = Duration::from_millis(100);

/// A folder of its own, removed at the end.
pub struct Scratch<'a> {
    dir: PathBuf,
    user: &'a OsUser,
    programs: PathBuf,
    is_running: bool,
}

impl<'a> Scratch<'a> {
    /// Makes the folder below another.
    pub fn make(below: &Path, user: &'a OsUser, programs: &Path) -> Result<Self, Error> {
        let dir = below.join(format!("scratch-{}", std::process::id()));
        DirBuilder::new().mode(0o700).create(&dir).map_err(Error::file(&dir))?;
        let scratch = Self { dir, user, programs: programs.to_owned(), is_running: false };
        user.own(&scratch.dir)?;
        // pgBackRest restores into folders that are there.
        DirBuilder::new().mode(0o700).create(scratch.data()).map_err(Error::file(scratch.data()))?;
        user.own(&scratch.data())?;
        Ok(scratch)
    }

    /// The folder of the socket.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Makes an empty cluster, where none is restored.
    pub fn create(&self) -> Result<(), Error> {
        let mut initdb = self.user.command(self.programs.join("initdb"));
        initdb
            .args(["--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "--username=postgres", "--no-sync", "--pgdata"])
            .arg(self.data());
        self.user.run(&mut initdb).map(drop)
    }

    /// Where the cluster goes.
    pub fn data(&self) -> PathBuf {
        self.dir.join("data")
    }

    fn log(&self) -> PathBuf {
        self.dir.join("log")
    }

    /// Starts the server, whatever its own configuration says. It lets nobody in before it has replayed what it was to replay.
    ///
    /// Debian keeps the configuration outside of the cluster, so that it isn't in a backup; what is in it is of the original's place.
    pub fn start(&mut self, preloaded: &str, patience: Duration) -> Result<(), Error> {
        let (settings, access) = (self.dir.join("postgresql.conf"), self.dir.join("pg_hba.conf"));
        fs::write(&settings, "").map_err(Error::file(&settings))?;
        fs::write(&access, "local all all trust\n").map_err(Error::file(&access))?;
        for file in [&settings, &access] {
            self.user.own(file)?;
        }
        let options = [
            ("config_file", settings.display().to_string()),
            ("hba_file", access.display().to_string()),
            ("listen_addresses", String::new()),
            ("unix_socket_directories", self.dir.display().to_string()),
            ("port", "5432".to_owned()),
            ("shared_preload_libraries", preloaded.to_owned()),
            ("archive_mode", "off".to_owned()),
            ("ssl", "off".to_owned()),
            // Nobody is to read before it is where it was to be restored to.
            ("hot_standby", "off".to_owned()),
            ("synchronous_standby_names", String::new()),
            ("logging_collector", "off".to_owned()),
            ("log_destination", "stderr".to_owned()),
            ("max_connections", "20".to_owned()),
            ("shared_buffers", "64MB".to_owned()),
            ("huge_pages", "off".to_owned()),
        ];
        let options =
            options.iter().map(|(name, value)| format!("-c {name}='{}'", value.replace('\'', "''"))).collect::<Vec<_>>().join(" ");
        let mut start = self.user.command(self.programs.join("pg_ctl"));
        start.arg("-D").arg(self.data()).arg("-l").arg(self.log()).args([
            "-w",
            "-t",
            &patience.as_secs().to_string(),
            "-o",
            &options,
            "start",
        ]);
        self.is_running = true;
        self.user.run(&mut start).map(drop).map_err(|error| self.failed(&error))
    }

    /// A connection to one of its databases, as soon as it has replayed what it was to replay.
    pub async fn connect(&self, user: &str, database: &str, patience: Duration) -> Result<Client, Error> {
        let mut config = tokio_postgres::Config::new();
        config.host_path(&self.dir).port(5432).user(user).dbname(database);
        let deadline = Instant::now() + patience;
        loop {
            match config.connect(NoTls).await {
                Ok((client, connection)) => {
                    tokio::spawn(connection);
                    return Ok(client);
                }
                Err(error) if error.code() == Some(&SqlState::CANNOT_CONNECT_NOW) && Instant::now() < deadline => sleep(PAUSE).await,
                Err(error) => return Err(self.failed(&Error::from(error))),
            }
        }
    }

    fn failed(&self, error: &Error) -> Error {
        let log = fs::read_to_string(self.log()).unwrap_or_default();
        let last = log.lines().rev().take(5).collect::<Vec<_>>();
        Error::Backup(format!("the restored cluster doesn't start: {error}; its log, newest first: {}", last.join(" | ")))
    }
}

impl Drop for Scratch<'_> {
    /// Best effort: what stays behind is a folder with a name that says what it was.
    fn drop(&mut self) {
        if self.is_running {
            let mut stop = self.user.command(self.programs.join("pg_ctl"));
            stop.arg("-D").arg(self.data()).args(["-m", "immediate", "-w", "-t", "60", "stop"]);
            let _ = self.user.run(&mut stop);
        }
        let _ = fs::remove_dir_all(&self.dir);
    }
}
