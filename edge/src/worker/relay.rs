//! Handing events on to the webhooks that want them: a matter of the database alone, so that it waits for no room and no receiver.

use super::{Context, patience::Patience, queue, wake::PACE};
use crate::db::Failure;
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

/// The most that one statement hands on.
const BATCH: usize = 500;
/// A statement that found less than this is not followed by the next one at once: under a steady load each would find the two or three events that were written
/// meanwhile, and cost as much as one that finds twenty.
const FEW: usize = 100;

/// Whether a statement that found so many has left none that was due. It divides its batch among the tenants that have some, who are no more than what it found: where even
/// one tenant's share is more than all of that, nobody had more.
fn is_all(count: usize, batch: usize) -> bool {
    count * count < batch
}

/// Hands on whatever is due, when it is woken and as often as the settings say, until the worker stops.
pub async fn keep(context: Arc<Context>, mut events: watch::Receiver<()>, stopping: CancellationToken) {
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
            _ = timeout(pause, events.changed()) => {}
            () = stopping.cancelled() => return,
        }
    }
}

/// Hands on until nothing is due. A batch that is refused is tried one by one, so that one event holds up its own tenant at most.
pub async fn all(context: &Context) -> Result<(), Failure> {
    let mut batch = BATCH;
    loop {
        match queue::relay(context, batch).await {
            Ok(count) => {
                if let Some(metrics) = context.metrics() {
                    metrics.relayed.inc_by(count as u64);
                }
                if is_all(count, batch) {
                    return Ok(());
                }
                if count < FEW {
                    sleep(PACE).await;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_that_used_up_somebodys_share_is_followed_by_another() {
        assert!(is_all(0, BATCH) && is_all(1, BATCH) && is_all(22, BATCH));
        assert!(!is_all(23, BATCH) && !is_all(BATCH, BATCH) && !is_all(1, 1));
        // Whatever number of tenants has found so many.
        for count in (1..BATCH).filter(|count| is_all(*count, BATCH)) {
            assert!((1..=count).all(|tenants| count < BATCH.div_ceil(tenants)));
        }
    }
}
