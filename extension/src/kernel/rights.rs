//! What decides a principal's rights, read once and kept in backend memory until Postgres says that something changed.
//!
//! Tables that decide rights fire a relcache invalidation of a sentinel relation when they change; every backend receives it before its
//! next statement. What is cached was read with the latest snapshot after the generation was noted: a commit that the snapshot missed
//! sends its message later and clears the entry.

use super::{
    context::{self, Actor, Caller},
    limit::Category,
    spi::{self, Arg},
    sql_caller::{OWNER, PLATFORM},
};
use nebula_core::decision::Right;
use serde::Deserialize;
use std::{cell::RefCell, collections::HashMap, rc::Rc};
use uuid::Uuid;

/// Backends keep so many principals; the cache starts over when it is full.
const CAPACITY: usize = 512;

/// A principal's tenant.
#[derive(Debug, Deserialize)]
pub struct TenantState {
    status: String,
    kind: String,
    pub slug: String,
    pub name: String,
}

impl TenantState {
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.status == "ativo"
    }
    #[must_use]
    pub fn is_platform(&self) -> bool {
        self.kind == "platform"
    }
}

/// The person or key itself. The members after `status` are a key's.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PrincipalState {
    status: String,
    pub hash: Option<String>,
    pub previous_hash: Option<String>,
    pub previous_until: Option<i64>,
    pub expires_at: Option<i64>,
}

impl PrincipalState {
    /// A key, not a person.
    #[must_use]
    pub fn is_key(&self) -> bool {
        self.hash.is_some()
    }

    /// A key whose time is over.
    #[must_use]
    pub fn is_expired(&self) -> bool {
        self.expires_at.is_some_and(|at| at <= spi::now_microseconds())
    }

    #[must_use]
    pub fn is_active(&self) -> bool {
        self.status == "ativo"
    }
}

/// What a tenant has instead of the installation's default rate limits.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
pub struct CategoryLimits {
    auth: Option<PerMinute>,
    read: Option<PerMinute>,
    write: Option<PerMinute>,
    admin: Option<PerMinute>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct PerMinute {
    per_minute: u32,
}

impl CategoryLimits {
    /// Requests a minute, where the tenant has its own number.
    #[must_use]
    pub fn of(&self, category: Category) -> Option<u32> {
        let limit = match category {
            Category::Auth => self.auth,
            Category::Read => self.read,
            Category::Write => self.write,
            Category::Admin => self.admin,
        };
        limit.map(|limit| limit.per_minute)
    }
}

/// Everything that decides.
#[derive(Debug)]
pub struct Rights {
    pub tenant: Option<TenantState>,
    pub principal: Option<PrincipalState>,
    pub groups: Vec<String>,
    pub packages: serde_json::Value,
    pub limits: CategoryLimits,
    by_action: HashMap<String, Right>,
}

#[derive(Deserialize)]
struct Loaded {
    tenant: Option<TenantState>,
    principal: Option<PrincipalState>,
    groups: Vec<String>,
    packages: serde_json::Value,
    limits: Option<CategoryLimits>,
    rights: Option<Vec<Right>>,
}

impl Rights {
    /// What is known of an action; `None` when the catalog doesn't have it.
    #[must_use]
    pub fn of(&self, action: &str) -> Option<&Right> {
        self.by_action.get(action)
    }

    /// Every action of the catalog, in no order.
    pub fn all(&self) -> impl Iterator<Item = &Right> {
        self.by_action.values()
    }
}

#[derive(Default)]
struct Cache {
    generation: u64,
    entries: HashMap<(Uuid, Uuid, Actor), Rc<Rights>>,
}

thread_local! {
    static CACHE: RefCell<Cache> = RefCell::default();
}

/// The rights of a caller as of now.
#[must_use]
pub fn of_caller(caller: &Caller) -> Rc<Rights> {
    within(caller.tenant, caller.home, caller.actor)
}

/// The rights of a principal of this tenant as of now.
#[must_use]
pub fn of(tenant: Uuid, actor: Actor) -> Rc<Rights> {
    within(tenant, tenant, actor)
}

/// The rights of a principal of `home` in `tenant`, under the conditions of the latter.
fn within(tenant: Uuid, home: Uuid, actor: Actor) -> Rc<Rights> {
    let generation = spi::rights_generation();
    let cached = CACHE.with_borrow_mut(|cache| {
        if cache.generation != generation {
            cache.entries.clear();
            cache.generation = generation;
        }
        cache.entries.get(&(tenant, home, actor)).cloned()
    });
    if let Some(rights) = cached {
        return rights;
    }
    spi::learn_sentinel();
    // As the owner and in the tenant's context, whoever asks: RLS binds this too. A key of another tenant is the platform's to read.
    let role = if tenant == home { OWNER } else { PLATFORM };
    let rights = Rc::new(spi::as_role(role, || {
        let _scope = context::enter(Caller { tenant, home, actor, action: Rc::from("rights"), origin: Rc::default(), session: None });
        spi::reading_latest(|| load(tenant, home, actor))
    }));
    // Nothing is kept that is older than what other sessions committed meanwhile, or that isn't there.
    if rights.principal.is_some() && spi::rights_generation() == generation && !spi::is_parallel() {
        CACHE.with_borrow_mut(|cache| {
            if cache.entries.len() >= CAPACITY {
                cache.entries.clear();
            }
            cache.entries.insert((tenant, home, actor), Rc::clone(&rights));
        });
    }
    rights
}

fn load(tenant: Uuid, home: Uuid, actor: Actor) -> Rights {
    let args = [Arg::Uuid(tenant), Arg::OptUuid(actor.user()), Arg::OptUuid(actor.service()), Arg::Uuid(home)];
    let loaded = spi::text(include_str!("rights.sql"), &args).and_then(|text| serde_json::from_str::<Loaded>(&text).ok());
    let Some(loaded) = loaded else { pgrx::error!("the rights of a principal could not be read") };
    let by_action = loaded.rights.unwrap_or_default().into_iter().map(|right| (right.action.clone(), right)).collect();
    Rights {
        tenant: loaded.tenant,
        principal: loaded.principal,
        groups: loaded.groups,
        packages: loaded.packages,
        limits: loaded.limits.unwrap_or_default(),
        by_action,
    }
}
