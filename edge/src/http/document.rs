//! What is served from memory and may be cached: bytes with a strong entity tag (RFC 9110, section 8.8.3).

use axum::{body::Body, response::Response};
use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, StatusCode,
    header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH},
};
use nebula_core::hex;
use sha2::{Digest, Sha256};

/// A document, ready to be sent.
pub struct Document {
    body: Bytes,
    content_type: &'static str,
    cache_control: &'static str,
    /// SHA-256 of the body, in quotes.
    tag: String,
}

impl Document {
    #[must_use]
    pub fn new(body: impl Into<Bytes>, content_type: &'static str, cache_control: &'static str) -> Self {
        let body = body.into();
        let tag = format!("\"{}\"", hex::encode(&Sha256::digest(&body)));
        Self { body, content_type, cache_control, tag }
    }

    /// The document, or 304 for whoever has it.
    #[must_use]
    pub fn answer(&self, request: &HeaderMap) -> Response {
        let mut response = Response::new(Body::empty());
        if self.is_known(request) {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
        } else {
            *response.body_mut() = Body::from(self.body.clone());
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(self.content_type));
        }
        response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static(self.cache_control));
        if let Ok(tag) = HeaderValue::from_str(&self.tag) {
            response.headers_mut().insert(ETAG, tag);
        }
        response
    }

    /// `If-None-Match` compares weakly: a proxy that compresses marks the tag so.
    fn is_known(&self, request: &HeaderMap) -> bool {
        let values = request.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
        let mut tags = values.flat_map(|value| value.split(',')).map(str::trim);
        tags.any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == self.tag)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn who_has_the_document_is_told_that_it_is_unchanged() {
        let document = Document::new("abc", "text/plain", "no-cache");
        // FIPS 180-2, appendix B.1.
        let tag = "\"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\"";
        let with = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(IF_NONE_MATCH, value.parse().unwrap());
            }
            document.answer(&headers)
        };
        for values in [&["*"][..], &[tag], &[&format!("W/{tag}")], &[&format!("\"x\", {tag}")], &["\"x\"", tag]] {
            let response = with(values);
            assert_eq!(response.status(), StatusCode::NOT_MODIFIED, "{values:?}");
            assert_eq!(
                (&response.headers()["etag"], &response.headers()["cache-control"]),
                (&tag.parse().unwrap(), &"no-cache".parse().unwrap())
            );
        }
        for values in [&[][..], &["\"x\""], &[tag.trim_matches('"')]] {
            let response = with(values);
            assert_eq!(response.status(), StatusCode::OK, "{values:?}");
            assert_eq!(response.headers()["content-type"], "text/plain");
        }
    }
}
