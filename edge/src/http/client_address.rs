//! The address of the client, behind proxies that are named in the settings and no others.

use http::HeaderMap;
use ipnet::IpNet;
use std::net::IpAddr;

/// The peer's address, or, where the peer is a trusted proxy, the rightmost untrusted address of `X-Forwarded-For`.
///
/// Each proxy appends the address it saw, so whatever stands left of the first untrusted one was written by the client and proves
/// nothing. An entry that is not an address ends the search at the proxy that sent it.
#[must_use]
pub fn of(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    let is_trusted = |address: &IpAddr| trusted.iter().any(|network| network.contains(address));
    let mut client = peer.to_canonical();
    if !is_trusted(&client) {
        return client;
    }
    let values: Vec<&str> = headers.get_all("x-forwarded-for").iter().map(|value| value.to_str().unwrap_or("?")).collect();
    for entry in values.iter().rev().flat_map(|value| value.rsplit(',')) {
        let Ok(address) = entry.trim().parse::<IpAddr>() else { break };
        client = address.to_canonical();
        if !is_trusted(&client) {
            break;
        }
    }
    client
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn client(peer: &str, forwarded: &[&str], trusted: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append("x-forwarded-for", value.parse().unwrap());
        }
        let trusted: Vec<IpNet> = trusted.iter().map(|network| network.parse().unwrap()).collect();
        of(peer.parse().unwrap(), &headers, &trusted).to_string()
    }

    #[test]
    fn nobody_is_believed_by_default() {
        assert_eq!(client("198.51.100.1", &["203.0.113.7"], &[]), "198.51.100.1");
    }

    #[test]
    fn the_rightmost_untrusted_address_is_the_client() {
        let trusted = &["10.0.0.0/8"];
        assert_eq!(client("10.0.0.1", &["203.0.113.7"], trusted), "203.0.113.7");
        assert_eq!(client("10.0.0.1", &["1.1.1.1, 203.0.113.7, 10.0.0.2"], trusted), "203.0.113.7");
        assert_eq!(client("10.0.0.1", &["1.1.1.1", "203.0.113.7"], trusted), "203.0.113.7");
        assert_eq!(client("::ffff:10.0.0.1", &["203.0.113.7"], trusted), "203.0.113.7");
    }

    #[test]
    fn junk_ends_the_search_at_the_proxy_that_sent_it() {
        assert_eq!(client("10.0.0.1", &["203.0.113.7, junk"], &["10.0.0.0/8"]), "10.0.0.1");
        assert_eq!(client("10.0.0.1", &["203.0.113.7, junk, 10.0.0.3"], &["10.0.0.0/8"]), "10.0.0.3");
        assert_eq!(client("10.0.0.1", &[], &["10.0.0.0/8"]), "10.0.0.1");
    }
}
