//! Archives: a tenant's rows of a month as one compressed file with a manifest, before the database lets go of them.

use crate::{
    db::{DueArchive, Failure, OldMonth, WorkerDatabase},
    storage::{self, Path, Storage},
};
use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use futures_util::TryStreamExt;
use object_store::{ObjectStoreExt, buffered::BufWriter};
use serde_json::json;
use sha2::{Digest, Sha256};
use std::{io::Write, mem};
use tokio::io::AsyncWriteExt;

/// Of the manifest and the lines.
const FORMAT_VERSION: u32 = 1;
const ROWS_PER_PAGE: i32 = 2_000;
/// A part of an upload; two of them are under way at most, so that memory stays flat whatever the archive's size.
const PART_BYTES: usize = 8 << 20;
const PARTS_AT_ONCE: usize = 2;

/// Why there is no archive; the database still has the rows.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    #[error("{}", storage::reason(.0))]
    Storage(#[from] object_store::Error),
    #[error("the storage failed")]
    Upload,
    #[error("database: {}", .0.reason())]
    Database(Failure),
    #[error("the storage gives back something else than it was given")]
    Unequal,
    #[error("rows were added meanwhile")]
    Changed,
}

impl From<Failure> for ArchiveError {
    fn from(failure: Failure) -> Self {
        Self::Database(failure)
    }
}

/// Writes an archive, reads it back, writes its manifest and tells the database; how many rows it holds.
pub async fn write(database: &WorkerDatabase, storage: &Storage, month: &OldMonth, due: &DueArchive) -> Result<u64, ArchiveError> {
    let (rows, digest) = write_rows(database, storage, month, due).await?;
    if digest_of(storage, &rows_path(&due.location)).await? != digest {
        return Err(ArchiveError::Unequal);
    }
    let manifest = json!({
        "format": "nebula.archive", "version": FORMAT_VERSION, "table": month.source, "tenantId": due.tenant, "month": month.month,
        "file": "rows.ndjson.gz", "rowCount": rows, "sha256": nebula_core::hex::encode(&digest),
        "columns": database.archive_columns(&month.source).await?, "createdAt": now(), "expiresAt": due.expires_at,
    });
    storage.put(&manifest_path(&due.location), format!("{manifest:#}\n").into_bytes().into()).await?;
    let count = i64::try_from(rows).unwrap_or(i64::MAX);
    if database.record_archive(due.tenant, &month.source, &month.month, count, &digest).await? {
        Ok(rows)
    } else {
        Err(ArchiveError::Changed)
    }
}

/// Whether both objects of an archive are there.
pub async fn is_there(storage: &Storage, location: &str) -> Result<bool, object_store::Error> {
    for path in [rows_path(location), manifest_path(location)] {
        match storage.head(&path).await {
            Ok(_) => {}
            Err(object_store::Error::NotFound { .. }) => return Ok(false),
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}

/// Removes an archive's objects; those that are gone already are no failure.
pub async fn remove(storage: &Storage, location: &str) -> Result<(), object_store::Error> {
    for path in [manifest_path(location), rows_path(location)] {
        match storage.delete(&path).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn rows_path(location: &str) -> Path {
    Path::from(format!("{location}/rows.ndjson.gz"))
}

fn manifest_path(location: &str) -> Path {
    Path::from(format!("{location}/manifest.json"))
}

/// Streams the rows; how many, and the SHA-256 of the file.
async fn write_rows(
    database: &WorkerDatabase,
    storage: &Storage,
    month: &OldMonth,
    due: &DueArchive,
) -> Result<(u64, [u8; 32]), ArchiveError> {
    let writer = BufWriter::with_capacity(storage.clone(), rows_path(&due.location), PART_BYTES);
    let mut file = writer.with_max_concurrency(PARTS_AT_ONCE);
    match write_pages(database, &mut file, month, due).await {
        Ok(written) => {
            file.shutdown().await.map_err(|_| ArchiveError::Upload)?;
            Ok(written)
        }
        Err(error) => {
            // What was uploaded of it is of no use; the storage may be what failed.
            let _ = file.abort().await;
            Err(error)
        }
    }
}

async fn write_pages(
    database: &WorkerDatabase,
    file: &mut BufWriter,
    month: &OldMonth,
    due: &DueArchive,
) -> Result<(u64, [u8; 32]), ArchiveError> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    let mut digest = Sha256::new();
    let (mut rows, mut position) = (0, String::new());
    while let Some(page) = database.archive_page(due.tenant, &month.source, &month.month, &position, ROWS_PER_PAGE).await? {
        // Into memory, where writing does not fail.
        gzip.write_all(page.lines.as_bytes()).map_err(|_| ArchiveError::Upload)?;
        rows += u64::try_from(page.count).unwrap_or_default();
        position = page.next;
        send(file, &mut digest, mem::take(gzip.get_mut())).await?;
    }
    let end = gzip.finish().map_err(|_| ArchiveError::Upload)?;
    send(file, &mut digest, end).await?;
    Ok((rows, digest.finalize().into()))
}

async fn send(file: &mut BufWriter, digest: &mut Sha256, bytes: Vec<u8>) -> Result<(), ArchiveError> {
    if !bytes.is_empty() {
        digest.update(&bytes);
        file.put(Bytes::from(bytes)).await?;
    }
    Ok(())
}

/// The SHA-256 of what the storage gives.
async fn digest_of(storage: &Storage, path: &Path) -> Result<[u8; 32], ArchiveError> {
    let stream = storage.get(path).await?.into_stream();
    let digest = stream.try_fold(Sha256::new(), |digest, bytes| async move { Ok(digest.chain_update(&bytes)) }).await?;
    Ok(digest.finalize().into())
}

fn now() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
