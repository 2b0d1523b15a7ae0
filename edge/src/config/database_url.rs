//! A connection string, which holds a password.

use serde::Deserialize;
use std::{fmt, str::FromStr};

/// A Postgres connection string (URL or `key=value`). `Debug` shows neither password nor host.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct DatabaseUrl(String);

impl DatabaseUrl {
    /// The text, password included: for connecting and for the environment file, never for a log.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl FromStr for DatabaseUrl {
    type Err = String;

    /// The parser's own message may repeat a piece of the text, so it is not passed on.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match tokio_postgres::Config::from_str(text) {
            Ok(_) => Ok(Self(text.to_owned())),
            Err(_) => Err("not a Postgres connection string (postgresql://user:password@host:port/database)".to_owned()),
        }
    }
}

impl TryFrom<String> for DatabaseUrl {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"[redacted]\"")
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_no_password() {
        let url: DatabaseUrl = "postgresql://nebula_edge:hunter22@127.0.0.1/nebula".parse().unwrap();
        assert_eq!(format!("{url:?}"), "\"[redacted]\"");
    }

    #[test]
    fn a_refusal_repeats_nothing_of_the_text() {
        let refusal = "postgresql://u:hunter22@h/d?sslmode=hunter22".parse::<DatabaseUrl>().unwrap_err();
        assert!(!refusal.contains("hunter22"));
    }
}
