//! Planning a protect, and doing all of it in the caller's transaction.

use super::{
    refused::{Refused, Result},
    registry::{self, Registered},
    step::Step,
    steps::Plan,
    table::Table,
    wish::Wish,
};
use crate::kernel::{migrate, spi, sql_caller::OWNER};

/// How long a protect in one transaction waits for locks, where the caller set nothing: the catalog of tenants is locked for a moment too.
const LOCK_TIMEOUT: &str = "2s";

/// A row of the answer.
pub struct Outcome {
    pub name: &'static str,
    pub sql: Option<String>,
    pub is_done: bool,
    pub note: Option<String>,
}

/// `nebula.protect`: the plan, or everything that is not done yet, done.
pub fn protect(target: &str, options: &str, is_dry: bool) -> Result<Vec<Outcome>> {
    let (table, wish) = checked(target, options)?;
    let steps = plan(&table, &wish)?;
    if is_dry {
        return Ok(steps
            .into_iter()
            .map(|step| Outcome { name: step.name, sql: step.alone, is_done: step.is_done, note: step.note })
            .collect());
    }
    if steps.iter().all(|step| step.is_done) {
        return Ok(together(steps));
    }
    in_patience(|| {
        spi::run_script(&format!("lock table {} in access exclusive mode", table.qualified()));
        // What was put off to the end of the transaction would keep the table from being altered.
        spi::run_script("set constraints all immediate");
        // As it is under the lock.
        let table = table.again()?;
        let steps = plan(&table, &wish)?;
        for step in steps.iter().filter(|step| !step.is_done) {
            pgrx::check_for_interrupts!();
            match step.name {
                "begin" => registry::begin(&table, &wish)?,
                "finish" => drop(registry::finish(&table)),
                _ => step.together.as_deref().map_or((), spi::run_script),
            }
        }
        Ok(together(steps))
    })
}

fn together(steps: Vec<Step>) -> Vec<Outcome> {
    steps.into_iter().map(|step| Outcome { name: step.name, sql: step.together, is_done: true, note: step.note }).collect()
}

/// The first step by itself.
pub fn begin(target: &str, options: &str) -> Result<bool> {
    let (table, wish) = checked(target, options)?;
    registry::begin(&table, &wish)?;
    Ok(true)
}

/// The last step by itself: only where nothing else is left to do.
pub fn finish(target: &str) -> Result<bool> {
    let table = Table::named(target)?;
    table.require_protectable()?;
    let registered = registry::require(&table)?;
    let is_bound = table.row_security && table.force_row_security && table.policies.iter().any(|policy| policy.name == "nebula_tenant");
    if !is_bound || !table.column(registered.current_column(&table)).is_some_and(|column| column.is_not_null) {
        return Err(Refused::state(format!("{target} is not protected yet"), "Do the steps before this one first."));
    }
    Ok(registry::finish(&table))
}

fn checked(target: &str, options: &str) -> Result<(Table, Wish)> {
    if spi::as_role(OWNER, migrate::require_current).is_err() {
        return Err(Refused::state("the tables are older than the library", "Run nebula.migrate() first."));
    }
    let table = Table::named(target)?;
    table.require_protectable()?;
    let wish = Wish::parse(options, &table)?;
    if let Some(known) = Registered::of(&table).filter(|known| known.current_column(&table) != wish.tenant_column) {
        return Err(Refused::state(
            format!("{} is protected by its column {}", table.qualified(), known.current_column(&table)),
            "Name that one in tenant_column, or unprotect the table first.",
        ));
    }
    wish.check_column(&table)?;
    Ok((table, wish))
}

fn plan(table: &Table, wish: &Wish) -> Result<Vec<Step>> {
    let registered = Registered::of(table);
    let partitions = table.partitions();
    let steps = Plan { table, partitions: &partitions, wish, registered: registered.as_ref() }.steps();
    let reads_rows = |step: &Step| !step.is_done && matches!(step.name, "fill_tenant_column" | "foreign_key" | "validate_foreign_key");
    if table.hides_rows && steps.iter().any(reads_rows) {
        return Err(Refused::privilege(
            format!("row security hides rows of {} from you", table.qualified()),
            "Protect it as a role with BYPASSRLS, or take `force row level security` off first: rows without a tenant would be left out.",
        ));
    }
    Ok(steps)
}

/// Runs `work` with a limit on waiting for locks, unless the caller has one.
pub fn in_patience<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    let set = |value: &str| spi::run_script(&format!("set local lock_timeout = '{value}'"));
    let is_unlimited = spi::setting(c"lock_timeout").is_none_or(|timeout| timeout == "0");
    if is_unlimited {
        set(LOCK_TIMEOUT);
    }
    let outcome = work()?;
    if is_unlimited {
        set("0");
    }
    Ok(outcome)
}
