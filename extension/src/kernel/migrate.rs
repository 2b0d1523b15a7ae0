//! `nebula.migrate()`: applies the numbered files of `sql/migrations/`, which are compiled into the library.

use super::{
    error::Result,
    place,
    spi::{self, Arg},
};
use nebula_core::{error::Code, hex};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::cell::Cell;

struct Migration {
    version: i32,
    name: &'static str,
    sql: &'static str,
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
};

/// The oldest schema that this library works with.
pub const REQUIRED_VERSION: i32 = 21;

/// The migration that made the table of places.
const PLACE_SINCE: i32 = 18;

/// One migration runs at a time; the number is arbitrary and the same in every version.
const LOCK: i64 = 0x6e65_6275_6c61_0001;

/// Applies what is missing; `{"applied": [versions], "version": n}`. Must run as `nebula_owner`, which then owns what is made.
pub fn migrate() -> Value {
    spi::run("select pg_advisory_xact_lock($1)", &[Arg::BigInt(LOCK)]);
    let mut applied = Vec::new();
    for migration in MIGRATIONS {
        pgrx::check_for_interrupts!();
        let checksum = hex::encode(&Sha256::digest(migration.sql));
        match applied_checksum(migration.version) {
            Some(known) if known == checksum => continue,
            Some(_) => pgrx::error!("migration {} was applied with another text: the library and the database differ", migration.name),
            None => {}
        }
        spi::run_script(migration.sql);
        spi::run(
            "insert into nebula.schema_migration (version, name, checksum) values ($1, $2, $3)",
            &[Arg::Int(migration.version), Arg::Text(migration.name), Arg::Text(&checksum)],
        );
        applied.push(migration.version);
    }
    if applied.contains(&PLACE_SINCE) {
        // Who installs means this place.
        let _ = place::adopt();
    }
    spi::run("select nebula.ensure_partitions()", &[]);
    json!({ "applied": applied, "version": installed_version() })
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

/// Refuses to work on tables that are older than the library needs.
pub fn require_current() -> Result<()> {
    let generation = spi::rights_generation();
    if KNOWN_CURRENT.get() == Some(generation) {
        return Ok(());
    }
    if installed_version() < REQUIRED_VERSION {
        return Err(Code::SchemaOutdated.into());
    }
    KNOWN_CURRENT.set(Some(generation));
    Ok(())
}
