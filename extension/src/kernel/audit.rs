//! The audit log: a row per changed row, written by triggers, and a row per thing that changes none (refusals, logins).

use super::{
    context::{self, Caller},
    import, row_change,
    spi::{self, Arg, ChangedTable},
    sql_caller::{self, PLATFORM},
};
use pgrx::{PgTrigger, PgTriggerOperation};
use serde_json::{Value, json};
use std::fmt::Write;
use uuid::Uuid;

/// What the product notes by itself as it goes, alone in its statement: no change of the row by anybody.
const OBSERVED: [&str; 2] = ["last_used_at", "failing_since"];

/// Who, in which request: the parameters $1 to $7 of every audit statement.
pub(super) struct Author {
    user: Option<Uuid>,
    api_key: Option<Uuid>,
    actor_type: &'static str,
    action: Option<String>,
    metadata: Value,
    ip: Option<String>,
    user_agent: Option<String>,
    tenant: Option<Uuid>,
}

impl Author {
    /// The author of what is written into a tenant's log; `None`: of whatever tenants a statement has changed.
    fn current(log: Option<Uuid>) -> Self {
        Self::of(context::current().as_deref(), log)
    }

    /// Whoever changes rows of the application's tables with SQL of their own does `action`, unless an operation that is going on does it.
    pub(super) fn of_rows(action: &str) -> Self {
        let caller = context::current().map(|caller| (*caller).clone()).or_else(|| sql_caller::current(action));
        Self::of(caller.as_ref(), None)
    }

    fn of(caller: Option<&Caller>, log: Option<Uuid>) -> Self {
        let Some(caller) = caller else {
            // SQL without a caller: a DBA, a migration.
            return Self {
                user: None,
                api_key: None,
                actor_type: "system",
                action: None,
                metadata: json!({ "role": spi::session_user() }),
                ip: None,
                user_agent: None,
                tenant: None,
            };
        };
        // Of the platform's service account in another tenant, that tenant's log tells whose it was; where it came from stays in the platform's.
        let is_guest = caller.is_acting() && log != Some(caller.home);
        let mut metadata = json!({ "requestId": caller.origin.request_id });
        if let Some(members) = metadata.as_object_mut().filter(|_| is_guest) {
            members.insert("actorTenantId".to_owned(), json!(caller.home));
        }
        Self {
            user: caller.actor.user(),
            api_key: caller.actor.service(),
            actor_type: caller.actor.type_name(),
            action: Some(caller.action.to_string()),
            metadata,
            ip: caller.origin.ip.filter(|_| !is_guest).map(|ip| ip.to_string()),
            user_agent: caller.origin.user_agent.clone().filter(|_| !is_guest),
            tenant: Some(caller.tenant),
        }
    }

    /// Runs an audit statement over the rows that a trigger fired for; `action` is that of who does no operation.
    pub(super) fn write(self, trigger: &PgTrigger, sql: &str, action: &str, entity_type: &str) {
        spi::run_over_transition_tables(
            trigger,
            sql,
            &[
                Arg::OptUuid(self.user),
                Arg::OptUuid(self.api_key),
                Arg::Text(self.actor_type),
                Arg::Text(self.action.as_deref().unwrap_or(action)),
                Arg::Text(&self.metadata.to_string()),
                Arg::OptText(self.ip.as_deref()),
                Arg::OptText(self.user_agent.as_deref()),
                Arg::Text(entity_type),
                Arg::OptUuid(self.tenant),
            ],
        );
    }
}

/// Records something that changed no audited row: a refusal, a login.
pub fn record(tenant: Uuid, entity_type: &str, entity_id: Option<Uuid>, extra: &Value) {
    let mut author = Author::current(Some(tenant));
    if let (Some(metadata), Some(extra)) = (author.metadata.as_object_mut(), extra.as_object()) {
        metadata.extend(extra.clone());
    }
    spi::run(
        "insert into nebula.audit_log \
         (tenant_id, actor_user_id, actor_api_key_id, actor_type, action, metadata, ip, user_agent, entity_type, entity_id) \
         values ($1, $2, $3, $4, $5, $6::jsonb, $7::inet, $8, $9, $10)",
        &[
            Arg::Uuid(tenant),
            Arg::OptUuid(author.user),
            Arg::OptUuid(author.api_key),
            Arg::Text(author.actor_type),
            Arg::Text(author.action.as_deref().unwrap_or(entity_type)),
            Arg::Text(&author.metadata.to_string()),
            Arg::OptText(author.ip.as_deref()),
            Arg::OptText(author.user_agent.as_deref()),
            Arg::Text(entity_type),
            Arg::OptUuid(entity_id),
        ],
    );
}

/// A service account of the platform acts in another tenant: both logs tell.
pub fn acting(caller: &Caller) {
    record(caller.tenant, "tenant", Some(caller.tenant), &json!({ "outcome": "acted_as" }));
    spi::as_role(PLATFORM, || {
        record(caller.home, "tenant", Some(caller.tenant), &json!({ "outcome": "acted_as", "targetTenantId": caller.tenant }));
    });
}

/// The body of the trigger `nebula.audit_change()`: one row per changed row, with the names of changed columns and none of their values.
pub fn change(trigger: &PgTrigger) {
    if import::is_loading() {
        // The rows' own history is loaded with them.
        return;
    }
    let (Some(table), Ok(operation)) = (spi::changed_table(trigger), trigger.op()) else {
        pgrx::error!("the audit trigger does not know its table");
    };
    if table.schema != "nebula" {
        row_change::audit(trigger, &table, &operation);
        return;
    }
    let verb = verb(&operation);
    Author::current(None).write(trigger, &statement(&table, verb), &format!("{}.{verb}", table.name), &table.name);
}

pub(super) fn verb(operation: &PgTriggerOperation) -> &'static str {
    match operation {
        PgTriggerOperation::Insert => "insert",
        PgTriggerOperation::Update => "update",
        PgTriggerOperation::Delete => "delete",
        PgTriggerOperation::Truncate => "truncate",
    }
}

/// The insert over the transition tables. Its text depends on the table's columns alone, so that its plan is kept.
fn statement(table: &ChangedTable, verb: &str) -> String {
    let has = |name: &str| table.columns.iter().any(|column| column == name);
    let row = if verb == "delete" { "o" } else { "n" };
    // A global table's rows belong to nobody: they are the platform's to audit, as is SQL of a DBA.
    let tenant = if has("tenant_id") {
        format!("coalesce({row}.tenant_id, $9, (select t.id from nebula.tenant t where t.kind = 'platform'))")
    } else if table.name == "tenant" {
        format!("{row}.id")
    } else {
        "coalesce($9, (select t.id from nebula.tenant t where t.kind = 'platform'))".to_owned()
    };
    let id = if has("id") { format!("{row}.id") } else { "null::uuid".to_owned() };
    let mut changed = String::new();
    let is_news = |column: &&String| !matches!(column.as_str(), "id" | "tenant_id" | "updated_at") && !OBSERVED.contains(&column.as_str());
    if verb == "update" {
        for column in table.columns.iter().filter(is_news) {
            let quoted = spi::quote_identifier(column);
            let literal = column.replace('\'', "''");
            // Writing to a String can't fail.
            let _ = write!(changed, "case when o.{quoted} is distinct from n.{quoted} then '{literal}' end, ");
        }
    }
    let mut condition = String::new();
    for column in OBSERVED.into_iter().filter(|column| verb == "update" && has(column)) {
        let _ = write!(condition, "and o.{column} is not distinct from n.{column} ");
    }
    let source = match verb {
        "insert" => "new_rows n".to_owned(),
        "delete" => "old_rows o".to_owned(),
        _ if has("tenant_id") => "old_rows o join new_rows n on n.tenant_id = o.tenant_id and n.id = o.id".to_owned(),
        _ if has("id") => "old_rows o join new_rows n on n.id = o.id".to_owned(),
        _ => "old_rows o join new_rows n on n.kid = o.kid".to_owned(),
    };
    insert_rows(
        table.relation,
        verb,
        "'{}'::jsonb",
        &format!(
            "select {tenant} as tenant_id, {id} as entity_id, array_remove(array[{changed}null]::text[], null) as changed from {source} where true {condition}"
        ),
    )
}

/// The insert of an audit row for each of `rows`, which have `tenant_id`, `entity_id` and `changed`; `more` is SQL of what else is told of one.
///
/// Where somebody came from is theirs: it stays in the log of their own tenant. The relation is part of the text: a plan over one table's transition rows must
/// not serve another's that look alike.
pub(super) fn insert_rows(relation: u32, verb: &str, more: &str, rows: &str) -> String {
    format!(
        "/* {relation} */ insert into nebula.audit_log \
         (tenant_id, actor_user_id, actor_api_key_id, actor_type, action, metadata, ip, user_agent, entity_type, entity_id) \
         select target.tenant_id, $1, $2, $3, $4, \
           $5::jsonb || jsonb_build_object('verb', '{verb}', 'changed', target.changed) || {more} \
           || case when $9 is not null and $9 <> target.tenant_id then jsonb_build_object('actorTenantId', $9) else '{{}}'::jsonb end, \
           case when $9 is null or $9 = target.tenant_id then $6::inet end, case when $9 is null or $9 = target.tenant_id then $7 end, \
           $8, target.entity_id \
         from ({rows}) target \
         where target.tenant_id is not null"
    )
}
