//! `nebula restore`: the whole cluster, as it was, into a new folder.

use super::{
    backup::PgBackRest,
    os_user::OsUser,
    output::{note, tell},
};
use crate::{config::Config, error::Error};
use jiff::{Timestamp, tz::TimeZone};
use serde::Serialize;
use std::{
    fmt,
    path::{Path, PathBuf},
};

#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The folder, which must not be there, or be empty.
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
    /// As it was then, in RFC 3339: `2026-03-01T14:29:59Z`. What was committed later is left out [default: the newest that was archived].
    #[arg(long, value_name = "TIME")]
    at: Option<Timestamp>,
    /// From this backup on; `nebula backup list` names them [default: the newest that suits].
    #[arg(long, value_name = "LABEL")]
    backup: Option<String>,
}

/// Where the cluster is now.
#[derive(Serialize)]
struct Restored<'a> {
    folder: &'a Path,
}

impl fmt::Display for Restored<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.folder.display())
    }
}

pub async fn run(arguments: &Arguments, config: &Config) -> Result<(), Error> {
    let to = std::path::absolute(&arguments.to)?;
    refuse_what_is_there(&to)?;
    // Of the folder that pgBackRest's files are in: the server may be gone.
    let user = OsUser::owner_of(&config.backup_dir)?;
    let pgbackrest = PgBackRest::new(config, &user);
    pgbackrest.make_folder(&to)?;
    std::fs::set_permissions(&to, std::os::unix::fs::PermissionsExt::from_mode(0o700)).map_err(Error::file(&to))?;
    note("restoring …");
    let mut target = Vec::new();
    if let Some(at) = arguments.at {
        let at = at.to_zoned(TimeZone::UTC).strftime("%Y-%m-%d %H:%M:%S.%6f+00").to_string();
        target.extend(["--type=time".to_owned(), format!("--target={at}"), "--target-action=promote".to_owned()]);
    }
    target.extend(arguments.backup.iter().map(|label| format!("--set={label}")));
    pgbackrest.restore(&to, &target)?;
    tell(&Restored { folder: &to })?;
    note(NEXT);
    Ok(())
}

/// Nothing is written over: not over a cluster, not beside anything.
fn refuse_what_is_there(to: &Path) -> Result<(), Error> {
    let is_empty = match std::fs::read_dir(to) {
        Ok(mut entries) => entries.next().is_none(),
        Err(error) => error.kind() == std::io::ErrorKind::NotFound,
    };
    if is_empty { Ok(()) } else { Err(Error::Backup(format!("{} is not an empty folder: a restore writes over nothing", to.display()))) }
}

const NEXT: &str = "next:
  1. start Postgres on this folder, on a port of its own if the old one still runs; it replays what was archived, and then takes writes
  2. nebula key sealing list  the sealing keys are in no backup: each version must be here
  3. nebula doctor
  4. nebula privacy reapply   whom the backup brings back although they were anonymised since
  5. nebula worker --adopt    it sends nothing before, since it is a copy
It archives nothing (archive_mode = off): once it is the one, `alter system reset archive_mode`, `nebula backup init`, restart, `nebula backup run --kind full`";
