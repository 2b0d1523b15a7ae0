//! `nebula privacy`: who was anonymised stays so, also after a backup was restored that is older.

use super::output::{note, tell};
use crate::{
    config::Config,
    db::{self, scalar_text},
    error::Error,
    storage::{self, Path, Storage},
    worker::privacy::{Erased, FOLDER},
};
use futures_util::TryStreamExt;
use object_store::ObjectStoreExt;
use serde::Serialize;
use std::fmt;
use tokio_postgres::{Client, types::Type};
use uuid::Uuid;

#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Anonymises again whom a restored backup has brought back, by the records in the object storage. Running it again changes nothing.
    Reapply,
}

/// Somebody who was brought back, and is gone again.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Person {
    tenant_id: Uuid,
    user_id: Uuid,
}

/// What became of the records.
#[derive(Default, Serialize)]
struct Report {
    anonymized: Vec<Person>,
    already: u64,
    unknown: u64,
    unreadable: u64,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Person { tenant_id, user_id } in &self.anonymized {
            writeln!(f, "tenant {tenant_id} user {user_id}: anonymised again")?;
        }
        write!(f, "{} anonymised again, {} were already, {} are not in this database", self.anonymized.len(), self.already, self.unknown)
    }
}

pub async fn run(arguments: &Arguments, config: &Config) -> Result<(), Error> {
    match arguments.action {
        Action::Reapply => {
            let storage = storage::open(config)?.ok_or(Error::Missing("NEBULA_STORAGE_URL"))?;
            let client = db::connect_admin(config.require_admin_database_url()?).await?;
            let report = reapply(&client, &storage).await?;
            tell(&report)?;
            if report.unreadable == 0 { Ok(()) } else { Err(Error::Storage(format!("{} records could not be read", report.unreadable))) }
        }
    }
}

/// One person a transaction: what was done stays done, whatever comes after.
async fn reapply(client: &Client, storage: &Storage) -> Result<Report, Error> {
    let mut report = Report::default();
    let folder = Path::from(FOLDER);
    let mut records = storage.list(Some(&folder));
    while let Some(record) = records.try_next().await.map_err(|error| Error::Storage(error.to_string()))? {
        let Some(erased) = read(storage, &record.location).await? else {
            report.unreadable += 1;
            note(&format!("{}: not a record of an anonymised person", record.location));
            continue;
        };
        let parameters: [(&(dyn tokio_postgres::types::ToSql + Sync), Type); 2] =
            [(&erased.tenant_id, Type::UUID), (&erased.user_id, Type::UUID)];
        match scalar_text(client, "select nebula.anonymize_again($1, $2)", &parameters).await?.as_str() {
            "anonymized" => report.anonymized.push(Person { tenant_id: erased.tenant_id, user_id: erased.user_id }),
            "already" => report.already += 1,
            _ => report.unknown += 1,
        }
    }
    Ok(report)
}

/// The record, if it is one and lies where it belongs.
async fn read(storage: &Storage, location: &Path) -> Result<Option<Erased>, Error> {
    let failed = |error: object_store::Error| Error::Storage(error.to_string());
    let bytes = storage.get(location).await.map_err(failed)?.bytes().await.map_err(failed)?;
    Ok(serde_json::from_slice::<Erased>(&bytes).ok().filter(|erased| erased.path() == *location))
}
