//! Those who receive what leaves the machine: an OTLP receiver that decodes the protobuf, and a sink of Sentry's envelopes.

use crate::{Receiver, eventually};
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{AnyValue, KeyValue, any_value},
    trace::v1::Span,
};
use prost::Message;
use serde_json::Value;
use std::collections::BTreeMap;

/// Receives traces.
pub struct Spans {
    pub receiver: Receiver,
    endpoint: String,
}

/// A span, readable.
#[derive(Clone, Debug)]
pub struct Seen {
    pub service: String,
    pub name: String,
    pub kind: i32,
    pub trace_id: String,
    pub span_id: String,
    pub parent_id: String,
    pub attributes: BTreeMap<String, String>,
    /// `STATUS_CODE_ERROR`.
    pub is_error: bool,
    pub duration_ns: u64,
}

impl Spans {
    #[must_use]
    pub fn receive() -> Self {
        let receiver = Receiver::start();
        Self { endpoint: receiver.url(""), receiver }
    }

    /// Settings of who sends here, at once.
    #[must_use]
    pub fn settings(&self) -> Vec<(&str, &str)> {
        vec![("NEBULA_TRACES_ENDPOINT", self.endpoint.trim_end_matches('/')), ("OTEL_BSP_SCHEDULE_DELAY", "50")]
    }

    /// What came so far.
    #[must_use]
    pub fn seen(&self) -> Vec<Seen> {
        let mut seen = Vec::new();
        for received in self.receiver.received() {
            assert_eq!((received.method.as_str(), received.path.as_str()), ("POST", "/v1/traces"));
            assert_eq!(received.headers["content-type"], "application/x-protobuf");
            let request = ExportTraceServiceRequest::decode(received.bytes.as_slice()).unwrap();
            for resource in request.resource_spans {
                let of_process = texts(&resource.resource.unwrap_or_default().attributes);
                let service = of_process.get("service.name").cloned().unwrap_or_default();
                let spans = resource.scope_spans.into_iter().flat_map(|scope| scope.spans);
                seen.extend(spans.map(|span| read(&service, &span)));
            }
        }
        seen
    }

    /// Waits for a span.
    #[track_caller]
    #[must_use]
    pub fn wait_for(&self, what: &str, is_it: impl Fn(&Seen) -> bool) -> Seen {
        let mut found = None;
        eventually(what, || {
            found = self.seen().into_iter().find(|seen| is_it(seen));
            found.is_some()
        });
        found.unwrap()
    }
}

fn read(service: &str, span: &Span) -> Seen {
    Seen {
        service: service.to_owned(),
        name: span.name.clone(),
        kind: span.kind,
        trace_id: hex(&span.trace_id),
        span_id: hex(&span.span_id),
        parent_id: hex(&span.parent_span_id),
        attributes: texts(&span.attributes),
        is_error: span.status.as_ref().is_some_and(|status| status.code == 2),
        duration_ns: span.end_time_unix_nano - span.start_time_unix_nano,
    }
}

fn texts(attributes: &[KeyValue]) -> BTreeMap<String, String> {
    attributes.iter().map(|pair| (pair.key.clone(), text(pair.value.as_ref()))).collect()
}

fn text(value: Option<&AnyValue>) -> String {
    match value.and_then(|value| value.value.as_ref()) {
        Some(any_value::Value::StringValue(text)) => text.clone(),
        Some(any_value::Value::IntValue(number)) => number.to_string(),
        other => format!("{other:?}"),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Receives what Sentry would.
pub struct Reports {
    pub receiver: Receiver,
    dsn: String,
}

impl Reports {
    #[must_use]
    pub fn receive() -> Self {
        let receiver = Receiver::start();
        Self { dsn: format!("http://public@{}/42", receiver.address), receiver }
    }

    /// Settings of who reports here.
    #[must_use]
    pub fn settings(&self) -> Vec<(&str, &str)> {
        vec![("NEBULA_SENTRY_DSN", &self.dsn), ("NEBULA_ENVIRONMENT", "test")]
    }

    /// The events that came so far: the payload of each envelope.
    #[must_use]
    pub fn events(&self) -> Vec<Value> {
        let event = |envelope: &str| {
            let lines = envelope.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()).collect::<Vec<_>>();
            assert_eq!((lines.len(), &lines[1]["type"]), (3, &"event".into()), "{envelope}");
            let id = |line: usize| lines[line]["event_id"].as_str().unwrap().replace('-', "");
            assert_eq!(id(0), id(2));
            lines[2].clone()
        };
        self.receiver
            .received()
            .iter()
            .map(|received| {
                assert_eq!((received.method.as_str(), received.path.as_str()), ("POST", "/api/42/envelope/"));
                assert!(received.headers["x-sentry-auth"].contains("sentry_key=public"));
                event(&received.body)
            })
            .collect()
    }
}
