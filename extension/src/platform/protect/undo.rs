//! `nebula.unprotect`: the table as it was, from what was noted of it.

use super::{
    origin::{Origin, check_name},
    policy,
    privilege::Privilege,
    refused::Result,
    registry::{self, Registered},
    run::{Outcome, in_patience},
    step::Step,
    table::Table,
    trigger,
};
use crate::kernel::spi::{self, quote_identifier, quote_literal};

/// The steps, done unless it is dry: one that gives everything back at one moment, and one that forgets.
pub fn unprotect(target: &str, drops_column: bool, is_dry: bool) -> Result<Vec<Outcome>> {
    let table = Table::named(target)?;
    table.require_protectable()?;
    if is_dry {
        let steps = steps(&table, drops_column)?;
        return Ok(steps.into_iter().map(|step| Outcome { name: step.name, sql: step.alone, is_done: false, note: step.note }).collect());
    }
    registry::require(&table)?;
    in_patience(|| {
        spi::run_script(&format!("lock table {} in access exclusive mode", table.qualified()));
        spi::run_script("set constraints all immediate");
        let table = table.again()?;
        let [restore, end] = steps(&table, drops_column)?;
        spi::run_script(restore.together.as_deref().unwrap_or_default());
        registry::end(&table);
        Ok([restore, end].into_iter().map(|step| Outcome { name: step.name, sql: step.together, is_done: true, note: step.note }).collect())
    })
}

/// The last step by itself.
pub fn end(target: &str) -> Result<bool> {
    let table = Table::named(target)?;
    table.require_protectable()?;
    registry::require(&table)?;
    Ok(registry::end(&table))
}

fn steps(table: &Table, drops_column: bool) -> Result<[Step; 2]> {
    let registered = registry::require(table)?;
    let mut bits = vec![format!("lock table {} in access exclusive mode", table.qualified())];
    for partition in table.partitions() {
        if let Some(known) = Registered::of(&partition) {
            bits.extend(release(&partition, &known.origin, true));
        }
    }
    bits.extend(release(table, &registered.origin, false));
    bits.extend(columns(table, &registered, drops_column));
    let keeps = registered.origin.adds_column && !drops_column;
    let mut restore = Step::locking("restore", false, bits.join(";\n"));
    if keeps {
        restore = restore
            .noting(format!("the column {} keeps its values; drop_column => true would take it away", registered.current_column(table)));
    }
    Ok([restore, Step::new("end", false, format!("select nebula.end_protection({})", quote_literal(&table.qualified())))])
}

/// Policies, triggers, privileges and row security of one relation.
fn release(table: &Table, origin: &Origin, is_partition: bool) -> Vec<String> {
    let (name, mut bits) = (table.qualified(), Vec::new());
    let is_ours = |trigger: &&super::table::Trigger| trigger::NAMES.contains(&trigger.name.as_str());
    for trigger in table.triggers.iter().filter(is_ours).filter(|trigger| !(is_partition && trigger.name == trigger::TOUCH)) {
        bits.push(format!("drop trigger {} on {name}", quote_identifier(&trigger.name)));
    }
    for found in table.policies.iter().filter(|policy| policy::NAMES.contains(&policy.name.as_str())) {
        bits.push(found.drop(&name));
    }
    let is_back = |policy: &policy::Policy| table.policies.iter().any(|found| found.name == policy.name);
    bits.extend(origin.policies.iter().filter(|policy| !is_back(policy)).map(|policy| policy.create(&name)));
    let switch = |is_on: bool, was_on: bool, on: &str, off: &str| {
        (is_on != was_on).then(|| format!("alter table {name} {} row level security", if was_on { on } else { off }))
    };
    bits.extend(switch(table.force_row_security, origin.force_row_security, "force", "no force"));
    bits.extend(switch(table.row_security, origin.row_security, "enable", "disable"));
    bits.extend(origin.granted.iter().filter(|p| has(table, p)).map(|privilege| privilege.revoke(&name)));
    bits.extend(origin.revoked.iter().filter(|p| !has(table, p) && role_exists(p)).map(|privilege| privilege.grant(&name)));
    bits
}

fn has(table: &Table, wanted: &Privilege) -> bool {
    table.privileges.iter().any(|p| p.grantee == wanted.grantee && p.privilege == wanted.privilege)
}

/// A role may have been dropped meanwhile.
fn role_exists(privilege: &Privilege) -> bool {
    let Some(role) = &privilege.grantee else { return true };
    spi::first("select from pg_catalog.pg_roles where rolname = $1", &[spi::Arg::Text(role)], |_| ()).is_some()
}

fn columns(table: &Table, registered: &Registered, drops_column: bool) -> Vec<String> {
    let (name, origin, mut bits) = (table.qualified(), &registered.origin, Vec::new());
    let column = registered.current_column(table).to_owned();
    let quoted = quote_identifier(&column);
    if let Some(key) = origin.foreign_key.as_ref().filter(|key| table.has_constraint(key)) {
        bits.push(format!("alter table {name} drop constraint {}", quote_identifier(key)));
    }
    if let Some(index) = origin.index.as_ref().filter(|index| table.index(index).is_some()) {
        bits.push(format!("drop index {}.{}", quote_identifier(&table.schema), quote_identifier(index)));
    }
    let check = check_name(table, &registered.tenant_column);
    if table.has_constraint(&check) {
        bits.push(format!("alter table {name} drop constraint {}", quote_identifier(&check)));
    }
    if origin.adds_updated_at && drops_column && table.column("updated_at").is_some() {
        bits.push(format!("alter table {name} drop column updated_at"));
    }
    let Some(found) = table.column(&column) else { return bits };
    if origin.adds_column && drops_column {
        bits.push(format!("alter table {name} drop column {quoted}"));
        return bits;
    }
    match &origin.column_default {
        Some(default) if found.default.as_ref() != Some(default) => {
            bits.push(format!("alter table {name} alter column {quoted} set default {default}"))
        }
        None if found.default.is_some() => bits.push(format!("alter table {name} alter column {quoted} drop default")),
        _ => {}
    }
    if found.is_not_null && !origin.is_not_null {
        bits.push(format!("alter table {name} alter column {quoted} drop not null"));
    }
    bits
}
