//! Telling an address of an event: what a worker is to send, and what became of it.

use crate::kernel::{
    error::Result,
    outbox,
    queue::{self, Lease},
    spi::{self, Arg},
};
use nebula_core::error::Code;
use serde::Deserialize;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// What a leased job comes to. Without `url` there is nothing to send (the webhook is gone or suspended), without `body` the event is not kept any more.
pub struct Request {
    pub job: Uuid,
    pub tenant: Uuid,
    pub webhook: Option<Uuid>,
    pub url: Option<String>,
    pub secret: SealedSecret,
    /// Signs, too, until the overlap of a rotation is over.
    pub previous: SealedSecret,
    pub event: Option<Uuid>,
    /// Exactly what is signed and sent.
    pub body: Option<String>,
}

/// What the edge sealed, and with which of its keys.
pub type SealedSecret = (Option<Vec<u8>>, Option<i32>);

/// What is to be sent for these jobs; those that this worker has no lease of are left out.
#[must_use]
pub fn requests(worker: &str, leases: &[Lease]) -> Vec<Request> {
    let (jobs, attempts): (Vec<_>, Vec<_>) = leases.iter().copied().unzip();
    let requests = spi::rows(include_str!("webhook_requests.sql"), &[Arg::Text(worker), Arg::Uuids(&jobs), Arg::Ints(&attempts)], |row| {
        Some(Request {
            job: row.uuid(1)?,
            tenant: row.uuid(2)?,
            webhook: row.uuid(3),
            url: row.text(4),
            secret: (row.bytes(5), row.integer(6)),
            previous: (row.bytes(7), row.integer(8)),
            event: row.uuid(9),
            body: row.text(10),
        })
    });
    requests.into_iter().flatten().collect()
}

/// What a worker says of one attempt.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Outcome {
    id: Uuid,
    tenant_id: Uuid,
    attempt: i32,
    /// What the receiver answered; absent where it did not.
    status_code: Option<u16>,
    latency_ms: i32,
    /// Absent: success.
    error: Option<String>,
    retry_after_seconds: Option<u32>,
}

/// An attempt and what it was about.
struct Attempt {
    outcome: Outcome,
    webhook: Uuid,
    event: Uuid,
    event_type: String,
    /// The first one of telling this address of this event.
    is_first: bool,
}

impl Attempt {
    fn is_success(&self) -> bool {
        self.outcome.error.is_none()
    }

    /// 410: the receiver wants nothing any more.
    fn is_gone(&self) -> bool {
        self.outcome.status_code == Some(410)
    }

    fn lease(&self) -> Lease {
        (self.outcome.id, self.outcome.attempt)
    }
}

/// Writes down attempts: the rows that tenants see, how each job goes on, since when a webhook fails, and that it is suspended where it failed for too long. How
/// many were written. An attempt whose lease is lost is written, too, since it was made; the job is then another worker's.
pub fn record(worker: &str, outcomes: &str) -> Result<usize> {
    let outcomes = serde_json::from_str::<Vec<Outcome>>(outcomes).map_err(|_| Code::ValidationError)?;
    let attempts = resolve(worker, outcomes);
    insert(&attempts);
    let (successes, failures): (Vec<_>, Vec<_>) = attempts.iter().partition(|attempt| attempt.is_success());
    let done = successes.iter().map(|attempt| attempt.lease()).collect::<Vec<_>>();
    if !done.is_empty() {
        let _ = queue::complete(worker, &done);
    }
    for attempt in &failures {
        let error = attempt.outcome.error.as_deref().unwrap_or_default();
        let retry_after = attempt.outcome.retry_after_seconds.map(|seconds| i64::from(seconds) * 1_000_000);
        let _ = queue::fail(worker, attempt.lease(), error, retry_after, attempt.is_gone());
    }
    // In this order: of a batch with both, the success counts.
    note_failing(&failures);
    note_working(&successes);
    suspend(&failures)?;
    Ok(attempts.len())
}

/// What each attempt was about, as its job says. Of jobs that this worker never had, nothing is written.
fn resolve(worker: &str, outcomes: Vec<Outcome>) -> Vec<Attempt> {
    let tenants = outcomes.iter().map(|outcome| outcome.tenant_id).collect::<Vec<_>>();
    let jobs = outcomes.iter().map(|outcome| outcome.id).collect::<Vec<_>>();
    let attempts = outcomes.iter().map(|outcome| outcome.attempt).collect::<Vec<_>>();
    let about = spi::rows(
        include_str!("webhook_attempts.sql"),
        &[Arg::Text(worker), Arg::Uuids(&tenants), Arg::Uuids(&jobs), Arg::Ints(&attempts)],
        |row| Some(((row.uuid(1)?, row.integer(2)?), (row.uuid(3)?, row.uuid(4)?, row.text(5)?, row.boolean(6) == Some(true)))),
    );
    let mut about = about.into_iter().flatten().collect::<BTreeMap<_, _>>();
    let attempts = outcomes.into_iter().filter_map(|outcome| {
        let (webhook, event, event_type, is_first) = about.remove(&(outcome.id, outcome.attempt))?;
        Some(Attempt { outcome, webhook, event, event_type, is_first })
    });
    attempts.collect()
}

/// The webhook is compared in a way that no index serves: one that begins with it has every delivery to it, of which a plan that was made while the table was
/// small would read all.
fn insert(attempts: &[Attempt]) {
    let rows = attempts.iter().map(|attempt| {
        json!({
            "tenant_id": attempt.outcome.tenant_id, "webhook_id": attempt.webhook, "event_id": attempt.event, "event_type": attempt.event_type,
            "is_first": attempt.is_first, "status_code": attempt.outcome.status_code, "latency_ms": attempt.outcome.latency_ms.max(0), "error": attempt.outcome.error,
        })
    });
    let rows = serde_json::Value::Array(rows.collect()).to_string();
    spi::run(
        "insert into nebula.webhook_delivery \
           (tenant_id, webhook_subscription_id, event_id, event_type, attempt, status_code, latency_ms, error) \
         select a.tenant_id, a.webhook_id, a.event_id, a.event_type, \
           row_number() over (partition by a.tenant_id, a.event_id, a.webhook_id) + case when a.is_first then 0 else ( \
             select count(*) from nebula.webhook_delivery d \
             where d.tenant_id = a.tenant_id and d.event_id = a.event_id and (d.webhook_subscription_id = a.webhook_id) is true \
           ) end, \
           a.status_code, a.latency_ms, left(a.error, 200) \
         from json_to_recordset($1::json) as a \
           (tenant_id uuid, webhook_id uuid, event_id uuid, event_type text, is_first boolean, status_code integer, latency_ms integer, error text)",
        &[Arg::Text(&rows)],
    );
}

/// The rows of `w` that are meant, locked in one order, so that two workers with the same webhooks wait instead of failing.
macro_rules! locked {
    ($condition:literal) => {
        concat!(
            "from ( \
               select s.tenant_id, s.id from unnest($1::uuid[], $2::uuid[]) a (tenant_id, id) \
               join nebula.webhook_subscription s on s.tenant_id = a.tenant_id and s.id = a.id \
               where ",
            $condition,
            " order by s.tenant_id, s.id for no key update of s \
             ) l where w.tenant_id = l.tenant_id and w.id = l.id"
        )
    };
}

/// The webhooks of these attempts, each once.
fn webhooks<'a>(attempts: impl IntoIterator<Item = &'a &'a Attempt>) -> (Vec<Uuid>, Vec<Uuid>) {
    attempts.into_iter().map(|attempt| (attempt.outcome.tenant_id, attempt.webhook)).collect::<BTreeSet<_>>().into_iter().unzip()
}

fn note_failing(failures: &[&Attempt]) {
    let (tenants, webhooks) = webhooks(failures);
    spi::run(
        concat!(
            "update nebula.webhook_subscription w set failing_since = now() ",
            locked!("s.failing_since is null and s.status = 'ativo'")
        ),
        &[Arg::Uuids(&tenants), Arg::Uuids(&webhooks)],
    );
}

fn note_working(successes: &[&Attempt]) {
    let (tenants, webhooks) = webhooks(successes);
    spi::run(
        concat!("update nebula.webhook_subscription w set failing_since = null ", locked!("s.failing_since is not null")),
        &[Arg::Uuids(&tenants), Arg::Uuids(&webhooks)],
    );
}

/// Suspends webhooks that answered 410, and those that have failed for the days of their tenant's profile without a success; the tenant's other webhooks are told.
fn suspend(failures: &[&Attempt]) -> Result<()> {
    let (tenants, webhooks_gone) = webhooks(failures.iter().filter(|attempt| attempt.is_gone()));
    let gone = tenants.into_iter().zip(webhooks_gone).collect::<BTreeSet<_>>();
    let (tenants, webhooks) = webhooks(failures);
    let failed = spi::rows(
        "select w.tenant_id, w.id, p.webhook_failure_days, w.failing_since <= now() - make_interval(days => p.webhook_failure_days) \
         from unnest($1::uuid[], $2::uuid[]) f (tenant_id, id) \
         join nebula.webhook_subscription w on w.tenant_id = f.tenant_id and w.id = f.id \
         left join nebula.tenant_config c on c.tenant_id = f.tenant_id \
         join nebula.operational_profile p on p.key = coalesce(c.profile, 'mvp') \
         where w.status = 'ativo'",
        &[Arg::Uuids(&tenants), Arg::Uuids(&webhooks)],
        |row| Some((row.uuid(1)?, row.uuid(2)?, row.integer(3)?, row.boolean(4) == Some(true))),
    );
    for (tenant, webhook, days, is_over) in failed.into_iter().flatten() {
        if gone.contains(&(tenant, webhook)) {
            suspend_one(tenant, webhook, "the receiver answered 410 Gone")?;
        } else if is_over {
            suspend_one(tenant, webhook, &format!("no delivery has succeeded for {days} days"))?;
        }
    }
    Ok(())
}

fn suspend_one(tenant: Uuid, webhook: Uuid, reason: &str) -> Result<()> {
    let row = [Arg::Uuid(tenant), Arg::Uuid(webhook)];
    let suspended = spi::text(
        "update nebula.webhook_subscription set status = 'suspenso', suspended_reason = $3 where tenant_id = $1 and id = $2 and status = 'ativo' \
         returning json_build_object('id', id, 'url', url, 'status', status, 'suspendedReason', suspended_reason)::text",
        &[Arg::Uuid(tenant), Arg::Uuid(webhook), Arg::Text(reason)],
    );
    let Some(suspended) = suspended else { return Ok(()) };
    // By itself: what the product notes is told from what is changed (kernel/audit.rs).
    spi::run("update nebula.webhook_subscription set failing_since = null where tenant_id = $1 and id = $2", &row);
    outbox::emit(tenant, "webhook.suspended", &suspended).map(|_| ())
}
