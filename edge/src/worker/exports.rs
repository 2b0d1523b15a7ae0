//! Exports of a tenant: one file in object storage, streamed.

use super::{Context, Job, Outcome};
use crate::{
    db::{self, ExportLease, Finished, Started},
    error::Error,
    exports::{self, Contents},
    storage::{Path, Storage},
};
use deadpool_postgres::Object;
use object_store::{ObjectStoreExt, buffered::BufWriter};
use tokio::{io::AsyncWriteExt, sync::Semaphore};

/// Parts of an upload: 10,000 of them are the most that S3 takes, so that a file may have 80 GB.
const PART_BYTES: usize = 8 << 20;
/// Parts on their way at once: with the one that fills up, all that an upload holds in memory.
const PARTS_AT_ONCE: usize = 2;

/// Files that a worker makes at once: each holds a connection of its own and some 30 MiB. The others wait with their leases.
static FILES_AT_ONCE: Semaphore = Semaphore::const_new(2);

/// One state of everything. Storage may be slow; a file is no reason to end the session.
const BEGIN: &str = "begin isolation level repeatable read read only; set local idle_in_transaction_session_timeout = '10min'";

/// Makes an export (`export.run`), or removes a file (`storage.remove`).
pub async fn run(context: &Context, job: &Job) -> Outcome {
    let done = match job.kind.as_str() {
        "export.run" => export(context, job).await,
        "storage.remove" => remove_file(context, job).await,
        _ => return Outcome::Dead { error: "unknown work".to_owned() },
    };
    match done {
        Ok(()) => Outcome::Done,
        Err(error) => {
            let reason = reason(&error);
            tracing::warn!("{} {}: {reason}", job.kind, job.id);
            Outcome::Retry { error: reason.to_owned(), after: None }
        }
    }
}

/// The periodic task `expired_exports`: files whose time has passed get a job that removes them.
pub async fn expire(context: &Context) -> Result<(), Error> {
    let expired = context.database.row("select nebula.expire_exports()", &[]).await;
    expired.map(drop).map_err(|failure| Error::Database(failure.reason().to_owned()))
}

/// What a tenant may read of an error.
fn reason(error: &Error) -> &'static str {
    match error {
        Error::Missing(_) => "no object storage is configured",
        Error::Storage(_) | Error::Io(_) => "object storage failed",
        Error::SealingKey(_) => "there is no sealing key",
        Error::Tenant(_) => "the tenant's data changed in a way that needs a new file",
        _ => "the database failed",
    }
}

async fn connection(context: &Context) -> Result<Object, Error> {
    context.database.client().await.map_err(|failure| Error::Database(failure.reason().to_owned()))
}

fn storage(context: &Context) -> Result<&Storage, Error> {
    context.storage.as_ref().ok_or(Error::Missing("NEBULA_STORAGE_URL"))
}

async fn export(context: &Context, job: &Job) -> Result<(), Error> {
    let storage = storage(context)?;
    let _turn = FILES_AT_ONCE.acquire().await.map_err(|error| Error::Storage(error.to_string()))?;
    // Out of the pool: whatever becomes of this job, no transaction of it stays open in a connection that others use.
    let client = Object::take(connection(context).await?);
    let lease = ExportLease { worker: context.worker.clone(), job: job.id, attempt: job.attempt };
    let Some(Started { format, location, earlier }) = db::start_export(&client, &lease).await? else { return Ok(()) };
    for location in &earlier {
        remove(storage, location).await?;
    }
    let mut upload = BufWriter::with_capacity(storage.clone(), path(&location)?, PART_BYTES).with_max_concurrency(PARTS_AT_ONCE);
    client.batch_execute(BEGIN).await?;
    let contents = Contents { client: &client, lease: &lease, format, keys: context.keys.as_ref(), on_rows: &|_| {} };
    let written = match exports::write(&contents, &mut upload).await {
        Ok(written) => written,
        Err(error) => {
            let _ = upload.abort().await;
            return Err(error);
        }
    };
    client.batch_execute("commit").await?;
    upload.shutdown().await.map_err(|error| Error::Storage(error.to_string()))?;
    let finished =
        Finished { row_count: written.rows, size_bytes: written.bytes, sha256: written.sha256, hours: context.config.export_hours };
    if db::finish_export(&client, &lease, &finished).await? {
        return Ok(());
    }
    // Another worker has the job by now, or somebody's data must not stand in this file.
    remove(storage, &location).await?;
    Err(Error::Tenant("the export was taken back".to_owned()))
}

async fn remove_file(context: &Context, job: &Job) -> Result<(), Error> {
    let location = job.data.get("location").and_then(|location| location.as_str()).unwrap_or_default();
    // The database names only its own tenant's; should it not, nothing of anybody else's goes.
    let is_own = job.tenant.is_some_and(|tenant| location.starts_with(&format!("exports/{tenant}/")));
    if is_own { remove(storage(context)?, location).await } else { Ok(()) }
}

/// Removes a file; one that is gone is.
async fn remove(storage: &Storage, location: &str) -> Result<(), Error> {
    match storage.delete(&path(location)?).await {
        Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
        Err(error) => Err(Error::Storage(error.to_string())),
    }
}

fn path(location: &str) -> Result<Path, Error> {
    Path::parse(location).map_err(|error| Error::Storage(error.to_string()))
}
