//! The body of a request: bounded in size and time, and JSON or nothing.

use super::{refusal::Refusal, strict_json};
use axum::body::Body;
use http::{
    HeaderMap,
    header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE},
};
use http_body_util::BodyExt;
use nebula_core::error::Code;
use serde_json::value::RawValue;
use std::time::Duration;
use tokio::time::timeout;

/// What is read of a refused body so that the client, which may still be sending, gets to see the answer instead of a reset.
const DISCARD_BYTES: usize = 8 << 20;
const DISCARD_TIME: Duration = Duration::from_secs(2);

/// The body, read at most once.
pub struct RequestBody {
    inner: Body,
    declared_bytes: Option<u64>,
    /// The client had its time: nothing more is waited for.
    is_late: bool,
}

impl RequestBody {
    #[must_use]
    pub fn new(inner: Body, headers: &HeaderMap) -> Self {
        let declared_bytes = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
        Self { inner, declared_bytes, is_late: false }
    }

    /// Reads everything. What is declared too large is refused before it is read.
    pub async fn read(&mut self, max_bytes: usize, time: Duration) -> Result<Vec<u8>, Refusal> {
        if self.declared_bytes.is_some_and(|bytes| bytes > max_bytes as u64) {
            return Err(Refusal::new(Code::PayloadTooLarge));
        }
        let mut bytes = Vec::with_capacity(self.declared_bytes.and_then(|n| usize::try_from(n).ok()).unwrap_or(0));
        let inner = &mut self.inner;
        let reading = async {
            while let Some(frame) = inner.frame().await {
                // Only the client can break its own body: a cut connection, or junk between chunks.
                let frame = frame.map_err(|_| Refusal::invalid("body", "incomplete"))?;
                let Ok(data) = frame.into_data() else { continue };
                if bytes.len() + data.len() > max_bytes {
                    return Err(Refusal::new(Code::PayloadTooLarge));
                }
                bytes.extend_from_slice(&data);
            }
            Ok(())
        };
        match timeout(time, reading).await {
            Ok(result) => result.map(|()| bytes),
            Err(_) => {
                self.is_late = true;
                Err(Refusal::invalid("body", "timeout"))
            }
        }
    }

    /// Throws the rest away, within bounds; whether it ended, so that the connection may serve another request.
    pub async fn discard(&mut self) -> bool {
        if self.is_late || self.declared_bytes.is_some_and(|bytes| bytes > DISCARD_BYTES as u64) {
            return false;
        }
        let inner = &mut self.inner;
        let reading = async {
            let mut seen = 0;
            while let Some(Ok(frame)) = inner.frame().await {
                seen += frame.data_ref().map_or(0, bytes::Bytes::len);
                if seen > DISCARD_BYTES {
                    return false;
                }
            }
            true
        };
        timeout(DISCARD_TIME, reading).await.unwrap_or(false)
    }
}

/// Checks what was read: nothing stays nothing, else it must be JSON that says so.
pub fn parse(bytes: Vec<u8>, takes_body: bool, headers: &HeaderMap) -> Result<Option<Box<RawValue>>, Refusal> {
    if bytes.is_empty() {
        return Ok(None);
    }
    if !takes_body {
        return Err(Refusal::invalid("body", "unexpected"));
    }
    if !is_json(headers) {
        return Err(Refusal::new(Code::UnsupportedMediaType));
    }
    let text = strict_json::check(&bytes).map_err(|rule| Refusal::invalid("body", rule))?;
    // The second pass of `RawValue` only skips; the tree is never built.
    serde_json::from_str(text).map(Some).map_err(|_| Refusal::invalid("body", "json"))
}

/// RFC 8259 knows one encoding and no parameter; `charset=utf-8` is tolerated because clients send it. Compressed bodies are not read.
fn is_json(headers: &HeaderMap) -> bool {
    let mut types = headers.get_all(CONTENT_TYPE).iter();
    let (Some(value), None) = (types.next().and_then(|value| value.to_str().ok()), types.next()) else { return false };
    let mut parts = value.split(';').map(str::trim);
    parts.next().is_some_and(|media_type| media_type.eq_ignore_ascii_case("application/json"))
        && parts.all(|parameter| parameter.eq_ignore_ascii_case("charset=utf-8") || parameter.eq_ignore_ascii_case("charset=\"utf-8\""))
        && headers.get_all(CONTENT_ENCODING).iter().all(|value| value.as_bytes().eq_ignore_ascii_case(b"identity"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn only_json_is_json() {
        for value in ["application/json", "Application/JSON", "application/json; charset=UTF-8", "application/json;charset=\"utf-8\""] {
            assert!(is_json(&headers(&[("content-type", value)])), "{value}");
        }
        for value in [
            "",
            "text/json",
            "application/json; charset=latin1",
            "application/jsonp",
            "application/json, text/html",
            "application/x-www-form-urlencoded",
        ] {
            assert!(!is_json(&headers(&[("content-type", value)])), "{value}");
        }
        assert!(!is_json(&headers(&[])));
        assert!(!is_json(&headers(&[("content-type", "application/json"), ("content-encoding", "gzip")])));
    }

    #[test]
    fn an_absent_body_needs_no_content_type_and_an_unexpected_one_is_refused() {
        assert!(parse(Vec::new(), true, &headers(&[])).unwrap().is_none());
        assert_eq!(parse(b"{}".to_vec(), false, &headers(&[])).unwrap_err().code, Code::ValidationError);
        assert_eq!(parse(b"{}".to_vec(), true, &headers(&[])).unwrap_err().code, Code::UnsupportedMediaType);
        let body = parse(br#" {"n":1.10} "#.to_vec(), true, &headers(&[("content-type", "application/json")])).unwrap().unwrap();
        assert_eq!(body.get(), r#"{"n":1.10}"#);
    }

    #[tokio::test]
    async fn a_body_is_bounded_whether_or_not_it_declares_its_length() {
        let hour = Duration::from_secs(3600);
        let mut declared = RequestBody::new(Body::empty(), &headers(&[("content-length", "11")]));
        assert_eq!(declared.read(10, hour).await.unwrap_err().code, Code::PayloadTooLarge);
        let mut undeclared = RequestBody::new(Body::from(vec![0; 11]), &headers(&[]));
        assert_eq!(undeclared.read(10, hour).await.unwrap_err().code, Code::PayloadTooLarge);
        assert!(undeclared.discard().await);
        assert_eq!(RequestBody::new(Body::from("0123456789"), &headers(&[])).read(10, hour).await.unwrap().len(), 10);
    }
}
