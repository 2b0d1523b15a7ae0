//! Retention: whose rows of which month may go, archives of those that a profile keeps elsewhere, and letting go of them.
//!
//! Rows of history can't be deleted. What is neither expired nor archived stands in the way of dropping its month's partition, and is brought into a fresh one
//! that takes its place (docs/decisions/0016-retention.md).
//!
//! A copy of a database raises 55000 and lets go of nothing: its archives would take the place of the original's in the storage that both know.

use super::{
    partition::{LOCK, Month, SOURCES, Source},
    place,
    spi::{self, Arg},
};
use serde_json::{Value, json};
use uuid::Uuid;

/// Never archived: an archive can't be anonymised later.
const PERSONAL: &str = "'{ip,user_agent}'::text[]";
const MAX_PAGE: i32 = 5_000;

/// What may become of a tenant's rows of a month.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Keep,
    /// To be archived first.
    Archive,
    /// As many rows as there are stand in an archive.
    Archived,
    Drop,
}

struct Standing {
    /// `None`: the installation's own rows.
    tenant: Option<Uuid>,
    verdict: Verdict,
    /// When the archive expires.
    expires_at: Option<String>,
}

/// Of everybody who has rows in a month's partition; archives are compared with the rows.
fn standings(source: &Source, month: Month) -> Vec<Standing> {
    standings_of(source, month, None, true)
}

fn standings_of(source: &Source, month: Month, only: Option<Uuid>, counts: bool) -> Vec<Standing> {
    let sql = include_str!("retention.sql").replace("{partition}", &source.partition(month)).replace("{kept}", source.kept);
    let args =
        [Arg::Text(source.name), Arg::Text(&month.first_day()), Arg::OptUuid(only), Arg::Bool(source.is_archived), Arg::Bool(counts)];
    spi::rows(&sql, &args, |row| {
        let verdict = match row.text(2).as_deref() {
            Some("drop") => Verdict::Drop,
            Some("archived") => Verdict::Archived,
            Some("archive") => Verdict::Archive,
            _ => Verdict::Keep,
        };
        Standing { tenant: row.uuid(1), verdict, expires_at: row.text(3) }
    })
}

/// A partition without a row, and without a page that could hold one.
fn is_empty(partition: &str, standings: &[Standing]) -> bool {
    let size = "select pg_relation_size(('nebula.' || $1)::regclass) = 0";
    standings.is_empty() && spi::first(size, &[Arg::Text(partition)], |row| row.boolean(1)).flatten() == Some(true)
}

fn location(tenant: Uuid, source: &Source, month: Month) -> String {
    format!("archives/{tenant}/{}/{}", source.name, month.name())
}

/// The months of which something may go, with what is to be archived before.
#[must_use]
pub fn plan() -> Value {
    place::require_known();
    let mut plan = Vec::new();
    for source in &SOURCES {
        for month in source.old_months() {
            let standings = standings(source, month);
            let with = |verdict: Verdict| {
                let some = standings.iter().filter(|standing| standing.verdict == verdict);
                some.filter_map(|standing| {
                    let tenant = standing.tenant?;
                    Some(json!({ "tenant": tenant, "location": location(tenant, source, month), "expiresAt": standing.expires_at }))
                })
                .collect::<Vec<_>>()
            };
            let (archive, archived) = (with(Verdict::Archive), with(Verdict::Archived));
            let is_expired = standings.iter().any(|standing| standing.verdict == Verdict::Drop);
            let is_droppable = is_expired || !archived.is_empty() || is_empty(&source.partition(month), &standings);
            if is_droppable || !archive.is_empty() {
                plan.push(json!({
                    "source": source.name, "month": month.name(), "isDroppable": is_droppable, "archive": archive, "archived": archived,
                }));
            }
        }
    }
    Value::Array(plan)
}

/// The columns of an archived row; `None` for a table that is not archived.
#[must_use]
pub fn archive_columns(source: &str) -> Option<String> {
    let source = Source::named(source).filter(|source| source.is_archived)?;
    let sql = format!(
        "select string_agg(attname, ',' order by attnum) from pg_attribute \
         where attrelid = ('nebula.' || $1)::regclass and attnum > 0 and not attisdropped and attname <> all ({PERSONAL})"
    );
    spi::text(&sql, &[Arg::Text(source.name)])
}

/// The partition that a tenant's archive of a month is made of, if one is due, and when the archive expires.
fn due(tenant: Uuid, source: &str, month: &str) -> Option<(&'static Source, Month, String)> {
    let source = Source::named(source).filter(|source| source.is_archived)?;
    let month = Month::parse(month).filter(|month| source.old_months().contains(month))?;
    let standing = standings_of(source, month, Some(tenant), false).into_iter().next()?;
    standing.expires_at.filter(|_| standing.verdict == Verdict::Archive).map(|expires_at| (source, month, expires_at))
}

/// Rows of a page and where the next one begins.
pub struct Page {
    pub lines: String,
    pub count: i32,
    pub next: String,
}

/// The next rows of a month that is due; `None` after the last one, and where nothing is due: this is no way to read a log.
#[must_use]
pub fn archive_page(tenant: Uuid, source: &str, month: &str, position: &str, limit: i32) -> Option<Page> {
    let (source, month, _) = due(tenant, source, month)?;
    let (at, id) = position.split_once('/').unwrap_or(("-infinity", ""));
    let sql = format!(
        "select string_agg(line, e'\\n' order by at, id) || e'\\n', count(*)::integer, (array_agg(at || '/' || id order by at desc, id desc))[1] \
         from ( \
           select r.{time} as at, r.id, (to_jsonb(r) - {PERSONAL})::text as line from nebula.{partition} r \
           where r.tenant_id = $1 and (r.{time}, r.id) > ($2::timestamptz, $3) order by r.{time}, r.id limit $4 \
         ) page having count(*) > 0",
        time = source.time,
        partition = source.partition(month),
    );
    let args = [Arg::Uuid(tenant), Arg::Text(at), Arg::Uuid(id.parse().unwrap_or_default()), Arg::Int(limit.clamp(1, MAX_PAGE))];
    spi::first(&sql, &args, |row| Some(Page { lines: row.text(1)?, count: row.integer(2)?, next: row.text(3)? })).flatten()
}

/// Remembers an archive that holds as many rows as there are; whoever made it has read it back.
#[must_use]
pub fn record_archive(tenant: Uuid, source: &str, month: &str, row_count: i64, sha256: &[u8]) -> bool {
    place::require_known();
    spi::advisory_lock(LOCK);
    let Some((source, month, expires_at)) = due(tenant, source, month) else { return false };
    let sql = format!(
        "insert into nebula.archive as archive (tenant_id, source, month, location, row_count, sha256, expires_at) \
         select $1, $2, $3::text::date, $4, $5, $6, $7::text::timestamptz \
         where $5 = (select count(*) from nebula.{} r where r.tenant_id = $1) \
         on conflict (tenant_id, source, month) do update \
         set row_count = excluded.row_count, sha256 = excluded.sha256, expires_at = excluded.expires_at, created_at = now() \
         where archive.dropped_at is null",
        source.partition(month)
    );
    let args = [
        Arg::Uuid(tenant),
        Arg::Text(source.name),
        Arg::Text(&month.first_day()),
        Arg::Text(&location(tenant, source, month)),
        Arg::BigInt(row_count),
        Arg::Bytes(sha256),
        Arg::Text(&expires_at),
    ];
    spi::run(&sql, &args) > 0
}

/// Lets go of what may go of a month, but for the rows of `keep`. `None` where there is no such partition.
#[must_use]
pub fn drop_partition(source: &str, month: &str, keep: &[Uuid]) -> Option<&'static str> {
    place::require_known();
    if !spi::is_read_committed() {
        // What others have committed since the transaction began would be dropped unseen.
        pgrx::error!("nebula.drop_partition() runs in read committed transactions only");
    }
    let source = Source::named(source)?;
    let month = Month::parse(month)?;
    spi::advisory_lock(LOCK);
    let partition = source.partition(month);
    let exists = "select to_regclass('nebula.' || $1) is not null";
    spi::first(exists, &[Arg::Text(&partition)], |row| row.boolean(1)).flatten().filter(|exists| *exists)?;
    if !source.old_months().contains(&month) {
        return Some("kept");
    }
    // From here on the rows are those that are looked at below.
    spi::lock_against_writes(&format!("nebula.{partition}"));
    let standings = standings(source, month);
    let may_go = |standing: &&Standing| match standing.verdict {
        Verdict::Drop => true,
        Verdict::Archived => standing.tenant.is_some_and(|tenant| !keep.contains(&tenant)),
        Verdict::Keep | Verdict::Archive => false,
    };
    let going = standings.iter().filter(may_go).collect::<Vec<_>>();
    if going.is_empty() && !is_empty(&partition, &standings) {
        return Some("kept");
    }
    let has_keepers = going.len() < standings.len();
    let tenants = going.iter().filter_map(|standing| standing.tenant).collect::<Vec<_>>();
    if has_keepers {
        // Whatever isn't known to go stays.
        let own = if going.iter().any(|standing| standing.tenant.is_none()) { "r.tenant_id is not null and" } else { "" };
        let condition = format!("{own} (r.tenant_id is null or r.tenant_id <> all ($1))");
        source.copy(month, &condition, &[Arg::Uuids(&tenants)]);
    }
    spi::run(
        "update nebula.archive set dropped_at = now() where source = $1 and month = $2::text::date and tenant_id = any ($3) and dropped_at is null",
        &[Arg::Text(source.name), Arg::Text(&month.first_day()), Arg::Uuids(&tenants)],
    );
    if source.name == "audit_log" {
        drop_seals(&tenants, month);
    }
    source.replace(month, has_keepers);
    Some(if has_keepers { "rebuilt" } else { "dropped" })
}

/// The seals of what goes go with it; the segment stays, and says so.
fn drop_seals(tenants: &[Uuid], month: Month) {
    let first_day = month.first_day();
    let args = [Arg::Text(&first_day), Arg::Uuids(tenants)];
    for statement in [
        "update nebula.audit_segment set dropped_at = now() where month = $1::text::date and tenant_id = any ($2) and dropped_at is null",
        "delete from nebula.audit_block where month = $1::text::date and tenant_id = any ($2)",
        "delete from nebula.audit_erasure where tenant_id = any ($2) \
         and row_created_at >= $1::text::date::timestamptz and row_created_at < ($1::text::date + interval '1 month')::timestamptz",
    ] {
        spi::run(statement, &args);
    }
}

/// Archives whose time is over, a thousand at most: tenant, id and location.
#[must_use]
pub fn expired_archives() -> Vec<(Uuid, Uuid, String)> {
    place::require_known();
    let sql = "select tenant_id, id, location from nebula.archive where expires_at <= now() order by expires_at, tenant_id, id limit 1000";
    let read = spi::rows(sql, &[], |row| Some((row.uuid(1)?, row.uuid(2)?, row.text(3)?)));
    read.into_iter().flatten().collect()
}

/// Forgets an archive whose objects were removed; false where its time is not over.
#[must_use]
pub fn forget_archive(tenant: Uuid, id: Uuid) -> bool {
    place::require_known();
    let sql = "delete from nebula.archive where tenant_id = $1 and id = $2 and expires_at <= now()";
    spi::run(sql, &[Arg::Uuid(tenant), Arg::Uuid(id)]) > 0
}
