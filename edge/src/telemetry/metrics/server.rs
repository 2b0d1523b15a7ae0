//! The listener that shows metrics: apart from the REST interface, so that it can stand in another network.

use super::Metrics;
use crate::error::Error;
use async_trait::async_trait;
use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Method, Request, Response, StatusCode,
    header::{ACCEPT, ALLOW, CONTENT_TYPE},
};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::{convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::{sleep, timeout},
};

const HEADER_TIMEOUT: Duration = Duration::from_secs(5);
/// Whoever scrapes keeps a connection; nobody else has a reason to have one for long.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(900);
const MAX_CONNECTIONS: usize = 32;
const MAX_HEAD_BYTES: usize = 16 << 10;

const OPEN_METRICS: &str = "application/openmetrics-text";

/// Something that is read anew before metrics are shown.
#[async_trait]
pub trait Refresh: Send + Sync {
    /// Returns in time whatever happens, and keeps what it reads for some seconds.
    async fn refresh(&self);
}

/// Takes the address, or says that it is taken.
pub async fn bind(address: SocketAddr) -> Result<TcpListener, Error> {
    let listener = TcpListener::bind(address).await.map_err(|error| Error::Telemetry(format!("metrics at {address}: {error}")))?;
    tracing::info!("metrics at http://{}/metrics", listener.local_addr()?);
    Ok(listener)
}

/// Answers until the process ends.
pub async fn serve(listener: TcpListener, metrics: Arc<Metrics>, figures: Option<Arc<dyn Refresh>>) {
    let mut server = http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT).max_buf_size(MAX_HEAD_BYTES);
    let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        // Never closed.
        let Ok(slot) = Arc::clone(&slots).acquire_owned().await else { return };
        let Ok((stream, _)) = listener.accept().await else {
            sleep(Duration::from_millis(50)).await;
            continue;
        };
        let connection = connection(server.clone(), stream, Arc::clone(&metrics), figures.clone());
        tokio::spawn(async move {
            let _slot = slot;
            let _ = timeout(CONNECTION_TIMEOUT, connection).await;
        });
    }
}

async fn connection(server: http1::Builder, stream: TcpStream, metrics: Arc<Metrics>, figures: Option<Arc<dyn Refresh>>) {
    let service = service_fn(move |request: Request<Incoming>| {
        let (metrics, figures) = (Arc::clone(&metrics), figures.clone());
        async move { Ok::<_, Infallible>(answer(request.method(), request.uri().path(), request.headers(), &metrics, figures.as_deref()).await) }
    });
    // An error here is the scraper's.
    let _ = server.serve_connection(TokioIo::new(stream), service).await;
}

async fn answer(
    method: &Method,
    path: &str,
    headers: &HeaderMap,
    metrics: &Metrics,
    figures: Option<&dyn Refresh>,
) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    if path != "/metrics" {
        *response.status_mut() = StatusCode::NOT_FOUND;
    } else if *method != Method::GET && *method != Method::HEAD {
        *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
    } else {
        if let Some(figures) = figures {
            figures.refresh().await;
        }
        let is_open_metrics = headers.get_all(ACCEPT).iter().any(|value| value.to_str().is_ok_and(|text| text.contains(OPEN_METRICS)));
        let kind = if is_open_metrics {
            "application/openmetrics-text; version=1.0.0; charset=utf-8"
        } else {
            "text/plain; version=0.0.4; charset=utf-8"
        };
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        *response.body_mut() = Full::from(metrics.text(is_open_metrics));
    }
    response
}
