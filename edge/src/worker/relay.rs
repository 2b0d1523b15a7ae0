//! Handing events on to the webhooks that want them: a matter of the database alone, so that it waits for no room and no receiver.

use super::{Context, patience::Patience, queue, wake::PACE};
use crate::db::Failure;
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::watch,
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

/// The most that one statement hands on.
const BATCH: usize = 500;
/// A statement that found less than this is not followed by the next one at once: under a steady load each would find the two or three events that were written
/// meanwhile, and cost as much as one that finds twenty.
const FEW: usize = 100;
/// The longest pause before what few events came meanwhile is handed on.
const MAX_PACE: Duration = Duration::from_millis(40);

/// How long to wait after a statement that took so long, so that handing on a few events at a time takes no more than a fifth of a session's time: the busier the database is,
/// the more of them a statement finds.
fn pace(took: Duration) -> Duration {
    (took * 4).clamp(PACE, MAX_PACE)
}

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
        let (pace, pause) = match all(&context).await {
            Ok(took) => {
                patience.rewarded();
                (pace(took), poll)
            }
            Err(failure) => (Duration::ZERO, patience.after(&failure)),
        };
        let next = async {
            sleep(pace).await;
            let _ = timeout(pause, events.changed()).await;
        };
        tokio::select! {
            () = next => {}
            () = stopping.cancelled() => return,
        }
    }
}

/// Hands on until nothing is due; how long the last statement took. A batch that is refused is tried one by one, so that one event holds up its own tenant at most.
pub async fn all(context: &Context) -> Result<Duration, Failure> {
    let mut batch = BATCH;
    loop {
        let began = Instant::now();
        match queue::relay(context, batch).await {
            Ok(count) => {
                let took = began.elapsed();
                if let Some(metrics) = context.metrics() {
                    metrics.relayed.inc_by(count as u64);
                }
                if is_all(count, batch) {
                    return Ok(took);
                }
                if count < FEW {
                    sleep(pace(took)).await;
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
    fn a_busy_database_is_asked_less_often() {
        let pace_ms = |took_ms| pace(Duration::from_millis(took_ms)).as_millis();
        assert_eq!([0, 1, 2, 3, 5, 10, 1000].map(pace_ms), [10, 10, 10, 12, 20, 40, 40]);
    }

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
