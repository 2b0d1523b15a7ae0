//! Where a name leads, and whether that may be called.

use super::PostError;
use nebula_core::web::is_public;
use std::net::{IpAddr, SocketAddr};
use tokio::net::lookup_host;
use url::{Host, Url};

/// The addresses of a URL's host, all of them allowed: one that is not spoils the rest, since a name that leads to both is no mistake of a receiver's.
pub async fn addresses(url: &Url, allows_loopback: bool) -> Result<Vec<SocketAddr>, PostError> {
    let port = url.port_or_known_default().ok_or(PostError::Url)?;
    let addresses = match url.host().ok_or(PostError::Url)? {
        Host::Ipv4(address) => vec![SocketAddr::from((address, port))],
        Host::Ipv6(address) => vec![SocketAddr::from((address, port))],
        Host::Domain(name) => lookup_host((name, port)).await.map_err(|_| PostError::NoSuchHost)?.collect(),
    };
    let may_call = |address: IpAddr| is_public(address) || (allows_loopback && address.is_loopback());
    match addresses.iter().all(|address| may_call(address.ip())) {
        _ if addresses.is_empty() => Err(PostError::NoSuchHost),
        true => Ok(addresses),
        false => Err(PostError::NotPublic),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    async fn check(url: &str, allows_loopback: bool) -> Result<(), PostError> {
        addresses(&Url::parse(url).unwrap(), allows_loopback).await.map(|_| ())
    }

    #[tokio::test]
    async fn what_is_not_public_is_refused_and_loopback_only_where_it_is_allowed() {
        for private in ["https://10.0.0.1/", "https://169.254.169.254/", "https://[fd00::1]/", "https://[::ffff:10.0.0.1]/"] {
            for allows_loopback in [false, true] {
                assert_eq!(check(private, allows_loopback).await, Err(PostError::NotPublic), "{private}");
            }
        }
        for loopback in ["https://127.0.0.1/", "https://127.8.9.1/", "https://[::1]/", "https://localhost/"] {
            assert_eq!(check(loopback, false).await, Err(PostError::NotPublic), "{loopback}");
            assert_eq!(check(loopback, true).await, Ok(()), "{loopback}");
        }
        // The names that no resolver finds (RFC 6761).
        assert_eq!(check("https://nobody.invalid/", false).await, Err(PostError::NoSuchHost));
        assert_eq!(check("https://8.8.8.8/", false).await, Ok(()));
    }
}
