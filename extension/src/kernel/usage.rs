//! What is used, and when a key was used last: gathered in the backend's memory, written in batches.
//!
//! A call counts when its transaction has committed. What was written stays out of the memory only if its own transaction commits, too: nothing is counted
//! twice, a crash loses at most what was gathered since the last flush, and a backend that ends in peace flushes first.

use super::{
    context::{Actor, Caller},
    spi::{self, Arg},
    sql_caller::PLATFORM,
};
use std::{cell::RefCell, collections::BTreeMap, mem};
use uuid::Uuid;

const INTERVAL_MICROSECONDS: i64 = 5_000_000;
/// How long an explicit flush waits for another; it can be asked for again.
const PATIENCE_MICROSECONDS: i64 = 1_000_000;
/// The same where the backend ends, and nothing is asked for again.
const LAST_PATIENCE_MICROSECONDS: i64 = 10_000_000;
const HOUR_SECONDS: i64 = 3600;
/// A backend that gathers more flushes before its interval is over.
const CAPACITY: usize = 10_000;

/// Calls by tenant, action and hour (seconds since the epoch), and each key's last use (microseconds).
#[derive(Default)]
struct Batch {
    calls: BTreeMap<(Uuid, String, i64), i64>,
    keys: BTreeMap<(Uuid, Uuid), i64>,
}

impl Batch {
    fn is_empty(&self) -> bool {
        self.calls.is_empty() && self.keys.is_empty()
    }

    fn add(&mut self, other: Self) {
        for (key, count) in other.calls {
            *self.calls.entry(key).or_default() += count;
        }
        for (key, at) in other.keys {
            let last = self.keys.entry(key).or_default();
            *last = at.max(*last);
        }
    }
}

#[derive(Default)]
struct Memory {
    /// Of transactions that have committed.
    gathered: Batch,
    /// Of the transaction that is open, by depth of savepoints.
    pending: Vec<(i32, Batch)>,
    /// Written by the transaction that is open.
    flushing: Vec<(i32, Batch)>,
    last_flush: i64,
    will_flush_at_exit: bool,
}

thread_local! {
    static MEMORY: RefCell<Memory> = RefCell::default();
}

/// A successful call. It is its own tenant's: what the platform does elsewhere is the platform's use.
pub fn count(caller: &Caller) {
    let now = spi::now_microseconds() / 1_000_000;
    let hour = now - now.rem_euclid(HOUR_SECONDS);
    let mut batch = Batch::default();
    batch.calls.insert((caller.home, caller.action.to_string(), hour), 1);
    pend(batch);
}

/// A key was presented, whatever became of the request.
pub fn key_used(caller: &Caller) {
    if let Actor::Service(key) = caller.actor {
        let mut batch = Batch::default();
        batch.keys.insert((caller.home, key), spi::now_microseconds());
        pend(batch);
    }
}

fn pend(batch: Batch) {
    let nesting = spi::transaction_nesting();
    let registers = MEMORY.with_borrow_mut(|memory| {
        match memory.pending.last_mut() {
            Some((depth, pending)) if *depth == nesting => pending.add(batch),
            _ => memory.pending.push((nesting, batch)),
        }
        !mem::replace(&mut memory.will_flush_at_exit, true)
    });
    if registers {
        spi::flush_usage_at_exit();
    }
}

/// The transaction has committed.
pub fn committed() {
    MEMORY.with_borrow_mut(|memory| {
        memory.flushing.clear();
        for (_, batch) in mem::take(&mut memory.pending) {
            memory.gathered.add(batch);
        }
    });
}

/// The transaction, or what a savepoint of this depth began (1: the whole transaction), was rolled back.
pub fn rolled_back(nesting: i32) {
    MEMORY.with_borrow_mut(|memory| {
        memory.pending.retain(|(depth, _)| *depth < nesting);
        let (kept, lost) = mem::take(&mut memory.flushing).into_iter().partition(|(depth, _)| *depth < nesting);
        memory.flushing = kept;
        for (_, batch) in lost {
            memory.gathered.add(batch);
        }
    });
}

/// A savepoint of this depth was released: what it gathered is its parent's, and one with what that has, so that a transaction of a million savepoints holds one batch.
pub fn released(nesting: i32) {
    let lift = |entries: &mut Vec<(i32, Batch)>| {
        let mut lifted = Batch::default();
        while let Some((_, batch)) = entries.pop_if(|(depth, _)| *depth >= nesting) {
            lifted.add(batch);
        }
        match entries.last_mut() {
            _ if lifted.is_empty() => {}
            Some((depth, batch)) if *depth == nesting - 1 => batch.add(lifted),
            _ => entries.push((nesting - 1, lifted)),
        }
    };
    MEMORY.with_borrow_mut(|memory| {
        lift(&mut memory.pending);
        lift(&mut memory.flushing);
    });
}

/// Flushes where the interval is over, at the end of a request, unless another backend is doing so: nobody waits for this. Not in a transaction that somebody
/// holds open, since what it has written would stay locked until its end; such a session flushes when it ends.
pub fn flush_if_due() {
    if spi::is_in_block() {
        return;
    }
    let now = spi::now_microseconds();
    let is_due = MEMORY.with_borrow_mut(|memory| {
        if memory.last_flush == 0 {
            memory.last_flush = now;
        }
        let is_full = memory.gathered.calls.len() + memory.gathered.keys.len() >= CAPACITY;
        !memory.gathered.is_empty() && (is_full || now - memory.last_flush >= INTERVAL_MICROSECONDS)
    });
    if is_due && spi::try_advisory_lock(lock()) {
        write();
    }
}

/// Flushes now; returns how many rows were written. Where another flush doesn't end in time, what was gathered is kept for the next.
#[must_use]
pub fn flush() -> u64 {
    flush_within(PATIENCE_MICROSECONDS)
}

fn flush_within(patience_microseconds: i64) -> u64 {
    if spi::is_in_block() || MEMORY.with_borrow(|memory| memory.gathered.is_empty()) {
        return 0;
    }
    let deadline = spi::now_microseconds() + patience_microseconds;
    while !spi::try_advisory_lock(lock()) {
        if spi::now_microseconds() >= deadline {
            return 0;
        }
        spi::sleep_milliseconds(10);
    }
    write()
}

fn lock() -> i64 {
    spi::advisory_key("nebula/usage")
}

/// Writes what was gathered, in the order of the keys, for all tenants.
fn write() -> u64 {
    let batch = MEMORY.with_borrow_mut(|memory| {
        memory.last_flush = spi::now_microseconds();
        mem::take(&mut memory.gathered)
    });
    let mut calls: (Vec<Uuid>, Vec<String>, Vec<String>, Vec<String>) = Default::default();
    for ((tenant, action, hour), count) in &batch.calls {
        calls.0.push(*tenant);
        calls.1.push(action.clone());
        calls.2.push(hour.to_string());
        calls.3.push(count.to_string());
    }
    let mut keys: (Vec<Uuid>, Vec<Uuid>, Vec<String>) = Default::default();
    for ((tenant, key), at) in &batch.keys {
        keys.0.push(*tenant);
        keys.1.push(*key);
        keys.2.push(at.to_string());
    }
    // Remembered before the statements: one that fails gives it back when the transaction rolls back.
    MEMORY.with_borrow_mut(|memory| memory.flushing.push((spi::transaction_nesting(), batch)));
    spi::as_role(PLATFORM, || {
        let mut rows = 0;
        if !calls.0.is_empty() {
            rows += spi::run(
                "insert into nebula.usage_metrics as usage (tenant_id, tool_action_id, period_start, period_end, count) \
                 select t.id, a.id, to_timestamp(c.hour::bigint), to_timestamp(c.hour::bigint + 3600), c.count::bigint \
                 from unnest($1::uuid[], $2::text[], $3::text[], $4::text[]) c (tenant_id, action, hour, count) \
                 join nebula.tenant t on t.id = c.tenant_id join nebula.tool_action a on a.key = c.action \
                 order by t.id, c.hour, a.id \
                 on conflict (tenant_id, period_start, tool_action_id) do update set count = usage.count + excluded.count",
                &[Arg::Uuids(&calls.0), Arg::Texts(&calls.1), Arg::Texts(&calls.2), Arg::Texts(&calls.3)],
            );
        }
        if !keys.0.is_empty() {
            // A key that somebody is changing is left out: nobody waits for another's transaction, and its next use is written with the next batch.
            rows += spi::run(
                "update nebula.api_key k set last_used_at = u.at \
                 from ( \
                   select free.tenant_id, free.id, to_timestamp(used.at::numeric / 1000000) as at \
                   from unnest($1::uuid[], $2::uuid[], $3::text[]) used (tenant_id, id, at) \
                   join nebula.api_key free on free.tenant_id = used.tenant_id and free.id = used.id \
                   for no key update of free skip locked \
                 ) u \
                 where k.tenant_id = u.tenant_id and k.id = u.id and (k.last_used_at is null or k.last_used_at < u.at)",
                &[Arg::Uuids(&keys.0), Arg::Uuids(&keys.1), Arg::Texts(&keys.2)],
            );
        }
        rows
    })
}

/// What is left when the backend ends, written in a transaction of its own.
pub fn flush_at_exit() {
    // What a transaction was writing when the end came is given back as it is aborted.
    if MEMORY.with_borrow(|memory| !memory.gathered.is_empty() || !memory.flushing.is_empty()) {
        spi::in_last_transaction(|| {
            let _ = flush_within(LAST_PATIENCE_MICROSECONDS);
        });
    }
}
