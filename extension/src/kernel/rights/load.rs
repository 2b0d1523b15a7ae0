//! Reads the parts of rights, each by one statement.

use super::{
    Rights,
    cache::{self, Key, Known, Noted},
    principal::{CategoryLimits, KeyState, PrincipalState, Tenant, TenantState, Terms},
};
use crate::kernel::{
    context::Actor,
    spi::{self, Arg, Row},
};
use nebula_core::{
    constraint::Constraints,
    decision::Grant,
    rights::{
        action_set::ActionSet,
        catalog::{Action, ActionKind, Catalog, Package},
        conditions::{ActionOverride, Conditions, TenantPackage},
        scope::{Group, Scope},
    },
};
use serde::Deserialize;
use std::rc::Rc;
use uuid::Uuid;

/// What the tables must not hold: a decision without it would be another.
fn unreadable() -> ! {
    pgrx::error!("the rights of a principal could not be read")
}

fn present<T>(value: Option<T>) -> T {
    value.unwrap_or_else(|| unreadable())
}

fn json<'a, T: Deserialize<'a>>(text: &'a str) -> T {
    present(serde_json::from_str(text).ok())
}

/// The whole catalog.
pub fn catalog() -> Catalog {
    let actions = spi::rows(include_str!("actions.sql"), &[], |row| {
        let kind = row.text(4).and_then(|kind| ActionKind::parse(&kind));
        Some(Action { id: row.uuid(1)?, tool: row.uuid(2)?, key: row.text(3)?.into(), kind: kind?, is_active: row.boolean(5)? })
    });
    Catalog::new(actions.into_iter().map(present).collect(), |by_id| {
        let packages = spi::rows(include_str!("packages.sql"), &[], |row| {
            let actions = row.uuids(5)?.iter().filter_map(|action| by_id.get(action).copied()).collect();
            Some(Package { id: row.uuid(1)?, key: row.text(2)?.into(), name: row.text(3)?.into(), is_active: row.boolean(4)?, actions })
        });
        packages.into_iter().map(present).collect()
    })
}

/// A principal's rights, of what is known already and the rest read now.
pub fn rights(key: Key, noted: Noted, catalog: &Rc<Catalog>, known: &Known) -> Rights {
    let tenant = known.tenant(key.tenant).unwrap_or_else(|| Rc::new(tenant(key.tenant, catalog)));
    let principal = match key.actor {
        Actor::Nobody => None,
        Actor::User(user) => person(key.tenant, user, catalog, &tenant),
        Actor::Service(service) => api_key(key.home, service, catalog),
    };
    let (principal, scope) = principal.map_or_else(|| (None, nothing()), |(principal, scope)| (Some(principal), scope));
    Rights::new(key, noted, Rc::clone(catalog), tenant, principal, scope)
}

fn nothing() -> Scope {
    Scope::Listed([].into_iter().collect())
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Override {
    tool_id: Option<Uuid>,
    action_id: Option<Uuid>,
    enabled: Option<bool>,
    per_minute: Option<u32>,
    per_month: Option<u32>,
}

fn tenant(tenant: Uuid, catalog: &Rc<Catalog>) -> Tenant {
    let mut first = None;
    let mut packages = Vec::new();
    spi::rows(include_str!("tenant.sql"), &[Arg::Uuid(tenant)], |row| {
        first.get_or_insert_with(|| {
            let (slug, name) = (present(row.text(3)), present(row.text(4)));
            let state = TenantState::new(present(row.boolean(1)), present(row.boolean(2)), &slug, &name);
            (state, row.text(5), row.text(6))
        });
        if let Some(package) = row.uuid(7).and_then(|package| catalog.package(package)) {
            let expires_at = row.text(9).map(Into::into);
            packages.push(TenantPackage { package, until: row.bigint(8).unwrap_or(i64::MAX), expires_at });
        }
    });
    let (state, limits, overrides) = first.map_or((None, None, None), |(state, limits, overrides)| (Some(state), limits, overrides));
    let (mut by_action, mut by_tool) = (Vec::new(), Vec::new());
    for said in overrides.map_or_else(Vec::new, |text| json(&text)) {
        let Override { enabled, per_minute, per_month, .. } = said;
        if let Some(action) = said.action_id.and_then(|action| catalog.action(action)) {
            by_action.push(ActionOverride { action, enabled, per_minute, per_month });
        }
        by_tool.extend(said.tool_id.zip(enabled));
    }
    let limits = limits.map_or_else(CategoryLimits::default, |text| json(&text));
    let terms = Terms::new(Conditions::new(packages, by_action, by_tool), limits);
    Tenant::new(state, cache::shared(catalog, terms, |shelf| &mut shelf.terms))
}

fn person(tenant_id: Uuid, user: Uuid, catalog: &Rc<Catalog>, tenant: &Tenant) -> Option<(PrincipalState, Scope)> {
    let (is_active, groups) = spi::first(include_str!("person.sql"), &[Arg::Uuid(tenant_id), Arg::Uuid(user)], |row| {
        (present(row.boolean(1)), present(row.uuids(2)))
    })?;
    let missing = groups.iter().copied().filter(|group| tenant.group(*group).is_none()).collect::<Vec<_>>();
    if !missing.is_empty() {
        // Where a commit came in between, nobody asks this tenant's part any more.
        spi::rows(include_str!("groups.sql"), &[Arg::Uuid(tenant_id), Arg::Uuids(&missing)], |row| {
            let group = cache::shared(catalog, group(row, catalog), |shelf| &mut shelf.groups);
            tenant.remember(present(row.uuid(1)), &group);
        });
    }
    let groups = groups.iter().filter_map(|group| tenant.group(*group)).collect();
    Some((PrincipalState { is_active, key: None }, Scope::Groups(groups)))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Constrained {
    action_id: Uuid,
    id: Uuid,
    constraints: Constraints,
}

fn group(row: &Row, catalog: &Catalog) -> Group {
    let mut free = row.uuids(3).unwrap_or_default();
    let mut constrained = Vec::new();
    for Constrained { action_id, id, constraints } in row.text(4).map_or_else(Vec::new, |text| json(&text)) {
        // Written as something, and nothing.
        if constraints.is_empty() {
            free.push(action_id);
        } else {
            constrained.extend(catalog.action(action_id).map(|action| (action, Grant { id, constraints })));
        }
    }
    let free = free.into_iter().filter_map(|action| catalog.action(action)).collect();
    Group::new(present(row.text(2)), free, constrained)
}

fn api_key(home: Uuid, key: Uuid, catalog: &Catalog) -> Option<(PrincipalState, Scope)> {
    let hash = |bytes: Vec<u8>| <[u8; 32]>::try_from(bytes).ok();
    spi::first(include_str!("key.sql"), &[Arg::Uuid(home), Arg::Uuid(key)], |row| {
        let previous = row.bytes(3).and_then(hash).zip(row.bigint(4));
        let state = KeyState { hash: present(row.bytes(2).and_then(hash)), previous, expires_at: row.bigint(5) };
        let scope = match row.text(6).as_deref() {
            Some("read-only") => Scope::Profile(ActionKind::Read),
            Some("write") => Scope::Profile(ActionKind::Write),
            Some("admin") => Scope::Profile(ActionKind::Admin),
            _ => Scope::Listed(present(row.uuids(7)).into_iter().filter_map(|action| catalog.action(action)).collect::<ActionSet>()),
        };
        (PrincipalState { is_active: present(row.boolean(1)), key: Some(Box::new(state)) }, scope)
    })
}
