//! What the edge counts of requests.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, exemplar::HistogramWithExemplars, family::Family},
    registry::Registry,
};
use std::{sync::Arc, time::Duration};

/// From a cached answer to the longest that a request may take, in seconds.
const BUCKETS: [f64; 13] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// A request that was answered.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answered {
    method: &'static str,
    /// The template.
    route: Arc<str>,
    status: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Timed {
    method: &'static str,
    route: Arc<str>,
    status_class: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Coded {
    code: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Looked {
    result: &'static str,
}

/// What an exemplar names.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TraceLabel {
    trace_id: String,
}

type Histogram = HistogramWithExemplars<TraceLabel>;

/// Counters and histograms of requests.
pub struct HttpMetrics {
    durations: Family<Timed, Histogram, fn() -> Histogram>,
    requests: Family<Answered, Counter>,
    errors: Family<Coded, Counter>,
    token_lookups: Family<Looked, Counter>,
    /// Requests that were refused because too many were under way.
    pub shed: Counter,
    /// Clients that sent nothing, or slowly, and gave up their place.
    pub dismissed: Counter,
    /// Logins that were refused because an account's or an address' attempts were used up.
    pub login_slowdowns: Counter,
}

fn histogram() -> Histogram {
    Histogram::new(BUCKETS.into_iter())
}

impl HttpMetrics {
    pub(super) fn new() -> Self {
        Self {
            durations: Family::new_with_constructor(histogram),
            requests: Family::default(),
            errors: Family::default(),
            token_lookups: Family::default(),
            shed: Counter::default(),
            dismissed: Counter::default(),
            login_slowdowns: Counter::default(),
        }
    }

    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(
            "nebula_http_request_duration_seconds",
            "The time from a request's head to its answer's, by method, route and class of status",
            self.durations.clone(),
        );
        registry.register("nebula_http_requests", "Requests that were answered, by method, route and status", self.requests.clone());
        registry.register("nebula_http_errors", "Refusals and failures, by the error's code", self.errors.clone());
        registry.register(
            "nebula_http_clients_dismissed",
            "Clients that sent nothing, or their body slowly, and gave up their place to another",
            self.dismissed.clone(),
        );
        registry.register("nebula_http_requests_shed", "Requests that were refused because too many were under way", self.shed.clone());
        registry.register(
            "nebula_login_slowdowns",
            "Logins that were refused because an account's or an address's attempts were used up",
            self.login_slowdowns.clone(),
        );
        registry.register(
            "nebula_token_cache_lookups",
            "Looks for an access token among those that were verified, by result",
            self.token_lookups.clone(),
        );
        for is_known in [true, false] {
            self.token_looked_up(is_known, 0);
        }
    }

    /// Counts an answer. `route` is the template, `code` one of the error table's.
    pub fn answered(
        &self,
        method: &'static str,
        route: &Arc<str>,
        status: u16,
        code: Option<&'static str>,
        took: Duration,
        trace_id: Option<&str>,
    ) {
        let timed = Timed { method, route: Arc::clone(route), status_class: class(status) };
        let exemplar = trace_id.map(|trace_id| TraceLabel { trace_id: trace_id.to_owned() });
        self.durations.get_or_create(&timed).observe(took.as_secs_f64(), exemplar, None);
        self.requests.get_or_create(&Answered { method, route: Arc::clone(route), status }).inc();
        if let Some(code) = code {
            self.errors.get_or_create(&Coded { code }).inc();
        }
    }

    /// Counts a look for a token among those that were verified.
    pub fn token_looked_up(&self, is_known: bool, count: u64) {
        self.token_lookups.get_or_create(&Looked { result: if is_known { "hit" } else { "miss" } }).inc_by(count);
    }
}

fn class(status: u16) -> &'static str {
    match status {
        200..300 => "2xx",
        300..400 => "3xx",
        400..500 => "4xx",
        500..600 => "5xx",
        _ => "other",
    }
}
