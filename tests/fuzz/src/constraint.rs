//! Constraints of a grant, as their group's JSON has them.

use nebula_core::constraint::{Circumstances, Constraints, MAX_ITEMS};
use std::net::IpAddr;

pub fn constraint(data: &[u8]) {
    let Ok(constraints) = serde_json::from_slice::<Constraints>(data) else { return };
    let written = serde_json::to_string(&constraints).unwrap();
    assert_eq!(serde_json::from_str::<Constraints>(&written).unwrap(), constraints, "{written}");
    let is_right = constraints.check().is_ok();
    let mut call = Circumstances { ip: None, now_microseconds: 1_800_000_000_000_000, resource_id: None };
    if constraints.ip_cidrs.is_some() {
        assert!(constraints.first_unmet(&call).is_some(), "a call without an address is in no network");
    }
    if !is_right {
        return;
    }
    assert!(constraints.ip_cidrs.as_ref().is_none_or(|list| (1..=MAX_ITEMS).contains(&list.len())));
    assert!(constraints.bytes() < 1 << 20);
    // Whoever calls from a listed network, about a listed resource, within the window, passes; a mapped address is the address.
    let network = constraints.ip_cidrs.as_ref().map(|list| serde_json::to_value(&list[0]).unwrap());
    let network = network.map(|text| text.as_str().unwrap().parse::<ipnet::IpNet>().unwrap());
    call.ip = network.map(|network| network.network());
    call.resource_id = constraints.resource_ids.as_ref().map(|ids| ids[0]);
    call.now_microseconds = match (&constraints.valid_from, &constraints.valid_until) {
        (Some(from), _) => from.unix_microseconds(),
        (None, Some(until)) => until.unix_microseconds() - 1,
        (None, None) => 0,
    };
    let is_mapped_network = matches!(call.ip, Some(IpAddr::V6(address)) if address.to_ipv4_mapped().is_some());
    if !is_mapped_network {
        assert_eq!(constraints.first_unmet(&call), None, "{written}");
        if let Some(IpAddr::V4(address)) = call.ip {
            call.ip = Some(IpAddr::V6(address.to_ipv6_mapped()));
            assert_eq!(constraints.first_unmet(&call), None, "{written}");
        }
    }
}
