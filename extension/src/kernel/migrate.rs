//! `nebula.migrate()`: applies the numbered files of `sql/migrations/`, which are compiled into the library.

use super::{
    error::{Refusal, Result},
    place, release,
    spi::{self, Arg},
};
use nebula_core::{error::Code, hex};
use pgrx::{PgLogLevel, PgSqlErrorCode, pg_sys::panic::ErrorReport};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::{cell::Cell, cmp::Ordering};

struct Migration {
    version: i32,
    name: &'static str,
    sql: &'static str,
}

impl Migration {
    fn checksum(&self) -> String {
        hex::encode(&Sha256::digest(self.sql))
    }
}

macro_rules! migrations {
    ($($version:literal $name:literal,)*) => {
        &[$(Migration {
            version: $version,
            name: $name,
            sql: include_str!(concat!("../../../sql/migrations/", $name, ".sql")),
        },)*]
    };
}

/// In order; never changed once released.
const MIGRATIONS: &[Migration] = migrations! {
    1 "0001_installation",
    2 "0002_tenant",
    3 "0003_catalog",
    4 "0004_user",
    5 "0005_group",
    6 "0006_api_key",
    7 "0007_session",
    8 "0008_audit_log",
    9 "0009_idempotency_key",
    10 "0010_outbox",
    11 "0011_operation",
    12 "0012_issuer",
    13 "0013_tenant_config",
    14 "0014_limit",
    15 "0015_usage",
    16 "0016_webhook",
    17 "0017_operational_profile",
    18 "0018_worker",
    19 "0019_archive",
    20 "0020_export",
    21 "0021_credential",
    22 "0022_protected_table",
    23 "0023_exposed_operation",
    24 "0024_sql_caller",
    25 "0025_telemetry",
    26 "0026_audit_chain",
    27 "0027_gathered_usage",
};

/// The oldest schema that this library works with.
pub const REQUIRED_VERSION: i32 = 27;

/// The schema of the first release: what it has is there in every installation, however much newer the library is.
pub const FIRST_RELEASE_VERSION: i32 = 21;

/// The migration that made the table of places.
const PLACE_SINCE: i32 = 18;

/// One migration runs at a time; the number is arbitrary and the same in every version.
const LOCK: i64 = 0x6e65_6275_6c61_0001;

/// How long a migration waits for a lock, where the caller has set no `lock_timeout`: everybody who comes after it waits for what it waits for.
const LOCK_TIMEOUT: &str = "500ms";

/// Applies what is missing, all in this transaction; `{"applied": [versions], "version": n, "remaining": 0}`. Must run as `nebula_owner`, which then owns what is made.
pub fn migrate() -> Value {
    apply(usize::MAX)
}

/// Applies the next one that is missing: for who commits after each, so that its locks end with it. `remaining` tells whether to call again.
pub fn migrate_next() -> Value {
    apply(1)
}

fn apply(limit: usize) -> Value {
    require_same_release();
    // Whoever migrates too is waited for, however long that takes: they hold nobody up.
    spi::run("select pg_advisory_xact_lock($1)", &[Arg::BigInt(LOCK)]);
    if spi::setting(c"lock_timeout").as_deref() == Some("0") {
        spi::run("select set_config('lock_timeout', $1, true)", &[Arg::Text(LOCK_TIMEOUT)]);
    }
    let missing = MIGRATIONS.iter().filter(|migration| is_missing(migration)).collect::<Vec<_>>();
    let applied = missing.iter().take(limit).map(|migration| run(migration)).collect::<Vec<_>>();
    if applied.contains(&PLACE_SINCE) {
        // Who installs means this place.
        let _ = place::adopt();
    }
    let remaining = missing.len().saturating_sub(applied.len());
    if remaining == 0 {
        spi::run("select nebula.ensure_partitions()", &[]);
    }
    if !applied.is_empty() {
        // Edges that waited for this look again at once.
        spi::run("select pg_notify('nebula_changed', '')", &[]);
    }
    json!({ "applied": applied, "version": installed_version(), "remaining": remaining })
}

/// Whether it was not applied; raises where it was, with another text.
fn is_missing(migration: &Migration) -> bool {
    match applied_checksum(migration.version) {
        Some(known) if known == migration.checksum() => false,
        Some(_) => pgrx::error!("migration {} was applied with another text: the library and the database differ", migration.name),
        None => true,
    }
}

fn run(migration: &Migration) -> i32 {
    pgrx::check_for_interrupts!();
    spi::run_script(migration.sql);
    spi::run(
        "insert into nebula.schema_migration (version, name, checksum) values ($1, $2, $3)",
        &[Arg::Int(migration.version), Arg::Text(migration.name), Arg::Text(&migration.checksum())],
    );
    migration.version
}

/// Migrations call functions of their own release.
fn require_same_release() {
    let extension = release::extension().unwrap_or_default();
    let hint = match release::age_of_extension(&extension) {
        Ordering::Equal => return,
        Ordering::Less => "Run \"alter extension nebula update\" first.",
        Ordering::Greater => "Connect anew; where shared_preload_libraries names nebula, restart the server.",
    };
    let message = format!("the extension is version {extension}, the library that this session has loaded is {}", release::LIBRARY);
    ErrorReport::new(PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, message, "nebula.migrate")
        .set_hint(hint)
        .report(PgLogLevel::ERROR);
}

fn table_exists() -> bool {
    spi::first("select to_regclass('nebula.schema_migration') is not null", &[], |row| row.boolean(1)).flatten() == Some(true)
}

fn applied_checksum(version: i32) -> Option<String> {
    if !table_exists() {
        return None;
    }
    spi::text("select checksum from nebula.schema_migration where version = $1", &[Arg::Int(version)])
}

/// The newest applied migration; 0 before the first.
#[must_use]
pub fn installed_version() -> i32 {
    if !table_exists() {
        return 0;
    }
    spi::first("select coalesce(max(version), 0) from nebula.schema_migration", &[], |row| row.integer(1)).flatten().unwrap_or(0)
}

thread_local! {
    /// Tables only grow: once they were new enough they stay so, until something tells that rights' tables were made anew.
    static KNOWN_CURRENT: Cell<Option<u64>> = const { Cell::new(None) };
}

/// Refuses to work on tables, or behind declarations, that are older than the library needs. (Newer ones suit it: they only grow.)
pub fn require_current() -> Result<()> {
    let generation = spi::global_rights_generation();
    if KNOWN_CURRENT.get() == Some(generation) {
        return Ok(());
    }
    if installed_version() < REQUIRED_VERSION || release::extension_age() == Ordering::Less {
        // A client may come again: somebody is updating, or should.
        return Err(Refusal { retry_after_seconds: Some(2), ..Code::SchemaOutdated.into() });
    }
    KNOWN_CURRENT.set(Some(generation));
    Ok(())
}

/// What is older than the library needs, for operators: `{"ready", "schemaVersion", "requiredVersion", "extensionVersion", "libraryVersion"}`.
#[must_use]
pub fn readiness() -> Value {
    let (version, extension) = (installed_version(), release::extension());
    let is_ready = version >= REQUIRED_VERSION && release::age_of_extension(extension.as_deref().unwrap_or_default()) != Ordering::Less;
    json!({
        "ready": is_ready, "schemaVersion": version, "requiredVersion": REQUIRED_VERSION, "extensionVersion": extension,
        "libraryVersion": release::LIBRARY,
    })
}
