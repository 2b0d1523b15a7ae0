//! Events: rows written in the transaction that caused them, so that what was rolled back is never sent.

use super::{
    context,
    error::{Refusal, Result},
    spi::{
        self, Arg, Made, Sequence,
        direct::{Leaf, Table, Writer, lookup::Lookup},
        jsonb,
    },
    wake::{self, Work},
};
use nebula_core::{error::Code, text::Key};
use pgrx::PgTrigger;
use std::ffi::CStr;
use uuid::Uuid;

const OUTBOX: Table = Table {
    name: c"outbox",
    leaf: Leaf::Partition(c"outbox_live"),
    columns: &[
        c"id",
        c"tenant_id",
        c"type",
        c"aggregate",
        c"payload",
        c"is_job",
        c"status",
        c"attempts",
        c"failures",
        c"available_at",
        c"is_held",
        c"position",
        c"created_at",
    ],
};

/// The largest payload, in bytes as Postgres stores it.
const MAX_PAYLOAD_BYTES: usize = 262_144;

/// What is work for the worker itself and goes to no webhook as such.
const INTERNAL: [&str; 6] = ["webhook.delivery", "webhook.test", "webhook.redelivery", "export.run", "storage.remove", "privacy.erased"];

/// The nouns of the product's own events: nobody else writes events about them.
const OWN_NOUNS: [&str; 13] = [
    "tenant",
    "user",
    "group",
    "user_group",
    "api_key",
    "package",
    "branding",
    "config",
    "credential",
    "export",
    "webhook",
    "storage",
    "privacy",
];

/// Writes an event with `data` as JSON text; returns its id, by which consumers deduplicate. It is about the row that `data.id` names, if it names one.
pub fn emit(tenant: Uuid, event: &str, data: &str) -> Result<Uuid> {
    let payload = format!("{{\"version\":1,\"data\":{data}}}");
    let payload = checked(Some(Arg::Json(&payload).make()))?;
    Ok(put_one(tenant, event, payload, Details::default()))
}

/// The order of events.
const POSITIONS: &CStr = c"outbox_position_seq";

const WEBHOOK: Lookup =
    Lookup { table: c"webhook_subscription", index: c"pk_webhook_subscription", key: &[c"tenant_id"], columns: &[c"id"] };

/// Whether a webhook of the tenant's might want its events: it has one.
#[must_use]
pub fn has_webhooks(tenant: Uuid) -> bool {
    WEBHOOK.find(tenant, &[Arg::Uuid(tenant)], |_| ()).is_some()
}

/// Whoever waits for what comes of such an event is woken when it is committed. For a tenant that has no webhook nobody waits.
fn wake_for(tenant: Uuid, event: &str) {
    wake::at_commit(if is_job(event) {
        Work::JOBS
    } else if has_webhooks(tenant) {
        Work::EVENTS
    } else {
        Work::QUIET_EVENTS
    });
}

fn is_job(event: &str) -> bool {
    INTERNAL.contains(&event)
}

fn put_one(tenant: Uuid, event: &str, payload: Made, details: Details) -> Uuid {
    wake_for(tenant, event);
    let mut writer = Writer::open(&OUTBOX);
    let id = put(&mut writer, &Sequence::in_nebula(POSITIONS), tenant, event, payload, details);
    writer.finish();
    id
}

fn put(writer: &mut Writer, positions: &Sequence, tenant: Uuid, event: &str, payload: Made, details: Details) -> Uuid {
    let about = details.aggregate.map(str::to_owned).or_else(|| {
        let noun = event.split('.').next().unwrap_or_default();
        jsonb::member_text(payload, &["data", "id"]).map(|id| format!("{noun}/{id}"))
    });
    let id = Uuid::now_v7();
    writer.write(
        tenant,
        &[
            Arg::Uuid(id),
            Arg::Uuid(tenant),
            Arg::Text(event),
            Arg::OptText(about.as_deref()),
            Arg::Made(payload),
            Arg::Bool(is_job(event)),
            Arg::Text("pending"),
            Arg::Int(0),
            Arg::Int(0),
            details.available_at.map_or(Arg::Now, Arg::Made),
            Arg::Bool(false),
            Arg::BigInt(positions.next()),
            Arg::Now,
        ],
    );
    id
}

/// The name of a DBA's own event.
pub fn check_custom(event: &str) -> Result<Key> {
    let event = Key::parse(event).map_err(|rule| Refusal::invalid("type", rule.0))?;
    if is_reserved(event.as_str()) { Err(Refusal::invalid("type", "reserved")) } else { Ok(event) }
}

/// What a DBA's own event says beside its type and its data (`jsonb`).
#[derive(Clone, Copy, Default)]
pub struct Details<'a> {
    /// What it is about, if not the row that `data.id` names.
    pub aggregate: Option<&'a str>,
    /// When it may be delivered: now, if nothing is said.
    pub available_at: Option<Made>,
}

/// A DBA's own event.
pub fn emit_custom(tenant: Uuid, event: &str, data: Made, details: Details) -> Result<Uuid> {
    let event = check_custom(event)?;
    if details.aggregate.is_some_and(|aggregate| aggregate.is_empty() || aggregate.len() > 200) {
        return Err(Refusal::invalid("aggregate", "length"));
    }
    let payload = checked(jsonb::envelope(data))?;
    Ok(put_one(tenant, event.as_str(), payload, details))
}

/// An event for each element of a `jsonb` array, in its order. How many.
pub fn emit_each(tenant: Uuid, event: &str, data: Made) -> Result<i64> {
    let event = check_custom(event)?;
    let array = jsonb::Array::open(data).ok_or_else(|| Refusal::invalid("data", "type"))?;
    if array.length > 0 {
        wake_for(tenant, event.as_str());
    }
    let mut writer = Writer::open(&OUTBOX);
    let positions = Sequence::in_nebula(POSITIONS);
    for at in 0..array.length {
        let payload = checked(writer.within_batch(|| array.envelope(at)))?;
        put(&mut writer, &positions, tenant, event.as_str(), payload, Details::default());
    }
    writer.finish();
    Ok(i64::from(array.length))
}

fn checked(payload: Option<Made>) -> Result<Made> {
    let payload = payload.ok_or(Code::InternalError)?;
    if jsonb::size(payload) > MAX_PAYLOAD_BYTES { Err(Refusal::invalid("payload", "too_long")) } else { Ok(payload) }
}

/// Whether events of this type, or of this noun, are the product's own.
#[must_use]
pub fn is_reserved(event: &str) -> bool {
    OWN_NOUNS.contains(&event.split('.').next().unwrap_or_default())
}

/// Writes an event for each row of `rows`, SQL over a trigger's transition tables with `tenant_id`, `data` (jsonb) and `aggregate`.
pub fn emit_rows(trigger: &PgTrigger, relation: u32, event: &str, rows: &str) {
    let sql = format!(
        "/* {relation} */ insert into nebula.outbox (tenant_id, type, payload, aggregate) \
         select r.tenant_id, $1, jsonb_build_object('version', 1, 'data', r.data), r.aggregate from ({rows}) r where r.tenant_id is not null"
    );
    if spi::run_over_transition_tables(trigger, &sql, &[Arg::Text(event)]) > 0 {
        match context::tenant() {
            Some(tenant) => wake_for(tenant, event),
            None => wake::at_commit(Work::EVENTS),
        }
    }
}
