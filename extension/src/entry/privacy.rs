//! Anonymising again what a restored backup has brought back, and what the audit log's trigger asks meanwhile.

use super::uuid;
use crate::kernel::erasure;
use pgrx::pg_extern;

#[pg_extern(sql = false)]
fn anonymize_again(tenant: pgrx::Uuid, user: pgrx::Uuid) -> String {
    match erasure::again(uuid(tenant), uuid(user)) {
        Ok(outcome) => outcome.to_owned(),
        // An event that could not be written: everything is rolled back.
        Err(refusal) => pgrx::error!("the person could not be anonymised: {}", refusal.code),
    }
}

#[pg_extern(sql = false)]
fn is_erasing() -> bool {
    erasure::is_erasing()
}
