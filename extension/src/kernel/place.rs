//! Where this database may send from. A copy stands elsewhere: it is recognised, and sends nothing until a person says that it is the one.

use super::{
    spi::{self, Arg},
    sql_caller::PLATFORM,
};
use nebula_core::hex;
use pgrx::{PgSqlErrorCode, ereport};
use sha2::{Digest, Sha256};
use std::cell::Cell;

thread_local! {
    /// A database doesn't move while one of its backends runs.
    static IS_KNOWN: Cell<bool> = const { Cell::new(false) };
}

/// The fingerprint of the present place.
#[must_use]
pub fn here() -> String {
    hex::encode(&Sha256::digest(format!("nebula/{}", spi::place())))
}

/// Whether this is a place that it may send from.
#[must_use]
pub fn may_deliver() -> bool {
    if IS_KNOWN.get() {
        return true;
    }
    let is_known = spi::as_role(PLATFORM, || {
        spi::first("select from nebula.delivery_place where fingerprint = $1", &[Arg::Text(&here())], |_| ()).is_some()
    });
    IS_KNOWN.set(is_known);
    is_known
}

/// Raises where it may not: nothing of a copy is claimed.
pub fn require_known() {
    if !may_deliver() {
        ereport!(
            ERROR,
            PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
            "this database is a copy: it delivers nothing until it is adopted (nebula worker --adopt, or select nebula.adopt_here())"
        );
    }
}

/// Makes the present place one that it may send from.
#[must_use]
pub fn adopt() -> String {
    let here = here();
    add(&here);
    here
}

/// Makes another place one, before it is the present one: that of a replica, which goes on sending when it is promoted. False where it was known.
#[must_use]
pub fn adopt_place(fingerprint: &str) -> bool {
    if fingerprint.len() != 64 || !fingerprint.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
        ereport!(
            ERROR,
            PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
            "not the fingerprint of a place: it is what nebula.delivery_place_here() answers on the replica"
        );
    }
    add(fingerprint)
}

fn add(fingerprint: &str) -> bool {
    spi::run("insert into nebula.delivery_place (fingerprint) values ($1) on conflict (fingerprint) do nothing", &[Arg::Text(fingerprint)])
        > 0
}
