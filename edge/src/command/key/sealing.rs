//! `nebula key sealing`: the keys that secrets are sealed with, files or a list here, fingerprints in the database.

use super::super::output::{Progress, Table, note, tell};
use crate::{
    auth::{KeySource, LocalKeys, RegisteredKeys, SealingKeys, sealing},
    config::Config,
    db::{self, WorkerDatabase, admin_state},
    error::Error,
    worker::{LiveKeys, reseal::round},
};
use serde::Serialize;
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};
use tokio_postgres::{Client, types::Type};

#[derive(Debug, clap::Subcommand)]
pub enum Action {
    /// Lists the sealing keys that are here or in use, and how many values each still seals.
    List,
    /// Makes the next sealing key and registers it: from then on it seals.
    Rotate {
        /// Only make the file: to be brought to every other machine before `register`.
        #[arg(long, env = "NEBULA_PREPARE")]
        prepare: bool,
    },
    /// Registers the sealing keys of this machine: which key each version is.
    Register,
    /// Seals anew, with the newest key, what older ones have sealed (a worker does this every minute).
    Reseal,
}

pub async fn run(action: &Action, config: &Config) -> Result<(), Error> {
    let source = KeySource::of(config);
    if matches!(action, Action::Reseal) {
        return reseal(config).await;
    }
    let client = db::connect_admin(config.require_admin_database_url()?).await?;
    match action {
        Action::List => tell(&list(&client, &source).await?),
        Action::Rotate { prepare } => rotate(&client, &source, *prepare).await,
        Action::Register | Action::Reseal => {
            register(&client, &source).await?;
            tell(&list(&client, &source).await?)
        }
    }
}

/// A version of the sealing keys.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Version {
    version: u16,
    state: &'static str,
    /// Values that it still seals.
    values: i64,
}

/// Every version that is here or in use, newest first.
#[derive(Serialize)]
pub struct Listed {
    keys: Vec<Version>,
}

impl Listed {
    /// The version that seals here.
    #[must_use]
    pub fn sealing(&self) -> Option<u16> {
        self.keys.iter().find(|key| key.state == "seals").map(|key| key.version)
    }

    /// Versions that seal values and can't be opened here.
    #[must_use]
    pub fn lacking(&self) -> Vec<u16> {
        let is_lacking = |key: &&Version| key.values > 0 && !matches!(key.state, "seals" | "opens only");
        self.keys.iter().filter(is_lacking).map(|key| key.version).collect()
    }
}

impl fmt::Display for Listed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = Table::new(&["key", "algorithm", "state", "values"]);
        for key in &self.keys {
            table.row([format!("sealing-{}", key.version), "AES-256-GCM".to_owned(), key.state.to_owned(), key.values.to_string()]);
        }
        write!(f, "{table}")
    }
}

/// A key that was made.
#[derive(Serialize)]
struct Made {
    version: u16,
    #[serde(rename = "isRegistered")]
    is_registered: bool,
}

impl fmt::Display for Made {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sealing-{}", self.version)
    }
}

/// What became of older values.
#[derive(Serialize)]
struct Resealed {
    resealed: u64,
    overtaken: u64,
    failed: Vec<String>,
}

impl fmt::Display for Resealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} values sealed anew, {} changed meanwhile", self.resealed, self.overtaken)
    }
}

/// Makes version 1 where neither this machine nor the database has any, and registers what is here.
pub async fn ensure(client: &Client, source: &KeySource) -> Result<(), Error> {
    let has_local = LocalKeys::load(source)?.newest_first().next().is_some();
    if let (KeySource::Folder(folder), false) = (source, has_local) {
        if !registered(client).await?.is_empty() {
            // Another one of the same number would seal what nobody else can open.
            note("no sealing key here: bring sealing-*.key from the machine that has them, or make another by `nebula key sealing rotate`");
            return Ok(());
        }
        sealing::FILES.generate(folder, 1)?;
        note("made sealing-1.key: keep a copy, and give it to every other edge; what it sealed can't be read without it");
    }
    register(client, source).await
}

/// Makes the next version. The file comes first: a registered key that nobody has would be worse than a file that is not registered.
pub async fn rotate(client: &Client, source: &KeySource, prepare: bool) -> Result<(), Error> {
    let KeySource::Folder(folder) = source else {
        let advice =
            "the sealing keys come from a list: add the next version there, on every machine, and run `nebula key sealing register`";
        return Err(Error::SealingKey(advice.to_owned()));
    };
    let local = LocalKeys::load(source)?.newest_first().next().map_or(0, |key| key.version);
    let known = registered(client).await?.last_key_value().map_or(0, |(version, _)| *version);
    let next = local.max(known).checked_add(1).ok_or_else(|| Error::SealingKey("there is no version after 65535".to_owned()))?;
    sealing::FILES.generate(folder, next)?;
    note(&format!("made sealing-{next}.key: keep a copy, and give it to every other edge and worker"));
    if !prepare {
        register(client, source).await?;
    }
    tell(&Made { version: next, is_registered: !prepare })
}

/// The keys of this machine, held against what the database has registered.
pub async fn load(client: &Client, source: &KeySource) -> Result<RegisteredKeys, Error> {
    Ok(RegisteredKeys::new(LocalKeys::load(source)?, registered(client).await?))
}

/// Registers every key of this machine; fails where one is registered as another.
pub async fn register(client: &Client, source: &KeySource) -> Result<(), Error> {
    for key in LocalKeys::load(source)?.newest_first().rev() {
        let (version, fingerprint) = (i32::from(key.version), key.fingerprint().to_vec());
        let statement = "select nebula.register_sealing_key($1, $2)";
        let row = client.query_typed_one(statement, &[(&version, Type::INT4), (&fingerprint, Type::BYTEA)]).await?;
        if !row.try_get::<_, bool>(0)? {
            let reason =
                format!("version {version} is registered as another key: bring sealing-{version}.key from the machine that made it");
            return Err(Error::SealingKey(reason));
        }
    }
    Ok(())
}

async fn registered(client: &Client) -> Result<BTreeMap<u16, Vec<u8>>, Error> {
    let keys = admin_state(client).await?.sealing_keys;
    Ok(keys.into_iter().map(|key| (key.version, key.fingerprint.0.to_vec())).collect())
}

/// Every version: whether it is here and registered, and how many values it still seals.
pub async fn list(client: &Client, source: &KeySource) -> Result<Listed, Error> {
    let local = LocalKeys::load(source)?;
    let registered = registered(client).await?;
    let mut counts = BTreeMap::new();
    for row in client.query_typed("select version, row_count from nebula.sealed_row_counts()", &[]).await? {
        counts.insert(u16::try_from(row.try_get::<_, i32>(0)?).unwrap_or_default(), row.try_get::<_, i64>(1)?);
    }
    let seals = local.newest_first().map(|key| key.version).find(|version| registered.contains_key(version));
    let versions = local.newest_first().map(|key| key.version).chain(counts.keys().copied()).collect::<BTreeSet<_>>();
    let keys = versions.into_iter().rev().map(|version| {
        let state = match (local.get(version), registered.get(&version)) {
            (None, _) => "not here",
            (Some(_), None) => "not registered",
            (Some(key), Some(fingerprint)) if fingerprint != key.fingerprint() => "another key than the registered one",
            _ if seals == Some(version) => "seals",
            _ => "opens only",
        };
        Version { version, state, values: counts.get(&version).copied().unwrap_or(0) }
    });
    Ok(Listed { keys: keys.collect() })
}

/// One round of what a worker does every minute, over the worker's login or, where none is given, the administrator's.
async fn reseal(config: &Config) -> Result<(), Error> {
    let url = config.worker_database_url.as_ref().map_or_else(|| config.require_admin_database_url(), Ok)?;
    let database = WorkerDatabase::connect(url, config.worker_pool_size)?;
    let keys = LiveKeys::start(KeySource::of(config), database.clone()).await?;
    keys.newest().ok_or_else(|| Error::SealingKey("no key of this machine seals".to_owned()))?;
    let progress = Progress::unknown("sealing anew");
    let report = round(&database, keys.as_ref()).await?;
    drop(progress);
    report.failed.iter().for_each(|failed| note(failed));
    let failed = report.failed.len();
    tell(&Resealed { resealed: report.resealed, overtaken: report.overtaken, failed: report.failed })?;
    if failed == 0 { Ok(()) } else { Err(Error::SealingKey(format!("{failed} values were not sealed anew"))) }
}
