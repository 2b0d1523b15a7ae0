//! All metrics of a process.

use super::{
    super::Program, database::DatabaseMetrics, exposition, http::HttpMetrics, process::Process, sampled::Sampled, worker::WorkerMetrics,
};
use prometheus_client::{collector::Collector, encoding::text, metrics::info::Info, registry::Registry};
use std::sync::{Arc, Mutex, PoisonError};

/// What is counted, by what it is about.
pub struct Metrics {
    pub http: HttpMetrics,
    pub database: DatabaseMetrics,
    pub worker: WorkerMetrics,
    registry: Mutex<Registry>,
}

impl Metrics {
    /// The metrics of one of the programs: the other's are counted by nobody and not shown.
    #[must_use]
    pub fn new(program: Program) -> Arc<Self> {
        let (http, database, worker) = (HttpMetrics::new(), DatabaseMetrics::new(), WorkerMetrics::default());
        let mut registry = Registry::default();
        let build = Info::new(vec![("program", program.name()), ("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("nebula_build", "Which program and release this is", build);
        registry.register_collector(Box::new(Process::new()));
        database.register(&mut registry);
        match program {
            Program::Edge => http.register(&mut registry),
            Program::Worker => worker.register(&mut registry),
        }
        Arc::new(Self { http, database, worker, registry: Mutex::new(registry) })
    }

    /// Also shows what a collector says at each scrape.
    pub fn add(&self, collector: impl Collector) {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner).register_collector(Box::new(collector));
    }

    /// Also shows a count that is read at each scrape. The help ends with a full stop.
    pub fn sample(&self, name: &'static str, help: &'static str, read: impl Fn() -> usize + Send + Sync + 'static) {
        self.add(Sampled::new(name, help, read));
    }

    /// Everything, as OpenMetrics, or as the older text format.
    #[must_use]
    pub fn text(&self, is_open_metrics: bool) -> String {
        let mut text = String::with_capacity(16 << 10);
        // Writing into a String fails where a metric does, which ours don't.
        let _ = text::encode(&mut text, &self.registry.lock().unwrap_or_else(PoisonError::into_inner));
        if is_open_metrics { text } else { exposition::classic(&text) }
    }
}
