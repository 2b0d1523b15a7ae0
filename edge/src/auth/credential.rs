//! The credential of a request: one bearer token or API key, in one of two headers.

use http::{HeaderMap, header::AUTHORIZATION};
use nebula_core::{
    access_token::Unverified,
    foreign_token::MAX_BYTES,
    opaque_token::{Kind, OpaqueToken},
};
use uuid::Uuid;

/// What the headers hold.
#[derive(Debug, PartialEq, Eq)]
pub enum Presented<'a> {
    Nothing,
    One(&'a str),
    /// Several credentials, another scheme, or bytes that no credential of ours has.
    Unusable,
}

/// Reads `Authorization: Bearer` and `X-Api-Key`. Two different credentials are refused: which one was meant is a guess.
#[must_use]
pub fn present(headers: &HeaderMap) -> Presented<'_> {
    let mut found: Option<&str> = None;
    for name in [AUTHORIZATION.as_str(), "x-api-key"] {
        let mut values = headers.get_all(name).iter();
        let Some(value) = values.next() else { continue };
        let Some(value) = value.to_str().ok().filter(|_| values.next().is_none()) else { return Presented::Unusable };
        let credential = if name == "x-api-key" { Some(value.trim()) } else { bearer(value) };
        match (credential, found) {
            (Some(credential), _) if credential.is_empty() || credential.len() > MAX_BYTES => return Presented::Unusable,
            (Some(credential), None) => found = Some(credential),
            (Some(credential), Some(other)) if credential == other => {}
            _ => return Presented::Unusable,
        }
    }
    // `X-Api-Key` is for API keys only.
    if headers.contains_key("x-api-key") && !found.is_some_and(|credential| credential.starts_with(Kind::ApiKey.prefix())) {
        return Presented::Unusable;
    }
    found.map_or(Presented::Nothing, Presented::One)
}

/// The tenant that a credential names, if it has the form of one; nothing is verified.
#[must_use]
pub fn well_formed(credential: &str) -> Option<Uuid> {
    if credential.starts_with(Kind::ApiKey.prefix()) {
        OpaqueToken::parse_as(Kind::ApiKey, credential).map(|token| token.tenant)
    } else {
        Unverified::read(credential).ok().map(|token| token.claimed_tenant())
    }
}

/// RFC 6750: the scheme's name ignores case.
fn bearer(value: &str) -> Option<&str> {
    let (scheme, credential) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| credential.trim())
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
    fn one_credential_is_found_in_either_header() {
        assert_eq!(present(&headers(&[])), Presented::Nothing);
        assert_eq!(present(&headers(&[("authorization", "Bearer abc")])), Presented::One("abc"));
        assert_eq!(present(&headers(&[("authorization", "bEARER abc")])), Presented::One("abc"));
        assert_eq!(present(&headers(&[("x-api-key", "nbk_1")])), Presented::One("nbk_1"));
        assert_eq!(present(&headers(&[("x-api-key", "nbk_1"), ("authorization", "Bearer nbk_1")])), Presented::One("nbk_1"));
    }

    #[test]
    fn two_credentials_or_another_scheme_are_unusable() {
        for pairs in [
            &[("authorization", "Bearer a"), ("authorization", "Bearer a")][..],
            &[("authorization", "Bearer nbk_1"), ("x-api-key", "nbk_2")],
            &[("x-api-key", "nbk_1"), ("x-api-key", "nbk_1")],
            &[("authorization", "Basic YTpi")],
            &[("authorization", "Bearer")],
            &[("authorization", "Bearer ")],
            &[("authorization", "")],
            &[("authorization", "Basic YTpi"), ("x-api-key", "nbk_1")],
            &[("x-api-key", "eyJ.a.b")],
            &[("x-api-key", "")],
        ] {
            assert_eq!(present(&headers(pairs)), Presented::Unusable, "{pairs:?}");
        }
        assert_eq!(present(&headers(&[("authorization", &format!("Bearer {}", "a".repeat(9000)))])), Presented::Unusable);
    }

    #[test]
    fn only_our_own_forms_are_well_formed() {
        for text in ["", "nbk_1", "a.b.c", "nbr_00"] {
            assert_eq!(well_formed(text), None, "{text}");
        }
    }
}
