//! Handing out what was claimed: each job gets a place in the room and a task of its own.

use super::{
    Job, Outcome,
    hand::Hold,
    handlers::{self, Kind},
    run::Running,
    webhooks,
};
use opentelemetry::trace::{FutureExt, SpanKind};
use std::{collections::HashMap, sync::Arc};
use tokio::sync::OwnedSemaphorePermit;

/// A claimed job, in hand.
pub struct Taken {
    pub job: Job,
    pub hold: Hold,
    /// Its place in the room; `None` while it waits outside.
    pub place: Option<OwnedSemaphorePermit>,
}

impl Running {
    /// Waits for a place in the room.
    pub async fn enter(&self, taken: &mut Taken) {
        if taken.place.is_none() {
            taken.place = Arc::clone(&self.room).acquire_owned().await.ok();
        }
    }

    /// It has ended: the database is told, with others that end. Its place is free as soon as that is under way.
    pub async fn end(&self, taken: Taken, outcome: Outcome) {
        if let Some(metrics) = self.context.metrics() {
            metrics.tried(handlers::label(&taken.job), outcome.name());
        }
        if let Outcome::Retry { error, .. } | Outcome::Dead { error } = &outcome {
            log(&taken.job, error);
        }
        if outcome != Outcome::Settled {
            // The other side lives as long as the worker.
            let _ = self.ended.send((taken.hold, outcome)).await;
        }
    }
}

/// The one line of a job that failed. What it was about stands in the database.
pub fn log(job: &Job, error: &str) {
    tracing::info!(
        tenantId = job.tenant.map(tracing::field::display),
        "attempt {} of {} {} failed: {error}",
        job.attempt,
        handlers::label(job),
        job.id
    );
}

/// Begins with these jobs, of which at most so many could be had, and so many of each tenant; whether more may be due at once.
pub fn dispatch(running: &Arc<Running>, jobs: Vec<Job>, room: usize, per_tenant: usize) -> bool {
    let mut of_tenants = HashMap::new();
    for job in &jobs {
        *of_tenants.entry(job.tenant).or_insert(0_usize) += 1;
    }
    let is_more_likely = jobs.len() >= room || of_tenants.values().any(|count| *count >= per_tenant);
    let mut deliveries = Vec::new();
    for job in jobs {
        let hold = running.hand.take(&job);
        let taken = Taken { hold, place: Arc::clone(&running.room).try_acquire_owned().ok(), job };
        match Kind::of(&taken.job) {
            Kind::Webhook => deliveries.push(taken),
            Kind::Work => work(Arc::clone(running), taken),
        }
    }
    if !deliveries.is_empty() {
        tokio::spawn(webhooks::deliver(Arc::clone(running), deliveries));
    }
    is_more_likely
}

fn work(running: Arc<Running>, mut taken: Taken) {
    let (lease, hand) = (taken.job.lease(), Arc::clone(&running.hand));
    let task = tokio::spawn(async move {
        running.enter(&mut taken).await;
        let trace = running
            .context
            .telemetry
            .traces
            .as_ref()
            .map(|traces| traces.work(handlers::label(&taken.job), SpanKind::Consumer, taken.job.attempt));
        let outcome = match &trace {
            None => handlers::run(&running.context, &taken.job).await,
            Some(trace) => handlers::run(&running.context, &taken.job).with_context(trace.context()).await,
        };
        if let Some(trace) = trace {
            trace.worked(outcome.name(), None);
        }
        running.end(taken, outcome).await;
    });
    hand.may_abort(lease, task.abort_handle());
}
