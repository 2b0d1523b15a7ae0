//! Spans, with the attributes of OpenTelemetry's semantic conventions for HTTP and databases, without those that hold what a client chose: no path, no query, no
//! address, no user agent.

use super::parent::TRACEPARENT;
use http::{HeaderMap, HeaderValue};
use opentelemetry::{
    Context, KeyValue,
    trace::{Span, SpanKind, Status, TraceContextExt, Tracer},
};
use opentelemetry_sdk::trace::{SdkTracer, Span as SdkSpan};

/// A span that others may stand in, and the trace that it is of.
pub struct Trace {
    /// The trace's id, in hexadecimal, sampled or not.
    pub id: String,
    context: Context,
}

impl Trace {
    pub(super) fn new(context: Context) -> Self {
        Self { id: context.span().span_context().trace_id().to_string(), context }
    }

    /// For what is done inside of it.
    #[must_use]
    pub fn context(&self) -> Context {
        self.context.clone()
    }

    /// Of this span, in hexadecimal.
    #[must_use]
    pub fn span_id(&self) -> String {
        self.context.span().span_context().span_id().to_string()
    }

    /// Whether somebody will see it.
    #[must_use]
    pub fn is_sampled(&self) -> bool {
        self.context.span().span_context().is_sampled()
    }

    /// Tells the other side which trace this is, as `traceparent`.
    pub fn tell(&self, headers: &mut HeaderMap) {
        let span = self.context.span();
        let span = span.span_context();
        let text = format!("00-{}-{}-{:02x}", self.id, span.span_id(), span.trace_flags().to_u8());
        if let Ok(value) = HeaderValue::try_from(text) {
            headers.insert(TRACEPARENT, value);
        }
    }

    /// The request was answered. `route` is the template; `code` is one of the error table's.
    pub fn answered(&self, method: &'static str, route: Option<&str>, status: u16, code: Option<&'static str>, request_id: &str) {
        let span = self.context.span();
        if span.is_recording() {
            span.set_attribute(KeyValue::new("http.response.status_code", i64::from(status)));
            span.set_attribute(KeyValue::new("nebula.request_id", request_id.to_owned()));
            if let Some(route) = route {
                span.update_name(format!("{method} {route}"));
                span.set_attribute(KeyValue::new("http.route", route.to_owned()));
            }
            if let Some(code) = code {
                span.set_attribute(KeyValue::new("error.type", code));
            }
            // Of a server: a refusal is no failure of its own.
            if status >= 500 {
                span.set_status(Status::error(""));
            }
        }
        span.end();
    }

    /// The work has ended: `outcome` is one of a closed list.
    pub fn worked(&self, outcome: &'static str, status: Option<u16>) {
        let span = self.context.span();
        if span.is_recording() {
            span.set_attribute(KeyValue::new("nebula.job.outcome", outcome));
            if let Some(status) = status {
                span.set_attribute(KeyValue::new("http.response.status_code", i64::from(status)));
            }
            if !matches!(outcome, "done" | "2xx") {
                span.set_attribute(KeyValue::new("error.type", outcome));
                span.set_status(Status::error(""));
            }
        }
        span.end();
    }
}

/// The span of a statement; ends when it is dropped, if nobody says how it ended.
pub struct Statement(SdkSpan);

impl Statement {
    pub(super) fn start(tracer: &SdkTracer, parent: &Context, function: &str) -> Self {
        let attributes = [
            KeyValue::new("db.system.name", "postgresql"),
            KeyValue::new("db.operation.name", "SELECT"),
            KeyValue::new("db.stored_procedure.name", format!("nebula.{function}")),
        ];
        let span = tracer.span_builder(format!("SELECT nebula.{function}")).with_kind(SpanKind::Client).with_attributes(attributes);
        Self(span.start_with_context(tracer, parent))
    }

    /// There is a connection: how long it was waited for lies between the span's start and this.
    pub fn connected(&mut self) {
        self.0.add_event("connected", Vec::new());
    }

    /// How it ended; a failure by its SQLSTATE (`SQLSTATE 57014`) or in our own words, never a text of Postgres.
    pub fn end(mut self, failure: Option<&str>) {
        if let Some(reason) = failure {
            let state = reason.strip_prefix("SQLSTATE ");
            self.0.set_attribute(KeyValue::new("error.type", state.unwrap_or("unavailable").to_owned()));
            if let Some(state) = state {
                self.0.set_attribute(KeyValue::new("db.response.status_code", state.to_owned()));
            }
            self.0.set_status(Status::error(""));
        }
        self.0.end();
    }
}
