//! `nebula key audit`: the keys that seal the audit log, files on the machines of the workers, fingerprints in the database.

use super::super::output::{Table, note, tell};
use crate::{
    audit_chain::{self, AuditKeys, KEY_FILES},
    config::Config,
    db,
    error::Error,
};
use serde::Serialize;
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    path::Path,
};
use tokio_postgres::{Client, types::Type};

#[derive(Debug, clap::Subcommand)]
pub enum Action {
    /// Lists the keys that are here or registered.
    List,
    /// Makes the next key, writes it to the keys folder and registers it: from then on it seals.
    Rotate {
        /// Only make the file: to be brought to every other worker's machine before `register`.
        #[arg(long, env = "NEBULA_PREPARE")]
        prepare: bool,
    },
    /// Registers the keys of this machine: which key each version is.
    Register,
}

pub async fn run(action: &Action, config: &Config) -> Result<(), Error> {
    let client = db::connect_admin(config.require_admin_database_url()?).await?;
    match action {
        Action::List => {}
        Action::Rotate { prepare } => return rotate(&client, &config.keys_dir, *prepare).await,
        Action::Register => register(&client, &config.keys_dir).await?,
    }
    tell(&list(&client, &config.keys_dir).await?)
}

/// A version of the keys.
#[derive(Serialize)]
struct Version {
    version: u16,
    state: &'static str,
}

/// Every version that is here or registered, newest first.
#[derive(Serialize)]
struct Listed {
    keys: Vec<Version>,
}

impl fmt::Display for Listed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = Table::new(&["key", "algorithm", "state"]);
        for key in &self.keys {
            table.row([format!("audit-{}", key.version), "HMAC-SHA-256".to_owned(), key.state.to_owned()]);
        }
        write!(f, "{table}")
    }
}

/// A key that was made.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Made {
    version: u16,
    is_registered: bool,
}

impl fmt::Display for Made {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "audit-{}", self.version)
    }
}

async fn list(client: &Client, folder: &Path) -> Result<Listed, Error> {
    let registered = registered(client).await?;
    let keys = AuditKeys::load(folder, registered.clone())?;
    let seals = keys.sealing().ok().map(|key| key.version);
    let versions = keys.local().map(|key| key.version).chain(registered.keys().copied()).collect::<BTreeSet<_>>();
    let state = |version: u16| match (keys.get(version.into()), registered.get(&version)) {
        (None, _) => "not here",
        (Some(_), None) => "not registered",
        (Some(key), Some(known)) if *known != key.fingerprint() => "another key than the registered one",
        _ if seals == Some(version) => "seals",
        _ => "verifies only",
    };
    Ok(Listed { keys: versions.into_iter().rev().map(|version| Version { version, state: state(version) }).collect() })
}

/// Makes version 1 where neither this machine nor the database has any, and registers what is here.
pub async fn ensure(client: &Client, folder: &Path) -> Result<(), Error> {
    if KEY_FILES.versions(folder)?.is_empty() {
        if !registered(client).await?.is_empty() {
            note("no key that seals the audit log is here: bring audit-*.key from the machine that has them to every worker's");
            return Ok(());
        }
        KEY_FILES.generate(folder, 1)?;
        note("made audit-1.key: keep a copy outside of the database and of its backups; without it nobody can verify what it sealed");
    }
    register(client, folder).await
}

/// The file comes first, as with sealing keys.
async fn rotate(client: &Client, folder: &Path, prepare: bool) -> Result<(), Error> {
    let keys = AuditKeys::load(folder, registered(client).await?)?;
    let version = keys.last_version().checked_add(1).ok_or_else(|| Error::AuditKey("there is no version after 65535".to_owned()))?;
    KEY_FILES.generate(folder, version)?;
    note(&format!(
        "made audit-{version}.key: keep a copy, give it to every other worker, and keep the older ones: what they sealed is verified with them"
    ));
    if !prepare {
        register(client, folder).await?;
    }
    tell(&Made { version, is_registered: !prepare })
}

/// Registers every key of this machine; fails where one is registered as another.
async fn register(client: &Client, folder: &Path) -> Result<(), Error> {
    let keys = AuditKeys::load(folder, BTreeMap::new())?;
    for key in keys.local() {
        let (version, fingerprint) = (i32::from(key.version), key.fingerprint().to_vec());
        let statement = "select nebula.register_audit_key($1, $2)";
        let row = client.query_typed_one(statement, &[(&version, Type::INT4), (&fingerprint, Type::BYTEA)]).await?;
        if !row.try_get::<_, bool>(0)? {
            return Err(Error::AuditKey(format!(
                "version {version} is registered as another key: bring audit-{version}.key from the machine that made it"
            )));
        }
    }
    Ok(())
}

async fn registered(client: &Client) -> Result<BTreeMap<u16, Vec<u8>>, Error> {
    Ok(audit_chain::registered(&client.query_typed("select version, fingerprint from nebula.audit_keys()", &[]).await?)?)
}
