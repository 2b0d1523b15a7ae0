//! `nebula standby`: whether the replicas are ready to take over.
//!
//! A copy of a database sends nothing until somebody adopts it (`nebula worker --adopt`). A replica is a copy, too: adopted beforehand, it goes on sending by
//! itself once it is promoted, in the middle of the night.

use super::output::{note, say};
use crate::{
    config::Config,
    db::standby::{self, Server},
    error::Error,
};

#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Says of each server whether it takes writes, how far it is, and whether it may send once it is promoted.
    List,
    /// Lets each replica send once it is promoted. Again after a replica was made anew.
    Adopt,
}

pub async fn run(arguments: &Arguments, config: &Config) -> Result<(), Error> {
    let answers = standby::each(config.require_admin_database_url()?).await?;
    match arguments.action {
        Action::List => list(&answers).await,
        Action::Adopt => adopt(&answers).await,
    }
}

async fn list(answers: &[Result<Server, Error>]) -> Result<(), Error> {
    for (answer, number) in answers.iter().zip(1..) {
        match answer {
            Ok(server) => {
                let what = match (server.is_primary, server.replay_age_seconds) {
                    (true, _) => "primary".to_owned(),
                    (false, Some(age)) => format!("replica, newest transaction {age:.1} s old"),
                    (false, None) => "replica".to_owned(),
                };
                let sends = if server.may_deliver().await? { "may send" } else { "may not send: nebula standby adopt" };
                say(&format!("server {number}: {what}; {sends}"))?;
            }
            Err(error) => say(&format!("server {number}: {error}"))?,
        }
    }
    Ok(())
}

/// All that answer are adopted; one that doesn't is an error in the end, since it would not send either.
async fn adopt(answers: &[Result<Server, Error>]) -> Result<(), Error> {
    let primary = answers.iter().flatten().find(|server| server.is_primary);
    let primary = primary.ok_or_else(|| Error::Database("none of the servers takes writes".to_owned()))?;
    let mut missing = 0;
    for (answer, number) in answers.iter().zip(1..) {
        match answer {
            Ok(server) => {
                let done = if primary.adopt(&server.place).await? { "adopted" } else { "was adopted already" };
                say(&format!("server {number}: {done}"))?;
            }
            Err(error) => {
                missing += 1;
                note(&format!("server {number}: {error}"));
            }
        }
    }
    if missing == 0 { Ok(()) } else { Err(Error::Database(format!("{missing} servers didn't answer: adopt them when they do"))) }
}
