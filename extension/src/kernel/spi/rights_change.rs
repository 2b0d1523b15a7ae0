//! What tells a backend that rights have changed, and whose: relcache invalidations, which Postgres sends when a transaction commits and every backend receives before
//! its next statement, on standbys too.
//!
//! A change is announced by two messages, one behind the other: of the sentinel, and of the tenant's slot or, where it is no single tenant's, of the slot of all.
//! A library of 0.1.0 sends and knows the sentinel alone: without a slot behind it, it is a change of everything.

use super::relation_in_nebula;
use pgrx::pg_sys;
use std::{
    cell::{Cell, RefCell},
    ffi::CString,
};
use uuid::Uuid;

/// Tenants share so many slots.
const SLOTS: usize = 64;

/// What is heard of, by oid.
struct Relations {
    all: u32,
    slots: Vec<u32>,
}

thread_local! {
    /// 0: not known.
    static SENTINEL: Cell<u32> = const { Cell::new(0) };
    static RELATIONS: RefCell<Option<Relations>> = const { RefCell::new(None) };
    /// The sentinel may have been made anew since it was looked up.
    static IS_UNSURE: Cell<bool> = const { Cell::new(true) };
    /// Changes that may concern every tenant.
    static OF_ALL: Cell<u64> = const { Cell::new(0) };
    /// Whether the last message was the sentinel's.
    static IS_OPEN: Cell<bool> = const { Cell::new(false) };
    static OF_SLOTS: RefCell<[u64; SLOTS]> = const { RefCell::new([0; SLOTS]) };
    static CHANGES: Cell<u64> = const { Cell::new(0) };
}

fn slot(tenant: Uuid) -> usize {
    // The end of a version 7 is random.
    usize::from(tenant.as_bytes()[15]) % SLOTS
}

fn look_up(name: &str) -> Option<u32> {
    CString::new(format!("rights_{name}")).ok().and_then(|name| relation_in_nebula(&name))
}

/// Tells every backend, when this transaction commits, that rights of this tenant have changed; `None`: of whomever.
pub fn announce(tenant: Option<Uuid>) {
    let Some(sentinel) = look_up("sentinel") else { return };
    SENTINEL.set(sentinel);
    send(sentinel);
    // Where there are no slots yet, the sentinel says enough.
    let name = tenant.map_or_else(|| "slot_all".to_owned(), |tenant| format!("slot_{}", slot(tenant)));
    if let Some(slot) = look_up(&name) {
        send(slot);
    }
}

fn send(relation: u32) {
    // SAFETY: queues an invalidation message of an existing relation.
    unsafe { pg_sys::CacheInvalidateRelcacheByRelid(pg_sys::Oid::from(relation)) };
}

/// Learns what to hear of, so that other relations' invalidations clear nothing. Before that every one does.
pub fn learn_sentinel() {
    if IS_UNSURE.get() {
        SENTINEL.set(look_up("sentinel").unwrap_or(0));
        IS_UNSURE.set(SENTINEL.get() == 0);
    }
    if RELATIONS.with_borrow(Option::is_none) {
        let relations = || {
            let slots = (0..SLOTS).map(|slot| look_up(&format!("slot_{slot}"))).collect::<Option<_>>()?;
            Some(Relations { all: look_up("slot_all")?, slots })
        };
        RELATIONS.replace(relations());
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
    let known = |relations: &RefCell<Option<Relations>>| {
        let relations = relations.try_borrow().ok()?;
        let relations = relations.as_ref()?;
        let slot = relations.slots.iter().position(|slot| *slot == relation);
        if relation == relations.all { Some(None) } else { slot.map(Some) }
    };
    match RELATIONS.with(known) {
        Some(Some(slot)) => {
            // What the sentinel before it said was this. Nothing has asked in between: messages are received one after the other.
            if is_open {
                OF_ALL.set(OF_ALL.get().wrapping_sub(1));
            }
            OF_SLOTS.with(|slots| {
                if let Ok(mut slots) = slots.try_borrow_mut()
                    && let Some(changes) = slots.get_mut(slot)
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
    OF_ALL.get().wrapping_add(OF_SLOTS.with_borrow(|slots| slots.get(slot(tenant)).copied().unwrap_or(0)))
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

fn receive() {
    // SAFETY: as every statement's start does; cheap when nothing waits. Callbacks that it runs only reset memory.
    unsafe { pg_sys::AcceptInvalidationMessages() };
}
