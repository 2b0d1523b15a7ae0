//! May this caller do this? The rule is `nebula_core::decision`; here it meets the tenant, the call and the day's count.

use super::{
    context::{Actor, Caller},
    error::{Refusal, Result},
    operation::{Operation, Scope},
    rights::{self, Rights},
    spi::{self, Arg},
};
use nebula_core::{
    constraint::Circumstances,
    decision::{Allowed, Right},
    error::Code,
};
use serde_json::{Value, json};
use std::{net::IpAddr, rc::Rc};
use uuid::Uuid;

/// Who is calling may do the operation, or the refusal says which condition is missing.
pub fn require(operation: &Operation, caller: &Caller, rights: &Rights, resource_id: Option<Uuid>) -> Result<Allowed> {
    if operation.scope == Scope::Public || (operation.scope == Scope::OwnUser && caller.actor.user().is_some()) {
        return Ok(Allowed::Freely);
    }
    if operation.scope == Scope::Platform && !rights.tenant.as_ref().is_some_and(rights::TenantState::is_platform) {
        return Err(Refusal::forbidden(operation.action, "platform_only"));
    }
    require_action(operation.action, caller, rights, resource_id)
}

/// The same for any action of the catalog. A counted grant is used up by one; give it back if the call comes to nothing.
pub fn require_action(action: &str, caller: &Caller, rights: &Rights, resource_id: Option<Uuid>) -> Result<Allowed> {
    let right = rights.of(action).ok_or_else(|| Refusal::forbidden(action, "action_active"))?;
    let allowed = right.decide(&circumstances(caller, resource_id)).map_err(|condition| Refusal::forbidden(action, condition.as_str()))?;
    match allowed {
        Allowed::Counted { grant, max_per_day } if !count_use(caller, grant, max_per_day) => Err(Refusal::forbidden(action, "max_per_day")),
        _ => Ok(allowed),
    }
}

/// `maxPerDay` counts calls that had their effect: one that was refused, or that replayed an older answer, is taken off again.
pub fn give_back(allowed: Allowed, caller: &Caller) {
    if let (Allowed::Counted { grant, .. }, Some(user)) = (allowed, caller.actor.user()) {
        spi::run(
            "update nebula.permission_usage set count = count - 1 \
             where tenant_id = $1 and group_permission_id = $2 and user_id = $3 and day = (now() at time zone 'utc')::date",
            &[Arg::Uuid(caller.tenant), Arg::Uuid(grant), Arg::Uuid(user)],
        );
    }
}

/// Whether the caller holds the action, asked without using it up.
#[must_use]
pub fn holds(action: &str, caller: &Caller, rights: &Rights) -> bool {
    is_held(action, rights, || caller.origin.ip)
}

/// The same, with the caller's address fetched only where it can matter.
#[must_use]
pub fn is_held(action: &str, rights: &Rights, ip: impl FnOnce() -> Option<IpAddr>) -> bool {
    rights.of(action).is_some_and(|right| {
        let asks_address = right.grants.iter().any(|grant| grant.constraints.ip_cidrs.is_some());
        let ip = if asks_address { ip() } else { None };
        right.decide(&Circumstances { ip, now_microseconds: spi::now_microseconds(), resource_id: None }).is_ok()
    })
}

/// Nobody grants what they don't hold (contract, section 3): each of the actions, without constraints of one's own.
///
/// A constrained holder would otherwise hand on more than they have.
pub fn require_holds_all<'a>(actions: impl IntoIterator<Item = &'a str>, caller: &Caller) -> Result<()> {
    let rights = rights::of(caller.tenant, caller.actor);
    let call = circumstances(caller, None);
    for action in actions {
        let holds_freely =
            |right: &Right| right.decide(&call) == Ok(Allowed::Freely) && right.grants.iter().any(|grant| grant.constraints.is_empty());
        if !rights.of(action).is_some_and(holds_freely) {
            return Err(Refusal::forbidden(action, "not_held_by_grantor"));
        }
    }
    Ok(())
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
    let mut actions = rights.all().filter(|right| right.decide(&call).is_ok()).map(|right| right.action.as_str()).collect::<Vec<_>>();
    actions.sort_unstable();
    actions
}

/// The decision, condition by condition, in the order of the contract.
#[must_use]
pub fn why(action: &str, caller: &Caller) -> Value {
    let rights: Rc<Rights> = rights::of(caller.tenant, caller.actor);
    let mut conditions = Vec::new();
    let mut push = |name: &str, holds: bool, because: Option<&str>| {
        let mut condition = json!({ "condition": name, "holds": holds });
        if let (Some(because), Some(members)) = (because, condition.as_object_mut()) {
            members.insert("because".to_owned(), json!(because));
        }
        conditions.push(condition);
    };
    push("tenant_active", rights.tenant.as_ref().is_some_and(rights::TenantState::is_active), None);
    push("actor_active", rights.principal.as_ref().is_some_and(rights::PrincipalState::is_active), None);
    push("action_exists", rights.of(action).is_some(), None);
    if let Some(right) = rights.of(action) {
        for verdict in right.verdicts(&circumstances(caller, None)) {
            push(verdict.condition.as_str(), verdict.holds, verdict.because);
        }
    }
    let is_allowed = conditions.iter().all(|condition| condition["holds"] == Value::Bool(true));
    let refused_by =
        conditions.iter().find(|condition| condition["holds"] == Value::Bool(false)).map(|condition| condition["condition"].clone());
    json!({
        "action": action, "allowed": is_allowed, "refusedBy": refused_by,
        "code": if is_allowed { Value::Null } else { json!(Code::ForbiddenAction.as_str()) },
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
