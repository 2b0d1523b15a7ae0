//! Connections: our own accept loop, because `axum::serve` never closed one that sent its headers slowly (measured).

use super::{app::App, frame::Peer, waiting::Waiter};
use crate::error::Error;
use axum::{
    Router,
    body::{Body, Bytes, HttpBody},
};
use http::Request;
use hyper::{
    body::{Frame, Incoming, SizeHint},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::{GracefulShutdown, Watcher},
};
use std::{
    convert::Infallible,
    future::{Future, pending},
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, atomic::Ordering},
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::OwnedSemaphorePermit,
    time::{sleep, timeout},
};
use tokio_io_timeout::TimeoutStream;
use tower::ServiceExt;

/// The largest request head, in bytes; more answers 431.
const MAX_HEAD_BYTES: usize = 64 << 10;
const MAX_HEADERS: usize = 100;
/// How often somebody who waits for nothing is looked for while every connection is taken.
const ROOM_INTERVAL: Duration = Duration::from_millis(100);
/// What the last writing of gathered usage may take, after the drain.
const LAST_FLUSH: Duration = Duration::from_secs(3);

/// Serves until `stop` resolves, then on for the delay of the settings while balancers turn away, then lets requests under way finish, for as long as the settings say.
pub async fn serve(app: App, listener: TcpListener, stop: impl Future<Output = ()>) -> Result<(), Error> {
    let router = app.router();
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
            accepted = accept(&app, &listener) => accepted,
            () = &mut stop => break,
        };
        let connection = Connection { app: app.clone(), router: router.clone(), peer, slot };
        tokio::spawn(connection.serve(server.clone(), stream, connections.watcher()));
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

/// A connection with its slot. At the cap it is whoever sends nothing that makes room; everybody else waits in the kernel's queue instead of in our memory.
async fn accept(app: &App, listener: &TcpListener) -> (TcpStream, SocketAddr, OwnedSemaphorePermit) {
    let (stream, peer) = loop {
        match listener.accept().await {
            Ok(accepted) => break accepted,
            Err(error) => {
                // Out of file descriptors, or the peer left already. The first would spin without a pause.
                tracing::warn!("accept: {}", error.kind());
                sleep(Duration::from_millis(50)).await;
            }
        }
    };
    if let Ok(slot) = Arc::clone(&app.connections).try_acquire_owned() {
        return (stream, peer, slot);
    }
    loop {
        app.make_room();
        // Nobody closes the semaphore.
        if let Ok(Ok(slot)) = timeout(ROOM_INTERVAL, Arc::clone(&app.connections).acquire_owned()).await {
            return (stream, peer, slot);
        }
    }
}

/// A client's connection.
struct Connection {
    app: App,
    router: Router,
    peer: SocketAddr,
    slot: OwnedSemaphorePermit,
}

impl Connection {
    /// Serves its requests, one after the other, until the client leaves or its place is needed while it sends none.
    async fn serve(self, server: http1::Builder, stream: TcpStream, watcher: Watcher) {
        let Self { app, router, peer, slot: _slot } = self;
        let _ = stream.set_nodelay(true);
        let mut stream = TimeoutStream::new(stream);
        // Who reads nothing of their answer would hold it forever: hyper has no limit for that.
        stream.set_write_timeout(Some(Duration::from_millis(app.config.write_timeout_ms)));
        let idle = Arc::new(app.idle.enter());
        let place = Arc::clone(&idle);
        let service = service_fn(move |mut request: Request<Incoming>| {
            let (router, place) = (router.clone(), Arc::clone(&place));
            request.extensions_mut().insert(Peer(peer));
            request.extensions_mut().insert(Arc::clone(&place));
            async move {
                if !place.stop_waiting() {
                    // Asked to leave in the very same moment: nothing begins on a connection that is being closed.
                    pending::<()>().await;
                }
                let response = router.oneshot(request).await?;
                Ok::<_, Infallible>(response.map(|body| Answer { body, place }))
            }
        });
        let served = watcher.watch(server.serve_connection(TokioIo::new(Box::pin(stream)), service));
        // An error is the client's: it left, was too slow, or spoke no HTTP. hyper has answered what can be answered.
        tokio::select! {
            _ = served => {}
            () = idle.asked_to_leave() => {}
        }
    }
}

/// The body of an answer; after it the connection waits for its next request.
struct Answer {
    body: Body,
    place: Arc<Waiter>,
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.place.wait();
    }
}
