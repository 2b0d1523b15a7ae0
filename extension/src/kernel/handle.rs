//! The pipeline that every request passes, from top to bottom.

use super::{
    audit, authenticate,
    context::{self, Actor, Caller, Origin},
    error::{Refusal, Result},
    idempotency, migrate,
    operation::{self, Call, Operation, Reply, Scope},
    permission,
    rights::Rights,
    spi,
    sql_caller::{self, PLATFORM},
};
use nebula_core::{
    error::{Code, Language, envelope},
    text::{IdempotencyKey, RequestId},
};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::{net::IpAddr, rc::Rc};
use uuid::Uuid;

/// What the edge sends (docs/edge-protocol.md).
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Request {
    operation: String,
    #[serde(default)]
    params: Map<String, Value>,
    #[serde(default)]
    query: Map<String, Value>,
    body: Option<Value>,
    credential: Option<String>,
    tenant_header: Option<String>,
    idempotency_key: Option<String>,
    request_id: Option<String>,
    language: Option<String>,
    ip: Option<String>,
    user_agent: Option<String>,
}

/// What goes back: the HTTP status, the complete body, and what the edge's log and headers need.
pub struct Answer {
    pub status: u16,
    pub body: Option<String>,
    pub context: Value,
}

/// How a request ended, before it is put into an envelope.
#[derive(Default)]
struct Outcome {
    status: u16,
    body: Option<String>,
    claims: Option<Value>,
    is_replayed: bool,
    caller: Option<Caller>,
}

/// `nebula.handle`: one request, from its credential to its stored answer.
#[must_use]
pub fn handle(tenant: Uuid, request: &str) -> Answer {
    let Ok(request) = serde_json::from_str::<Request>(request) else {
        return refuse(Refusal::invalid("request", "json"), Language::default(), "", None);
    };
    let language = if request.language.as_deref() == Some("en") { Language::English } else { Language::Portuguese };
    let request_id = request
        .request_id
        .as_deref()
        .and_then(|id| RequestId::parse(id).ok())
        .map_or_else(|| Uuid::now_v7().to_string(), |id| id.as_str().to_owned());
    let mut seen = None;
    match run(tenant, request, &request_id, &mut seen) {
        Ok(outcome) => {
            let mut context = describe(outcome.caller.as_ref());
            if outcome.is_replayed {
                context.insert("replayed".to_owned(), json!(true));
            }
            if let Some(claims) = outcome.claims {
                context.insert("claims".to_owned(), claims);
            }
            Answer { status: outcome.status, body: outcome.body, context: Value::Object(context) }
        }
        Err(refusal) => refuse(refusal, language, &request_id, seen.as_ref()),
    }
}

fn describe(caller: Option<&Caller>) -> Map<String, Value> {
    let mut context = Map::new();
    if let Some(caller) = caller {
        context.insert("tenantId".to_owned(), json!(caller.tenant));
        context.insert("actorType".to_owned(), json!(caller.actor.type_name()));
        context.insert("actorId".to_owned(), json!(caller.actor.id()));
    }
    context
}

fn refuse(refusal: Refusal, language: Language, request_id: &str, caller: Option<&Caller>) -> Answer {
    let mut context = describe(caller);
    context.insert("errorCode".to_owned(), json!(refusal.code.as_str()));
    if let Some(alert) = refusal.alert {
        context.insert("alert".to_owned(), json!(alert));
    }
    Answer {
        status: refusal.code.status(),
        body: Some(envelope(refusal.code, language, request_id, refusal.details.as_ref()).to_string()),
        context: Value::Object(context),
    }
}

fn run(tenant: Uuid, request: Request, request_id: &str, seen: &mut Option<Caller>) -> Result<Outcome> {
    require_read_committed()?;
    migrate::require_current()?;
    let operation = operation::find(&request.operation)?;
    let origin = Rc::new(Origin {
        request_id: request_id.to_owned(),
        ip: request.ip.as_deref().and_then(|ip| ip.parse::<IpAddr>().ok()),
        user_agent: request.user_agent.as_deref().map(sql_caller::clip),
    });
    let action: Rc<str> = Rc::from(operation.action);

    // 1 who
    let (caller, rights, standing) = if operation.scope == Scope::Public {
        (Caller { tenant, actor: Actor::Nobody, action, origin, session: None }, None, Ok(()))
    } else {
        let credential = request.credential.as_deref().ok_or(Code::Unauthorized)?;
        let authenticated = authenticate::check(tenant, credential, &action, &origin)?;
        (authenticated.caller, Some(authenticated.rights), authenticated.standing)
    };
    *seen = Some(caller.clone());
    let _scope = context::enter(caller.clone());

    // 2 tenant
    let header = request.tenant_header.as_deref();
    let is_other = |text: &str| text.parse::<Uuid>().ok() != Some(tenant);
    let standing = if header.is_some_and(is_other) { Err(Code::TenantMismatch.into()) } else { standing };
    audited(&operation, standing)?;

    let input = merge(&operation, request.params, request.query, request.body)?;
    let key = request.idempotency_key.as_deref().map(IdempotencyKey::parse).transpose();
    let key = key.map_err(|rule| Refusal::invalid("Idempotency-Key", rule.0))?;
    perform(&operation, caller, rights.as_deref(), input, key.as_ref())
}

/// `nebula.call`: the same rules for a SQL caller.
pub fn call(action: &str, input: Map<String, Value>, key: Option<&str>) -> (u16, Result<Option<String>>) {
    let outcome = (|| {
        require_read_committed()?;
        migrate::require_current()?;
        let operation = operation::find(action)?;
        if operation.scope == Scope::Public {
            // They need what only the edge does: deriving passwords, signing tokens.
            return Err(Code::NotFound.into());
        }
        let caller = sql_caller::current(action).ok_or(Code::Unauthorized)?;
        let _scope = context::enter(caller.clone());
        let rights = super::rights::of(caller.tenant, caller.actor);
        authenticate::check_standing(&rights)?;
        let key = key.map(IdempotencyKey::parse).transpose().map_err(|rule| Refusal::invalid("idempotency_key", rule.0))?;
        perform(&operation, caller, Some(&rights), input, key.as_ref())
    })();
    match outcome {
        Ok(outcome) => (outcome.status, Ok(outcome.body)),
        Err(refusal) => (refusal.code.status(), Err(refusal)),
    }
}

/// An operation decides by what is true now. A transaction that sees an older state would miss a revocation, and the effect of an equal request.
fn require_read_committed() -> Result<()> {
    if spi::is_read_committed() { Ok(()) } else { Err(Refusal::invalid("transaction_isolation", "read_committed")) }
}

/// From the permission on, both doors are one.
fn perform(
    operation: &Operation,
    caller: Caller,
    rights: Option<&Rights>,
    input: Map<String, Value>,
    key: Option<&IdempotencyKey>,
) -> Result<Outcome> {
    // 3 may
    let used = match rights {
        Some(rights) => {
            let resource_id = input.get("id").and_then(Value::as_str).and_then(|id| id.parse().ok());
            audited(operation, permission::require(operation, &caller, rights, resource_id))?
        }
        None => None,
    };
    let outcome = perform_allowed(operation, &caller, input, key);
    if !matches!(&outcome, Ok(outcome) if !outcome.is_replayed) {
        permission::give_back(used, &caller);
    }
    outcome.map(|outcome| Outcome { caller: Some(caller), ..outcome })
}

fn perform_allowed(operation: &Operation, caller: &Caller, input: Map<String, Value>, key: Option<&IdempotencyKey>) -> Result<Outcome> {
    let handler = operation.prepare(&input)?;

    // 4 replay
    let is_keyed = operation.method != operation::Method::Get && operation.scope != Scope::Public;
    let begun = match key.filter(|_| is_keyed) {
        Some(key) => match idempotency::begin(key, operation, caller, &input)? {
            Ok(begun) => Some(begun),
            Err(replay) => return Ok(Outcome { status: replay.status, body: replay.body, is_replayed: true, ..Outcome::default() }),
        },
        None => None,
    };

    // 5 do, 6 record (triggers and the handler's event)
    let writes = spi::writes();
    let call = Call { caller: Rc::new(caller.clone()), input };
    let result = if operation.scope == Scope::Platform { spi::as_role(PLATFORM, || handler(&call)) } else { handler(&call) };
    let reply = match result {
        Ok(reply) => reply,
        Err(refusal) if refusal.keeps_writes || spi::writes() == writes => return audited(operation, Err(refusal)),
        // A refusal after an effect would commit half of it: everything is rolled back instead.
        Err(refusal) => pgrx::error!("{} refused with {} after it had written", operation.action, refusal.code),
    };

    // 7 keep
    let (status, body) = envelope_of(operation, &reply);
    if let Some(begun) = begun {
        begun.keep(operation, caller, status, body.as_deref())?;
    }
    Ok(Outcome { status, body, claims: reply.claims, ..Outcome::default() })
}

fn envelope_of(operation: &Operation, reply: &Reply) -> (u16, Option<String>) {
    match (&reply.data, &reply.meta) {
        (None, _) => (204, None),
        (Some(data), None) => (operation.success, Some(format!("{{\"data\":{data}}}"))),
        (Some(data), Some(meta)) => (operation.success, Some(format!("{{\"data\":{data},\"meta\":{meta}}}"))),
    }
}

/// Passes a result on; a refusal that somebody should see later is written down first.
fn audited<T>(operation: &Operation, result: Result<T>) -> Result<T> {
    if let Err(refusal) = &result
        && let Some(caller) = context::current()
        && caller.actor != Actor::Nobody
        && matches!(
            refusal.code,
            Code::ForbiddenAction
                | Code::TenantMismatch
                | Code::TenantSuspended
                | Code::UserSuspended
                | Code::InvalidToken
                | Code::TokenExpired
        )
    {
        let details = refusal.details.clone().unwrap_or(Value::Null);
        audit::record(
            caller.tenant,
            "operation",
            None,
            &json!({ "outcome": refusal.code.as_str(), "details": details, "operation": operation.action }),
        );
    }
    result
}

/// Path, query and body as one input; a name may come from one place only.
fn merge(operation: &Operation, params: Map<String, Value>, query: Map<String, Value>, body: Option<Value>) -> Result<Map<String, Value>> {
    let mut input = match body {
        None => Map::new(),
        Some(Value::Object(body)) => body,
        Some(_) => return Err(Refusal::invalid("body", "type")),
    };
    if operation.takes_body() && !query.is_empty() {
        let name = query.keys().next().cloned().unwrap_or_default();
        return Err(Refusal::invalid(&name, "unknown"));
    }
    if !operation.takes_body() && !input.is_empty() {
        return Err(Refusal::invalid("body", "unknown"));
    }
    for (name, value) in query.into_iter().chain(params) {
        if input.contains_key(&name) {
            return Err(Refusal::invalid(&name, "unknown"));
        }
        input.insert(name, value);
    }
    Ok(input)
}
