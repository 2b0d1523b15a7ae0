//! Handing events on to the webhooks that want them: a matter of the database alone, so that it waits for no room and no receiver.

use super::{Context, patience::Patience, queue};
use crate::db::Failure;
use std::{sync::Arc, time::Duration};
use tokio::{sync::watch, time::timeout};
use tokio_util::sync::CancellationToken;

/// The most that one statement hands on.
const BATCH: usize = 500;

/// Hands on whatever is due, when it is woken and as often as the settings say, until the worker stops.
pub async fn keep(context: Arc<Context>, mut work: watch::Receiver<()>, stopping: CancellationToken) {
    let poll = Duration::from_millis(context.config.worker_poll_ms.max(1));
    let mut patience = Patience::with("hand events on");
    loop {
        let pause = match all(&context).await {
            Ok(()) => {
                patience.rewarded();
                poll
            }
            Err(failure) => patience.after(&failure),
        };
        tokio::select! {
            _ = timeout(pause, work.changed()) => {}
            () = stopping.cancelled() => return,
        }
    }
}

/// Hands on until nothing is due. A batch that is refused is tried one by one, so that one event holds up its own tenant at most.
pub async fn all(context: &Context) -> Result<(), Failure> {
    let mut batch = BATCH;
    loop {
        match queue::relay(context, batch).await {
            Ok(0) => return Ok(()),
            Ok(count) => {
                if let Some(metrics) = context.metrics() {
                    metrics.relayed.inc_by(count as u64);
                }
            }
            Err(Failure::Statement(reason)) if batch > 1 && reason != "SQLSTATE 55000" => {
                tracing::error!("events can't be handed on together: {reason}");
                batch = 1;
            }
            Err(failure) => return Err(failure),
        }
    }
}
