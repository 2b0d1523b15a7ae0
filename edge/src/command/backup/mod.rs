//! `nebula backup`: backups that are known to restore.
//!
//! pgBackRest and `pg_dump` make them; here is what these leave to whoever runs them: their configuration, and the proof that what they made can be restored, how
//! fast, and how much would be lost.

mod comparison;
mod dump;
mod init;
mod list;
mod manifest;
mod pgbackrest;
mod repository;
mod run;
pub(super) mod scratch;
mod server;
mod status;
mod verify;

use crate::{
    config::Config,
    error::{Error, Exit},
};
pub(super) use pgbackrest::PgBackRest;

#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Writes pgBackRest's configuration, has the server archive its WAL, makes the repository. Again after settings were changed.
    Init,
    /// Has the server archive what it has, and sees that it arrives.
    Check,
    /// Makes a backup, and notes what the data was at its end.
    Run(run::Arguments),
    /// The backups that there are.
    List,
    /// Restores the newest backup into a cluster of its own, compares every table with what was noted, asks the doctor, and says how long it took. Ends with 3
    /// where the backup is not good, or misses what the operational profiles ask for.
    Verify(verify::Arguments),
    /// Writes one database into a file with pg_dump, for small installations, and what roles there are into another.
    Dump(dump::Arguments),
}

pub async fn run(arguments: &Arguments, config: &Config) -> Result<Exit, Error> {
    match &arguments.action {
        Action::Init => init::run(config).await,
        Action::Check => init::check(config).await,
        Action::Run(arguments) => run::run(arguments, config).await,
        Action::List => list::run(config),
        Action::Verify(arguments) => return verify::run(arguments, config).await,
        Action::Dump(arguments) => dump::run(arguments, config).await,
    }?;
    Ok(Exit::Done)
}
