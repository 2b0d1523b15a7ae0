//! Which tables of the application are protected: what the tenant floor and the triggers of those tables ask. Kept per backend until a row of
//! `nebula.protected_table` changes.
//!
//! A row may outlive its table, and a dump writes such a row with a bare number, which may be another table's in the database that it is restored into. So a row
//! counts only where the table bears a mark of ours: the foreign key to `nebula.tenant`, one of our policies or triggers.

use super::{
    spi::{self, Arg},
    sql_caller::OWNER,
};
use serde::Deserialize;
use std::{cell::RefCell, collections::HashMap, rc::Rc};

/// A table of the application, as `nebula.protect` registered it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProtectedTable {
    relation: u32,
    /// `schema.table` of what it is a partition of.
    pub whole: Option<String>,
    /// The tenant's column as it is called now; `None` where none can be told.
    pub tenant_column: Option<String>,
    /// Its number among the table's columns.
    pub tenant_attribute: Option<i16>,
    pub resource: String,
    pub create_action: String,
    pub update_action: String,
    pub delete_action: String,
    pub touches_updated_at: bool,
    /// The primary key's columns whose values may be told.
    pub key: Vec<KeyColumn>,
    /// `nebula.current_tenant()`; `None` where the extension was dropped.
    pub current_tenant: Option<u32>,
}

/// A column of the primary key.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct KeyColumn {
    pub name: String,
    pub is_uuid: bool,
    /// Of a type of Postgres' own with a form in JSON.
    pub is_plain: bool,
}

#[derive(Default)]
struct Registry {
    generation: Option<u64>,
    tables: Rc<HashMap<u32, Rc<ProtectedTable>>>,
}

thread_local! {
    static REGISTRY: RefCell<Registry> = RefCell::default();
}

/// What is registered of a relation, as of what this backend has heard of by now.
#[must_use]
pub fn of(relation: u32) -> Option<Rc<ProtectedTable>> {
    let generation = spi::heard_global_generation();
    let known = REGISTRY.with_borrow(|registry| (registry.generation == Some(generation)).then(|| Rc::clone(&registry.tables)));
    known.unwrap_or_else(|| reload(generation)).get(&relation).cloned()
}

/// The same, read anew: the table is not what was remembered.
#[must_use]
pub fn reread(relation: u32) -> Option<Rc<ProtectedTable>> {
    reload(spi::heard_global_generation()).get(&relation).cloned()
}

fn reload(generation: u64) -> Rc<HashMap<u32, Rc<ProtectedTable>>> {
    // Where the extension is in no use, as in other databases of a cluster that preloads the library, nothing is read.
    let tables = if spi::relation_in_nebula(c"protected_table").is_none() { HashMap::new() } else { read() };
    spi::learn_sentinel();
    let tables = Rc::new(tables);
    if spi::heard_global_generation() == generation && !spi::is_parallel() {
        REGISTRY.set(Registry { generation: Some(generation), tables: Rc::clone(&tables) });
    }
    tables
}

fn read() -> HashMap<u32, Rc<ProtectedTable>> {
    let text = spi::as_role(OWNER, || spi::reading_latest(|| spi::text(include_str!("protected_table.sql"), &[] as &[Arg])));
    let tables = text.and_then(|text| serde_json::from_str::<Vec<ProtectedTable>>(&text).ok());
    // Not to know is not to be unprotected.
    let Some(tables) = tables else { pgrx::error!("the protected tables could not be read") };
    tables.into_iter().map(|table| (table.relation, Rc::new(table))).collect()
}
