//! `nebula export`: a tenant into a file.

use super::{
    key::sealing,
    output::{Progress, tell},
};
use crate::{
    auth::KeySource,
    config::Config,
    db::{self, ExportFormat, ExportLease},
    error::Error,
    exports::{self, Contents},
};
use serde::Serialize;
use std::{fmt, fs, os::unix::fs::OpenOptionsExt, path::PathBuf};
use tokio::{fs::File, io::AsyncWriteExt};

#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The tenant's id or slug.
    tenant: String,
    #[arg(long, value_enum, default_value_t = ExportFormat::Json, env = "NEBULA_EXPORT_FORMAT")]
    format: ExportFormat,
    /// The file, which must not exist yet.
    #[arg(long, value_name = "FILE", env = "NEBULA_EXPORT_OUTPUT")]
    output: PathBuf,
}

/// What was written.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Exported {
    tenant: String,
    file: PathBuf,
    rows: u64,
    size_bytes: u64,
    sha256: String,
}

impl fmt::Display for Exported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} rows, {} bytes, sha256 {}", self.rows, self.size_bytes, self.sha256)
    }
}

/// Writes everything of a tenant, as it is at one moment.
pub async fn run(arguments: &Arguments, config: &Config) -> Result<(), Error> {
    let client = db::connect_admin(config.require_admin_database_url()?).await?;
    let keys = sealing::load(&client, &KeySource::of(config)).await?;
    client.batch_execute("begin isolation level repeatable read").await?;
    let tenant = db::open_export(&client, &arguments.tenant).await?;
    tenant.ok_or_else(|| Error::NotFound { what: "tenant", name: arguments.tenant.clone() })?;
    let path = &arguments.output;
    let file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(Error::file(path))?;
    let mut file = File::from_std(file);
    let progress = Progress::unknown("rows exported:");
    let on_rows = |rows| progress.advance(rows);
    let contents = Contents { client: &client, lease: &ExportLease::of_dba(), format: arguments.format, keys: &keys, on_rows: &on_rows };
    let written = async {
        let written = exports::write(&contents, &mut file).await?;
        file.flush().await.map_err(Error::file(path))?;
        file.sync_all().await.map_err(Error::file(path))?;
        client.batch_execute("commit").await?;
        Ok::<_, Error>(written)
    };
    let written = written.await;
    drop(progress);
    match written {
        Ok(written) => tell(&Exported {
            tenant: arguments.tenant.clone(),
            file: path.clone(),
            rows: written.rows,
            size_bytes: written.bytes,
            sha256: written.sha256,
        }),
        Err(error) => {
            // Half a file is none.
            let _ = fs::remove_file(path);
            Err(error)
        }
    }
}
