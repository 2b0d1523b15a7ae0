//! What a report holds: all of it is here. No body, header, query, address, person or tenant; `requestId` leads to the log line that knows more.

use super::super::{Program, Trace};
use sentry_types::protocol::v7::{ClientSdkInfo, Context, Event, Exception, Level, Map, TraceContext};
use std::borrow::Cow;

/// A request that was answered with 5xx.
pub struct Failed<'a> {
    pub request_id: &'a str,
    pub method: &'static str,
    /// The template.
    pub route: Option<&'a str>,
    pub status: u16,
    /// One of the error table's.
    pub code: Option<&'static str>,
    /// Why, in the edge's own words, as the log has it.
    pub reason: Option<&'a str>,
    pub trace: Option<&'a Trace>,
}

/// Who reports.
pub struct Sender {
    pub program: Program,
    pub environment: Option<String>,
}

impl Sender {
    /// Failures of one route with one code and reason are one issue.
    pub fn failed(&self, failed: &Failed<'_>) -> Event<'static> {
        let (code, reason) = (failed.code.unwrap_or("INTERNAL_ERROR"), failed.reason.unwrap_or("no reason given"));
        let route = failed.route.unwrap_or("none");
        let mut tags = Map::new();
        let status = failed.status.to_string();
        for (name, value) in
            [("error.code", code), ("method", failed.method), ("route", route), ("statusCode", &status), ("requestId", failed.request_id)]
        {
            tags.insert(name.to_owned(), value.to_owned());
        }
        let mut contexts = Map::new();
        if let Some((trace, Ok(trace_id), Ok(span_id))) = failed.trace.map(|trace| (trace, trace.id.parse(), trace.span_id().parse())) {
            tags.insert("traceId".to_owned(), trace.id.clone());
            contexts.insert("trace".to_owned(), Context::Trace(Box::new(TraceContext { trace_id, span_id, ..TraceContext::default() })));
        }
        Event {
            message: Some(format!("{code}: {reason}")),
            transaction: Some(format!("{} {route}", failed.method)),
            fingerprint: Cow::Owned([code, failed.method, route, reason].map(|part| Cow::Owned(part.to_owned())).to_vec()),
            tags,
            contexts,
            ..self.event(Level::Error)
        }
    }

    /// A panic's message may hold what it panicked over; its place says enough.
    pub fn panicked(&self, place: &str) -> Event<'static> {
        let exception = Exception { ty: "panic".to_owned(), value: Some(format!("panic at {place}")), ..Exception::default() };
        Event {
            exception: vec![exception].into(),
            fingerprint: Cow::Owned(vec![Cow::Borrowed("panic"), Cow::Owned(place.to_owned())]),
            ..self.event(Level::Fatal)
        }
    }

    fn event(&self, level: Level) -> Event<'static> {
        let sdk = ClientSdkInfo {
            name: "nebula".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            integrations: Vec::new(),
            packages: Vec::new(),
        };
        Event {
            level,
            platform: Cow::Borrowed("native"),
            logger: Some(self.program.name().to_owned()),
            release: Some(Cow::Borrowed(concat!("nebula@", env!("CARGO_PKG_VERSION")))),
            environment: self.environment.clone().map(Cow::Owned),
            sdk: Some(Cow::Owned(sdk)),
            ..Event::default()
        }
    }
}
