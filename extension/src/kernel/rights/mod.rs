//! What decides a principal's rights, kept in backend memory until Postgres says that something changed.
//!
//! Tables that decide rights fire a relcache invalidation of a sentinel relation when they change; every backend receives it before its
//! next statement. What is cached was read with the latest snapshot after the generation was noted: a commit that the snapshot missed
//! sends its message later and makes the entry count no more.
//!
//! Rights are of four parts, each read by itself and shared by whoever it concerns: the catalog, the tenant, its groups, the principal. All that one
//! question reads, it reads with one snapshot; where a commit came in between, it reads all of it again, so that no two states are mixed. (But for the moment
//! between a commit and its message: a part of before may then meet one of after, until the message comes.)

mod cache;
mod load;
mod principal;

use super::{
    context::{self, Actor, Caller},
    limit::Category,
    spi,
    sql_caller::{OWNER, PLATFORM},
};
use cache::{Key, Known, Noted};
use nebula_core::{
    decision::Right,
    rights::{View, catalog::Catalog, scope::Scope},
    weight::{Weight, allocated},
};
use pgrx::PgTrigger;
use principal::{GROUP_SLOT_BYTES, RC_BYTES, Tenant};
pub use principal::{KeyState, PrincipalState, TenantState};
use serde_json::{Value, json};
use std::{
    any::Any,
    cell::Cell,
    hash::{Hash, Hasher},
    rc::{Rc, Weak},
};
use uuid::Uuid;

/// Everything that decides.
#[derive(Debug)]
pub struct Rights {
    key: Key,
    noted: Noted,
    /// Since the clock of the cache came by.
    was_used: Cell<bool>,
    catalog: Rc<Catalog>,
    tenant: Rc<Tenant>,
    principal: Option<PrincipalState>,
    scope: Scope,
    _weight: Weight,
}

impl Rights {
    fn new(key: Key, noted: Noted, catalog: Rc<Catalog>, tenant: Rc<Tenant>, principal: Option<PrincipalState>, scope: Scope) -> Self {
        let bytes = allocated(size_of::<Self>() + RC_BYTES)
            + cache::PRINCIPAL_SLOT_BYTES
            + principal.as_ref().map_or(0, PrincipalState::bytes)
            + scope.bytes()
            + scope.groups().len() * GROUP_SLOT_BYTES;
        Self { key, noted, was_used: Cell::new(true), catalog, tenant, principal, scope, _weight: Weight::of(bytes) }
    }

    /// `None` where there is no such tenant.
    #[must_use]
    pub fn tenant(&self) -> Option<&TenantState> {
        self.tenant.state.as_ref()
    }

    /// `None` where there is no such principal.
    #[must_use]
    pub fn principal(&self) -> Option<&PrincipalState> {
        self.principal.as_ref()
    }

    /// Requests a minute of the tenant, where it has its own number.
    #[must_use]
    pub fn limit(&self, category: Category) -> Option<u32> {
        self.tenant.terms.limits.of(category)
    }

    /// What is known of an action; `None` when the catalog doesn't have it.
    #[must_use]
    pub fn of(&self, action: &str) -> Option<Right<'_>> {
        self.view().of(action)
    }

    /// Every action of the catalog, in no order.
    pub fn all(&self) -> impl Iterator<Item = Right<'_>> {
        self.view().all()
    }

    /// The names of a person's active groups, sorted.
    #[must_use]
    pub fn groups(&self) -> Vec<&str> {
        self.scope.groups().iter().map(|group| &*group.name).collect()
    }

    /// The tenant's packages that count now, sorted, as JSON.
    #[must_use]
    pub fn packages(&self) -> Value {
        let packages = self.tenant.terms.conditions.packages_at(&self.catalog, spi::now_microseconds());
        packages.map(|(package, expires_at)| json!({ "key": package.key, "name": package.name, "expiresAt": expires_at })).collect()
    }

    fn view(&self) -> View<'_> {
        View { catalog: &self.catalog, conditions: &self.tenant.terms.conditions, scope: &self.scope }
    }
}

/// What somebody's rights are made of, without whose they are: equal for all who have the same. The parts are told by where they lie; nothing else gets their
/// addresses as long as this is kept, which doesn't keep the parts.
pub struct Origin {
    /// Some actions are the platform's alone.
    is_platform: bool,
    parts: Vec<Weak<dyn Any>>,
}

/// Where somebody's rights come from.
#[must_use]
pub fn origin(rights: &Rc<Rights>) -> Origin {
    fn part<T: 'static>(part: &Rc<T>) -> Weak<dyn Any> {
        Rc::downgrade(part) as Weak<dyn Any>
    }
    let parts = match &rights.scope {
        Scope::Groups(groups) => [part(&rights.catalog), part(&rights.tenant.terms)].into_iter().chain(groups.iter().map(part)).collect(),
        // A key's are its own.
        Scope::Profile(_) | Scope::Listed(_) => vec![part(rights)],
    };
    Origin { is_platform: rights.tenant().is_some_and(TenantState::is_platform), parts }
}

impl Origin {
    fn addresses(&self) -> impl Iterator<Item = *const ()> {
        self.parts.iter().map(|part| part.as_ptr().cast())
    }
}

impl PartialEq for Origin {
    fn eq(&self, other: &Self) -> bool {
        self.is_platform == other.is_platform && self.addresses().eq(other.addresses())
    }
}

impl Eq for Origin {}

impl Hash for Origin {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.is_platform.hash(state);
        self.addresses().for_each(|address| address.hash(state));
    }
}

/// The rights of a caller as of now.
#[must_use]
pub fn of_caller(caller: &Caller) -> Rc<Rights> {
    within(Key { tenant: caller.tenant, home: caller.home, actor: caller.actor })
}

/// The rights of a principal of this tenant as of now.
#[must_use]
pub fn of(tenant: Uuid, actor: Actor) -> Rc<Rights> {
    within(Key { tenant, home: tenant, actor })
}

/// The body of the trigger `nebula.rights_changed()`. What the owner changes of a table with tenants is the context's tenant's: row security lets it change no other.
pub fn changed(trigger: &PgTrigger) {
    let has_tenant = spi::changed_table(trigger).is_some_and(|table| table.position("tenant_id").is_some());
    let is_bound = has_tenant && spi::is_current_role(OWNER);
    spi::announce(context::tenant().filter(|_| is_bound));
}

fn within(key: Key) -> Rc<Rights> {
    let noted = Noted::now(&key);
    cache::get(&key, noted).unwrap_or_else(|| learn(key, noted))
}

/// Reads what isn't known. In the tenant's context, whoever asks, and as the owner: RLS binds this too. A key of another tenant is the platform's to read.
fn learn(key: Key, noted: Noted) -> Rc<Rights> {
    let Key { tenant, home, actor } = key;
    spi::as_role(if tenant == home { OWNER } else { PLATFORM }, || {
        let _scope = context::enter(Caller { tenant, home, actor, action: Rc::from("rights"), origin: Rc::default(), session: None });
        // A parallel query's leader may read with an older snapshot than what is kept.
        let shared = (!spi::is_parallel()).then(|| read(key, noted, true)).filter(|(_, is_current)| *is_current);
        shared.unwrap_or_else(|| read(key, Noted::now(&key), false)).0
    })
}

/// The rights, and whether nothing has changed since the generation was noted. Then they are kept, if the principal is there.
fn read(key: Key, noted: Noted, shares: bool) -> (Rc<Rights>, bool) {
    let rights = spi::reading_latest(|| {
        let catalog = cache::catalog(load::catalog);
        let known = if shares { Known::at(noted, &catalog) } else { Known::Nothing };
        Rc::new(load::rights(key, noted, &catalog, &known))
    });
    let is_current = Noted::now(&key) == noted && !spi::is_parallel();
    if is_current && rights.principal.is_some() {
        cache::keep(&rights);
    }
    (rights, is_current)
}
