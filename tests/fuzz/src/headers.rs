//! The head of a request, `name: value` a line.

use http::{HeaderMap, HeaderName, HeaderValue};
use ipnet::IpNet;
use nebula_core::text::RequestId;
use nebula_edge::fuzzing::{Presented, client_address, present, request_id, single_headers, traceparent, user_agent, well_formed};
use std::net::IpAddr;

pub fn headers(data: &[u8]) {
    let mut headers = HeaderMap::new();
    for line in data.split(|byte| *byte == b'\n').take(64) {
        let Some(at) = line.iter().position(|byte| *byte == b':') else { continue };
        let (Ok(name), Ok(value)) = (HeaderName::from_bytes(&line[..at]), HeaderValue::from_bytes(line[at + 1..].trim_ascii())) else {
            continue;
        };
        headers.append(name, value);
    }
    one_credential(&headers);
    assert!(RequestId::parse(&request_id(&headers)).is_ok());
    assert!(user_agent(&headers).is_none_or(|text| text.len() <= 512 && !text.contains(char::is_control)));
    for (name, value) in ["x-tenant-id", "idempotency-key"].iter().zip(single_headers(&headers)) {
        let count = headers.get_all(*name).iter().count();
        assert!(value.is_none() || (count == 0) == (value == Some(None)) && count < 2);
    }
    if let Some((trace, span, flags, state)) = traceparent(&headers) {
        let sent = headers["traceparent"].to_str().unwrap();
        assert_eq!((&sent[3..35], &sent[36..52]), (trace.as_str(), span.as_str()));
        assert!(flags <= 1 && state.len() <= 512 && trace.bytes().any(|byte| byte != b'0'));
    }
    the_client_is_behind_trusted_proxies_alone(&headers);
}

fn one_credential(headers: &HeaderMap) {
    let values = headers.get_all("authorization").iter().chain(headers.get_all("x-api-key")).collect::<Vec<_>>();
    match present(headers) {
        Presented::Nothing => assert_eq!(values.len(), 0),
        Presented::One(credential) => {
            assert!(!credential.is_empty() && credential.len() <= 8192);
            // It stands at the end of every header that there is: two that differ are never boiled down to one.
            assert!(values.len() <= 2 && values.iter().all(|value| value.to_str().unwrap().trim().ends_with(credential)));
            assert!(well_formed(credential).is_none() || credential.is_ascii());
        }
        Presented::Unusable => assert!(!values.is_empty()),
    }
}

fn the_client_is_behind_trusted_proxies_alone(headers: &HeaderMap) {
    let peer: IpAddr = "10.0.0.1".parse().unwrap();
    assert_eq!(client_address(peer, headers, &[]), peer);
    let trusted: Vec<IpNet> = vec!["10.0.0.0/8".parse().unwrap(), "2001:db8::/32".parse().unwrap()];
    let client = client_address(peer, headers, &trusted);
    assert_eq!(client, client.to_canonical());
    if client != peer {
        // Everything to the right of where it stands is trusted: what a client writes to the left proves nothing.
        let all = headers.get_all("x-forwarded-for").iter().filter_map(|value| value.to_str().ok()).collect::<Vec<_>>().join(",");
        let mut entries = all.rsplit(',').map(|entry| entry.trim().parse::<IpAddr>().map(|address| address.to_canonical()));
        let is_trusted = |address: &IpAddr| trusted.iter().any(|network| network.contains(address));
        let first = entries.by_ref().find(|entry| !entry.as_ref().is_ok_and(is_trusted));
        assert!(is_trusted(&client) || first == Some(Ok(client)), "{all}: {client}");
    }
}
