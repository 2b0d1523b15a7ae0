//! What the worker asks and tells the database about things that are too old.

use super::{failure::Failure, worker::WorkerDatabase};
use crate::error::Error;
use deadpool_postgres::Object;
use serde::{Deserialize, de::DeserializeOwned};
use std::collections::BTreeMap;
use tokio_postgres::types::Type;
use uuid::Uuid;

/// Runs of retention come one after the other, whoever runs them: the number names a session's advisory lock and is arbitrary.
const LOCK: i64 = 0x6e65_6275_6c61_0002;

/// A month of which something may go, in `nebula.retention_plan()`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OldMonth {
    /// The table.
    pub source: String,
    /// `YYYY-MM`.
    pub month: String,
    /// Whether something of it may go as it is.
    pub is_droppable: bool,
    /// What is to be archived first.
    pub archive: Vec<DueArchive>,
    /// What stands in an archive already.
    pub archived: Vec<DueArchive>,
}

/// A tenant's rows of a month.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DueArchive {
    pub tenant: Uuid,
    /// The folder in object storage.
    pub location: String,
    pub expires_at: String,
}

/// Rows of an archive, one JSON object a line.
pub struct ArchivePage {
    pub lines: String,
    pub count: i32,
    /// Where the next page begins.
    pub next: String,
}

/// An archive whose time is over.
pub struct ExpiredArchive {
    pub tenant: Uuid,
    pub id: Uuid,
    pub location: String,
}

impl WorkerDatabase {
    /// `nebula.may_deliver`: whether this is no copy of the database that somebody adopted.
    pub async fn may_deliver(&self) -> Result<bool, Failure> {
        value(&self.row("select nebula.may_deliver()", &[]).await?)
    }

    /// The turn to run retention, as long as the connection is kept; `None` where somebody else has it.
    pub async fn retention_turn(&self) -> Result<Option<RetentionTurn>, Error> {
        let client = self.client().await?;
        let row = client.query_typed_one("select pg_catalog.pg_try_advisory_lock($1)", &[(&LOCK, Type::INT8)]).await?;
        Ok(row.try_get::<_, bool>(0)?.then(|| RetentionTurn(Some(client))))
    }

    /// `nebula.ensure_partitions`: how many it made. Nobody is made to wait long for a lock.
    pub async fn ensure_partitions(&self) -> Result<i32, Failure> {
        let mut client = self.client().await?;
        let run = async {
            let transaction = client.transaction().await?;
            transaction.batch_execute("set local lock_timeout = '250ms'").await?;
            let made = transaction.query_typed_one("select nebula.ensure_partitions()", &[]).await?.try_get(0)?;
            transaction.commit().await?;
            Ok(made)
        };
        run.await.map_err(|error: tokio_postgres::Error| Failure::of(&error))
    }

    /// `nebula.settle_default`: how many rows came out of a default partition.
    pub async fn settle_default(&self, source: &str) -> Result<i64, Failure> {
        value(&self.row("select nebula.settle_default($1)", &[(&source, Type::TEXT)]).await?)
    }

    /// `nebula.retention_plan`: months of which something may go.
    pub async fn retention_plan(&self) -> Result<Vec<OldMonth>, Failure> {
        json(&self.row("select nebula.retention_plan()::text", &[]).await?)
    }

    /// `nebula.archive_columns`: the columns of an archived row.
    pub async fn archive_columns(&self, source: &str) -> Result<Vec<String>, Failure> {
        let columns: Option<String> = value(&self.row("select nebula.archive_columns($1)", &[(&source, Type::TEXT)]).await?)?;
        Ok(columns.unwrap_or_default().split(',').map(str::to_owned).collect())
    }

    /// `nebula.archive_page`: the next rows; `None` after the last.
    pub async fn archive_page(
        &self,
        tenant: Uuid,
        source: &str,
        month: &str,
        position: &str,
        limit: i32,
    ) -> Result<Option<ArchivePage>, Failure> {
        let statement = "select lines, row_count, next_position from nebula.archive_page($1, $2, $3, $4, $5)";
        let rows = self
            .rows(
                statement,
                &[(&tenant, Type::UUID), (&source, Type::TEXT), (&month, Type::TEXT), (&position, Type::TEXT), (&limit, Type::INT4)],
            )
            .await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let decode = || Ok(ArchivePage { lines: row.try_get(0)?, count: row.try_get(1)?, next: row.try_get(2)? });
        decode().map(Some).map_err(|error: tokio_postgres::Error| Failure::of(&error))
    }

    /// `nebula.record_archive`: false where the database counts another number of rows, or nothing is due any more.
    pub async fn record_archive(&self, tenant: Uuid, source: &str, month: &str, rows: i64, sha256: &[u8]) -> Result<bool, Failure> {
        let statement = "select nebula.record_archive($1, $2, $3, $4, $5)";
        let parameters: [(&(dyn postgres_types::ToSql + Sync), Type); 5] =
            [(&tenant, Type::UUID), (&source, Type::TEXT), (&month, Type::TEXT), (&rows, Type::INT8), (&sha256, Type::BYTEA)];
        value(&self.row(statement, &parameters).await?)
    }

    /// `nebula.drop_partition`: `dropped`, `rebuilt`, `kept`, or `None` where there is no such partition any more.
    pub async fn drop_partition(&self, source: &str, month: &str, keep: &[Uuid]) -> Result<Option<String>, Failure> {
        let parameters: [(&(dyn postgres_types::ToSql + Sync), Type); 3] =
            [(&source, Type::TEXT), (&month, Type::TEXT), (&keep, Type::UUID_ARRAY)];
        value(&self.row("select nebula.drop_partition($1, $2, $3)", &parameters).await?)
    }

    /// `nebula.expired_archives`.
    pub async fn expired_archives(&self) -> Result<Vec<ExpiredArchive>, Failure> {
        let rows = self.rows("select tenant, id, location from nebula.expired_archives()", &[]).await?;
        let decode =
            |row: &tokio_postgres::Row| Ok(ExpiredArchive { tenant: row.try_get(0)?, id: row.try_get(1)?, location: row.try_get(2)? });
        rows.iter().map(decode).collect::<Result<_, tokio_postgres::Error>>().map_err(|error| Failure::of(&error))
    }

    /// `nebula.forget_archive`.
    pub async fn forget_archive(&self, archive: &ExpiredArchive) -> Result<bool, Failure> {
        let parameters: [(&(dyn postgres_types::ToSql + Sync), Type); 2] = [(&archive.tenant, Type::UUID), (&archive.id, Type::UUID)];
        value(&self.row("select nebula.forget_archive($1, $2)", &parameters).await?)
    }

    /// `nebula.purge`: how many rows of each table were deleted.
    pub async fn purge(&self, limit: i32) -> Result<BTreeMap<String, u64>, Failure> {
        json(&self.row("select nebula.purge($1)::text", &[(&limit, Type::INT4)]).await?)
    }
}

/// The connection whose lock keeps others from running retention.
pub struct RetentionTurn(Option<Object>);

impl Drop for RetentionTurn {
    fn drop(&mut self) {
        // The lock ends with the session: a connection that went back to the pool would keep it.
        drop(self.0.take().map(Object::take));
    }
}

fn value<T: for<'a> postgres_types::FromSql<'a>>(row: &tokio_postgres::Row) -> Result<T, Failure> {
    row.try_get(0).map_err(|error| Failure::of(&error))
}

fn json<T: DeserializeOwned>(row: &tokio_postgres::Row) -> Result<T, Failure> {
    serde_json::from_str(&value::<String>(row)?).map_err(|error| Failure::Statement(error.to_string()))
}
