//! `nebula migrate`: the extension, then its tables, a transaction each.
//!
//! One transaction for all (`nebula.migrate()`) would hold the locks of the first migration until the last has ended. Interrupted between two of them, the next
//! run goes on with the next. Whoever waits for a lock makes everybody wait who comes after it, so a step gives up soon, and is tried again.

use super::output::{Progress, note, tell};
use crate::{
    config::Config,
    db::{self, scalar_text},
    error::Error,
};
use nebula_core::release::Release;
use serde::{Deserialize, Serialize};
use std::{fmt, time::Duration};
use tokio::time::{Instant, sleep};
use tokio_postgres::{Client, error::SqlState};

/// How long a step may wait for a lock, and others for the step.
const LOCK_TIMEOUT: &str = "500ms";
/// Between two attempts: those who waited for the step come first.
const PAUSE: Duration = Duration::from_secs(1);
/// How long a lock is tried for, unless an option says otherwise.
pub const PATIENCE: Duration = Duration::from_secs(300);
/// The advisory lock of `nebula.migrate()`: one installation is changed by one session at a time.
const LOCK: &str = "select pg_catalog.pg_advisory_xact_lock(x'6e6562756c610001'::bigint)";

#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// For how many seconds to try again where a lock is not to be had.
    #[arg(long, default_value_t = PATIENCE.as_secs(), env = "NEBULA_MIGRATE_PATIENCE_SECONDS", value_name = "SECONDS")]
    patience_seconds: u64,
}

pub async fn run(arguments: &Arguments, config: &Config) -> Result<(), Error> {
    let client = db::connect_admin(config.require_admin_database_url()?).await?;
    tell(&migrate(&client, Duration::from_secs(arguments.patience_seconds)).await?)
}

/// What was done.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    #[serde(rename = "extensionVersion")]
    extension: String,
    #[serde(rename = "schemaVersion")]
    version: i64,
    /// The versions applied now; empty when everything was there.
    pub applied: Vec<i64>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "extension {}, schema version {}: ", self.extension, self.version)?;
        let applied = self.applied.iter().map(ToString::to_string).collect::<Vec<_>>();
        if applied.is_empty() { f.write_str("nothing to apply") } else { write!(f, "applied {}", applied.join(", ")) }
    }
}

/// The answer of `nebula.migrate_next()`.
#[derive(Deserialize)]
struct Step {
    applied: Vec<i64>,
    version: i64,
    remaining: u64,
}

/// Brings extension and tables to the version of the server's files. Running it again changes nothing.
pub async fn migrate(client: &Client, patience: Duration) -> Result<Report, Error> {
    let deadline = Instant::now() + patience;
    client.batch_execute(&format!("set lock_timeout = '{LOCK_TIMEOUT}'")).await?;
    let extension = update_extension(client, deadline).await?;
    let mut applied = Vec::new();
    let progress = Progress::unknown("migrations applied:");
    loop {
        let step = patiently(deadline, async || client.query_typed_one("select nebula.migrate_next()::text", &[]).await).await?;
        let step = serde_json::from_str::<Step>(step.try_get(0)?);
        let step = step.map_err(|error| Error::Database(format!("nebula.migrate_next(): {error}")))?;
        progress.advance(step.applied.len() as u64);
        applied.extend(step.applied);
        if step.remaining == 0 {
            client.batch_execute("reset lock_timeout").await?;
            return Ok(Report { extension, version: step.version, applied });
        }
    }
}

/// Creates the extension or updates it; its version then.
async fn update_extension(client: &Client, deadline: Instant) -> Result<String, Error> {
    const INSTALLED: &str = "select extversion from pg_catalog.pg_extension where extname = 'nebula'";
    // Several statements sent at once are one transaction.
    let statements = format!("{LOCK}; create extension if not exists nebula; alter extension nebula update");
    patiently(deadline, async || client.batch_execute(&statements).await).await?;
    let extension = scalar_text(client, INSTALLED, &[]).await?;
    let line = |version: &str| Release::parse(version).map(Release::line);
    if line(&extension) < line(env!("CARGO_PKG_VERSION")) {
        return Err(Error::OlderFiles { files: extension, own: env!("CARGO_PKG_VERSION") });
    }
    Ok(extension)
}

/// Tries until there is no lock in the way.
async fn patiently<T>(deadline: Instant, step: impl AsyncFn() -> Result<T, tokio_postgres::Error>) -> Result<T, Error> {
    let mut is_told = false;
    loop {
        match step().await {
            Err(error) if is_about_a_lock(&error) && Instant::now() < deadline => {
                if !is_told {
                    note("somebody holds a lock that is needed: trying on");
                    is_told = true;
                }
                sleep(PAUSE).await;
            }
            outcome => return Ok(outcome?),
        }
    }
}

/// Somebody held a lock for longer than it was waited for, or was waiting for one of ours.
fn is_about_a_lock(error: &tokio_postgres::Error) -> bool {
    error.code().is_some_and(|code| *code == SqlState::LOCK_NOT_AVAILABLE || *code == SqlState::T_R_DEADLOCK_DETECTED)
}
