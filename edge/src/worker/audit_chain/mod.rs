//! Seals the audit log: whatever was committed since the last round, tenant by tenant. Nobody who writes waits for it, and nothing is added to what they do.

mod database;

use super::Context;
use crate::{
    audit_chain::{AuditKey, AuditKeys, Block, Drop, Entry, Erasure, Head, Heads, Previous, Segment, Watermark, ZERO},
    db::{Failure, WorkerDatabase},
    error::Error,
    storage::Storage,
};
use database::{OpenSegment, PageRow, SealedBlock};
use std::path::Path;
use uuid::Uuid;

/// Rows of a page, and of a block at most.
const ROWS_PER_PAGE: usize = 1_000;
const ERASURES_PER_PAGE: i32 = 2_000;
const HEADS_PER_PAGE: usize = 2_000;

/// What a round did.
#[derive(Debug, Default)]
pub struct Report {
    pub rows: u64,
    pub blocks: u64,
    /// What nobody has a right to: not sealed, and told.
    pub suspicions: Vec<String>,
}

/// The periodic task `seal_audit`. Where no key was ever made there is nothing to do: doctor tells.
pub async fn run(context: &Context) -> Result<(), Error> {
    let keys = keys(&context.database, &context.config.keys_dir).await?;
    if keys.is_unused() {
        return Ok(());
    }
    let report = seal(&context.database, &keys).await?;
    if report.rows > 0 {
        tracing::debug!("audit log: {} rows sealed in {} blocks", report.rows, report.blocks);
    }
    report.into_result()
}

impl Report {
    /// The suspicions as an error.
    pub fn into_result(self) -> Result<(), Error> {
        if self.suspicions.is_empty() { Ok(()) } else { Err(Error::Audit(self.suspicions.join("; "))) }
    }
}

/// The keys of this machine, held against the registered ones.
pub async fn keys(database: &WorkerDatabase, folder: &Path) -> Result<AuditKeys, Error> {
    AuditKeys::load(folder, database.audit_keys().await?)
}

/// One round.
pub async fn seal(database: &WorkerDatabase, keys: &AuditKeys) -> Result<Report, Error> {
    let key = keys.sealing()?;
    let mut report = Report::default();
    // Before any row is read: whoever writes from now on is younger than what this says.
    let round = database.begin_audit_round().await?;
    let old = match &round.watermark {
        None => None,
        Some((watermark, version, mac)) => {
            let known = keys.get(*version).ok_or_else(|| Error::AuditKey(format!("version {version} is not on this machine")))?;
            if watermark.mac(known).as_slice() != mac.as_slice() {
                return Err(Error::Audit(
                    "the watermark has another seal than ours: somebody changed it; run `nebula audit verify`".to_owned(),
                ));
            }
            Some(watermark.complete_before)
        }
    };
    for tenant in database.audit_tenants().await? {
        Tenant { database, key, tenant, sealed_at: round.now, segments: database.audit_segments(tenant).await? }.seal(&mut report).await?;
    }
    seal_erasures(database, key, &mut report).await?;
    seal_drops(database, key, &mut report).await?;
    if let Some(complete_before) = round.next_complete_before.max(old) {
        let watermark = Watermark { complete_before, sealed_at: round.now };
        database.finish_audit_round(&watermark, key.version.into(), watermark.mac(key)).await?;
    }
    Ok(report)
}

/// A tenant whose rows are being sealed.
struct Tenant<'a> {
    database: &'a WorkerDatabase,
    key: &'a AuditKey,
    tenant: Uuid,
    sealed_at: i64,
    /// By number.
    segments: Vec<OpenSegment>,
}

impl Tenant<'_> {
    async fn seal(mut self, report: &mut Report) -> Result<(), Error> {
        let mut after = None;
        loop {
            let page = self.database.audit_rows(self.tenant, after, ROWS_PER_PAGE).await?;
            let Some(last) = page.last() else { return Ok(()) };
            after = Some((last.row.created_at, last.row.id));
            let unsealed = page.iter().filter(|row| !row.is_sealed).collect::<Vec<_>>();
            for month in unsealed.chunk_by(|one, other| one.month == other.month) {
                self.seal_block(month, report).await?;
            }
            if page.len() < ROWS_PER_PAGE {
                return Ok(());
            }
        }
    }

    async fn seal_block(&mut self, rows: &[&PageRow], report: &mut Report) -> Result<(), Error> {
        let Some(month) = rows.first().map(|row| row.month.clone()) else { return Ok(()) };
        let open = match self.segments.iter().find(|segment| segment.month == month) {
            Some(segment) if segment.is_dropped => {
                report.suspicions.push(format!(
                    "tenant {}: {} rows of {month} are there, which retention dropped",
                    self.tenant,
                    rows.len()
                ));
                return Ok(());
            }
            Some(segment) => segment.clone(),
            None => OpenSegment {
                number: self.segments.last().map_or(1, |last| last.number.saturating_add(1)),
                month: month.clone(),
                previous: self.segments.last().map(|last| Previous {
                    month: last.month.clone(),
                    block_count: last.block_count,
                    head: last.head.clone(),
                }),
                block_count: 0,
                row_count: 0,
                head: ZERO.to_vec(),
                is_dropped: false,
            },
        };
        let entries = rows.iter().map(|PageRow { row, .. }| Entry {
            id: row.id,
            created_at: row.created_at,
            digest: row.digest(self.key),
            has_origin: row.has_origin(),
        });
        let entries = entries.collect::<Vec<_>>();
        let origins = rows.iter().flat_map(|row| row.row.origin(self.key)).collect();
        let (number, first_position) = (open.block_count.saturating_add(1), open.row_count.saturating_add(1));
        let block = Block {
            tenant: self.tenant,
            month: &month,
            number,
            first_position,
            sealed_at: self.sealed_at,
            previous: &open.head,
            entries: &entries,
        };
        let mac = block.mac(self.key);
        let row_count = open.row_count.saturating_add(i64::try_from(rows.len()).unwrap_or(i64::MAX));
        let segment = Segment {
            tenant: self.tenant,
            number: open.number,
            month: &month,
            previous: open.previous.as_ref(),
            block_count: number,
            row_count,
            head: &mac,
            sealed_at: self.sealed_at,
        };
        let sealed = SealedBlock {
            tenant: self.tenant,
            segment: open.number,
            month: &month,
            segment_previous: open.previous.as_ref(),
            number,
            first_position,
            entries: &entries,
            origins,
            previous: open.head.clone(),
            mac,
            segment_mac: segment.mac(self.key),
            key_version: self.key.version.into(),
            sealed_at: self.sealed_at,
        };
        if !self.database.seal_audit(&sealed).await? {
            return Err(Error::Audit(format!("tenant {}: another worker seals too; the next round goes on", self.tenant)));
        }
        let grown = OpenSegment { block_count: number, row_count, head: mac.to_vec(), ..open };
        self.segments.retain(|segment| segment.number != grown.number);
        self.segments.push(grown);
        self.segments.sort_by_key(|segment| segment.number);
        report.rows += rows.len() as u64;
        report.blocks += 1;
        Ok(())
    }
}

/// What anonymising took away, where somebody was anonymised.
async fn seal_erasures(database: &WorkerDatabase, key: &AuditKey, report: &mut Report) -> Result<(), Error> {
    loop {
        let page = database.unsealed_audit_erasures(ERASURES_PER_PAGE).await?;
        let (due, undue): (Vec<_>, Vec<_>) = page.iter().partition(|erasure| erasure.is_due);
        for rows in due.chunk_by(|one, other| one.tenant == other.tenant) {
            let Some(tenant) = rows.first().map(|erasure| erasure.tenant) else { continue };
            let ids = rows.iter().map(|erasure| erasure.row).collect::<Vec<_>>();
            let macs = rows
                .iter()
                .flat_map(|erasure| Erasure { tenant, row: erasure.row, user: erasure.user, erased_at: erasure.erased_at }.mac(key));
            database.seal_audit_erasures(tenant, &ids, key.version.into(), &macs.collect::<Vec<_>>()).await?;
        }
        if due.is_empty() || page.len() < usize::try_from(ERASURES_PER_PAGE).unwrap_or(usize::MAX) {
            let tell = |tenant: Uuid, row: Uuid| format!("tenant {tenant}: row {row} is said to be a person's who was not anonymised then");
            report.suspicions.extend(undue.iter().take(10).map(|erasure| tell(erasure.tenant, erasure.row)));
            return Ok(());
        }
    }
}

async fn seal_drops(database: &WorkerDatabase, key: &AuditKey, report: &mut Report) -> Result<(), Error> {
    for drop in database.unsealed_audit_drops().await? {
        if !drop.is_due {
            report.suspicions.push(format!("tenant {}: {} is marked as dropped, and its profile keeps it", drop.tenant, drop.month));
            continue;
        }
        let sealed = Drop { tenant: drop.tenant, number: drop.number, month: &drop.month, head: &drop.head, dropped_at: drop.dropped_at };
        database.seal_audit_drop(&drop, key.version.into(), sealed.mac(key)).await?;
    }
    Ok(())
}

/// The periodic task `export_audit_heads`.
pub async fn export(context: &Context) -> Result<(), Error> {
    let Some(storage) = &context.storage else { return Ok(()) };
    let heads = heads(&context.database).await?;
    if heads.heads.is_empty() && heads.complete_before.is_none() {
        return Ok(());
    }
    write_heads(&context.database, storage, &heads).await?;
    // The log is another place outside of the database, however short its memory.
    let newest = heads.heads.iter().map(|head| head.rows).sum::<i64>();
    tracing::info!("audit heads: {} written, {newest} rows, complete before {:?}", heads.heads.len(), heads.complete_before);
    Ok(())
}

/// The heads as they stand.
pub async fn heads(database: &WorkerDatabase) -> Result<Heads, Error> {
    let complete_before = database.begin_audit_round().await?.watermark.map(|(watermark, ..)| watermark.complete_before);
    let at = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    Ok(Heads { at, complete_before, heads: database.audit_heads().await? })
}

/// Writes them in the place of the last ones, unless the database lacks something of those: an export that forgot would hide what it is there to show.
async fn write_heads(database: &WorkerDatabase, storage: &Storage, heads: &Heads) -> Result<(), Error> {
    if let Some(last) = Heads::newest(storage).await? {
        let lost = lost(database, &last.heads).await?;
        if let Some(first) = lost.first() {
            return Err(Error::Audit(format!(
                "the database lacks seals that were exported at {} ({} heads; the first: tenant {} {} block {}): it was set back, or tampered with; \
                 see `nebula audit verify`, and after a restore that was meant `nebula audit heads --replace`",
                last.at,
                lost.len(),
                first.tenant,
                first.month,
                first.blocks
            )));
        }
        if heads.complete_before < last.complete_before {
            return Err(Error::Audit(format!(
                "the watermark is older than the one that was exported at {}: see `nebula audit verify`",
                last.at
            )));
        }
    }
    heads.put(storage).await
}

async fn lost(database: &WorkerDatabase, heads: &[Head]) -> Result<Vec<Head>, Failure> {
    let mut lost = Vec::new();
    for page in heads.chunks(HEADS_PER_PAGE) {
        lost.extend(database.lost_audit_heads(page).await?);
    }
    Ok(lost)
}

/// `nebula audit heads --export`: the same for cron or by hand. With `replace`, even where the database lacks what was exported before.
pub async fn export_now(database: &WorkerDatabase, storage: &Storage, replace: bool) -> Result<Heads, Error> {
    let heads = heads(database).await?;
    if replace {
        heads.put(storage).await?
    } else {
        write_heads(database, storage, &heads).await?
    }
    Ok(heads)
}
