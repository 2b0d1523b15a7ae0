//! `nebula status`: how everything is, at a glance. It reads only.

mod look;
mod text;

use super::output::tell;
use crate::{
    config::Config,
    db,
    error::{Error, Exit},
};
use serde::Serialize;
use std::collections::BTreeMap;

#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Leave the doctor out, which takes longest.
    #[arg(long)]
    quick: bool,
}

/// How everything is. What can't be known is `None`, and says so.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    program_version: &'static str,
    database: Database,
    replication: Replication,
    outbox: Option<Outbox>,
    /// Sessions of edges and workers.
    sessions: BTreeMap<String, i64>,
    keys: Keys,
    /// What the backup command wrote last (`backup-status.json`), as it is.
    backup: Option<serde_json::Value>,
    findings: Option<Findings>,
    /// What needs somebody.
    problems: Vec<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Database {
    name: String,
    server_version: String,
    extension_version: Option<String>,
    library_version: Option<String>,
    schema_version: i64,
    required_version: i64,
    migrations_pending: i64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Replication {
    /// Whether this server follows another.
    is_standby: bool,
    /// Of a standby: how old the newest change is that it has.
    replay_delay_seconds: Option<f64>,
    standbys: Vec<Standby>,
    slots: Vec<Slot>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Standby {
    name: String,
    state: String,
    sync_state: String,
    lag_bytes: Option<i64>,
    lag_seconds: Option<f64>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Slot {
    name: String,
    is_active: bool,
    /// Of the log that it keeps from being removed.
    retained_bytes: Option<i64>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Outbox {
    /// What a worker could take now.
    due: i64,
    pending: i64,
    running: i64,
    oldest_due_seconds: f64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Keys {
    signing_active: usize,
    /// Whether a private half of one that may sign is on this machine.
    can_sign_here: bool,
    /// The version that seals here.
    sealing: Option<u16>,
    /// Versions that seal values and can't be opened here.
    sealing_lacking: Vec<u16>,
}

#[derive(Serialize)]
struct Findings {
    errors: usize,
    warnings: usize,
    notes: usize,
}

/// Ends with 3 where something needs somebody.
pub async fn run(arguments: &Arguments, config: &Config) -> Result<Exit, Error> {
    let client = db::connect_admin(config.require_admin_database_url()?).await?;
    let mut status = look::look(&client, config, arguments.quick).await?;
    status.problems = status.judge();
    let exit = if status.problems.is_empty() { Exit::Done } else { Exit::Findings };
    tell(&status)?;
    Ok(exit)
}

/// Work that waits for longer than this waits for a worker, not for its turn.
const PATIENCE_SECONDS: f64 = 300.0;
/// So much log kept for a standby that is away fills disks.
const MOST_RETAINED_BYTES: i64 = 1 << 30;

impl Status {
    /// What needs somebody, each with what to do.
    fn judge(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let pending = self.database.migrations_pending;
        if pending > 0 {
            problems.push(format!("{pending} migrations are missing: nebula migrate"));
        }
        if self.keys.signing_active == 0 {
            problems.push("no key signs, nobody can log in: nebula key signing generate".to_owned());
        }
        if !self.keys.sealing_lacking.is_empty() {
            problems.push("sealed values can't be opened with the keys of this machine: nebula key sealing list".to_owned());
        }
        if let Some(outbox) = &self.outbox
            && outbox.oldest_due_seconds > PATIENCE_SECONDS
        {
            problems.push(format!("work has waited for {:.0} s: does a worker run?", outbox.oldest_due_seconds));
        }
        for slot in &self.replication.slots {
            if !slot.is_active && slot.retained_bytes.is_some_and(|bytes| bytes > MOST_RETAINED_BYTES) {
                problems.push(format!(
                    "the replication slot {} is used by nobody and keeps log: bring its standby back, or drop it",
                    slot.name
                ));
            }
        }
        let is_failed = |backup: &serde_json::Value| backup.get("ok") == Some(&serde_json::Value::Bool(false));
        if self.backup.as_ref().is_some_and(is_failed) {
            problems.push("the last backup or its verification failed: nebula backup list".to_owned());
        }
        if self.findings.as_ref().is_some_and(|findings| findings.errors > 0) {
            problems.push("the doctor found errors: nebula doctor".to_owned());
        }
        problems
    }
}
