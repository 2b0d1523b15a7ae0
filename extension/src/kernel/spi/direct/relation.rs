//! What is known of the relations that rows are written to and looked up in: kept until Postgres says that one of them changed.

use crate::kernel::{spi, sql_caller::OWNER};
use pgrx::{PgTupleDesc, pg_sys};
use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    ffi::CStr,
    rc::Rc,
};

thread_local! {
    /// Everything that is kept depends on some of these.
    static WATCHED: RefCell<Vec<u32>> = const { RefCell::new(Vec::new()) };
    static CHANGES: Cell<u64> = const { Cell::new(0) };
}

/// Postgres says that a relation changed (0: any may have). Only memory is touched: an error in a callback would abort the backend.
pub fn heard_of(relation: u32) {
    let is_watched = |watched: &RefCell<Vec<u32>>| watched.try_borrow().map_or(true, |watched| watched.contains(&relation));
    if relation == 0 || WATCHED.with(is_watched) {
        CHANGES.set(CHANGES.get().wrapping_add(1));
    }
}

/// A number that changes whenever something watched has changed, as far as this backend has heard.
pub fn changes() -> u64 {
    CHANGES.get()
}

/// The oid of a relation of the schema `nebula`, which is watched from now on.
pub fn watched(name: &CStr) -> Option<u32> {
    let relation = spi::relation_in_nebula(name)?;
    watch(relation);
    Some(relation)
}

pub fn watch(relation: u32) {
    WATCHED.with_borrow_mut(|watched| {
        if !watched.contains(&relation) {
            watched.push(relation);
        }
    });
}

/// What was found out about relations, good or bad, by what asked: a declaration lies at one place as long as the process lives.
pub struct Cache<K, T> {
    entries: RefCell<HashMap<*const K, Entry<T>>>,
}

/// With the number of changes before it was found out.
type Entry<T> = (u64, Option<Rc<T>>);

impl<K, T> Default for Cache<K, T> {
    fn default() -> Self {
        Self { entries: RefCell::default() }
    }
}

impl<K, T> Cache<K, T> {
    /// What is known, if it still holds; else what `find` finds, where it is given that nothing changed meanwhile.
    pub fn get(&self, asked: &'static K, holds: impl FnOnce(&T) -> bool, find: impl FnOnce() -> Option<T>) -> Option<Rc<T>> {
        let now = changes();
        let known = self
            .entries
            .borrow()
            .get(&std::ptr::from_ref(asked))
            .filter(|(at, known)| *at == now && known.as_deref().is_none_or(holds))
            .cloned();
        if let Some((_, known)) = known {
            return known;
        }
        let found = find().map(Rc::new);
        self.entries.borrow_mut().insert(asked, (now, found.clone()));
        found
    }
}

/// Opens a relation; `None` where there is none, or where the lock told of a change since `at`.
///
/// # Safety
/// Whoever gets a relation closes it.
pub unsafe fn open(relation: u32, lock: u32, at: u64) -> Option<pg_sys::Relation> {
    // SAFETY: takes a lock that the transaction's end releases.
    unsafe {
        let relation = pg_sys::try_table_open(pg_sys::Oid::from(relation), lock.cast_signed());
        if relation.is_null() {
            return None;
        }
        if changes() != at {
            close(relation);
            return None;
        }
        Some(relation)
    }
}

/// Closes it; the lock stays until the transaction ends, as after a statement.
///
/// # Safety
/// The relation is open.
pub unsafe fn close(relation: pg_sys::Relation) {
    // SAFETY: as the caller promises.
    unsafe { pg_sys::table_close(relation, pg_sys::NoLock.cast_signed()) };
}

/// Opens a relation, looks at it, and closes it.
pub fn inspect<T>(relation: u32, lock: u32, look: impl FnOnce(pg_sys::Relation) -> Option<T>) -> Option<T> {
    // SAFETY: opened, and closed after the look.
    unsafe {
        let relation = pg_sys::try_table_open(pg_sys::Oid::from(relation), lock.cast_signed());
        if relation.is_null() {
            return None;
        }
        let found = look(relation);
        close(relation);
        found
    }
}

/// Distributed tables are empty shells here.
pub fn is_distributed() -> bool {
    // SAFETY: a catalog look-up by name.
    unsafe { pg_sys::get_extension_oid(c"citus".as_ptr(), true) != pg_sys::InvalidOid }
}

/// A plain table of our owner's.
///
/// # Safety
/// The relation is open.
pub unsafe fn is_ours(relation: pg_sys::Relation) -> bool {
    // SAFETY: as the caller promises; the rest is a catalog look-up by name.
    unsafe {
        let class = (*relation).rd_rel;
        (*class).relkind == pg_sys::RELKIND_RELATION.cast_signed()
            && (*class).relam == pg_sys::HEAP_TABLE_AM_OID
            && (*class).relowner == pg_sys::get_role_oid(OWNER.as_ptr(), true)
    }
}

/// No trigger or rule wants to know of inserted rows.
///
/// # Safety
/// The relation is open.
pub unsafe fn is_silent(relation: pg_sys::Relation) -> bool {
    // SAFETY: as the caller promises.
    unsafe {
        let triggers = (*relation).trigdesc;
        !(*(*relation).rd_rel).relhasrules
            && (triggers.is_null()
                || !((*triggers).trig_insert_before_row
                    || (*triggers).trig_insert_after_row
                    || (*triggers).trig_insert_before_statement
                    || (*triggers).trig_insert_after_statement))
    }
}

/// The columns of an open relation.
///
/// # Safety
/// The relation is open, and stays so.
pub unsafe fn descriptor<'a>(relation: pg_sys::Relation) -> PgTupleDesc<'a> {
    // SAFETY: as the caller promises; nothing is released.
    unsafe { PgTupleDesc::from_pg_unchecked((*relation).rd_att) }
}

/// Where the columns of these names stand, from 0.
pub fn positions(descriptor: &PgTupleDesc, names: &[&CStr]) -> Option<Vec<usize>> {
    let position = |name: &&CStr| descriptor.iter().position(|column| !column.is_dropped() && name.to_str() == Ok(column.name()));
    names.iter().map(position).collect()
}
