//! What a process sees of its database: waits for a connection, calls, failures.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, histogram::Histogram},
    registry::Registry,
};
use std::time::Duration;

const BUCKETS: [f64; 14] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Called {
    /// Of the schema `nebula`.
    function: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Failed {
    kind: &'static str,
}

/// Histograms and counters of statements.
pub struct DatabaseMetrics {
    waits: Histogram,
    calls: Family<Called, Histogram, fn() -> Histogram>,
    failures: Family<Failed, Counter>,
}

fn histogram() -> Histogram {
    Histogram::new(BUCKETS)
}

impl DatabaseMetrics {
    pub(super) fn new() -> Self {
        Self { waits: histogram(), calls: Family::new_with_constructor(histogram), failures: Family::default() }
    }

    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(
            "nebula_pool_wait_seconds",
            "Waits for a database connection of the pool, failed ones included",
            self.waits.clone(),
        );
        registry.register(
            "nebula_database_call_seconds",
            "Statements, by the function of the schema nebula that they call",
            self.calls.clone(),
        );
        registry.register(
            "nebula_database_failures",
            "Statements without an answer: the database was away or busy (unavailable), or the statement failed (statement)",
            self.failures.clone(),
        );
        for kind in ["unavailable", "statement"] {
            self.failures.get_or_create(&Failed { kind }).inc_by(0);
        }
    }

    /// Somebody has waited for a connection.
    pub fn waited(&self, time: Duration) {
        self.waits.observe(time.as_secs_f64());
    }

    /// A statement has ended; `function` as [`function_of`] says.
    pub fn called(&self, function: &str, time: Duration) {
        self.calls.get_or_create(&Called { function: function.to_owned() }).observe(time.as_secs_f64());
    }

    /// A statement has failed: `unavailable` or `statement`.
    pub fn failed(&self, kind: &'static str) {
        self.failures.get_or_create(&Failed { kind }).inc();
    }
}

/// The first function of the schema `nebula` that a statement of ours names; `other` where it names none.
#[must_use]
pub fn function_of(statement: &str) -> &str {
    let named = statement
        .split_once("nebula.")
        .map(|(_, rest)| rest.split(|c: char| !c.is_ascii_lowercase() && c != '_').next().unwrap_or_default());
    named.filter(|name| !name.is_empty()).unwrap_or("other")
}

#[cfg(test)]
mod tests {
    use super::function_of;

    #[test]
    fn a_statement_is_known_by_the_function_that_it_calls() {
        assert_eq!(function_of("select status, body, context from nebula.handle($1, $2)"), "handle");
        assert_eq!(function_of("select events, jobs from nebula.await_work($1)"), "await_work");
        assert_eq!(function_of("begin"), "other");
    }
}
