//! Sealing keys, as `nebula keys` and `nebula up` make, register and list them.

use super::output::{note, say};
use crate::{
    auth::{KeySource, LocalKeys, RegisteredKeys, SealingKeys, sealing},
    config::Config,
    db::{WorkerDatabase, admin_state},
    error::Error,
    worker::{LiveKeys, reseal::round},
};
use std::collections::{BTreeMap, BTreeSet};
use tokio_postgres::{Client, types::Type};

/// Makes version 1 where neither this machine nor the database has any, and registers what is here.
pub async fn ensure(client: &Client, source: &KeySource) -> Result<(), Error> {
    let has_local = LocalKeys::load(source)?.newest_first().next().is_some();
    if let (KeySource::Folder(folder), false) = (source, has_local) {
        if !registered(client).await?.is_empty() {
            // Another one of the same number would seal what nobody else can open.
            note(
                "no sealing key here: bring sealing-*.key from the machine that has them, or make another by `nebula keys rotate-sealing`",
            );
            return Ok(());
        }
        sealing::generate(folder, 1)?;
        note("made sealing-1.key: keep a copy, and give it to every other edge; what it sealed can't be read without it");
    }
    register(client, source).await
}

/// Makes the next version. The file comes first: a registered key that nobody has would be worse than a file that is not registered.
pub async fn rotate(client: &Client, source: &KeySource, prepare: bool) -> Result<(), Error> {
    let KeySource::Folder(folder) = source else {
        let advice =
            "the sealing keys come from a list: add the next version there, on every machine, and run `nebula keys register-sealing`";
        return Err(Error::SealingKey(advice.to_owned()));
    };
    let local = LocalKeys::load(source)?.newest_first().next().map_or(0, |key| key.version);
    let known = registered(client).await?.last_key_value().map_or(0, |(version, _)| *version);
    let next = local.max(known).checked_add(1).ok_or_else(|| Error::SealingKey("there is no version after 65535".to_owned()))?;
    sealing::generate(folder, next)?;
    note(&format!("made sealing-{next}.key: keep a copy, and give it to every other edge and worker"));
    if !prepare {
        register(client, source).await?;
    }
    say(&format!("sealing-{next}"))
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

/// One line a version: whether it is here and registered, and how many values it still seals.
pub async fn list(client: &Client, source: &KeySource) -> Result<(), Error> {
    let local = LocalKeys::load(source)?;
    let registered = registered(client).await?;
    let mut counts = BTreeMap::new();
    for row in client.query_typed("select version, row_count from nebula.sealed_row_counts()", &[]).await? {
        counts.insert(u16::try_from(row.try_get::<_, i32>(0)?).unwrap_or_default(), row.try_get::<_, i64>(1)?);
    }
    let seals = local.newest_first().map(|key| key.version).find(|version| registered.contains_key(version));
    let versions = local.newest_first().map(|key| key.version).chain(counts.keys().copied()).collect::<BTreeSet<_>>();
    for version in versions.into_iter().rev() {
        let state = match (local.get(version), registered.get(&version)) {
            (None, _) => "not here",
            (Some(_), None) => "not registered",
            (Some(key), Some(fingerprint)) if fingerprint != key.fingerprint() => "another key than the registered one",
            _ if seals == Some(version) => "seals",
            _ => "opens only",
        };
        say(&format!("sealing-{version}  AES-256-GCM  {state}  {} values", counts.get(&version).unwrap_or(&0)))?;
    }
    Ok(())
}

/// One round of what a worker does every minute, over the worker's login or, where none is given, the administrator's.
pub async fn reseal(config: &Config) -> Result<(), Error> {
    let url = config.worker_database_url.as_ref().map_or_else(|| config.require_admin_database_url(), Ok)?;
    let database = WorkerDatabase::connect(url, config.worker_pool_size)?;
    let keys = LiveKeys::start(KeySource::of(config), database.clone()).await?;
    // Why there is none is in `keys list`.
    keys.newest().ok_or_else(|| Error::SealingKey("no key of this machine seals: see `nebula keys list`".to_owned()))?;
    let report = round(&database, keys.as_ref()).await?;
    report.failed.iter().for_each(|failed| note(failed));
    say(&format!("{} values sealed anew, {} changed meanwhile", report.resealed, report.overtaken))?;
    if report.failed.is_empty() { Ok(()) } else { Err(Error::SealingKey(format!("{} values were not sealed anew", report.failed.len()))) }
}
