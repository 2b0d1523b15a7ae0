//! Where a tenant wants to be told, and what a public address is.

use ipnet::IpNet;
use nebula_core::web::{HttpsUrl, LoopbackUrl, WebhookUrl, is_public};
use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::LazyLock,
};
use url::{Host, Url};

pub fn web(data: &[u8]) {
    match data.len() {
        4 => one_verdict(IpAddr::from(<[u8; 4]>::try_from(data).unwrap())),
        16 => one_verdict(IpAddr::from(<[u8; 16]>::try_from(data).unwrap())),
        _ => {}
    }
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(address) = text.parse::<IpAddr>() {
        one_verdict(address);
    }
    if let Ok(url) = WebhookUrl::parse(text) {
        assert_eq!(HttpsUrl::parse(text).map(|url| url.as_str().to_owned()).as_deref(), Ok(url.as_str()));
        let host = one_host(url.as_str());
        if let Ok(address) = host.parse::<IpAddr>() {
            assert!(is_listed_public(address), "{text} leads to {address}");
        } else {
            let name = host.trim_end_matches('.');
            assert!(name.contains('.') && !name.ends_with(".localhost") && !name.ends_with(".internal"), "{text} leads to {host}");
        }
        assert!(LoopbackUrl::parse(text).is_err(), "{text} is both");
    }
    if let Ok(url) = LoopbackUrl::parse(text) {
        let host = one_host(url.as_str());
        assert!(host == "localhost" || host.parse::<IpAddr>().unwrap().is_loopback(), "{text} leads to {host}");
    }
}

/// The host, which the client that resolves it and the one that writes the request read alike.
fn one_host(text: &str) -> String {
    let url = Url::parse(text).unwrap();
    assert_eq!(url.as_str(), text, "what is stored is what is called");
    assert!(url.username().is_empty() && url.password().is_none() && url.fragment().is_none());
    let host = match url.host().unwrap() {
        Host::Ipv4(address) => address.to_string(),
        Host::Ipv6(address) => address.to_string(),
        Host::Domain(name) => name.to_owned(),
    };
    if let Ok(uri) = text.parse::<http::Uri>() {
        let other = uri.host().unwrap().trim_matches(['[', ']']);
        assert!(other == host || other.parse::<IpAddr>().is_ok() && other.parse::<IpAddr>() == host.parse(), "{text}: {other} or {host}");
        assert_eq!(
            uri.port_u16().or(if uri.scheme_str() == Some("https") { Some(443) } else { Some(80) }),
            url.port_or_known_default(),
            "{text}"
        );
    }
    host
}

/// Both readings of IANA's registries: the product's, by bits, and the list below.
fn one_verdict(address: IpAddr) {
    assert_eq!(is_public(address), is_listed_public(address), "{address}");
}

fn is_listed_public(address: IpAddr) -> bool {
    let inner = match address {
        IpAddr::V6(v6) => carried(v6).map_or(address, IpAddr::V4),
        IpAddr::V4(_) => address,
    };
    match inner {
        IpAddr::V4(_) => !SPECIAL.iter().any(|block| block.contains(&inner)),
        IpAddr::V6(_) => GLOBAL.contains(&inner) && !SPECIAL.iter().any(|block| block.contains(&inner)),
    }
}

/// Mapped (::ffff:0:0/96) or translated (64:ff9b::/96).
fn carried(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let bits = u128::from(address);
    let is_carried = [0xffff_u128, 0x0064_ff9b_0000_0000_0000_0000].contains(&(bits >> 32));
    is_carried.then(|| Ipv4Addr::from_bits((bits & 0xffff_ffff) as u32))
}

static GLOBAL: LazyLock<IpNet> = LazyLock::new(|| "2000::/3".parse().unwrap());

/// The special-purpose registries (RFC 6890), multicast, and Azure's own service.
static SPECIAL: LazyLock<Vec<IpNet>> = LazyLock::new(|| {
    [
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "168.63.129.16/32",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
        "2001::/23",
        "2001:db8::/32",
        "2002::/16",
        "3fff::/20",
    ]
    .map(|block| block.parse().unwrap())
    .to_vec()
});
