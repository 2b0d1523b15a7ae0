//! Sealing anew what an older key has sealed, a row at a time, while everything goes on: a row that somebody changes meanwhile keeps the change.

use super::Context;
use crate::{
    auth::{SealingKeys, sealing::Place},
    db::{Failure, WorkerDatabase},
    error::Error,
};
use tokio_postgres::types::Type;
use uuid::Uuid;

/// Columns that hold what was sealed, and the field that it was bound to there (docs/edge-protocol.md, "Sealing").
const SOURCES: [(&str, &str); 3] = [
    ("integration_credential.data_encrypted", "data"),
    ("webhook_subscription.secret_sealed", "secret"),
    ("webhook_subscription.previous_secret_sealed", "secret"),
];

const BATCH: i32 = 100;
/// So many of the values that could not be sealed anew are named; the rest is counted.
const NAMED: usize = 10;

/// What a round did.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Report {
    pub resealed: u64,
    /// Changed by somebody else meanwhile: nothing was left to do, or the next round does it.
    pub overtaken: u64,
    /// Not opened, hence left as they are: where they lie and why.
    pub failed: Vec<String>,
}

struct Sealed {
    tenant: Uuid,
    id: Uuid,
    version: i32,
    sealed: Vec<u8>,
}

/// The periodic task: one round. What could not be opened makes it fail, after everything else was done.
pub async fn run(context: &Context) -> Result<(), Error> {
    let report = round(&context.database, context.keys.as_ref()).await?;
    if report.resealed > 0 {
        tracing::info!("{} values were sealed anew, {} had changed meanwhile", report.resealed, report.overtaken);
    }
    if report.failed.is_empty() {
        return Ok(());
    }
    let named = report.failed.iter().take(NAMED).map(String::as_str).collect::<Vec<_>>().join("; ");
    Err(Error::SealingKey(format!("{} values were not sealed anew: {named}", report.failed.len())))
}

/// Goes through everything that a key older than the newest has sealed.
pub async fn round(database: &WorkerDatabase, keys: &dyn SealingKeys) -> Result<Report, Error> {
    let mut report = Report::default();
    let Some(newest) = keys.newest() else { return Ok(report) };
    for (source, field) in SOURCES {
        let mut after = (Uuid::nil(), Uuid::nil());
        loop {
            let batch = older(database, source, newest, after).await.map_err(database_error)?;
            let Some(last) = batch.last() else { break };
            after = (last.tenant, last.id);
            for value in &batch {
                match again(database, keys, source, field, value).await {
                    Ok(true) => report.resealed += 1,
                    Ok(false) => report.overtaken += 1,
                    // Moved from another row, damaged, or of a key that is not here: never written over.
                    Err(Error::SealingKey(reason)) => {
                        let place = format!("{source} of tenant {} row {} version {}", value.tenant, value.id, value.version);
                        report.failed.push(format!("{place}: {reason}"));
                    }
                    Err(error) => return Err(error),
                }
            }
        }
    }
    Ok(report)
}

async fn again(database: &WorkerDatabase, keys: &dyn SealingKeys, source: &str, field: &str, value: &Sealed) -> Result<bool, Error> {
    let place = Place { tenant: value.tenant, row: value.id, field };
    let version = u16::try_from(value.version).map_err(|_| Error::SealingKey("a version that is none".to_owned()))?;
    let plain = keys.open(place, version, &value.sealed).await?;
    let (new_version, new_sealed) = keys.seal(place, &plain).await?;
    let row = database
        .row(
            "select nebula.reseal($1, $2, $3, $4, $5, $6, $7)",
            &[
                (&source, Type::TEXT),
                (&value.tenant, Type::UUID),
                (&value.id, Type::UUID),
                (&value.version, Type::INT4),
                (&value.sealed, Type::BYTEA),
                (&i32::from(new_version), Type::INT4),
                (&new_sealed, Type::BYTEA),
            ],
        )
        .await
        .map_err(database_error)?;
    Ok(row.try_get(0)?)
}

/// `nebula.sealed_rows`.
async fn older(database: &WorkerDatabase, source: &str, newest: u16, (tenant, id): (Uuid, Uuid)) -> Result<Vec<Sealed>, Failure> {
    let rows = database
        .rows(
            "select tenant_id, id, key_version, sealed from nebula.sealed_rows($1, $2, $3, $4, $5)",
            &[(&source, Type::TEXT), (&i32::from(newest), Type::INT4), (&tenant, Type::UUID), (&id, Type::UUID), (&BATCH, Type::INT4)],
        )
        .await?;
    let read = |row: tokio_postgres::Row| {
        Ok(Sealed { tenant: row.try_get(0)?, id: row.try_get(1)?, version: row.try_get(2)?, sealed: row.try_get(3)? })
    };
    rows.into_iter().map(read).collect::<Result<_, tokio_postgres::Error>>().map_err(|error| Failure::of(&error))
}

fn database_error(failure: Failure) -> Error {
    Error::Database(failure.reason().to_owned())
}
