//! Periodic tasks: any worker asks, the database says whose turn it is.

use super::{Context, audit_chain, exports, patience::Patience, queue, reseal, retention};
use crate::error::Error;
use std::{sync::Arc, time::Duration};
use tokio::time::sleep;

/// A task whose worker has said nothing for so long may be begun by another. Tasks may be done twice.
const LEASE: Duration = Duration::from_secs(900);

/// Work that nobody asks for.
#[derive(Clone, Copy)]
pub enum Task {
    Retention,
    Partitions,
    Reseal,
    ExpiredExports,
    SealAudit,
    ExportAuditHeads,
}

impl Task {
    /// All of them; each is asked for by itself, so that a long one delays no other.
    pub const ALL: [Self; 6] =
        [Self::Retention, Self::Partitions, Self::Reseal, Self::ExpiredExports, Self::SealAudit, Self::ExportAuditHeads];

    fn name(self) -> &'static str {
        match self {
            Self::Retention => "retention",
            Self::Partitions => "partitions",
            Self::Reseal => "reseal",
            Self::ExpiredExports => "expired_exports",
            Self::SealAudit => "seal_audit",
            Self::ExportAuditHeads => "export_audit_heads",
        }
    }

    fn every(self) -> Duration {
        Duration::from_secs(match self {
            Self::Retention | Self::Partitions => 3_600,
            Self::Reseal => 60,
            Self::SealAudit => 30,
            Self::ExpiredExports | Self::ExportAuditHeads => 300,
        })
    }

    async fn run(self, context: &Context) -> Result<(), Error> {
        match self {
            Self::Retention => retention::run(context).await,
            Self::Partitions => retention::make_partitions(context).await,
            Self::Reseal => reseal::run(context).await,
            Self::ExpiredExports => exports::expire(context).await,
            Self::SealAudit => audit_chain::run(context).await,
            Self::ExportAuditHeads => audit_chain::export(context).await,
        }
    }
}

/// Asks for a task's turn, as often as it may be due somewhere, and does it. Never returns.
pub async fn keep(context: Arc<Context>, task: Task) {
    let mut patience = Patience::with("ask for periodic tasks");
    loop {
        match queue::start_task(&context, task.name(), task.every(), LEASE).await {
            Ok(is_ours) => {
                patience.rewarded();
                if is_ours {
                    once(&context, task).await;
                }
                sleep((task.every() / 4).min(Duration::from_secs(60))).await;
            }
            Err(failure) => sleep(patience.after(&failure)).await,
        }
    }
}

async fn once(context: &Context, task: Task) {
    let error = task.run(context).await.err().map(|error| error.to_string());
    if let Some(metrics) = context.metrics() {
        metrics.task_ended(task.name(), if error.is_none() { "done" } else { "failed" });
    }
    if let Some(error) = &error {
        tracing::error!("{}: {error}", task.name());
    }
    if let Err(failure) = queue::finish_task(context, task.name(), error.as_deref()).await {
        tracing::warn!("{}: its end is not written: {}", task.name(), failure.reason());
    }
}
