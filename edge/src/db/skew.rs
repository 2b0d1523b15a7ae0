//! Releases that differ: this edge's, the library's that a session has loaded, the extension's. Which of them go together: docs/migrations.md, "What runs beside what".

use super::state::{EdgeState, Readiness};
use nebula_core::release::Release;

/// This program's.
pub const EDGE: &str = env!("CARGO_PKG_VERSION");

/// What answered, beside this edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Skew {
    /// As new as the edge, or newer: its operations and their meaning are the database's business.
    Suits,
    /// The extension was updated since the session began: it suits, but a new session is better.
    StaleSession,
    /// Older than the edge, which would ask it for what it doesn't know.
    Older,
}

impl Skew {
    fn of(library: Option<&str>, extension: Option<&str>, edge: &str) -> Self {
        // The first release didn't say which it was.
        let release = |version: Option<&str>| version.and_then(Release::parse).unwrap_or(Release::FIRST);
        let (library, edge) = (release(library), release(Some(edge)));
        if library.line() < edge.line() {
            Self::Older
        } else if library < release(extension) {
            Self::StaleSession
        } else {
            Self::Suits
        }
    }
}

impl EdgeState {
    /// The session that told it, beside this edge.
    pub fn skew(&self) -> Skew {
        Skew::of(self.library_version.as_deref(), self.extension_version.as_deref(), EDGE)
    }

    /// For an operator: what to do about it.
    pub fn skew_complaint(&self) -> Option<String> {
        let library = self.library_version.as_deref().unwrap_or("0.1");
        match self.skew() {
            Skew::Suits => None,
            Skew::StaleSession => Some(format!(
                "a session has still the library {library} of before the update: restart the server where shared_preload_libraries names nebula, \
                 reconnect the pooler where one stands between"
            )),
            Skew::Older => Some(format!(
                "the database is {library}, older than this edge, {EDGE}: nothing is served until it is updated (nebula migrate)"
            )),
        }
    }
}

impl Readiness {
    /// Whether something of the database is older than what asks it needs.
    pub fn is_outdated(&self) -> bool {
        let library = self.library_version.as_deref();
        let is_extension_older = match (self.extension_version.as_deref().and_then(Release::parse), library.and_then(Release::parse)) {
            (Some(extension), Some(library)) => extension < library,
            _ => false,
        };
        self.schema_version < self.required_version || is_extension_older || Skew::of(library, None, EDGE) == Skew::Older
    }
}

#[cfg(test)]
mod tests {
    use super::Skew;

    #[test]
    fn an_edge_goes_with_a_database_of_its_line_or_a_later_one() {
        for (library, extension, edge, skew) in [
            (Some("0.2.0"), Some("0.2.0"), "0.2.0", Skew::Suits),
            (Some("0.2.0"), Some("0.2.0"), "0.2.3", Skew::Suits),
            (Some("0.3.1"), Some("0.3.1"), "0.2.0", Skew::Suits),
            (Some("1.0.0"), Some("1.0.0"), "0.9.0", Skew::Suits),
            // The extension waits for its update: `handle` refuses by itself.
            (Some("0.2.0"), Some("0.1.0"), "0.2.0", Skew::Suits),
            (Some("0.2.0"), Some("0.2.1"), "0.2.0", Skew::StaleSession),
            (Some("0.2.0"), Some("0.3.0"), "0.2.0", Skew::StaleSession),
            (Some("0.2.9"), Some("0.2.9"), "0.3.0", Skew::Older),
            (Some("0.2.9"), Some("0.3.0"), "0.3.0", Skew::Older),
            (None, None, "0.1.4", Skew::Suits),
            (None, None, "0.2.0", Skew::Older),
        ] {
            assert_eq!(Skew::of(library, extension, edge), skew, "{library:?} {extension:?} {edge}");
        }
    }
}
