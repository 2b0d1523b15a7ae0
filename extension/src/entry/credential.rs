//! Sealed secrets: which key is which version, sealing anew, and what is revealed to whom.

use super::{Table, announce_keys, back, uuid};
use crate::{
    domain::credential::{self, Wanted},
    kernel::sealing::{self, SealedRow, Source},
};
use nebula_core::text::Name;
use pgrx::{PgSqlErrorCode, ereport, name, pg_extern};

/// Raises what a worker or a DBA got wrong.
fn invalid(argument: &str) -> ! {
    ereport!(ERROR, PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE, format!("{argument} is not what the function takes"));
}

#[pg_extern(sql = false)]
fn register_sealing_key(version: i32, fingerprint: &[u8]) -> bool {
    if !(1..=65_535).contains(&version) || fingerprint.len() != 32 {
        invalid("version or fingerprint");
    }
    let is_registered = sealing::register(version, fingerprint);
    announce_keys();
    is_registered
}

#[pg_extern(sql = false)]
#[allow(clippy::type_complexity)]
fn sealing_keys() -> Table<(name!(version, i32), name!(fingerprint, Vec<u8>))> {
    Table::of(sealing::registered())
}

#[pg_extern(sql = false)]
#[allow(clippy::type_complexity)]
fn sealed_row_counts() -> Table<(name!(version, i32), name!(row_count, i64))> {
    Table::of(sealing::counts())
}

#[pg_extern(sql = false)]
#[allow(clippy::type_complexity)]
fn sealed_rows(
    source: &str,
    below_version: i32,
    after_tenant: pgrx::Uuid,
    after_id: pgrx::Uuid,
    limit: i32,
) -> Table<(name!(tenant_id, pgrx::Uuid), name!(id, pgrx::Uuid), name!(key_version, i32), name!(sealed, Vec<u8>))> {
    let Some(source) = Source::named(source) else { invalid("source") };
    let rows = sealing::rows(source, below_version, (uuid(after_tenant), uuid(after_id)), limit);
    Table::of(rows.into_iter().map(|row| (back(row.tenant), back(row.id), row.version, row.sealed)))
}

#[pg_extern(sql = false)]
fn reseal(
    source: &str,
    tenant: pgrx::Uuid,
    id: pgrx::Uuid,
    old_version: i32,
    old_sealed: Vec<u8>,
    new_version: i32,
    new_sealed: &[u8],
) -> bool {
    let Some(source) = Source::named(source) else { invalid("source") };
    let old = SealedRow { tenant: uuid(tenant), id: uuid(id), version: old_version, sealed: old_sealed };
    // A value that is no longer than nonce and tag together holds nothing.
    new_sealed.len() == old.sealed.len() && sealing::replace(source, &old, new_version, new_sealed)
}

#[pg_extern(sql = false)]
#[allow(clippy::type_complexity)]
fn reveal_credential(
    tenant: Option<pgrx::Uuid>,
    id: Option<pgrx::Uuid>,
    provider: Option<&str>,
    name: Option<&str>,
    purpose: Option<&str>,
    worker: Option<&str>,
) -> Table<(
    name!(outcome, String),
    name!(credential_id, Option<pgrx::Uuid>),
    name!(sealed, Option<Vec<u8>>),
    name!(key_version, Option<i32>),
)> {
    let Some(tenant) = tenant else { invalid("tenant") };
    let wanted = match (id, provider, name) {
        (Some(id), None, None) => Wanted::Id(uuid(id)),
        (None, Some(provider), Some(name)) => Wanted::Named { provider, name },
        _ => invalid("id, or provider and name,"),
    };
    let said = |text: Option<&str>, argument: &str| text.and_then(|text| Name::parse(text).ok()).unwrap_or_else(|| invalid(argument));
    let revealed = credential::reveal(uuid(tenant), &wanted, &said(purpose, "purpose"), &said(worker, "worker"));
    Table::one((revealed.outcome.to_owned(), revealed.id.map(back), revealed.sealed, revealed.key_version))
}
