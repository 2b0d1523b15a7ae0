//! What an answered request leaves behind: its log line, and, where they are on, counts, its span, a report of a failure.

use super::{
    app::App,
    frame::Frame,
    request_log::{self, Answered, Facts},
};
use crate::{
    db::{TenantFrom, TenantSource},
    telemetry::{Failed, metrics::Metrics},
};
use axum::response::Response;
use http::Method;
use nebula_core::error::Code;
use std::{sync::Arc, time::Duration};

/// Of an answer to no route.
const NO_ROUTE: &str = "none";

/// A method that HTTP knows by its name; any other is the client's own word.
#[must_use]
pub fn method(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        "TRACE" => "TRACE",
        "CONNECT" => "CONNECT",
        _ => "other",
    }
}

/// Tells everybody who wants to know.
pub fn answered(app: &App, frame: &Frame, method: &'static str, response: &Response, took: Duration) {
    let nothing = Facts::default();
    let facts = response.extensions().get::<Facts>().unwrap_or(&nothing);
    let route = frame.route.get().map(|served| served.route.path.as_str()).or(frame.own_path);
    let status = response.status().as_u16();
    let answered = Answered { frame, facts, method, route, status, took };
    request_log::write(&answered);
    let telemetry = &app.telemetry;
    if telemetry.metrics.is_none() && telemetry.traces.is_none() && telemetry.sentry.is_none() {
        return;
    }
    let code = facts.error_code.as_deref().and_then(known);
    if let Some(metrics) = &telemetry.metrics {
        count(metrics, &answered, code);
    }
    if let Some(trace) = &frame.trace {
        trace.answered(method, route, status, code, &frame.request_id);
    }
    if let Some(sentry) = telemetry.sentry.as_ref().filter(|_| status >= 500) {
        let (request_id, trace) = (&*frame.request_id, frame.trace.as_ref());
        sentry.failed(&Failed { request_id, method, route, status, code, reason: facts.reason.as_deref(), trace });
    }
}

/// A code of the error table: what labels hold is a closed list.
fn known(code: &str) -> Option<&'static str> {
    Code::ALL.iter().map(|known| known.as_str()).find(|known| *known == code)
}

fn count(metrics: &Metrics, answered: &Answered<'_>, code: Option<&'static str>) {
    let Answered { frame, method, status, took, .. } = *answered;
    let served = frame.route.get();
    let label = served.map_or_else(|| Arc::from(frame.own_path.unwrap_or(NO_ROUTE)), |served| Arc::clone(&served.label));
    // Only a trace that somebody can look at.
    let trace_id = frame.trace.as_ref().filter(|trace| trace.is_sampled()).map(|trace| trace.id.as_str());
    metrics.http.answered(method, &label, status, code, took, trace_id);
    let is_login = served.is_some_and(|served| served.route.tenant_from == TenantFrom::Named(TenantSource::Login));
    if is_login && code == Some("RATE_LIMITED") {
        metrics.http.login_slowdowns.inc();
    }
}

impl App {
    /// Shows what is only known when somebody looks.
    pub fn show(&self) {
        let Some(metrics) = &self.telemetry.metrics else { return };
        self.database.show(metrics);
        // Weakly: metrics live as long as what they are about.
        let sample = |name: &'static str, help: &'static str, read: fn(&App) -> usize| {
            let app = self.downgrade();
            metrics.sample(name, help, move || app.upgrade().map_or(0, |app| read(&app)));
        };
        sample("nebula_http_requests_in_flight", "Requests under way; more than nebula_http_requests_in_flight_max are shed.", |app| {
            app.config.max_in_flight.saturating_sub(app.in_flight.available_permits())
        });
        sample("nebula_http_requests_in_flight_max", "The setting max_in_flight.", |app| app.config.max_in_flight);
        sample("nebula_http_connections", "Client connections, the one that is waited for included.", |app| {
            app.config.max_connections.saturating_sub(app.connections.available_permits())
        });
        sample("nebula_token_cache_entries", "Access tokens that were verified and are remembered.", |app| {
            app.live.current().map_or(0, |state| state.verified.len())
        });
        sample("nebula_edge_is_serving", "Whether routes and keys are known and the database is not older than this program.", |app| {
            usize::from(app.live.current().is_some_and(|state| !state.is_outdated))
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_client_makes_up_is_no_label() {
        assert_eq!(method(&Method::from_bytes(b"BREW").unwrap_or_default()), "other");
        assert_eq!(method(&Method::PATCH), "PATCH");
        assert_eq!((known("FORBIDDEN_ACTION"), known("ANA@ACME.EXAMPLE")), (Some("FORBIDDEN_ACTION"), None));
    }
}
