//! Credentials of a tenant for services of others. They go in, and come out nowhere but through the worker's library, audited.

use crate::kernel::{
    audit,
    context::{self, Actor, Caller, Origin},
    error::{Refusal, Result},
    operation::{
        Call, Kind,
        Method::{Delete, Get, Patch, Post},
        Operation, Reply, Seal, Sealed, Sorts, shape,
    },
    outbox,
    page::{Limit, List, ListInput},
    spi::{self, Arg},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use nebula_core::{
    error::Code,
    object::Object,
    text::{Instant, Key, Name, Search},
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use std::num::NonZeroU16;
use std::rc::Rc;
use uuid::Uuid;

const SORTS: Sorts = &[("created_at", "timestamptz")];
const DATA: &[Sealed] = &[Sealed { field: "data", mode: Seal::Given }];
/// Of the JSON text; sealing adds nonce and tag.
const MAX_DATA_BYTES: usize = 65_536;
const SEAL_BYTES: usize = 12 + 16;

#[must_use]
pub fn operations() -> Vec<Operation> {
    vec![
        Operation::new("credentials.create", (Post, "/v1/integrations/credentials"), Kind::Admin, create)
            .success(201)
            .seal(DATA)
            .answers::<Credential>()
            .summary("Guarda uma credencial de integração", "Keeps an integration's credential"),
        Operation::new("credentials.list", (Get, "/v1/integrations/credentials"), Kind::Read, list)
            .lists::<Credential>()
            .sorts(SORTS)
            .summary("Lista as credenciais de integrações", "Lists integrations' credentials"),
        Operation::new("credentials.update", (Patch, "/v1/integrations/credentials/{id}"), Kind::Admin, update)
            .seal(DATA)
            .answers::<Credential>()
            .partial()
            .summary("Altera uma credencial de integração", "Changes an integration's credential"),
        Operation::new("credentials.delete", (Delete, "/v1/integrations/credentials/{id}"), Kind::Admin, delete)
            .summary("Remove uma credencial de integração", "Removes an integration's credential"),
    ]
}

shape! {
    /// A credential for somebody else's service, without what it holds.
    Credential {
        id: Uuid,
        /// Which service.
        provider: Key,
        name: Name,
        /// From then on it is given to nobody.
        expires_at: Option<Instant>,
        created_at: Instant,
        updated_at: Instant,
    }
}

macro_rules! credential_columns {
    () => {
        "c.id, c.provider, c.name, c.expires_at as \"expiresAt\", c.created_at as \"createdAt\", c.updated_at as \"updatedAt\""
    };
}

/// What the edge makes of a value that the client gave.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct GivenSecret {
    row: Uuid,
    sealed: String,
    key_version: NonZeroU16,
    /// Tells it from another value under the same idempotency key; stored nowhere.
    #[allow(dead_code, reason = "read where the request is told from others")]
    fingerprint: String,
}

impl GivenSecret {
    fn sealed(&self) -> Result<Vec<u8>> {
        let sealed = STANDARD.decode(&self.sealed).map_err(|_| Refusal::invalid("data", "base64"))?;
        match sealed.len() {
            ..=SEAL_BYTES => Err(Refusal::invalid("data", "too_short")),
            length if length > SEAL_BYTES + MAX_DATA_BYTES => Err(Refusal::invalid("data", "too_long")),
            _ => Ok(sealed),
        }
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct CreateCredential {
    provider: Key,
    name: Name,
    data: Object<GivenSecret>,
    expires_at: Option<Instant>,
}

fn in_future(at: Option<&Instant>) -> Result<()> {
    if at.is_some_and(|at| at.unix_microseconds() <= spi::now_microseconds()) {
        Err(Refusal::invalid("expiresAt", "future"))
    } else {
        Ok(())
    }
}

/// Who gives a name waits for who else does: an update has no `on conflict`, and an index' refusal would be a 500.
fn lock_name(call: &Call, provider: &str, name: &str) {
    spi::advisory_lock(&format!("{}/integration_credential.name/{provider}/{name}", call.tenant()));
}

fn create(call: &Call, input: CreateCredential) -> Result<Reply> {
    in_future(input.expires_at.as_ref())?;
    let (data, provider, name) = (input.data.0, input.provider.as_str(), input.name.as_str());
    let sealed = data.sealed()?;
    lock_name(call, provider, name);
    let credential = spi::object(
        concat!(
            "insert into nebula.integration_credential as c (tenant_id, id, provider, name, data_encrypted, key_version, expires_at) \
             values ($1, $2, $3, $4, $5, $6, $7::timestamptz) on conflict do nothing returning ",
            credential_columns!()
        ),
        &[
            Arg::Uuid(call.tenant()),
            Arg::Uuid(data.row),
            Arg::Text(provider),
            Arg::Text(name),
            Arg::Bytes(&sealed),
            Arg::Int(i32::from(data.key_version.get())),
            Arg::OptText(input.expires_at.as_ref().map(Instant::as_str)),
        ],
    )
    .ok_or_else(|| Refusal::duplicate("name"))?;
    changed(call, data.row, provider, name, "created")?;
    Ok(Reply::data(credential))
}

/// Tells consumers that there is another value now, and nothing of it.
fn changed(call: &Call, id: Uuid, provider: &str, name: &str, change: &str) -> Result<()> {
    let data = json!({ "id": id, "provider": provider, "name": name, "change": change });
    outbox::emit(call.tenant(), "credential.changed", &data.to_string()).map(drop)
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ListCredentials {
    #[serde(default)]
    limit: Limit,
    cursor: Option<String>,
    sort: Option<String>,
    q: Option<Search>,
    created_at_from: Option<Instant>,
    created_at_to: Option<Instant>,
}

fn list(call: &Call, input: ListCredentials) -> Result<Reply> {
    let page = ListInput { q: input.q, ..ListInput::page(input.limit, input.cursor, input.sort) };
    List {
        name: "credentials",
        from: "from nebula.integration_credential c where c.tenant_id = $1",
        alias: "c",
        columns: credential_columns!(),
        sorts: SORTS,
        search: Some("strpos(lower(c.provider || ' ' || c.name), lower(%q)) > 0"),
        has_status: false,
        filters: &[],
        tenant: Some(call.tenant()),
        parent: None,
    }
    .page(&call.caller, &page.created(input.created_at_from, input.created_at_to))
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct UpdateCredential {
    id: Uuid,
    name: Option<Name>,
    data: Option<Object<GivenSecret>>,
    expires_at: Option<Instant>,
}

fn update(call: &Call, input: UpdateCredential) -> Result<Reply> {
    if input.name.is_none() && input.data.is_none() && input.expires_at.is_none() {
        return Err(Refusal::invalid("", "nothing_to_change"));
    }
    in_future(input.expires_at.as_ref())?;
    // What was sealed for another row would never open.
    let data = input.data.map(|data| data.0);
    if data.as_ref().is_some_and(|data| data.row != input.id) {
        return Err(Refusal::invalid("data", "row"));
    }
    let sealed = data.as_ref().map(GivenSecret::sealed).transpose()?;
    let (tenant, id) = (Arg::Uuid(call.tenant()), Arg::Uuid(input.id));
    let provider = spi::text("select provider from nebula.integration_credential where tenant_id = $1 and id = $2", &[tenant, id]);
    let provider = provider.ok_or(Code::NotFound)?;
    if let Some(name) = &input.name {
        lock_name(call, &provider, name.as_str());
        let is_taken = spi::first(
            "select from nebula.integration_credential where tenant_id = $1 and provider = $3 and name = $4 and id <> $2",
            &[tenant, id, Arg::Text(&provider), Arg::Text(name.as_str())],
            |_| (),
        );
        if is_taken.is_some() {
            return Err(Refusal::duplicate("name"));
        }
    }
    let updated = spi::first(
        concat!(
            "update nebula.integration_credential c set name = coalesce($3, name), data_encrypted = coalesce($4, data_encrypted), \
               key_version = case when $4 is null then key_version else $5 end, expires_at = coalesce($6::timestamptz, expires_at) \
             where c.tenant_id = $1 and c.id = $2 returning ",
            credential_columns!(),
            ", c.name"
        ),
        &[
            tenant,
            id,
            Arg::OptText(input.name.as_ref().map(Name::as_str)),
            Arg::OptBytes(sealed.as_deref()),
            Arg::Int(data.map_or(0, |data| i32::from(data.key_version.get()))),
            Arg::OptText(input.expires_at.as_ref().map(Instant::as_str)),
        ],
        |row| Some((row.object(1), row.text(7)?)),
    );
    let (credential, name) = updated.flatten().ok_or(Code::NotFound)?;
    changed(call, input.id, &provider, &name, "updated")?;
    Ok(Reply::data(credential))
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ById {
    id: Uuid,
}

fn delete(call: &Call, input: ById) -> Result<Reply> {
    let removed = spi::first(
        "delete from nebula.integration_credential where tenant_id = $1 and id = $2 returning provider, name",
        &[Arg::Uuid(call.tenant()), Arg::Uuid(input.id)],
        |row| Some((row.text(1)?, row.text(2)?)),
    );
    let (provider, name) = removed.flatten().ok_or(Code::NotFound)?;
    changed(call, input.id, &provider, &name, "deleted")?;
    Ok(Reply::none())
}

/// Which credential: by its id, or by what the tenant called it.
pub enum Wanted<'a> {
    Id(Uuid),
    Named { provider: &'a str, name: &'a str },
}

/// What the worker's library gets, sealed.
pub struct Revealed {
    /// `revealed`, or why not: `expired`, `tenant_suspended`, `not_found`.
    pub outcome: &'static str,
    pub id: Option<Uuid>,
    pub sealed: Option<Vec<u8>>,
    pub key_version: Option<i32>,
}

impl Revealed {
    fn refused(outcome: &'static str, id: Option<Uuid>) -> Self {
        Self { outcome, id, sealed: None, key_version: None }
    }
}

/// Hands a sealed credential to a worker, and writes into the tenant's audit log who got it and what for; also who was refused.
#[must_use]
pub fn reveal(tenant: Uuid, wanted: &Wanted<'_>, purpose: &Name, worker: &Name) -> Revealed {
    let origin = Rc::new(Origin { request_id: Uuid::now_v7().to_string(), ..Origin::default() });
    let action = Rc::from("credentials.reveal");
    let _scope = context::enter(Caller { tenant, home: tenant, actor: Actor::Nobody, action, origin, session: None });
    let (id, provider, name) = match *wanted {
        Wanted::Id(id) => (Some(id), None, None),
        Wanted::Named { provider, name } => (None, Some(provider), Some(name)),
    };
    let found = spi::first(
        "select c.id, c.data_encrypted, c.key_version, coalesce(c.expires_at <= now(), false), t.status = 'ativo' \
         from nebula.integration_credential c join nebula.tenant t on t.id = $1 \
         where c.tenant_id = $1 and (c.id = $2 or c.provider = $3 and c.name = $4)",
        &[Arg::Uuid(tenant), Arg::OptUuid(id), Arg::OptText(provider), Arg::OptText(name)],
        |row| Some((row.uuid(1)?, row.bytes(2)?, row.integer(3)?, row.boolean(4)?, row.boolean(5)?)),
    );
    let Some((id, sealed, key_version, is_expired, is_active)) = found.flatten() else { return Revealed::refused("not_found", None) };
    let revealed = match (is_active, is_expired) {
        (false, _) => Revealed::refused("tenant_suspended", Some(id)),
        (true, true) => Revealed::refused("expired", Some(id)),
        (true, false) => Revealed { outcome: "revealed", id: Some(id), sealed: Some(sealed), key_version: Some(key_version) },
    };
    let extra = json!({ "outcome": revealed.outcome, "purpose": purpose.as_str(), "worker": worker.as_str() });
    audit::record(tenant, "integration_credential", Some(id), &extra);
    revealed
}
