//! The headers that the edge reads, each into what `handle` expects.

use super::refusal::Refusal;
use http::{
    HeaderMap, HeaderName,
    header::{ACCEPT_LANGUAGE, USER_AGENT},
};
use nebula_core::{
    error::{Code, Language},
    text::RequestId,
};
use uuid::Uuid;

pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
pub const X_TENANT_ID: HeaderName = HeaderName::from_static("x-tenant-id");
pub const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
pub const IDEMPOTENCY_REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// A UUID has 36 characters; the rest is room for spellings that the database then refuses by name.
const MAX_TENANT_HEADER_BYTES: usize = 64;
const MAX_USER_AGENT_BYTES: usize = 512;

/// The client's id if it is one and well-formed, else a new one.
#[must_use]
pub fn request_id(headers: &HeaderMap) -> String {
    let mut values = headers.get_all(X_REQUEST_ID).iter();
    let given = values.next().filter(|_| values.next().is_none()).and_then(|value| value.to_str().ok());
    match given.map(RequestId::parse) {
        Some(Ok(id)) => id.as_str().to_owned(),
        _ => Uuid::now_v7().to_string(),
    }
}

/// The language of error messages.
#[must_use]
pub fn language(headers: &HeaderMap) -> Language {
    let value = headers.get(ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok());
    value.map_or(Language::default(), Language::from_accept_language)
}

/// The tag of a language, for `handle` and `Content-Language`.
#[must_use]
pub fn tag(language: Language) -> &'static str {
    match language {
        Language::Portuguese => "pt",
        Language::English => "en",
    }
}

/// The raw text of `X-Tenant-Id`; the database decides what it means.
pub fn tenant(headers: &HeaderMap) -> Result<Option<&str>, Refusal> {
    let Some(values) = single(headers, &X_TENANT_ID) else { return Err(Refusal::new(Code::TenantMismatch)) };
    let Some(value) = values else { return Ok(None) };
    match value.to_str() {
        Ok(text) if text.len() <= MAX_TENANT_HEADER_BYTES => Ok(Some(text)),
        _ => Err(Refusal::invalid("X-Tenant-Id", "uuid")),
    }
}

/// The raw text of `Idempotency-Key`.
pub fn idempotency_key(headers: &HeaderMap) -> Result<Option<&str>, Refusal> {
    let Some(values) = single(headers, &IDEMPOTENCY_KEY) else { return Err(Refusal::invalid("Idempotency-Key", "repeated")) };
    let Some(value) = values else { return Ok(None) };
    match std::str::from_utf8(value.as_bytes()) {
        Ok(text) => Ok(Some(text)),
        Err(_) => Err(Refusal::invalid("Idempotency-Key", "visible_ascii")),
    }
}

/// What the client calls itself, cut to a length worth keeping; control characters are dropped.
#[must_use]
pub fn user_agent(headers: &HeaderMap) -> Option<String> {
    let text = String::from_utf8_lossy(headers.get(USER_AGENT)?.as_bytes());
    let mut text: String = text.chars().filter(|c| !c.is_control()).collect();
    text.truncate(text.floor_char_boundary(MAX_USER_AGENT_BYTES));
    (!text.is_empty()).then_some(text)
}

/// The only value of a header; the outer `None` means that there are several.
fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<Option<&'a http::HeaderValue>> {
    let mut values = headers.get_all(name).iter();
    let first = values.next();
    values.next().is_none().then_some(first)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, http::HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        headers
    }

    #[test]
    fn a_well_formed_request_id_is_kept_and_any_other_replaced() {
        assert_eq!(request_id(&headers(&[("x-request-id", "abc-12345")])), "abc-12345");
        let twice = [("x-request-id", "abc-12345"), ("x-request-id", "abc-12345")];
        for pairs in [&[][..], &[("x-request-id", "short")], &[("x-request-id", "a b c d e f")], &twice] {
            assert!(request_id(&headers(pairs)).parse::<Uuid>().is_ok(), "{pairs:?}");
        }
    }

    #[test]
    fn two_tenant_headers_mismatch_and_a_long_one_is_invalid() {
        assert_eq!(tenant(&headers(&[])).unwrap(), None);
        assert_eq!(tenant(&headers(&[("x-tenant-id", "x")])).unwrap(), Some("x"));
        assert_eq!(tenant(&headers(&[("x-tenant-id", "a"), ("x-tenant-id", "a")])).unwrap_err().code, Code::TenantMismatch);
        assert_eq!(tenant(&headers(&[("x-tenant-id", &"a".repeat(65))])).unwrap_err().code, Code::ValidationError);
    }

    #[test]
    fn an_idempotency_key_is_one_text() {
        assert_eq!(idempotency_key(&headers(&[("idempotency-key", "k")])).unwrap(), Some("k"));
        assert!(idempotency_key(&headers(&[("idempotency-key", "k"), ("idempotency-key", "k")])).is_err());
        let mut latin = HeaderMap::new();
        latin.insert(IDEMPOTENCY_KEY, http::HeaderValue::from_bytes(&[0xff]).unwrap());
        assert!(idempotency_key(&latin).is_err());
    }

    #[test]
    fn a_user_agent_is_bounded_and_printable() {
        let text = user_agent(&headers(&[("user-agent", &"é".repeat(600))])).unwrap();
        assert!(text.len() <= 512 && text.chars().all(|c| c == 'é'));
        assert_eq!(user_agent(&headers(&[("user-agent", "a\t")])).as_deref(), Some("a"));
    }
}
