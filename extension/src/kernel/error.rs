//! Refusals: values, not errors, so that what must stay (an audit row, a revocation) commits with them.

use nebula_core::error::Code;
use serde_json::{Value, json};

/// Why a request was refused.
#[derive(Clone, Debug)]
pub struct Refusal {
    pub code: Code,
    /// The HTTP status where it is not the code's: a custom operation may refuse with any 4xx.
    pub own_status: Option<u16>,
    pub details: Option<Value>,
    /// The refusal follows from writes that are meant to stay (a revoked family, a counted failure).
    pub keeps_writes: bool,
    /// When the same request may succeed: `Retry-After`.
    pub retry_after_seconds: Option<u32>,
    /// What a person on watch should see in the edge's log: `refresh_reuse`.
    pub alert: Option<&'static str>,
}

/// What a step of the pipeline returns.
pub type Result<T> = std::result::Result<T, Refusal>;

impl Refusal {
    /// One broken rule of one field: a `VALIDATION_ERROR`.
    #[must_use]
    pub fn invalid(field: &str, rule: &str) -> Self {
        Self::from(Code::ValidationError).with(json!([{ "field": field, "rule": rule }]))
    }

    /// The action is not allowed; `condition` says which part of the rule refused.
    #[must_use]
    pub fn forbidden(action: &str, condition: &str) -> Self {
        Self::from(Code::ForbiddenAction).with(json!({ "toolAction": action, "condition": condition }))
    }

    /// The state doesn't allow it; `rule` says which rule of the state.
    #[must_use]
    pub fn conflict(rule: &str) -> Self {
        Self::from(Code::Conflict).with(json!({ "rule": rule }))
    }

    /// Something of that name is there already.
    #[must_use]
    pub fn duplicate(field: &str) -> Self {
        Self::from(Code::DuplicateResource).with(json!({ "field": field }))
    }

    /// Too many requests in a time; `policy` names the limit.
    #[must_use]
    pub fn rate_limited(policy: &str, retry_after_seconds: u32) -> Self {
        let refusal = Self::from(Code::RateLimited).with(json!({ "policy": policy }));
        Self { retry_after_seconds: Some(retry_after_seconds), ..refusal }
    }

    /// The month's calls of an action are used up.
    #[must_use]
    pub fn quota_exceeded(action: &str, per_month: u32, retry_after_seconds: u32) -> Self {
        let refusal = Self::from(Code::QuotaExceeded).with(json!({ "toolAction": action, "perMonth": per_month }));
        Self { retry_after_seconds: Some(retry_after_seconds), ..refusal }
    }

    /// The HTTP status.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.own_status.unwrap_or_else(|| self.code.status())
    }

    #[must_use]
    pub fn with(mut self, details: Value) -> Self {
        self.details = Some(details);
        self
    }

    /// Names what a person on watch should see.
    #[must_use]
    pub fn alerting(mut self, alert: &'static str) -> Self {
        self.alert = Some(alert);
        self
    }

    /// Marks that the writes before the refusal are meant to be committed.
    #[must_use]
    pub fn keeping_writes(mut self) -> Self {
        self.keeps_writes = true;
        self
    }
}

impl From<Code> for Refusal {
    fn from(code: Code) -> Self {
        Self { code, own_status: None, details: None, keeps_writes: false, retry_after_seconds: None, alert: None }
    }
}
