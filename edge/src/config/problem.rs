//! What is wrong with settings.

use serde::Serialize;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Nothing starts with it.
    Error,
    /// It works, and is probably not what was meant.
    Warning,
}

/// Something wrong with a setting.
#[derive(Clone, Debug, Serialize)]
pub struct Problem {
    pub severity: Severity,
    /// The setting, file or variable.
    pub setting: String,
    pub message: String,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl Problem {
    #[must_use]
    pub fn error(setting: &str, message: impl Into<String>) -> Self {
        Self { severity: Severity::Error, setting: setting.to_owned(), message: message.into(), hint: None }
    }

    #[must_use]
    pub fn warning(setting: &str, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(setting, message) }
    }

    #[must_use]
    pub fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    #[must_use]
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}
