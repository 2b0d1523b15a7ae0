//! The worker's side of the outbox: leases, tenant by tenant, fenced by the number of the attempt; and handing events on to webhooks.

use super::{
    place,
    round::{self, Due, Part},
    spi::{self, Arg},
    turn,
    wake::{self, Work},
};
use pgrx::datum::TimestampWithTimeZone;
use std::collections::HashMap;
use uuid::Uuid;

/// The most that one claim leases.
const MAX_BATCH: usize = 1000;
/// How often one claim looks again where what it found was held, or left room for more.
const MAX_ROUNDS: usize = 20;

/// Takes rows out of one part of the outbox and puts them into the other. Not by an update of their status: whoever waits to lock one would fail, since it moved.
macro_rules! moved {
    ($which:literal, $status:literal, $worker:literal, $failures:literal, $error:literal, $available_at:literal, $finished_at:literal) => {
        concat!(
            "with gone as (",
            $which,
            " returning o.id, o.tenant_id, o.type, o.aggregate, o.payload, o.attempts, o.failures, o.available_at, o.locked_by, o.last_error, o.position, \
               o.created_at, o.is_job), moved as ( \
             insert into nebula.outbox (id, tenant_id, type, aggregate, payload, attempts, is_job, position, created_at, locked_by, status, failures, last_error, \
               available_at, finished_at) \
             select o.id, o.tenant_id, o.type, o.aggregate, o.payload, o.attempts, o.is_job, o.position, o.created_at, ",
            $worker,
            ", '",
            $status,
            "', ",
            $failures,
            ", ",
            $error,
            ", ",
            $available_at,
            ", ",
            $finished_at,
            " from gone o) select o.id from gone o"
        )
    };
}

/// A leased job.
pub struct Job {
    pub id: Uuid,
    pub tenant: Option<Uuid>,
    pub kind: String,
    /// JSON text.
    pub data: String,
    pub attempt: i32,
    pub created_at: TimestampWithTimeZone,
    pub aggregate: Option<String>,
}

/// A job and the number of the attempt that its lease is for.
pub type Lease = (Uuid, i32);

/// Leases up to `limit` due jobs of these parts for `lease` microseconds: of as many tenants as have some, at most `per_tenant` of each, none of the `busy` ones.
#[must_use]
pub fn claim(worker: &str, parts: &[Part], limit: usize, lease: i64, per_tenant: Option<usize>, busy: &[Uuid]) -> Vec<Job> {
    place::require_known();
    let limit = limit.min(MAX_BATCH);
    let per_tenant = per_tenant.unwrap_or(limit);
    let (mut jobs, mut full, mut counts) = (Vec::new(), busy.to_vec(), HashMap::<Uuid, usize>::new());
    for round in 0..MAX_ROUNDS {
        pgrx::check_for_interrupts!();
        let room = limit.saturating_sub(jobs.len());
        let tenants = round::tenants(&round::CLAIMS, parts, room, &full);
        let most = tenants.iter().filter_map(|tenant| counts.get(tenant)).max().copied().unwrap_or(0);
        let share = room.div_ceil(tenants.len().max(1)).min(per_tenant.saturating_sub(most));
        let mut found = Vec::new();
        for part in parts {
            found.extend(round::pick(*part, &tenants, share));
            if round == 0 {
                found.extend(round::pick_installation(*part, room));
            }
        }
        let (found, is_buried) = without_poison(found);
        let (mut turns, is_held) = turn::whose(found, false);
        let mut shares = HashMap::<Uuid, usize>::new();
        turns.retain(|due| {
            due.tenant.is_none_or(|tenant| {
                let taken = shares.entry(tenant).or_default();
                *taken += 1;
                *taken <= share
            })
        });
        turns.truncate(room);
        let leased = lease_out(worker, &turns.iter().map(|due| due.id).collect::<Vec<_>>(), lease);
        let is_stuck = leased.is_empty() && !is_held && !is_buried;
        for tenant in leased.iter().filter_map(|job| job.tenant) {
            *counts.entry(tenant).or_default() += 1;
            round::CLAIMS.set(tenant);
        }
        full.extend(tenants.iter().filter(|tenant| counts.get(tenant).is_some_and(|count| *count >= per_tenant)));
        jobs.extend(leased);
        if is_stuck || jobs.len() >= limit {
            break;
        }
    }
    jobs
}

/// What ends the worker that has it is given up.
fn without_poison(found: Vec<Due>) -> (Vec<Due>, bool) {
    let (poison, found): (Vec<_>, Vec<_>) = found.into_iter().partition(|due| due.is_poison);
    for due in &poison {
        bury(due.id, "the lease ended too often without a word");
    }
    (found, !poison.is_empty())
}

/// Hands up to `limit` due events on: a job for each subscription that wants one, in the events' order, and they are done. In one transaction, and so without a lease. How many were handed on or found to wait for others.
///
/// The commit doesn't wait for the disk: what a crash takes back is handed on again, and no job of it was claimed, since that commit waits, and what came before it in the
/// log is on the disk with it.
#[must_use]
pub fn relay(worker: &str, limit: usize) -> usize {
    place::require_known();
    let limit = limit.min(MAX_BATCH);
    let tenants = round::tenants(&round::RELAYS, &[Part::Events], limit, &[]);
    // Where everybody who has some gets a share, it doesn't matter who comes first next time.
    round::RELAYS.set(tenants.last().copied().filter(|_| tenants.len() == limit).unwrap_or_default());
    let mut found = round::pick(Part::Events, &tenants, limit.div_ceil(tenants.len().max(1)));
    found.extend(round::pick_installation(Part::Events, limit));
    let count = found.len();
    if count > 0 {
        spi::commit_without_waiting();
        hand_on(worker, found);
    }
    count
}

/// Finishes what a tenant without webhooks has due, before it gets the first: what happened before is not for it. Nobody was woken for these events.
pub fn settle(tenant: Uuid) {
    hand_on("nebula", round::pick(Part::Events, &[tenant], MAX_BATCH));
}

fn hand_on(worker: &str, found: Vec<Due>) {
    let (found, _) = without_poison(found);
    let (turns, _) = turn::whose(found, true);
    let events = turns.iter().map(|due| due.id).collect::<Vec<_>>();
    if !events.is_empty() {
        distribute(&events);
        spi::run(
            moved!(
                "delete from nebula.outbox_live o where o.id = any ($1)",
                "done",
                "$2",
                "o.failures",
                "o.last_error",
                "o.available_at",
                "clock_timestamp()"
            ),
            &[Arg::Uuids(&events), Arg::Text(worker)],
        );
        turn::pass_on(turn::held_by(turns));
    }
}

/// The jobs that these events come to.
fn distribute(events: &[Uuid]) {
    let made = spi::run(
        "insert into nebula.outbox (tenant_id, type, is_job, aggregate, payload) \
         select w.tenant_id, 'webhook.delivery', true, w.id || '/' || e.aggregate, \
           jsonb_build_object('version', 1, 'data', jsonb_build_object('webhookId', w.id, 'eventId', e.id, 'eventType', e.type)) \
         from nebula.outbox_live e \
         join nebula.webhook_subscription w on w.tenant_id = e.tenant_id and w.status = 'ativo' and w.events && array['*', e.type] \
         where e.id = any ($1) \
         order by e.position",
        &[Arg::Uuids(events)],
    );
    if made > 0 {
        wake::at_commit(Work::JOBS);
    }
}

fn lease_out(worker: &str, turns: &[Uuid], lease: i64) -> Vec<Job> {
    if turns.is_empty() {
        return Vec::new();
    }
    let jobs = spi::rows(
        "update nebula.outbox_live o set status = 'running', attempts = attempts + 1, is_held = false, locked_by = $1, \
           locked_until = clock_timestamp() + $3::float8 * interval '1 microsecond' \
         from unnest($2::uuid[]) j (id) where o.id = j.id \
         returning o.id, o.tenant_id, o.type, (o.payload -> 'data')::text, o.attempts, o.created_at, o.aggregate",
        &[Arg::Text(worker), Arg::Uuids(turns), Arg::BigInt(lease)],
        |row| {
            Some(Job {
                id: row.uuid(1)?,
                tenant: row.uuid(2),
                kind: row.text(3)?,
                data: row.text(4).unwrap_or_else(|| "null".to_owned()),
                attempt: row.integer(5)?,
                created_at: row.timestamp(6)?,
                aggregate: row.text(7),
            })
        },
    );
    jobs.into_iter().flatten().collect()
}

/// Prolongs leases; answers those that are still this worker's.
#[must_use]
pub fn extend(worker: &str, leases: &[Lease], lease: i64) -> Vec<Uuid> {
    let (jobs, attempts) = split(leases);
    ids(
        "update nebula.outbox_live o set locked_until = clock_timestamp() + $4::float8 * interval '1 microsecond' \
         from unnest($2::uuid[], $3::integer[]) j (id, attempt) \
         where o.id = j.id and o.locked_by = $1 and o.attempts = j.attempt and o.locked_until > clock_timestamp() returning o.id",
        &[Arg::Text(worker), Arg::Uuids(&jobs), Arg::Ints(&attempts), Arg::BigInt(lease)],
    )
}

/// Finishes jobs; answers those whose lease was still this worker's.
#[must_use]
pub fn complete(worker: &str, leases: &[Lease]) -> Vec<Uuid> {
    let (jobs, attempts) = split(leases);
    let about = turn::lock_all(&jobs);
    let done = ids(
        moved!(
            "delete from nebula.outbox_live o using unnest($2::uuid[], $3::integer[]) j (id, attempt) \
             where o.id = j.id and o.locked_by = $1 and o.attempts = j.attempt and o.locked_until > clock_timestamp()",
            "done",
            "o.locked_by",
            "o.failures",
            "o.last_error",
            "o.available_at",
            "clock_timestamp()"
        ),
        &[Arg::Text(worker), Arg::Uuids(&jobs), Arg::Ints(&attempts)],
    );
    turn::pass_on(about);
    done
}

/// Reports a failed attempt: tried again after the profile's next wait, 10 % more or less, or after `retry_after` microseconds if that is longer (at most a
/// day); dead after the last wait, or if it is said to be. The job's new status; `None` where the lease was lost.
#[must_use]
pub fn fail(worker: &str, (id, attempt): Lease, error: &str, retry_after: Option<i64>, is_dead: bool) -> Option<&'static str> {
    let lease = [Arg::Text(worker), Arg::Uuid(id), Arg::Int(attempt)];
    spi::first(
        "select from nebula.outbox_live where id = $2 and locked_by = $1 and attempts = $3 and locked_until > clock_timestamp() for update",
        &lease,
        |_| (),
    )?;
    let is_pending = !is_dead
        && spi::run(
            "update nebula.outbox_live o set status = 'pending', failures = failures + 1, last_error = left($2, 500), locked_until = null, \
               available_at = clock_timestamp() + greatest(w.seconds * (0.9 + 0.2 * random()), least($3::float8 / 1000000, 86400)) * interval '1 second' \
             from ( \
               select p.retry_seconds[l.failures + 1] as seconds \
               from nebula.outbox_live l left join nebula.tenant_config c on c.tenant_id = l.tenant_id \
               join nebula.operational_profile p on p.key = coalesce(c.profile, 'mvp') where l.id = $1 \
             ) w where o.id = $1 and w.seconds is not null",
            &[Arg::Uuid(id), Arg::Text(error), Arg::BigInt(retry_after.unwrap_or(0))],
        ) > 0;
    if is_pending {
        return Some("pending");
    }
    bury(id, error);
    Some("dead")
}

/// No more attempts until a person says so. What comes after it about the same goes on.
fn bury(id: Uuid, error: &str) {
    let about = turn::lock_all(&[id]);
    spi::run(
        moved!(
            "delete from nebula.outbox_live o where o.id = $1",
            "dead",
            "o.locked_by",
            "o.failures + 1",
            "left($2, 500)",
            "o.available_at",
            "clock_timestamp()"
        ),
        &[Arg::Uuid(id), Arg::Text(error)],
    );
    // By a look into the catalog, since tables may be older than the library while an update goes on.
    spi::run(
        "select pg_catalog.nextval(s.oid::regclass) from pg_catalog.pg_class s \
         where s.relname = 'outbox_dead_seq' and s.relnamespace = 'nebula'::regnamespace",
        &[],
    );
    turn::pass_on(about);
}

/// A dead job, of this tenant or whichever, waits again as if it had never failed. Its attempts go on counting: a worker of before must not take a new lease
/// for its own.
#[must_use]
pub fn requeue(id: Uuid, tenant: Option<Uuid>) -> bool {
    wake::at_commit(Work::ANY);
    spi::run(
        moved!(
            "delete from nebula.outbox o where o.id = $1 and ($2 is null or o.tenant_id = $2) and o.status = 'dead'",
            "pending",
            "null",
            "0",
            "o.last_error",
            "now()",
            "null"
        ),
        &[Arg::Uuid(id), Arg::OptUuid(tenant)],
    ) > 0
}

/// Hands events on that were claimed, as [`relay`] does with those that were not. How many of them.
#[must_use]
pub fn fan_out(worker: &str, leases: &[Lease]) -> usize {
    let (jobs, attempts) = split(leases);
    let events = ids(
        "select o.id from nebula.outbox_live o join unnest($2::uuid[], $3::integer[]) j (id, attempt) on j.id = o.id \
         where o.locked_by = $1 and o.attempts = j.attempt and o.locked_until > clock_timestamp() and not o.is_job for update of o",
        &[Arg::Text(worker), Arg::Uuids(&jobs), Arg::Ints(&attempts)],
    );
    distribute(&events);
    complete(worker, leases).len()
}

fn split(leases: &[Lease]) -> (Vec<Uuid>, Vec<i32>) {
    leases.iter().copied().unzip()
}

fn ids(sql: &str, args: &[Arg]) -> Vec<Uuid> {
    spi::rows(sql, args, |row| row.uuid(1)).into_iter().flatten().collect()
}
