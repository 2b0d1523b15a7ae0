//! Postgres refuses to run as root, so root runs it as `postgres`; anybody else as themselves.

use crate::error::Error;
use std::{
    ffi::OsStr,
    os::unix::{
        fs::{MetadataExt, chown},
        process::CommandExt,
    },
    path::Path,
    process::{Command, Stdio},
};

/// The operating-system user that runs Postgres' programs.
pub struct OsUser {
    /// User and group to become; `None` where no change is needed.
    ids: Option<(u32, u32)>,
}

impl OsUser {
    pub fn for_postgres() -> Result<Self, Error> {
        if !rustix::process::geteuid().is_root() {
            return Ok(Self { ids: None });
        }
        Ok(Self { ids: Some((id_of("-u")?, id_of("-g")?)) })
    }

    /// Nobody else.
    pub fn ourselves() -> Self {
        Self { ids: None }
    }

    /// Whom a file or folder belongs to, for root; anybody else stays themselves.
    pub fn owner_of(path: &Path) -> Result<Self, Error> {
        if !rustix::process::geteuid().is_root() {
            return Ok(Self { ids: None });
        }
        let metadata = path.metadata().map_err(Error::file(path))?;
        Ok(Self { ids: Some((metadata.uid(), metadata.gid())) })
    }

    /// A program as this user, started where every user may be.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command.current_dir("/").stdin(Stdio::null());
        if let Some((user, group)) = self.ids {
            // Without the variables of root's session, which name files that this user can't read.
            command.uid(user).gid(group).env_remove("HOME").env_remove("XDG_RUNTIME_DIR");
        }
        command
    }

    /// Runs a program to its end; its output, or the error that it reports.
    pub fn run(&self, command: &mut Command) -> Result<String, Error> {
        let program = command.get_program().to_string_lossy().into_owned();
        let output = command.output().map_err(Error::file(&program))?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        let said = if output.stderr.is_empty() { &output.stdout } else { &output.stderr };
        Err(Error::Program { program, output: String::from_utf8_lossy(said).trim().to_owned() })
    }

    /// Whether a path is a folder that this user, or whoever runs `up`, made: in `/tmp` anybody could have been first.
    pub fn trusts(&self, path: &Path) -> bool {
        let owner_is_known = |owner: u32| owner == rustix::process::geteuid().as_raw() || self.ids.is_some_and(|(user, _)| owner == user);
        path.symlink_metadata().is_ok_and(|metadata| metadata.is_dir() && owner_is_known(metadata.uid()))
    }

    /// Gives a file or folder to this user.
    pub fn own(&self, path: &Path) -> Result<(), Error> {
        match self.ids {
            Some((user, group)) => chown(path, Some(user), Some(group)).map_err(Error::file(path)),
            None => Ok(()),
        }
    }
}

fn id_of(option: &str) -> Result<u32, Error> {
    let failed = |output: String| Error::Program { program: format!("id {option} postgres"), output };
    let output = Command::new("id").args([option, "postgres"]).output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    text.trim().parse().map_err(|_| failed("there is no user `postgres`; as root, Postgres is run as that user".to_owned()))
}
