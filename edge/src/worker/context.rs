//! What every piece of work may use.

use super::LiveKeys;
use crate::{
    auth::{KeySource, SealingKeys},
    config::Config,
    db::WorkerDatabase,
    error::Error,
    storage::{self, Storage},
    telemetry::{Telemetry, metrics::WorkerMetrics},
};
use std::{sync::Arc, time::Duration};

/// Shared by everything that a worker does at once.
pub struct Context {
    /// This worker's name, as leases have it.
    pub worker: String,
    pub config: Config,
    pub database: WorkerDatabase,
    /// Keys to what the edge sealed.
    pub keys: Arc<dyn SealingKeys>,
    /// Object storage; `None` where none is configured.
    pub storage: Option<Storage>,
    pub telemetry: Telemetry,
}

impl Context {
    /// Reads keys and opens what the settings name; the database may be away.
    pub fn new(config: Config, telemetry: Telemetry) -> Result<Self, Error> {
        let database = WorkerDatabase::new(&config)?.observed_by(&telemetry);
        if let Some(metrics) = &telemetry.metrics {
            database.show(metrics);
        }
        Ok(Self {
            worker: name()?,
            keys: LiveKeys::begin(KeySource::of(&config), database.clone())?,
            database,
            storage: storage::open(&config)?,
            telemetry,
            config,
        })
    }

    /// What counts, where something does.
    #[must_use]
    pub fn metrics(&self) -> Option<&WorkerMetrics> {
        self.telemetry.metrics.as_deref().map(|metrics| &metrics.worker)
    }

    /// How long a lease lasts without a sign of life; the database takes a second to a day.
    #[must_use]
    pub fn lease(&self) -> Duration {
        Duration::from_secs(self.config.worker_lease_seconds.clamp(1, 86_400))
    }
}

/// Host and process for who reads it, and a random part: no two workers are taken for one, after a restart either.
fn name() -> Result<String, Error> {
    let mut random = [0_u8; 4];
    aws_lc_rs::rand::fill(&mut random).map_err(|_| Error::Key("no randomness".to_owned()))?;
    let host: String = rustix::system::uname().nodename().to_string_lossy().chars().take(64).collect();
    Ok(format!("{host}/{}/{:08x}", std::process::id(), u32::from_be_bytes(random)))
}
