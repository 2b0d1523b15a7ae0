//! A route, with the headers that depend on nothing but the route.

use super::{deprecation, rate_limit};
use crate::db::{RateLimits, Route};
use http::{HeaderMap, HeaderValue};
use std::sync::Arc;

/// One operation as it is served.
#[derive(Debug)]
pub struct ServedRoute {
    pub route: Route,
    /// `RateLimit-Policy` of what the edge refuses by itself.
    pub default_policy: Option<HeaderValue>,
    /// The path's template, as metrics label it.
    pub label: Arc<str>,
    /// What every answer says where the operation is deprecated.
    deprecation: HeaderMap,
}

impl ServedRoute {
    #[must_use]
    pub fn new(route: Route, limits: RateLimits, window_seconds: Option<u64>) -> Self {
        Self {
            default_policy: rate_limit::default_policy(&route, limits, window_seconds),
            deprecation: route.deprecation.as_ref().map(deprecation::headers).unwrap_or_default(),
            label: Arc::from(&*route.path),
            route,
        }
    }

    /// Adds what every answer of the route says, whoever gives it.
    pub fn mark(&self, headers: &mut HeaderMap) {
        headers.extend(self.deprecation.clone());
    }
}
