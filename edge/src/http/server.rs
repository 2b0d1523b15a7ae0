//! Connections: our own accept loop, because `axum::serve` never closed one that sent its headers slowly (measured).

use super::{app::App, frame::Peer};
use crate::error::Error;
use axum::Router;
use http::Request;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::{GracefulShutdown, Watcher},
};
use std::{
    future::Future,
    net::SocketAddr,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{sleep, timeout},
};
use tower::ServiceExt;

/// The largest request head, in bytes; more answers 431.
const MAX_HEAD_BYTES: usize = 64 << 10;
const MAX_HEADERS: usize = 100;
/// What the last writing of gathered usage may take, after the drain.
const LAST_FLUSH: Duration = Duration::from_secs(3);

/// Serves until `stop` resolves, then on for the delay of the settings while balancers turn away, then lets requests under way finish, for as long as the settings say.
pub async fn serve(app: App, listener: TcpListener, stop: impl Future<Output = ()>) -> Result<(), Error> {
    let router = app.router();
    let slots = Arc::clone(&app.connections);
    let mut server = http1::Builder::new();
    server
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_millis(app.config.header_timeout_ms))
        .max_buf_size(MAX_HEAD_BYTES)
        .max_headers(MAX_HEADERS);
    let connections = GracefulShutdown::new();
    let stop = async {
        stop.await;
        app.is_stopping.store(true, Ordering::Relaxed);
        let delay = Duration::from_secs(app.config.shutdown_delay_seconds);
        if !delay.is_zero() {
            tracing::info!("stopping: not ready any more, serving on for {} s", delay.as_secs());
            sleep(delay).await;
        }
    };
    tokio::pin!(stop);
    loop {
        let (stream, peer, slot) = tokio::select! {
            accepted = accept(&listener, &slots) => accepted,
            () = &mut stop => break,
        };
        tokio::spawn(connection(server.clone(), router.clone(), stream, peer, slot, connections.watcher()));
    }
    drop(listener);
    tracing::info!("stopping: no new connections, requests under way finish");
    let drained = async {
        connections.shutdown().await;
        // A client may be gone while its request still runs: wait for the request, too.
        let everything = u32::try_from(app.config.max_in_flight.max(1)).unwrap_or(u32::MAX);
        let _ = app.in_flight.acquire_many(everything).await;
    };
    if timeout(Duration::from_secs(app.config.drain_seconds), drained).await.is_err() {
        tracing::warn!("stopped before every request had finished");
    }
    if timeout(LAST_FLUSH, app.database.flush_all()).await.is_err() {
        tracing::warn!("stopped before all gathered usage was written");
    }
    Ok(())
}

/// Takes a slot first: at the cap, clients wait in the kernel's queue instead of in our memory.
async fn accept(listener: &TcpListener, slots: &Arc<Semaphore>) -> (TcpStream, SocketAddr, Option<OwnedSemaphorePermit>) {
    let slot = Arc::clone(slots).acquire_owned().await.ok();
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => return (stream, peer, slot),
            Err(error) => {
                // Out of file descriptors, or the peer left already. The first would spin without a pause.
                tracing::warn!("accept: {}", error.kind());
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

async fn connection(
    server: http1::Builder,
    router: Router,
    stream: TcpStream,
    peer: SocketAddr,
    slot: Option<OwnedSemaphorePermit>,
    watcher: Watcher,
) {
    let _slot = slot;
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(Peer(peer));
        router.clone().oneshot(request)
    });
    // An error here is the client's: it left, was too slow, or spoke no HTTP. hyper has answered what can be answered.
    let _ = watcher.watch(server.serve_connection(TokioIo::new(stream), service)).await;
}
