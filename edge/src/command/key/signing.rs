//! `nebula key signing`: the keys that access tokens are signed with, private halves as files here, public halves as rows in the database.

use super::{
    super::output::{Table, tell},
    audit, sealing,
};
use crate::{
    auth::{self, KeySource, PrivateKey},
    config::Config,
    db::{self, KeyStatus, admin_state},
    error::Error,
};
use serde::Serialize;
use std::{fmt, path::Path};
use tokio_postgres::{Client, types::Type};

#[derive(Debug, clap::Subcommand)]
pub enum Action {
    /// Makes a signing key, writes its private half to the keys folder and registers its public half; makes the first sealing key where
    /// there is none, and the first key that seals the audit log; registers those that are here.
    Generate,
    /// Lists the registered keys, and whether their private half is here.
    List,
    /// Signs no more with a key; tokens that it signed stay valid until they expire.
    Retire { kid: String },
    /// Signs and verifies no more with a key: every token that it signed is refused at once.
    Revoke { kid: String },
}

/// A key, as it is registered.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Registered {
    kid: String,
    alg: String,
    /// `active` or `retiring`.
    status: &'static str,
    has_private_half: bool,
}

/// Every registered key.
#[derive(Serialize)]
pub struct Listed {
    keys: Vec<Registered>,
}

impl Listed {
    /// Whether this machine holds the private half of a key that may sign.
    #[must_use]
    pub fn can_sign(&self) -> bool {
        self.keys.iter().any(|key| key.status == "active" && key.has_private_half)
    }

    /// How many may sign, wherever their private half is.
    #[must_use]
    pub fn active(&self) -> usize {
        self.keys.iter().filter(|key| key.status == "active").count()
    }
}

impl fmt::Display for Listed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = Table::new(&["kid", "algorithm", "status", "here"]);
        for key in &self.keys {
            let place = if key.has_private_half { "private half here" } else { "public half only" };
            table.row([key.kid.clone(), key.alg.clone(), key.status.to_owned(), place.to_owned()]);
        }
        write!(f, "{table}")
    }
}

/// One key that something was done with.
#[derive(Serialize)]
struct Changed<'a> {
    kid: &'a str,
}

impl fmt::Display for Changed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kid)
    }
}

pub async fn run(action: &Action, config: &Config) -> Result<(), Error> {
    let client = db::connect_admin(config.require_admin_database_url()?).await?;
    match action {
        Action::Generate => {
            let key = generate(&client, &config.keys_dir).await?;
            sealing::ensure(&client, &KeySource::of(config)).await?;
            audit::ensure(&client, &config.keys_dir).await?;
            tell(&Changed { kid: &key.kid })
        }
        Action::List => tell(&list(&client, &config.keys_dir).await?),
        Action::Retire { kid } => change(&client, "select nebula.retire_signing_key($1)", kid).await,
        Action::Revoke { kid } => change(&client, "select nebula.revoke_signing_key($1)", kid).await,
    }
}

/// The file comes first: a registered key that nobody can sign with would be worse than an unregistered file.
pub async fn generate(client: &Client, folder: &Path) -> Result<PrivateKey, Error> {
    let key = auth::generate(folder)?;
    let public_key = key.public_key()?;
    let statement = "select nebula.register_signing_key($1, $2)";
    client.query_typed(statement, &[(&key.kid, Type::TEXT), (&public_key, Type::BYTEA)]).await?;
    Ok(key)
}

/// Whether this machine holds the private half of a key that may sign.
pub async fn can_sign(client: &Client, folder: &Path) -> Result<bool, Error> {
    Ok(list(client, folder).await?.can_sign())
}

/// Every registered key, beside what is here.
pub async fn list(client: &Client, folder: &Path) -> Result<Listed, Error> {
    let local = auth::load_all(folder)?;
    let registered = admin_state(client).await?.keys.into_iter().map(|key| Registered {
        has_private_half: local.iter().any(|own| own.kid == key.kid),
        status: match key.status {
            KeyStatus::Active => "active",
            KeyStatus::Retiring => "retiring",
        },
        kid: key.kid,
        alg: key.alg,
    });
    Ok(Listed { keys: registered.collect() })
}

async fn change(client: &Client, statement: &str, kid: &str) -> Result<(), Error> {
    let is_changed: bool = client.query_typed_one(statement, &[(&kid, Type::TEXT)]).await?.try_get(0)?;
    if is_changed { tell(&Changed { kid }) } else { Err(Error::NotFound { what: "signing key", name: kid.to_owned() }) }
}
