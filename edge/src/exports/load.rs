//! A file into the database, in one transaction: everything of it or nothing.

use super::{
    json_row::JsonRow,
    manifest::{self, Manifest, Table},
};
use crate::{
    auth::SealingKeys,
    db::{self, ImportPlan, TableDescription},
    error::Error,
};
use aws_lc_rs::rand;
use nebula_core::hex;
use sha2::{Digest, Sha256};
use std::{
    collections::HashMap,
    fs::File,
    io::{BufRead, BufReader, Read},
    path::Path,
};
use tokio_postgres::{Client, Transaction};
use uuid::Uuid;
use zip::ZipArchive;

/// What goes into one statement.
const BATCH_BYTES: usize = 1 << 20;
/// The longest row that is read, and the longest manifest. The longest row that an export writes is an answer or a payload of far less.
const MAX_LINE_BYTES: u64 = 64 << 20;

type Archive = ZipArchive<BufReader<File>>;

/// What was loaded.
#[derive(Debug, Default)]
pub struct Loaded {
    pub slug: String,
    pub tenant: Uuid,
    pub rows: u64,
    /// Rows that were left out for the secrets that they hold, by table.
    pub without_secrets: Vec<(String, u64)>,
    /// Rows of tables that are not imported.
    pub not_imported: Vec<(String, u64)>,
}

fn damaged(what: impl std::fmt::Display) -> Error {
    Error::Import(format!("the file is damaged or no export: {what}"))
}

/// With which keys an import is read, and what becomes of what they sealed.
pub struct Keys<'a> {
    /// Of where the export was made.
    pub source: &'a dyn SealingKeys,
    /// Of here, where those are others: what stays sealed is sealed anew.
    pub here: Option<&'a dyn SealingKeys>,
    /// Nothing is opened: what holds a secret is left out.
    pub without_secrets: bool,
}

/// Loads the tenant, and tells how many rows more of how many are loaded; nothing is changed on an error. Files are read where they lie: this is the whole work of its process.
pub async fn load(client: &mut Client, keys: &Keys<'_>, path: &Path, on_rows: &(dyn Fn(u64, u64) + Sync)) -> Result<Loaded, Error> {
    let file = File::open(path).map_err(Error::file(path))?;
    let mut archive = ZipArchive::new(BufReader::new(file)).map_err(damaged)?;
    let text = read_manifest(&mut archive)?;
    let manifest: Manifest = serde_json::from_str(&text).map_err(|error| damaged(format!("{}: {error}", manifest::NAME)))?;
    let transaction = client.transaction().await?;
    let plan = db::begin_import(&transaction, text).await?;
    let total = manifest.tables.iter().map(|table| table.rows).sum();
    let on_rows = &|rows| on_rows(rows, total);
    let mut loaded = Loaded { slug: manifest.tenant.slug.clone(), tenant: manifest.tenant.id, ..Loaded::default() };
    for described in &plan.tables {
        let Some(table) = manifest.tables.iter().find(|table| table.name == described.name) else { continue };
        if !described.is_imported {
            if table.rows > 0 {
                loaded.not_imported.push((table.name.clone(), table.rows));
            }
            continue;
        }
        let loading = Loading { transaction: &transaction, tenant: manifest.tenant.id, plan: &plan, described, table, keys, on_rows };
        let (rows, left_out) = loading.run(&mut archive).await?;
        loaded.rows += rows;
        if left_out > 0 {
            loaded.without_secrets.push((table.name.clone(), left_out));
        }
    }
    transaction.commit().await?;
    Ok(loaded)
}

fn read_manifest(archive: &mut Archive) -> Result<String, Error> {
    let mut text = String::new();
    let file = archive.by_name(manifest::NAME).map_err(|error| damaged(format!("{}: {error}", manifest::NAME)))?;
    file.take(MAX_LINE_BYTES).read_to_string(&mut text).map_err(damaged)?;
    Ok(text)
}

/// A table on its way.
struct Loading<'a> {
    transaction: &'a Transaction<'a>,
    tenant: Uuid,
    plan: &'a ImportPlan,
    described: &'a TableDescription,
    table: &'a Table,
    keys: &'a Keys<'a>,
    on_rows: &'a (dyn Fn(u64) + Sync),
}

impl Loading<'_> {
    /// Loads every line; how many rows were loaded and how many left out. Held against the manifest at the end, before anything is committed.
    async fn run(&self, archive: &mut Archive) -> Result<(u64, u64), Error> {
        let name = &self.table.file;
        let file = archive.by_name(name).map_err(|error| damaged(format!("{name}: {error}")))?;
        let mut file = BufReader::new(file);
        let (mut read, mut loaded, mut left_out, mut digest) = (0, 0, 0, Sha256::new());
        let (mut line, mut batch, mut pending) = (String::new(), String::new(), 0);
        loop {
            line.clear();
            let length = file.by_ref().take(MAX_LINE_BYTES).read_line(&mut line).map_err(|error| damaged(format!("{name}: {error}")))?;
            let is_end = length == 0;
            if !is_end {
                digest.update(line.as_bytes());
                read += 1;
                match self.prepare(line.trim_end()).await? {
                    Some(row) => {
                        batch.push(if pending == 0 { '[' } else { ',' });
                        row.append_to(&self.table.columns, &mut batch);
                        pending += 1;
                    }
                    None => left_out += 1,
                }
            }
            if pending > 0 && (is_end || batch.len() >= BATCH_BYTES) {
                batch.push(']');
                let accepted = db::import_rows(self.transaction, &self.table.name, &self.table.columns, std::mem::take(&mut batch)).await?;
                if accepted != pending {
                    return Err(Error::Import(format!("{name}: rows were refused")));
                }
                loaded += accepted;
                (self.on_rows)(accepted);
                pending = 0;
            }
            if is_end {
                break;
            }
        }
        if read != self.table.rows || hex::encode(&digest.finalize()) != self.table.sha256 {
            return Err(damaged(format!("{name} is not what the manifest says")));
        }
        Ok((loaded, left_out))
    }

    /// A row as it is to be here: with its secrets opened and the ids of this installation's catalog. `None` where it is to be left out.
    async fn prepare<'a>(&'a self, line: &'a str) -> Result<Option<JsonRow<'a>>, Error> {
        let mut row = JsonRow::parse(line).ok_or_else(|| damaged(format!("a line of {} is no row", self.table.file)))?;
        if let Some(column) = row.columns().find(|column| !self.table.columns.iter().any(|known| known == column)) {
            return Err(damaged(format!("{} has a member {column} that the manifest doesn't name", self.table.file)));
        }
        if self.keys.without_secrets {
            if !self.strip(&mut row)? {
                return Ok(None);
            }
        } else {
            row.open(self.tenant, self.described, self.keys.source).await.map_err(offer)?;
            row.reseal(self.tenant, self.described, self.keys.source, self.keys.here).await.map_err(offer)?;
        }
        for (column, table) in &self.described.references {
            if !row.is_null(column) {
                let here = row.text(column).and_then(|id| self.known(table)?.get(&id.parse().ok()?).copied());
                let here =
                    here.ok_or_else(|| damaged(format!("{} refers to a {table} that the manifest doesn't name", self.table.file)))?;
                row.set(column, format!("\"{here}\""));
            }
        }
        Ok(Some(row))
    }

    fn known(&self, table: &str) -> Option<&HashMap<Uuid, Uuid>> {
        self.plan.references.get(table)
    }

    /// Takes the secrets away; false where the row goes with them.
    fn strip<'a>(&'a self, row: &mut JsonRow<'a>) -> Result<bool, Error> {
        if !self.described.randomises {
            let sealed = self.described.sealed.iter().map(|sealed| &sealed.column);
            return Ok(self.described.secrets.iter().chain(sealed).all(|column| row.is_null(column)));
        }
        for (index, column) in self.described.secrets.iter().enumerate() {
            row.set(column, if index == 0 { random_digest()? } else { "null".to_owned() });
        }
        Ok(true)
    }
}

/// A digest of nothing that anybody has.
fn random_digest() -> Result<String, Error> {
    let mut bytes = [0; 32];
    rand::fill(&mut bytes).map_err(|_| Error::SealingKey("no randomness".to_owned()))?;
    Ok(format!("\"\\\\x{}\"", hex::encode(&bytes)))
}

/// Says what can be done where a key is missing.
fn offer(error: Error) -> Error {
    match error {
        Error::SealingKey(reason) => Error::SealingKey(format!(
            "{reason}; copy the sealing keys of where the export was made, or import --without-secrets: people then set their passwords again, and keys, \
             webhooks and credentials need new secrets"
        )),
        other => other,
    }
}
