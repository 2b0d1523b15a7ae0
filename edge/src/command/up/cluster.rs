//! The private Postgres: created once, started when it is not running, stopped by `down`.

use super::{super::output::note, place::Place, port};
use crate::error::Error;
use std::{
    fs::{self, DirBuilder, OpenOptions},
    io::Write,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    process::Command,
};

const PREFERRED_PORT: u16 = 54_329;
const INCLUDE: &str = "include_if_exists = 'nebula.conf'";

/// A cluster at a place.
pub struct Cluster<'a> {
    place: &'a Place,
    bindir: PathBuf,
}

impl<'a> Cluster<'a> {
    /// Finds Postgres' programs.
    pub fn find(place: &'a Place, bindir: Option<PathBuf>) -> Result<Self, Error> {
        let candidates = bindir.into_iter().chain(pg_config("--bindir")).chain([PathBuf::from("/usr/lib/postgresql/15/bin")]);
        match candidates.into_iter().find(|folder| folder.join("initdb").is_file()) {
            // Programs are started in another folder than this one.
            Some(bindir) => Ok(Self { place, bindir: fs::canonicalize(&bindir).map_err(Error::file(&bindir))? }),
            None => Err(Error::Program {
                program: "initdb".to_owned(),
                output: "not found: install Postgres' server, or name the folder with --pg-bindir".to_owned(),
            }),
        }
    }

    /// The socket's folder: local connections through it are trusted, so it is open to the database's user alone.
    pub fn socket_dir(&self) -> PathBuf {
        self.place.socket_dir()
    }

    /// The extension's library where this server looks for it.
    pub fn library(&self) -> Option<PathBuf> {
        let folder = Command::new(self.bindir.join("pg_config")).arg("--pkglibdir").output().ok()?;
        Some(PathBuf::from(String::from_utf8_lossy(&folder.stdout).trim()).join("nebula.so"))
    }

    /// Whether these programs can run a cluster of this major version: one version's data means nothing to another.
    fn is_of(&self, made_by: &str) -> Result<(), Error> {
        let output = self.program("postgres").arg("--version").output().map_err(Error::file("postgres"))?;
        let version = String::from_utf8_lossy(&output.stdout).into_owned();
        let major = version.split_whitespace().nth(2).and_then(|number| number.split(|c: char| !c.is_ascii_digit()).next());
        if major == Some(made_by) {
            return Ok(());
        }
        let output = format!(
            "the cluster in {} is of Postgres {made_by}, these programs are not: `make up PG={made_by}`, or `make clean`, which removes what is stored",
            self.place.data_dir().display()
        );
        Err(Error::Program { program: version.trim().to_owned(), output })
    }

    /// Creates the cluster unless it exists; whether it did.
    pub fn create_if_missing(&self) -> Result<bool, Error> {
        let data_dir = self.place.data_dir();
        if let Ok(made_by) = fs::read_to_string(data_dir.join("PG_VERSION")) {
            return self.is_of(made_by.trim()).map(|()| false);
        }
        note("creating a Postgres cluster …");
        private_folder(&data_dir)?;
        self.place.user.own(&data_dir)?;
        let mut initdb = self.program("initdb");
        initdb
            .args(["--username=postgres", "--auth-local=trust", "--auth-host=scram-sha-256"])
            .args(["--encoding=UTF8", "--locale=C.UTF-8", "--data-checksums", "--pgdata"])
            .arg(&data_dir);
        self.place.user.run(&mut initdb)?;
        let path = data_dir.join("postgresql.conf");
        let mut file = OpenOptions::new().append(true).open(&path).map_err(Error::file(&path))?;
        writeln!(file, "{INCLUDE}").map_err(Error::file(&path))?;
        Ok(true)
    }

    /// Starts the server unless it runs; its port, the remembered one where that is still free.
    pub fn start(&self, remembered: Option<u16>) -> Result<u16, Error> {
        if self.is_running()
            && let Some(port) = self.running_port()
        {
            return Ok(port);
        }
        let wanted: Vec<u16> = remembered.into_iter().chain([PREFERRED_PORT]).collect();
        let port = port::free(&wanted)?;
        let socket_dir = self.socket_dir();
        if !socket_dir.exists() {
            private_folder(&socket_dir)?;
            self.place.user.own(&socket_dir)?;
        }
        if !self.place.user.trusts(&socket_dir) {
            return Err(Error::Foreign(socket_dir));
        }
        self.configure(port)?;
        let log = self.place.postgres_log();
        OpenOptions::new().append(true).create(true).open(&log).map_err(Error::file(&log))?;
        self.place.user.own(&log)?;
        note("starting Postgres …");
        let mut pg_ctl = self.program("pg_ctl");
        pg_ctl.args(["start", "--silent", "--wait", "--timeout=60", "--pgdata"]).arg(self.place.data_dir()).arg("--log").arg(&log);
        self.place.user.run(&mut pg_ctl)?;
        Ok(port)
    }

    /// Stops the server if it runs; whether it did.
    pub fn stop(&self) -> Result<bool, Error> {
        if !self.is_running() {
            return Ok(false);
        }
        let mut pg_ctl = self.program("pg_ctl");
        pg_ctl.args(["stop", "--silent", "--mode=fast", "--wait", "--timeout=60", "--pgdata"]).arg(self.place.data_dir());
        self.place.user.run(&mut pg_ctl)?;
        Ok(true)
    }

    fn configure(&self, port: u16) -> Result<(), Error> {
        let path = self.place.data_dir().join("nebula.conf");
        let socket_dir = self.socket_dir();
        let text = format!(
            "listen_addresses = '127.0.0.1'\nport = {port}\nunix_socket_directories = '{}'\nshared_buffers = 256MB\nmax_connections = 100\n",
            socket_dir.to_string_lossy().replace('\'', "''"),
        );
        fs::write(&path, text).map_err(Error::file(&path))?;
        self.place.user.own(&path)
    }

    fn is_running(&self) -> bool {
        let mut pg_ctl = self.program("pg_ctl");
        pg_ctl.args(["status", "--pgdata"]).arg(self.place.data_dir());
        self.place.user.run(&mut pg_ctl).is_ok()
    }

    /// The fourth line of `postmaster.pid` (Postgres: src/include/utils/pidfile.h).
    fn running_port(&self) -> Option<u16> {
        let text = fs::read_to_string(self.place.data_dir().join("postmaster.pid")).ok()?;
        text.lines().nth(3)?.trim().parse().ok()
    }

    fn program(&self, name: &str) -> Command {
        self.place.user.command(self.bindir.join(name))
    }
}

fn private_folder(path: &Path) -> Result<(), Error> {
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(Error::file(path))
}

fn pg_config(option: &str) -> Option<PathBuf> {
    let output = Command::new("pg_config").arg(option).output().ok()?;
    output.status.success().then(|| PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()))
}
