//! Answers: the database's, passed on as it wrote them, and the edge's own refusals.

use super::{frame::Frame, headers, rate_limit, refusal::Refusal, request_log::Facts};
use axum::{body::Body, response::Response};
use http::{
    HeaderValue, StatusCode,
    header::{ALLOW, CACHE_CONTROL, CONTENT_LANGUAGE, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS},
};
use nebula_core::error::envelope;

/// A JSON answer.
#[must_use]
pub fn json(status: StatusCode, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// An answer without content.
#[must_use]
pub fn empty(status: StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

/// The error envelope of a refusal, with what it asks for in headers.
#[must_use]
pub fn refusal(frame: &Frame, refusal: Refusal) -> Response {
    let body = envelope(refusal.code, frame.language, &frame.request_id, refusal.details.as_ref());
    let status = StatusCode::from_u16(refusal.code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = json(status, body.to_string());
    if let Some(seconds) = refusal.retry_after_seconds {
        response.headers_mut().insert(RETRY_AFTER, seconds.into());
    }
    if refusal.rate_limits.is_empty() {
        let default = frame.route.get().and_then(|served| served.default_policy.as_ref());
        rate_limit::write_default(response.headers_mut(), default);
    } else {
        rate_limit::write(response.headers_mut(), &refusal.rate_limits);
    }
    if let Some(allow) = refusal.allow.and_then(|allow| HeaderValue::try_from(allow).ok()) {
        response.headers_mut().insert(ALLOW, allow);
    }
    response.extensions_mut().insert(Facts {
        error_code: Some(refusal.code.as_str().to_owned()),
        reason: refusal.reason,
        alert: None,
        ..Facts::default()
    });
    response
}

/// The headers that every answer has.
#[must_use]
pub fn with_common_headers(mut response: Response, frame: &Frame) -> Response {
    let status = response.status();
    let headers = response.headers_mut();
    if let Ok(id) = HeaderValue::from_str(&frame.request_id) {
        headers.insert(headers::X_REQUEST_ID, id);
    }
    if let Some(trace) = &frame.trace {
        trace.tell(headers);
    }
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    if status.is_client_error() || status.is_server_error() {
        headers.insert(CONTENT_LANGUAGE, HeaderValue::from_static(headers::tag(frame.language)));
    }
    if status == StatusCode::UNAUTHORIZED {
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}
