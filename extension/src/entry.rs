//! The SQL surface: each function is one step into the kernel. Its SQL declaration is in `sql/functions/entry.sql`, by hand, because owners,
//! privileges and search paths are its point (docs/decisions/0002-sql-by-hand.md). `json` arrives as text: both are the same bytes.
//!
//! pgrx's macros expand to `unsafe` glue, hence the exception.
#![allow(unsafe_code, clippy::needless_pass_by_value)]

pub mod audit_chain;
pub mod credential;
pub mod doctor;
pub mod export;
pub mod expose;
pub mod outbox;
pub mod privacy;
pub mod protect;
pub mod prover;
pub mod retention;
pub mod supabase;
mod table;
pub mod webhook;
pub mod worker;

use crate::kernel::{
    audit, authenticate, context,
    error::Refusal,
    handle, installation, invite, issuer,
    limit::Category,
    migrate as migration, openapi, operation, password, permission, release, rights, row_right, sealing, seed as seeds,
    spi::{self, Arg},
    sql_caller, usage,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use nebula_core::{error::Language, rate::WINDOW_SECONDS};
use pgrx::{
    PgSqlErrorCode, PgTrigger, datum::Interval, ereport, heap_tuple::PgHeapTuple, name, pg_extern, pg_guard, pg_trigger,
    pgbox::AllocatedByPostgres,
};
use serde_json::{Value, json};
use table::Table;
use uuid::Uuid;

/// The parameter as the rest of the crate knows it.
fn uuid(id: pgrx::Uuid) -> Uuid {
    Uuid::from_bytes(*id.as_bytes())
}

/// What the rest of the crate knows as a parameter or a column.
fn back(id: Uuid) -> pgrx::Uuid {
    pgrx::Uuid::from_bytes(*id.as_bytes())
}

fn microseconds(interval: Interval) -> i64 {
    i64::try_from(interval.as_micros()).unwrap_or(i64::MAX)
}

/// Runs when a backend loads the library.
#[pg_guard]
pub extern "C-unwind" fn _PG_init() {
    spi::register_callbacks();
    operation::define_settings();
    spi::row_security::install();
}

#[pg_extern(sql = false)]
fn version() -> &'static str {
    env!("CARGO_PKG_VERSION")
}

#[pg_extern(sql = false)]
fn uuid_v7() -> pgrx::Uuid {
    back(Uuid::now_v7())
}

#[pg_extern(sql = false)]
fn random_bytes(count: i32) -> Option<Vec<u8>> {
    let bytes: [u8; 1024] = spi::random();
    bytes.get(..usize::try_from(count).ok()?).map(<[u8]>::to_vec)
}

#[pg_extern(sql = false)]
fn current_tenant() -> Option<pgrx::Uuid> {
    context::tenant().or_else(row_right::tenant_of_sql_caller).map(back)
}

#[pg_extern(sql = false)]
fn current_actor() -> Option<String> {
    let caller = context::current().map(|caller| (*caller).clone()).or_else(|| sql_caller::current("current_actor"))?;
    authenticate::check_standing(&rights::of_caller(&caller)).ok()?;
    Some(
        json!({ "type": caller.actor.type_name(), "id": caller.actor.id(), "tenantId": caller.tenant, "sessionId": caller.session })
            .to_string(),
    )
}

#[pg_trigger(sql = false)]
fn audit_change<'a>(trigger: &'a PgTrigger<'a>) -> Result<Option<PgHeapTuple<'a, AllocatedByPostgres>>, std::convert::Infallible> {
    audit::change(trigger);
    Ok(None)
}

#[pg_trigger(sql = false)]
fn rights_changed<'a>(trigger: &'a PgTrigger<'a>) -> Result<Option<PgHeapTuple<'a, AllocatedByPostgres>>, std::convert::Infallible> {
    rights::changed(trigger);
    Ok(None)
}

#[pg_extern(sql = false)]
#[allow(clippy::type_complexity)]
fn handle(tenant: pgrx::Uuid, request: &str) -> Table<(name!(status, i32), name!(body, Option<String>), name!(context, String))> {
    let answer = spi::looking_up(|| handle::handle(uuid(tenant), request));
    Table::one((i32::from(answer.status), answer.body, answer.context))
}

#[pg_extern(sql = false)]
fn login_challenge(tenant_slug: &str, email: &str, ip: &str) -> String {
    password::login_challenge(tenant_slug, email, ip.parse().ok()).to_string()
}

#[pg_extern(sql = false)]
fn password_challenge(tenant: pgrx::Uuid, credential: &str, ip: &str) -> String {
    password::own_challenge(uuid(tenant), credential, ip.parse().ok()).to_string()
}

#[pg_extern(sql = false)]
fn hand_over_usage() -> i32 {
    i32::try_from(usage::hand_over()).unwrap_or(i32::MAX)
}

#[pg_extern(sql = false)]
fn flush() -> i32 {
    i32::try_from(usage::flush()).unwrap_or(i32::MAX)
}

#[pg_extern(sql = false)]
fn reset_token(tenant: pgrx::Uuid, invite_id: pgrx::Uuid) -> Option<String> {
    invite::reveal_reset(uuid(tenant), uuid(invite_id))
}

#[pg_extern(sql = false)]
fn edge_state() -> String {
    let schema_version = migration::installed_version();
    let extension_version = release::extension();
    let routes = operation::all().iter().map(|operation| operation.edge_route()).collect::<Vec<_>>();
    let limits = Category::ALL.map(|category| (category.as_str().to_owned(), json!(category.default_limit())));
    let limits = Value::Object(limits.into_iter().collect());
    // Not REQUIRED_VERSION: an edge that asks while an installation is being updated must not forget its keys.
    if schema_version < migration::FIRST_RELEASE_VERSION {
        return json!({
            "schemaVersion": schema_version, "libraryVersion": release::LIBRARY, "extensionVersion": extension_version, "issuer": "", "audience": "", "keys": [], "sealingKeys": [], "issuers": [], "routes": routes, "rateLimits": limits,
            "rateLimitWindowSeconds": WINDOW_SECONDS,
        })
        .to_string();
    }
    let installation = installation::current();
    let keys = spi::rows(
        "select kid, alg, public_key, status from nebula.signing_key where status <> 'revoked' order by created_at",
        &[],
        |row| json!({ "kid": row.text(1), "alg": row.text(2), "publicKey": row.bytes(3).map(|key| STANDARD.encode(key)), "status": row.text(4) }),
    );
    let sealing_keys = sealing::registered();
    let sealing_keys =
        sealing_keys.iter().map(|(version, fingerprint)| json!({ "version": version, "fingerprint": STANDARD.encode(fingerprint) }));
    json!({
        "schemaVersion": schema_version, "libraryVersion": release::LIBRARY, "extensionVersion": extension_version, "issuer": installation.issuer, "audience": installation.audience, "keys": keys,
        "sealingKeys": sealing_keys.collect::<Vec<_>>(), "issuers": issuer::for_edge(), "routes": routes,
        "rateLimits": limits, "rateLimitWindowSeconds": WINDOW_SECONDS,
    })
    .to_string()
}

#[pg_extern(sql = false)]
fn readiness() -> String {
    migration::readiness().to_string()
}

#[pg_extern(sql = false)]
fn openapi() -> String {
    openapi::document().to_string()
}

#[pg_extern(sql = false)]
fn routes() -> String {
    json!(operation::all().iter().map(|operation| operation.route()).collect::<Vec<_>>()).to_string()
}

#[pg_extern(sql = false)]
#[allow(clippy::type_complexity)]
fn dispatch(
    action: Option<&str>,
    input: Option<&str>,
    idempotency_key: Option<&str>,
) -> Table<(name!(status, i32), name!(body, Option<String>), name!(code, Option<String>), name!(details, Option<String>))> {
    let (status, outcome) = match (action, input) {
        (Some(action), Some(input)) => spi::looking_up(|| handle::call(action, input, idempotency_key)),
        _ => (400, Err(Refusal::invalid("input", "json"))),
    };
    let row = match outcome {
        Ok(body) => (i32::from(status), body, None, None),
        Err(refusal) => (
            i32::from(status),
            Some(json!(refusal.code.message(Language::Portuguese)).to_string()),
            Some(refusal.code.as_str().to_owned()),
            refusal.details.map(|details| details.to_string()),
        ),
    };
    Table::one(row)
}

#[pg_extern(sql = false)]
fn can(action: &str) -> bool {
    row_right::tenant_for(action).is_some()
}

#[pg_extern(sql = false)]
fn why(action: &str) -> Option<String> {
    let caller = context::current().map(|caller| (*caller).clone()).or_else(|| sql_caller::current(action))?;
    Some(permission::why(action, &caller).to_string())
}

#[pg_extern(sql = false)]
fn migrate() -> String {
    migration::migrate().to_string()
}

#[pg_extern(sql = false)]
fn migrate_next() -> String {
    migration::migrate_next().to_string()
}

#[pg_extern(sql = false)]
fn seed() -> String {
    seeds::catalog().to_string()
}

#[pg_extern(sql = false)]
fn seed_tenant(tenant: pgrx::Uuid) -> String {
    json!({ "changed": seeds::tenant(uuid(tenant), seeds::Extent::Everything) }).to_string()
}

#[pg_extern(sql = false)]
fn issue_operator_key(name: &str) -> Option<String> {
    seeds::operator_key(name)
}

#[pg_extern(sql = false)]
fn register_signing_key(kid: &str, public_key: &[u8]) -> bool {
    if !nebula_core::access_token::is_usable_key(public_key) {
        ereport!(ERROR, PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE, "public_key is no RSA key of 2048 to 8192 bits in DER");
    }
    let is_new = installation::register_signing_key(kid, public_key);
    announce_keys();
    is_new
}

#[pg_extern(sql = false)]
fn retire_signing_key(kid: &str) -> bool {
    let is_known = installation::set_signing_key_status(kid, "retiring");
    announce_keys();
    is_known
}

#[pg_extern(sql = false)]
fn revoke_signing_key(kid: &str) -> bool {
    let is_known = installation::set_signing_key_status(kid, "revoked");
    announce_keys();
    is_known
}

/// Tells the edges at once; they would notice within their interval.
fn announce_keys() {
    spi::run("select pg_notify('nebula_changed', '')", &[]);
}

#[pg_extern(sql = false)]
fn bind_role(login: &str, tenant: pgrx::Uuid, api_key_name: &str) -> bool {
    let key = spi::first(
        "select k.id from nebula.api_key k join pg_catalog.pg_roles r on r.rolname = $2::name \
         where k.tenant_id = $1 and k.name = $3 and not r.rolsuper and r.rolname not in ('authenticator', 'nebula_edge', 'nebula_keys', 'nebula_worker')",
        &[Arg::Uuid(uuid(tenant)), Arg::Text(login), Arg::Text(api_key_name)],
        |row| row.uuid(1),
    );
    let Some(key) = key.flatten() else { return false };
    // Not an upsert: a binding that moves to another tenant ends in the one's audit log and begins in the other's.
    spi::run("delete from nebula.role_binding where role_name = $1::name", &[Arg::Text(login)]);
    spi::run(
        "insert into nebula.role_binding (tenant_id, role_name, api_key_id) values ($1, $2::name, $3)",
        &[Arg::Uuid(uuid(tenant)), Arg::Text(login), Arg::Uuid(key)],
    ) > 0
}

#[pg_extern(sql = false)]
fn unbind_role(login: &str) -> bool {
    spi::run("delete from nebula.role_binding where role_name = $1::name", &[Arg::Text(login)]) > 0
}

/// Raises what a registering function refused, for the DBA to read.
fn or_raise<T>(outcome: Result<T, issuer::Refused>) -> T {
    let (code, reason) = match outcome {
        Ok(value) => return value,
        Err(issuer::Refused::Invalid(reason)) => (PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE, reason),
        Err(issuer::Refused::NotYours) => {
            (PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE, "the keys of this issuer are registered by hand".to_owned())
        }
    };
    ereport!(ERROR, code, reason);
}

#[pg_extern(sql = false)]
fn register_issuer(config: &str) -> bool {
    or_raise(issuer::register(config))
}

#[pg_extern(sql = false)]
fn replace_issuer_keys(issuer: &str, jwks: &str) -> i32 {
    or_raise(issuer::replace_keys(issuer, jwks))
}

#[pg_extern(sql = false)]
fn set_issuer_secret(issuer: &str, secret: &str) -> bool {
    or_raise(issuer::set_secret(issuer, secret))
}

#[pg_extern(sql = false)]
fn remove_issuer(issuer: &str) -> bool {
    issuer::remove(issuer)
}

#[pg_extern(sql = false)]
fn issuer_state() -> String {
    issuer::state()
}
