//! Service accounts' keys.

use crate::kernel::{
    error::{Refusal, Result},
    operation::{
        Call, Kind,
        Method::{Get, Patch, Post},
        Operation, Reply, Sorts, shape,
    },
    outbox,
    page::{List, ListInput, Status},
    permission, rights,
    spi::{self, Arg},
};
use nebula_core::{
    constraint::Circumstances,
    decision::Right,
    error::Code,
    opaque_token::{Kind as TokenKind, OpaqueToken, Secret},
    rights::catalog::ActionKind,
    text::{Description, Instant, Key, Name},
};
use schemars::JsonSchema;
use serde::Deserialize;
use uuid::Uuid;

const SORTS: Sorts = &[("created_at", "timestamptz"), ("updated_at", "timestamptz"), ("name", "text")];

#[must_use]
pub fn operations() -> Vec<Operation> {
    vec![
        Operation::new("api_keys.create", (Post, "/v1/api-keys"), Kind::Admin, create)
            .success(201)
            .reveals_secret()
            .answers::<ApiKeyWithSecret>()
            .summary("Cria uma chave de API", "Creates an API key"),
        Operation::new("api_keys.list", (Get, "/v1/api-keys"), Kind::Read, list)
            .lists::<ApiKey>()
            .sorts(SORTS)
            .summary("Lista as chaves de API", "Lists API keys"),
        Operation::new("api_keys.status", (Patch, "/v1/api-keys/{id}/status"), Kind::Admin, set_status)
            .answers::<ApiKey>()
            .summary("Suspende ou reativa uma chave", "Suspends or reactivates a key"),
        Operation::new("api_keys.rotate", (Post, "/v1/api-keys/{id}/rotate"), Kind::Admin, rotate)
            .reveals_secret()
            .answers::<ApiKeyWithSecret>()
            .summary("Troca o segredo de uma chave", "Rotates a key's secret"),
    ]
}

shape! {
    /// A service account's key.
    ApiKey {
        id: Uuid,
        name: Name,
        /// Null for an explicit scope.
        profile: Option<Profile>,
        /// The explicit scope; null for a profile.
        actions: Option<Vec<Key>>,
        status: Status,
        suspended_reason: Option<String>,
        expires_at: Option<Instant>,
        /// Up to a flush interval late.
        last_used_at: Option<Instant>,
        created_at: Instant,
        updated_at: Instant,
    }
}

shape! {
    /// A key with its secret, which is shown this once.
    ApiKeyWithSecret {
        #[schemars(flatten)]
        key: ApiKey,
        /// `nbk_` and 136 hex digits.
        secret: String,
    }
}

macro_rules! api_key_columns {
    ($($more:literal)?) => {
        concat!(
            "k.id, k.name, k.role as profile, \
             (select json_agg(a.key order by a.key) from nebula.api_key_action ka join nebula.tool_action a on a.id = ka.tool_action_id \
              where ka.tenant_id = $1 and ka.api_key_id = k.id) as actions, \
             k.status, k.suspended_reason as \"suspendedReason\", k.expires_at as \"expiresAt\", k.last_used_at as \"lastUsedAt\", \
             k.created_at as \"createdAt\", k.updated_at as \"updatedAt\""
            $(, $more)?
        )
    };
}

/// A key's scope by kind of action.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(rename = "KeyProfile")]
enum Profile {
    ReadOnly,
    Write,
    Admin,
}

impl Profile {
    fn as_str(self) -> &'static str {
        match self {
            Profile::ReadOnly => "read-only",
            Profile::Write => "write",
            Profile::Admin => "admin",
        }
    }

    /// Everything up to this kind.
    fn covers(self) -> ActionKind {
        match self {
            Profile::ReadOnly => ActionKind::Read,
            Profile::Write => ActionKind::Write,
            Profile::Admin => ActionKind::Admin,
        }
    }

    fn parse(role: &str) -> Option<Self> {
        [Profile::ReadOnly, Profile::Write, Profile::Admin].into_iter().find(|profile| profile.as_str() == role)
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("oneOf" = [
    { "properties": { "profile": { "type": "string" } }, "required": ["profile"] },
    { "properties": { "actions": { "type": "array" } }, "required": ["actions"] },
]))]
struct CreateApiKey {
    name: Name,
    profile: Option<Profile>,
    /// 1 to 200 actions, instead of a profile.
    #[schemars(length(min = 1, max = 200))]
    actions: Option<Vec<Key>>,
    expires_at: Option<Instant>,
}

fn create(call: &Call, input: CreateApiKey) -> Result<Reply> {
    if input.expires_at.as_ref().is_some_and(|at| at.unix_microseconds() <= spi::now_microseconds()) {
        return Err(Refusal::invalid("expiresAt", "future"));
    }
    let actions = match (input.profile, &input.actions) {
        (Some(_), Some(_)) | (None, None) => return Err(Refusal::invalid("actions", "profile_or_actions")),
        (Some(_), None) => Vec::new(),
        (None, Some(actions)) => explicit_scope(actions)?,
    };
    require_holds_scope(call, input.profile, &actions)?;
    let token = OpaqueToken { kind: TokenKind::ApiKey, tenant: call.tenant(), id: Uuid::now_v7(), secret: Secret(spi::random()) };
    let inserted = spi::run(
        "insert into nebula.api_key (tenant_id, id, name, role, hash, expires_at) values ($1, $2, $3, $4, $5, $6::timestamptz) \
         on conflict (tenant_id, name) do nothing",
        &[
            Arg::Uuid(call.tenant()),
            Arg::Uuid(token.id),
            Arg::Text(input.name.as_str()),
            Arg::OptText(input.profile.map(Profile::as_str)),
            Arg::Bytes(&token.secret.digest()),
            Arg::OptText(input.expires_at.as_ref().map(Instant::as_str)),
        ],
    );
    if inserted == 0 {
        return Err(Refusal::duplicate("name"));
    }
    if !actions.is_empty() {
        spi::run(
            "insert into nebula.api_key_action (tenant_id, api_key_id, tool_action_id) \
             select $1, $2, a.id from nebula.tool_action a where a.key = any($3)",
            &[Arg::Uuid(call.tenant()), Arg::Uuid(token.id), Arg::Texts(&actions)],
        );
    }
    outbox::emit(call.tenant(), "api_key.created", &public(call, token.id)?)?;
    Ok(Reply::data(with_secret(call, &token)?))
}

fn explicit_scope(actions: &[Key]) -> Result<Vec<String>> {
    if !(1..=200).contains(&actions.len()) {
        return Err(Refusal::invalid("actions", "length"));
    }
    let mut wanted = actions.iter().map(|action| action.as_str().to_owned()).collect::<Vec<_>>();
    if let Some(index) = permission::first_unknown(&wanted) {
        return Err(Refusal::invalid(&format!("actions[{index}]"), "unknown_action"));
    }
    wanted.sort();
    wanted.dedup();
    Ok(wanted)
}

/// Nobody gives a key what they don't hold. A profile holds what of its kinds the tenant's packages hold now.
fn require_holds_scope(call: &Call, profile: Option<Profile>, actions: &[String]) -> Result<()> {
    let rights = rights::of_caller(&call.caller);
    let now = Circumstances { ip: None, now_microseconds: spi::now_microseconds(), resource_id: None };
    let covered = profile.map(|profile| {
        let is_covered = |right: &Right| right.is_offered(&now) && right.kind <= profile.covers();
        rights.all().filter(is_covered).map(|right| right.action.to_owned()).collect::<Vec<_>>()
    });
    permission::require_holds_all(covered.as_deref().unwrap_or(actions).iter().map(String::as_str), &call.caller)
}

/// The key without its secret.
fn public(call: &Call, id: Uuid) -> Result<String> {
    spi::object(
        concat!("select ", api_key_columns!(), " from nebula.api_key k where k.tenant_id = $1 and k.id = $2"),
        &[Arg::Uuid(call.tenant()), Arg::Uuid(id)],
    )
    .ok_or_else(|| Code::NotFound.into())
}

/// The key with its secret, once.
fn with_secret(call: &Call, token: &OpaqueToken) -> Result<String> {
    spi::object(
        concat!("select ", api_key_columns!(", $3 as secret"), " from nebula.api_key k where k.tenant_id = $1 and k.id = $2"),
        &[Arg::Uuid(call.tenant()), Arg::Uuid(token.id), Arg::Text(&token.reveal())],
    )
    .ok_or_else(|| Code::NotFound.into())
}

fn list(call: &Call, input: ListInput) -> Result<Reply> {
    List {
        name: "api_keys",
        from: "from nebula.api_key k where k.tenant_id = $1",
        alias: "k",
        columns: api_key_columns!(),
        sorts: SORTS,
        search: Some("strpos(lower(k.name), lower(%q)) > 0"),
        has_status: true,
        filters: &[],
        tenant: Some(call.tenant()),
        parent: None,
    }
    .page(&call.caller, &input)
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(transform = Status::reason_only_when_suspending)]
struct SetStatus {
    id: Uuid,
    status: Status,
    suspended_reason: Option<Description>,
}

fn set_status(call: &Call, input: SetStatus) -> Result<Reply> {
    input.status.check_reason(input.suspended_reason.as_ref())?;
    if input.status == Status::Ativo {
        require_holds_key(call, input.id)?;
    }
    let changed = spi::run(
        "update nebula.api_key set status = $3::nebula.status, suspended_reason = $4 where tenant_id = $1 and id = $2",
        &[
            Arg::Uuid(call.tenant()),
            Arg::Uuid(input.id),
            Arg::Text(input.status.as_str()),
            Arg::OptText(input.suspended_reason.as_ref().map(Description::as_str)),
        ],
    );
    if changed == 0 {
        return Err(Code::NotFound.into());
    }
    let key = public(call, input.id)?;
    if input.status == Status::Suspenso {
        outbox::emit(call.tenant(), "api_key.revoked", &key)?;
    }
    Ok(Reply::data(key))
}

/// Whoever gets the secret of a key gets its rights.
fn require_holds_key(call: &Call, id: Uuid) -> Result<()> {
    let role =
        spi::first("select role from nebula.api_key where tenant_id = $1 and id = $2", &[Arg::Uuid(call.tenant()), Arg::Uuid(id)], |row| {
            row.text(1)
        });
    let profile = role.ok_or(Code::NotFound)?.and_then(|role| Profile::parse(&role));
    let actions = spi::rows(
        "select a.key from nebula.api_key_action ka join nebula.tool_action a on a.id = ka.tool_action_id where ka.tenant_id = $1 and ka.api_key_id = $2",
        &[Arg::Uuid(call.tenant()), Arg::Uuid(id)],
        |row| row.text(1).unwrap_or_default(),
    );
    require_holds_scope(call, profile, &actions)
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Rotate {
    id: Uuid,
    /// How long the old secret stays valid, in seconds: 0 to 604,800.
    #[serde(default)]
    #[schemars(range(max = 604_800))]
    grace_period_seconds: u32,
}

fn rotate(call: &Call, input: Rotate) -> Result<Reply> {
    if input.grace_period_seconds > 604_800 {
        return Err(Refusal::invalid("gracePeriodSeconds", "range"));
    }
    require_holds_key(call, input.id)?;
    let token = OpaqueToken { kind: TokenKind::ApiKey, tenant: call.tenant(), id: input.id, secret: Secret(spi::random()) };
    let rotated = spi::run(
        "update nebula.api_key set hash = $3, \
           previous_hash = case when $4 > 0 then hash end, \
           previous_expires_at = case when $4 > 0 then now() + make_interval(secs => $4) end \
         where tenant_id = $1 and id = $2",
        &[
            Arg::Uuid(call.tenant()),
            Arg::Uuid(input.id),
            Arg::Bytes(&token.secret.digest()),
            Arg::Int(i32::try_from(input.grace_period_seconds).unwrap_or(0)),
        ],
    );
    if rotated == 0 {
        return Err(Code::NotFound.into());
    }
    Ok(Reply::data(with_secret(call, &token)?))
}
