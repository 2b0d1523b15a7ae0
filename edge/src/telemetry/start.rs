//! What a process tells beside its log, as the settings ask for it.

use super::{metrics::Metrics, sentry::Sentry, traces::Traces};
use crate::{config::Config, error::Error};
use std::{net::SocketAddr, sync::Arc, time::Duration};
use tokio::{task::spawn_blocking, time::timeout};

/// For what is still to be sent when the process ends.
const LAST_WORDS: Duration = Duration::from_secs(3);

/// Which of the programs it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    Edge,
    Worker,
}

impl Program {
    /// As metrics, traces and reports call it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Edge => "nebula-edge",
            Self::Worker => "nebula-worker",
        }
    }

    /// Where it shows its metrics.
    #[must_use]
    pub fn metrics_listen(self, config: &Config) -> Option<SocketAddr> {
        match self {
            Self::Edge => config.metrics_listen,
            Self::Worker => config.worker_metrics_listen,
        }
    }
}

/// All of it; what no setting asks for is none, and costs nothing. Cheap to clone.
#[derive(Clone, Default)]
pub struct Telemetry {
    pub metrics: Option<Arc<Metrics>>,
    pub traces: Option<Traces>,
    pub sentry: Option<Sentry>,
}

impl Telemetry {
    /// Starts what the settings ask for. Nobody is connected to yet: a receiver may be away.
    pub fn start(program: Program, config: &Config) -> Result<Self, Error> {
        Ok(Self {
            metrics: program.metrics_listen(config).is_some().then(|| Metrics::new(program)),
            traces: Traces::start(program, config)?,
            sentry: Sentry::start(program, config)?,
        })
    }

    /// Sends what is still to be sent, for a few seconds.
    pub async fn stop(self) {
        if let Some(traces) = self.traces {
            // Its exporter waits for this runtime: not on one of its threads.
            let _ = timeout(LAST_WORDS, spawn_blocking(move || traces.stop(LAST_WORDS))).await;
        }
        if let Some(sentry) = self.sentry {
            let _ = timeout(LAST_WORDS, sentry.stop()).await;
        }
    }
}
