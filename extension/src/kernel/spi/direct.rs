//! Rows of the product's own that every request writes and looks up, without the executor: of a statement's time most went into starting and stopping it
//! (docs/decisions/0026-direct-rows.md).
//!
//! The same as the statements that stand in for it wherever something is not as expected: a trigger that somebody added, columns, an owner, another engine.
//! What policies would ask is asked here: the row is the context's tenant's, unless the platform's role runs. What check constraints would ask holds by construction.

pub mod lookup;
mod relation;
mod target;

use super::{Arg, is_current_role};
use crate::kernel::{
    context,
    sql_caller::{OWNER, PLATFORM},
};
use pgrx::pg_sys;
use std::{ffi::CStr, ptr, rc::Rc};
use target::Target;
use uuid::Uuid;

pub use relation::heard_of;

/// So many rows are gathered before they are written: about what fits into a processor's caches, and into memory that the next batch gets again.
const BATCH: usize = 64;

/// Where the rows of a table are.
#[derive(Debug, PartialEq, Eq)]
pub enum Leaf {
    /// It is not partitioned.
    Itself,
    /// In this partition, each that is written here.
    Partition(&'static CStr),
    /// In the partition that `now()` is in.
    OfNow,
}

/// A table that is written here.
#[derive(Debug)]
pub struct Table {
    pub name: &'static CStr,
    pub leaf: Leaf,
    /// The columns of a row, in the order of its values. Those that are not named must be nullable, and are null.
    pub columns: &'static [&'static CStr],
}

impl Table {
    /// Writes one row of a tenant.
    pub fn insert(&'static self, tenant: Uuid, values: &[Arg]) {
        let mut writer = Writer::open(self);
        writer.write(tenant, values);
        writer.finish();
    }

    fn statement(&self) -> String {
        let columns = self.columns.iter().map(|column| column.to_string_lossy()).collect::<Vec<_>>().join(", ");
        let places = (1..=self.columns.len()).map(|place| format!("${place}")).collect::<Vec<_>>().join(", ");
        format!("insert into nebula.{} ({columns}) values ({places})", self.name.to_string_lossy())
    }
}

/// What the policies of the product's tables say: a row is the context's tenant's; the platform's role may write any.
fn may(tenant: Uuid) -> bool {
    (context::tenant() == Some(tenant) && is_current_role(OWNER)) || is_current_role(PLATFORM)
}

/// Writes rows into one table. Nothing is certain to be written before [`Writer::finish`].
pub struct Writer {
    table: &'static Table,
    open: Option<Open>,
    /// The tenant whose rows were found to be allowed last: neither the context nor the role changes while a writer is open.
    allowed: Option<Uuid>,
}

impl Writer {
    #[must_use]
    pub fn open(table: &'static Table) -> Self {
        Self { table, open: Open::new(table), allowed: None }
    }

    /// Makes a value in the memory of the batch that the next row belongs to.
    pub fn within_batch<T>(&mut self, make: impl FnOnce() -> T) -> T {
        let memory = self.open.as_ref().map_or(ptr::null_mut(), |open| open.memory);
        within(memory, make)
    }

    /// One row; `values` in the order of the table's columns, and not those of a [`Made`](super::Made) that goes before the writer finishes.
    pub fn write(&mut self, tenant: Uuid, values: &[Arg]) {
        match &mut self.open {
            Some(open) if self.allowed == Some(tenant) || may(tenant) => {
                self.allowed = Some(tenant);
                open.put(values);
            }
            // Whatever is refused is refused there, as everywhere.
            _ => {
                super::run(&self.table.statement(), values);
            }
        }
    }

    pub fn finish(self) {
        if let Some(open) = self.open {
            open.close();
        }
    }
}

/// An open table. On an error Postgres closes what is open with the (sub)transaction.
struct Open {
    target: Rc<Target>,
    relation: pg_sys::Relation,
    state: *mut pg_sys::EState,
    result: *mut pg_sys::ResultRelInfo,
    slots: Vec<*mut pg_sys::TupleTableSlot>,
    used: usize,
    /// The memory of the batch's values, from the second batch on.
    memory: pg_sys::MemoryContext,
}

impl Open {
    fn new(table: &'static Table) -> Option<Self> {
        // SAFETY: the relation is open and locked from here to `close`, and the state lives as long; everything is allocated in the current memory, which outlives
        // the writer.
        unsafe {
            let (target, relation) = target::open(table)?;
            let state = pg_sys::CreateExecutorState();
            let result = pg_sys::palloc0(size_of::<pg_sys::ResultRelInfo>()).cast::<pg_sys::ResultRelInfo>();
            (*result).type_ = pg_sys::NodeTag::T_ResultRelInfo;
            pg_sys::InitResultRelInfo(result, relation, 1, ptr::null_mut(), 0);
            pg_sys::ExecOpenIndices(result, false);
            Some(Self { target, relation, state, result, slots: Vec::new(), used: 0, memory: ptr::null_mut() })
        }
    }

    fn put(&mut self, values: &[Arg]) {
        // SAFETY: the slot is of the relation's descriptor, whose attributes the target names.
        unsafe {
            if self.used == self.slots.len() {
                self.slots.push(pg_sys::table_slot_create(self.relation, ptr::null_mut()));
            }
            let Some(slot) = self.slots.get(self.used).copied() else { return };
            if let Some(clear) = (*(*slot).tts_ops).clear {
                clear(slot);
            }
            (*slot).tts_isnull.write_bytes(1, self.target.width);
            within(self.memory, || {
                for (attribute, value) in self.target.attributes.iter().zip(values) {
                    if let Some(datum) = value.datum() {
                        (*slot).tts_values.add(*attribute).write(datum);
                        (*slot).tts_isnull.add(*attribute).write(false);
                    }
                }
            });
            pg_sys::ExecStoreVirtualTuple(slot);
        }
        self.used += 1;
        if self.used == BATCH {
            self.next_batch();
        }
    }

    fn flush(&mut self) {
        if self.used == 0 {
            return;
        }
        // SAFETY: so many slots are filled; relation, state and indexes are open.
        unsafe {
            let count = i32::try_from(self.used).unwrap_or(i32::MAX);
            let command = pg_sys::GetCurrentCommandId(true);
            pg_sys::heap_multi_insert(self.relation, self.slots.as_mut_ptr(), count, command, 0, ptr::null_mut());
            for slot in self.slots.iter().take(self.used) {
                insert_into_indexes(self.result, *slot, self.state);
                let memory = (*self.state).es_per_tuple_exprcontext;
                if !memory.is_null() {
                    pg_sys::MemoryContextReset((*memory).ecxt_per_tuple_memory);
                }
            }
        }
        super::WRITES.set(super::WRITES.get().wrapping_add(u64::try_from(self.used).unwrap_or(0)));
        self.used = 0;
    }

    /// Makes room for the next batch: its values live in a memory of their own.
    fn next_batch(&mut self) {
        self.flush();
        // SAFETY: nothing of the last batch is used any more.
        unsafe {
            if self.memory.is_null() {
                let sizes = (
                    pg_sys::ALLOCSET_DEFAULT_MINSIZE as usize,
                    pg_sys::ALLOCSET_DEFAULT_INITSIZE as usize,
                    pg_sys::ALLOCSET_DEFAULT_MAXSIZE as usize,
                );
                self.memory =
                    pg_sys::AllocSetContextCreateInternal(pg_sys::CurrentMemoryContext, c"nebula rows".as_ptr(), sizes.0, sizes.1, sizes.2);
            } else {
                pg_sys::MemoryContextReset(self.memory);
            }
        }
    }

    fn close(mut self) {
        self.flush();
        // SAFETY: gives back what `new` took; the lock stays until the transaction ends, as after a statement.
        unsafe {
            for slot in &self.slots {
                pg_sys::ExecDropSingleTupleTableSlot(*slot);
            }
            pg_sys::ExecCloseIndices(self.result);
            pg_sys::FreeExecutorState(self.state);
            if !self.memory.is_null() {
                pg_sys::MemoryContextDelete(self.memory);
            }
            relation::close(self.relation);
            pg_sys::CommandCounterIncrement();
        }
    }
}

/// Runs `work` with what it allocates in this memory, if it is any. An error in between leaves it to the transaction's end to switch back, as everywhere.
fn within<T>(memory: pg_sys::MemoryContext, work: impl FnOnce() -> T) -> T {
    if memory.is_null() {
        return work();
    }
    // SAFETY: as MemoryContextSwitchTo.
    unsafe {
        let before = pg_sys::CurrentMemoryContext;
        pg_sys::CurrentMemoryContext = memory;
        let result = work();
        pg_sys::CurrentMemoryContext = before;
        result
    }
}

/// # Safety
/// The relation's indexes are open in `result`, and the slot holds a row that was just written.
unsafe fn insert_into_indexes(result: *mut pg_sys::ResultRelInfo, slot: *mut pg_sys::TupleTableSlot, state: *mut pg_sys::EState) {
    // SAFETY: as the caller promises. What is to be checked again at the commit (deferred constraints) no table of these has.
    unsafe {
        #[cfg(feature = "pg15")]
        pg_sys::ExecInsertIndexTuples(result, slot, state, false, false, ptr::null_mut(), ptr::null_mut());
        #[cfg(not(feature = "pg15"))]
        pg_sys::ExecInsertIndexTuples(result, slot, state, false, false, ptr::null_mut(), ptr::null_mut(), false);
    }
}
