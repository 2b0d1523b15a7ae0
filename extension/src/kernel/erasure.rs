//! Anonymising a person: what is left of them in the database is an id.

use super::{
    context::{self, Actor, Caller, Origin},
    error::Result,
    export, limit, outbox,
    spi::{self, Arg},
    sql_caller::PLATFORM,
};
use nebula_core::traces::{ANONYMOUS_NAME, Traces};
use serde_json::{Value, json};
use std::{cell::Cell, rc::Rc};
use uuid::Uuid;

thread_local! {
    static IS_ERASING: Cell<bool> = const { Cell::new(false) };
}

/// Whether this backend is taking addresses and user agents out of the audit log now: the log's trigger asks (docs/decisions/0015).
#[must_use]
pub fn is_erasing() -> bool {
    IS_ERASING.get()
}

/// Anonymises somebody again whom a restored backup has brought back: `anonymized`, `already` or `unknown`. For the DBA; also the last administrator goes,
/// since they have gone before.
pub fn again(tenant: Uuid, user: Uuid) -> Result<&'static str> {
    let origin = Rc::new(Origin { request_id: Uuid::now_v7().to_string(), ..Origin::default() });
    let _scope =
        context::enter(Caller { tenant, home: tenant, actor: Actor::Nobody, action: Rc::from("privacy.reapply"), origin, session: None });
    if erase(tenant, user)? {
        return Ok("anonymized");
    }
    let is_known = spi::first("select from nebula.user where tenant_id = $1 and id = $2", &[Arg::Uuid(tenant), Arg::Uuid(user)], |_| ());
    Ok(if is_known.is_some() { "already" } else { "unknown" })
}

/// Takes everything that leads to a person out of the tenant's rows; false where there is no such person, or none any more. The order matters: what this
/// itself writes into the audit log comes before the log is gone through.
pub fn erase(tenant: Uuid, user: Uuid) -> Result<bool> {
    // Not made of the id: nobody can have taken it before.
    let address = format!("{}@anonymized.invalid", Uuid::from_bytes(spi::random()));
    let Some(mut traces) = find(tenant, user, &address) else { return Ok(false) };
    let ids = [Arg::Uuid(tenant), Arg::Uuid(user)];
    let erased_at = spi::text(
        "update nebula.user set email = $3, name = $4, auth_provider = 'internal', external_id = null, status = 'suspenso', \
           suspended_reason = null, deleted_at = now() where tenant_id = $1 and id = $2 returning to_json(deleted_at) #>> '{}'",
        &[Arg::Uuid(tenant), Arg::Uuid(user), Arg::Text(&address), Arg::Text(ANONYMOUS_NAME)],
    );
    rewrite_events(tenant, user, &mut traces);
    let entities = entities_of(tenant, user);
    for statement in [
        "delete from nebula.user_secret where tenant_id = $1 and user_id = $2",
        "delete from nebula.user_group where tenant_id = $1 and user_id = $2",
        "delete from nebula.invite where tenant_id = $1 and user_id = $2",
        "delete from nebula.refresh_token r using nebula.session s where r.tenant_id = $1 and s.tenant_id = $1 and s.id = r.session_id and s.user_id = $2",
        "delete from nebula.session where tenant_id = $1 and user_id = $2",
    ] {
        spi::run(statement, &ids);
    }
    forget_answers(tenant, user, &traces);
    forget_failures(tenant, &traces);
    export::expire_all(tenant);
    outbox::emit(tenant, "user.status.changed", &json!({ "id": user, "status": "suspenso", "anonymized": true }).to_string())?;
    outbox::emit(tenant, "privacy.erased", &json!({ "userId": user, "at": erased_at }).to_string())?;
    blank_audit(tenant, user, &entities);
    Ok(true)
}

/// The person, locked, with what the row tells of them.
fn find(tenant: Uuid, user: Uuid, address: &str) -> Option<Traces> {
    spi::first(
        "select email, name, external_id, suspended_reason from nebula.user where tenant_id = $1 and id = $2 and deleted_at is null for update",
        &[Arg::Uuid(tenant), Arg::Uuid(user)],
        |row| {
            let mut traces = Traces::new(user, address);
            for unique in [row.text(1), row.text(3)].into_iter().flatten() {
                traces.add_unique(&unique);
            }
            for common in [row.text(2), row.text(4)].into_iter().flatten() {
                traces.add_common(&common);
            }
            traces
        },
    )
}

/// Rows whose audit tells of the person without naming them: their sessions, invites and passwords, whoever caused it.
fn entities_of(tenant: Uuid, user: Uuid) -> Vec<Uuid> {
    let found = spi::rows(
        "select id from nebula.session where tenant_id = $1 and user_id = $2 \
         union all select id from nebula.invite where tenant_id = $1 and user_id = $2 \
         union all select id from nebula.user_secret where tenant_id = $1 and user_id = $2 \
         union all select entity_id from nebula.audit_log where tenant_id = $1 and actor_user_id = $2 and entity_type = 'session'",
        &[Arg::Uuid(tenant), Arg::Uuid(user)],
        |row| row.uuid(1),
    );
    found.into_iter().flatten().chain([user]).collect()
}

/// How a text stands in JSON.
fn in_json(text: &String) -> String {
    let quoted = json!(text).to_string();
    quoted.get(1..quoted.len().saturating_sub(1)).unwrap_or_default().to_owned()
}

/// Events, done and dead ones too, without the person. First those that name them by id or address, since they tell what else they were called.
fn rewrite_events(tenant: Uuid, user: Uuid, traces: &mut Traces) {
    let known = traces.unique_texts().iter().map(in_json).chain([user.to_string()]).collect::<Vec<_>>();
    spi::rows(
        "select payload::text from nebula.outbox o where o.tenant_id = $1 \
         and exists (select from unnest($2) known where strpos(lower(o.payload::text), lower(known)) > 0)",
        &[Arg::Uuid(tenant), Arg::Texts(&known)],
        |row| row.text(1).and_then(|text| serde_json::from_str(&text).ok()).iter().for_each(|value| traces.learn(value)),
    );
    let known = traces.texts().iter().map(in_json).chain([user.to_string()]).collect::<Vec<_>>();
    let rows = spi::rows(
        "select o.id, o.payload::text, o.aggregate, o.last_error from nebula.outbox o where o.tenant_id = $1 \
         and exists ( \
           select from unnest($2) known \
           where strpos(lower(concat_ws(' ', o.payload, o.aggregate, o.last_error)), lower(known)) > 0 \
              or strpos(concat_ws(' ', o.payload, o.aggregate, o.last_error), known) > 0 \
         )",
        &[Arg::Uuid(tenant), Arg::Texts(&known)],
        |row| {
            let mut payload = serde_json::from_str::<Value>(&row.text(2)?).ok()?;
            let is_changed = traces.erase(&mut payload);
            let (aggregate, error) = (row.text(3), row.text(4));
            let [new_aggregate, new_error] = [&aggregate, &error].map(|text| text.as_deref().and_then(|text| traces.erase_text(text)));
            (is_changed || new_aggregate.is_some() || new_error.is_some()).then_some((
                row.uuid(1)?,
                payload.to_string(),
                new_aggregate.or(aggregate),
                new_error.or(error),
            ))
        },
    );
    for (id, payload, aggregate, error) in rows.into_iter().flatten() {
        spi::run(
            "update nebula.outbox set payload = $3::jsonb, aggregate = $4, last_error = $5 where tenant_id = $1 and id = $2",
            &[Arg::Uuid(tenant), Arg::Uuid(id), Arg::Text(&payload), Arg::OptText(aggregate.as_deref()), Arg::OptText(error.as_deref())],
        );
    }
    // What a receiver's refusal or an export's failure might quote.
    for statement in [
        "update nebula.webhook_delivery d set error = null where d.tenant_id = $1 \
         and exists (select from unnest($2) known where strpos(lower(d.error), lower(known)) > 0)",
        "update nebula.export_job e set last_error = null where e.tenant_id = $1 \
         and exists (select from unnest($2) known where strpos(lower(e.last_error), lower(known)) > 0)",
    ] {
        spi::run(statement, &[Arg::Uuid(tenant), Arg::Texts(&traces.texts())]);
    }
}

/// Stored answers that tell of the person, found by what they say, since they are about the person in more places than one could name. (One that is sealed
/// can't be read by anyone, and is gone within a day.) A caller may also have made a key of an address.
fn forget_answers(tenant: Uuid, user: Uuid, traces: &Traces) {
    let unique = traces.unique_texts().iter().map(in_json).chain([user.to_string()]).collect::<Vec<_>>();
    // A name by itself: as a part of others it would take half of the answers along.
    let whole = traces.texts().iter().map(|text| json!(text).to_string()).collect::<Vec<_>>();
    spi::run(
        "delete from nebula.idempotency_key i where i.tenant_id = $1 and ( \
           exists (select from unnest($2) known where strpos(lower(concat_ws(' ', i.key, i.response_body)), lower(known)) > 0) \
           or exists (select from unnest($3) known where strpos(i.response_body, known) > 0) \
         )",
        &[Arg::Uuid(tenant), Arg::Texts(&unique), Arg::Texts(&whole)],
    );
}

/// Counters of failed logins and requests are digests of addresses: with this installation's secret, which stands in the same dump, one could test a guess.
fn forget_failures(tenant: Uuid, traces: &Traces) {
    for address in traces.unique_texts() {
        let key = limit::account_key(tenant, &address);
        for statement in ["delete from nebula.login_failure where key = $1", "delete from nebula.rate_limit where key = $1"] {
            spi::run(statement, &[Arg::Bytes(&key)]);
        }
    }
}

/// Where the person came from, in what they did and in what was done to them by nobody known. The one change that the audit log admits.
fn blank_audit(tenant: Uuid, user: Uuid, entities: &[Uuid]) {
    struct Guard;
    impl Drop for Guard {
        fn drop(&mut self) {
            IS_ERASING.set(false);
        }
    }
    IS_ERASING.set(true);
    let _guard = Guard;
    spi::as_role(PLATFORM, || {
        // The seals learn what is legal here: whatever else is missing from a row was taken by somebody (docs/security/audit.md).
        spi::run("select pg_advisory_xact_lock(hashtextextended('nebula/audit_chain/' || $1, 0))", &[Arg::Uuid(tenant)]);
        spi::run(
            "insert into nebula.audit_erasure (tenant_id, id, row_created_at, user_id) \
             select $1, id, created_at, $2 from nebula.audit_log \
             where tenant_id = $1 and (ip is not null or user_agent is not null) \
               and (actor_user_id = $2 or actor_user_id is null and actor_api_key_id is null and entity_id = any ($3)) \
             on conflict do nothing",
            &[Arg::Uuid(tenant), Arg::Uuid(user), Arg::Uuids(entities)],
        );
        spi::run(
            "update nebula.audit_log r set ip = null, user_agent = null from nebula.audit_erasure e \
             where r.tenant_id = $1 and e.tenant_id = $1 and e.user_id = $2 and r.created_at = e.row_created_at and r.id = e.id \
               and (r.ip is not null or r.user_agent is not null)",
            &[Arg::Uuid(tenant), Arg::Uuid(user)],
        );
        spi::run("select nebula.blank_audit_origins($1)", &[Arg::Uuid(tenant)]);
    });
}
