//! `nebula standby`: whether the replicas are ready to take over.
//!
//! A copy of a database sends nothing until somebody adopts it (`nebula worker --adopt`). A replica is a copy, too: adopted beforehand, it goes on sending by
//! itself once it is promoted, in the middle of the night.

use super::output::{note, plain, tell};
use crate::{
    config::Config,
    db::standby::{self, Server},
    error::Error,
};
use serde::Serialize;
use std::fmt;

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

/// The servers, in the order of the connection string.
#[derive(Serialize)]
struct Listed {
    servers: Vec<Listing>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Listing {
    number: usize,
    /// Null for one that doesn't answer.
    is_primary: Option<bool>,
    /// How old the newest transaction is that a replica has.
    replay_age_seconds: Option<f64>,
    may_deliver: Option<bool>,
    /// Why it doesn't answer.
    error: Option<String>,
}

impl fmt::Display for Listed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for server in &self.servers {
            let what = match (server.is_primary, server.replay_age_seconds) {
                (None, _) => server.error.clone().unwrap_or_default(),
                (Some(true), _) => "primary".to_owned(),
                (Some(false), Some(age)) => format!("replica, newest transaction {age:.1} s old"),
                (Some(false), None) => "replica".to_owned(),
            };
            let sends = match server.may_deliver {
                None => "",
                Some(true) => "; may send",
                Some(false) => "; may not send: nebula standby adopt",
            };
            writeln!(f, "server {}: {}{sends}", server.number, plain(&what))?;
        }
        Ok(())
    }
}

async fn list(answers: &[Result<Server, Error>]) -> Result<(), Error> {
    let mut servers = Vec::with_capacity(answers.len());
    for (answer, number) in answers.iter().zip(1..) {
        servers.push(match answer {
            Ok(server) => Listing {
                number,
                is_primary: Some(server.is_primary),
                replay_age_seconds: server.replay_age_seconds,
                may_deliver: Some(server.may_deliver().await?),
                error: None,
            },
            Err(error) => Listing { number, is_primary: None, replay_age_seconds: None, may_deliver: None, error: Some(error.to_string()) },
        });
    }
    tell(&Listed { servers })
}

/// The servers that may send now.
#[derive(Serialize)]
struct Adopted {
    servers: Vec<Adoption>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Adoption {
    number: usize,
    /// Now, and not before.
    is_new: bool,
}

impl fmt::Display for Adopted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.servers.iter().try_for_each(|server| {
            let done = if server.is_new { "adopted" } else { "was adopted already" };
            writeln!(f, "server {}: {done}", server.number)
        })
    }
}

/// All that answer are adopted; one that doesn't is an error in the end, since it would not send either.
async fn adopt(answers: &[Result<Server, Error>]) -> Result<(), Error> {
    let primary = answers.iter().flatten().find(|server| server.is_primary);
    let primary = primary.ok_or_else(|| Error::Unavailable("none of the servers takes writes".to_owned()))?;
    let (mut missing, mut servers) = (0, Vec::new());
    for (answer, number) in answers.iter().zip(1..) {
        match answer {
            Ok(server) => servers.push(Adoption { number, is_new: primary.adopt(&server.place).await? }),
            Err(error) => {
                missing += 1;
                note(&format!("server {number}: {error}"));
            }
        }
    }
    tell(&Adopted { servers })?;
    if missing == 0 { Ok(()) } else { Err(Error::Unavailable(format!("{missing} servers didn't answer: adopt them when they do"))) }
}
