//! `nebula backup list`.

use super::{PgBackRest, status::Status};
use crate::{
    command::{os_user::OsUser, output::say},
    config::Config,
    error::Error,
};
use jiff::Timestamp;

#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Prints one JSON object: the backups, and what is known of the newest.
    #[arg(long)]
    json: bool,
}

pub fn run(arguments: &Arguments, config: &Config) -> Result<(), Error> {
    let user = OsUser::owner_of(&config.backup_dir)?;
    let backups = PgBackRest::new(config, &user).backups()?;
    let status = Status::load(config)?;
    if arguments.json {
        let backups = backups.iter().map(|backup| {
            serde_json::json!({
                "label": backup.label, "kind": backup.kind, "started_at": time(backup.timestamp.start), "finished_at": time(backup.timestamp.stop),
                "size_bytes": backup.info.size, "repository_bytes": backup.info.repository.delta,
            })
        });
        return say(&serde_json::json!({ "backups": backups.collect::<Vec<_>>(), "status": status }).to_string());
    }
    for backup in &backups {
        let megabytes = |bytes: u64| bytes / 1_000_000;
        say(&format!(
            "{}  {}  {}  {} MB, {} MB in the repository",
            backup.label,
            backup.kind,
            time(backup.timestamp.stop),
            megabytes(backup.info.size),
            megabytes(backup.info.repository.delta)
        ))?;
    }
    if backups.is_empty() { say("there is no backup") } else { say(&status.to_string()) }
}

/// RFC 3339.
pub fn time(seconds: i64) -> String {
    Timestamp::from_second(seconds).map_or_else(|_| String::new(), |time| time.to_string())
}
