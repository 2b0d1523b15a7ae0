//! `nebula key operator`: the keys of those who look after tenants. One a person, so that the audit log knows who it was.

use super::{
    super::{operator::Operator, output::tell},
    api::{self, Page},
};
use crate::{config::Config, db, error::Error};
use serde::Serialize;
use std::{
    fmt,
    time::{SystemTime, UNIX_EPOCH},
};
use tokio_postgres::{Client, types::Type};

#[derive(Debug, clap::Subcommand)]
pub enum Action {
    /// Makes a key of the platform's tenant with the profile admin, as the administrator, and prints its secret: it is shown this once.
    Issue {
        /// Whose it is; else operator-<seconds since 1970>.
        #[arg(long)]
        name: Option<String>,
    },
    /// Lists operators' keys.
    List(Page),
    /// Stops an operator's key from the next statement on.
    Revoke {
        /// The key's id or name.
        key: String,
        /// Why, for whoever reads it later.
        #[arg(long)]
        reason: Option<String>,
    },
}

/// A key that was made. Text is the secret alone, for a variable.
#[derive(Serialize)]
pub struct Issued {
    name: String,
    pub secret: String,
}

impl fmt::Display for Issued {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.secret)
    }
}

pub async fn run(action: &Action, config: &Config) -> Result<(), Error> {
    match action {
        Action::Issue { name } => {
            let client = db::connect_admin(config.require_admin_database_url()?).await?;
            tell(&issue(&client, name.as_deref()).await?)
        }
        Action::List(page) => {
            let operator = Operator::connect(config).await?;
            api::list(&operator, operator.home, page).await
        }
        Action::Revoke { key, reason } => {
            let operator = Operator::connect(config).await?;
            api::set_status(&operator, operator.home, key, Some(reason.as_deref())).await
        }
    }
}

/// Issues a key. Names are unique, so the default one has the time in it.
pub async fn issue(client: &Client, name: Option<&str>) -> Result<Issued, Error> {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let name = name.map_or_else(|| format!("operator-{seconds}"), str::to_owned);
    let row = client.query_typed_one("select nebula.issue_operator_key($1)", &[(&name, Type::TEXT)]).await?;
    let secret = row.try_get::<_, Option<String>>(0)?.ok_or_else(|| Error::Refused {
        code: "DUPLICATE_RESOURCE".to_owned(),
        message: format!("there is an operator's key of the name {name}"),
        details: None,
    })?;
    Ok(Issued { name, secret })
}
