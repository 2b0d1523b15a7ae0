//! `nebula down`: stops what `up` started. The data stays.

use super::up::{Cluster, Place, Process};
use crate::error::Error;
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The folder that `up` was given.
    #[arg(long, default_value = ".nebula", env = "NEBULA_DIR")]
    dir: PathBuf,
    /// The folder of `pg_ctl` [default: what `pg_config --bindir` says].
    #[arg(long, env = "NEBULA_PG_BINDIR")]
    pg_bindir: Option<PathBuf>,
}

/// Stops edge and worker, then Postgres; quiet where nothing runs.
pub async fn run(arguments: &Arguments) -> Result<(), Error> {
    if !arguments.dir.exists() {
        return Ok(());
    }
    let place = Place::at(&arguments.dir)?;
    Process::edge(&place).stop().await?;
    Process::worker(&place).stop().await?;
    Cluster::find(&place, arguments.pg_bindir.clone())?.stop()?;
    Ok(())
}
