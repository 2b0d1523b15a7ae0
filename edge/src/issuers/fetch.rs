//! Fetching a key set: the one place where the edge calls somebody else.
//!
//! The address is a DBA's, never a request's or a token's, so it may lie in a private network; nothing leads elsewhere: no redirects, no proxy from the
//! environment (the client reads none), no compression, a bounded answer in a bounded time.

use bytes::Bytes;
use http::{
    HeaderValue, Request, StatusCode, Uri,
    header::{ACCEPT, USER_AGENT},
};
use http_body_util::{BodyExt, Empty, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use nebula_core::{
    issuer::JwksUrl,
    jwk::{self, MAX_BYTES},
};
use rustls::crypto::aws_lc_rs;
use std::time::Duration;

/// For everything: name, connection, TLS, answer.
const TIMEOUT: Duration = Duration::from_secs(5);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// Why there is no key set, for an operator.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    #[error("the URL is not one of https")]
    Url,
    #[error("http is for loopback addresses, and only where NEBULA_ALLOW_LOOPBACK_JWKS is true")]
    Plain,
    #[error("no root certificates on this machine")]
    Roots,
    #[error("no connection: {0}")]
    Connection(String),
    #[error("no answer within 5 s")]
    Slow,
    #[error("the answer's status is {0}")]
    Status(u16),
    #[error("the answer is too large or was cut off")]
    Body,
    #[error("{0}")]
    NotAKeySet(#[from] jwk::Refused),
}

/// Fetches the text of a key set, and makes sure that it is one.
pub async fn fetch(url: &str, allows_loopback: bool) -> Result<String, FetchError> {
    let url = JwksUrl::try_from(url.to_owned()).map_err(|_| FetchError::Url)?;
    if url.is_plain() && !allows_loopback {
        return Err(FetchError::Plain);
    }
    let uri: Uri = url.as_str().parse().map_err(|_| FetchError::Url)?;
    let text = tokio::time::timeout(TIMEOUT, get(uri)).await.map_err(|_| FetchError::Slow)??;
    jwk::parse_set(&text)?;
    Ok(text)
}

async fn get(uri: Uri) -> Result<String, FetchError> {
    let mut request = Request::new(Empty::<Bytes>::new());
    *request.uri_mut() = uri;
    request.headers_mut().insert(ACCEPT, HeaderValue::from_static("application/json"));
    request.headers_mut().insert(USER_AGENT, HeaderValue::from_static(concat!("nebula/", env!("CARGO_PKG_VERSION"))));
    let response = client()?.request(request).await.map_err(|error| FetchError::Connection(innermost(&error)))?;
    if response.status() != StatusCode::OK {
        return Err(FetchError::Status(response.status().as_u16()));
    }
    let body = Limited::new(response.into_body(), MAX_BYTES).collect().await.map_err(|_| FetchError::Body)?;
    String::from_utf8(body.to_bytes().to_vec()).map_err(|_| FetchError::NotAKeySet(jwk::Refused::NotAKeySet))
}

/// Made anew each time, since once an hour is enough: so it sees the machine's root certificates of today, and keeps no connection.
fn client() -> Result<Client<HttpsConnector<HttpConnector>, Empty<Bytes>>, FetchError> {
    let mut http = HttpConnector::new();
    http.enforce_http(false);
    http.set_connect_timeout(Some(CONNECT_TIMEOUT));
    let connector = HttpsConnectorBuilder::new()
        .with_provider_and_native_roots(aws_lc_rs::default_provider())
        .map_err(|_| FetchError::Roots)?
        // Plain http only gets this far for a loopback address.
        .https_or_http()
        .enable_http1()
        .wrap_connector(http);
    Ok(Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(connector))
}

/// The cause at the bottom says what happened; those above say that something did.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}
