//! What is used, and when a key was used last: gathered in the backend's memory, handed over every few seconds, summed up over all backends and written.
//!
//! A call counts when its transaction has committed. What was handed over stays out of the memory only if its own transaction commits, too: nothing is counted
//! twice, a crash loses at most what was gathered since the last flush, and a backend that ends in peace flushes first.
//!
//! Handing over is one row and waits for nobody. Writing is a counter each, and there are few where many backends' are summed up: with ten thousand tenants a backend alone
//! has nearly as many counters as calls.

use super::{
    context::{Actor, Caller},
    spi::{self, Arg},
    sql_caller::PLATFORM,
};
use std::{cell::RefCell, collections::HashMap, mem, rc::Rc};
use uuid::Uuid;

const INTERVAL_MICROSECONDS: i64 = 5_000_000;
/// How long an explicit flush waits for another; it can be asked for again.
const PATIENCE_MICROSECONDS: i64 = 1_000_000;
/// The same where the backend ends, and nothing is asked for again.
const LAST_PATIENCE_MICROSECONDS: i64 = 10_000_000;
const HOUR_SECONDS: i64 = 3600;
/// A backend that gathers more hands over before its interval is over.
const CAPACITY: usize = 10_000;

/// Calls by tenant, action and hour (seconds since the epoch), and each key's last use (microseconds).
#[derive(Default)]
struct Batch {
    calls: HashMap<(Uuid, Rc<str>, i64), i64>,
    keys: HashMap<(Uuid, Uuid), i64>,
}

impl Batch {
    fn is_empty(&self) -> bool {
        self.calls.is_empty() && self.keys.is_empty()
    }

    fn len(&self) -> usize {
        self.calls.len() + self.keys.len()
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
    /// Handed over by the transaction that is open.
    handing_over: Vec<(i32, Batch)>,
    last_hand_over: i64,
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
    batch.calls.insert((caller.home, Rc::clone(&caller.action), hour), 1);
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
        memory.handing_over.clear();
        for (_, batch) in memory.pending.drain(..) {
            memory.gathered.add(batch);
        }
    });
}

/// The transaction, or what a savepoint of this depth began (1: the whole transaction), was rolled back.
pub fn rolled_back(nesting: i32) {
    MEMORY.with_borrow_mut(|memory| {
        memory.pending.retain(|(depth, _)| *depth < nesting);
        let (kept, lost) = mem::take(&mut memory.handing_over).into_iter().partition(|(depth, _)| *depth < nesting);
        memory.handing_over = kept;
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
        lift(&mut memory.handing_over);
    });
}

/// Hands over where the interval is over, at the end of a request. Not in a transaction that somebody holds open, since what was counted would be lost to all others
/// until its end; such a session hands over when it ends. Where no edge has it written, a request does now and then.
pub fn hand_over_if_due() {
    if spi::is_in_block() {
        return;
    }
    let now = spi::now_microseconds();
    let is_due = MEMORY.with_borrow_mut(|memory| {
        if memory.last_hand_over == 0 {
            memory.last_hand_over = now;
        }
        let is_full = memory.gathered.len() >= CAPACITY;
        !memory.gathered.is_empty() && (is_full || now - memory.last_hand_over >= INTERVAL_MICROSECONDS)
    });
    if is_due {
        hand_over();
        if spi::as_role(PLATFORM, is_left_alone) && may_write() && is_alone() {
            write();
        }
    }
}

/// Whether something was handed over so long ago that nobody seems to write it.
fn is_left_alone() -> bool {
    spi::first("select from nebula.gathered_usage where gathered_at < now() - interval '15 seconds' limit 1", &[], |_| ()).is_some()
}

/// Puts what was gathered where the next one who writes finds it, without waiting for anybody; returns how many counters that were.
pub fn hand_over() -> usize {
    if spi::is_in_block() {
        return 0;
    }
    let batch = MEMORY.with_borrow_mut(|memory| {
        memory.last_hand_over = spi::now_microseconds();
        mem::take(&mut memory.gathered)
    });
    let count = batch.len();
    if count == 0 {
        return 0;
    }
    let (mut tenants, mut actions, mut hours) = (Vec::new(), Vec::new(), Vec::new());
    for (tenant, action, hour) in batch.calls.keys() {
        tenants.push(*tenant);
        actions.push(action.to_string());
        hours.push(*hour);
    }
    let (key_tenants, keys): (Vec<_>, Vec<_>) = batch.keys.keys().copied().unzip();
    let counts = batch.calls.values().copied().collect::<Vec<_>>();
    let used = batch.keys.values().copied().collect::<Vec<_>>();
    // Remembered before the statement: one that fails gives it back when the transaction rolls back.
    MEMORY.with_borrow_mut(|memory| memory.handing_over.push((spi::transaction_nesting(), batch)));
    spi::as_role(PLATFORM, || {
        spi::run(
            "insert into nebula.gathered_usage (tenants, actions, hours, counts, key_tenants, keys, keys_used) values ($1, $2, $3, $4, $5, $6, $7)",
            &[
                Arg::Uuids(&tenants),
                Arg::Texts(&actions),
                Arg::BigInts(&hours),
                Arg::BigInts(&counts),
                Arg::Uuids(&key_tenants),
                Arg::Uuids(&keys),
                Arg::BigInts(&used),
            ],
        );
    });
    count
}

/// Hands over, and writes what is handed over by all; returns how many counters this backend had. Where another one who writes doesn't end in time, the next finds the rest.
#[must_use]
pub fn flush() -> usize {
    flush_within(PATIENCE_MICROSECONDS)
}

fn flush_within(patience_microseconds: i64) -> usize {
    if spi::is_in_block() {
        return 0;
    }
    let count = hand_over();
    if !may_write() {
        return count;
    }
    let deadline = spi::now_microseconds() + patience_microseconds;
    while !is_alone() {
        if spi::now_microseconds() >= deadline {
            return count;
        }
        spi::sleep_milliseconds(10);
    }
    write();
    count
}

/// Whether this transaction reads each statement anew: what others have written since would fail one that keeps its snapshot.
fn may_write() -> bool {
    spi::is_read_committed()
}

/// Whether nobody else is writing, nor will until this transaction ends.
fn is_alone() -> bool {
    spi::try_advisory_lock(spi::advisory_key("nebula/usage"))
}

/// Sums up what was handed over, and writes it in the order of the keys, for all tenants.
fn write() {
    let taken = spi::reading_all(|| spi::as_role(PLATFORM, || spi::first(include_str!("usage.sql"), &[], |row| row.boolean(1)).flatten()));
    if taken == Some(true) {
        // Some megabytes where there are thousands of counters, and each backend is the one that writes now and then.
        spi::give_back_memory();
    }
}

/// What is left when the backend ends, written in a transaction of its own.
pub fn flush_at_exit() {
    // What a transaction was writing when the end came is given back as it is aborted.
    if MEMORY.with_borrow(|memory| !memory.gathered.is_empty() || !memory.handing_over.is_empty()) {
        spi::in_last_transaction(|| {
            let _ = flush_within(LAST_PATIENCE_MICROSECONDS);
        });
    }
}
