//! `nebula import`: a tenant from a file into this installation.

use super::{
    key::sealing,
    output::{Progress, note, tell},
};
use crate::{
    auth::{KeySource, LocalKeys, RegisteredKeys, SealingKeys},
    config::Config,
    db,
    error::Error,
    exports::{self, Keys},
};
use serde::Serialize;
use std::{collections::BTreeMap, fmt, path::PathBuf};
use uuid::Uuid;

#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Leave out passwords, sessions, invites, webhooks and credentials, and give API keys secrets that nobody has.
    #[arg(long, env = "NEBULA_IMPORT_WITHOUT_SECRETS")]
    without_secrets: bool,
    /// The folder with the sealing keys of where the export was made, if they are others than this machine's: webhook secrets and credentials are then sealed
    /// anew with this installation's.
    #[arg(long, value_name = "DIR", env = "NEBULA_IMPORT_SOURCE_KEYS", conflicts_with = "without_secrets")]
    source_keys: Option<PathBuf>,
}

/// What was loaded.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Imported {
    tenant_id: Uuid,
    slug: String,
    rows: u64,
    /// Rows by table, with secrets that were left out.
    without_secrets: BTreeMap<String, u64>,
    /// Rows by table that are this cluster's to make.
    not_imported: BTreeMap<String, u64>,
}

impl fmt::Display for Imported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tenant {} ({}): {} rows", self.slug, self.tenant_id, self.rows)
    }
}

/// Loads an export, all or nothing.
pub async fn run(arguments: &Arguments, config: &Config) -> Result<(), Error> {
    let mut client = db::connect_admin(config.require_admin_database_url()?).await?;
    let keys = sealing::load(&client, &KeySource::of(config)).await?;
    let source = match &arguments.source_keys {
        Some(folder) => Some(RegisteredKeys::new(LocalKeys::load(&KeySource::Folder(folder.clone()))?, BTreeMap::new())),
        None => None,
    };
    let keys = Keys {
        source: source.as_ref().unwrap_or(&keys),
        here: source.is_some().then_some(&keys as &dyn SealingKeys),
        without_secrets: arguments.without_secrets,
    };
    let progress = Progress::unknown("rows imported:");
    let loaded = exports::load(&mut client, &keys, &arguments.file, &|rows, total| progress.advance_of(rows, total)).await;
    drop(progress);
    let loaded = loaded?;
    for (table, rows) in &loaded.without_secrets {
        note(&format!("{table}: {rows} rows with secrets were left out"));
    }
    for (table, rows) in &loaded.not_imported {
        note(&format!("{table}: {rows} rows are this cluster's to make (nebula.bind_role)"));
    }
    let counted = |rows: &[(String, u64)]| rows.iter().cloned().collect();
    tell(&Imported {
        tenant_id: loaded.tenant,
        slug: loaded.slug,
        rows: loaded.rows,
        without_secrets: counted(&loaded.without_secrets),
        not_imported: counted(&loaded.not_imported),
    })
}
