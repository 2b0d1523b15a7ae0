//! The worker's side of the outbox: leases, tenant by tenant, fenced by the number of the attempt.
//!
//! Of one tenant's jobs about the same (`aggregate`) one at a time is leased, in the order in which they were written. One whose turn it isn't is held: it leaves
//! what is due, and comes back when the one before it is finished, or after a minute should nobody have told it. Who holds and who finishes take the same lock,
//! so that no turn is missed.

use super::{
    place,
    spi::{self, Arg},
    wake,
};
use pgrx::datum::TimestampWithTimeZone;
use std::{
    cell::Cell,
    collections::{BTreeMap, HashMap, HashSet},
};
use uuid::Uuid;

/// The most that one claim leases.
const MAX_BATCH: usize = 1000;
/// How often one claim looks again where what it found was held, or left room for more.
const MAX_ROUNDS: usize = 20;

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

thread_local! {
    /// The tenant after which the next claim begins: a place in a round, nothing of a caller's.
    static ROUND: Cell<Uuid> = const { Cell::new(Uuid::nil()) };
}

/// A due row, locked by this transaction.
struct Candidate {
    id: Uuid,
    /// Tenant and aggregate, where it has one.
    about: Option<String>,
    /// Its lease has ended too often without a word.
    is_poison: bool,
}

/// Leases up to `limit` due jobs for `lease` microseconds: of as many tenants as have some, at most `per_tenant` of each, none of the `busy` ones.
#[must_use]
pub fn claim(worker: &str, limit: usize, lease: i64, per_tenant: Option<usize>, busy: &[Uuid]) -> Vec<Job> {
    place::require_known();
    let limit = limit.min(MAX_BATCH);
    let per_tenant = per_tenant.unwrap_or(limit);
    let (mut jobs, mut full, mut counts) = (Vec::new(), busy.to_vec(), HashMap::<Uuid, usize>::new());
    for round in 0..MAX_ROUNDS {
        pgrx::check_for_interrupts!();
        let room = limit.saturating_sub(jobs.len());
        let tenants = due_tenants(room, &full);
        let most = tenants.iter().filter_map(|tenant| counts.get(tenant)).max().copied().unwrap_or(0);
        let share = room.div_ceil(tenants.len().max(1)).min(per_tenant.saturating_sub(most));
        let mut found = pick(include_str!("pick.sql"), &[Arg::Uuids(&tenants), Arg::Int(count(share))]);
        if round == 0 {
            found.extend(pick(include_str!("pick_installation.sql"), &[Arg::Int(count(room))]));
        }
        let (mut turns, is_changed) = their_turn(found);
        turns.truncate(room);
        let leased = lease_out(worker, &turns, lease);
        let is_stuck = leased.is_empty() && !is_changed;
        for tenant in leased.iter().filter_map(|job| job.tenant) {
            *counts.entry(tenant).or_default() += 1;
            ROUND.set(tenant);
        }
        full.extend(tenants.iter().filter(|tenant| counts.get(tenant).is_some_and(|count| *count >= per_tenant)));
        jobs.extend(leased);
        if is_stuck || jobs.len() >= limit {
            break;
        }
    }
    jobs
}

fn count(number: usize) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

/// The next tenants of the round that have due work.
fn due_tenants(limit: usize, without: &[Uuid]) -> Vec<Uuid> {
    let after = |tenant: Uuid, without: &[Uuid], limit: usize| {
        let args = [Arg::Uuid(tenant), Arg::Int(count(limit)), Arg::Uuids(without)];
        spi::rows(include_str!("due_tenants.sql"), &args, |row| row.uuid(1)).into_iter().flatten().collect::<Vec<_>>()
    };
    if limit == 0 {
        return Vec::new();
    }
    let mut tenants = after(ROUND.get(), without, limit);
    if tenants.len() < limit && !ROUND.get().is_nil() {
        let without = [without, &tenants].concat();
        let more = after(Uuid::nil(), &without, limit - tenants.len());
        tenants.extend(more);
    }
    tenants
}

fn pick(sql: &str, args: &[Arg]) -> Vec<Candidate> {
    spi::rows(sql, args, |row| Some(Candidate { id: row.uuid(1)?, about: row.text(2), is_poison: row.boolean(3) == Some(true) }))
        .into_iter()
        .flatten()
        .collect()
}

/// Which of these may be leased; and whether others were held or buried, so that looking again finds others.
fn their_turn(found: Vec<Candidate>) -> (Vec<Uuid>, bool) {
    let (poison, found): (Vec<_>, Vec<_>) = found.into_iter().partition(|candidate| candidate.is_poison);
    for candidate in &poison {
        bury(candidate.id, "the lease ended too often without a word");
    }
    let mut locks = HashMap::<&str, bool>::new();
    let mut ordered = Vec::new();
    for candidate in &found {
        if let Some(about) = candidate.about.as_deref()
            && *locks.entry(about).or_insert_with(|| spi::try_advisory_lock(lock(about)))
        {
            ordered.push(candidate.id);
        }
    }
    // Read anew, under the locks: what was finished until now counts as finished.
    let heads = if ordered.is_empty() { Vec::new() } else { ids(include_str!("heads.sql"), &[Arg::Uuids(&ordered)]) };
    let heads = heads.into_iter().collect::<HashSet<_>>();
    let held = ordered.into_iter().filter(|id| !heads.contains(id)).collect::<Vec<_>>();
    if !held.is_empty() {
        spi::run(
            "update nebula.outbox_live set available_at = now() + interval '1 minute', is_held = true where id = any ($1)",
            &[Arg::Uuids(&held)],
        );
    }
    let turns = found.iter().filter(|candidate| candidate.about.is_none() || heads.contains(&candidate.id)).map(|candidate| candidate.id);
    (turns.collect(), !held.is_empty() || !poison.is_empty())
}

fn lock(about: &str) -> i64 {
    spi::advisory_key(&format!("nebula/outbox/{about}"))
}

fn ids(sql: &str, args: &[Arg]) -> Vec<Uuid> {
    spi::rows(sql, args, |row| row.uuid(1)).into_iter().flatten().collect()
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

/// Takes rows out of one part of the outbox and puts them into the other. Not by an update of their status: whoever waits to lock one would fail, since it moved.
macro_rules! moved {
    ($which:literal, $status:literal, $failures:literal, $error:literal, $available_at:literal, $finished_at:literal) => {
        concat!(
            "with gone as (",
            $which,
            " returning o.id, o.tenant_id, o.type, o.aggregate, o.payload, o.attempts, o.failures, o.available_at, o.locked_by, o.last_error, o.position, \
               o.created_at), moved as ( \
             insert into nebula.outbox (id, tenant_id, type, aggregate, payload, attempts, locked_by, position, created_at, status, failures, last_error, \
               available_at, finished_at) \
             select o.id, o.tenant_id, o.type, o.aggregate, o.payload, o.attempts, o.locked_by, o.position, o.created_at, '",
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

/// Finishes jobs; answers those whose lease was still this worker's.
#[must_use]
pub fn complete(worker: &str, leases: &[Lease]) -> Vec<Uuid> {
    let (jobs, attempts) = split(leases);
    let about = lock_what_they_are_about(&jobs);
    let done = ids(
        moved!(
            "delete from nebula.outbox_live o using unnest($2::uuid[], $3::integer[]) j (id, attempt) \
             where o.id = j.id and o.locked_by = $1 and o.attempts = j.attempt and o.locked_until > clock_timestamp()",
            "done",
            "o.failures",
            "o.last_error",
            "o.available_at",
            "clock_timestamp()"
        ),
        &[Arg::Text(worker), Arg::Uuids(&jobs), Arg::Ints(&attempts)],
    );
    next_turn(about);
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
    let about = lock_what_they_are_about(&[id]);
    spi::run(
        moved!(
            "delete from nebula.outbox_live o where o.id = $1",
            "dead",
            "o.failures + 1",
            "left($2, 500)",
            "o.available_at",
            "clock_timestamp()"
        ),
        &[Arg::Uuid(id), Arg::Text(error)],
    );
    next_turn(about);
}

/// A dead job, of this tenant or whichever, waits again as if it had never failed. Its attempts go on counting: a worker of before must not take a new lease
/// for its own.
#[must_use]
pub fn requeue(id: Uuid, tenant: Option<Uuid>) -> bool {
    wake::at_commit();
    spi::run(
        moved!(
            "delete from nebula.outbox o where o.id = $1 and ($2 is null or o.tenant_id = $2) and o.status = 'dead'",
            "pending",
            "0",
            "o.last_error",
            "now()",
            "null"
        ),
        &[Arg::Uuid(id), Arg::OptUuid(tenant)],
    ) > 0
}

/// For each subscription that wants one of these events a job, in the events' order; the events are done. How many of them.
#[must_use]
pub fn fan_out(worker: &str, leases: &[Lease]) -> usize {
    let (jobs, attempts) = split(leases);
    wake::at_commit();
    spi::run(
        "insert into nebula.outbox (tenant_id, type, aggregate, payload) \
         select w.tenant_id, 'webhook.delivery', w.id || '/' || e.aggregate, \
           jsonb_build_object('version', 1, 'data', jsonb_build_object('webhookId', w.id, 'eventId', e.id, 'eventType', e.type)) \
         from ( \
           select o.id, o.tenant_id, o.type, o.aggregate, o.position \
           from nebula.outbox_live o join unnest($2::uuid[], $3::integer[]) j (id, attempt) on j.id = o.id \
           where o.locked_by = $1 and o.attempts = j.attempt and o.locked_until > clock_timestamp() and o.type <> all ($4) \
           for update of o \
         ) e \
         join nebula.webhook_subscription w on w.tenant_id = e.tenant_id and w.status = 'ativo' and w.events && array['*', e.type] \
         order by e.position",
        &[Arg::Text(worker), Arg::Uuids(&jobs), Arg::Ints(&attempts), Arg::Texts(&super::outbox::INTERNAL.map(str::to_owned))],
    );
    complete(worker, leases).len()
}

fn split(leases: &[Lease]) -> (Vec<Uuid>, Vec<i32>) {
    leases.iter().copied().unzip()
}

/// Tenant and aggregate of what is locked.
type About = (Vec<Uuid>, Vec<String>);

/// Takes the locks on what these jobs are about, always in the same order: nobody looks for a turn meanwhile.
fn lock_what_they_are_about(jobs: &[Uuid]) -> About {
    let about = spi::rows(
        "select tenant_id, aggregate from nebula.outbox_live where id = any ($1) and aggregate is not null and tenant_id is not null",
        &[Arg::Uuids(jobs)],
        |row| row.uuid(1).zip(row.text(2)),
    );
    let numbered = about.into_iter().flatten().map(|about| (lock(&format!("{}/{}", about.0, about.1)), about));
    let numbered = numbered.collect::<BTreeMap<_, _>>();
    for number in numbered.keys() {
        spi::run("select pg_advisory_xact_lock($1)", &[Arg::BigInt(*number)]);
    }
    numbered.into_values().unzip()
}

/// What was held for these is due.
fn next_turn((tenants, aggregates): About) {
    if tenants.is_empty() {
        return;
    }
    let woken = spi::run(
        "update nebula.outbox_live o set available_at = now(), is_held = false \
         from unnest($1::uuid[], $2::text[]) a (tenant_id, aggregate) \
         cross join lateral ( \
           select n.id from nebula.outbox_live n where n.tenant_id = a.tenant_id and n.aggregate = a.aggregate order by n.position limit 1 \
         ) next \
         where o.id = next.id and o.is_held",
        &[Arg::Uuids(&tenants), Arg::Texts(&aggregates)],
    );
    if woken > 0 {
        wake::at_commit();
    }
}
