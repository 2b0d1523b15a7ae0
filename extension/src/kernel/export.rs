//! Exports that were made, as others of the kernel need to know them.

use super::{
    error::Result,
    outbox,
    spi::{self, Arg},
};
use serde_json::json;
use uuid::Uuid;

/// Ends every export of a tenant that can be downloaded, and has its file removed.
pub fn expire_all(tenant: Uuid) -> Result<()> {
    let done = spi::rows(
        "select id, location from nebula.export_job where tenant_id = $1 and status = 'done' for update",
        &[Arg::Uuid(tenant)],
        |row| Some((row.uuid(1)?, row.text(2)?)),
    );
    for (id, location) in done.into_iter().flatten() {
        spi::run(
            "update nebula.export_job set status = 'expired', location = null where tenant_id = $1 and id = $2",
            &[Arg::Uuid(tenant), Arg::Uuid(id)],
        );
        outbox::emit(tenant, "storage.remove", &json!({ "location": location }).to_string())?;
    }
    Ok(())
}
