//! pgBackRest: its configuration and its runs.

use super::{repository, server::Server};
use crate::{command::os_user::OsUser, config::Config, error::Error};
use serde::Deserialize;
use std::{
    fmt::Write as _,
    fs::{self, DirBuilder, OpenOptions, Permissions},
    io::Write as _,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    process::Command,
};

/// The program with one stanza of one configuration file.
pub struct PgBackRest<'a> {
    config: &'a Config,
    /// Whom the cluster's files belong to.
    user: &'a OsUser,
}

/// A backup, as `info` tells of it.
#[derive(Clone, Debug, Deserialize)]
pub struct Backup {
    pub label: String,
    #[serde(rename = "type")]
    pub kind: String,
    pub timestamp: Times,
    pub info: Info,
}

/// In seconds of Unix.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Times {
    pub start: i64,
    pub stop: i64,
}

/// In bytes.
#[derive(Clone, Debug, Deserialize)]
pub struct Info {
    /// Of the cluster.
    pub size: u64,
    pub repository: Size,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Size {
    /// Of what this backup added.
    pub delta: u64,
}

#[derive(Deserialize)]
struct Stanza {
    backup: Vec<Backup>,
}

impl<'a> PgBackRest<'a> {
    pub fn new(config: &'a Config, user: &'a OsUser) -> Self {
        Self { config, user }
    }

    /// The configuration's file.
    pub fn file(&self) -> PathBuf {
        self.config.backup_dir.join("pgbackrest.conf")
    }

    /// Writes the configuration. It holds the repository's credentials, so nobody else reads it.
    pub fn configure(&self, server: &Server) -> Result<(), Error> {
        let dir = &self.config.backup_dir;
        self.refuse_odd_names()?;
        for folder in [dir.clone(), dir.join("log"), dir.join("lock"), dir.join("spool")] {
            self.make_folder(&folder)?;
        }
        if let Some(folder) = repository::local_folder(self.config) {
            self.make_folder(&folder)?;
        }
        let file = self.file();
        let new = file.with_extension("new");
        let _ = fs::remove_file(&new);
        let mut opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new).map_err(Error::file(&new))?;
        opened.write_all(self.text(server)?.as_bytes()).map_err(Error::file(&new))?;
        self.user.own(&new)?;
        fs::rename(&new, &file).map_err(Error::file(&file))
    }

    /// Both stand in a shell command that the server runs, and in lines of a file.
    fn refuse_odd_names(&self) -> Result<(), Error> {
        let is_plain = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/._-".contains(&byte));
        let dir = self.config.backup_dir.to_string_lossy();
        if !self.config.backup_dir.is_absolute() || !is_plain(&dir) {
            return Err(Error::Backup("backup_dir must be an absolute path of letters, digits, `/`, `.`, `_` and `-`".to_owned()));
        }
        if !is_plain(&self.config.backup_stanza) || self.config.backup_stanza.contains('/') {
            return Err(Error::Backup("backup_stanza must be of letters, digits, `.`, `_` and `-`".to_owned()));
        }
        Ok(())
    }

    /// A folder of the cluster's user; one that is there stays as it is.
    pub fn make_folder(&self, folder: &Path) -> Result<(), Error> {
        if folder.is_dir() {
            return Ok(());
        }
        if let Some(parent) = folder.parent() {
            fs::create_dir_all(parent).map_err(Error::file(parent))?;
        }
        DirBuilder::new().mode(0o750).create(folder).map_err(Error::file(folder))?;
        fs::set_permissions(folder, Permissions::from_mode(0o750)).map_err(Error::file(folder))?;
        self.user.own(folder)
    }

    fn text(&self, server: &Server) -> Result<String, Error> {
        let dir = self.config.backup_dir.display();
        let mut text =
            "# Made by `nebula backup init` of Nebula's settings, and again by its next run: change those.\n[global]\n".to_owned();
        let mut lines = repository::lines(self.config)?;
        lines.extend([
            ("repo1-retention-full-type", "time".to_owned()),
            ("repo1-retention-full", self.config.backup_retention_days.max(1).to_string()),
            ("repo1-bundle", "y".to_owned()),
            ("compress-type", "zst".to_owned()),
            ("process-max", "2".to_owned()),
            // A backup begins with a checkpoint: now, not when the next one is due.
            ("start-fast", "y".to_owned()),
            ("log-path", format!("{dir}/log")),
            ("lock-path", format!("{dir}/lock")),
            ("spool-path", format!("{dir}/spool")),
            ("log-level-console", "warn".to_owned()),
            ("log-level-file", "info".to_owned()),
        ]);
        for (name, value) in lines {
            // Writing into a String never fails.
            let _ = writeln!(text, "{name}={value}");
        }
        let facts = &server.facts;
        let _ = writeln!(
            text,
            "\n[{}]\npg1-path={}\npg1-port={}\npg1-user={}\npg1-database={}",
            self.config.backup_stanza,
            facts.data_directory.display(),
            facts.port,
            facts.superuser,
            facts.database
        );
        if !facts.socket_directory.as_os_str().is_empty() {
            let _ = writeln!(text, "pg1-socket-path={}", facts.socket_directory.display());
        }
        Ok(text)
    }

    /// What the server runs for each piece of WAL.
    pub fn archive_command(&self) -> String {
        format!("pgbackrest --config={} --stanza={} archive-push %p", self.file().display(), self.config.backup_stanza)
    }

    /// Runs one of its commands to its end; what it printed.
    pub fn run(&self, arguments: &[&str]) -> Result<String, Error> {
        let file = self.file();
        if !file.exists() {
            return Err(Error::Backup(format!("{} is missing: run `nebula backup init`", file.display())));
        }
        let mut command = self.user.command("pgbackrest");
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("PGBACKREST_")) {
            command.env_remove(name);
        }
        command.arg(format!("--config={}", file.display())).arg(format!("--stanza={}", self.config.backup_stanza)).args(arguments);
        self.finish(&mut command)
    }

    fn finish(&self, command: &mut Command) -> Result<String, Error> {
        match self.user.run(command) {
            Err(Error::File { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
                Err(Error::Backup("pgbackrest is not installed: Debian's package is called so, too".to_owned()))
            }
            outcome => outcome,
        }
    }

    /// Every backup, the oldest first.
    pub fn backups(&self) -> Result<Vec<Backup>, Error> {
        let text = self.run(&["info", "--output=json"])?;
        let stanzas: Vec<Stanza> = serde_json::from_str(text.trim()).map_err(|error| Error::Backup(format!("pgbackrest info: {error}")))?;
        Ok(stanzas.into_iter().flat_map(|stanza| stanza.backup).collect())
    }

    /// Restores into a folder that isn't there yet. What is restored archives nothing: two servers must not write into one archive.
    pub fn restore(&self, to: &Path, target: &[String]) -> Result<(), Error> {
        let (path, tablespaces) = (format!("--pg1-path={}", to.display()), format!("--tablespace-map-all={}-tablespaces", to.display()));
        let mut arguments = vec!["restore", path.as_str(), tablespaces.as_str(), "--archive-mode=off"];
        arguments.extend(target.iter().map(String::as_str));
        self.run(&arguments).map(drop)
    }
}
