//! Reading the audit log.

use crate::kernel::{
    error::Result,
    operation::{Call, Kind, Method::Get, Operation, Reply, Sorts, shape},
    page::{Limit, List, ListInput},
};
use nebula_core::text::{Instant, Key};
use schemars::JsonSchema;
use serde::Deserialize;
use uuid::Uuid;

const SORTS: Sorts = &[("created_at", "timestamptz")];

#[must_use]
pub fn operations() -> Vec<Operation> {
    vec![
        Operation::new("audit.list", (Get, "/v1/audit-logs"), Kind::Read, list)
            .lists::<AuditEntry>()
            .sorts(SORTS)
            .summary("Lista o registro de auditoria", "Lists the audit log"),
    ]
}

shape! {
    /// Something that happened.
    AuditEntry {
        id: Uuid,
        actor_type: ActorType,
        actor_user_id: Option<Uuid>,
        actor_api_key_id: Option<Uuid>,
        action: String,
        entity_type: String,
        entity_id: Option<Uuid>,
        /// `requestId`, `changed` (names of columns, never values), `outcome` and the like.
        metadata: serde_json::Map<String, serde_json::Value>,
        request_id: Option<String>,
        ip: Option<String>,
        user_agent: Option<String>,
        created_at: Instant,
    }
}

/// A person, a service account's key, or SQL without a caller.
#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
#[allow(dead_code, reason = "describes what SQL makes")]
enum ActorType {
    User,
    Service,
    System,
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ListAudit {
    #[serde(default)]
    limit: Limit,
    cursor: Option<String>,
    sort: Option<String>,
    /// A user's or an API key's id.
    actor: Option<Uuid>,
    action: Option<Key>,
    entity_type: Option<Key>,
    entity_id: Option<Uuid>,
    created_at_from: Option<Instant>,
    created_at_to: Option<Instant>,
}

fn list(call: &Call, input: ListAudit) -> Result<Reply> {
    let text = |key: &Option<Key>| key.as_ref().map(|key| key.as_str().to_owned());
    let page = ListInput::page(input.limit, input.cursor, input.sort).created(input.created_at_from, input.created_at_to);
    List {
        name: "audit",
        from: "from nebula.audit_log l where l.tenant_id = $1",
        alias: "l",
        columns: "l.id, l.actor_type as \"actorType\", l.actor_user_id as \"actorUserId\", l.actor_api_key_id as \"actorApiKeyId\", \
                  l.action, l.entity_type as \"entityType\", l.entity_id as \"entityId\", l.metadata, l.metadata -> 'requestId' as \
                  \"requestId\", host(l.ip) as ip, l.user_agent as \"userAgent\", l.created_at as \"createdAt\"",
        sorts: SORTS,
        search: None,
        has_status: false,
        filters: &[
            ("(l.actor_user_id = %1::uuid or l.actor_api_key_id = %1::uuid)", input.actor.map(|id| id.to_string())),
            ("l.action = %1", text(&input.action)),
            ("l.entity_type = %1", text(&input.entity_type)),
            ("l.entity_id = %1::uuid", input.entity_id.map(|id| id.to_string())),
        ],
        tenant: Some(call.tenant()),
        parent: None,
    }
    .page(&call.caller, &page)
}
