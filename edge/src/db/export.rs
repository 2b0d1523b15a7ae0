//! The worker's functions of exports, and the DBA's of exports and imports.

use super::json_text::JsonText;
use crate::error::Error;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::collections::{BTreeMap, HashMap};
use tokio_postgres::{
    Client, GenericClient, Row,
    types::{ToSql, Type},
};
use uuid::Uuid;

/// Under which lease a tenant's rows are read.
#[derive(Clone, Debug)]
pub struct ExportLease {
    pub worker: String,
    pub job: Uuid,
    pub attempt: i32,
}

impl ExportLease {
    /// Nobody's: for a transaction in which a DBA has opened a tenant.
    #[must_use]
    pub fn of_dba() -> Self {
        Self { worker: String::new(), job: Uuid::nil(), attempt: 0 }
    }

    fn parameters(&self) -> [(&(dyn ToSql + Sync), Type); 3] {
        [(&self.worker, Type::TEXT), (&self.job, Type::UUID), (&self.attempt, Type::INT4)]
    }
}

/// What the files inside are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum ExportFormat {
    /// NDJSON: what can be imported.
    Json,
    /// For people.
    Csv,
}

/// An attempt that has begun.
#[derive(Debug, Deserialize)]
pub struct Started {
    pub format: ExportFormat,
    /// Where the file is to be put.
    pub location: String,
    /// Where earlier attempts may have left one.
    pub earlier: Vec<String>,
}

/// Whose export it is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TenantDescription {
    pub id: Uuid,
    pub slug: String,
    pub name: String,
    pub kind: String,
}

/// What is to be known of a table to write or read it.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TableDescription {
    pub name: String,
    pub columns: Vec<String>,
    /// Columns that leave the database sealed.
    pub secrets: Vec<String>,
    /// Columns that are sealed in the database.
    pub sealed: Vec<SealedColumn>,
    /// Columns that refer to global tables.
    pub references: HashMap<String, String>,
    /// Without its secrets it is imported with random ones, instead of not at all.
    pub randomises: bool,
    pub is_imported: bool,
}

/// What a sealed column is sealed with and for.
#[derive(Clone, Debug, Deserialize)]
pub struct SealedColumn {
    pub column: String,
    /// The column with the key's version.
    pub version: String,
    pub field: String,
}

/// Keys of global rows by their ids, by table.
pub type References = BTreeMap<String, BTreeMap<Uuid, String>>;

/// `nebula.export_tables`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ExportPlan {
    pub tenant: TenantDescription,
    pub product_version: String,
    pub schema_version: i32,
    pub tables: Vec<TableDescription>,
    pub references: References,
}

/// `nebula.begin_import`.
#[derive(Debug, Deserialize)]
pub struct ImportPlan {
    pub tables: Vec<TableDescription>,
    /// Ids here by ids there, by table.
    pub references: HashMap<String, HashMap<Uuid, Uuid>>,
}

/// A row as JSON, and where it stands in its table.
pub struct Line {
    pub place: String,
    pub text: String,
}

/// What an attempt made.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finished {
    pub row_count: u64,
    pub size_bytes: u64,
    /// Hexadecimal.
    pub sha256: String,
    /// How long the file is kept.
    pub hours: u32,
}

fn decode<T: DeserializeOwned>(text: &str) -> Result<T, Error> {
    // Serde's message may quote a value, so only its place is kept.
    serde_json::from_str(text)
        .map_err(|error| Error::Database(format!("unexpected JSON at line {} column {}", error.line(), error.column())))
}

fn json(row: &Row) -> Result<Option<String>, Error> {
    Ok(row.try_get::<_, Option<JsonText>>(0)?.map(|text| text.0))
}

/// Begins an attempt; `None` where there is nothing to do any more.
pub async fn start_export(client: &Client, lease: &ExportLease) -> Result<Option<Started>, Error> {
    let row = client.query_typed_one("select nebula.start_export($1, $2, $3)", &lease.parameters()).await?;
    json(&row)?.map(|text| decode(&text)).transpose()
}

/// What an export holds.
pub async fn export_tables(client: &Client, lease: &ExportLease) -> Result<ExportPlan, Error> {
    let row = client.query_typed_one("select nebula.export_tables($1, $2, $3)", &lease.parameters()).await?;
    decode(&json(&row)?.unwrap_or_default())
}

/// A page of a table.
pub async fn export_rows(client: &Client, lease: &ExportLease, table: &str, after: &str, limit: i32) -> Result<Vec<Line>, Error> {
    let [worker, job, attempt] = lease.parameters();
    let parameters: [(&(dyn ToSql + Sync), Type); 6] =
        [worker, job, attempt, (&table, Type::TEXT), (&after, Type::TEXT), (&limit, Type::INT4)];
    let rows = client.query_typed("select place, line from nebula.export_rows($1, $2, $3, $4, $5, $6)", &parameters).await?;
    rows.iter().map(|row| Ok(Line { place: row.try_get(0)?, text: row.try_get(1)? })).collect()
}

/// Whether the file counts; if not, it came too late.
pub async fn finish_export(client: &Client, lease: &ExportLease, finished: &Finished) -> Result<bool, Error> {
    let outcome = JsonText(serde_json::to_string(finished).map_err(|error| Error::Database(error.to_string()))?);
    let [worker, job, attempt] = lease.parameters();
    let parameters: [(&(dyn ToSql + Sync), Type); 4] = [worker, job, attempt, (&outcome, Type::JSON)];
    Ok(client.query_typed_one("select nebula.finish_export($1, $2, $3, $4)", &parameters).await?.try_get(0)?)
}

/// Lets this transaction read a tenant; its id, or `None` where there is no such tenant. For a DBA.
pub async fn open_export(client: &Client, tenant: &str) -> Result<Option<Uuid>, Error> {
    Ok(client.query_typed_one("select nebula.open_export($1)", &[(&tenant, Type::TEXT)]).await?.try_get(0)?)
}

/// Lets this transaction load a tenant, and tells how. For a DBA.
pub async fn begin_import(client: &impl GenericClient, manifest: String) -> Result<ImportPlan, Error> {
    let row = client.query_typed("select nebula.begin_import($1)", &[(&JsonText(manifest), Type::JSON)]).await?;
    let text = row.first().map(json).transpose()?.flatten();
    decode(&text.unwrap_or_default())
}

/// Loads rows of a table, a JSON list; how many were accepted. For a DBA.
pub async fn import_rows(client: &impl GenericClient, table: &str, columns: &[String], rows: String) -> Result<u64, Error> {
    let columns = JsonText(serde_json::to_string(columns).map_err(|error| Error::Import(error.to_string()))?);
    let parameters: [(&(dyn ToSql + Sync), Type); 3] = [(&table, Type::TEXT), (&columns, Type::JSON), (&JsonText(rows), Type::JSON)];
    let rows = client.query_typed("select nebula.import_rows($1, $2, $3)", &parameters).await?;
    let count: i32 = rows.first().map(|row| row.try_get(0)).transpose()?.unwrap_or_default();
    Ok(u64::try_from(count).unwrap_or_default())
}
