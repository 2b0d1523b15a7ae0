//! A tenant's rows out of the database. Only who holds the lease of a job that the tenant asked for reads them, and reads that tenant's alone: the
//! worker's login by itself opens nothing (docs/worker-protocol.md).

use super::{
    audit,
    context::{self, Actor, Caller, Origin, Scope},
    export_table::{self, TABLES},
    migrate, outbox,
    spi::{self, Arg},
    sql_caller::PLATFORM,
};
use pgrx::{PgSqlErrorCode, ereport};
use serde::Deserialize;
use serde_json::{Value, json};
use std::{cell::Cell, collections::BTreeMap, rc::Rc};
use uuid::Uuid;

/// The work's name in the outbox.
pub const RUN: &str = "export.run";
/// Removes a file from object storage.
const REMOVE: &str = "storage.remove";
/// The most rows of a page.
const MAX_PAGE_ROWS: i32 = 1_000;
/// The longest that a file is kept: a year.
const MAX_HOURS: i32 = 8_760;

/// Whoever holds the lease of a job.
#[derive(Clone, Copy)]
pub struct Holder<'a> {
    pub worker: &'a str,
    pub job: Uuid,
    pub attempt: i32,
}

/// What may be read.
#[derive(Clone, Copy)]
struct Lease {
    tenant: Uuid,
    export: Uuid,
}

thread_local! {
    /// The tenant that a DBA exports in this transaction.
    static OPENED: Cell<Option<Uuid>> = const { Cell::new(None) };
}

/// Forgets what a DBA opened: the transaction, or a savepoint of it, is over.
pub fn forget() {
    OPENED.set(None);
}

impl Holder<'_> {
    /// The lease as of now, also in a transaction that began before it was prolonged.
    fn lease(&self) -> Option<Lease> {
        let leased = spi::as_role(PLATFORM, || {
            spi::reading_latest(|| {
                spi::first(
                    "select o.tenant_id, (o.payload #>> '{data,exportId}')::uuid from nebula.outbox o \
                     where o.id = $1 and o.type = $2 and o.status = 'running' and o.locked_by = $3 and o.attempts = $4 \
                       and o.locked_until > clock_timestamp()",
                    &[Arg::Uuid(self.job), Arg::Text(RUN), Arg::Text(self.worker), Arg::Int(self.attempt)],
                    |row| Some(Lease { tenant: row.uuid(1)?, export: row.uuid(2)? }),
                )
            })
        });
        leased.flatten()
    }

    /// The tenant whose rows may be read: that of the lease, or the one that a DBA has opened.
    fn tenant(&self) -> Uuid {
        let Some(tenant) = OPENED.get().or_else(|| Some(self.lease()?.tenant)) else {
            ereport!(ERROR, PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, "the lease of this export is lost");
        };
        tenant
    }

    /// Where this attempt's file is put. Another attempt's is another, so that a worker that comes late overwrites nothing.
    fn location(&self, lease: Lease, attempt: i32) -> String {
        format!("exports/{}/{}.{attempt}.zip", lease.tenant, lease.export)
    }
}

/// Acts for a tenant, as nobody: policies then show that tenant's rows alone.
#[must_use = "the context ends when the scope is dropped"]
pub fn enter(tenant: Uuid, action: &str, request_id: &str) -> Scope {
    let origin = Rc::new(Origin { request_id: request_id.to_owned(), ..Origin::default() });
    context::enter(Caller { tenant, home: tenant, actor: Actor::Nobody, action: Rc::from(action), origin, session: None })
}

/// One at a time begins or takes back a tenant's exports.
pub fn lock(tenant: Uuid) {
    spi::advisory_lock(&format!("{tenant}/exports"));
}

/// Begins an attempt; `None` where there is nothing to do any more: the lease is lost, or the export is done or gone.
#[must_use]
pub fn start(holder: Holder) -> Option<Value> {
    let lease = holder.lease()?;
    lock(lease.tenant);
    let _scope = enter(lease.tenant, "exports.start", &holder.job.to_string());
    let format = spi::text(
        "update nebula.export_job set status = 'running', last_error = null \
         where tenant_id = $1 and id = $2 and status in ('pending', 'running', 'failed') returning format",
        &[Arg::Uuid(lease.tenant), Arg::Uuid(lease.export)],
    )?;
    let earlier = (1..holder.attempt).rev().take(25).map(|attempt| holder.location(lease, attempt)).collect::<Vec<_>>();
    Some(json!({ "format": format, "location": holder.location(lease, holder.attempt), "earlier": earlier }))
}

/// What the file will hold: the tenant, each table with what is to be known of it, and the keys of the global rows that its rows refer to.
#[must_use]
pub fn tables(holder: Holder) -> Value {
    let tenant = holder.tenant();
    let _scope = enter(tenant, "exports.read_rows", &holder.job.to_string());
    let about = spi::text(
        "select json_build_object('id', t.id, 'slug', t.slug, 'name', t.name, 'kind', t.kind)::text from nebula.tenant t where t.id = $1",
        &[Arg::Uuid(tenant)],
    );
    let about = about.and_then(|text| serde_json::from_str::<Value>(&text).ok());
    json!({
        "tenant": about, "productVersion": env!("CARGO_PKG_VERSION"), "schemaVersion": migrate::installed_version(),
        "tables": TABLES.iter().map(export_table::ExportTable::describe).collect::<Vec<_>>(), "references": references(tenant),
    })
}

/// `{"tool": {id: key}, …}`.
fn references(tenant: Uuid) -> Value {
    let mut references = BTreeMap::<&str, BTreeMap<String, String>>::new();
    for table in TABLES {
        for (column, global) in table.references {
            let sql = format!(
                "select distinct g.id::text, g.key from {} t join nebula.{global} g on g.id = t.{column} where t.tenant_id = $1",
                table.qualified()
            );
            let found = spi::rows(&sql, &[Arg::Uuid(tenant)], |row| Some((row.text(1)?, row.text(2)?)));
            references.entry(global).or_default().extend(found.into_iter().flatten());
        }
    }
    json!(references)
}

/// A page of a table's rows: where each stands, and the row as JSON. `after` is where the page before ended, empty for the first.
#[must_use]
pub fn rows(holder: Holder, table: &str, after: &str, limit: i32) -> Vec<(String, String)> {
    let tenant = holder.tenant();
    let _scope = enter(tenant, "exports.read_rows", &holder.job.to_string());
    let Some(table) = export_table::find(table) else {
        ereport!(ERROR, PgSqlErrorCode::ERRCODE_UNDEFINED_TABLE, "no table of a tenant");
    };
    let limit = Arg::Int(limit.clamp(1, MAX_PAGE_ROWS));
    let read = |row: &spi::Row| Some((row.text(1)?, row.text(2)?));
    let rows = if after.is_empty() {
        spi::rows(&table.page_statement(true), &[Arg::Uuid(tenant), limit], read)
    } else {
        spi::rows(&table.page_statement(false), &[Arg::Uuid(tenant), limit, Arg::Text(after)], read)
    };
    rows.into_iter().flatten().collect()
}

/// What became of an attempt.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Finished {
    row_count: i64,
    size_bytes: i64,
    /// Hexadecimal.
    sha256: String,
    hours: i32,
}

/// The file is there. False where that comes too late: the lease is lost, or the export was taken back meanwhile.
#[must_use]
pub fn finish(holder: Holder, finished: &str) -> bool {
    let Ok(finished) = serde_json::from_str::<Finished>(finished) else {
        ereport!(ERROR, PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE, "no outcome of an export");
    };
    let Some(lease) = holder.lease() else { return false };
    lock(lease.tenant);
    let _scope = enter(lease.tenant, "exports.finish", &holder.job.to_string());
    let done = spi::text(
        "update nebula.export_job e set status = 'done', location = $3, row_count = $4, size_bytes = $5, sha256 = decode($6, 'hex'), \
           expires_at = now() + make_interval(hours => $7), finished_at = now() \
         where e.tenant_id = $1 and e.id = $2 and e.status = 'running' \
         returning json_build_object('id', e.id, 'format', e.format, 'rowCount', e.row_count, 'sizeBytes', e.size_bytes, \
           'sha256', encode(e.sha256, 'hex'), 'expiresAt', e.expires_at)::text",
        &[
            Arg::Uuid(lease.tenant),
            Arg::Uuid(lease.export),
            Arg::Text(&holder.location(lease, holder.attempt)),
            Arg::BigInt(finished.row_count),
            Arg::BigInt(finished.size_bytes),
            Arg::Text(&finished.sha256),
            Arg::Int(finished.hours.clamp(1, MAX_HOURS)),
        ],
    );
    done.is_some_and(|data| outbox::emit(lease.tenant, "export.completed", &data).is_ok())
}

/// Files whose time has passed are to be removed; exports whose work is dead or gone have failed. How many of both. Runs across tenants.
#[must_use]
pub fn expire_due() -> u64 {
    let due = spi::rows(
        "select e.tenant_id from nebula.export_job e where e.status = 'done' and e.expires_at <= now() \
         union select e.tenant_id from nebula.export_job e \
         where e.status in ('pending', 'running') and not exists ( \
           select from nebula.outbox o where o.tenant_id = e.tenant_id and o.id = e.job_id and o.status in ('pending', 'running'))",
        &[],
        |row| row.uuid(1),
    );
    due.into_iter()
        .flatten()
        .map(|tenant| {
            pgrx::check_for_interrupts!();
            lock(tenant);
            let _scope = enter(tenant, "exports.expire", &Uuid::now_v7().to_string());
            let failed = spi::run(
                "update nebula.export_job e set status = 'failed', finished_at = now(), last_error = coalesce( \
               (select o.last_error from nebula.outbox o where o.tenant_id = $1 and o.id = e.job_id), e.last_error) \
             where e.tenant_id = $1 and e.status in ('pending', 'running') and not exists ( \
               select from nebula.outbox o where o.tenant_id = $1 and o.id = e.job_id and o.status in ('pending', 'running'))",
                &[Arg::Uuid(tenant)],
            );
            failed + remove_files(tenant, "e.expires_at <= now()")
        })
        .sum()
}

/// Takes a tenant's exports back: files are to be removed, and an export that is under way begins anew. For what must not stand in any of them.
pub fn expire_all(tenant: Uuid) {
    lock(tenant);
    spi::run("update nebula.export_job set status = 'pending' where tenant_id = $1 and status = 'running'", &[Arg::Uuid(tenant)]);
    remove_files(tenant, "true");
}

fn remove_files(tenant: Uuid, condition: &str) -> u64 {
    let locations = spi::rows(
        &format!(
            "update nebula.export_job e set status = 'expired', location = null \
             from (select id, location from nebula.export_job where tenant_id = $1 and status = 'done') before \
             where e.tenant_id = $1 and e.id = before.id and e.status = 'done' and {condition} returning before.location"
        ),
        &[Arg::Uuid(tenant)],
        |row| row.text(1),
    );
    for location in locations.iter().flatten() {
        if outbox::emit(tenant, REMOVE, &json!({ "location": location }).to_string()).is_err() {
            pgrx::error!("a file's removal could not be queued");
        }
    }
    u64::try_from(locations.len()).unwrap_or(u64::MAX)
}

/// A DBA exports a tenant, by id or slug, in this transaction; its log tells. Its id, or `None` where there is none.
#[must_use]
pub fn open(tenant: &str) -> Option<Uuid> {
    let tenant = spi::as_role(PLATFORM, || {
        spi::first("select t.id from nebula.tenant t where t.slug = $1 or t.id::text = $1", &[Arg::Text(tenant)], |row| row.uuid(1))
    })
    .flatten()?;
    let _scope = enter(tenant, "tenants.export", &Uuid::now_v7().to_string());
    audit::record(tenant, "tenant", Some(tenant), &json!({ "outcome": "exported", "role": spi::session_user() }));
    OPENED.set(Some(tenant));
    Some(tenant)
}
