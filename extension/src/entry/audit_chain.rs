//! What sealing the audit log needs to know of the server. The rest is SQL: `sql/functions/audit_chain.sql`.
#![allow(unsafe_code, clippy::needless_pass_by_value)]

use crate::kernel::spi;
use pgrx::{datum::TimestampWithTimeZone, pg_extern};

#[pg_extern(sql = false)]
fn oldest_transaction_start() -> Option<TimestampWithTimeZone> {
    spi::activity::oldest_transaction_start().and_then(|start| TimestampWithTimeZone::try_from(start).ok())
}
