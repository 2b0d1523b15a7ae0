//! Why a function is no operation.

/// Why a function is no operation.
#[derive(Clone, Debug)]
pub struct Unfit {
    /// For who calls: `function_missing`, `function_refused`.
    pub rule: &'static str,
    /// For the DBA.
    pub message: String,
    pub hint: Option<String>,
}

impl Unfit {
    #[must_use]
    pub fn new(message: impl Into<String>) -> Self {
        Self { rule: "function_refused", message: message.into(), hint: None }
    }

    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// What judging a function gives.
pub type Result<T> = std::result::Result<T, Unfit>;
