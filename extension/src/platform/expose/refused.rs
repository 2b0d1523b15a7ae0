//! Why a DBA's call is refused, for them to read.

use crate::kernel::exposed_function::Unfit;
use pgrx::PgSqlErrorCode;

/// Why not, for the DBA.
pub struct Refused {
    pub state: PgSqlErrorCode,
    pub message: String,
    pub hint: Option<String>,
}

/// What a step of exposing gives.
pub type Result<T> = std::result::Result<T, Refused>;

impl Refused {
    pub fn invalid(message: impl Into<String>) -> Self {
        Self { state: PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE, message: message.into(), hint: None }
    }

    pub fn taken(message: impl Into<String>) -> Self {
        Self { state: PgSqlErrorCode::ERRCODE_DUPLICATE_OBJECT, ..Self::invalid(message) }
    }

    pub fn not_yours(message: impl Into<String>) -> Self {
        Self { state: PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE, ..Self::invalid(message) }
    }

    #[must_use]
    pub fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }
}

impl From<Unfit> for Refused {
    fn from(unfit: Unfit) -> Self {
        Self { state: PgSqlErrorCode::ERRCODE_WRONG_OBJECT_TYPE, message: unfit.message, hint: unfit.hint }
    }
}
