//! The configuration of an issuer, and the address of its keys.

use nebula_core::issuer::{Algorithm, ClaimPath, Config, JwksUrl, MAX_LIFETIME_SECONDS, tenant_id};
use url::{Host, Url};

pub fn issuer(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Some(id) = tenant_id(text) {
        assert_eq!(id.to_string(), text.to_ascii_lowercase());
    }
    if let Ok(path) = ClaimPath::try_from(text.to_owned()) {
        assert!(!path.names().iter().any(|name| name.is_empty()) && path.names()[0] != "user_metadata");
    }
    if let Ok(url) = JwksUrl::try_from(text.to_owned()) {
        leads_where_it_says(&url);
    }
    if let Ok(config) = Config::parse(text) {
        assert!((60..=MAX_LIFETIME_SECONDS).contains(&config.max_lifetime_seconds));
        assert!((1..=Algorithm::ALL.len()).contains(&config.algorithms.len()));
        assert!(config.tenant_claim.is_some() != config.tenant_id.is_some());
        if let Some(url) = &config.jwks_url {
            leads_where_it_says(url);
        }
    }
}

/// Plain `http` reaches this machine alone, to whichever of the two readers of URLs.
fn leads_where_it_says(url: &JwksUrl) {
    let text = url.as_str();
    assert!(text.len() <= 2000 && text.bytes().all(|byte| byte.is_ascii_graphic()));
    if let Ok(uri) = text.parse::<http::Uri>() {
        assert!(!uri.authority().is_some_and(|authority| authority.as_str().contains('@')), "{text}");
        if url.is_plain() {
            assert!(["127.0.0.1", "[::1]", "localhost"].contains(&uri.host().unwrap()), "{text}");
        }
    }
    if let Ok(parsed) = Url::parse(text) {
        assert!(parsed.username().is_empty() && parsed.password().is_none(), "{text}");
        if url.is_plain() {
            let is_loopback = match parsed.host() {
                Some(Host::Ipv4(address)) => address.is_loopback(),
                Some(Host::Ipv6(address)) => address.is_loopback(),
                Some(Host::Domain(name)) => name == "localhost",
                None => false,
            };
            assert!(is_loopback, "{text} leads to {:?}", parsed.host());
        }
    }
}
