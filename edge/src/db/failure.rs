//! What a failed statement means for the client: try again later, or nothing that it could do.

use tokio_postgres::error::SqlState;

const CONNECTION_LOST: &str = "connection lost";

/// Why there is no answer from the database. No text of Postgres is kept: it may quote data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The database is away, busy or restarting; the same request may succeed later.
    Unavailable(String),
    /// The statement failed, or its answer was not what the protocol says.
    Statement(String),
}

impl Failure {
    /// Sorts an error by the protocol's list of SQLSTATEs that pass by themselves.
    pub fn of(error: &tokio_postgres::Error) -> Self {
        match error.code() {
            Some(state) if passes_by_itself(state) => Self::Unavailable(format!("SQLSTATE {}", state.code())),
            Some(state) => Self::Statement(format!("SQLSTATE {}", state.code())),
            // No SQLSTATE: the connection broke, or the answer did not decode. Both texts are the library's own.
            None if error.is_closed() || std::error::Error::source(error).is_some_and(|s| s.is::<std::io::Error>()) => {
                Self::Unavailable(CONNECTION_LOST.to_owned())
            }
            None => Self::Statement(error.to_string()),
        }
    }

    /// Whether a statement failed with this SQLSTATE.
    pub fn is_state(&self, code: &str) -> bool {
        self.state() == Some(code)
    }

    fn state(&self) -> Option<&str> {
        self.reason().strip_prefix("SQLSTATE ")
    }

    /// Whether the server takes no writes, since it is a replica now or is being made one: a connection to it is of no use any more. The statement had no effect.
    pub fn is_of_another_server(&self) -> bool {
        self.is_state("25006")
    }

    /// Whether the connection is of no use any more. One that has ended tells so before its client sees that it is closed, and would be the next to be used.
    pub fn ends_connection(&self) -> bool {
        let state = self.state().unwrap_or_default();
        self.reason() == CONNECTION_LOST || state.starts_with("08") || state.starts_with("57P0") || self.is_of_another_server()
    }

    /// For the log: a SQLSTATE or the library's own words.
    pub fn reason(&self) -> &str {
        match self {
            Self::Unavailable(reason) | Self::Statement(reason) => reason,
        }
    }
}

impl From<deadpool_postgres::PoolError> for Failure {
    fn from(error: deadpool_postgres::PoolError) -> Self {
        use deadpool_postgres::PoolError;
        Self::Unavailable(match error {
            PoolError::Timeout(kind) => format!("no database connection in time ({kind:?})"),
            PoolError::Backend(error) => match error.code() {
                Some(state) => format!("cannot connect, SQLSTATE {}", state.code()),
                // The system's or the TLS library's own words, which name no more than a host.
                None => match std::error::Error::source(&error).filter(|source| source.is::<std::io::Error>()) {
                    Some(source) => format!("cannot connect: {source}"),
                    None => "cannot connect".to_owned(),
                },
            },
            _ => "the pool is closed".to_owned(),
        })
    }
}

fn passes_by_itself(state: &SqlState) -> bool {
    let code = state.code();
    code.starts_with("08")
        || code.starts_with("53")
        || code.starts_with("57P0")
        || matches!(code, "40001" | "40P01" | "55P03" | "25006" | "57014")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passes_by_itself_is_told_from_what_is_broken() {
        for code in ["08006", "53300", "57P01", "57P03", "40001", "40P01", "55P03", "25006", "57014"] {
            assert!(passes_by_itself(&SqlState::from_code(code)), "{code}");
        }
        for code in ["42883", "23505", "XX000", "57000", "42501"] {
            assert!(!passes_by_itself(&SqlState::from_code(code)), "{code}");
        }
    }

    #[test]
    fn what_ends_a_connection_is_told_from_what_it_outlives() {
        for reason in [CONNECTION_LOST, "SQLSTATE 57P01", "SQLSTATE 57P02", "SQLSTATE 57P05", "SQLSTATE 08P01", "SQLSTATE 25006"] {
            assert!(Failure::Unavailable(reason.to_owned()).ends_connection(), "{reason}");
        }
        for reason in ["SQLSTATE 57014", "SQLSTATE 40001", "SQLSTATE 53200", "SQLSTATE 23505", "no database connection in time (Wait)"] {
            assert!(!Failure::Unavailable(reason.to_owned()).ends_connection(), "{reason}");
        }
    }
}
