//! What surrounds every request, whoever answers it: id, language, time limit, panics, common headers, one log line.

use super::{answer, app::App, headers, health, observe, refusal::Refusal, served_route::ServedRoute};
use crate::telemetry::Trace;
use axum::{
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use http::{HeaderValue, header::CONNECTION};
use nebula_core::error::Language;
use opentelemetry::trace::FutureExt;
use std::{
    net::{IpAddr, SocketAddr},
    sync::{Arc, OnceLock, atomic::Ordering},
    time::Duration,
};
use tokio::time::{Instant, timeout_at};

/// The client's end of the connection, put into each request by the server.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub SocketAddr);

/// What is known of a request before anything is decided.
pub struct Frame {
    pub request_id: String,
    pub language: Language,
    pub peer: IpAddr,
    /// After this nobody waits for the answer: nothing with an effect may begin.
    pub deadline: Instant,
    /// One of the edge's own paths.
    pub own_path: Option<&'static str>,
    /// The route, once found; it outlives a handler that times out or panics, for the answer's headers and the log.
    pub route: OnceLock<Arc<ServedRoute>>,
    /// Where the edge traces.
    pub trace: Option<Trace>,
}

/// The outermost middleware.
pub async fn around(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let started = Instant::now();
    let peer = request.extensions().get::<Peer>().map_or(IpAddr::from([0, 0, 0, 0]), |peer| peer.0.ip());
    let frame = Arc::new(Frame {
        request_id: headers::request_id(request.headers()),
        language: headers::language(request.headers()),
        peer,
        deadline: started + Duration::from_millis(app.config.request_timeout_ms),
        own_path: health::own_path(request.uri().path()),
        route: OnceLock::new(),
        trace: app.telemetry.traces.as_ref().map(|traces| traces.request(request.headers(), observe::method(request.method()))),
    });
    let method = observe::method(request.method());
    request.extensions_mut().insert(Arc::clone(&frame));
    // A task of its own: a client that goes away can't stop it in the middle of a statement, and a panic ends this request only.
    let running = next.run(request);
    let task = match &frame.trace {
        None => tokio::spawn(running),
        Some(trace) => tokio::spawn(running.with_context(trace.context())),
    };
    let response = match timeout_at(frame.deadline, task).await {
        Ok(Ok(response)) => response,
        Ok(Err(_)) => answer::refusal(&frame, Refusal::internal("a handler panicked")),
        Err(_) => answer::refusal(&frame, Refusal::unavailable("the request took too long")),
    };
    let mut response = answer::with_common_headers(response, &frame);
    if app.is_stopping.load(Ordering::Relaxed) {
        // The client opens its next connection to an edge that stays.
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    if let Some(served) = frame.route.get() {
        served.mark(response.headers_mut());
    }
    observe::answered(&app, &frame, method, &response, started.elapsed());
    response
}
