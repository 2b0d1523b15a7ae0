//! `nebula retention`: what the worker's task does, once, for cron or by hand.

use super::output::tell;
use crate::{config::Config, db::WorkerDatabase, error::Error, storage, worker};

pub async fn run(config: &Config) -> Result<(), Error> {
    let database = WorkerDatabase::new(config)?;
    let storage = storage::open(config)?;
    let report = worker::retain(&database, storage.as_ref()).await?;
    tell(&report)?;
    report.into_result()
}
