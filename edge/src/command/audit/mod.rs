//! `nebula audit`: the seals of the audit log, made, kept outside and checked (docs/security/audit.md).

mod finding;
mod outside;
mod tenant;
mod tenant_rows;
mod verify;

use super::output::{say, tell};
use crate::{
    config::Config,
    db::WorkerDatabase,
    error::{Error, Exit},
    storage, worker,
};
use serde::Serialize;
use std::fmt;

#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Checks every row of the audit log against its seal, names what was tampered with, and ends with 3 if something was.
    Verify(verify::Arguments),
    /// Prints the newest seals of every tenant, one JSON object a line: to be kept where whoever holds the database can't write.
    Heads {
        /// Also writes them to the object storage, as a worker does every five minutes.
        #[arg(long)]
        export: bool,
        /// Writes them even where the database lacks seals that were exported before: after a restore that was meant.
        #[arg(long)]
        replace: bool,
    },
    /// Seals what was written since the last time, once: what a worker does every half minute.
    Seal,
}

/// What a round sealed.
#[derive(Serialize)]
struct Sealed {
    rows: u64,
    blocks: u64,
}

impl fmt::Display for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} rows sealed in {} blocks", self.rows, self.blocks)
    }
}

pub async fn run(arguments: &Arguments, config: &Config) -> Result<Exit, Error> {
    match &arguments.action {
        Action::Verify(arguments) => return verify::run(arguments, config).await,
        Action::Heads { export, replace } => heads(config, *export, *replace).await,
        Action::Seal => seal(config).await,
    }?;
    Ok(Exit::Done)
}

/// Over the worker's login or, where none is given, the administrator's.
fn database(config: &Config) -> Result<WorkerDatabase, Error> {
    let url = config.worker_database_url.as_ref().map_or_else(|| config.require_admin_database_url(), Ok)?;
    WorkerDatabase::connect(url, config.worker_pool_size)
}

async fn seal(config: &Config) -> Result<(), Error> {
    let database = database(config)?;
    let keys = worker::audit_chain::keys(&database, &config.keys_dir).await?;
    let report = worker::audit_chain::seal(&database, &keys).await?;
    tell(&Sealed { rows: report.rows, blocks: report.blocks })?;
    report.into_result()
}

async fn heads(config: &Config, export: bool, replace: bool) -> Result<(), Error> {
    let database = database(config)?;
    let heads = if export || replace {
        let storage = storage::open(config)?.ok_or(Error::Missing("NEBULA_STORAGE_URL"))?;
        worker::audit_chain::export_now(&database, &storage, replace).await?
    } else {
        worker::audit_chain::heads(&database).await?
    };
    say(heads.to_lines()?.trim_end())
}
