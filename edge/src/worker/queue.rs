//! The functions of the queue and of periodic tasks, as a worker calls them (docs/worker-protocol.md).

use super::{Context, Job, Outcome, hand::Terms, job::Lease};
use crate::db::Failure;
use deadpool_postgres::Object;
use std::time::Duration;
use tokio_postgres::{Row, types::Type};
use uuid::Uuid;

/// Hands up to `limit` due events on to the webhooks that want them; how many were due.
pub async fn relay(context: &Context, limit: usize) -> Result<usize, Failure> {
    let row = context.database.row("select nebula.relay($1, $2)", &[(&context.worker, Type::TEXT), (&number(limit), Type::INT4)]).await?;
    Ok(usize::try_from(read::<i32>(&row)?).unwrap_or(0))
}

/// Leases up to `limit` due jobs, no events.
pub async fn claim(context: &Context, limit: usize, Terms { per_tenant, busy }: &Terms) -> Result<Vec<Job>, Failure> {
    let statement = "select c.id, c.tenant_id, c.type, c.data::json, c.attempt \
                     from nebula.claim($1, $2, make_interval(secs => $3), $4, $5, true) as c (id, tenant_id, type, data, attempt)";
    let rows = context
        .database
        .rows(
            statement,
            &[
                (&context.worker, Type::TEXT),
                (&number(limit), Type::INT4),
                (&lease_seconds(context), Type::FLOAT8),
                (&number(*per_tenant), Type::INT4),
                (busy, Type::UUID_ARRAY),
            ],
        )
        .await?;
    rows.iter().map(Job::read).collect()
}

/// Finishes jobs; those that are not in the answer were no longer this worker's.
pub async fn complete(context: &Context, leases: &[Lease]) -> Result<Vec<Uuid>, Failure> {
    let (ids, attempts) = split(leases);
    let parameters = [(&context.worker as _, Type::TEXT), (&ids as _, Type::UUID_ARRAY), (&attempts as _, Type::INT4_ARRAY)];
    first_column(&context.database.rows("select nebula.complete($1, $2, $3)", &parameters).await?)
}

/// Reports how a job failed; nothing for one that did not.
pub async fn fail(context: &Context, (id, attempt): Lease, outcome: &Outcome) -> Result<(), Failure> {
    let (error, after, is_dead) = match outcome {
        Outcome::Retry { error, after } => (error, after.map(|after| after.as_secs_f64()), false),
        Outcome::Dead { error } => (error, None, true),
        Outcome::Done | Outcome::Settled => return Ok(()),
    };
    let statement = "select nebula.fail($1, $2, $3, $4, make_interval(secs => $5), $6)";
    let parameters = [
        (&context.worker as _, Type::TEXT),
        (&id as _, Type::UUID),
        (&attempt as _, Type::INT4),
        (error as _, Type::TEXT),
        (&after as _, Type::FLOAT8),
        (&is_dead as _, Type::BOOL),
    ];
    context.database.rows(statement, &parameters).await.map(|_| ())
}

/// Prolongs leases; answers those that are still this worker's.
pub async fn extend(context: &Context, leases: &[Lease]) -> Result<Vec<Uuid>, Failure> {
    let (ids, attempts) = split(leases);
    let parameters = [
        (&context.worker as _, Type::TEXT),
        (&ids as _, Type::UUID_ARRAY),
        (&attempts as _, Type::INT4_ARRAY),
        (&lease_seconds(context) as _, Type::FLOAT8),
    ];
    first_column(&context.database.rows("select nebula.extend($1, $2, $3, make_interval(secs => $4))", &parameters).await?)
}

/// What there is to do that a session was not told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Work {
    /// Events, to be handed on.
    pub events: bool,
    /// Jobs, to be claimed.
    pub jobs: bool,
}

/// Waits in the database until there is something to do that this session has not told of; nothing after the timeout.
pub async fn await_work(context: &Context, session: &Object, timeout: Duration) -> Result<Work, Failure> {
    let timeout_ms = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
    let rows = context.database.rows_in(session, "select events, jobs from nebula.await_work($1)", &[(&timeout_ms, Type::INT4)]).await?;
    let row = rows.first().ok_or_else(|| Failure::Statement("nothing came back".to_owned()))?;
    let column = |at: usize| row.try_get(at).map_err(|error| Failure::of(&error));
    Ok(Work { events: column(0)?, jobs: column(1)? })
}

/// Whether this database stands where it was installed or adopted.
pub async fn may_deliver(context: &Context) -> Result<bool, Failure> {
    read(&context.database.row("select nebula.may_deliver()", &[]).await?)
}

/// Takes the turn at a periodic task, if it is due and nobody's.
pub async fn start_task(context: &Context, name: &str, every: Duration, lease: Duration) -> Result<bool, Failure> {
    let statement = "select nebula.start_task($1, $2, make_interval(secs => $3), make_interval(secs => $4))";
    let parameters = [
        (&context.worker as _, Type::TEXT),
        (&name as _, Type::TEXT),
        (&every.as_secs_f64() as _, Type::FLOAT8),
        (&lease.as_secs_f64() as _, Type::FLOAT8),
    ];
    read(&context.database.row(statement, &parameters).await?)
}

/// Gives the turn back, with why it failed if it did.
pub async fn finish_task(context: &Context, name: &str, error: Option<&str>) -> Result<(), Failure> {
    let parameters = [(&context.worker as _, Type::TEXT), (&name as _, Type::TEXT), (&error as _, Type::TEXT)];
    context.database.rows("select nebula.finish_task($1, $2, $3)", &parameters).await.map(|_| ())
}

/// Ids and attempts as two arrays of the same length.
pub fn split(leases: &[Lease]) -> (Vec<Uuid>, Vec<i32>) {
    leases.iter().copied().unzip()
}

fn first_column(rows: &[Row]) -> Result<Vec<Uuid>, Failure> {
    rows.iter().map(read).collect()
}

fn read<'a, T: tokio_postgres::types::FromSql<'a>>(row: &'a Row) -> Result<T, Failure> {
    row.try_get(0).map_err(|error| Failure::of(&error))
}

fn lease_seconds(context: &Context) -> f64 {
    context.lease().as_secs_f64()
}

fn number(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}
