//! Waking workers when work was committed, without NOTIFY: that would make the commits of all tenants wait for one another.
//!
//! A counter and the latches of who waits, in a few bytes of the main shared memory, for which Postgres always has room. A backend that commits work adds to the
//! counter and sets the latches; a poll stands behind, for work that becomes due by itself.
//!
//! Raw memory of Postgres, hence the exception.
#![allow(unsafe_code)]

use super::{shared_memory, spi};
use pgrx::pg_sys;
use std::{
    cell::Cell,
    sync::atomic::{AtomicI32, AtomicU64, Ordering},
};

/// Who waits at once; more than these sleep until their timeout.
const WAITERS: usize = 64;
/// With the layout's number: a newer library in a server that runs maps no older memory.
const NAME: &core::ffi::CStr = c"nebula_wake_1";

#[repr(C)]
struct Bell {
    /// How many transactions with work have committed, in whichever database.
    rung: AtomicU64,
    /// The number of each waiting process, plus one; 0: free, as all are in new memory.
    waiters: [AtomicI32; WAITERS],
}

thread_local! {
    static BELL: Cell<*const Bell> = const { Cell::new(std::ptr::null()) };
    static HAS_WORK: Cell<bool> = const { Cell::new(false) };
    /// What this backend has told its client of.
    static HEARD: Cell<u64> = const { Cell::new(0) };
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
pub fn at_commit() {
    if !HAS_WORK.replace(true) {
        bell();
    }
}

/// The transaction has committed, and what it wrote can be seen.
pub fn committed() {
    if !HAS_WORK.replace(false) || BELL.get().is_null() {
        return;
    }
    let bell = bell();
    bell.rung.fetch_add(1, Ordering::SeqCst);
    for waiter in &bell.waiters {
        let number = waiter.load(Ordering::SeqCst);
        if let Ok(number) = usize::try_from(number - 1) {
            // SAFETY: a process' place is there as long as the server; whoever has it by now is at worst woken for nothing, which every loop over a latch allows.
            unsafe { pg_sys::SetLatch(&raw mut (*(*pg_sys::ProcGlobal).allProcs.add(number)).procLatch) };
        }
    }
}

/// The transaction was rolled back, and its work with it.
pub fn rolled_back() {
    HAS_WORK.set(false);
}

/// Leaves its place when dropped, also when a cancel ends the wait. A terminate ends the process without dropping anything: [`leave_at_exit`].
struct Place(Option<&'static AtomicI32>);

/// This process' number, plus one.
fn own_number() -> i32 {
    // SAFETY: both point into the one array of processes.
    let number = unsafe { pg_sys::MyProc.offset_from((*pg_sys::ProcGlobal).allProcs) };
    i32::try_from(number + 1).unwrap_or(0)
}

#[pgrx::pg_guard]
unsafe extern "C-unwind" fn leave_at_exit(_code: core::ffi::c_int, _argument: pg_sys::Datum) {
    let number = own_number();
    for place in &bell().waiters {
        // Whoever has it is told by its number.
        let _ = place.compare_exchange(number, 0, Ordering::SeqCst, Ordering::SeqCst);
    }
}

impl Place {
    fn take(bell: &'static Bell) -> Self {
        if !WILL_LEAVE_AT_EXIT.replace(true) {
            // SAFETY: the callback lives as long as the library, which Postgres never unloads.
            unsafe { pg_sys::before_shmem_exit(Some(leave_at_exit), pg_sys::Datum::null()) };
        }
        let number = own_number();
        let is_taken = |place: &&AtomicI32| place.compare_exchange(0, number, Ordering::SeqCst, Ordering::SeqCst).is_ok();
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

/// Waits until work is committed that this backend's client wasn't told of, at most so long; whether there is some.
#[must_use]
pub fn wait(timeout_milliseconds: i64) -> bool {
    let bell = bell();
    let place = Place::take(bell);
    let deadline = spi::now_microseconds() + timeout_milliseconds * 1000;
    loop {
        // After the place is taken: what is committed from now on sets the latch.
        let rung = bell.rung.load(Ordering::SeqCst);
        if rung != HEARD.replace(rung) {
            return true;
        }
        let left = (deadline - spi::now_microseconds()) / 1000;
        if left <= 0 {
            return false;
        }
        spi::sleep_milliseconds(left.min(if place.0.is_some() { 60_000 } else { 100 }));
    }
}
