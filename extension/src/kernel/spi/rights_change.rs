//! What tells a backend that rights have changed, and whose: relcache invalidations, which Postgres sends when a transaction commits and every backend receives before
//! its next statement, on standbys too.
//!
//! A change is announced by two messages, one behind the other: of the sentinel, and of a number that stands for the tenant's slot or, where it is no single
//! tenant's, for all. No relation needs to have that number: whoever receives it for one of the system's forgets what it knows of that relation, and reads it again.
//! A library of 0.1.0 sends and knows the sentinel alone: without a number behind it, it is a change of everything.

use super::relation_in_nebula;
use pgrx::pg_sys;
use std::{
    cell::{Cell, RefCell},
    ffi::CStr,
};
use uuid::Uuid;

/// Tenants share so many slots.
const SLOTS: u16 = 4096;
/// The number of what is no single tenant's; the slots' are below it. Oids as high as these are given last, if ever.
const NUMBER_OF_ALL: u32 = u32::MAX;
const SENTINEL_NAME: &CStr = c"rights_sentinel";

thread_local! {
    /// 0: not known.
    static SENTINEL: Cell<u32> = const { Cell::new(0) };
    /// The sentinel may have been made anew since it was looked up.
    static IS_UNSURE: Cell<bool> = const { Cell::new(true) };
    /// Changes that may concern every tenant.
    static OF_ALL: Cell<u64> = const { Cell::new(0) };
    /// Whether the last message was the sentinel's.
    static IS_OPEN: Cell<bool> = const { Cell::new(false) };
    static OF_SLOTS: RefCell<Vec<u64>> = RefCell::new(vec![0; usize::from(SLOTS)]);
    static CHANGES: Cell<u64> = const { Cell::new(0) };
}

fn slot(tenant: Uuid) -> u16 {
    // The end of a version 7 is random.
    let [.., high, low] = *tenant.as_bytes();
    u16::from_be_bytes([high, low]) % SLOTS
}

fn number(slot: u16) -> u32 {
    NUMBER_OF_ALL - 1 - u32::from(slot)
}

/// Whose change a message tells: `Some(None)` where it is no single tenant's.
fn told(relation: u32) -> Option<Option<u16>> {
    match NUMBER_OF_ALL - relation {
        0 => Some(None),
        below => u16::try_from(below - 1).ok().filter(|slot| *slot < SLOTS).map(Some),
    }
}

/// Tells every backend, when this transaction commits, that rights of this tenant have changed; `None`: of whomever.
pub fn announce(tenant: Option<Uuid>) {
    let Some(sentinel) = relation_in_nebula(SENTINEL_NAME) else { return };
    SENTINEL.set(sentinel);
    // SAFETY: queues an invalidation message of an existing relation.
    unsafe { pg_sys::CacheInvalidateRelcacheByRelid(pg_sys::Oid::from(sentinel)) };
    send(sentinel, tenant.map_or(NUMBER_OF_ALL, |tenant| number(slot(tenant))));
}

/// Queues the message that a relation of this number would send, of which Postgres reads no more than a row of `pg_class` says: here the sentinel's.
/// Where that has just gone, nothing is sent: the sentinel's own message says enough.
fn send(sentinel: u32, number: u32) {
    let key = pg_sys::Datum::from(sentinel);
    // SAFETY: a copy of our own of a row of pg_class, whose beginning is that struct.
    unsafe {
        let nothing = pg_sys::Datum::null();
        let row = pg_sys::SearchSysCacheCopy(pg_sys::SysCacheIdentifier::RELOID as i32, key, nothing, nothing, nothing);
        if row.is_null() {
            return;
        }
        let class = pg_sys::GETSTRUCT(row).cast::<pg_sys::FormData_pg_class>();
        (*class).oid = pg_sys::Oid::from(number);
        pg_sys::CacheInvalidateRelcacheByTuple(row);
        pg_sys::heap_freetuple(row);
    }
}

/// Learns what to hear of, so that other relations' invalidations clear nothing. Before that every one does.
pub fn learn_sentinel() {
    if IS_UNSURE.get() {
        SENTINEL.set(relation_in_nebula(SENTINEL_NAME).unwrap_or(0));
        IS_UNSURE.set(SENTINEL.get() == 0);
    }
}

/// Postgres says that a relation changed (0: any may have). Only memory is touched: an error in a callback would abort the backend.
pub(super) fn heard_of(relation: u32) {
    let is_open = IS_OPEN.replace(false);
    let add = |changes: &Cell<u64>| changes.set(changes.get().wrapping_add(1));
    let of_all = || {
        OF_ALL.with(add);
        CHANGES.with(add);
    };
    if relation == 0 || SENTINEL.get() == 0 {
        IS_UNSURE.set(true);
        return of_all();
    }
    if relation == SENTINEL.get() {
        // The sentinel itself may have been dropped and made anew: it is looked up again.
        IS_UNSURE.set(true);
        IS_OPEN.set(true);
        return of_all();
    }
    match told(relation) {
        Some(Some(slot)) => {
            // What the sentinel before it said was this. Nothing has asked in between: messages are received one after the other.
            if is_open {
                OF_ALL.set(OF_ALL.get().wrapping_sub(1));
            }
            OF_SLOTS.with(|slots| {
                if let Ok(mut slots) = slots.try_borrow_mut()
                    && let Some(changes) = slots.get_mut(usize::from(slot))
                {
                    *changes = changes.wrapping_add(1);
                }
            });
            CHANGES.with(add);
        }
        Some(None) => of_all(),
        None if IS_UNSURE.get() => of_all(),
        None => {}
    }
}

/// A number that changes whenever rights may have changed. Receives what other sessions have committed first, so that a change counts from
/// the next statement on even inside a transaction that is open already.
#[must_use]
pub fn rights_generation() -> u64 {
    receive();
    CHANGES.get()
}

/// The same for what is no single tenant's.
#[must_use]
pub fn global_rights_generation() -> u64 {
    receive();
    OF_ALL.get()
}

/// The same for what concerns one tenant: its own, and what is no single tenant's.
#[must_use]
pub fn tenant_rights_generation(tenant: Uuid) -> u64 {
    receive();
    OF_ALL.get().wrapping_add(OF_SLOTS.with_borrow(|slots| slots.get(usize::from(slot(tenant))).copied().unwrap_or(0)))
}

/// [`rights_generation`] as of what this backend has heard of: whoever has just opened a relation has heard everything.
#[must_use]
pub fn heard_generation() -> u64 {
    CHANGES.get()
}

/// [`global_rights_generation`] as of the same.
#[must_use]
pub fn heard_global_generation() -> u64 {
    OF_ALL.get()
}

/// Before the sentinel is known again, what changes any relation would count as a change of everybody's rights.
fn receive() {
    // SAFETY: as every statement's start does; cheap when nothing waits. Callbacks that it runs only reset memory.
    unsafe { pg_sys::AcceptInvalidationMessages() };
    learn_sentinel();
}
