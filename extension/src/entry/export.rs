//! A tenant out of the database and into one.
#![allow(unsafe_code, clippy::needless_pass_by_value)]

use super::{Table, back, uuid};
use crate::kernel::{
    export::{self, Holder},
    import,
};
use pgrx::{PgSqlErrorCode, ereport, name, pg_extern};

fn holder(worker: &str, job: pgrx::Uuid, attempt: i32) -> Holder<'_> {
    Holder { worker, job: uuid(job), attempt }
}

#[pg_extern(sql = false)]
fn start_export(worker: &str, job: pgrx::Uuid, attempt: i32) -> Option<String> {
    export::start(holder(worker, job, attempt)).map(|begun| begun.to_string())
}

#[pg_extern(sql = false)]
fn export_tables(worker: &str, job: pgrx::Uuid, attempt: i32) -> String {
    export::tables(holder(worker, job, attempt)).to_string()
}

#[pg_extern(sql = false)]
fn export_rows(
    worker: &str,
    job: pgrx::Uuid,
    attempt: i32,
    table: &str,
    after: &str,
    limit: i32,
) -> Table<(name!(place, String), name!(line, String))> {
    Table::of(export::rows(holder(worker, job, attempt), table, after, limit))
}

#[pg_extern(sql = false)]
fn finish_export(worker: &str, job: pgrx::Uuid, attempt: i32, outcome: &str) -> bool {
    export::finish(holder(worker, job, attempt), outcome)
}

#[pg_extern(sql = false)]
fn expire_exports() -> i32 {
    i32::try_from(export::expire_due()).unwrap_or(i32::MAX)
}

#[pg_extern(sql = false)]
fn open_export(tenant: &str) -> Option<pgrx::Uuid> {
    export::open(tenant).map(back)
}

/// Raises why a file can't be loaded, for the DBA to read.
fn or_raise<T>(outcome: import::Result<T>) -> T {
    let reason = match outcome {
        Ok(value) => return value,
        Err(reason) => reason,
    };
    ereport!(ERROR, PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, reason);
}

#[pg_extern(sql = false)]
fn begin_import(manifest: &str) -> String {
    or_raise(import::begin(manifest)).to_string()
}

#[pg_extern(sql = false)]
fn import_rows(table: &str, columns: &str, rows: &str) -> i32 {
    i32::try_from(or_raise(import::rows(table, columns, rows))).unwrap_or(i32::MAX)
}
