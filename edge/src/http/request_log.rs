//! The one log line of a request: the allow-list of contract section 10, and nothing that a client chose freely.

use super::frame::Frame;
use axum::response::Response;
use http::Method;
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
    ($level:ident, $message:expr, $frame:ident, $facts:ident, $method:expr, $route:expr, $status:expr, $latency_ms:expr) => {
        tracing::$level!(
            requestId = $frame.request_id,
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

/// Writes the line: `error` for 5xx, `warn` for refusals worth watching, else `info`.
pub fn write(frame: &Frame, method: &Method, response: &Response, latency: Duration) {
    let nothing = Facts::default();
    let facts = response.extensions().get::<Facts>().unwrap_or(&nothing);
    let status = response.status().as_u16();
    // The template, never the path: a path holds ids. A method that HTTP doesn't know is the client's own word.
    let route = frame.route.get().map(|served| served.route.path.as_str()).or(frame.own_path);
    let method = if is_standard(method) { method.as_str() } else { "other" };
    let latency_ms = (latency.as_secs_f64() * 1e5).round() / 100.0;
    let message = facts.reason.as_deref().or(facts.alert.as_deref()).unwrap_or("request");
    match (status, facts.error_code.as_deref()) {
        (500.., _) => line!(error, message, frame, facts, method, route, status, latency_ms),
        _ if facts.alert.is_some() => line!(warn, message, frame, facts, method, route, status, latency_ms),
        (_, Some("FORBIDDEN_ACTION" | "TENANT_MISMATCH")) => line!(warn, message, frame, facts, method, route, status, latency_ms),
        _ => line!(info, message, frame, facts, method, route, status, latency_ms),
    }
}

fn is_standard(method: &Method) -> bool {
    [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::OPTIONS, Method::TRACE, Method::CONNECT]
        .contains(method)
}
