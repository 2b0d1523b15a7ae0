//! Connections to receivers: made to addresses that were checked, and kept for a moment for the next request to the same host, which spares it a look-up and two handshakes.
//!
//! The pool is hyper-util's. Kept is what serves soon again: for less time than the usual receiver keeps it (Node: 5 seconds), and no longer in all than a name may lead
//! where it led.

use super::{PostError, address::addresses, tls::Tls};
use ::http::{Extensions, Response, Uri};
use bytes::Bytes;
use http_body_util::Full;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::{
    client::legacy::{
        Builder, Client,
        connect::{CaptureConnection, Connected, Connection},
    },
    rt::{TokioExecutor, TokioIo, TokioTimer},
};
use std::{
    io::{self, IoSlice},
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::{Duration, Instant},
};
use tokio::{
    net::TcpStream,
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};
use tokio_rustls::client::TlsStream;
use tokio_util::either::Either;
use tower::Service;
use url::Url;

/// For one address; a name may have several.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const MAX_ADDRESSES: usize = 4;
/// The largest head of an answer in bytes, and in headers.
const MAX_HEAD: usize = 64 << 10;
const MAX_HEADERS: usize = 100;
/// How long a connection is kept while nothing is sent, and how long in all.
const IDLE: Duration = Duration::from_secs(4);
const LONGEST: Duration = Duration::from_secs(60);
/// The most connections that are kept, of all hosts: one more serves one request.
const MAX_KEPT: usize = 256;

/// Sends over connections that it makes or has kept; so many to a host at most are kept while nothing is sent.
pub type Pool = Client<Connector, Full<Bytes>>;

/// `timeout` is for making a connection, from the name to the session.
pub fn pool(timeout: Duration, allows_loopback: bool, idle_of_host: usize) -> Pool {
    let connector = Connector { tls: Tls::new(), timeout, allows_loopback, places: Arc::new(Semaphore::new(MAX_KEPT)) };
    Builder::new(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE)
        .pool_max_idle_per_host(idle_of_host)
        .http1_max_buf_size(MAX_HEAD)
        .http1_max_headers(MAX_HEADERS)
        .set_host(false)
        .build(connector)
}

/// Makes connections.
#[derive(Clone)]
pub struct Connector {
    tls: Tls,
    timeout: Duration,
    allows_loopback: bool,
    places: Arc<Semaphore>,
}

/// A connection to one receiver.
pub struct Receiver {
    stream: TokioIo<Either<TcpStream, TlsStream<TcpStream>>>,
    past: Past,
    /// Its place among those that are kept, if there was one.
    place: Option<OwnedSemaphorePermit>,
}

/// What became of a connection until now; each of its answers brings it along.
#[derive(Clone)]
pub struct Past {
    made: Instant,
    has_served: Arc<AtomicBool>,
}

impl Past {
    /// Of the connection that an answer came over, or that a request failed on.
    fn of(extensions: &Extensions) -> Option<&Self> {
        extensions.get()
    }

    /// Whether it had served before.
    pub fn has_served(connected: &Connected) -> bool {
        let mut extensions = Extensions::new();
        connected.get_extras(&mut extensions);
        Self::of(&extensions).is_some_and(|past| past.has_served.load(Ordering::Relaxed))
    }

    /// Notes an answer. After its time a connection serves no other one.
    pub fn note<B>(response: &Response<B>, connection: &CaptureConnection) {
        let Some(past) = Self::of(response.extensions()) else { return };
        past.has_served.store(true, Ordering::Relaxed);
        if past.made.elapsed() >= LONGEST
            && let Some(connected) = connection.connection_metadata().as_ref()
        {
            connected.poison();
        }
    }
}

impl Connector {
    async fn connect(&self, to: &Uri) -> Result<Receiver, PostError> {
        let url = Url::parse(&to.to_string()).map_err(|_| PostError::Url)?;
        let is_plain = match url.scheme() {
            "https" => false,
            "http" if self.allows_loopback => true,
            _ => return Err(PostError::Url),
        };
        let addresses = addresses(&url, self.allows_loopback).await?;
        // In the clear nothing leaves the machine.
        if is_plain && !addresses.iter().all(|address| address.ip().is_loopback()) {
            return Err(PostError::NotPublic);
        }
        let stream = connect(&addresses).await?;
        let stream = if is_plain { Either::Left(stream) } else { Either::Right(self.tls.over(stream, &url).await?) };
        let past = Past { made: Instant::now(), has_served: Arc::default() };
        Ok(Receiver { stream: TokioIo::new(stream), past, place: Arc::clone(&self.places).try_acquire_owned().ok() })
    }
}

/// To one of the addresses that were checked, in their order; names are not looked up again.
async fn connect(addresses: &[SocketAddr]) -> Result<TcpStream, PostError> {
    let mut failure = PostError::NoSuchHost;
    for address in addresses.iter().take(MAX_ADDRESSES) {
        match timeout(CONNECT_TIMEOUT, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Ok(Err(error)) => failure = PostError::of_connection(&error),
            Err(_) => failure = PostError::Timeout,
        }
    }
    Err(failure)
}

impl Service<Uri> for Connector {
    type Response = Receiver;
    type Error = PostError;
    type Future = Pin<Box<dyn Future<Output = Result<Receiver, PostError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), PostError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, to: Uri) -> Self::Future {
        let this = self.clone();
        // A request that finds a kept connection meanwhile leaves this to itself, so that it needs an end of its own.
        Box::pin(async move { timeout(this.timeout, this.connect(&to)).await.unwrap_or(Err(PostError::Timeout)) })
    }
}

impl Connection for Receiver {
    fn connected(&self) -> Connected {
        let connected = Connected::new().extra(self.past.clone());
        if self.place.is_none() {
            connected.poison();
        }
        connected
    }
}

impl Read for Receiver {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl Write for Receiver {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, context: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
