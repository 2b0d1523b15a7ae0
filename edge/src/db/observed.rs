//! Statements as metrics and traces see them.

use super::failure::Failure;
use crate::telemetry::{
    Statement, Telemetry, Traces,
    metrics::{Metrics, database::function_of},
};
use deadpool_postgres::Pool;
use std::{sync::Arc, time::Instant};

/// Who watches; by default nobody.
#[derive(Clone, Default)]
pub struct Observed {
    metrics: Option<Arc<Metrics>>,
    traces: Option<Traces>,
}

/// One statement, from the wait for a connection on.
pub struct Call<'a> {
    function: &'a str,
    metrics: Option<&'a Metrics>,
    span: Option<Statement>,
    began: Instant,
    /// When there was a connection, or none to be had.
    connected: Option<Instant>,
}

impl Observed {
    #[must_use]
    pub fn new(telemetry: &Telemetry) -> Self {
        Self { metrics: telemetry.metrics.clone(), traces: telemetry.traces.clone() }
    }

    #[must_use]
    pub fn is_off(&self) -> bool {
        self.metrics.is_none() && self.traces.is_none()
    }

    /// Somebody wants to do a statement.
    #[must_use]
    pub fn begin<'a>(&'a self, statement: &'a str) -> Call<'a> {
        let function = function_of(statement);
        let span = self.traces.as_ref().and_then(|traces| traces.statement(function));
        Call { function, metrics: self.metrics.as_deref(), span, began: Instant::now(), connected: None }
    }
}

impl Call<'_> {
    /// There is a connection, or there is none to be had.
    pub fn connected(&mut self) {
        let now = Instant::now();
        self.connected = Some(now);
        if let Some(metrics) = self.metrics {
            metrics.database.waited(now.duration_since(self.began));
        }
        if let Some(span) = &mut self.span {
            span.connected();
        }
    }

    /// It has ended.
    pub fn end(self, failure: Option<&Failure>) {
        if let Some(metrics) = self.metrics {
            metrics.database.called(self.function, self.connected.unwrap_or(self.began).elapsed());
            match failure {
                None => {}
                Some(Failure::Unavailable(_)) => metrics.database.failed("unavailable"),
                Some(Failure::Statement(_)) => metrics.database.failed("statement"),
            }
        }
        if let Some(span) = self.span {
            span.end(failure.map(Failure::reason));
        }
    }
}

/// Shows a pool.
pub fn show_pool(pool: &Pool, metrics: &Metrics) {
    let sample = |name: &'static str, help: &'static str, read: fn(&Pool) -> usize| {
        let pool = pool.clone();
        metrics.sample(name, help, move || read(&pool));
    };
    sample("nebula_pool_connections", "Database connections of the pool, idle ones included.", |pool| pool.status().size);
    sample("nebula_pool_connections_max", "The most connections that the pool may have.", |pool| pool.status().max_size);
    sample("nebula_pool_idle", "Connections of the pool that nobody uses.", |pool| pool.status().available);
    sample("nebula_pool_waiting", "Who waits for a connection.", |pool| pool.status().waiting);
}
