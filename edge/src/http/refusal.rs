//! Why the edge refuses a request: a code of the one error table, and what goes with it.

use crate::db::{Failure, RateLimit, RefusedLogin};
use nebula_core::error::Code;
use serde_json::{Value, json};

/// A refusal, as a value: the answer is made of it in one place.
#[derive(Debug)]
pub struct Refusal {
    pub code: Code,
    pub details: Option<Value>,
    pub retry_after_seconds: Option<u64>,
    /// The limits that counted the request; none where the edge refuses by itself.
    pub rate_limits: Box<[RateLimit]>,
    /// The methods that the path has, for 405.
    pub allow: Option<String>,
    /// For the log only, at `error`: what an operator must know. Holds nothing that a client sent.
    pub reason: Option<String>,
}

impl Refusal {
    /// A refusal without more to say.
    #[must_use]
    pub fn new(code: Code) -> Self {
        Self { code, details: None, retry_after_seconds: None, rate_limits: Box::default(), allow: None, reason: None }
    }

    /// A `VALIDATION_ERROR` over one field.
    #[must_use]
    pub fn invalid(field: &str, rule: &str) -> Self {
        Self { details: Some(json!([{ "field": field, "rule": rule }])), ..Self::new(Code::ValidationError) }
    }

    /// 503: the same request may succeed in a second.
    #[must_use]
    pub fn unavailable(reason: impl Into<String>) -> Self {
        Self { retry_after_seconds: Some(1), reason: Some(reason.into()), ..Self::new(Code::ServiceUnavailable) }
    }

    /// 503: the database is older than it must be; somebody is updating it, or should.
    #[must_use]
    pub fn outdated() -> Self {
        Self { retry_after_seconds: Some(2), ..Self::new(Code::SchemaOutdated) }
    }

    /// 500: the reason is for the log.
    #[must_use]
    pub fn internal(reason: impl Into<String>) -> Self {
        Self { reason: Some(reason.into()), ..Self::new(Code::InternalError) }
    }
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        let reason = format!("database: {}", failure.reason());
        match failure {
            Failure::Unavailable(_) => Self::unavailable(reason),
            Failure::Statement(_) => Self { reason: Some(reason), ..Self::new(Code::DatabaseError) },
        }
    }
}

impl From<RefusedLogin> for Refusal {
    fn from(refused: RefusedLogin) -> Self {
        match Code::ALL.iter().find(|code| code.as_str() == refused.code) {
            Some(code) => Self {
                details: refused.details,
                retry_after_seconds: refused.retry_after_seconds,
                rate_limits: refused.rate_limits,
                ..Self::new(*code)
            },
            None => Self::internal("the database refused a login with a code that the error table lacks"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_login_is_the_refusal_that_the_database_named() {
        let refused = |code: &str| {
            let details = Some(json!({ "policy": "auth" }));
            Refusal::from(RefusedLogin { code: code.to_owned(), details, retry_after_seconds: Some(7), rate_limits: Box::default() })
        };
        assert_eq!((refused("RATE_LIMITED").code, refused("RATE_LIMITED").retry_after_seconds), (Code::RateLimited, Some(7)));
        assert_eq!(refused("RATE_LIMITED").details, Some(json!({ "policy": "auth" })));
        assert_eq!(refused("NO_SUCH_CODE").code, Code::InternalError);
    }
}
