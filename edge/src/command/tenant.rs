//! `nebula tenant`: a tenant into a file, and from a file into this installation.

use super::{
    output::{note, say},
    sealing_keys,
};
use crate::{
    auth::{KeySource, LocalKeys, RegisteredKeys, SealingKeys},
    config::Config,
    db::{self, ExportFormat, ExportLease},
    error::Error,
    exports::{self, Contents, Keys},
};
use std::{collections::BTreeMap, fs, os::unix::fs::OpenOptionsExt, path::PathBuf};
use tokio::{fs::File, io::AsyncWriteExt};

#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Writes everything of a tenant into a new file. Secrets are sealed with this machine's newest sealing key.
    Export(ExportArguments),
    /// Loads an export in json into this installation: the same tenant, row for row, all or nothing.
    Import(ImportArguments),
}

#[derive(Debug, clap::Args)]
struct ExportArguments {
    /// The tenant's id or slug.
    tenant: String,
    #[arg(long, value_enum, default_value_t = ExportFormat::Json, env = "NEBULA_EXPORT_FORMAT")]
    format: ExportFormat,
    /// The file, which must not exist yet.
    #[arg(long, value_name = "FILE", env = "NEBULA_EXPORT_OUTPUT")]
    output: PathBuf,
}

#[derive(Debug, clap::Args)]
struct ImportArguments {
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

pub async fn run(arguments: &Arguments, config: &Config) -> Result<(), Error> {
    match &arguments.action {
        Action::Export(arguments) => export(arguments, config).await,
        Action::Import(arguments) => import(arguments, config).await,
    }
}

async fn export(arguments: &ExportArguments, config: &Config) -> Result<(), Error> {
    let client = db::connect_admin(config.require_admin_database_url()?).await?;
    let keys = sealing_keys::load(&client, &KeySource::of(config)).await?;
    client.batch_execute("begin isolation level repeatable read").await?;
    let tenant = db::open_export(&client, &arguments.tenant).await?;
    tenant.ok_or_else(|| Error::Tenant(format!("there is none with the id or slug {}", arguments.tenant)))?;
    let path = &arguments.output;
    let file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(Error::file(path))?;
    let mut file = File::from_std(file);
    let contents = Contents { client: &client, lease: &ExportLease::of_dba(), format: arguments.format, keys: &keys };
    let written = async {
        let written = exports::write(&contents, &mut file).await?;
        file.flush().await.map_err(Error::file(path))?;
        file.sync_all().await.map_err(Error::file(path))?;
        client.batch_execute("commit").await?;
        Ok::<_, Error>(written)
    };
    match written.await {
        Ok(written) => say(&format!("{} rows, {} bytes, sha256 {}", written.rows, written.bytes, written.sha256)),
        Err(error) => {
            // Half a file is none.
            let _ = fs::remove_file(path);
            Err(error)
        }
    }
}

async fn import(arguments: &ImportArguments, config: &Config) -> Result<(), Error> {
    let mut client = db::connect_admin(config.require_admin_database_url()?).await?;
    let keys = sealing_keys::load(&client, &KeySource::of(config)).await?;
    let source = match &arguments.source_keys {
        Some(folder) => Some(RegisteredKeys::new(LocalKeys::load(&KeySource::Folder(folder.clone()))?, BTreeMap::new())),
        None => None,
    };
    let keys = Keys {
        source: source.as_ref().unwrap_or(&keys),
        here: source.is_some().then_some(&keys as &dyn SealingKeys),
        without_secrets: arguments.without_secrets,
    };
    let loaded = exports::load(&mut client, &keys, &arguments.file).await?;
    for (table, rows) in &loaded.without_secrets {
        note(&format!("{table}: {rows} rows with secrets were left out"));
    }
    for (table, rows) in &loaded.not_imported {
        note(&format!("{table}: {rows} rows are this cluster's to make (nebula.bind_role)"));
    }
    say(&format!("tenant {} ({}): {} rows", loaded.slug, loaded.tenant, loaded.rows))
}
