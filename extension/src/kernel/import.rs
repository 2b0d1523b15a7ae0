//! A tenant's rows into the database, from an export: row for row, with their ids, and without the events and audit rows that writing them otherwise would
//! have. Only for a tenant that was not there when the transaction began its import, so that nobody writes into a living tenant this way.

use super::{
    audit,
    export::enter,
    export_table::{self, ExportTable, TABLES},
    installation, migrate,
    spi::{self, Arg},
    sql_caller::PLATFORM,
};
use serde::Deserialize;
use serde_json::{Value, json};
use std::{cell::Cell, collections::BTreeMap};
use uuid::Uuid;

thread_local! {
    /// The tenant that is imported in this transaction.
    static BEGUN: Cell<Option<Uuid>> = const { Cell::new(None) };
    static LOADS: Cell<bool> = const { Cell::new(false) };
}

/// Forgets the import: the transaction, or a savepoint of it, is over.
pub fn forget() {
    BEGUN.set(None);
    LOADS.set(false);
}

/// Whether the statement that runs loads rows, whose history comes with them. Only [`rows`] says so: no role can.
#[must_use]
pub fn is_loading() -> bool {
    LOADS.get()
}

/// Ends the loading, also on an error.
struct Loading;

impl Drop for Loading {
    fn drop(&mut self) {
        LOADS.set(false);
    }
}

/// The file's list of contents, as far as the database must know it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Manifest {
    format: String,
    format_version: u32,
    file_format: String,
    schema_version: i32,
    tenant: Tenant,
    tables: Vec<Table>,
    #[serde(default)]
    references: BTreeMap<String, BTreeMap<Uuid, String>>,
}

#[derive(Deserialize)]
struct Tenant {
    id: Uuid,
    slug: String,
    kind: String,
}

#[derive(Deserialize)]
struct Table {
    name: String,
    columns: Vec<String>,
}

/// Why a file can't be loaded here, for the DBA.
pub type Result<T> = std::result::Result<T, String>;

/// Begins an import: refuses what can't be loaded here, and tells how to load the rest: the tables in their order, and which global id is which here.
pub fn begin(manifest: &str) -> Result<Value> {
    if !spi::is_in_block() {
        return Err("an import needs a transaction of its own".to_owned());
    }
    let manifest = serde_json::from_str::<Manifest>(manifest).map_err(|_| "the manifest is not that of an export".to_owned())?;
    if manifest.format != "nebula-export" || manifest.format_version != 1 {
        return Err("the manifest is of another format than this version reads".to_owned());
    }
    if manifest.file_format != "json" {
        return Err(format!("the export is in {}: only json can be imported", manifest.file_format));
    }
    let version = migrate::installed_version();
    if manifest.schema_version > version {
        return Err(format!("the export is of schema version {}, newer than {version} here: migrate first", manifest.schema_version));
    }
    let tenant = &manifest.tenant;
    if tenant.kind != "customer" {
        return Err("the platform's own tenant is not imported".to_owned());
    }
    check_tables(&manifest.tables)?;
    refuse_known(tenant)?;
    let references = resolve(&manifest.references)?;
    spi::as_role(PLATFORM, || {
        let platform = installation::platform_tenant().ok_or_else(|| "there is no platform's tenant: run `nebula seed`".to_owned())?;
        let _scope = enter(platform, "tenants.import", &Uuid::now_v7().to_string());
        audit::record(platform, "tenant", Some(tenant.id), &json!({ "outcome": "imported", "role": spi::session_user() }));
        Ok::<_, String>(())
    })?;
    BEGUN.set(Some(tenant.id));
    Ok(json!({ "tables": TABLES.iter().map(ExportTable::describe).collect::<Vec<_>>(), "references": references }))
}

fn check_tables(tables: &[Table]) -> Result<()> {
    for table in tables {
        let known = export_table::find(&table.name).ok_or_else(|| format!("there is no table {} here", table.name))?.columns();
        if let Some(column) = table.columns.iter().find(|column| !known.contains(column)) {
            return Err(format!("the table {} has no column {column} here", table.name));
        }
    }
    Ok(())
}

fn refuse_known(tenant: &Tenant) -> Result<()> {
    let known = spi::as_role(PLATFORM, || {
        spi::first(
            "select t.id = $1 from nebula.tenant t where t.id = $1 or t.slug = $2 order by t.id = $1 desc",
            &[Arg::Uuid(tenant.id), Arg::Text(&tenant.slug)],
            |row| row.boolean(1),
        )
    });
    match known.flatten() {
        None => Ok(()),
        Some(true) => Err(format!("the tenant {} is here already", tenant.id)),
        Some(false) => Err(format!("another tenant here is called {}", tenant.slug)),
    }
}

/// Which id of the file is which here; the keys that are not here are named all at once.
fn resolve(references: &BTreeMap<String, BTreeMap<Uuid, String>>) -> Result<BTreeMap<String, BTreeMap<Uuid, Uuid>>> {
    let (mut resolved, mut missing) = (BTreeMap::new(), Vec::new());
    for (table, keys) in references {
        if !matches!(table.as_str(), "tool" | "tool_action" | "package") {
            return Err(format!("{table} is no table that a tenant's rows refer to"));
        }
        let sql = format!("select g.id from nebula.{table} g where g.key = $1");
        let mut ids = BTreeMap::new();
        for (id, key) in keys {
            match spi::first(&sql, &[Arg::Text(key)], |row| row.uuid(1)).flatten() {
                Some(here) => drop(ids.insert(*id, here)),
                None => missing.push(format!("{table} {key}")),
            }
        }
        resolved.insert(table.clone(), ids);
    }
    if missing.is_empty() { Ok(resolved) } else { Err(format!("the catalog here lacks {}", missing.join(", "))) }
}

/// Loads rows of a table of the tenant whose import has begun; how many were accepted. Policies refuse another tenant's.
pub fn rows(table: &str, columns: &str, rows: &str) -> Result<u64> {
    let tenant = BEGUN.get().ok_or_else(|| "no import has begun in this transaction".to_owned())?;
    let table = export_table::find(table).filter(|table| table.is_imported).ok_or_else(|| format!("{table} is not imported"))?;
    let known = table.columns();
    let columns = serde_json::from_str::<Vec<String>>(columns).map_err(|_| "columns are a list of names".to_owned())?;
    if let Some(column) = columns.iter().find(|column| !known.contains(column)) {
        return Err(format!("the table {} has no column {column}", table.name));
    }
    let names = columns.iter().map(|column| spi::quote_identifier(column)).collect::<Vec<_>>().join(", ");
    let values = columns.iter().map(|column| match table.on_import.iter().find(|(name, _)| name == column) {
        Some((_, sql)) => (*sql).to_owned(),
        None => format!("r.{}", spi::quote_identifier(column)),
    });
    let values = values.collect::<Vec<_>>().join(", ");
    let sql = format!(
        "insert into {0} ({names}) select {values} from json_populate_recordset(null::{0}, $2::json) r where $1 is not null and {1}",
        table.qualified(),
        table.accepts.unwrap_or("true"),
    );
    let _scope = enter(tenant, "tenants.import", &Uuid::now_v7().to_string());
    LOADS.set(true);
    let _loading = Loading;
    Ok(spi::run(&sql, &[Arg::Text(&tenant.to_string()), Arg::Text(rows)]))
}
