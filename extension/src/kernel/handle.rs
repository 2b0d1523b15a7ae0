//! The pipeline that every request passes, from top to bottom.

use super::{
    audit, authenticate,
    context::{self, Actor, Caller, Origin},
    error::{Refusal, Result},
    idempotency,
    limit::{self, Counted},
    migrate,
    operation::{self, Call, File, Method, Operation, Scope},
    permission,
    rights::{self, Rights, TenantState},
    spi,
    sql_caller::{self, PLATFORM},
    usage,
};
use nebula_core::{
    error::{Code, Language, envelope},
    exact_json,
    text::{IdempotencyKey, RequestId, TraceId},
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json, value::RawValue};
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
    #[serde(default, deserialize_with = "present")]
    body: Option<Box<RawValue>>,
    credential: Option<String>,
    tenant_header: Option<String>,
    idempotency_key: Option<String>,
    request_id: Option<String>,
    trace_id: Option<String>,
    language: Option<String>,
    ip: Option<String>,
    user_agent: Option<String>,
}

/// A `null` that was sent is a value.
fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> std::result::Result<Option<Box<RawValue>>, D::Error> {
    Box::<RawValue>::deserialize(deserializer).map(Some)
}

/// What goes back: the HTTP status, the complete body, and what the edge's log and headers need.
pub struct Answer {
    pub status: u16,
    pub body: Option<String>,
    /// JSON text.
    pub context: String,
}

/// What goes back beside the body (docs/edge-protocol.md).
#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Context<'a> {
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    rate_limits: &'a [Counted],
    #[serde(flatten)]
    caller: Option<Told>,
    #[serde(skip_serializing_if = "Option::is_none")]
    replayed: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    claims: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<File>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_code: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_seconds: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    alert: Option<&'static str>,
}

/// Whose request it was.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Told {
    tenant_id: Uuid,
    actor_type: &'static str,
    actor_id: Option<Uuid>,
}

/// How a request ended well.
#[derive(Default)]
struct Outcome {
    status: u16,
    body: Option<String>,
    claims: Option<Value>,
    file: Option<File>,
    is_replayed: bool,
}

/// What was learnt of a request on its way, however it ended.
#[derive(Default)]
struct Seen {
    caller: Option<Caller>,
    limits: Vec<Counted>,
}

/// The action with which a service account of the platform enters another tenant.
pub const ACT_AS: &str = "tenants.act_as";

/// `nebula.handle`: one request, from its credential to its stored answer.
#[must_use]
pub fn handle(tenant: Uuid, request: &str) -> Answer {
    if operation::is_too_large(request) {
        return refuse(Code::PayloadTooLarge.into(), Language::default(), "", &Seen::default());
    }
    let Ok(request) = serde_json::from_str::<Request>(request) else {
        return refuse(Refusal::invalid("request", "json"), Language::default(), "", &Seen::default());
    };
    let language = if request.language.as_deref() == Some("en") { Language::English } else { Language::Portuguese };
    let request_id = request
        .request_id
        .as_deref()
        .and_then(|id| RequestId::parse(id).ok())
        .map_or_else(|| Uuid::now_v7().to_string(), |id| id.as_str().to_owned());
    let mut seen = Seen::default();
    let outcome = run(tenant, request, &request_id, &mut seen);
    usage::hand_over_if_due();
    match outcome {
        Ok(Outcome { status, body, claims, file, is_replayed }) => {
            let context = Context { replayed: is_replayed.then_some(true), claims, file, ..describe(&seen) };
            Answer { status, body, context: json_text(&context) }
        }
        Err(refusal) => refuse(refusal, language, &request_id, &seen),
    }
}

fn describe(seen: &Seen) -> Context<'_> {
    let told = |caller: &Caller| Told { tenant_id: caller.tenant, actor_type: caller.actor.type_name(), actor_id: caller.actor.id() };
    Context { rate_limits: &seen.limits, caller: seen.caller.as_ref().map(told), ..Context::default() }
}

fn json_text(context: &Context) -> String {
    serde_json::to_string(context).unwrap_or_else(|error| pgrx::error!("an answer's context is no JSON: {error}"))
}

fn refuse(refusal: Refusal, language: Language, request_id: &str, seen: &Seen) -> Answer {
    let context = Context {
        error_code: Some(refusal.code.as_str()),
        retry_after_seconds: refusal.retry_after_seconds,
        alert: refusal.alert,
        ..describe(seen)
    };
    Answer {
        status: refusal.status(),
        body: Some(envelope(refusal.code, language, request_id, refusal.details.as_ref()).to_string()),
        context: json_text(&context),
    }
}

fn run(tenant: Uuid, request: Request, request_id: &str, seen: &mut Seen) -> Result<Outcome> {
    require_read_committed()?;
    migrate::require_current()?;
    let operation = operation::find(&request.operation)?;
    let origin = Rc::new(Origin {
        request_id: request_id.to_owned(),
        // One that is none is left out: a request is worth more than its trace.
        trace_id: request.trace_id.as_deref().and_then(|id| TraceId::parse(id).ok()),
        ip: request.ip.as_deref().and_then(|ip| ip.parse::<IpAddr>().ok()),
        user_agent: request.user_agent.as_deref().map(sql_caller::clip),
    });
    let action = Rc::clone(&operation.action);
    let key = request.idempotency_key.as_deref().map(IdempotencyKey::parse).transpose();
    let key = || key.map_err(|rule| Refusal::invalid("Idempotency-Key", rule.0));
    let header = request.tenant_header.as_deref();
    let is_elsewhere = header.is_some_and(|text| text.parse::<Uuid>().ok() != Some(tenant));

    if operation.scope == Scope::Public {
        let caller = Caller { tenant, home: tenant, actor: Actor::Nobody, action, origin, session: None };
        seen.caller = Some(caller.clone());
        let _scope = context::enter(caller.clone());
        if is_elsewhere {
            return Err(Code::TenantMismatch.into());
        }
        let input = merge(&operation, request.params, request.query, request.body)?;
        limit::of_public(&operation, &caller, &input, &mut seen.limits)?;
        let outcome = perform(&operation, caller.clone(), None, input, key()?, &mut seen.limits);
        if matches!(&outcome, Err(refusal) if refusal.status() < 500) {
            limit::of_refused_token(&operation, &caller, &mut seen.limits);
        }
        return outcome;
    }

    // 1 who
    let credential = request.credential.as_deref().ok_or(Code::Unauthorized)?;
    let authenticated = authenticate::check(tenant, credential, &action, &origin)?;
    let (caller, rights) = (authenticated.caller, authenticated.rights);
    seen.caller = Some(caller.clone());
    let _scope = context::enter(caller.clone());
    usage::key_used(&caller);

    // 2 tenant
    limit::of_tenant(&operation, &caller, &rights, &mut seen.limits)?;
    audited(&operation, authenticated.standing)?;
    let Some(header) = header.filter(|_| is_elsewhere) else {
        let input = merge(&operation, request.params, request.query, request.body)?;
        return perform(&operation, caller, Some(&rights), input, key()?, &mut seen.limits);
    };
    let (caller, rights) = audited(&operation, enter_other_tenant(&operation, &caller, &rights, header))?;
    seen.caller = Some(caller.clone());
    let _scope = context::enter(caller.clone());
    audit::acting(&caller);
    let input = merge(&operation, request.params, request.query, request.body)?;
    perform(&operation, caller, Some(&rights), input, key()?, &mut seen.limits)
}

/// The tenant in the header, for a service account of the platform that may act as others; for everyone else it must be their own.
fn enter_other_tenant(operation: &Operation, caller: &Caller, rights: &Rights, header: &str) -> Result<(Caller, Rc<Rights>)> {
    let is_platform = rights.tenant().is_some_and(TenantState::is_platform);
    let may = is_platform
        && caller.actor.service().is_some()
        && operation.scope == Scope::Tenant
        && permission::verdict(ACT_AS, caller.actor, rights, || caller.origin.ip).is_allowed;
    let tenant = header.parse::<Uuid>().ok().filter(|_| may).ok_or(Code::TenantMismatch)?;
    let caller = Caller { tenant, ..caller.clone() };
    let rights = rights::of_caller(&caller);
    authenticate::check_standing(&rights)?;
    Ok((caller, rights))
}

/// `nebula.call`: the same rules for a SQL caller.
pub fn call(id: &str, input: &str, key: Option<&str>) -> (u16, Result<Option<String>>) {
    let outcome = (|| {
        if operation::is_too_large(input) {
            return Err(Code::PayloadTooLarge.into());
        }
        require_read_committed()?;
        migrate::require_current()?;
        let operation = operation::find(id)?;
        if operation.needs_edge() {
            return Err(Code::NotFound.into());
        }
        let input = read(&operation, input, "input")?;
        let caller = sql_caller_of(&operation)?;
        let _scope = context::enter(caller.clone());
        let rights = rights::of_caller(&caller);
        authenticate::check_standing(&rights)?;
        usage::key_used(&caller);
        let mut counted = Vec::new();
        limit::of_tenant(&operation, &caller, &rights, &mut counted)?;
        let key = key.map(IdempotencyKey::parse).transpose().map_err(|rule| Refusal::invalid("idempotency_key", rule.0))?;
        perform(&operation, caller, Some(&rights), input, key, &mut counted)
    })();
    usage::hand_over_if_due();
    match outcome {
        Ok(outcome) => (outcome.status, Ok(outcome.body)),
        Err(refusal) => (refusal.status(), Err(refusal)),
    }
}

/// Who a SQL caller is. Inside of a custom operation it is whoever called that, by whatever door: what the function says of itself proves nothing.
fn sql_caller_of(operation: &Operation) -> Result<Caller> {
    let action = &*operation.action;
    let Some(frame) = context::current().filter(|caller| caller.actor != Actor::Nobody) else {
        return sql_caller::current(action).or_else(|| sql_caller::introduce(action)).ok_or_else(|| Code::Unauthorized.into());
    };
    if context::depth() > MAX_DEPTH {
        return Err(Refusal::conflict("too_deep"));
    }
    // As at the front door: the platform's service accounts do in other tenants what is the tenants' to do.
    if frame.is_acting() && operation.scope != Scope::Tenant {
        return Err(Code::TenantMismatch.into());
    }
    Ok(Caller { action: Rc::from(action), ..(*frame).clone() })
}

/// Operations inside of operations, at most.
const MAX_DEPTH: usize = 16;

/// An operation decides by what is true now. A transaction that sees an older state would miss a revocation, and the effect of an equal request.
fn require_read_committed() -> Result<()> {
    if spi::is_read_committed() { Ok(()) } else { Err(Refusal::invalid("transaction_isolation", "read_committed")) }
}

/// From the permission on, both doors are one.
fn perform(
    operation: &Rc<Operation>,
    caller: Caller,
    rights: Option<&Rights>,
    input: Map<String, Value>,
    key: Option<IdempotencyKey>,
    counted: &mut Vec<Counted>,
) -> Result<Outcome> {
    let call = Call { operation: Rc::clone(operation), caller: Rc::new(caller), input, key };
    let outcome = match rights {
        Some(rights) => perform_within(&call, rights, counted),
        None => perform_allowed(&call),
    }?;
    if !outcome.is_replayed {
        usage::count(&call.caller);
    }
    Ok(outcome)
}

/// 3 may: permission, then quota. What a call has used up that had no new effect is given back.
fn perform_within(call: &Call, rights: &Rights, counted: &mut Vec<Counted>) -> Result<Outcome> {
    let (operation, caller) = (&call.operation, &call.caller);
    let resource_id = call.input.get(operation.resource_parameter()).and_then(Value::as_str).and_then(|id| id.parse().ok());
    let used = audited(operation, permission::require(operation, caller, rights, resource_id))?;
    let quota = limit::of_action(caller, rights, operation, counted);
    let outcome = match &quota {
        Ok(_) => perform_allowed(call),
        Err(refusal) => Err(refusal.clone()),
    };
    if !matches!(&outcome, Ok(outcome) if !outcome.is_replayed) {
        permission::give_back(used, caller);
        if let Ok(quota) = quota {
            limit::give_back(quota, caller, &operation.action);
        }
    }
    outcome
}

fn perform_allowed(call: &Call) -> Result<Outcome> {
    let operation = &call.operation;
    let handler = operation.prepare(&call.input)?;
    // 5 do, 6 record (triggers and the handler's event)
    let effect = || {
        let writes = spi::writes();
        let result = if operation.scope == Scope::Platform { spi::as_role(PLATFORM, || handler(call)) } else { handler(call) };
        match result {
            Err(refusal) if !refusal.keeps_writes && spi::writes() != writes => {
                // A refusal after an effect would commit half of it: everything is rolled back instead.
                pgrx::error!("{} refused with {} after it had written", operation.action, refusal.code)
            }
            result => result,
        }
    };
    // 4 replay, 7 keep. A public operation checks its own credential first, and then does this by itself.
    let reply = match operation.method {
        Method::Get => effect(),
        _ if operation.scope == Scope::Public => effect(),
        _ => idempotency::once(call, effect),
    };
    let reply = audited(operation, reply)?;
    Ok(match reply.replay {
        Some(replay) => Outcome { status: replay.status, body: replay.body, claims: replay.claims, file: None, is_replayed: true },
        None => {
            let (status, body) = operation.envelope(&reply);
            Outcome { status, body, claims: reply.claims, file: reply.file, is_replayed: false }
        }
    })
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
            &json!({ "outcome": refusal.code.as_str(), "details": details, "operation": &*operation.action }),
        );
    }
    result
}

/// Path, query and body as one input; a name may come from one place only.
fn merge(
    operation: &Operation,
    params: Map<String, Value>,
    query: Map<String, Value>,
    body: Option<Box<RawValue>>,
) -> Result<Map<String, Value>> {
    let mut input = match body {
        None => Map::new(),
        Some(body) => read(operation, body.get(), "body")?,
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
        // The edge refuses NUL; the edge's login alone might not.
        if operation.custom.is_some() && value.as_str().is_some_and(|text| text.contains('\0')) {
            return Err(Refusal::invalid(&name, "control_character"));
        }
        input.insert(name, value);
    }
    Ok(input)
}

/// An object. A custom operation's numbers keep their text: `numeric` holds more than a double.
fn read(operation: &Operation, text: &str, field: &str) -> Result<Map<String, Value>> {
    if operation.custom.is_some() {
        let named = |(name, rule): (String, &'static str)| Refusal::invalid(if name.is_empty() { field } else { &name }, rule);
        return exact_json::read(text).map_err(named);
    }
    serde_json::from_str(text).map_err(|_| Refusal::invalid(field, "type"))
}
