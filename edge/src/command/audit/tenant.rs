//! A tenant's segments and blocks, and what no block has.

use super::{finding::Finding, outside, tenant_rows, verify::Report};
use crate::{
    audit_chain::{AuditKeys, Block, Drop, Entry, Head, Heads, Previous, Segment, ZERO},
    error::Error,
};
use tokio_postgres::{Client, IsolationLevel, Row, Transaction, types::Type};
use uuid::Uuid;

/// Blocks of a page: a thousand rows each at most.
const BLOCKS_PER_PAGE: i32 = 5;
/// So many findings of a tenant are told; what was done to a whole month needs no more.
const FINDINGS: usize = 20;

/// What every tenant is held against.
pub struct Scope<'a> {
    pub keys: &'a AuditKeys,
    pub heads: Option<&'a Heads>,
    pub complete_before: Option<i64>,
    pub max_lag_seconds: i64,
}

/// A segment's row.
struct Stored {
    number: i32,
    month: String,
    previous: Option<Previous>,
    block_count: i32,
    row_count: i64,
    head: Vec<u8>,
    key_version: i32,
    mac: Vec<u8>,
    sealed_at: i64,
    dropped: Option<Dropped>,
}

struct Dropped {
    at: i64,
    key_version: Option<i32>,
    mac: Option<Vec<u8>>,
    /// By the tenant's profile of today.
    is_due: bool,
}

/// What a tenant's verification has come to.
pub struct Verifying<'a> {
    pub scope: &'a Scope<'a>,
    pub tenant: Uuid,
    pub findings: Vec<Finding>,
    pub rows: u64,
}

impl Verifying<'_> {
    pub fn tell(&mut self, finding: Finding) {
        self.findings.push(finding);
    }

    /// Whether so much was found that nothing more is looked for.
    pub fn is_enough(&self) -> bool {
        self.findings.len() >= FINDINGS
    }
}

/// Verifies a tenant in one snapshot.
pub async fn verify(client: &mut Client, scope: &Scope<'_>, tenant: Uuid, report: &mut Report) -> Result<(), Error> {
    let transaction = client.build_transaction().isolation_level(IsolationLevel::RepeatableRead).read_only(true).start().await?;
    let mut verifying = Verifying { scope, tenant, findings: Vec::new(), rows: 0 };
    let segments = segments(&transaction, tenant).await?;
    check_links(&mut verifying, &segments);
    for segment in &segments {
        check_segment(&transaction, &mut verifying, segment, report).await?;
        if verifying.is_enough() {
            break;
        }
    }
    if !verifying.is_enough() {
        check_orphans(&transaction, &mut verifying).await?;
        check_outside(&transaction, &mut verifying, &segments).await?;
        check_rest(&transaction, &mut verifying, !segments.is_empty(), report).await?;
    }
    transaction.rollback().await?;
    report.rows += verifying.rows;
    report.findings.append(&mut verifying.findings);
    Ok(())
}

async fn segments(transaction: &Transaction<'_>, tenant: Uuid) -> Result<Vec<Stored>, Error> {
    let statement = "select s.number, s.month::text, s.previous_month::text, s.previous_block_count, s.previous_head, s.block_count, s.row_count, s.head, \
        s.key_version, s.mac, (extract(epoch from s.sealed_at) * 1000000)::bigint, (extract(epoch from s.dropped_at) * 1000000)::bigint, \
        s.drop_key_version, s.drop_mac, \
        (s.month + interval '1 month') at time zone 'utc' + make_interval(days => p.audit_days) <= s.dropped_at and s.dropped_at <= now() \
      from nebula.audit_segment s left join nebula.tenant_config c on c.tenant_id = s.tenant_id \
      left join nebula.operational_profile p on p.key = coalesce(c.profile, 'mvp') where s.tenant_id = $1 order by s.number";
    let read = |row: &Row| -> Result<Stored, tokio_postgres::Error> {
        let dropped = match row.try_get::<_, Option<i64>>(11)? {
            None => None,
            Some(at) => Some(Dropped {
                at,
                key_version: row.try_get(12)?,
                mac: row.try_get(13)?,
                is_due: row.try_get::<_, Option<bool>>(14)?.unwrap_or_default(),
            }),
        };
        Ok(Stored {
            number: row.try_get(0)?,
            month: row.try_get(1)?,
            previous: Previous::read(row, 2)?,
            block_count: row.try_get(5)?,
            row_count: row.try_get(6)?,
            head: row.try_get(7)?,
            key_version: row.try_get(8)?,
            mac: row.try_get(9)?,
            sealed_at: row.try_get(10)?,
            dropped,
        })
    };
    let rows = transaction.query_typed(statement, &[(&tenant, Type::UUID)]).await?;
    Ok(rows.iter().map(read).collect::<Result<_, _>>()?)
}

/// No segment is missing between others, and each follows the one that it says it follows.
fn check_links(verifying: &mut Verifying<'_>, segments: &[Stored]) {
    for (expected, segment) in (1..).zip(segments) {
        if segment.number != expected {
            let what = format!("segment {expected} is gone, with all rows of its month");
            verifying.tell(Finding::of(verifying.tenant, &segment.month, "segment_missing", what));
            return;
        }
    }
    for pair in segments.windows(2) {
        let [before, segment] = pair else { continue };
        let is_follower =
            segment.previous.as_ref().is_some_and(|previous| previous.month == before.month && previous.block_count <= before.block_count);
        if !is_follower {
            let what =
                "the month before is another, or shorter, than when this one began: its newest rows were cut off, or it was set back";
            verifying.tell(Finding::of(verifying.tenant, &before.month, "segment_link", what));
        }
    }
}

async fn check_segment(
    transaction: &Transaction<'_>,
    verifying: &mut Verifying<'_>,
    stored: &Stored,
    report: &mut Report,
) -> Result<(), Error> {
    let tenant = verifying.tenant;
    let segment = Segment {
        tenant,
        number: stored.number,
        month: &stored.month,
        previous: stored.previous.as_ref(),
        block_count: stored.block_count,
        row_count: stored.row_count,
        head: &stored.head,
        sealed_at: stored.sealed_at,
    };
    let is_ours = verifying.scope.keys.get(stored.key_version).is_some_and(|key| segment.mac(key).as_slice() == stored.mac);
    if let Some(dropped) = &stored.dropped {
        report.dropped_months += 1;
        if !is_ours {
            verifying.tell(Finding::of(tenant, &stored.month, "segment_seal", "the segment's seal is not ours"));
        }
        check_drop(verifying, stored, dropped);
        return Ok(());
    }
    let before = verifying.findings.len();
    check_blocks(transaction, verifying, stored).await?;
    // What is wrong with a row says more than that the segment is another.
    if !is_ours && verifying.findings.len() == before {
        verifying.tell(Finding::of(tenant, &stored.month, "segment_seal", "the segment's seal is not ours"));
    }
    Ok(())
}

fn check_drop(verifying: &mut Verifying<'_>, stored: &Stored, dropped: &Dropped) {
    let tenant = verifying.tenant;
    let sealed = Drop { tenant, number: stored.number, month: &stored.month, head: &stored.head, dropped_at: dropped.at };
    let is_right = match (&dropped.mac, dropped.key_version) {
        (Some(mac), Some(version)) => verifying.scope.keys.get(version).is_some_and(|key| sealed.mac(key).as_slice() == mac.as_slice()),
        // Not sealed yet: what the worker would find.
        _ => dropped.is_due,
    };
    if !is_right {
        let what = "the month was dropped before its time, or nobody sealed that it was due";
        verifying.tell(Finding::of(tenant, &stored.month, "dropped_early", what));
    }
}

/// A block's row, and what can be said of it without the rows.
struct StoredBlock {
    number: i32,
    first_position: i64,
    entries: Vec<Entry>,
    origins: Vec<u8>,
    key_version: i32,
    previous: Vec<u8>,
    mac: Vec<u8>,
    sealed_at: i64,
}

fn read_block(row: &Row) -> Result<StoredBlock, Error> {
    let (ids, times): (Vec<Uuid>, Vec<i64>) = (row.try_get(2)?, row.try_get(3)?);
    let (digests, flags): (Vec<u8>, Vec<u8>) = (row.try_get(4)?, row.try_get(5)?);
    let entries = ids.iter().zip(&times).zip(digests.chunks_exact(32)).zip(&flags);
    let entries = entries.map(|(((id, created_at), digest), flag)| Entry {
        id: *id,
        created_at: *created_at,
        digest: digest.try_into().unwrap_or_default(),
        has_origin: *flag != 0,
    });
    Ok(StoredBlock {
        number: row.try_get(0)?,
        first_position: row.try_get(1)?,
        entries: entries.collect(),
        origins: row.try_get(6)?,
        key_version: row.try_get(7)?,
        previous: row.try_get(8)?,
        mac: row.try_get(9)?,
        sealed_at: row.try_get(10)?,
    })
}

async fn check_blocks(transaction: &Transaction<'_>, verifying: &mut Verifying<'_>, segment: &Stored) -> Result<(), Error> {
    let (tenant, month) = (verifying.tenant, segment.month.as_str());
    let statement = "select number, first_position, row_ids, row_times, digests, origin_flags, origins, key_version, previous, mac, \
        (extract(epoch from sealed_at) * 1000000)::bigint \
      from nebula.audit_block where tenant_id = $1 and month = $2::text::date and number > $3 order by number limit $4";
    let (mut number, mut position, mut head) = (0_i32, 1_i64, ZERO.to_vec());
    loop {
        let page = transaction
            .query_typed(statement, &[(&tenant, Type::UUID), (&month, Type::TEXT), (&number, Type::INT4), (&BLOCKS_PER_PAGE, Type::INT4)])
            .await?;
        if page.is_empty() {
            break;
        }
        for row in &page {
            let block = read_block(row)?;
            number = number.saturating_add(1);
            if block.number != number {
                let what = format!("block {number} is gone: the rows from here to block {}", block.number);
                verifying.tell(Finding::of(tenant, month, "block_missing", what).at(position, None));
                return Ok(());
            }
            let before = verifying.findings.len();
            let key = verifying.scope.keys.get(block.key_version);
            if let Some(key) = key {
                tenant_rows::check(transaction, verifying, month, block.first_position, &block.entries, &block.origins, key).await?;
            }
            let sealed = Block {
                tenant,
                month,
                number,
                first_position: position,
                sealed_at: block.sealed_at,
                previous: &head,
                entries: &block.entries,
            };
            let is_ours = block.previous == head && key.is_some_and(|key| sealed.mac(key).as_slice() == block.mac);
            if !is_ours && verifying.findings.len() == before {
                let first = block.entries.first().map(|entry| entry.id);
                let what = format!("the seal of block {number} is not ours: it was replaced, moved or changed");
                verifying.tell(Finding::of(tenant, month, "block_seal", what).at(position, first));
            }
            if !is_ours || verifying.is_enough() {
                // What comes after hangs on it.
                return Ok(());
            }
            position = position.saturating_add(i64::try_from(block.entries.len()).unwrap_or(i64::MAX));
            head = block.mac;
        }
    }
    if number != segment.block_count || head != segment.head || position != segment.row_count.saturating_add(1) {
        let what = format!(
            "the segment has {} rows in {} blocks, and blocks end at {number}: the newest were cut off",
            segment.row_count, segment.block_count
        );
        verifying.tell(Finding::of(tenant, month, "block_missing", what).at(position, None));
    }
    Ok(())
}

/// Blocks whose segment is gone.
async fn check_orphans(transaction: &Transaction<'_>, verifying: &mut Verifying<'_>) -> Result<(), Error> {
    let tenant = verifying.tenant;
    let statement = "select distinct b.month::text from nebula.audit_block b where b.tenant_id = $1 \
                     and not exists (select from nebula.audit_segment s where s.tenant_id = $1 and s.month = b.month and s.dropped_at is null)";
    for row in transaction.query_typed(statement, &[(&tenant, Type::UUID)]).await? {
        let month: String = row.try_get(0)?;
        verifying.tell(Finding::of(tenant, &month, "segment_missing", "there are blocks of a month that has no segment"));
    }
    Ok(())
}

/// What was exported is still there.
async fn check_outside(transaction: &Transaction<'_>, verifying: &mut Verifying<'_>, segments: &[Stored]) -> Result<(), Error> {
    let tenant = verifying.tenant;
    for head in outside::of(verifying.scope.heads, tenant) {
        let stored = segments.iter().find(|segment| segment.month == head.month && segment.number == head.number);
        let holds = match stored {
            None => false,
            Some(stored) if nebula_core::hex::encode(&stored.head) == head.head => stored.block_count == head.blocks,
            Some(stored) if stored.dropped.is_some() => stored.block_count > head.blocks,
            Some(stored) => stored.block_count > head.blocks && has_block(transaction, tenant, head).await?,
        };
        if !holds {
            let now = stored.map_or_else(|| "no such month".to_owned(), |stored| format!("{} rows", stored.row_count));
            let what = format!(
                "{} rows were sealed when the heads were exported, and there are {now}: cut off, or set back to an older copy",
                head.rows
            );
            let position = stored.map_or(1, |stored| stored.row_count.saturating_add(1)).min(head.rows);
            verifying.tell(Finding::of(tenant, &head.month, "set_back", what).at(position, None));
        }
    }
    Ok(())
}

async fn has_block(transaction: &Transaction<'_>, tenant: Uuid, head: &Head) -> Result<bool, Error> {
    let statement = "select exists (select from nebula.audit_block where tenant_id = $1 and month = $2::text::date and number = $3 and encode(mac, 'hex') = $4)";
    let row = transaction
        .query_typed_one(
            statement,
            &[(&tenant, Type::UUID), (&head.month, Type::TEXT), (&head.blocks, Type::INT4), (&head.head, Type::TEXT)],
        )
        .await?;
    Ok(row.try_get(0)?)
}

/// Rows that no block has: those that came behind what is complete, and those that wait. The server looks, so that nothing is gathered here.
async fn check_rest(
    transaction: &Transaction<'_>,
    verifying: &mut Verifying<'_>,
    is_sealed: bool,
    report: &mut Report,
) -> Result<(), Error> {
    let tenant = verifying.tenant;
    // A tenant without a segment begins with the oldest row that it has.
    let complete_before = verifying.scope.complete_before.filter(|_| is_sealed);
    let rest = "with sealed as materialized ( \
        select u.id, u.created_at from nebula.audit_block b cross join lateral unnest(b.row_ids, b.row_times) u (id, created_at) where b.tenant_id = $1 \
      ), rest as ( \
        select r.id, r.created_at, r.created_at < timestamptz 'epoch' + $2 * interval '1 microsecond' as is_behind from nebula.audit_log r where r.tenant_id = $1 \
          and not exists (select from sealed s where s.id = r.id and s.created_at = (extract(epoch from r.created_at) * 1000000)::bigint) \
      )";
    let parameters: [(&(dyn postgres_types::ToSql + Sync), Type); 2] = [(&tenant, Type::UUID), (&complete_before, Type::INT8)];
    let summary = format!(
        "{rest} select count(*) filter (where is_behind is not true), \
           extract(epoch from now() - min(created_at) filter (where is_behind is not true))::bigint, coalesce(bool_or(is_behind), false) from rest"
    );
    let row = transaction.query_typed_one(&summary, &parameters).await?;
    report.unsealed_rows += row.try_get::<_, i64>(0)?;
    let waited = row.try_get::<_, Option<i64>>(1)?;
    report.unsealed_seconds = report.unsealed_seconds.max(waited);
    if waited.is_some_and(|seconds| seconds > verifying.scope.max_lag_seconds) {
        let what =
            format!("rows have waited for {} s to be sealed: no worker seals, or their seals were removed", waited.unwrap_or_default());
        verifying.tell(Finding { tenant: Some(tenant), kind: "unsealed", what, ..Finding::default() });
    }
    if row.try_get(2)? {
        let behind = format!(
            "{rest} select id, to_char(created_at at time zone 'utc', 'YYYY-MM') from rest where is_behind order by created_at, id limit {FINDINGS}"
        );
        for row in transaction.query_typed(&behind, &parameters).await? {
            let (id, month): (Uuid, String) = (row.try_get(0)?, row.try_get(1)?);
            let what = "a row that was not there when everything before it was sealed: put there later, or moved";
            verifying.tell(Finding { row: Some(id), ..Finding::of(tenant, &month, "row_inserted", what) });
        }
    }
    Ok(())
}
