//! What sealing the audit log reads from the database, and where it puts the seals (`sql/functions/audit_chain.sql`).

use crate::{
    audit_chain::{self, Entry, Head, Previous, Row, Watermark},
    db::{Failure, WorkerDatabase},
};
use std::collections::BTreeMap;
use tokio_postgres::types::Type;
use uuid::Uuid;

/// Tenants of a page of heads.
const TENANTS_PER_PAGE: i32 = 2_000;

/// A round as it begins.
pub struct Round {
    /// As it stands, with the key's version and the seal.
    pub watermark: Option<(Watermark, i32, Vec<u8>)>,
    /// Where it may go; `None` where nobody can know.
    pub next_complete_before: Option<i64>,
    pub now: i64,
}

/// A row of a page.
pub struct PageRow {
    pub row: Row,
    /// `YYYY-MM-01`.
    pub month: String,
    /// A block has it.
    pub is_sealed: bool,
}

/// A segment as the sealer goes on with it.
#[derive(Clone)]
pub struct OpenSegment {
    pub number: i32,
    pub month: String,
    pub previous: Option<Previous>,
    pub block_count: i32,
    pub row_count: i64,
    pub head: Vec<u8>,
    pub is_dropped: bool,
}

/// A block with its seals.
pub struct SealedBlock<'a> {
    pub tenant: Uuid,
    pub segment: i32,
    pub month: &'a str,
    pub segment_previous: Option<&'a Previous>,
    pub number: i32,
    pub first_position: i64,
    pub entries: &'a [Entry],
    pub origins: Vec<u8>,
    pub previous: Vec<u8>,
    pub mac: [u8; 32],
    pub segment_mac: [u8; 32],
    pub key_version: i32,
    pub sealed_at: i64,
}

/// A dropped segment that is not sealed as such.
pub struct UnsealedDrop {
    pub tenant: Uuid,
    pub number: i32,
    pub month: String,
    pub head: Vec<u8>,
    pub dropped_at: i64,
    pub is_due: bool,
}

/// A row that anonymising has changed.
pub struct UnsealedErasure {
    pub tenant: Uuid,
    pub row: Uuid,
    pub user: Uuid,
    pub erased_at: i64,
    pub is_due: bool,
}

fn decoded<T>(decode: impl FnOnce() -> Result<T, tokio_postgres::Error>) -> Result<T, Failure> {
    decode().map_err(|error| Failure::of(&error))
}

impl WorkerDatabase {
    /// `nebula.audit_keys`.
    pub async fn audit_keys(&self) -> Result<BTreeMap<u16, Vec<u8>>, Failure> {
        let rows = self.rows("select version, fingerprint from nebula.audit_keys()", &[]).await?;
        decoded(|| audit_chain::registered(&rows))
    }

    /// `nebula.begin_audit_round`.
    pub async fn begin_audit_round(&self) -> Result<Round, Failure> {
        let statement = "select complete_before, sealed_at, key_version, mac, next_complete_before, now_at from nebula.begin_audit_round()";
        let row = self.row(statement, &[]).await?;
        decoded(|| {
            let watermark = match row.try_get::<_, Option<i64>>(0)? {
                None => None,
                Some(complete_before) => {
                    Some((Watermark { complete_before, sealed_at: row.try_get(1)? }, row.try_get(2)?, row.try_get(3)?))
                }
            };
            Ok(Round { watermark, next_complete_before: row.try_get(4)?, now: row.try_get(5)? })
        })
    }

    /// `nebula.audit_tenants`.
    pub async fn audit_tenants(&self) -> Result<Vec<Uuid>, Failure> {
        let rows = self.rows("select nebula.audit_tenants()", &[]).await?;
        decoded(|| rows.iter().map(|row| row.try_get(0)).collect())
    }

    /// `nebula.audit_rows`.
    pub async fn audit_rows(&self, tenant: Uuid, after: Option<(i64, Uuid)>, limit: usize) -> Result<Vec<PageRow>, Failure> {
        let statement = "select id, created_at, month, actor_user_id, actor_api_key_id, actor_type, action, entity_type, entity_id, metadata, ip, user_agent, \
                         is_sealed from nebula.audit_rows($1, $2, $3, $4)";
        let (time, id) = after.unzip();
        let limit = i32::try_from(limit).unwrap_or(i32::MAX);
        let rows = self.rows(statement, &[(&tenant, Type::UUID), (&time, Type::INT8), (&id, Type::UUID), (&limit, Type::INT4)]).await?;
        let read = |row: &tokio_postgres::Row| {
            // Null where the row is sealed.
            let text = |column: usize| row.try_get::<_, Option<String>>(column).map(Option::unwrap_or_default);
            let audited = Row {
                tenant,
                id: row.try_get(0)?,
                created_at: row.try_get(1)?,
                actor_user_id: row.try_get(3)?,
                actor_api_key_id: row.try_get(4)?,
                actor_type: text(5)?,
                action: text(6)?,
                entity_type: text(7)?,
                entity_id: row.try_get(8)?,
                metadata: text(9)?,
                ip: row.try_get(10)?,
                user_agent: row.try_get(11)?,
            };
            Ok(PageRow { row: audited, month: row.try_get(2)?, is_sealed: row.try_get(12)? })
        };
        decoded(|| rows.iter().map(read).collect())
    }

    /// `nebula.audit_segments`.
    pub async fn audit_segments(&self, tenant: Uuid) -> Result<Vec<OpenSegment>, Failure> {
        let statement = "select number, month, previous_month, previous_block_count, previous_head, block_count, row_count, head, is_dropped \
                         from nebula.audit_segments($1)";
        let rows = self.rows(statement, &[(&tenant, Type::UUID)]).await?;
        let read = |row: &tokio_postgres::Row| {
            Ok(OpenSegment {
                number: row.try_get(0)?,
                month: row.try_get(1)?,
                previous: Previous::read(row, 2)?,
                block_count: row.try_get(5)?,
                row_count: row.try_get(6)?,
                head: row.try_get(7)?,
                is_dropped: row.try_get(8)?,
            })
        };
        decoded(|| rows.iter().map(read).collect())
    }

    /// `nebula.seal_audit`: false where somebody else was there first.
    pub async fn seal_audit(&self, block: &SealedBlock<'_>) -> Result<bool, Failure> {
        let previous = block.segment_previous;
        let (month, count, head) =
            (previous.map(|p| p.month.as_str()), previous.map(|p| p.block_count), previous.map(|p| p.head.as_slice()));
        let ids = block.entries.iter().map(|entry| entry.id).collect::<Vec<_>>();
        let times = block.entries.iter().map(|entry| entry.created_at).collect::<Vec<_>>();
        let digests = block.entries.iter().flat_map(|entry| entry.digest).collect::<Vec<_>>();
        let flags = block.entries.iter().map(|entry| u8::from(entry.has_origin)).collect::<Vec<_>>();
        let statement = "select nebula.seal_audit($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)";
        let row = self
            .row(
                statement,
                &[
                    (&block.tenant, Type::UUID),
                    (&block.segment, Type::INT4),
                    (&block.month, Type::TEXT),
                    (&month, Type::TEXT),
                    (&count, Type::INT4),
                    (&head, Type::BYTEA),
                    (&block.number, Type::INT4),
                    (&block.first_position, Type::INT8),
                    (&ids, Type::UUID_ARRAY),
                    (&times, Type::INT8_ARRAY),
                    (&digests, Type::BYTEA),
                    (&flags, Type::BYTEA),
                    (&block.origins, Type::BYTEA),
                    (&block.previous, Type::BYTEA),
                    (&block.mac.as_slice(), Type::BYTEA),
                    (&block.segment_mac.as_slice(), Type::BYTEA),
                    (&block.key_version, Type::INT4),
                    (&block.sealed_at, Type::INT8),
                ],
            )
            .await?;
        decoded(|| row.try_get(0))
    }

    /// `nebula.finish_audit_round`.
    pub async fn finish_audit_round(&self, watermark: &Watermark, key_version: i32, mac: [u8; 32]) -> Result<(), Failure> {
        let (mac, statement) = (mac.as_slice(), "select nebula.finish_audit_round($1, $2, $3, $4)");
        let parameters: [(&(dyn postgres_types::ToSql + Sync), Type); 4] =
            [(&watermark.complete_before, Type::INT8), (&key_version, Type::INT4), (&mac, Type::BYTEA), (&watermark.sealed_at, Type::INT8)];
        self.row(statement, &parameters).await.map(|_| ())
    }

    /// `nebula.unsealed_audit_drops`.
    pub async fn unsealed_audit_drops(&self) -> Result<Vec<UnsealedDrop>, Failure> {
        let statement = "select tenant, number, month, head, dropped_at, is_due from nebula.unsealed_audit_drops()";
        let rows = self.rows(statement, &[]).await?;
        let read = |row: &tokio_postgres::Row| {
            Ok(UnsealedDrop {
                tenant: row.try_get(0)?,
                number: row.try_get(1)?,
                month: row.try_get(2)?,
                head: row.try_get(3)?,
                dropped_at: row.try_get(4)?,
                is_due: row.try_get(5)?,
            })
        };
        decoded(|| rows.iter().map(read).collect())
    }

    /// `nebula.seal_audit_drop`.
    pub async fn seal_audit_drop(&self, drop: &UnsealedDrop, key_version: i32, mac: [u8; 32]) -> Result<(), Failure> {
        let mac = mac.as_slice();
        let parameters: [(&(dyn postgres_types::ToSql + Sync), Type); 4] =
            [(&drop.tenant, Type::UUID), (&drop.number, Type::INT4), (&key_version, Type::INT4), (&mac, Type::BYTEA)];
        self.row("select nebula.seal_audit_drop($1, $2, $3, $4)", &parameters).await.map(|_| ())
    }

    /// `nebula.unsealed_audit_erasures`.
    pub async fn unsealed_audit_erasures(&self, limit: i32) -> Result<Vec<UnsealedErasure>, Failure> {
        let statement = "select tenant, id, user_id, erased_at, is_due from nebula.unsealed_audit_erasures($1)";
        let rows = self.rows(statement, &[(&limit, Type::INT4)]).await?;
        let read = |row: &tokio_postgres::Row| {
            Ok(UnsealedErasure {
                tenant: row.try_get(0)?,
                row: row.try_get(1)?,
                user: row.try_get(2)?,
                erased_at: row.try_get(3)?,
                is_due: row.try_get(4)?,
            })
        };
        decoded(|| rows.iter().map(read).collect())
    }

    /// `nebula.seal_audit_erasures`, rows of one tenant.
    pub async fn seal_audit_erasures(&self, tenant: Uuid, rows: &[Uuid], key_version: i32, macs: &[u8]) -> Result<(), Failure> {
        let parameters: [(&(dyn postgres_types::ToSql + Sync), Type); 4] =
            [(&tenant, Type::UUID), (&rows, Type::UUID_ARRAY), (&key_version, Type::INT4), (&macs, Type::BYTEA)];
        self.row("select nebula.seal_audit_erasures($1, $2, $3, $4)", &parameters).await.map(|_| ())
    }

    /// `nebula.audit_heads`: all of them.
    pub async fn audit_heads(&self) -> Result<Vec<Head>, Failure> {
        let statement = "select tenant, number, month, block_count, row_count, head, key_version from nebula.audit_heads($1, $2)";
        let mut heads: Vec<Head> = Vec::new();
        loop {
            let after = heads.last().map(|head| head.tenant);
            let rows = self.rows(statement, &[(&after, Type::UUID), (&TENANTS_PER_PAGE, Type::INT4)]).await?;
            if rows.is_empty() {
                return Ok(heads);
            }
            let read = |row: &tokio_postgres::Row| {
                Ok(Head {
                    tenant: row.try_get(0)?,
                    number: row.try_get(1)?,
                    month: row.try_get(2)?,
                    blocks: row.try_get(3)?,
                    rows: row.try_get(4)?,
                    head: row.try_get(5)?,
                    key_version: row.try_get(6)?,
                })
            };
            heads.extend(decoded(|| rows.iter().map(read).collect::<Result<Vec<_>, _>>())?);
        }
    }

    /// `nebula.lost_audit_heads`: those of the list that the database has no more.
    pub async fn lost_audit_heads(&self, heads: &[Head]) -> Result<Vec<Head>, Failure> {
        let unreadable = |error: serde_json::Error| Failure::Statement(error.to_string());
        let list = serde_json::to_string(heads).map_err(unreadable)?;
        let rows = self.rows("select nebula.lost_audit_heads($1::text::json)::text", &[(&list, Type::TEXT)]).await?;
        rows.iter().map(|row| serde_json::from_str(&decoded(|| row.try_get::<_, String>(0))?).map_err(unreadable)).collect()
    }
}
