//! The worker's life: asks whether it may, claims while there is room, and at the end lets what runs finish.

use super::{
    Context,
    completions::{self, Ended},
    dispatch::dispatch,
    hand::Hand,
    leases,
    patience::Patience,
    queue, relay, schedule, wake,
    webhooks::Webhooks,
};
use crate::{db::Failure, error::Error};
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::{Semaphore, mpsc, watch},
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

/// The most that one claim takes.
const MAX_CLAIM: usize = 100;
/// Where room comes one by one, what comes within this time is claimed for together.
const GATHERING: Duration = Duration::from_millis(2);
/// The poll of a worker that ends when nothing is left to do.
const SHORT_POLL: Duration = Duration::from_millis(20);

/// How long a worker works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    Told,
    /// Nothing is due and nothing in hand.
    Idle,
}

/// What a claim gave.
enum Claimed {
    Nothing,
    Some,
    /// As much as could be had: there may be more.
    More,
}

/// What a worker's parts share.
pub struct Running {
    pub context: Arc<Context>,
    pub hand: Arc<Hand>,
    /// What may be done at once. What waits for somebody else's sake waits outside.
    pub room: Arc<Semaphore>,
    pub ended: mpsc::Sender<Ended>,
    pub webhooks: Webhooks,
    pub stopping: CancellationToken,
}

/// Works until it is told to stop, or until nothing is left to do; then what is in hand may finish for as long as the settings say. What can't be finished
/// is left to its lease.
pub async fn run(context: Context, until: Until, stop: impl Future<Output = ()> + Send + 'static) -> Result<(), Error> {
    let context = Arc::new(context);
    let stopping = CancellationToken::new();
    tokio::spawn({
        let stopping = stopping.clone();
        async move {
            stop.await;
            stopping.cancel();
        }
    });
    let mut parts = JoinSet::new();
    let concurrency = context.config.worker_concurrency.clamp(1, Semaphore::MAX_PERMITS);
    let (ended, to_write) = mpsc::channel(concurrency);
    parts.spawn(completions::write(Arc::clone(&context), to_write));
    let running = Arc::new(Running {
        hand: Hand::new(context.config.worker_tenant_concurrency),
        room: Arc::new(Semaphore::new(concurrency)),
        ended,
        webhooks: Webhooks::start(&context, &mut parts),
        stopping,
        context,
    });
    if let Some(metrics) = &running.context.telemetry.metrics {
        running.hand.show(metrics);
    }
    if !running.may_start().await? {
        return Ok(());
    }
    let ((events_came, events), (jobs_came, jobs)) = (watch::channel(()), watch::channel(()));
    parts.spawn(leases::keep(Arc::clone(&running.context), Arc::clone(&running.hand)));
    parts.spawn(wake::listen(Arc::clone(&running.context), wake::Listeners { events: events_came, jobs: jobs_came }));
    if until == Until::Told {
        parts.spawn(relay::keep(Arc::clone(&running.context), events, running.stopping.clone()));
        for task in schedule::Task::ALL {
            parts.spawn(schedule::keep(Arc::clone(&running.context), task));
        }
    }
    tracing::info!("worker {} works", running.context.worker);
    let outcome = running.claim(jobs, until).await;
    running.stopping.cancel();
    tracing::info!("stopping: nothing more is claimed, what runs finishes");
    if timeout(Duration::from_secs(running.context.config.drain_seconds), running.hand.emptied()).await.is_err() {
        tracing::warn!("stopped before everything had finished: the rest is done again when its lease ends");
    }
    outcome
}

impl Running {
    /// Whether there is anything to start: false if it is told to stop before the database has answered.
    async fn may_start(&self) -> Result<bool, Error> {
        let mut patience = Patience::with("ask whether this database may send");
        loop {
            let wait = match queue::may_deliver(&self.context).await {
                Ok(true) => return Ok(true),
                Ok(false) => return Err(Error::NotAdopted),
                Err(failure) => patience.after(&failure),
            };
            tokio::select! {
                () = sleep(wait) => {}
                () = self.stopping.cancelled() => return Ok(false),
            }
        }
    }

    /// Claims and hands out. Returns when it is to stop; an error where this database may not send (any more).
    async fn claim(self: &Arc<Self>, mut jobs: watch::Receiver<()>, until: Until) -> Result<(), Error> {
        let mut patience = Patience::with("claim work");
        while let Some(room) = self.room().await {
            let was_idle = self.hand.is_empty();
            if until == Until::Idle
                && let Err(failure) = relay::all(&self.context).await
            {
                sleep(patience.after(&failure)).await;
            }
            let pause = match self.claim_once(room).await {
                Ok(Claimed::More) => {
                    patience.rewarded();
                    continue;
                }
                Ok(Claimed::Nothing) if was_idle && until == Until::Idle => return Ok(()),
                Ok(_) => {
                    patience.rewarded();
                    if until == Until::Idle { SHORT_POLL } else { Duration::from_millis(self.context.config.worker_poll_ms.max(1)) }
                }
                // Copied or moved under a running worker.
                Err(failure) if failure.is_state("55000") => return Err(Error::NotAdopted),
                Err(failure) => patience.after(&failure),
            };
            tokio::select! {
                _ = jobs.changed() => {}
                () = self.hand.freed.notified() => {}
                () = sleep(pause) => {}
                () = self.stopping.cancelled() => {}
            }
        }
        Ok(())
    }

    /// One claim, and a second one where only those have work left who have much in hand already.
    async fn claim_once(self: &Arc<Self>, room: usize) -> Result<Claimed, Failure> {
        let mut terms = self.hand.terms();
        let mut jobs = queue::claim(&self.context, room, &terms).await?;
        self.count(jobs.len());
        if jobs.is_empty()
            && let Some(rest) = self.hand.terms_for_the_rest()
        {
            jobs = queue::claim(&self.context, room, &rest).await?;
            self.count(jobs.len());
            terms = rest;
        }
        Ok(match jobs.is_empty() {
            true => Claimed::Nothing,
            false if dispatch(self, jobs, room, terms.per_tenant) => Claimed::More,
            false => Claimed::Some,
        })
    }

    fn count(&self, claimed: usize) {
        if let Some(metrics) = self.context.metrics() {
            metrics.claims.inc();
            metrics.claimed.inc_by(claimed as u64);
        }
    }

    /// Waits for room; how much there is for one claim. `None` when it is to stop.
    async fn room(&self) -> Option<usize> {
        let enough = self.context.config.worker_concurrency.div_ceil(4).min(MAX_CLAIM);
        if self.room.available_permits() < enough {
            tokio::select! {
                _ = self.room.acquire() => {}
                () = self.stopping.cancelled() => return None,
            }
            if self.room.available_permits() < enough {
                sleep(GATHERING).await;
            }
        }
        // Never closed, so that there is at least the place that was just waited for, unless somebody who waited outside took it.
        (!self.stopping.is_cancelled()).then(|| self.room.available_permits().clamp(1, MAX_CLAIM))
    }
}
