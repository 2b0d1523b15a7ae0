//! Counters that every backend sees at once, whether or not the library is preloaded (docs/decisions/0014-counters.md).
//!
//! A dynamic segment that stays until the server stops. A few bytes of the main shared memory, for which Postgres always has room, say which segment it is;
//! whoever comes first makes it. What doesn't fit is counted in the table `nebula.rate_limit`.
//!
//! Raw memory and locks of Postgres, hence the exception.
#![allow(unsafe_code)]

use super::spi;
use nebula_core::rate::{Verdict, Window};
use pgrx::pg_sys;
use std::cell::Cell;

/// Parts, each under a lock of its own.
const PARTS: usize = 16;
/// Counters of one part: 32,768 in all, 2.6 MB.
const CAPACITY: usize = 2048;
/// How many places a key may stand at.
const PROBES: usize = 16;
/// Which of Postgres' own locks guards the making of shared structures; the number is the same in all versions from 13 to 18.
const ADDIN_SHMEM_INIT_LOCK: usize = 21;
/// With the layout's number: a newer library in a server that runs maps no older memory.
const NAME: &core::ffi::CStr = c"nebula_counters_1";
const SIZE: usize = PARTS * size_of::<Part>();

#[repr(C)]
struct Directory {
    segment: pg_sys::dsm_handle,
    tranche: i32,
}

#[repr(C)]
#[derive(Clone, Copy)]
struct Counter {
    key: [u8; 16],
    /// Databases of one cluster share the memory and nothing else. 0: the place is free, as all are in new memory.
    database: u32,
    window: Window,
}

#[repr(C)]
struct Part {
    lock: pg_sys::LWLock,
    counters: [Counter; CAPACITY],
}

thread_local! {
    static PARTS_OF_SEGMENT: Cell<*mut Part> = const { Cell::new(std::ptr::null_mut()) };
}

/// Counts a request under a key. One that is not there begins with `start`; `None` where that is `None`, or where there is no room or no memory.
#[must_use]
pub fn hit(key: [u8; 16], now_seconds: i64, limit: u32, start: Option<Window>) -> Option<Verdict> {
    with_counter(key, now_seconds, start, |window| window.hit(now_seconds, limit))
}

/// The verdict on a request that would come now; `None` where the key is not there.
#[must_use]
pub fn peek(key: [u8; 16], now_seconds: i64, limit: u32) -> Option<Verdict> {
    with_counter(key, now_seconds, None, |window| window.peek(now_seconds, limit))
}

fn with_counter<T>(key: [u8; 16], now_seconds: i64, start: Option<Window>, work: impl FnOnce(&mut Window) -> T) -> Option<T> {
    let database = spi::database_id();
    let [part, high, low, ..] = key;
    let first = usize::from(u16::from_be_bytes([high, low]));
    with_part(usize::from(part) % PARTS, |counters| {
        let places = || (0..PROBES).map(|probe| (first + probe) % CAPACITY);
        let at = |place: usize, is: &dyn Fn(&Counter) -> bool| counters.get(place).is_some_and(is);
        // All places are looked at before a free one is taken: the key may stand behind one that has become free.
        let known = places().find(|place| at(*place, &|counter| counter.database == database && counter.key == key));
        let is_free = |counter: &Counter| counter.database == 0 || counter.window.is_over(now_seconds);
        if let Some(place) = known {
            return counters.get_mut(place).map(|counter| work(&mut counter.window));
        }
        let window = start?;
        let place = places().find(|place| at(*place, &is_free))?;
        let counter = counters.get_mut(place)?;
        *counter = Counter { key, database, window };
        Some(work(&mut counter.window))
    })?
}

/// Runs `work`, which neither fails nor calls Postgres, on one part's counters under its lock.
fn with_part<T>(index: usize, work: impl FnOnce(&mut [Counter; CAPACITY]) -> T) -> Option<T> {
    let parts = segment()?;
    // SAFETY: the segment has `PARTS` parts, `index` is below that, and the lock makes the reference the only one.
    unsafe {
        let part = parts.add(index);
        pg_sys::LWLockAcquire(&raw mut (*part).lock, pg_sys::LWLockMode::LW_EXCLUSIVE);
        let result = work(&mut (*part).counters);
        pg_sys::LWLockRelease(&raw mut (*part).lock);
        Some(result)
    }
}

/// The segment, attached for the rest of the backend's life; `None` where the server has no room for one.
fn segment() -> Option<*mut Part> {
    let known = PARTS_OF_SEGMENT.get();
    if !known.is_null() {
        return Some(known);
    }
    // SAFETY: as `GetNamedDSMSegment` of Postgres 17 does, which 15 and 16 lack: one process at a time makes or attaches; an error in between changes nothing
    // that another would find half done.
    let parts = with_shared(NAME, |directory: *mut Directory| unsafe {
        let segment = if (*directory).segment == 0 { make(directory) } else { pg_sys::dsm_attach((*directory).segment) };
        // One of another size was made by another version of the library: it is left alone.
        if segment.is_null() || pg_sys::dsm_segment_map_length(segment) < SIZE {
            return None;
        }
        pg_sys::dsm_pin_mapping(segment);
        pg_sys::LWLockRegisterTranche((*directory).tranche, NAME.as_ptr());
        Some(pg_sys::dsm_segment_address(segment).cast::<Part>())
    })?;
    PARTS_OF_SEGMENT.set(parts);
    Some(parts)
}

/// Runs `work` on the few bytes of the main shared memory that have this name, zeros at first, while nobody else does.
pub fn with_shared<T, R>(name: &core::ffi::CStr, work: impl FnOnce(*mut T) -> R) -> R {
    // SAFETY: the lock lets one process at a time make or find the structure; an error in between releases it.
    unsafe {
        let guard = &raw mut (*pg_sys::MainLWLockArray.add(ADDIN_SHMEM_INIT_LOCK)).lock;
        pg_sys::LWLockAcquire(guard, pg_sys::LWLockMode::LW_EXCLUSIVE);
        let mut is_found = false;
        let shared = pg_sys::ShmemInitStruct(name.as_ptr(), size_of::<T>(), &raw mut is_found).cast::<T>();
        if !is_found {
            shared.cast::<u8>().write_bytes(0, size_of::<T>());
        }
        let result = work(shared);
        pg_sys::LWLockRelease(guard);
        result
    }
}

/// Makes the segment: zeros, which are free places, and initialised locks.
///
/// # Safety
/// The caller holds the lock on shared structures, and `directory` is the shared one.
unsafe fn make(directory: *mut Directory) -> *mut pg_sys::dsm_segment {
    // SAFETY: as the caller promises; nobody else knows the segment before its number stands in the directory.
    unsafe {
        let segment = pg_sys::dsm_create(SIZE, pg_sys::DSM_CREATE_NULL_IF_MAXSEGMENTS.cast_signed());
        if segment.is_null() {
            return segment;
        }
        let parts = pg_sys::dsm_segment_address(segment).cast::<Part>();
        parts.cast::<u8>().write_bytes(0, SIZE);
        let tranche = pg_sys::LWLockNewTrancheId();
        for index in 0..PARTS {
            pg_sys::LWLockInitialize(&raw mut (*parts.add(index)).lock, tranche);
        }
        pg_sys::dsm_pin_segment(segment);
        directory.write(Directory { segment: pg_sys::dsm_segment_handle(segment), tranche });
        segment
    }
}
