//! Of a connection string, who connects where: what may be shown of it.

use super::DatabaseUrl;
use clap::{Arg, Command, builder::TypedValueParser, error::ErrorKind};
use std::{ffi::OsStr, str::FromStr};
use tokio_postgres::config::Host;

impl DatabaseUrl {
    /// Login, hosts, ports and database, and nothing else of the text.
    #[must_use]
    pub fn without_password(&self) -> String {
        let config = self.postgres();
        let ports = config.get_ports();
        let hosts = config.get_hosts().iter().enumerate().map(|(index, host)| {
            let host = match host {
                // Of a password with an `@` in it, the driver takes the rest for a host.
                Host::Tcp(name) => name.rsplit('@').next().unwrap_or_default().to_owned(),
                Host::Unix(path) => path.display().to_string(),
            };
            let port = ports.get(index).or_else(|| ports.first()).copied().unwrap_or(5432);
            format!("{host}:{port}")
        });
        let hosts = hosts.collect::<Vec<_>>().join(",");
        let user = config.get_user().map(|user| format!("{user}@")).unwrap_or_default();
        format!("postgresql://{user}{hosts}/{}", config.get_dbname().unwrap_or_default())
    }

    /// The login.
    #[must_use]
    pub fn user(&self) -> Option<String> {
        self.postgres().get_user().map(str::to_owned)
    }
}

/// Reads an option or variable. clap's own refusal would repeat the text, password and all.
#[derive(Clone, Copy)]
pub struct ConnectionString;

impl TypedValueParser for ConnectionString {
    type Value = DatabaseUrl;

    fn parse_ref(&self, command: &Command, argument: Option<&Arg>, value: &OsStr) -> Result<DatabaseUrl, clap::Error> {
        let refused = |reason: &str| {
            let argument = argument.map_or_else(|| "a connection string".to_owned(), ToString::to_string);
            clap::Error::raw(ErrorKind::ValueValidation, format!("{argument}: {reason}\n")).with_cmd(command)
        };
        let text = value.to_str().ok_or_else(|| refused("not UTF-8"))?;
        DatabaseUrl::from_str(text).map_err(|reason| refused(&reason))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_of_it_is_who_connects_where() {
        let url: DatabaseUrl = "postgresql://nebula_edge:hunter22@db-1,db-2:6432/nebula?application_name=hunter22".parse().unwrap();
        assert_eq!(url.without_password(), "postgresql://nebula_edge@db-1:5432,db-2:6432/nebula");
        assert_eq!(url.user().as_deref(), Some("nebula_edge"));
    }

    #[test]
    fn a_refused_option_is_named_and_not_quoted() {
        let command = Command::new("nebula").arg(Arg::new("url").long("database-url").value_parser(ConnectionString));
        let refusal = command.try_get_matches_from(["nebula", "--database-url", "postgresql://e:hunter22@h:x/"]).unwrap_err().to_string();
        assert!(refusal.contains("--database-url") && !refusal.contains("hunter22"), "{refusal}");
    }
}
