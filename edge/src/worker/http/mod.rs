//! Requests to addresses that tenants name: the only client of the product that calls whom it does not trust.
//!
//! Nothing is followed or fetched on the way: no redirects, no proxy of the environment, no compression. Of an answer its head counts; of its body as much is
//! read as a polite receiver sends. Everything has its time, so that whoever hangs, trickles or never ends costs one place and nothing else.

mod address;
mod error;
pub(crate) mod retry_after;
mod tls;

pub use error::PostError;

use ::http::{
    HeaderMap, HeaderValue, Request, Response,
    header::{HOST, RETRY_AFTER, USER_AGENT},
};
use address::addresses;
use bytes::Bytes;
use error::of_exchange;
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use std::{
    net::SocketAddr,
    time::{Duration, SystemTime},
};
use tls::Tls;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    task::JoinSet,
    time::timeout,
};
use url::Url;

/// For one address; a name may have several.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const MAX_ADDRESSES: usize = 4;
/// The largest head of an answer, and how much of its body is read, in bytes.
const MAX_BYTES: usize = 64 << 10;
const MAX_HEADERS: usize = 100;
/// For what is left of an answer after its head: only so that a receiver is not cut off while it still writes.
const BODY_TIMEOUT: Duration = Duration::from_secs(1);
const AGENT: HeaderValue = HeaderValue::from_static(concat!("nebula-webhooks/", env!("CARGO_PKG_VERSION")));

/// Sends.
pub struct Client {
    tls: Tls,
    timeout: Duration,
    allows_loopback: bool,
}

/// What was answered, as far as it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    /// When the receiver wants to be asked again, a day at most.
    pub retry_after: Option<Duration>,
}

impl Client {
    /// `timeout` is for a whole request, from the name to the answer's head.
    #[must_use]
    pub fn new(timeout: Duration, allows_loopback: bool) -> Self {
        Self { tls: Tls::new(), timeout, allows_loopback }
    }

    /// Posts to a URL.
    pub async fn post(&self, url: &str, headers: HeaderMap, body: Bytes) -> Result<Answer, PostError> {
        // On the heap: what waits for its turn is then small.
        let sending = Box::pin(self.send(url, headers, body));
        timeout(self.timeout, sending).await.unwrap_or(Err(PostError::Timeout))
    }

    async fn send(&self, url: &str, headers: HeaderMap, body: Bytes) -> Result<Answer, PostError> {
        let url = Url::parse(url).map_err(|_| PostError::Url)?;
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
        let request = request(&url, headers, body)?;
        let stream = connect(&addresses).await?;
        if is_plain { exchange(stream, request).await } else { exchange(self.tls.over(stream, &url).await?, request).await }
    }
}

/// In origin form, to the host that the URL names.
fn request(url: &Url, headers: HeaderMap, body: Bytes) -> Result<Request<Full<Bytes>>, PostError> {
    let host = url.host_str().ok_or(PostError::Url)?;
    let host = url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
    let target = url.query().map_or_else(|| url.path().to_owned(), |query| format!("{}?{query}", url.path()));
    let mut request = Request::post(target).body(Full::new(body)).map_err(|_| PostError::Url)?;
    *request.headers_mut() = headers;
    request.headers_mut().insert(HOST, HeaderValue::try_from(host).map_err(|_| PostError::Url)?);
    request.headers_mut().insert(USER_AGENT, AGENT);
    Ok(request)
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

async fn exchange<S>(stream: S, request: Request<Full<Bytes>>) -> Result<Answer, PostError>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let mut client = http1::Builder::new();
    client.max_buf_size(MAX_BYTES).max_headers(MAX_HEADERS);
    let (mut sender, connection) = client.handshake(TokioIo::new(stream)).await.map_err(|error| of_exchange(&error))?;
    // Ends with this function, however it ends.
    let mut driver = JoinSet::new();
    driver.spawn(connection);
    let response = sender.send_request(request).await.map_err(|error| of_exchange(&error))?;
    let answer = Answer { status: response.status().as_u16(), retry_after: retry_after(&response) };
    let _ = timeout(BODY_TIMEOUT, read_a_little(response.into_body())).await;
    Ok(answer)
}

fn retry_after(response: &Response<Incoming>) -> Option<Duration> {
    retry_after::parse(response.headers().get(RETRY_AFTER)?.to_str().ok()?, SystemTime::now())
}

async fn read_a_little(mut body: Incoming) {
    let mut rest = MAX_BYTES;
    while let Some(Ok(frame)) = body.frame().await {
        let Some(less) = rest.checked_sub(frame.data_ref().map_or(0, Bytes::len)) else { break };
        rest = less;
    }
}
