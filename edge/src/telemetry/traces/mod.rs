//! Traces, over OTLP: a span for each request, statement and piece of work.
//!
//! Spans are made by hand, with the attributes that are written here. A bridge that makes spans of whatever is logged would send what somebody adds to a line
//! (docs/decisions/0029-traces-and-errors.md).

mod exporter;
pub(crate) mod parent;
mod span;

pub use span::{Statement, Trace};

use super::{Program, client::Client};
use crate::{config::Config, error::Error};
use exporter::Exporter;
use http::HeaderMap;
use opentelemetry::{
    Context, KeyValue,
    trace::{SpanKind, TraceContextExt, Tracer, TracerProvider},
};
use opentelemetry_otlp::{SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::{
    Resource,
    trace::{Sampler, SdkTracer, SdkTracerProvider},
};
use std::time::Duration;

/// Makes spans, and sends those that are sampled; cheap to clone.
#[derive(Clone)]
pub struct Traces {
    provider: SdkTracerProvider,
    tracer: SdkTracer,
}

impl Traces {
    /// `None` where no setting names a receiver. Headers for it (`OTEL_EXPORTER_OTLP_HEADERS`), attributes of the process (`OTEL_RESOURCE_ATTRIBUTES`) and the batches (`OTEL_BSP_*`) are
    /// OpenTelemetry's own variables.
    pub fn start(program: Program, config: &Config) -> Result<Option<Self>, Error> {
        let Some(endpoint) = &config.traces_endpoint else { return Ok(None) };
        let ratio = config.traces_sample_ratio;
        if !(0.0..=1.0).contains(&ratio) {
            return Err(Error::Telemetry("traces_sample_ratio is from 0 to 1".to_owned()));
        }
        let refused = |reason: &str| Error::Telemetry(format!("traces_endpoint: {reason}"));
        let url = url::Url::parse(endpoint).map_err(|_| refused("not a URL"))?;
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
            return Err(refused("not an http or https URL"));
        }
        if !url.username().is_empty() || url.password().is_some() || url.query().is_some() || url.fragment().is_some() {
            return Err(refused("a URL without credentials, query and fragment; headers are in OTEL_EXPORTER_OTLP_HEADERS"));
        }
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(Exporter(Client::new("the receiver of traces")?))
            .with_endpoint(format!("{}/v1/traces", endpoint.trim_end_matches('/')))
            .build()
            .map_err(|error| refused(&error.to_string()))?;
        let environment = config.environment.clone().map(|name| KeyValue::new("deployment.environment.name", name));
        let resource = Resource::builder()
            .with_service_name(program.name())
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
            .with_attributes(environment)
            .build();
        let provider = SdkTracerProvider::builder()
            .with_resource(resource)
            .with_sampler(Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(ratio))))
            .with_batch_exporter(exporter)
            .build();
        Ok(Some(Self { tracer: provider.tracer("nebula"), provider }))
    }

    /// A request's span: a part of the trace that its `traceparent` names, where that is well-formed.
    #[must_use]
    pub fn request(&self, headers: &HeaderMap, method: &'static str) -> Trace {
        let parent = parent::of(headers).map_or_else(Context::new, |parent| Context::new().with_remote_span_context(parent));
        let attributes = [KeyValue::new("http.request.method", method), KeyValue::new("url.scheme", "http")];
        let span = self.tracer.span_builder(method).with_kind(SpanKind::Server).with_attributes(attributes);
        Trace::new(parent.with_span(span.start_with_context(&self.tracer, &parent)))
    }

    /// The span of a piece of work, in a trace of its own.
    #[must_use]
    pub fn work(&self, name: &'static str, kind: SpanKind, attempt: i32) -> Trace {
        let nowhere = Context::new();
        let attributes = [KeyValue::new("nebula.job.attempt", i64::from(attempt))];
        let span = self.tracer.span_builder(name).with_kind(kind).with_attributes(attributes);
        Trace::new(nowhere.with_span(span.start_with_context(&self.tracer, &nowhere)))
    }

    /// A statement's span, inside of whatever is traced here now; `None` where nothing is.
    #[must_use]
    pub fn statement(&self, function: &str) -> Option<Statement> {
        let current = Context::current();
        if !current.span().is_recording() {
            return None;
        }
        Some(Statement::start(&self.tracer, &current, function))
    }

    /// Sends what is left, in this time. Not on a thread of the runtime that sends.
    pub fn stop(&self, within: Duration) {
        // Whoever receives may be away: the rest is lost then.
        let _ = self.provider.shutdown_with_timeout(within);
    }
}
