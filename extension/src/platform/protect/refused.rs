//! Why a DBA's call is refused, for them to read.

use pgrx::PgSqlErrorCode;

/// A refusal: what Postgres would call it, what is wrong, and what to do.
#[derive(Debug)]
pub struct Refused {
    pub code: PgSqlErrorCode,
    pub message: String,
    pub hint: String,
}

pub type Result<T> = std::result::Result<T, Refused>;

impl Refused {
    /// An argument that can't be.
    pub fn argument(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { code: PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE, message: message.into(), hint: hint.into() }
    }

    /// Something that isn't the caller's.
    pub fn privilege(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { code: PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE, message: message.into(), hint: hint.into() }
    }

    /// A table of the wrong kind.
    pub fn kind(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { code: PgSqlErrorCode::ERRCODE_WRONG_OBJECT_TYPE, message: message.into(), hint: hint.into() }
    }

    /// Not as things are.
    pub fn state(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { code: PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, message: message.into(), hint: hint.into() }
    }
}
