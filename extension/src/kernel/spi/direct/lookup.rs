//! Rows by a key: one by all columns of a unique index, or all that agree in its first ones.

use super::{
    may,
    relation::{self, Cache},
};
use crate::kernel::spi::{self, Arg, Row};
use pgrx::pg_sys;
use std::{ffi::CStr, mem::MaybeUninit, ops::ControlFlow, rc::Rc};
use uuid::Uuid;

/// How a table's rows are looked up.
#[derive(Debug)]
pub struct Lookup {
    pub table: &'static CStr,
    /// A unique index that begins with the key's columns, the tenant's first.
    pub index: &'static CStr,
    pub key: &'static [&'static CStr],
    pub columns: &'static [&'static CStr],
}

struct Place {
    relation: u32,
    index: u32,
    /// Of each of the key's columns: its number, its type's equality, its collation.
    key: Vec<(i16, pg_sys::Oid, pg_sys::Oid)>,
    /// The numbers of the columns that are read.
    columns: Vec<i32>,
}

thread_local! {
    static PLACES: Cache<Lookup, Place> = Cache::default();
}

impl Lookup {
    /// The tenant's row with this key, of which the tenant is the first value, as of what is committed now.
    pub fn find<T>(&'static self, tenant: Uuid, key: &[Arg], each: impl FnOnce(&Row) -> T) -> Option<T> {
        let (mut each, mut found) = (Some(each), None);
        self.look(tenant, key, |row| {
            found = each.take().map(|each| each(row));
            ControlFlow::Break(())
        });
        found
    }

    /// All of the tenant's rows with this key, in the index's order or, where a statement stands in, in none.
    pub fn all<T>(&'static self, tenant: Uuid, key: &[Arg], mut each: impl FnMut(&Row) -> T) -> Vec<T> {
        let mut found = Vec::new();
        self.look(tenant, key, |row| {
            found.push(each(row));
            ControlFlow::Continue(())
        });
        found
    }

    fn look(&'static self, tenant: Uuid, key: &[Arg], mut each: impl FnMut(&Row) -> ControlFlow<()>) {
        let place =
            if may(tenant) && !spi::is_parallel() { PLACES.with(|places| places.get(self, |_| true, || self.look_up())) } else { None };
        // SAFETY: the scan closes what it opens.
        let relation =
            place.as_ref().and_then(|place| unsafe { relation::open(place.relation, pg_sys::AccessShareLock, relation::changes()) });
        match (place, relation) {
            (Some(place), Some(relation)) => scan(&place, relation, key, each),
            _ => {
                let mut goes_on = true;
                spi::rows(&self.statement(), key, |row| goes_on = goes_on && each(row).is_continue());
            }
        }
    }

    fn statement(&self) -> String {
        let names = |columns: &[&CStr]| columns.iter().map(|column| column.to_string_lossy().into_owned()).collect::<Vec<_>>();
        let conditions =
            names(self.key).iter().zip(1..).map(|(column, place)| format!("{column} = ${place}")).collect::<Vec<_>>().join(" and ");
        format!("select {} from nebula.{} where {conditions}", names(self.columns).join(", "), self.table.to_string_lossy())
    }

    fn look_up(&self) -> Option<Place> {
        if relation::is_distributed() {
            return None;
        }
        let relation = relation::watched(self.table)?;
        let index = relation::watched(self.index)?;
        relation::inspect(relation, pg_sys::AccessShareLock, |open| {
            // SAFETY: the relation is open.
            unsafe {
                if !relation::is_ours(open) {
                    return None;
                }
                let descriptor = relation::descriptor(open);
                let number = |at: usize| i16::try_from(at + 1).ok();
                let columns = relation::positions(&descriptor, self.columns)?
                    .into_iter()
                    .map(|at| number(at).map(i32::from))
                    .collect::<Option<_>>()?;
                let key = relation::positions(&descriptor, self.key)?
                    .into_iter()
                    .map(|at| {
                        let column = descriptor.get(at)?;
                        let equality = match column.atttypid {
                            pg_sys::UUIDOID => pg_sys::F_UUID_EQ,
                            pg_sys::TEXTOID => pg_sys::F_TEXTEQ,
                            _ => return None,
                        };
                        Some((number(at)?, pg_sys::Oid::from(equality), column.attcollation))
                    })
                    .collect::<Option<Vec<_>>>()?;
                is_of(index, &key).then_some(Place { relation, index, key, columns })
            }
        })
    }
}

/// Whether an index is a valid unique one whose first columns are these, of whole values.
fn is_of(index: u32, key: &[(i16, pg_sys::Oid, pg_sys::Oid)]) -> bool {
    // SAFETY: opened, and closed after the look; a unique B-tree index has as many attributes in its form as it says.
    unsafe {
        let open = pg_sys::index_open(pg_sys::Oid::from(index), pg_sys::AccessShareLock.cast_signed());
        let form = (*open).rd_index;
        let numbers = (*form).indkey.values.as_slice(usize::try_from((*form).indnkeyatts).unwrap_or(0)).to_vec();
        let has_collations = key.iter().enumerate().all(|(at, (_, _, collation))| *(*open).rd_indcollation.add(at) == *collation);
        let is_of = (*form).indisvalid
            && (*form).indisunique
            && pg_sys::RelationGetIndexPredicate(open).is_null()
            && numbers.starts_with(&key.iter().map(|(number, ..)| *number).collect::<Vec<_>>())
            && has_collations;
        pg_sys::index_close(open, pg_sys::NoLock.cast_signed());
        is_of
    }
}

fn scan(place: &Rc<Place>, relation: pg_sys::Relation, key: &[Arg], mut each: impl FnMut(&Row) -> ControlFlow<()>) {
    // SAFETY: the relation is open, the keys are of its columns' types and outlive the scan, and so does the snapshot; what `each` reads it copies.
    unsafe {
        // Nothing is equal to null.
        if let Some(mut keys) = place.key.iter().zip(key).map(|(column, value)| scan_key(*column, value)).collect::<Option<Vec<_>>>() {
            let snapshot =
                pg_sys::RegisterSnapshot(if spi::is_reading_latest() { pg_sys::GetActiveSnapshot() } else { pg_sys::GetLatestSnapshot() });
            let count = i32::try_from(keys.len()).unwrap_or(0);
            let scan = pg_sys::systable_beginscan(relation, pg_sys::Oid::from(place.index), true, snapshot, count, keys.as_mut_ptr());
            loop {
                pgrx::check_for_interrupts!();
                let tuple = pg_sys::systable_getnext(scan);
                if tuple.is_null() || each(&Row { tuple, descriptor: (*relation).rd_att, attributes: Some(&place.columns) }).is_break() {
                    break;
                }
            }
            pg_sys::systable_endscan(scan);
            pg_sys::UnregisterSnapshot(snapshot);
        }
        relation::close(relation);
    }
}

/// # Safety
/// The value is of the column's type.
unsafe fn scan_key((number, equality, collation): (i16, pg_sys::Oid, pg_sys::Oid), value: &Arg) -> Option<pg_sys::ScanKeyData> {
    let value = value.datum()?;
    let mut entry = MaybeUninit::<pg_sys::ScanKeyData>::zeroed();
    // SAFETY: the function is the type's equality.
    unsafe {
        let strategy = pg_sys::BTEqualStrategyNumber as pg_sys::StrategyNumber;
        pg_sys::ScanKeyEntryInitialize(entry.as_mut_ptr(), 0, number, strategy, pg_sys::InvalidOid, collation, equality, value);
        Some(entry.assume_init())
    }
}
