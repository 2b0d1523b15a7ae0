//! Counters that every backend sees at once. They exist where the library is in `shared_preload_libraries`; elsewhere, and for what doesn't fit, the
//! table `nebula.rate_limit` does the same.
//!
//! pgrx's declaration of shared memory is `unsafe` glue that asks for features by versions of Postgres, hence the exceptions.
#![allow(unsafe_code, unexpected_cfgs)]

use super::spi;
use nebula_core::rate::{Verdict, Window};
use pgrx::{PGRXSharedMemory, PgLwLock, pg_guard, pg_shmem_init, pg_sys};
use std::sync::atomic::{AtomicBool, Ordering};

/// Counters of one part, of which there are eight: 32,768 in all, 2.6 MB.
const CAPACITY: usize = 4096;
/// How many places a key may stand at.
const PROBES: usize = 16;

#[derive(Clone, Copy, Default)]
struct Counter {
    key: [u8; 16],
    /// Databases of one cluster share the memory and nothing else.
    database: u32,
    is_used: bool,
    window: Window,
}

#[derive(Clone, Copy)]
struct Part {
    counters: [Counter; CAPACITY],
}

impl Default for Part {
    fn default() -> Self {
        Self { counters: [Counter { key: [0; 16], database: 0, is_used: false, window: Window::EMPTY }; CAPACITY] }
    }
}

// SAFETY: plain data without pointers.
unsafe impl PGRXSharedMemory for Part {}

macro_rules! parts {
    ($($part:ident $name:literal,)*) => {
        // SAFETY: the names are ours alone.
        $(static $part: PgLwLock<Part> = unsafe { PgLwLock::new($name) };)*

        static PARTS: &[&PgLwLock<Part>] = &[$(&$part),*];

        fn request() {
            $(pg_shmem_init!($part);)*
        }
    };
}

parts! {
    PART_0 c"nebula_counters_0",
    PART_1 c"nebula_counters_1",
    PART_2 c"nebula_counters_2",
    PART_3 c"nebula_counters_3",
    PART_4 c"nebula_counters_4",
    PART_5 c"nebula_counters_5",
    PART_6 c"nebula_counters_6",
    PART_7 c"nebula_counters_7",
}

static IS_PRELOADED: AtomicBool = AtomicBool::new(false);

/// Asks for the memory where the server is just starting and the library is preloaded.
pub fn request_at_start() {
    if spi::is_preloading() {
        request();
        IS_PRELOADED.store(true, Ordering::Relaxed);
    }
}

/// Whether the counters exist.
#[must_use]
pub fn is_available() -> bool {
    IS_PRELOADED.load(Ordering::Relaxed)
}

/// Counts a request under a key; `None` where there is no shared memory, or no room in it.
#[must_use]
pub fn hit(key: [u8; 16], now_seconds: i64, limit: u32) -> Option<Verdict> {
    with_counter(key, now_seconds, |window| window.hit(now_seconds, limit))
}

/// The verdict on a request that would come now.
#[must_use]
pub fn peek(key: [u8; 16], now_seconds: i64, limit: u32) -> Option<Verdict> {
    with_counter(key, now_seconds, |window| window.peek(now_seconds, limit))
}

fn with_counter<T>(key: [u8; 16], now_seconds: i64, work: impl FnOnce(&mut Window) -> T) -> Option<T> {
    if !is_available() {
        return None;
    }
    let database = spi::database_id();
    let [part, high, low, ..] = key;
    let start = usize::from(u16::from_be_bytes([high, low]));
    let mut part = PARTS.get(usize::from(part) % PARTS.len())?.exclusive();
    let places = || (0..PROBES).map(|probe| (start + probe) % CAPACITY);
    let is_this = |counter: &Counter| counter.is_used && counter.database == database && counter.key == key;
    // All places are looked at before a free one is taken: the key may stand behind one that has become free.
    let known = places().find(|place| part.counters.get(*place).is_some_and(is_this));
    let place = known.or_else(|| {
        let is_free = |counter: &Counter| !counter.is_used || counter.window.is_over(now_seconds);
        places().find(|place| part.counters.get(*place).is_some_and(is_free))
    })?;
    let counter = part.counters.get_mut(place)?;
    if known.is_none() {
        *counter = Counter { key, database, is_used: true, window: Window::default() };
    }
    Some(work(&mut counter.window))
}
