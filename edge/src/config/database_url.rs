//! A connection string, which holds a password.

use super::database_tls::{self, DatabaseTls};
use serde::Deserialize;
use std::{fmt, str::FromStr};

/// A Postgres connection string as libpq reads it (URL or `key=value`), several hosts and TLS included. `Debug` shows neither password nor host.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct DatabaseUrl {
    text: String,
    postgres: tokio_postgres::Config,
    tls: DatabaseTls,
}

impl DatabaseUrl {
    /// The text, password included: for connecting and for the environment file, never for a log.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.text
    }

    /// What the driver understands of it.
    #[must_use]
    pub fn postgres(&self) -> &tokio_postgres::Config {
        &self.postgres
    }

    /// What it says of TLS beyond that.
    #[must_use]
    pub fn tls(&self) -> &DatabaseTls {
        &self.tls
    }
}

impl FromStr for DatabaseUrl {
    type Err = String;

    /// The parser's own message may repeat a piece of the text, so it is not passed on.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        database_tls::take(text)
            .and_then(|(rest, tls)| Some(Self { text: text.to_owned(), postgres: tokio_postgres::Config::from_str(&rest).ok()?, tls }))
            .ok_or_else(|| {
                "not a Postgres connection string (postgresql://user:password@host:port/database; sslmode is disable, prefer, require, verify-ca \
                 or verify-full, and sslcert needs sslkey)"
                    .to_owned()
            })
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
