//! `group_permission.constraints`: a closed schema (contract, section 3). A grant counts only when all its constraints hold for the call.

use crate::{text::Instant, weight::allocated};
use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use uuid::Uuid;

/// What a grant asks of the call besides the action. Any other key is a `VALIDATION_ERROR`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("examples" = [{ "ipCidrs": ["203.0.113.0/24"], "validFrom": "2026-01-01T00:00:00Z", "validUntil": "2026-12-31T23:59:59Z" }]))]
pub struct Constraints {
    /// The caller's address lies in one of these networks. A call without an address doesn't hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 100))]
    pub ip_cidrs: Option<Vec<Network>>,
    /// The call is made at or after this instant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_from: Option<Instant>,
    /// The call is made before this instant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_until: Option<Instant>,
    /// The call is about one of these resources (its `{id}` in the path). A call without a resource doesn't hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 100))]
    pub resource_ids: Option<Vec<Uuid>>,
    /// So many successful calls per user and UTC day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub max_per_day: Option<u32>,
}

/// One of IPv6's groups.
macro_rules! group {
    () => {
        "[0-9A-Fa-f]{1,4}"
    };
}

/// How networks are written: IPv4, and the spellings of RFC 4291, section 2.2, that hold no IPv4 address.
#[rustfmt::skip]
const CIDR: &str = concat!(
    "^(?:(?:(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])\\.){3}(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])/(?:3[0-2]|[12]?[0-9])",
    "|(?:(?:", group!(), ":){7}", group!(),
    "|(?:", group!(), ":){1,7}:",
    "|(?:", group!(), ":){1,6}:", group!(),
    "|(?:", group!(), ":){1,5}(?::", group!(), "){1,2}",
    "|(?:", group!(), ":){1,4}(?::", group!(), "){1,3}",
    "|(?:", group!(), ":){1,3}(?::", group!(), "){1,4}",
    "|(?:", group!(), ":){1,2}(?::", group!(), "){1,5}",
    "|", group!(), ":(?::", group!(), "){1,6}",
    "|:(?:(?::", group!(), "){1,7}|:)",
    ")/(?:12[0-8]|1[01][0-9]|[1-9]?[0-9]))$",
);

/// An IP network in CIDR notation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Network(IpNet);

impl<'de> Deserialize<'de> for Network {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map(Network).map_err(|_| serde::de::Error::custom("rule=cidr"))
    }
}

impl JsonSchema for Network {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Network".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "minLength": 4, "maxLength": 43, "pattern": CIDR, "examples": ["203.0.113.0/24"] })
    }
}

/// The longest list in a constraint.
pub const MAX_ITEMS: usize = 100;

/// What a call brings that constraints look at.
#[derive(Clone, Copy, Debug)]
pub struct Circumstances {
    pub ip: Option<IpAddr>,
    /// Microseconds since the Unix epoch.
    pub now_microseconds: i64,
    pub resource_id: Option<Uuid>,
}

impl Constraints {
    /// Whether the lists are neither empty nor absurd and the window is not inside out; the error is `(field, rule)`.
    pub fn check(&self) -> Result<(), (&'static str, &'static str)> {
        let is_sized = |length: usize| (1..=MAX_ITEMS).contains(&length);
        if self.ip_cidrs.as_ref().is_some_and(|list| !is_sized(list.len())) {
            return Err(("ipCidrs", "length"));
        }
        if self.resource_ids.as_ref().is_some_and(|list| !is_sized(list.len())) {
            return Err(("resourceIds", "length"));
        }
        if self.max_per_day == Some(0) {
            return Err(("maxPerDay", "range"));
        }
        if let (Some(from), Some(until)) = (&self.valid_from, &self.valid_until)
            && from.unix_microseconds() >= until.unix_microseconds()
        {
            return Err(("validUntil", "after_valid_from"));
        }
        Ok(())
    }

    /// Whether nothing is asked.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Bytes of the heap.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let list = |length: usize, size: usize| allocated(length * size);
        self.ip_cidrs.as_ref().map_or(0, |networks| list(networks.capacity(), size_of::<Network>()))
            + self.resource_ids.as_ref().map_or(0, |ids| list(ids.capacity(), size_of::<Uuid>()))
    }

    /// The first constraint that doesn't hold, but for `maxPerDay`, which only the database can count.
    #[must_use]
    pub fn first_unmet(&self, call: &Circumstances) -> Option<&'static str> {
        let in_network = |list: &Vec<Network>| call.ip.is_some_and(|ip| list.iter().any(|network| network.0.contains(&canonical(ip))));
        if self.ip_cidrs.as_ref().is_some_and(|list| !in_network(list)) {
            return Some("ipCidrs");
        }
        if self.valid_from.as_ref().is_some_and(|from| call.now_microseconds < from.unix_microseconds()) {
            return Some("validFrom");
        }
        if self.valid_until.as_ref().is_some_and(|until| call.now_microseconds >= until.unix_microseconds()) {
            return Some("validUntil");
        }
        let is_listed = |list: &Vec<Uuid>| call.resource_id.is_some_and(|id| list.contains(&id));
        if self.resource_ids.as_ref().is_some_and(|list| !is_listed(list)) {
            return Some("resourceIds");
        }
        None
    }
}

/// An IPv4 address that came through an IPv6 socket is that IPv4 address.
fn canonical(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V6(v6) => v6.to_ipv4_mapped().map_or(ip, IpAddr::V4),
        IpAddr::V4(_) => ip,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::json;

    fn call() -> Circumstances {
        Circumstances {
            ip: Some("203.0.113.9".parse().unwrap()),
            now_microseconds: 1_800_000_000_000_000,
            resource_id: Some(Uuid::from_u128(1)),
        }
    }

    fn unmet(constraints: serde_json::Value, call: Circumstances) -> Option<&'static str> {
        serde_json::from_value::<Constraints>(constraints).unwrap().first_unmet(&call)
    }

    #[test]
    fn unknown_keys_and_wrong_types_are_refused() {
        for value in [
            json!({"ipcidrs": []}),
            json!({"ipCidrs": "10.0.0.0/8"}),
            json!({"ipCidrs": ["10.0.0.0/40"]}),
            json!({"maxPerDay": -1}),
            json!([]),
        ] {
            assert!(serde_json::from_value::<crate::object::Object<Constraints>>(value.clone()).is_err(), "{value}");
        }
    }

    #[test]
    fn each_constraint_holds_and_fails() {
        assert_eq!(unmet(json!({"ipCidrs": ["203.0.113.0/24"]}), call()), None);
        assert_eq!(unmet(json!({"ipCidrs": ["198.51.100.0/24"]}), call()), Some("ipCidrs"));
        assert_eq!(unmet(json!({"ipCidrs": ["203.0.113.0/24"]}), Circumstances { ip: None, ..call() }), Some("ipCidrs"));
        let mapped = Circumstances { ip: Some("::ffff:203.0.113.9".parse().unwrap()), ..call() };
        assert_eq!(unmet(json!({"ipCidrs": ["203.0.113.0/24"]}), mapped), None);
        assert_eq!(unmet(json!({"validFrom": "2100-01-01T00:00:00Z"}), call()), Some("validFrom"));
        assert_eq!(unmet(json!({"validUntil": "2020-01-01T00:00:00Z"}), call()), Some("validUntil"));
        assert_eq!(unmet(json!({"resourceIds": [Uuid::from_u128(1)]}), call()), None);
        assert_eq!(unmet(json!({"resourceIds": [Uuid::from_u128(2)]}), call()), Some("resourceIds"));
        assert_eq!(unmet(json!({"resourceIds": [Uuid::from_u128(1)]}), Circumstances { resource_id: None, ..call() }), Some("resourceIds"));
    }

    #[test]
    fn empty_lists_zero_and_inverted_windows_are_refused() {
        for (value, field) in [
            (json!({"ipCidrs": []}), "ipCidrs"),
            (json!({"resourceIds": []}), "resourceIds"),
            (json!({"maxPerDay": 0}), "maxPerDay"),
            (json!({"validFrom": "2026-01-02T00:00:00Z", "validUntil": "2026-01-01T00:00:00Z"}), "validUntil"),
        ] {
            assert_eq!(serde_json::from_value::<Constraints>(value).unwrap().check().unwrap_err().0, field);
        }
    }
}
