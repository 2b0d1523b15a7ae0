//! What the worker counts.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, histogram::Histogram},
    registry::Registry,
};
use std::time::Duration;

/// From an answer next door to the longest timeout, in seconds.
const BUCKETS: [f64; 12] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Tried {
    r#type: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Task {
    task: &'static str,
    outcome: &'static str,
}

/// Counters and histograms of the worker.
pub struct WorkerMetrics {
    /// Statements that asked for work.
    pub claims: Counter,
    /// Pieces of work that they gave.
    pub claimed: Counter,
    /// Events that were handed on to webhooks.
    pub relayed: Counter,
    /// Work that was another's before it was finished here.
    pub leases_lost: Counter,
    attempts: Family<Tried, Counter>,
    deliveries: Family<Outcome, Histogram, fn() -> Histogram>,
    tasks: Family<Task, Counter>,
}

fn histogram() -> Histogram {
    Histogram::new(BUCKETS)
}

impl Default for WorkerMetrics {
    fn default() -> Self {
        Self {
            claims: Counter::default(),
            claimed: Counter::default(),
            relayed: Counter::default(),
            leases_lost: Counter::default(),
            attempts: Family::default(),
            deliveries: Family::new_with_constructor(histogram),
            tasks: Family::default(),
        }
    }
}

impl WorkerMetrics {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register("nebula_worker_claims", "Statements that asked for work", self.claims.clone());
        registry.register("nebula_worker_claimed", "Pieces of work that were claimed", self.claimed.clone());
        registry.register(
            "nebula_worker_events_relayed",
            "Events that were handed on to the webhooks that want them",
            self.relayed.clone(),
        );
        registry.register(
            "nebula_worker_leases_lost",
            "Work that was another worker's before it was finished here",
            self.leases_lost.clone(),
        );
        registry.register("nebula_worker_attempts", "Attempts at work, by its type and how they ended", self.attempts.clone());
        registry.register(
            "nebula_webhook_request_duration_seconds",
            "Webhook requests, from the name's look-up to the answer's head, by the answer's class or why there was none",
            self.deliveries.clone(),
        );
        registry.register(
            "nebula_worker_task_runs",
            "Runs of periodic tasks by this worker, by task and how they ended",
            self.tasks.clone(),
        );
    }

    /// An attempt at work has ended: `done`, `retry` or `dead`.
    pub fn tried(&self, r#type: &'static str, outcome: &'static str) {
        self.attempts.get_or_create(&Tried { r#type, outcome }).inc();
    }

    /// A webhook request has ended: `2xx` and the like, or why there was no answer.
    pub fn delivered(&self, outcome: &'static str, time: Duration) {
        self.deliveries.get_or_create(&Outcome { outcome }).observe(time.as_secs_f64());
    }

    /// A periodic task has ended: `done` or `failed`.
    pub fn task_ended(&self, task: &'static str, outcome: &'static str) {
        self.tasks.get_or_create(&Task { task, outcome }).inc();
    }
}
