//! Reads the parts of rights: catalog and keys by a statement each, tenants, people and groups row by row.

use super::{
    Rights,
    cache::{self, Key, Known, Noted},
    principal::{CategoryLimits, KeyState, PrincipalState, Tenant, TenantState, Terms},
};
use crate::kernel::{
    context::Actor,
    spi::{self, Arg, direct::lookup::Lookup},
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
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;
use std::rc::Rc;
use uuid::Uuid;

/// What the tables must not hold: a decision without it would be another.
fn unreadable() -> ! {
    pgrx::error!("the rights of a principal could not be read")
}

fn present<T>(value: Option<T>) -> T {
    value.unwrap_or_else(|| unreadable())
}

/// What a column of JSON objects says: an empty one is what is there where nothing is said.
fn json<T: DeserializeOwned + Default>(value: Option<Option<Value>>) -> T {
    present(value).map(|members| present(serde_json::from_value(members).ok())).unwrap_or_default()
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

const TENANT: Lookup = Lookup { table: c"tenant", index: c"pk_tenant", key: &[c"id"], columns: &[c"status", c"kind", c"slug", c"name"] };
const LIMITS: Lookup =
    Lookup { table: c"tenant_config", index: c"uq_tenant_config_tenant_id", key: &[c"tenant_id"], columns: &[c"limits"] };
const PACKAGES: Lookup = Lookup {
    table: c"tenant_package",
    index: c"uq_tenant_package_tenant_id_package_id",
    key: &[c"tenant_id"],
    columns: &[c"status", c"package_id", c"expires_at"],
};
const OVERRIDES: Lookup = Lookup {
    table: c"tenant_tool_override",
    index: c"uq_tenant_tool_override_tenant_id_tool_id",
    key: &[c"tenant_id"],
    columns: &[c"tool_id", c"tool_action_id", c"flags", c"limits"],
};

#[derive(Default, Deserialize)]
struct Flags {
    enabled: Option<bool>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Numbers {
    per_minute: Option<u32>,
    per_month: Option<u32>,
}

/// Without statements, as a [`person`]: who changes rights often has them read as often, and of a statement's time most goes into starting and stopping it.
fn tenant(id: Uuid, catalog: &Rc<Catalog>) -> Tenant {
    let key = [Arg::Uuid(id)];
    let state = TENANT.find(id, &key, |row| {
        let (slug, name) = (present(row.text(3)), present(row.text(4)));
        TenantState::new(present(row.is_active(1)), present(row.text(2)) == "platform", &slug, &name)
    });
    let limits = LIMITS.find(id, &key, |row| json::<CategoryLimits>(row.json(1))).unwrap_or_default();
    let packages = PACKAGES.all(id, &key, |row| {
        let package = catalog.package(present(row.uuid(2))).filter(|_| present(row.is_active(1)))?;
        let expires_at = row.instant(3).map(Into::into);
        Some(TenantPackage { package, until: row.microseconds(3).unwrap_or(i64::MAX), expires_at })
    });
    let (mut by_action, mut by_tool) = (Vec::new(), Vec::new());
    OVERRIDES.all(id, &key, |row| {
        let Flags { enabled } = json(row.json(3));
        let Numbers { per_minute, per_month } = json(row.json(4));
        if let Some(action) = row.uuid(2).and_then(|action| catalog.action(action)) {
            by_action.push(ActionOverride { action, enabled, per_minute, per_month });
        }
        by_tool.extend(row.uuid(1).zip(enabled));
    });
    let terms = Terms::new(Conditions::new(packages.into_iter().flatten().collect(), by_action, by_tool), limits);
    Tenant::new(state, cache::shared(catalog, terms, |shelf| &mut shelf.terms))
}

const PERSON: Lookup = Lookup { table: c"user", index: c"pk_user", key: &[c"tenant_id", c"id"], columns: &[c"status", c"deleted_at"] };
const MEMBERSHIPS: Lookup = Lookup {
    table: c"user_group",
    index: c"uq_user_group_tenant_id_user_id_group_id",
    key: &[c"tenant_id", c"user_id"],
    columns: &[c"group_id"],
};
const GROUP: Lookup = Lookup { table: c"group", index: c"pk_group", key: &[c"tenant_id", c"id"], columns: &[c"status", c"name"] };
const GRANTS: Lookup = Lookup {
    table: c"group_permission",
    index: c"uq_group_permission_tenant_id_group_id_tool_action_id",
    key: &[c"tenant_id", c"group_id"],
    columns: &[c"id", c"tool_action_id", c"constraints"],
};

fn person(tenant_id: Uuid, user: Uuid, catalog: &Rc<Catalog>, tenant: &Tenant) -> Option<(PrincipalState, Scope)> {
    let key = [Arg::Uuid(tenant_id), Arg::Uuid(user)];
    let found = PERSON.find(tenant_id, &key, |row| (present(row.is_active(1)), row.microseconds(2).is_some()));
    let (is_active, _) = found.filter(|(_, is_deleted)| !is_deleted)?;
    let ids = MEMBERSHIPS.all(tenant_id, &key, |row| present(row.uuid(1)));
    // Where a commit came in between, nobody asks this tenant's part any more.
    let known_or_read = |id| {
        tenant.group(id).or_else(|| {
            let group = cache::shared(catalog, group(tenant_id, id, catalog)?, |shelf| &mut shelf.groups);
            tenant.remember(id, &group);
            Some(group)
        })
    };
    let mut groups = ids.into_iter().filter_map(known_or_read).collect::<Vec<_>>();
    groups.sort_by(|one, other| spi::compare_texts(&one.name, &other.name));
    Some((PrincipalState { is_active, key: None }, Scope::Groups(groups.into())))
}

/// An active group, and what it grants.
fn group(tenant: Uuid, id: Uuid, catalog: &Catalog) -> Option<Group> {
    let key = [Arg::Uuid(tenant), Arg::Uuid(id)];
    let name = GROUP.find(tenant, &key, |row| present(row.is_active(1)).then(|| present(row.text(2))))??;
    let (mut free, mut constrained) = (Vec::new(), Vec::new());
    GRANTS.all(tenant, &key, |row| {
        let constraints = json::<Constraints>(row.json(3));
        let Some(action) = catalog.action(present(row.uuid(2))) else { return };
        // Some are written as something, and nothing.
        if constraints.is_empty() {
            free.push(action);
        } else {
            constrained.push((action, Grant { id: present(row.uuid(1)), constraints }));
        }
    });
    Some(Group::new(name, free.into_iter().collect(), constrained))
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
