//! May this caller do this? The rule is `nebula_core::decision`; here it meets the tenant, the call and the day's count.

use super::{
    context::{Actor, Caller},
    error::{Refusal, Result},
    operation::{self, Operation, Scope},
    rights::{self, PrincipalState, Rights, TenantState},
    spi::{self, Arg},
};
use nebula_core::{
    constraint::Circumstances,
    decision::{Allowed, Condition, Right},
    error::Code,
};
use serde_json::{Value, json};
use std::net::IpAddr;
use uuid::Uuid;

/// A counted grant that a call has used; see [`give_back`].
pub type Used = Option<Uuid>;

/// Who is calling may do the operation, or the refusal says which condition is missing. A counted grant is used up by one.
pub fn require(operation: &Operation, caller: &Caller, rights: &Rights, resource_id: Option<Uuid>) -> Result<Used> {
    let action = &operation.action;
    let allowed = decide(action, rights.of(action).as_ref(), caller.actor, rights, &circumstances(caller, resource_id));
    match allowed.map_err(|condition| Refusal::forbidden(action, condition))? {
        Allowed::Freely => Ok(None),
        Allowed::Counted(grants) => {
            let used = grants.into_iter().find(|(grant, max_per_day)| count_use(caller, *grant, *max_per_day));
            used.map(|(grant, _)| Some(grant)).ok_or_else(|| Refusal::forbidden(action, "max_per_day"))
        }
    }
}

/// The whole decision but for the day's count; `Err` names the condition that refused.
fn decide(
    action: &str,
    right: Option<&Right>,
    actor: Actor,
    rights: &Rights,
    call: &Circumstances,
) -> std::result::Result<Allowed, &'static str> {
    match scope_of(action) {
        // Nobody is granted these, and only the edge can call them.
        Some(Scope::Public) => return Err("not_public_operation"),
        Some(Scope::OwnUser) if actor.user().is_some() => return Ok(Allowed::Freely),
        Some(Scope::Platform) if !rights.tenant().is_some_and(TenantState::is_platform) => return Err("platform_only"),
        _ => {}
    }
    right.ok_or(Condition::Active).and_then(|right| right.decide(call)).map_err(Condition::as_str)
}

/// The scope of the operation with this action, where there is one: the catalog also has actions of the tools that are sold.
fn scope_of(action: &str) -> Option<Scope> {
    operation::find(action).ok().map(|operation| operation.scope)
}

/// `maxPerDay` counts calls that had their effect: one that was refused, or that replayed an older answer, is taken off again.
pub fn give_back(used: Used, caller: &Caller) {
    if let (Some(grant), Some(user)) = (used, caller.actor.user()) {
        spi::run(
            "update nebula.permission_usage set count = count - 1 \
             where tenant_id = $1 and group_permission_id = $2 and user_id = $3 and day = (now() at time zone 'utc')::date",
            &[Arg::Uuid(caller.tenant), Arg::Uuid(grant), Arg::Uuid(user)],
        );
    }
}

/// Whether an action is allowed.
#[derive(Clone, Copy)]
pub struct Verdict {
    pub is_allowed: bool,
    /// Neither the time nor the caller's address can change it.
    pub is_constant: bool,
}

/// Whether the action is allowed now, asked without using it up and without counting the day's uses. The caller's address is fetched only
/// where it can matter.
#[must_use]
pub fn verdict(action: &str, actor: Actor, rights: &Rights, ip: impl FnOnce() -> Option<IpAddr>) -> Verdict {
    let right = rights.of(action);
    let ip = if right.as_ref().is_some_and(Right::asks_address) { ip() } else { None };
    let call = Circumstances { ip, now_microseconds: spi::now_microseconds(), resource_id: None };
    Verdict {
        is_allowed: decide(action, right.as_ref(), actor, rights, &call).is_ok(),
        is_constant: right.is_none_or(|right| right.is_constant()),
    }
}

/// Where in the list the first action stands that the catalog doesn't have.
#[must_use]
pub fn first_unknown(actions: &[String]) -> Option<usize> {
    let known =
        spi::rows("select key from nebula.tool_action where key = any($1)", &[Arg::Texts(actions)], |row| row.text(1).unwrap_or_default());
    actions.iter().position(|action| !known.contains(action))
}

/// Nobody grants what they don't hold (contract, section 3): each of the actions, granted to them without constraints, since a constrained holder
/// would otherwise hand on more than they have.
///
/// Only grants are compared. Packages and overrides bind whoever receives the grant just as much: asking for them here would leave a tenant whose
/// package has ended unable to make an administrator.
pub fn require_holds_all<'a>(actions: impl IntoIterator<Item = &'a str>, caller: &Caller) -> Result<()> {
    let rights = rights::of_caller(caller);
    for action in actions {
        if !rights.of(action).is_some_and(|right| right.granted.is_free) {
            return Err(Refusal::forbidden(action, "not_held_by_grantor"));
        }
    }
    Ok(())
}

/// The same for all that a person's groups grant: whoever gets into an account gets what it holds.
pub fn require_holds_all_of(caller: &Caller, user: Uuid) -> Result<()> {
    if caller.actor.user() == Some(user) {
        return Ok(());
    }
    let actions = spi::rows(
        "select distinct a.key from nebula.user_group ug \
         join nebula.group_permission gp on gp.tenant_id = $1 and gp.group_id = ug.group_id \
         join nebula.tool_action a on a.id = gp.tool_action_id \
         where ug.tenant_id = $1 and ug.user_id = $2",
        &[Arg::Uuid(caller.tenant), Arg::Uuid(user)],
        |row| row.text(1).unwrap_or_default(),
    );
    require_holds_all(actions.iter().map(String::as_str), caller)
}

fn circumstances(caller: &Caller, resource_id: Option<Uuid>) -> Circumstances {
    Circumstances { ip: caller.origin.ip, now_microseconds: spi::now_microseconds(), resource_id }
}

/// Counts a use of a grant with `maxPerDay`, unless the day's uses are up.
fn count_use(caller: &Caller, grant: Uuid, max_per_day: u32) -> bool {
    let Actor::User(user) = caller.actor else { return false };
    spi::first(
        "insert into nebula.permission_usage as usage (tenant_id, group_permission_id, user_id, day) \
         values ($1, $2, $3, (now() at time zone 'utc')::date) \
         on conflict (tenant_id, group_permission_id, user_id, day) do update set count = usage.count + 1 where usage.count < $4::bigint \
         returning count",
        &[Arg::Uuid(caller.tenant), Arg::Uuid(grant), Arg::Uuid(user), Arg::BigInt(i64::from(max_per_day))],
        |row| row.integer(1),
    )
    .is_some()
}

/// The actions that the caller may do now, sorted.
#[must_use]
pub fn effective_actions<'a>(caller: &Caller, rights: &'a Rights) -> Vec<&'a str> {
    let call = circumstances(caller, None);
    let is_allowed = |right: &Right| decide(right.action, Some(right), caller.actor, rights, &call).is_ok();
    let mut actions = rights.all().filter(is_allowed).map(|right| right.action).collect::<Vec<_>>();
    actions.sort_unstable();
    actions
}

/// The decision, condition by condition, in the order of the contract.
#[must_use]
pub fn why(action: &str, caller: &Caller) -> Value {
    let rights = rights::of_caller(caller);
    let mut conditions = Vec::new();
    let mut push = |name: &str, holds: bool, because: Option<&str>| {
        let mut condition = json!({ "condition": name, "holds": holds });
        if let (Some(because), Some(members)) = (because, condition.as_object_mut()) {
            members.insert("because".to_owned(), json!(because));
        }
        conditions.push(condition);
    };
    push("tenant_active", rights.tenant().is_some_and(TenantState::is_active), None);
    let is_expired = rights.principal().is_some_and(PrincipalState::is_expired);
    let is_active = rights.principal().is_some_and(PrincipalState::is_active);
    push("actor_active", is_active && !is_expired, is_expired.then_some("expired"));
    let scope = scope_of(action);
    if scope == Some(Scope::Platform) {
        push("platform_only", rights.tenant().is_some_and(TenantState::is_platform), None);
    }
    if scope == Some(Scope::Public) {
        push("not_public_operation", false, None);
    } else if scope == Some(Scope::OwnUser) && caller.actor.user().is_some() {
        push("about_oneself", true, None);
    } else {
        push("action_exists", rights.of(action).is_some(), None);
        if let Some(right) = rights.of(action) {
            for verdict in right.verdicts(&circumstances(caller, None)) {
                push(verdict.condition.as_str(), verdict.holds, verdict.because);
            }
        }
    }
    let refused_by =
        conditions.iter().find(|condition| condition["holds"] == Value::Bool(false)).map(|condition| condition["condition"].clone());
    json!({
        "action": action, "allowed": refused_by.is_none(), "refusedBy": refused_by,
        "code": refused_by.as_ref().map(|_| Code::ForbiddenAction.as_str()),
        "tenantId": caller.tenant, "actorType": caller.actor.type_name(), "actorId": caller.actor.id(),
        "conditions": conditions,
    })
}

/// The group that every tenant has and whose last member is protected.
pub const ADMIN_GROUP: &str = "ADM_CLIENTE";

/// Refuses what would leave the tenant without an active administrator other than `user`. Call it before the change.
///
/// The group's row is locked first, so that two administrators can't remove each other at the same time.
pub fn require_another_admin(tenant: Uuid, user: Uuid) -> Result<()> {
    let group = spi::first(
        "select id from nebula.group where tenant_id = $1 and name = $2 for update",
        &[Arg::Uuid(tenant), Arg::Text(ADMIN_GROUP)],
        |row| row.uuid(1),
    );
    let Some(group) = group.flatten() else { return Ok(()) };
    let (is_admin, others) = spi::first(
        "select coalesce(bool_or(u.id = $3), false), count(*) filter (where u.id <> $3)::integer \
         from nebula.user_group ug \
         join nebula.user u on u.tenant_id = $1 and u.id = ug.user_id \
         where ug.tenant_id = $1 and ug.group_id = $2 and u.status = 'ativo' and u.deleted_at is null",
        &[Arg::Uuid(tenant), Arg::Uuid(group), Arg::Uuid(user)],
        |row| (row.boolean(1), row.integer(2)),
    )
    .unwrap_or_default();
    if is_admin == Some(true) && others == Some(0) { Err(Refusal::conflict("last_admin")) } else { Ok(()) }
}
