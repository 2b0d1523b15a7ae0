//! Protected tables: what their policies and triggers call, and what a DBA calls. SQL shapes are in `sql/functions/protect.sql`.
#![allow(unsafe_code, clippy::needless_pass_by_value)]

use super::{Table, back};
use crate::{
    kernel::{row_change, row_right},
    platform::protect::{
        refused::{Refused, Result as Checked},
        run::{self, Outcome},
        undo,
    },
};
use pgrx::{
    PgLogLevel, PgTrigger, heap_tuple::PgHeapTuple, name, pg_extern, pg_sys::panic::ErrorReport, pg_trigger, pgbox::AllocatedByPostgres,
};

/// Raises a refusal, with what to do as its hint.
fn raised<T>(outcome: Checked<T>) -> T {
    match outcome {
        Ok(value) => value,
        Err(Refused { code, message, hint }) => {
            ErrorReport::new(code, message, "nebula").set_hint(hint).report(PgLogLevel::ERROR);
            unreachable!("an error was reported")
        }
    }
}

#[pg_extern(sql = false)]
fn tenant_for(action: &str) -> Option<pgrx::Uuid> {
    row_right::tenant_for(action).map(back)
}

#[pg_trigger(sql = false)]
fn emit_change<'a>(trigger: &'a PgTrigger<'a>) -> Result<Option<PgHeapTuple<'a, AllocatedByPostgres>>, std::convert::Infallible> {
    row_change::emit(trigger);
    Ok(None)
}

type Row = (i32, String, Option<String>, bool, Option<String>);

fn numbered(outcomes: Vec<Outcome>) -> Table<Row> {
    Table::of((1..).zip(outcomes).map(|(step, Outcome { name, sql, is_done, note })| (step, name.to_owned(), sql, is_done, note)))
}

#[pg_extern(sql = false)]
#[allow(clippy::type_complexity)]
fn protection_steps(
    target: &str,
    options: &str,
    dry_run: bool,
) -> Table<(name!(step, i32), name!(name, String), name!(sql, Option<String>), name!(is_done, bool), name!(note, Option<String>))> {
    numbered(raised(run::protect(target, options, dry_run)))
}

#[pg_extern(sql = false)]
fn begin_protection(target: &str, options: &str) -> bool {
    raised(run::begin(target, options))
}

#[pg_extern(sql = false)]
fn finish_protection(target: &str) -> bool {
    raised(run::finish(target))
}

#[pg_extern(sql = false)]
#[allow(clippy::type_complexity)]
fn unprotection_steps(
    target: &str,
    drop_column: bool,
    dry_run: bool,
) -> Table<(name!(step, i32), name!(name, String), name!(sql, Option<String>), name!(is_done, bool), name!(note, Option<String>))> {
    numbered(raised(undo::unprotect(target, drop_column, dry_run)))
}

#[pg_extern(sql = false)]
fn end_protection(target: &str) -> bool {
    raised(undo::end(target))
}
