//! The one log line of a request: the allow-list of contract section 10, and nothing that a client chose freely.

use super::frame::Frame;
use std::time::Duration;

/// What an answer says for the log alone; travels in the response's extensions.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    pub tenant_id: Option<String>,
    pub actor_type: Option<String>,
    pub actor_id: Option<String>,
    pub error_code: Option<String>,
    /// Why the edge itself failed.
    pub reason: Option<String>,
    /// What the database wants a person on watch to see.
    pub alert: Option<String>,
}

macro_rules! line {
    ($level:ident, $message:expr, $frame:ident, $trace_id:expr, $facts:ident, $method:expr, $route:expr, $status:expr, $latency_ms:expr) => {
        tracing::$level!(
            requestId = $frame.request_id,
            traceId = $trace_id,
            tenantId = $facts.tenant_id,
            actorType = $facts.actor_type,
            actorId = $facts.actor_id,
            method = $method,
            route = $route,
            statusCode = $status,
            latencyMs = $latency_ms,
            error.code = $facts.error_code,
            "{}",
            $message
        )
    };
}

/// What is known of an answered request, beside its facts.
pub struct Answered<'a> {
    pub frame: &'a Frame,
    pub facts: &'a Facts,
    /// A method that HTTP knows, or `other`: any other is the client's own word.
    pub method: &'static str,
    /// The template, never the path: a path holds ids.
    pub route: Option<&'a str>,
    pub status: u16,
    pub took: Duration,
}

/// Writes the line: `error` for 5xx, `warn` for refusals worth watching, else `info`.
pub fn write(Answered { frame, facts, method, route, status, took }: &Answered<'_>) {
    let latency_ms = (took.as_secs_f64() * 1e5).round() / 100.0;
    let message = facts.reason.as_deref().or(facts.alert.as_deref()).unwrap_or("request");
    let trace_id = frame.trace.as_ref().map(|trace| trace.id.as_str());
    match (status, facts.error_code.as_deref()) {
        (500.., _) => line!(error, message, frame, trace_id, facts, method, route, status, latency_ms),
        _ if facts.alert.is_some() => line!(warn, message, frame, trace_id, facts, method, route, status, latency_ms),
        (_, Some("FORBIDDEN_ACTION" | "TENANT_MISMATCH")) => {
            line!(warn, message, frame, trace_id, facts, method, route, status, latency_ms);
        }
        _ => line!(info, message, frame, trace_id, facts, method, route, status, latency_ms),
    }
}
