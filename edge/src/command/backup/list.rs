//! `nebula backup list`.

use super::{PgBackRest, status::Status};
use crate::{
    command::{
        os_user::OsUser,
        output::{Table, tell},
    },
    config::Config,
    error::Error,
};
use jiff::Timestamp;
use serde::Serialize;
use std::fmt;

/// The backups, and what is known of the newest.
#[derive(Serialize)]
struct Listed {
    backups: Vec<Listing>,
    status: Status,
}

#[derive(Serialize)]
struct Listing {
    label: String,
    kind: String,
    started_at: String,
    finished_at: String,
    size_bytes: u64,
    repository_bytes: u64,
}

impl fmt::Display for Listed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.backups.is_empty() {
            return f.write_str("there is no backup");
        }
        let mut table = Table::new(&["label", "kind", "finished", "MB", "MB in the repository"]);
        for backup in &self.backups {
            let megabytes = |bytes: u64| (bytes / 1_000_000).to_string();
            let sizes = [megabytes(backup.size_bytes), megabytes(backup.repository_bytes)];
            table.row([backup.label.clone(), backup.kind.clone(), backup.finished_at.clone()].into_iter().chain(sizes));
        }
        write!(f, "{table}{}", self.status)
    }
}

pub fn run(config: &Config) -> Result<(), Error> {
    let user = OsUser::owner_of(&config.backup_dir)?;
    let backups = PgBackRest::new(config, &user).backups()?.into_iter().map(|backup| Listing {
        started_at: time(backup.timestamp.start),
        finished_at: time(backup.timestamp.stop),
        size_bytes: backup.info.size,
        repository_bytes: backup.info.repository.delta,
        label: backup.label,
        kind: backup.kind,
    });
    tell(&Listed { backups: backups.collect(), status: Status::load(config)? })
}

/// RFC 3339.
pub fn time(seconds: i64) -> String {
    Timestamp::from_second(seconds).map_or_else(|_| String::new(), |time| time.to_string())
}
