//! Changes of the application's tables that are protected: their audit rows and their events.
//!
//! Other than the product's own tables they have any key or none, and columns of any type. So old and new rows are paired by their order, in which Postgres keeps both,
//! and values are compared as bytes: an operator of somebody's own type would run with the product's rights.

use super::{
    audit::{self, Audited, Author},
    import, outbox,
    protected_table::{self, KeyColumn, ProtectedTable},
    spi::{self, ChangedTable},
};
use pgrx::{PgTrigger, PgTriggerOperation};
use std::rc::Rc;

/// The audit rows of a statement on a protected table.
pub fn audit(trigger: &PgTrigger, table: &ChangedTable, operation: &PgTriggerOperation) {
    let Some(protected) = registered(table) else { return };
    let verb = audit::verb(operation);
    let action = match operation {
        PgTriggerOperation::Insert => &protected.create_action,
        PgTriggerOperation::Update => &protected.update_action,
        PgTriggerOperation::Delete | PgTriggerOperation::Truncate => &protected.delete_action,
    };
    // A key of one uuid is the row's id; any other is told beside it. What our own trigger sets is no news.
    let (id, key) = match protected.key.as_slice() {
        [column] if column.is_uuid => (table.position(&column.name), Vec::new()),
        key => (None, key.iter().filter_map(|column| Some((table.position(&column.name)?, column.is_plain))).collect()),
    };
    let audited = Audited {
        tenant: protected.tenant_column.as_deref().and_then(|column| table.position(column)),
        id,
        key,
        news: if verb == "update" { table.named(|name| !(protected.touches_updated_at && name == "updated_at")) } else { Vec::new() },
        observed: Vec::new(),
        verb,
        action: &format!("{}.{verb}", protected.resource),
        entity_type: &protected.whole.clone().unwrap_or_else(|| format!("{}.{}", table.schema, table.name)),
    };
    audit::write_rows(trigger, &Author::of_rows(action), &audited);
}

/// The body of the trigger `nebula.emit_change()`.
pub fn emit(trigger: &PgTrigger) {
    if import::is_loading() {
        return;
    }
    let (Some(table), Ok(operation)) = (spi::changed_table(trigger), trigger.op()) else {
        pgrx::error!("the trigger does not know its table");
    };
    let Some(protected) = registered(&table) else { return };
    let (verb, rows) = match operation {
        PgTriggerOperation::Insert => ("created", "new_rows"),
        PgTriggerOperation::Update => ("updated", "new_rows"),
        PgTriggerOperation::Delete => ("deleted", "old_rows"),
        PgTriggerOperation::Truncate => return,
    };
    let aggregate = match protected.key.as_slice() {
        [] => "null::text".to_owned(),
        key => {
            let values = key.iter().map(|column| format!("pg_catalog.format('%s', r.{})", spi::quote_identifier(&column.name)));
            format!(
                "pg_catalog.left({} || '/' || {}, 200)",
                spi::quote_literal(&protected.resource),
                values.collect::<Vec<_>>().join(" || ',' || ")
            )
        }
    };
    let rows = format!(
        "select {} as tenant_id, {} as data, {aggregate} as aggregate from {rows} r",
        tenant_of(&protected),
        object(&protected.key)
    );
    outbox::emit_rows(trigger, table.relation, &format!("{}.{verb}", protected.resource), &rows);
}

/// A trigger that somebody put, or left, on another table than a protected one has nothing to tell.
fn registered(table: &ChangedTable) -> Option<Rc<ProtectedTable>> {
    let has = |protected: &Rc<ProtectedTable>| {
        protected.key.iter().map(|column| &column.name).chain(&protected.tenant_column).all(|name| table.position(name).is_some())
    };
    // A column may have been renamed since it was read.
    protected_table::of(table.relation).filter(has).or_else(|| protected_table::reread(table.relation))
}

/// The row's tenant; the platform's log tells of rows of nobody.
fn tenant_of(protected: &ProtectedTable) -> String {
    protected.tenant_column.as_deref().map_or_else(|| "null::uuid".to_owned(), |column| format!("r.{}", spi::quote_identifier(column)))
}

/// The key as JSON. What is not of a type of Postgres' own is told as its text: a cast to JSON may be somebody's function.
fn object(key: &[KeyColumn]) -> String {
    let members = key.iter().map(|column| {
        let quoted = spi::quote_identifier(&column.name);
        let value = if column.is_plain { format!("r.{quoted}") } else { format!("pg_catalog.format('%s', r.{quoted})") };
        format!("{}, {value}", spi::quote_literal(&column.name))
    });
    format!("jsonb_build_object({})", members.collect::<Vec<_>>().join(", "))
}
