//! Events: writing them, and the worker's claim, completion and failure. SQL shapes are in `sql/functions/outbox.sql`.
#![allow(unsafe_code, clippy::needless_pass_by_value)]

use super::{Table, back, microseconds, uuid};
use crate::kernel::{
    context,
    error::Result,
    outbox::{self, Details},
    queue::{self, Job, Lease},
    round::Part,
    spi::{self, Arg, Made, direct::lookup::Lookup},
    sql_caller,
    wake::{self, Until, Work},
};
use pgrx::{
    AnyElement, PgSqlErrorCode,
    datum::{Interval, TimestampWithTimeZone},
    ereport, name, pg_extern,
};
use uuid::Uuid;

/// Raises what is wrong with an argument, for the DBA to read.
pub(super) fn refuse(code: PgSqlErrorCode, reason: &str) -> ! {
    ereport!(ERROR, code, reason.to_owned());
}

/// An argument that a function can't do without.
fn given<T>(argument: Option<T>) -> T {
    argument.unwrap_or_else(|| refuse(PgSqlErrorCode::ERRCODE_NULL_VALUE_NOT_ALLOWED, "an argument is null"))
}

fn lease_of(interval: Interval) -> i64 {
    let lease = microseconds(interval);
    if !(1_000_000..=86_400_000_000).contains(&lease) {
        refuse(PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE, "a lease lasts from a second to a day");
    }
    lease
}

pub(super) fn leases(ids: Vec<Option<pgrx::Uuid>>, attempts: Vec<Option<i32>>) -> Vec<Lease> {
    if ids.len() != attempts.len() {
        refuse(PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE, "ids and attempts differ in length");
    }
    ids.into_iter().map(|id| uuid(given(id))).zip(attempts.into_iter().map(given)).collect()
}

/// Whose event it is: the caller's tenant's, or that of the tenant which a DBA's code names.
fn tenant_of_event(tenant: Option<pgrx::Uuid>) -> Uuid {
    let own = context::tenant().or_else(|| sql_caller::identity().map(|(tenant, ..)| tenant));
    let wanted = tenant.map(uuid);
    if own.is_some() && wanted.is_some() && own != wanted {
        refuse(PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE, "an event is of the caller's own tenant");
    }
    let Some(tenant) = wanted.or(own) else {
        refuse(PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE, "whose event? name a tenant");
    };
    if own.is_none() && TENANT.find(tenant, &[Arg::Uuid(tenant)], |_| ()).is_none() {
        refuse(PgSqlErrorCode::ERRCODE_FOREIGN_KEY_VIOLATION, "there is no such tenant");
    }
    tenant
}

const TENANT: Lookup = Lookup { table: c"tenant", index: c"pk_tenant", key: &[c"id"], columns: &[c"id"] };

fn or_refused<T>(emitted: Result<T>) -> T {
    emitted.unwrap_or_else(|refusal| {
        let details = refusal.details.map(|details| details.to_string()).unwrap_or_default();
        refuse(PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE, &format!("the event is refused: {details}"))
    })
}

#[pg_extern(sql = false)]
fn emit(
    r#type: Option<&str>,
    data: Option<AnyElement>,
    aggregate: Option<&str>,
    tenant: Option<pgrx::Uuid>,
    available_at: Option<TimestampWithTimeZone>,
) -> Option<pgrx::Uuid> {
    let (kind, data) = (given(r#type), Made::of(&given(data)));
    let available_at = available_at.map(|at| Arg::At(at).make());
    Some(back(spi::looking_up(|| {
        or_refused(outbox::emit_custom(tenant_of_event(tenant), kind, data, Details { aggregate, available_at }))
    })))
}

#[pg_extern(sql = false)]
fn emit_each(r#type: Option<&str>, data: Option<AnyElement>, tenant: Option<pgrx::Uuid>) -> Option<i64> {
    let (kind, data) = (given(r#type), Made::of(&given(data)));
    Some(spi::looking_up(|| or_refused(outbox::emit_each(tenant_of_event(tenant), kind, data))))
}

/// Before it is parsed: an event is smaller, whatever blanks its text has. Where Postgres runs out of memory below Rust, and not a block is left to copy its error into,
/// pgrx tries that again until Postgres panics.
const MAX_DATA_BYTES: usize = 4 << 20;

/// What `nebula.emit()` of 0.1.0 calls.
#[pg_extern(sql = false)]
fn emit_event(
    kind: Option<&str>,
    data: Option<&str>,
    aggregate: Option<&str>,
    tenant: Option<pgrx::Uuid>,
    available_at: Option<&str>,
) -> Option<pgrx::Uuid> {
    let data = given(data);
    if data.len() > MAX_DATA_BYTES {
        refuse(PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE, "the event is refused: [{\"field\":\"payload\",\"rule\":\"too_long\"}]");
    }
    let (kind, data) = (given(kind), Arg::Json(data).make());
    let available_at = available_at.map(|at| Arg::Timestamp(at).make());
    Some(back(spi::looking_up(|| {
        or_refused(outbox::emit_custom(tenant_of_event(tenant), kind, data, Details { aggregate, available_at }))
    })))
}

#[pg_extern(sql = false)]
#[allow(clippy::type_complexity)]
fn claim(
    worker: Option<&str>,
    limit: Option<i32>,
    lease: Option<Interval>,
    per_tenant: Option<i32>,
    busy: Option<Vec<Option<pgrx::Uuid>>>,
    jobs_only: Option<bool>,
) -> Table<(
    name!(id, pgrx::Uuid),
    name!(tenant_id, Option<pgrx::Uuid>),
    name!(kind, String),
    name!(data, String),
    name!(attempt, i32),
    name!(created_at, TimestampWithTimeZone),
    name!(aggregate, Option<String>),
)> {
    let (worker, limit, lease) = (given(worker), given(limit), given(lease));
    if worker.is_empty() || worker.len() > 200 {
        refuse(PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE, "a worker's name has 1 to 200 bytes");
    }
    let busy = busy.unwrap_or_default().into_iter().flatten().map(uuid).collect::<Vec<_>>();
    let per_tenant = per_tenant.map(|most| usize::try_from(most).unwrap_or(0));
    let parts: &[Part] = if jobs_only == Some(true) { &[Part::Jobs] } else { &[Part::Events, Part::Jobs] };
    let (limit, lease) = (usize::try_from(limit).unwrap_or(0), lease_of(lease));
    let jobs = spi::looking_up(|| queue::claim(worker, parts, limit, lease, per_tenant, &busy));
    Table::of(jobs.into_iter().map(|Job { id, tenant, kind, data, attempt, created_at, aggregate }| {
        (back(id), tenant.map(back), kind, data, attempt, created_at, aggregate)
    }))
}

#[pg_extern(sql = false)]
fn complete(worker: &str, ids: Vec<Option<pgrx::Uuid>>, attempts: Vec<Option<i32>>) -> Table<(name!(id, pgrx::Uuid),)> {
    let done = spi::looking_up(|| queue::complete(worker, &leases(ids, attempts)));
    Table::of(done.into_iter().map(|id| (back(id),)))
}

#[pg_extern(sql = false)]
fn fail(
    worker: Option<&str>,
    id: Option<pgrx::Uuid>,
    attempt: Option<i32>,
    error: Option<&str>,
    retry_after: Option<Interval>,
    dead: Option<bool>,
) -> Option<&'static str> {
    let lease = (uuid(given(id)), given(attempt));
    let (worker, error) = (given(worker), given(error));
    spi::looking_up(|| queue::fail(worker, lease, error, retry_after.map(microseconds), dead == Some(true)))
}

#[pg_extern(sql = false)]
fn extend(worker: &str, ids: Vec<Option<pgrx::Uuid>>, attempts: Vec<Option<i32>>, lease: Interval) -> Table<(name!(id, pgrx::Uuid),)> {
    let lease = lease_of(lease);
    let kept = spi::looking_up(|| queue::extend(worker, &leases(ids, attempts), lease));
    Table::of(kept.into_iter().map(|id| (back(id),)))
}

#[pg_extern(sql = false)]
fn requeue(id: pgrx::Uuid) -> bool {
    spi::looking_up(|| queue::requeue(uuid(id), None))
}

#[pg_extern(sql = false)]
fn fan_out(worker: &str, ids: Vec<Option<pgrx::Uuid>>, attempts: Vec<Option<i32>>) -> i32 {
    i32::try_from(spi::looking_up(|| queue::fan_out(worker, &leases(ids, attempts)))).unwrap_or(i32::MAX)
}

#[pg_extern(sql = false)]
fn relay(worker: &str, limit: i32) -> i32 {
    i32::try_from(spi::looking_up(|| queue::relay(worker, usize::try_from(limit).unwrap_or(0)))).unwrap_or(i32::MAX)
}

#[pg_extern(sql = false)]
fn wait_for_work(timeout_ms: i32) -> bool {
    wait(Until::AnyWork, timeout_ms).is_there()
}

#[pg_extern(sql = false)]
fn await_work(timeout_ms: i32) -> Table<(name!(events, bool), name!(jobs, bool))> {
    let work = wait(Until::UrgentWork, timeout_ms);
    Table::one((work.events, work.jobs))
}

fn wait(until: Until, timeout_ms: i32) -> Work {
    wake::wait(until, i64::from(timeout_ms.clamp(0, 60_000)))
}
