//! Events: rows written in the transaction that caused them, so that what was rolled back is never sent.

use super::{
    error::{Refusal, Result},
    spi::{self, Arg},
};
use uuid::Uuid;

/// The largest payload, in bytes of JSON text.
const MAX_PAYLOAD_BYTES: usize = 262_144;

/// Writes an event with `data` as JSON text; returns its id, by which consumers deduplicate.
pub fn emit(tenant: Uuid, event: &str, data: &str) -> Result<Uuid> {
    let payload = format!("{{\"version\":1,\"data\":{data}}}");
    if payload.len() > MAX_PAYLOAD_BYTES {
        return Err(Refusal::invalid("payload", "too_long"));
    }
    spi::first(
        "insert into nebula.outbox (tenant_id, type, payload) values ($1, $2, $3::jsonb) returning id",
        &[Arg::Uuid(tenant), Arg::Text(event), Arg::Text(&payload)],
        |row| row.uuid(1),
    )
    .flatten()
    .ok_or_else(|| nebula_core::error::Code::InternalError.into())
}
