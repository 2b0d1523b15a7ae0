//! Addresses on the web, and colours: what a tenant shows of itself, and where it wants to be told.

use crate::text::{Rule, text_type};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use url::{Host, Url};

/// An `https` URL without user information and fragment, as the WHATWG parser writes it.
fn https(value: &str) -> Result<Url, Rule> {
    url(value, &["https://"])
}

/// A URL that begins with one of these.
fn url(value: &str, schemes: &[&str]) -> Result<Url, Rule> {
    if value.len() > 2048 {
        return Err(Rule("too_long"));
    }
    // The parser drops tabs, line feeds and surrounding spaces: what somebody reads would not be what is called.
    if !value.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(Rule("url"));
    }
    // It would also mend what lacks its slashes, or has backslashes instead.
    if !schemes.iter().any(|scheme| value.starts_with(scheme)) || value.contains('\\') {
        return Err(Rule("url"));
    }
    let url = Url::parse(value).map_err(|_| Rule("url"))?;
    let is_plain = url.username().is_empty() && url.password().is_none() && url.fragment().is_none() && url.host().is_some();
    if !is_plain || url.as_str().len() > 2048 {
        return Err(Rule("url"));
    }
    Ok(url)
}

/// How URLs are written: with a host's full name. (Addresses work, too, but whether one may be called no pattern says.) The parser writes what is so written
/// no longer than it was, but for a final slash after a mere host, which is bounded.
const URL: &str = concat!(
    "^https://(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\\.){1,30}[A-Za-z][A-Za-z0-9-]{0,61}[A-Za-z0-9](?::[1-9][0-9]{0,3})?",
    "(?:/(?:[A-Za-z0-9._~:/?@!$&()*+,;=-]|%[0-9A-Fa-f]{2})*)?$"
);

text_type! {
    /// An `https` URL of up to 2,048 visible ASCII characters, without user information and fragment.
    HttpsUrl, { "minLength": 9, "maxLength": 2048, "format": "uri", "pattern": (URL), "examples": ["https://acme.example/logo.svg"] },
    |value| https(value).map(String::from)
}

text_type! {
    /// Where webhooks are sent: an `https` URL whose host is a public name or address. What a name resolves to is checked whenever it is called.
    WebhookUrl, { "minLength": 9, "maxLength": 2048, "format": "uri", "pattern": (URL), "examples": ["https://acme.example/hooks/nebula"] },
    |value| {
        let url = https(value)?;
        let is_public = match url.host() {
            Some(Host::Ipv4(address)) => is_public(IpAddr::V4(address)),
            Some(Host::Ipv6(address)) => is_public(IpAddr::V6(address)),
            Some(Host::Domain(name)) => is_public_name(name),
            None => false,
        };
        if is_public { Ok(url.into()) } else { Err(Rule("public_address")) }
    }
}

text_type! {
    /// Where webhooks are sent in development and tests, if an installation allows it: an `https` or `http` URL of this machine.
    LoopbackUrl, { "minLength": 8, "maxLength": 2048, "format": "uri", "examples": ["http://127.0.0.1:4000/hooks"] },
    |value| {
        let url = url(value, &["https://", "http://"])?;
        let is_loopback = match url.host() {
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            Some(Host::Domain(name)) => name == "localhost",
            None => false,
        };
        if is_loopback { Ok(url.into()) } else { Err(Rule("loopback_address")) }
    }
}

text_type! {
    /// A colour as `#` and six hex digits, lower case.
    Color, { "minLength": 7, "maxLength": 7, "pattern": "^#[0-9a-fA-F]{6}$", "examples": ["#1a2b3c"] },
    |value| match value.strip_prefix('#') {
        Some(digits) if digits.len() == 6 && digits.bytes().all(|b| b.is_ascii_hexdigit()) => Ok(value.to_ascii_lowercase()),
        _ => Err(Rule("color")),
    }
}

text_type! {
    /// A fully qualified host name in lower case, 4 to 253 bytes, without a final dot.
    Domain, { "minLength": 4, "maxLength": 253, "pattern": "^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\\.)+[a-z][a-z0-9-]{0,61}[a-z0-9]$", "examples": ["app.acme.example"] },
    |value| {
        let is_edge = |b: Option<&u8>| b.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        let label_ok = |label: &str| {
            let bytes = label.as_bytes();
            bytes.len() <= 63 && is_edge(bytes.first()) && is_edge(bytes.last())
                && bytes.iter().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'-')
        };
        let last = value.rsplit('.').next().unwrap_or_default();
        let has_name = last.len() >= 2 && last.starts_with(|c: char| c.is_ascii_lowercase());
        if (4..=253).contains(&value.len()) && value.contains('.') && has_name && value.split('.').all(label_ok) {
            Ok(value.to_owned())
        } else {
            Err(Rule("domain"))
        }
    }
}

/// Names that never lead to the public network (RFC 6761, RFC 6762, RFC 8375, and what clouds call their metadata service).
fn is_public_name(name: &str) -> bool {
    const PRIVATE: [&str; 8] = ["localhost", "local", "internal", "intranet", "lan", "home.arpa", "test", "invalid"];
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    name.contains('.') && !PRIVATE.iter().any(|zone| name == *zone || name.ends_with(&format!(".{zone}")))
}

/// Whether an address is one of the public network: in none of the special-purpose blocks of IANA's registries (RFC 6890), multicast, or known to lead
/// to a cloud's own services.
#[must_use]
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let special = address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_broadcast()
        || address.is_documentation()
        || address.is_multicast()
        || a == 0
        || a >= 240
        || (a == 100 && (64..128).contains(&b))
        || (a == 192 && b == 0 && c == 0)
        || (a == 192 && b == 88 && c == 99)
        || (a == 198 && (18..20).contains(&b))
        // Looks public and answers from inside every machine of Azure's.
        || address == Ipv4Addr::new(168, 63, 129, 16);
    !special
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    // Only 2000::/3 is global unicast; of that, what carries an IPv4 address or documents is taken out. Mapped and translated addresses count as what
    // they lead to.
    if let Some(inner) = address.to_ipv4_mapped().or_else(|| translated(address)) {
        return is_public_v4(inner);
    }
    let [a, b, ..] = address.segments();
    let is_global = a & 0xe000 == 0x2000;
    let is_special = (a == 0x2001 && (b < 0x0200 || b == 0x0db8)) || a == 0x2002 || (a == 0x3fff && b < 0x1000);
    is_global && !is_special
}

/// The IPv4 address behind the well-known prefix of NAT64, 64:ff9b::/96 (RFC 6052): where a machine has IPv6 alone, every other address looks so. Prefixes for
/// local use (64:ff9b:1::/48, RFC 8215) are not of the public network.
fn translated(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let [0x64, 0xff9b, 0, 0, 0, 0, ..] = address.segments() else { return None };
    let [.., a, b, c, d] = address.octets();
    Some(Ipv4Addr::new(a, b, c, d))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_special_block_is_told_from_the_public_network_at_its_edges() {
        // IANA's special-purpose registries of IPv4 and IPv6, first and last address of each block, and multicast.
        for (first, last) in [
            ("0.0.0.0", "0.255.255.255"),
            ("10.0.0.0", "10.255.255.255"),
            ("100.64.0.0", "100.127.255.255"),
            ("127.0.0.0", "127.255.255.255"),
            ("168.63.129.16", "168.63.129.16"),
            ("169.254.0.0", "169.254.255.255"),
            ("172.16.0.0", "172.31.255.255"),
            ("192.0.0.0", "192.0.0.255"),
            ("192.0.2.0", "192.0.2.255"),
            ("192.88.99.0", "192.88.99.255"),
            ("192.168.0.0", "192.168.255.255"),
            ("198.18.0.0", "198.19.255.255"),
            ("198.51.100.0", "198.51.100.255"),
            ("203.0.113.0", "203.0.113.255"),
            ("224.0.0.0", "239.255.255.255"),
            ("240.0.0.0", "255.255.255.255"),
            ("::", "1fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
            ("::ffff:127.0.0.1", "::ffff:10.0.0.1"),
            ("::7f00:1", "::808:808"),
            ("64:ff9b::127.0.0.1", "64:ff9b::192.168.255.255"),
            ("64:ff9b:1::", "64:ff9b:1:ffff:ffff:ffff:808:808"),
            ("100::", "100:0:0:1:ffff:ffff:ffff:ffff"),
            ("2001::", "2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff"),
            ("2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff"),
            ("2002::", "2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
            ("3fff::", "3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff"),
            ("4000::", "5f00::1"),
            ("fc00::", "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
            ("fe80::", "febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
            ("fec0::1", "ff0e::1"),
        ] {
            for address in [first, last] {
                assert_eq!(address.parse().map(is_public), Ok(false), "{address}");
            }
        }
        for public in [
            "1.0.0.0",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.0",
            "168.63.129.15",
            "168.63.129.17",
            "169.253.255.255",
            "169.255.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "192.0.1.0",
            "192.0.3.0",
            "192.88.98.255",
            "192.88.100.0",
            "192.167.255.255",
            "192.169.0.0",
            "198.17.255.255",
            "198.20.0.0",
            "198.51.99.255",
            "198.51.101.0",
            "203.0.112.255",
            "203.0.114.0",
            "223.255.255.255",
            "::ffff:8.8.8.8",
            "64:ff9b::8.8.8.8",
            "2000::1",
            "2001:200::",
            "2001:db7:ffff::1",
            "2001:db9::",
            "2003::",
            "2606:4700::1111",
            "3ffe:ffff::1",
            "3fff:1000::",
        ] {
            assert_eq!(public.parse().map(is_public), Ok(true), "{public}");
        }
    }

    #[test]
    fn a_loopback_url_leads_to_this_machine_alone() {
        for good in ["http://127.0.0.1:4000/a?b", "https://localhost/", "http://localhost:1/", "http://[::1]:80/", "http://127.1/"] {
            assert!(LoopbackUrl::parse(good).is_ok(), "{good}");
        }
        for (bad, rule) in [
            ("http://example.com/", "loopback_address"),
            ("http://10.0.0.1/", "loopback_address"),
            ("http://localhost.example.com/", "loopback_address"),
            ("http://0.0.0.0/", "loopback_address"),
            ("http://[::ffff:127.0.0.1]/", "loopback_address"),
            ("http://u@127.0.0.1/", "url"),
            ("http://127.0.0.1/#x", "url"),
            ("ftp://127.0.0.1/", "url"),
            ("http:127.0.0.1", "url"),
        ] {
            assert_eq!(LoopbackUrl::parse(bad), Err(Rule(rule)), "{bad}");
        }
    }

    #[test]
    fn a_webhook_goes_to_the_public_network_alone() {
        for good in ["https://example.com/hook", "https://hooks.acme.com.br:8443/a?b=c", "https://8.8.8.8/", "https://[2606:4700::1111]/"] {
            assert!(WebhookUrl::parse(good).is_ok(), "{good}");
        }
        for private in [
            "https://localhost/",
            "https://a.localhost/",
            "https://intranet/",
            "https://db.internal/",
            "https://metadata.google.internal/",
            "https://127.0.0.1/",
            "https://127.1/",
            "https://2130706433/",
            "https://0x7f.1/",
            "https://017700000001/",
            "https://10.1.2.3/",
            "https://169.254.169.254/latest",
            "https://100.64.0.1/",
            "https://192.168.0.1/",
            "https://0.0.0.0/",
            "https://255.255.255.255/",
            "https://198.18.0.1/",
            "https://224.0.0.1/",
            "https://[::1]/",
            "https://[::]/",
            "https://[::ffff:10.0.0.1]/",
            "https://[fe80::1]/",
            "https://[fc00::1]/",
            "https://[fd00:ec2::254]/",
            "https://[64:ff9b::7f00:1]/",
            "https://[2002:7f00:1::]/",
            "https://[2001:db8::1]/",
            "https://①②⑦.0.0.1/",
        ] {
            let refused = WebhookUrl::parse(private);
            assert!(refused == Err(Rule("public_address")) || refused == Err(Rule("url")), "{private}: {refused:?}");
        }
        for broken in [
            "",
            "http://example.com/",
            "https://",
            "https://u:p@example.com/",
            "https://example.com/#x",
            "ftp://example.com",
            "https://exa mple.com",
            "https://example.com/\n",
        ] {
            assert_eq!(WebhookUrl::parse(broken), Err(Rule("url")), "{broken:?}");
        }
        assert_eq!(WebhookUrl::parse(&format!("https://example.com/{}", "a".repeat(2048))), Err(Rule("too_long")));
    }

    #[test]
    fn colours_and_domains_have_one_spelling() {
        assert_eq!(Color::parse("#AABBcc").map(|color| color.as_str().to_owned()), Ok("#aabbcc".to_owned()));
        for bad in ["", "aabbcc", "#aabbc", "#aabbccd", "#ggaabb", "red"] {
            assert!(Color::parse(bad).is_err(), "{bad}");
        }
        for good in ["acme.com.br", "a-b.co", "xn--80ak6aa92e.com"] {
            assert!(Domain::parse(good).is_ok(), "{good}");
        }
        for bad in ["", "acme", "Acme.com", "acme.com.", "-a.com", "a-.com", "a..com", "1.2.3.4", "a.c", "a b.com", "ação.com"] {
            assert!(Domain::parse(bad).is_err(), "{bad}");
        }
    }
}
