//! Sending to receivers of telemetry: one HTTP client for all of them, over the machine's root certificates, without redirects and without a proxy from the environment.
//!
//! Where they are is the operator's word, so it may be a private network, and plain http.

use crate::error::Error;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client as Pool, connect::HttpConnector},
    rt::TokioExecutor,
};
use rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs};
use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::{runtime::Handle, time::timeout};

/// For everything: name, connection, TLS, answer.
const TIMEOUT: Duration = Duration::from_secs(10);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// An answer is read for politeness.
const MAX_ANSWER_BYTES: usize = 64 << 10;

/// Sends to one receiver; cheap to clone.
#[derive(Clone)]
pub struct Client {
    pool: Pool<HttpsConnector<HttpConnector>, Full<Bytes>>,
    /// Exporters have threads of their own, which this runtime doesn't know.
    runtime: Handle,
    receiver: &'static str,
    is_failing: Arc<AtomicBool>,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Client({})", self.receiver)
    }
}

impl Client {
    /// `receiver` is what the log calls whom it sends to. Within a runtime.
    pub fn new(receiver: &'static str) -> Result<Self, Error> {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        let tls = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| Error::Telemetry(error.to_string()))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let mut connector = HttpConnector::new();
        connector.enforce_http(false);
        connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
        let connector = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1().wrap_connector(connector);
        Ok(Self {
            pool: Pool::builder(TokioExecutor::new()).build(connector),
            runtime: Handle::current(),
            receiver,
            is_failing: Arc::default(),
        })
    }

    /// Sends a request; on whatever thread it is awaited, it runs in the runtime. Says once that a receiver fails, and once that it doesn't any more.
    pub async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, String> {
        let pool = self.pool.clone();
        let sending =
            async move { timeout(TIMEOUT, exchange(&pool, request)).await.unwrap_or_else(|_| Err("no answer within 10 s".to_owned())) };
        let outcome = self.runtime.spawn(sending).await.unwrap_or_else(|_| Err("the process ends".to_owned()));
        let failure = match &outcome {
            Ok(response) if response.status().is_success() => None,
            Ok(response) => Some(format!("status {}", response.status().as_u16())),
            Err(reason) => Some(reason.clone()),
        };
        match (self.is_failing.swap(failure.is_some(), Ordering::Relaxed), failure) {
            (false, Some(reason)) => tracing::warn!("{} takes nothing: {reason}", self.receiver),
            (true, None) => tracing::info!("{} takes what is sent again", self.receiver),
            _ => {}
        }
        outcome
    }
}

async fn exchange(pool: &Pool<HttpsConnector<HttpConnector>, Full<Bytes>>, request: Request<Bytes>) -> Result<Response<Bytes>, String> {
    let (parts, body) = request.into_parts();
    let response = pool.request(Request::from_parts(parts, Full::new(body))).await.map_err(|error| innermost(&error))?;
    let (parts, body) = response.into_parts();
    let body = Limited::new(body, MAX_ANSWER_BYTES).collect().await.map_err(|_| "the answer is too large or was cut off".to_owned())?;
    Ok(Response::from_parts(parts, body.to_bytes()))
}

/// The cause at the bottom says what happened; those above say that something did.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}
