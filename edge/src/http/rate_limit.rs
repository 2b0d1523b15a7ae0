//! `RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers-10).

use crate::db::{Kind, RateLimit, RateLimits, Route, Scope};
use http::{HeaderMap, HeaderName, HeaderValue};

const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");

/// Says which limits counted the request and what each has left.
pub fn write(headers: &mut HeaderMap, limits: &[RateLimit]) {
    if limits.is_empty() {
        return;
    }
    let join = |member: fn(&RateLimit) -> String| limits.iter().map(member).collect::<Vec<_>>().join(", ");
    insert(headers, RATE_LIMIT_POLICY, &join(|limit| policy(&limit.policy, limit.limit, limit.window)));
    insert(headers, RATE_LIMIT, &join(|limit| format!("{};r={};t={}", quoted(&limit.policy), limit.remaining, limit.reset)));
}

/// Says which limit would have counted a request that the edge refused by itself: nothing was used up.
pub fn write_default(headers: &mut HeaderMap, default: Option<&HeaderValue>) {
    if let Some(value) = default {
        headers.insert(RATE_LIMIT_POLICY, value.clone());
    }
}

/// The policy of a route's category by the installation's defaults; `None` where the database doesn't say.
#[must_use]
pub fn default_policy(route: &Route, limits: RateLimits, window_seconds: Option<u64>) -> Option<HeaderValue> {
    let (name, limit) = match (route.scope, route.kind) {
        (Scope::Public, _) => ("auth", limits.auth),
        (_, Kind::Read) => ("read", limits.read),
        (_, Kind::Write) => ("write", limits.write),
        (_, Kind::Admin) => ("admin", limits.admin),
    };
    HeaderValue::try_from(policy(name, limit?, window_seconds?)).ok()
}

fn policy(name: &str, limit: u64, window_seconds: u64) -> String {
    format!("{};q={limit};w={window_seconds}", quoted(name))
}

/// A String of RFC 9651, section 3.3.3; what it can't hold is refused by `insert`.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// A name that no header can hold leaves the header out: the answer is worth more.
fn insert(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if value.is_ascii()
        && let Ok(value) = HeaderValue::from_str(value)
    {
        headers.insert(name, value);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use serde_json::json;

    fn limits(limits: serde_json::Value) -> HeaderMap {
        let mut headers = HeaderMap::new();
        write(&mut headers, &serde_json::from_value::<Vec<RateLimit>>(limits).unwrap());
        headers
    }

    #[test]
    fn each_limit_says_its_policy_and_what_is_left() {
        let headers = limits(json!([
            { "policy": "write", "limit": 1200, "window": 60, "remaining": 1199, "reset": 60 },
            { "policy": "a\"b", "limit": 5, "window": 10, "remaining": 0, "reset": 3 },
        ]));
        assert_eq!(headers["ratelimit-policy"], r#""write";q=1200;w=60, "a\"b";q=5;w=10"#);
        assert_eq!(headers["ratelimit"], r#""write";r=1199;t=60, "a\"b";r=0;t=3"#);
    }

    #[test]
    fn no_limit_and_an_unspeakable_name_say_nothing() {
        assert!(limits(json!([])).is_empty());
        for policy in ["é", "\n"] {
            assert!(limits(json!([{ "policy": policy, "limit": 1, "window": 1, "remaining": 1, "reset": 1 }])).is_empty());
        }
    }

    #[test]
    fn a_public_route_is_of_the_category_auth_and_every_other_of_its_kind() {
        let route = |scope: &str, kind: &str| {
            serde_json::from_value::<Route>(json!({
                "operation": "o", "method": "GET", "path": "/", "scope": scope, "kind": kind, "success": 200, "takesBody": false,
                "tenantFrom": "credential", "derive": [], "issuesToken": false,
            }))
            .unwrap()
        };
        let limits = RateLimits { auth: Some(60), read: Some(3000), write: Some(1200), admin: None };
        let policy = |scope: &str, kind: &str| default_policy(&route(scope, kind), limits, Some(60));
        assert_eq!(policy("public", "write").unwrap(), r#""auth";q=60;w=60"#);
        assert_eq!(policy("tenant", "read").unwrap(), r#""read";q=3000;w=60"#);
        assert_eq!(policy("platform", "write").unwrap(), r#""write";q=1200;w=60"#);
        assert_eq!(policy("platform", "admin"), None);
        assert_eq!(default_policy(&route("public", "read"), limits, None), None);
    }
}
