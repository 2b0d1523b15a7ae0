//! Which relation a table's rows go into, and whether they may be written there directly.

use super::{
    Leaf, Table,
    relation::{self, Cache},
};
use crate::kernel::spi::{self, Arg};
use pgrx::pg_sys;
use std::rc::Rc;

/// Where rows go.
pub struct Target {
    relation: u32,
    /// Where each value stands among the relation's attributes, from 0.
    pub attributes: Vec<usize>,
    /// How many attributes the relation has.
    pub width: usize,
    /// The partition's, in microseconds since the Unix epoch.
    bounds: Option<(i64, i64)>,
}

impl Target {
    fn is_for_now(&self) -> bool {
        self.bounds.is_none_or(|(from, until)| (from..until).contains(&spi::transaction_microseconds()))
    }
}

thread_local! {
    static TARGETS: Cache<Table, Target> = Cache::default();
}

/// Opens the table's target for writing; `None` where a statement has to do it, or has to say what is wrong with writing here.
pub fn open(table: &'static Table) -> Option<(Rc<Target>, pg_sys::Relation)> {
    if !spi::may_write() || spi::is_parallel() {
        return None;
    }
    let target = TARGETS.with(|targets| targets.get(table, Target::is_for_now, || look_up(table)))?;
    // SAFETY: the caller closes it.
    let relation = unsafe { relation::open(target.relation, pg_sys::RowExclusiveLock, relation::changes()) }?;
    Some((target, relation))
}

fn look_up(table: &'static Table) -> Option<Target> {
    if relation::is_distributed() {
        return None;
    }
    let root = relation::watched(table.name)?;
    let (leaf, bounds) = match table.leaf {
        Leaf::Itself => (root, None),
        Leaf::Partition(name) => (relation::watched(name)?, None),
        Leaf::OfNow => {
            let (leaf, from, until) = partition_of_now(root)?;
            relation::watch(leaf);
            (leaf, Some((from, until)))
        }
    };
    // SAFETY: both are open while they are looked at.
    let is_silent = |relation| unsafe { relation::is_silent(relation) }.then_some(());
    relation::inspect(root, pg_sys::RowExclusiveLock, is_silent)?;
    relation::inspect(leaf, pg_sys::RowExclusiveLock, |relation| {
        // SAFETY: as above.
        unsafe {
            if !relation::is_ours(relation) || !relation::is_silent(relation) {
                return None;
            }
            let descriptor = relation::descriptor(relation);
            let attributes = relation::positions(&descriptor, table.columns)?;
            let is_missed = |(at, column): (usize, &pg_sys::FormData_pg_attribute)| {
                !attributes.contains(&at) && (column.attnotnull || column.atthasdef) && !column.is_dropped()
            };
            let is_complete = !descriptor.iter().enumerate().any(is_missed);
            is_complete.then(|| Target { relation: leaf, attributes, width: descriptor.len(), bounds })
        }
    })
}

/// The partition that holds `now()`, with its bounds.
fn partition_of_now(root: u32) -> Option<(u32, i64, i64)> {
    spi::first(
        "select c.oid::text, (extract(epoch from b.bound[1]::timestamptz) * 1000000)::bigint::text, (extract(epoch from b.bound[2]::timestamptz) * 1000000)::bigint::text \
         from pg_inherits i join pg_class c on c.oid = i.inhrelid \
         cross join regexp_match(pg_get_expr(c.relpartbound, c.oid), '^FOR VALUES FROM \\(''([^'']*)''\\) TO \\(''([^'']*)''\\)$') b (bound) \
         where i.inhparent = $1::oid and not i.inhdetachpending and c.relkind = 'r' and b.bound is not null \
           and b.bound[1]::timestamptz <= now() and now() < b.bound[2]::timestamptz",
        &[Arg::Text(&root.to_string())],
        |row| Some((row.text(1)?.parse().ok()?, row.text(2)?.parse().ok()?, row.text(3)?.parse().ok()?)),
    )
    .flatten()
}
