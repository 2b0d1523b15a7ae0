//! The audit log: a row per changed row, written by triggers, and a row per thing that changes none (refusals, logins).

mod rows;

pub use rows::{Audited, write as write_rows};

use super::{
    context::{self, Caller},
    import, row_change,
    spi::{
        self, Arg, Made,
        direct::{Leaf, Table},
    },
    sql_caller::{self, PLATFORM},
};
use pgrx::{PgTrigger, PgTriggerOperation};
use serde_json::{Map, Value, json};
use uuid::Uuid;

const AUDIT_LOG: Table = Table {
    name: c"audit_log",
    leaf: Leaf::OfNow,
    columns: &[
        c"id",
        c"tenant_id",
        c"actor_user_id",
        c"actor_api_key_id",
        c"actor_type",
        c"action",
        c"entity_type",
        c"entity_id",
        c"metadata",
        c"ip",
        c"user_agent",
        c"created_at",
    ],
};

/// What the product notes by itself as it goes, alone in its statement: no change of the row by anybody.
const OBSERVED: [&str; 2] = ["last_used_at", "failing_since"];

/// Who, in which request: what an audit row says beside of what changed.
pub struct Author {
    user: Option<Uuid>,
    api_key: Option<Uuid>,
    actor_type: &'static str,
    action: Option<String>,
    /// Members of the metadata.
    about: Vec<(&'static str, String)>,
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
                about: vec![("role", spi::session_user())],
                ip: None,
                user_agent: None,
                tenant: None,
            };
        };
        // Of the platform's service account in another tenant, that tenant's log tells whose it was; where it came from stays in the platform's.
        let is_guest = caller.is_acting() && log != Some(caller.home);
        let mut about = vec![("requestId", caller.origin.request_id.clone())];
        about.extend(caller.origin.trace_id.as_ref().map(|trace| ("traceId", trace.as_str().to_owned())));
        about.extend(is_guest.then(|| ("actorTenantId", caller.home.to_string())));
        Self {
            user: caller.actor.user(),
            api_key: caller.actor.service(),
            actor_type: caller.actor.type_name(),
            action: Some(caller.action.to_string()),
            about,
            ip: caller.origin.ip.filter(|_| !is_guest).map(|ip| ip.to_string()),
            user_agent: caller.origin.user_agent.clone().filter(|_| !is_guest),
            tenant: Some(caller.tenant),
        }
    }
}

/// What all rows of one author and action have in common, for as long as the current memory.
struct Said {
    user: Arg<'static>,
    api_key: Arg<'static>,
    actor_type: Made,
    action: Made,
    entity_type: Made,
    ip: Made,
    user_agent: Made,
}

/// What is an audit row's own.
struct Entry {
    tenant: Uuid,
    entity_id: Option<Uuid>,
    metadata: Made,
    /// Where somebody came from is theirs: it stays in the log of their own tenant.
    tells_origin: bool,
}

impl Author {
    /// `action` is that of who does no operation.
    fn said(&self, action: &str, entity_type: &str) -> Said {
        Said {
            user: Arg::OptUuid(self.user),
            api_key: Arg::OptUuid(self.api_key),
            actor_type: Arg::Text(self.actor_type).make(),
            action: Arg::Text(self.action.as_deref().unwrap_or(action)).make(),
            entity_type: Arg::Text(entity_type).make(),
            ip: Arg::OptInet(self.ip.as_deref()).make(),
            user_agent: Arg::OptText(self.user_agent.as_deref()).make(),
        }
    }
}

impl Said {
    /// The values of [`AUDIT_LOG`].
    fn row(&self, entry: &Entry) -> [Arg<'static>; 12] {
        let origin = |made: Made, none: Arg<'static>| if entry.tells_origin { Arg::Made(made) } else { none };
        [
            Arg::Uuid(Uuid::now_v7()),
            Arg::Uuid(entry.tenant),
            self.user,
            self.api_key,
            Arg::Made(self.actor_type),
            Arg::Made(self.action),
            Arg::Made(self.entity_type),
            Arg::OptUuid(entry.entity_id),
            Arg::Made(entry.metadata),
            origin(self.ip, Arg::OptInet(None)),
            origin(self.user_agent, Arg::OptText(None)),
            Arg::Now,
        ]
    }
}

/// Records something that changed no audited row: a refusal, a login.
pub fn record(tenant: Uuid, entity_type: &str, entity_id: Option<Uuid>, extra: &Value) {
    let author = Author::current(Some(tenant));
    let mut metadata = author.about.iter().map(|(name, text)| ((*name).to_owned(), json!(text))).collect::<Map<_, _>>();
    metadata.extend(extra.as_object().cloned().unwrap_or_default());
    let metadata = Arg::Json(&Value::Object(metadata).to_string()).make();
    let entry = Entry { tenant, entity_id, metadata, tells_origin: true };
    AUDIT_LOG.insert(tenant, &author.said(entity_type, entity_type).row(&entry));
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
    let is_news = |name: &str| !matches!(name, "id" | "tenant_id" | "updated_at") && !OBSERVED.contains(&name);
    let audited = Audited {
        tenant: table.position(if table.name == "tenant" { "id" } else { "tenant_id" }),
        id: table.position("id"),
        key: Vec::new(),
        news: if verb == "update" { table.named(is_news) } else { Vec::new() },
        observed: OBSERVED.iter().filter_map(|name| table.position(name)).collect(),
        verb,
        action: &format!("{}.{verb}", table.name),
        entity_type: &table.name,
    };
    rows::write(trigger, &Author::current(None), &audited);
}

pub(super) fn verb(operation: &PgTriggerOperation) -> &'static str {
    match operation {
        PgTriggerOperation::Insert => "insert",
        PgTriggerOperation::Update => "update",
        PgTriggerOperation::Delete => "delete",
        PgTriggerOperation::Truncate => "truncate",
    }
}
