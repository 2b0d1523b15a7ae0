//! What this backend keeps of rights. A part counts as long as nothing that it was read from has changed, which each entry tells by the generation that was
//! noted before it was read; it stays in memory as long as a principal that is kept uses it. What is alike is there once.
//!
//! Everything weighs itself ([`nebula_core::weight`]). Where it is too much, a clock goes around the principals and forgets who wasn't asked for since.

use super::{
    Rights,
    principal::{Tenant, Terms},
};
use crate::kernel::{context::Actor, spi};
use indexmap::{Equivalent, IndexSet};
use nebula_core::{
    rights::{
        catalog::Catalog,
        scope::{Group, Scope},
    },
    weight::held_bytes,
};
use std::{
    cell::RefCell,
    collections::{HashMap, HashSet},
    hash::{Hash, Hasher},
    rc::Rc,
};
use uuid::Uuid;

/// So much memory a backend gives to rights, but for the catalog: ten thousand tenants of one person each.
const MAX_BYTES: usize = 4_608 << 10;

/// Whose rights, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    pub tenant: Uuid,
    /// The principal's own tenant.
    pub home: Uuid,
    pub actor: Actor,
}

/// Asked for each call, so of no more than tells keys apart but for oddities.
impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write(self.tenant.as_bytes());
        state.write(self.actor.id().unwrap_or_default().as_bytes());
    }
}

// ---- What says that something may have changed: one question a level ------------------------------------------------------------

/// Of the catalog.
fn catalog_generation() -> u64 {
    spi::global_rights_generation()
}

/// Of anything in this tenant, or of the catalog.
fn tenant_generation(tenant: Uuid) -> u64 {
    spi::tenant_rights_generation(tenant)
}

/// When a principal's rights were read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Noted {
    tenant: u64,
    home: u64,
}

impl Noted {
    /// As of now.
    pub fn now(key: &Key) -> Self {
        let tenant = tenant_generation(key.tenant);
        Self { tenant, home: if key.home == key.tenant { tenant } else { tenant_generation(key.home) } }
    }
}

// ---------------------------------------------------------------------------------------------------------------------------------

/// Rights by whose they are.
struct Principal(Rc<Rights>);

impl Hash for Principal {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.key.hash(state);
    }
}

impl PartialEq for Principal {
    fn eq(&self, other: &Self) -> bool {
        self.0.key == other.0.key
    }
}

impl Eq for Principal {}

impl Equivalent<Principal> for Key {
    fn equivalent(&self, principal: &Principal) -> bool {
        *self == principal.0.key
    }
}

/// What sets and maps take for a member, about: they are never quite full.
pub const PRINCIPAL_SLOT_BYTES: usize = size_of::<(usize, Principal, usize)>() * 3 / 2;
pub const TENANT_SLOT_BYTES: usize = size_of::<(Uuid, u64, usize)>() * 3 / 2;

/// Contents that many have alike, each kept once.
#[derive(Default)]
pub struct Shelf {
    pub(super) terms: HashSet<Rc<Terms>>,
    pub(super) groups: HashSet<Rc<Group>>,
}

#[derive(Default)]
struct Cache {
    catalog: Option<(u64, Rc<Catalog>)>,
    tenants: HashMap<Uuid, (u64, Rc<Tenant>)>,
    principals: IndexSet<Principal>,
    shelf: Shelf,
    /// Where the clock stands that looks for what to give up.
    hand: usize,
}

thread_local! {
    static CACHE: RefCell<Cache> = RefCell::default();
}

/// A principal's rights, if nothing has changed since they were read.
pub fn get(key: &Key, noted: Noted) -> Option<Rc<Rights>> {
    CACHE.with_borrow(|cache| {
        let Principal(rights) = cache.principals.get(key).filter(|principal| principal.0.noted == noted)?;
        rights.was_used.set(true);
        Some(Rc::clone(rights))
    })
}

/// The catalog as of now; `load` reads it where it isn't known.
pub fn catalog(load: impl FnOnce() -> Catalog) -> Rc<Catalog> {
    let generation = catalog_generation();
    let known =
        CACHE.with_borrow(|cache| cache.catalog.as_ref().filter(|(at, _)| *at == generation).map(|(_, catalog)| Rc::clone(catalog)));
    known.unwrap_or_else(|| {
        let catalog = Rc::new(load());
        if catalog_generation() == generation && !spi::is_parallel() {
            // Everything else counts actions by their place in the catalog.
            CACHE.replace(Cache { catalog: Some((generation, Rc::clone(&catalog))), ..Cache::default() });
        }
        catalog
    })
}

/// What may be used of what is kept, for one principal.
pub enum Known {
    Nothing,
    /// What was read at this generation of the tenant, with this catalog.
    At(u64, Rc<Catalog>),
}

impl Known {
    pub fn at(noted: Noted, catalog: &Rc<Catalog>) -> Self {
        Known::At(noted.tenant, Rc::clone(catalog))
    }

    pub fn tenant(&self, tenant: Uuid) -> Option<Rc<Tenant>> {
        let Known::At(generation, catalog) = self else { return None };
        CACHE.with_borrow(|cache| {
            let (at, tenant) = cache.tenants.get(&tenant).filter(|_| cache.is_of(catalog))?;
            (at == generation).then(|| Rc::clone(tenant))
        })
    }
}

/// The same content as somebody else has, if it is kept already.
pub fn shared<T: Eq + Hash>(catalog: &Rc<Catalog>, content: T, of: impl FnOnce(&mut Shelf) -> &mut HashSet<Rc<T>>) -> Rc<T> {
    CACHE.with_borrow_mut(|cache| {
        if !cache.is_of(catalog) {
            return Rc::new(content);
        }
        let contents = of(&mut cache.shelf);
        contents.get(&content).cloned().unwrap_or_else(|| {
            let content = Rc::new(content);
            contents.insert(Rc::clone(&content));
            content
        })
    })
}

/// Keeps a principal's rights.
pub fn keep(rights: &Rc<Rights>) {
    CACHE.with_borrow_mut(|cache| {
        if !cache.is_of(&rights.catalog) {
            return;
        }
        let key = &rights.key;
        // Known to the new rights already, what they share with the old stays.
        if let Some(at) = cache.principals.get_index_of(key) {
            cache.forget_at(at);
        }
        let before = cache.tenants.insert(key.tenant, (rights.noted.tenant, Rc::clone(&rights.tenant)));
        if let Some((_, before)) = before {
            cache.shelf.give_back(before);
        }
        cache.principals.insert(Principal(Rc::clone(rights)));
        while held_bytes() > MAX_BYTES && cache.give_up_one() {}
    });
}

impl Cache {
    fn is_of(&self, catalog: &Rc<Catalog>) -> bool {
        self.catalog.as_ref().is_some_and(|(_, own)| Rc::ptr_eq(own, catalog))
    }

    /// Forgets a principal, and what nobody else uses of what was theirs.
    fn forget_at(&mut self, at: usize) {
        let Some(Principal(rights)) = self.principals.swap_remove_index(at) else { return };
        // What a request still holds is swept up later.
        let Some(Rights { key, tenant, scope, .. }) = Rc::into_inner(rights) else { return };
        if let Scope::Groups(groups) = scope {
            groups.into_iter().for_each(|group| give_back(&mut self.shelf.groups, &group));
        }
        if self.tenants.get(&key.tenant).is_some_and(|(_, own)| Rc::ptr_eq(own, &tenant) && Rc::strong_count(own) == 2) {
            self.tenants.remove(&key.tenant);
        }
        self.shelf.give_back(tenant);
    }

    /// Forgets one principal who hasn't been asked for since the clock came by, and whose rights nobody holds; `false` where there is none.
    fn give_up_one(&mut self) -> bool {
        for _ in 0..2 * self.principals.len() {
            if self.hand >= self.principals.len() {
                self.hand = 0;
                self.sweep();
            }
            match self.principals.get_index(self.hand) {
                None => return false,
                Some(Principal(rights)) if rights.was_used.replace(false) || Rc::strong_count(rights) > 1 => self.hand += 1,
                Some(_) => {
                    self.forget_at(self.hand);
                    return true;
                }
            }
        }
        false
    }

    /// Forgets what was still held by a request when its principal was forgotten.
    fn sweep(&mut self) {
        self.tenants.retain(|_, (_, tenant)| Rc::strong_count(tenant) > 1);
        self.shelf.terms.retain(|terms| Rc::strong_count(terms) > 1);
        self.shelf.groups.retain(|group| Rc::strong_count(group) > 1);
    }
}

impl Shelf {
    fn give_back(&mut self, tenant: Rc<Tenant>) {
        if let Some((terms, groups)) = Rc::into_inner(tenant).map(Tenant::into_shared) {
            give_back(&mut self.terms, &terms);
            groups.for_each(|group| give_back(&mut self.groups, &group));
        }
    }
}

/// Takes a content away that nobody but who gives it back has.
fn give_back<T: Eq + Hash>(contents: &mut HashSet<Rc<T>>, content: &Rc<T>) {
    if Rc::strong_count(content) == 2 && contents.get(&**content).is_some_and(|own| Rc::ptr_eq(own, content)) {
        contents.remove(&**content);
    }
}
