//! The keys that seal the audit log: files here, fingerprints in the database.

use crate::{
    audit_chain::{self, AuditKeys},
    command::output::{note, say},
    error::Error,
};
use std::{collections::BTreeMap, path::Path};
use tokio_postgres::{Client, types::Type};

/// Makes version 1 where neither this machine nor the database has any, and registers what is here.
pub async fn ensure(client: &Client, folder: &Path) -> Result<(), Error> {
    let registered = registered(client).await?;
    if audit_chain::versions(folder)?.is_empty() {
        if !registered.is_empty() {
            note("no key that seals the audit log is here: bring audit-*.key from the machine that has them to every worker's");
            return Ok(());
        }
        audit_chain::generate(folder, 1)?;
        note("made audit-1.key: keep a copy outside of the database and of its backups; without it nobody can verify what it sealed");
    }
    register(client, folder).await
}

/// The file comes first, as with sealing keys.
pub async fn rotate(client: &Client, folder: &Path, prepare: bool) -> Result<(), Error> {
    let keys = AuditKeys::load(folder, registered(client).await?)?;
    let next = keys.last_version().checked_add(1).ok_or_else(|| Error::AuditKey("there is no version after 65535".to_owned()))?;
    audit_chain::generate(folder, next)?;
    note(&format!(
        "made audit-{next}.key: keep a copy, give it to every other worker, and keep the older ones: what they sealed is verified with them"
    ));
    if !prepare {
        register(client, folder).await?;
    }
    say(&format!("audit-{next}"))
}

/// Registers every key of this machine; fails where one is registered as another.
pub async fn register(client: &Client, folder: &Path) -> Result<(), Error> {
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
    let rows = client.query_typed("select version, fingerprint from nebula.audit_keys()", &[]).await?;
    let read = |row: &tokio_postgres::Row| Some((u16::try_from(row.try_get::<_, i32>(0).ok()?).ok()?, row.try_get(1).ok()?));
    Ok(rows.iter().filter_map(read).collect())
}
