//! What is too old: partitions, archives, tokens. SQL shapes are in `sql/functions/retention.sql`.
#![allow(unsafe_code, clippy::needless_pass_by_value)]

use super::{Table, back, uuid};
use crate::kernel::{expiry, partition::Source, retention};
use pgrx::{name, pg_extern};

#[pg_extern(sql = false)]
fn retention_plan() -> String {
    retention::plan().to_string()
}

#[pg_extern(sql = false)]
fn archive_columns(source: &str) -> Option<String> {
    retention::archive_columns(source)
}

#[pg_extern(sql = false)]
fn archive_page(
    tenant: pgrx::Uuid,
    source: &str,
    month: &str,
    position: &str,
    limit: i32,
) -> Table<(name!(lines, String), name!(row_count, i32), name!(next_position, String))> {
    let page = retention::archive_page(uuid(tenant), source, month, position, limit);
    Table::of(page.into_iter().map(|page| (page.lines, page.count, page.next)))
}

#[pg_extern(sql = false)]
fn record_archive(tenant: pgrx::Uuid, source: &str, month: &str, row_count: i64, sha256: &[u8]) -> bool {
    retention::record_archive(uuid(tenant), source, month, row_count, sha256)
}

#[pg_extern(sql = false)]
fn drop_partition(source: &str, month: &str, keep: Vec<Option<pgrx::Uuid>>) -> Option<&'static str> {
    let keep = keep.into_iter().flatten().map(uuid).collect::<Vec<_>>();
    retention::drop_partition(source, month, &keep)
}

#[pg_extern(sql = false)]
fn settle_default(source: &str) -> i64 {
    Source::named(source).map_or(0, |source| i64::try_from(source.settle_default()).unwrap_or(i64::MAX))
}

#[pg_extern(sql = false)]
fn expired_archives() -> Table<(name!(tenant, pgrx::Uuid), name!(id, pgrx::Uuid), name!(location, String))> {
    Table::of(retention::expired_archives().into_iter().map(|(tenant, archive, location)| (back(tenant), back(archive), location)))
}

#[pg_extern(sql = false)]
fn forget_archive(tenant: pgrx::Uuid, id: pgrx::Uuid) -> bool {
    retention::forget_archive(uuid(tenant), uuid(id))
}

#[pg_extern(sql = false)]
fn purge(limit: i32) -> String {
    expiry::purge(limit).to_string()
}
