//! The body of a request: bounded in size and time, and JSON or nothing.

use super::{app::App, refusal::Refusal, strict_json, waiting::Waiter};
use axum::body::{Body, HttpBody};
use http::{
    HeaderMap,
    header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE},
};
use http_body_util::BodyExt;
use nebula_core::error::Code;
use serde_json::value::RawValue;
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

/// What is read of a refused body so that the client, which may still be sending, gets to see the answer instead of a reset.
const DISCARD_BYTES: usize = 8 << 20;
const DISCARD_TIME: Duration = Duration::from_secs(2);

/// A body of so many bytes is buffered without asking for memory.
const SMALL_BYTES: usize = 16 << 10;
/// So many bodies of the largest size may be buffered at once.
const LARGE_BODIES: usize = 128;

/// What bodies may take while they are read and served, all together: those who send much and never finish must not fill the machine.
pub struct BodyMemory(Arc<Semaphore>);

impl BodyMemory {
    #[must_use]
    pub fn new(max_body_bytes: usize) -> Self {
        Self(Arc::new(Semaphore::new(max_body_bytes.saturating_mul(LARGE_BODIES).min(Semaphore::MAX_PERMITS))))
    }
}

/// The body, read at most once.
pub struct RequestBody {
    inner: Body,
    declared_bytes: Option<u64>,
    /// The client had its time: nothing more is waited for.
    is_late: bool,
    memory: Option<OwnedSemaphorePermit>,
}

impl RequestBody {
    #[must_use]
    pub fn new(inner: Body, headers: &HeaderMap) -> Self {
        let declared_bytes = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
        Self { inner, declared_bytes, is_late: false, memory: None }
    }

    /// Reads everything, within the limits of size, time and memory. What is declared too large is refused before it is read. Until it is there, the connection
    /// may have to give up its place.
    pub async fn read(&mut self, app: &App, place: Option<&Arc<Waiter>>) -> Result<Vec<u8>, Refusal> {
        if self.inner.is_end_stream() {
            return Ok(Vec::new());
        }
        let max_bytes = app.config.max_body_bytes;
        if self.declared_bytes.is_some_and(|bytes| bytes > max_bytes as u64) {
            return Err(Refusal::new(Code::PayloadTooLarge));
        }
        if let Some(place) = place {
            place.wait();
        }
        let result = timeout(Duration::from_millis(app.config.body_timeout_ms), self.gather(app)).await;
        if let Some(place) = place {
            place.stop_waiting();
        }
        result.unwrap_or_else(|_| {
            self.is_late = true;
            Err(Refusal::invalid("body", "timeout"))
        })
    }

    async fn gather(&mut self, app: &App) -> Result<Vec<u8>, Refusal> {
        let declared = self.declared_bytes.and_then(|bytes| usize::try_from(bytes).ok()).unwrap_or(0);
        let mut bytes = Vec::with_capacity(declared.min(SMALL_BYTES));
        while let Some(frame) = self.inner.frame().await {
            // Only the client can break its own body: a cut connection, or junk between chunks.
            let frame = frame.map_err(|_| Refusal::invalid("body", "incomplete"))?;
            let Ok(data) = frame.into_data() else { continue };
            let total = bytes.len() + data.len();
            if total > app.config.max_body_bytes {
                return Err(Refusal::new(Code::PayloadTooLarge));
            }
            self.reserve(&app.bodies, total).map_err(|()| app.shed("too much is being sent"))?;
            bytes.extend_from_slice(&data);
        }
        Ok(bytes)
    }

    /// Memory for so many bytes in all, kept until the request is over.
    fn reserve(&mut self, memory: &BodyMemory, total: usize) -> Result<(), ()> {
        let held = self.memory.as_ref().map_or(SMALL_BYTES, |held| SMALL_BYTES + held.num_permits());
        let Some(more) = total.checked_sub(held).filter(|more| *more > 0) else { return Ok(()) };
        let more = u32::try_from(more).map_err(|_| ())?;
        let permit = Arc::clone(&memory.0).try_acquire_many_owned(more).map_err(|_| ())?;
        match &mut self.memory {
            Some(held) => held.merge(permit),
            None => self.memory = Some(permit),
        }
        Ok(())
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

    #[test]
    fn small_bodies_need_no_memory_and_large_ones_share_it() {
        let memory = BodyMemory::new(1 << 10);
        let all = LARGE_BODIES << 10;
        let [mut first, mut second] = [(); 2].map(|()| RequestBody::new(Body::empty(), &headers(&[])));
        first.reserve(&memory, SMALL_BYTES + 1).unwrap();
        first.reserve(&memory, SMALL_BYTES + all).unwrap();
        assert!(first.reserve(&memory, SMALL_BYTES + all + 1).is_err());
        second.reserve(&memory, SMALL_BYTES).unwrap();
        assert!(second.reserve(&memory, SMALL_BYTES + 1).is_err());
        drop(first);
        second.reserve(&memory, SMALL_BYTES + 1).unwrap();
    }
}
