//! `manifest.json`: what is in the file, and checksums. The last entry, since it tells of the others.

use crate::db::{ExportFormat, TenantDescription};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use uuid::Uuid;

/// Its name in the archive.
pub const NAME: &str = "manifest.json";

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// `nebula-export`.
    pub format: String,
    pub format_version: u32,
    /// Of the files of tables.
    pub file_format: ExportFormat,
    pub product_version: String,
    pub schema_version: i32,
    pub tenant: TenantDescription,
    pub tables: Vec<Table>,
    /// The keys of the global rows that the tenant's rows refer to, by table and id.
    pub references: BTreeMap<String, BTreeMap<Uuid, String>>,
}

/// A table's file.
#[derive(Debug, Serialize, Deserialize)]
pub struct Table {
    pub name: String,
    pub file: String,
    pub columns: Vec<String>,
    /// Of these columns the values are sealed.
    pub secrets: Vec<String>,
    pub rows: u64,
    /// Of the uncompressed file, hexadecimal.
    pub sha256: String,
}
