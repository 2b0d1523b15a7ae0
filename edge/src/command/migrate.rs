//! `nebula migrate`: the extension, then its tables.

use super::output::say;
use crate::{
    config::Config,
    db::{self, scalar_text},
    error::Error,
};
use serde::Deserialize;
use std::fmt;
use tokio_postgres::Client;

pub async fn run(config: &Config) -> Result<(), Error> {
    let client = db::connect_admin(config.require_admin_database_url()?).await?;
    say(&migrate(&client).await?.to_string())
}

/// What was done.
pub struct Report {
    extension: String,
    version: i64,
    /// The versions applied now; empty when everything was there.
    pub applied: Vec<String>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "extension {}, schema version {}: ", self.extension, self.version)?;
        if self.applied.is_empty() { f.write_str("nothing to apply") } else { write!(f, "applied {}", self.applied.join(", ")) }
    }
}

/// Brings extension and tables to this version. Running it again changes nothing.
pub async fn migrate(client: &Client) -> Result<Report, Error> {
    let installed = "select extversion from pg_catalog.pg_extension where extname = 'nebula'";
    let before = client.query_typed(installed, &[]).await?;
    let statement = if before.is_empty() { "create extension if not exists nebula" } else { "alter extension nebula update" };
    client.batch_execute(statement).await?;
    let extension = scalar_text(client, installed, &[]).await?;
    let report = scalar_text(client, "select nebula.migrate()::text", &[]).await?;
    let report: Migrated = serde_json::from_str(&report).map_err(|error| Error::Database(format!("nebula.migrate(): {error}")))?;
    Ok(Report { extension, version: report.version, applied: report.applied.iter().map(ToString::to_string).collect() })
}

/// The answer of `nebula.migrate()`.
#[derive(Deserialize)]
struct Migrated {
    /// Numbers or names.
    applied: Vec<serde_json::Value>,
    version: i64,
}
