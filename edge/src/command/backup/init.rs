//! `nebula backup init` and `check`.

use super::{PgBackRest, server::Server, status::Asked};
use crate::{
    command::output::{note, tell},
    config::Config,
    error::Error,
};
use serde::Serialize;
use std::fmt;

/// A piece of WAL that nobody fills is archived after so long.
const ARCHIVE_TIMEOUT_SECONDS: u64 = 60;

/// How the server archives from now on.
#[derive(Serialize)]
struct Archiving {
    archive_timeout_seconds: u64,
}

impl fmt::Display for Archiving {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the server archives its WAL after {} s at the latest", self.archive_timeout_seconds)
    }
}

/// That what the server has arrives.
#[derive(Serialize)]
struct Checked {
    is_archived: bool,
}

impl fmt::Display for Checked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the server's WAL arrives in the repository")
    }
}

pub async fn run(config: &Config) -> Result<(), Error> {
    let server = Server::find(config).await?;
    let pgbackrest = PgBackRest::new(config, &server.user);
    pgbackrest.configure(&server)?;
    note(&format!("wrote {}", pgbackrest.file().display()));
    pgbackrest.run(&["stanza-create"])?;
    archive(config, &server, &pgbackrest).await
}

/// Has the server archive; says what a person must do for it.
async fn archive(config: &Config, server: &Server, pgbackrest: &PgBackRest<'_>) -> Result<(), Error> {
    let command = pgbackrest.archive_command();
    let foreign = &server.facts.archive_command;
    if !matches!(foreign.as_str(), "" | "(disabled)") && *foreign != command {
        return Err(Error::Backup(format!(
            "the server archives in another way already (archive_command = {foreign}): reset it first, if that is to end"
        )));
    }
    let asked = Asked::by(config, &server.client).await?;
    let timeout = ARCHIVE_TIMEOUT_SECONDS.min((asked.rpo_seconds / 2).max(1));
    let statements = [("archive_mode", "on".to_owned()), ("archive_command", command), ("archive_timeout", format!("{timeout}s"))];
    for (name, value) in statements {
        // `alter system` takes no parameters; of these only the command holds what others chose, paths of settings.
        server.client.batch_execute(&format!("alter system set {name} = '{}'", value.replace('\'', "''"))).await?;
    }
    server.client.batch_execute("select pg_catalog.pg_reload_conf()").await?;
    if server.facts.archive_mode == "off" {
        note("restart the server: archive_mode is on from then on. Then `nebula backup check` and `nebula backup run`");
    }
    tell(&Archiving { archive_timeout_seconds: timeout })
}

pub async fn check(config: &Config) -> Result<(), Error> {
    let server = Server::find(config).await?;
    if server.facts.archive_mode == "off" {
        return Err(Error::Backup("the server archives nothing: restart it after `nebula backup init`".to_owned()));
    }
    PgBackRest::new(config, &server.user).run(&["check"])?;
    tell(&Checked { is_archived: true })
}
