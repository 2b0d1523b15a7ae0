//! Where a person of the tenant is logged in, for who looks after them: a stolen laptop waits for nobody's password.

use crate::kernel::{
    audit,
    error::Result,
    operation::{
        Call, Kind,
        Method::{Delete, Get},
        Operation, Reply, Sorts, shape,
    },
    page::{Limit, List, ListInput},
    spi::{self, Arg},
};
use nebula_core::{error::Code, text::Instant};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use uuid::Uuid;

pub(super) const SORTS: Sorts = &[("created_at", "timestamptz")];

#[must_use]
pub fn operations() -> Vec<Operation> {
    vec![
        // Where somebody logs in from is more than who they are, hence not for everybody who may read users.
        Operation::new("users.sessions.list", (Get, "/v1/users/{id}/sessions"), Kind::Admin, list)
            .lists::<Session>()
            .sorts(SORTS)
            .summary("Lista as sessões de um usuário", "Lists a user's sessions"),
        Operation::new("users.sessions.revoke", (Delete, "/v1/users/{id}/sessions"), Kind::Admin, revoke)
            .summary("Encerra as sessões de um usuário", "Ends a user's sessions"),
    ]
}

shape! {
    /// A login of a person that is still open.
    pub(super) Session {
        id: Uuid,
        ip: Option<String>,
        user_agent: Option<String>,
        created_at: Instant,
        last_used_at: Instant,
        expires_at: Instant,
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ListSessions {
    id: Uuid,
    #[serde(default)]
    limit: Limit,
    cursor: Option<String>,
    sort: Option<String>,
}

fn list(call: &Call, input: ListSessions) -> Result<Reply> {
    require_user(call, input.id)?;
    open(call, "users.sessions", input.id, &ListInput::page(input.limit, input.cursor, input.sort))
}

/// A person's open sessions. `name` is of the list: another's cursor doesn't count.
pub(super) fn open(call: &Call, name: &'static str, user: Uuid, input: &ListInput) -> Result<Reply> {
    List {
        name,
        from: "from nebula.session s where s.tenant_id = $1 and s.user_id = $2 and s.revoked_at is null and s.expires_at > now()",
        alias: "s",
        columns: "s.id, host(s.ip) as ip, s.user_agent as \"userAgent\", s.created_at as \"createdAt\", s.last_used_at as \
                  \"lastUsedAt\", s.expires_at as \"expiresAt\"",
        sorts: SORTS,
        search: None,
        has_status: false,
        filters: &[],
        tenant: Some(call.tenant()),
        parent: Some(user),
    }
    .page(&call.caller, input)
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ById {
    id: Uuid,
}

/// Access tokens end with their sessions, at the next statement.
fn revoke(call: &Call, input: ById) -> Result<Reply> {
    require_user(call, input.id)?;
    let ended = spi::run(
        "update nebula.session set revoked_at = now(), revoked_reason = 'admin' where tenant_id = $1 and user_id = $2 and revoked_at is null",
        &[Arg::Uuid(call.tenant()), Arg::Uuid(input.id)],
    );
    audit::record(call.tenant(), "user", Some(input.id), &json!({ "outcome": "sessions_revoked", "count": ended }));
    Ok(Reply::none())
}

fn require_user(call: &Call, id: Uuid) -> Result<()> {
    spi::first(
        "select true from nebula.user where tenant_id = $1 and id = $2 and deleted_at is null",
        &[Arg::Uuid(call.tenant()), Arg::Uuid(id)],
        |_| (),
    )
    .ok_or_else(|| Code::NotFound.into())
}
