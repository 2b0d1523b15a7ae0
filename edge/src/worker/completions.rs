//! Telling the database how jobs ended: many at once when many end, one at once when one does.

use super::{Context, Outcome, hand::Hold, patience::until_answered, queue};
use std::sync::Arc;
use tokio::sync::mpsc::Receiver;

/// The most that one statement finishes.
pub const BATCH: usize = 100;

/// A job that has ended, still in hand until that is written.
pub type Ended = (Hold, Outcome);

/// Writes what ends until nothing can end any more. While one batch is written the next one gathers.
pub async fn write(context: Arc<Context>, mut ended: Receiver<Ended>) {
    let mut batch = Vec::with_capacity(BATCH);
    while ended.recv_many(&mut batch, BATCH).await > 0 {
        let done = batch.iter().filter(|(_, outcome)| *outcome == Outcome::Done).map(|(hold, _)| hold.lease).collect::<Vec<_>>();
        if !done.is_empty() {
            log(until_answered("finish jobs", || queue::complete(&context, &done)).await.map(|_| ()));
        }
        for (hold, outcome) in batch.drain(..) {
            log(until_answered("report failed jobs", || queue::fail(&context, hold.lease, &outcome)).await);
        }
    }
}

/// What the database refuses to be told ends with its lease, and is done again.
fn log(told: Result<(), crate::db::Failure>) {
    if let Err(failure) = told {
        tracing::error!("the end of a job is not written: {}", failure.reason());
    }
}
