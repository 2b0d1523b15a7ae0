//! `nebula keys`: the keys that access tokens are signed with, private halves as files here, public halves as rows in the database; and
//! the keys that seal, of which the database has fingerprints.

use super::{audit, output::say, sealing_keys};
use crate::{
    auth::{self, KeySource, PrivateKey},
    config::Config,
    db::{self, KeyStatus, admin_state},
    error::Error,
};
use std::path::Path;
use tokio_postgres::{Client, types::Type};

#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Makes a signing key, writes its private half to the keys folder and registers its public half; makes the first sealing key where
    /// there is none, and the first key that seals the audit log; registers those that are here.
    Generate,
    /// Lists the registered keys, and whether their private half is here; then the sealing keys, and how many values each still seals.
    List,
    /// Makes the next sealing key and registers it: from then on it seals.
    RotateSealing {
        /// Only make the file: to be brought to every other machine before `register-sealing`.
        #[arg(long, env = "NEBULA_PREPARE")]
        prepare: bool,
    },
    /// Registers the sealing keys of this machine: which key each version is.
    RegisterSealing,
    /// Seals anew, with the newest key, what older ones have sealed (a worker does this every minute).
    Reseal,
    /// Signs no more with a key; tokens that it signed stay valid until they expire.
    Retire { kid: String },
    /// Signs and verifies no more with a key: every token that it signed is refused at once.
    Revoke { kid: String },
}

pub async fn run(arguments: &Arguments, config: &Config) -> Result<(), Error> {
    let client = db::connect_admin(config.require_admin_database_url()?).await?;
    match &arguments.action {
        Action::Generate => {
            let key = generate(&client, &config.keys_dir).await?;
            sealing_keys::ensure(&client, &KeySource::of(config)).await?;
            audit::keys::ensure(&client, &config.keys_dir).await?;
            say(&key.kid)
        }
        Action::List => list(&client, config).await,
        Action::RotateSealing { prepare } => sealing_keys::rotate(&client, &KeySource::of(config), *prepare).await,
        Action::RegisterSealing => sealing_keys::register(&client, &KeySource::of(config)).await,
        Action::Reseal => sealing_keys::reseal(config).await,
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
    let registered = admin_state(client).await?.keys;
    let local = auth::load_all(folder)?;
    Ok(registered.iter().any(|key| key.status == KeyStatus::Active && local.iter().any(|own| own.kid == key.kid)))
}

async fn list(client: &Client, config: &Config) -> Result<(), Error> {
    let local = auth::load_all(&config.keys_dir)?;
    for key in admin_state(client).await?.keys {
        let status = match key.status {
            KeyStatus::Active => "active",
            KeyStatus::Retiring => "retiring",
        };
        let place = if local.iter().any(|own| own.kid == key.kid) { "private half here" } else { "public half only" };
        say(&format!("{}  {}  {status}  {place}", key.kid, key.alg))?;
    }
    sealing_keys::list(client, &KeySource::of(config)).await
}

async fn change(client: &Client, statement: &str, kid: &str) -> Result<(), Error> {
    client.query_typed(statement, &[(&kid, Type::TEXT)]).await?;
    Ok(())
}
