//! A route, with the headers that depend on nothing but the route.

use super::rate_limit;
use crate::db::{RateLimits, Route};
use http::HeaderValue;

/// One operation as it is served.
#[derive(Debug)]
pub struct ServedRoute {
    pub route: Route,
    /// `RateLimit-Policy` of what the edge refuses by itself.
    pub default_policy: Option<HeaderValue>,
}

impl ServedRoute {
    #[must_use]
    pub fn new(route: Route, limits: RateLimits, window_seconds: Option<u64>) -> Self {
        Self { default_policy: rate_limit::default_policy(&route, limits, window_seconds), route }
    }
}
