//! Waking workers when work was committed, without NOTIFY: that would make the commits of all tenants wait for one another.
//!
//! Counters and the latches of who waits, in a few bytes of the main shared memory, for which Postgres always has room. A backend that commits work adds to the
//! counter of its kind and sets the latches of its own database's; a poll stands behind, for work that becomes due by itself.
//!
//! Raw memory of Postgres, hence the exception.
#![allow(unsafe_code)]

use super::{shared_memory, spi};
use pgrx::pg_sys;
use std::{
    cell::Cell,
    sync::atomic::{AtomicU64, Ordering},
};

/// Who waits at once; more than these sleep until their timeout.
const WAITERS: usize = 64;
/// Databases share so many counters: who shares one is told for nothing.
const DATABASES: usize = 32;
/// With the layout's number: a newer library in a server that runs maps no older memory.
const NAME: &core::ffi::CStr = c"nebula_wake_3";

/// What was written, or was committed: for whom there is something to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Work {
    /// Events, to be handed on.
    pub events: bool,
    /// Jobs, to be claimed.
    pub jobs: bool,
    /// Events of tenants that have no webhook: to be finished whenever a worker comes by, which is woken for none of them.
    pub quiet_events: bool,
}

impl Work {
    const NONE: Self = Self { events: false, jobs: false, quiet_events: false };
    pub const EVENTS: Self = Self { events: true, ..Self::NONE };
    pub const JOBS: Self = Self { jobs: true, ..Self::NONE };
    pub const QUIET_EVENTS: Self = Self { quiet_events: true, ..Self::NONE };
    pub const ANY: Self = Self { events: true, jobs: true, ..Self::NONE };

    #[must_use]
    pub fn is_there(self) -> bool {
        self.is_urgent() || self.quiet_events
    }

    /// Somebody waits for what comes of it.
    fn is_urgent(self) -> bool {
        self.events || self.jobs
    }

    fn or(self, other: Self) -> Self {
        Self { events: self.events || other.events, jobs: self.jobs || other.jobs, quiet_events: self.quiet_events || other.quiet_events }
    }
}

/// What a waiter wants to be woken for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    AnyWork,
    UrgentWork,
}

impl Until {
    fn is_met(self, work: Work) -> bool {
        if self == Self::AnyWork { work.is_there() } else { work.is_urgent() }
    }
}

/// How many transactions with work of each kind have committed.
#[repr(C)]
struct Rung {
    events: AtomicU64,
    jobs: AtomicU64,
    quiet_events: AtomicU64,
}

impl Rung {
    fn heard(&self) -> Heard {
        let now = |count: &AtomicU64| count.load(Ordering::SeqCst);
        Heard { events: now(&self.events), jobs: now(&self.jobs), quiet_events: now(&self.quiet_events) }
    }
}

#[repr(C)]
struct Bell {
    rung: [Rung; DATABASES],
    /// Database, [`ANY_WORK`] and number, plus one, of each waiting process; 0: free, as all are in new memory.
    waiters: [AtomicU64; WAITERS],
}

/// Of a waiter: it wants to be woken for quiet events, too. Postgres has fewer processes than this.
const ANY_WORK: u64 = 1 << 31;

impl Bell {
    fn rung(&self) -> &Rung {
        let [first, ..] = &self.rung;
        self.rung.get(spi::database_id() as usize % DATABASES).unwrap_or(first)
    }
}

/// The counters as a backend saw them.
#[derive(Clone, Copy, Default)]
struct Heard {
    events: u64,
    jobs: u64,
    quiet_events: u64,
}

thread_local! {
    static BELL: Cell<*const Bell> = const { Cell::new(std::ptr::null()) };
    /// What this transaction has written.
    static WRITTEN: Cell<Work> = const { Cell::new(Work::NONE) };
    /// What this backend has told its client of.
    static HEARD: Cell<Heard> = const { Cell::new(Heard { events: 0, jobs: 0, quiet_events: 0 }) };
    static WILL_LEAVE_AT_EXIT: Cell<bool> = const { Cell::new(false) };
}

fn bell() -> &'static Bell {
    let known = BELL.get();
    if !known.is_null() {
        // SAFETY: set below; shared memory lives as long as the process.
        return unsafe { &*known };
    }
    let bell = shared_memory::with_shared(NAME, |bell: *mut Bell| bell.cast_const());
    BELL.set(bell);
    // SAFETY: zeros are its beginning, and atomics are its only members.
    unsafe { &*bell }
}

/// This transaction has written work: whoever waits is woken when it commits. The memory is found now, since a commit must not fail.
pub fn at_commit(work: Work) {
    if !WRITTEN.replace(WRITTEN.get().or(work)).is_there() {
        bell();
    }
}

/// The transaction has committed, and what it wrote can be seen.
pub fn committed() {
    let written = WRITTEN.take();
    if !written.is_there() || BELL.get().is_null() {
        return;
    }
    let bell = bell();
    let rung = bell.rung();
    for (is_written, count) in [(written.events, &rung.events), (written.jobs, &rung.jobs), (written.quiet_events, &rung.quiet_events)] {
        if is_written {
            count.fetch_add(1, Ordering::SeqCst);
        }
    }
    let own = u64::from(spi::database_id());
    let is_to_wake = |waiter: &u64| waiter >> 32 == own && (written.is_urgent() || waiter & ANY_WORK != 0);
    for waiter in bell.waiters.iter().map(|waiter| waiter.load(Ordering::SeqCst)).filter(is_to_wake) {
        if let Some(number) = usize::try_from(waiter & (ANY_WORK - 1)).ok().and_then(|number| number.checked_sub(1)) {
            // SAFETY: a process' place is there as long as the server; whoever has it by now is at worst woken for nothing, which every loop over a latch allows.
            unsafe { pg_sys::SetLatch(&raw mut (*(*pg_sys::ProcGlobal).allProcs.add(number)).procLatch) };
        }
    }
}

/// The transaction was rolled back, and its work with it.
pub fn rolled_back() {
    WRITTEN.take();
}

/// Leaves its place when dropped, also when a cancel ends the wait. A terminate ends the process without dropping anything: [`leave_at_exit`].
struct Place(Option<&'static AtomicU64>);

/// This process as a waiter: its database, what it waits for, and its number, plus one.
fn own_entry(until: Until) -> u64 {
    // SAFETY: both point into the one array of processes.
    let number = unsafe { pg_sys::MyProc.offset_from((*pg_sys::ProcGlobal).allProcs) };
    let wants = if until == Until::AnyWork { ANY_WORK } else { 0 };
    u64::from(spi::database_id()) << 32 | wants | u64::try_from(number + 1).unwrap_or(0)
}

#[pgrx::pg_guard]
unsafe extern "C-unwind" fn leave_at_exit(_code: core::ffi::c_int, _argument: pg_sys::Datum) {
    for own in [own_entry(Until::AnyWork), own_entry(Until::UrgentWork)] {
        for place in &bell().waiters {
            // Whoever has it is told by its number.
            let _ = place.compare_exchange(own, 0, Ordering::SeqCst, Ordering::SeqCst);
        }
    }
}

impl Place {
    fn take(bell: &'static Bell, until: Until) -> Self {
        if !WILL_LEAVE_AT_EXIT.replace(true) {
            // SAFETY: the callback lives as long as the library, which Postgres never unloads.
            unsafe { pg_sys::before_shmem_exit(Some(leave_at_exit), pg_sys::Datum::null()) };
        }
        let own = own_entry(until);
        let is_taken = |place: &&AtomicU64| place.compare_exchange(0, own, Ordering::SeqCst, Ordering::SeqCst).is_ok();
        Self(bell.waiters.iter().find(is_taken))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(place) = self.0 {
            place.store(0, Ordering::SeqCst);
        }
    }
}

/// Waits until such work is committed that this backend's client wasn't told of, at most so long; of what kind it is.
#[must_use]
pub fn wait(until: Until, timeout_milliseconds: i64) -> Work {
    let bell = bell();
    let place = Place::take(bell, until);
    let deadline = spi::now_microseconds() + timeout_milliseconds * 1000;
    loop {
        // After the place is taken: what is committed from now on sets the latch.
        let now = bell.rung().heard();
        let before = HEARD.replace(now);
        let work = Work {
            events: now.events != before.events,
            jobs: now.jobs != before.jobs,
            quiet_events: now.quiet_events != before.quiet_events,
        };
        if until.is_met(work) {
            return work;
        }
        let left = (deadline - spi::now_microseconds()) / 1000;
        if left <= 0 {
            return Work::NONE;
        }
        spi::sleep_milliseconds(left.min(if place.0.is_some() { 60_000 } else { 100 }));
    }
}
