//! Requests to addresses that tenants name: the only client of the product that calls whom it does not trust.
//!
//! Nothing is followed or fetched on the way: no redirects, no proxy of the environment, no compression. Of an answer its head counts; of its body as much is
//! read as a polite receiver sends. Everything has its time, so that whoever hangs, trickles or never ends costs one place and nothing else.

mod address;
mod connection;
mod error;
pub(crate) mod retry_after;
mod tls;

pub use error::PostError;

use ::http::{
    HeaderMap, HeaderValue, Request, Response, Uri,
    header::{HOST, RETRY_AFTER, USER_AGENT},
};
use bytes::Bytes;
use connection::{Past, Pool};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy::{Error, connect::capture_connection};
use std::time::{Duration, SystemTime};
use tokio::time::timeout;
use url::Url;

/// How much of an answer's body is read, in bytes.
const MAX_BODY: usize = 64 << 10;
/// For what is left of an answer after its head: so that a receiver is not cut off while it still writes, and its connection serves again.
const BODY_TIMEOUT: Duration = Duration::from_secs(1);
/// A receiver may close a kept connection at the moment when something is sent over it. That is nobody's failure: it is sent again, so often.
const MAX_RESENT: usize = 2;
const AGENT: HeaderValue = HeaderValue::from_static(concat!("nebula-webhooks/", env!("CARGO_PKG_VERSION")));

/// Sends.
pub struct Client {
    pool: Pool,
    timeout: Duration,
}

/// What was answered, as far as it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    /// When the receiver wants to be asked again, a day at most.
    pub retry_after: Option<Duration>,
}

impl Client {
    /// `timeout` is for a whole request, from the name to the answer's head; `concurrency` is how many a host gets at once.
    #[must_use]
    pub fn new(timeout: Duration, allows_loopback: bool, concurrency: usize) -> Self {
        Self { pool: connection::pool(timeout, allows_loopback, concurrency), timeout }
    }

    /// Posts to a URL.
    pub async fn post(&self, url: &str, headers: HeaderMap, body: Bytes) -> Result<Answer, PostError> {
        let request = request(url, headers, body)?;
        // On the heap: what waits for its turn is then small.
        let response = timeout(self.timeout, Box::pin(self.send(request))).await.unwrap_or(Err(PostError::Timeout))?;
        let answer = Answer { status: response.status().as_u16(), retry_after: retry_after(&response) };
        let _ = timeout(BODY_TIMEOUT, read_a_little(response.into_body())).await;
        Ok(answer)
    }

    async fn send(&self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, PostError> {
        let mut resent = 0;
        loop {
            let mut request = request.clone();
            let connection = capture_connection(&mut request);
            match self.pool.request(request).await {
                Ok(response) => {
                    Past::note(&response, &connection);
                    return Ok(response);
                }
                Err(error) if resent < MAX_RESENT && was_closed_while_kept(&error) => resent += 1,
                Err(error) => return Err(PostError::of_request(&error)),
            }
        }
    }
}

/// Whether a connection that had served before ended instead of answering.
fn was_closed_while_kept(error: &Error) -> bool {
    PostError::of_request(error) == PostError::Closed && error.connect_info().is_some_and(Past::has_served)
}

/// To the host that the URL names.
fn request(url: &str, headers: HeaderMap, body: Bytes) -> Result<Request<Full<Bytes>>, PostError> {
    let url = Url::parse(url).map_err(|_| PostError::Url)?;
    let host = url.host_str().ok_or(PostError::Url)?;
    let host = url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
    let mut request =
        Request::post(Uri::try_from(url.as_str()).map_err(|_| PostError::Url)?).body(Full::new(body)).map_err(|_| PostError::Url)?;
    *request.headers_mut() = headers;
    request.headers_mut().insert(HOST, HeaderValue::try_from(host).map_err(|_| PostError::Url)?);
    request.headers_mut().insert(USER_AGENT, AGENT);
    Ok(request)
}

fn retry_after(response: &Response<Incoming>) -> Option<Duration> {
    retry_after::parse(response.headers().get(RETRY_AFTER)?.to_str().ok()?, SystemTime::now())
}

async fn read_a_little(mut body: Incoming) {
    let mut rest = MAX_BODY;
    while let Some(Ok(frame)) = body.frame().await {
        let Some(less) = rest.checked_sub(frame.data_ref().map_or(0, Bytes::len)) else { break };
        rest = less;
    }
}
