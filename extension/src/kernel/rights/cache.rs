//! What this backend keeps of rights: whole tenants share their conditions, people their groups, everybody the catalog. Each is kept as long as what it was
//! read at hasn't changed, and as long as a principal that is kept uses it.

use super::{Rights, principal::Tenant};
use crate::kernel::{context::Actor, spi};
use indexmap::IndexMap;
use nebula_core::{
    rights::{catalog::Catalog, scope::Group},
    weight::held_bytes,
};
use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    rc::Rc,
};
use uuid::Uuid;

/// So much memory a backend gives to rights, but for the catalog: some thousands of tenants.
const MAX_BYTES: usize = 4 << 20;

/// Whose rights, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    pub tenant: Uuid,
    /// The principal's own tenant.
    pub home: Uuid,
    pub actor: Actor,
}

// ---- What says that something may have changed: one question a level ------------------------------------------------------------

/// Of the catalog.
fn catalog_generation() -> u64 {
    spi::rights_generation()
}

/// Of anything in this tenant, or of the catalog.
fn tenant_generation(_tenant: Uuid) -> u64 {
    spi::rights_generation()
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

struct Entry {
    rights: Rc<Rights>,
    noted: Noted,
    was_used: Cell<bool>,
}

/// What maps take for an entry, about: they are never quite full.
pub const PRINCIPAL_SLOT_BYTES: usize = (size_of::<(usize, Key, Entry)>() + size_of::<usize>()) * 3 / 2;
pub const TENANT_SLOT_BYTES: usize = size_of::<(Uuid, u64, usize)>() * 3 / 2;
const GROUP_SLOT_BYTES: usize = size_of::<(Uuid, Uuid, u64, usize)>() * 3 / 2;

#[derive(Default)]
struct Cache {
    catalog: Option<(u64, Rc<Catalog>)>,
    tenants: HashMap<Uuid, (u64, Rc<Tenant>)>,
    groups: HashMap<(Uuid, Uuid), (u64, Rc<Group>)>,
    principals: IndexMap<Key, Entry>,
    /// Where the clock stands that looks for what to give up.
    hand: usize,
}

thread_local! {
    static CACHE: RefCell<Cache> = RefCell::default();
}

/// A principal's rights, if nothing has changed since they were read.
pub fn get(key: &Key, noted: Noted) -> Option<Rc<Rights>> {
    CACHE.with_borrow(|cache| {
        let entry = cache.principals.get(key).filter(|entry| entry.noted == noted)?;
        entry.was_used.set(true);
        Some(Rc::clone(&entry.rights))
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

    pub(super) fn tenant(&self, tenant: Uuid) -> Option<Rc<Tenant>> {
        self.look(|cache| cache.tenants.get(&tenant))
    }

    pub fn group(&self, tenant: Uuid, group: Uuid) -> Option<Rc<Group>> {
        self.look(|cache| cache.groups.get(&(tenant, group)))
    }

    fn look<T>(&self, find: impl FnOnce(&Cache) -> Option<&(u64, Rc<T>)>) -> Option<Rc<T>> {
        let Known::At(generation, catalog) = self else { return None };
        CACHE.with_borrow(|cache| {
            let (at, part) = find(cache).filter(|_| cache.is_of(catalog))?;
            (at == generation).then(|| Rc::clone(part))
        })
    }
}

/// Keeps a principal's rights.
pub fn keep(key: Key, noted: Noted, rights: &Rc<Rights>) {
    CACHE.with_borrow_mut(|cache| {
        if !cache.is_of(&rights.catalog) {
            return;
        }
        // What was kept of the same principal goes first, with what nobody else uses of it.
        cache.forget(&key);
        cache.tenants.insert(key.tenant, (noted.tenant, Rc::clone(&rights.tenant)));
        for group in rights.scope.groups() {
            cache.groups.insert((key.tenant, group.id), (noted.tenant, Rc::clone(group)));
        }
        cache.principals.insert(key, Entry { rights: Rc::clone(rights), noted, was_used: Cell::new(true) });
        while held_bytes() + cache.groups.len() * GROUP_SLOT_BYTES > MAX_BYTES && cache.give_up_one() {}
    });
}

/// Whether only the map that finds it holds a part.
fn is_unused<T>((_, part): &(u64, Rc<T>)) -> bool {
    Rc::strong_count(part) == 1
}

impl Cache {
    fn is_of(&self, catalog: &Rc<Catalog>) -> bool {
        self.catalog.as_ref().is_some_and(|(_, own)| Rc::ptr_eq(own, catalog))
    }

    fn forget(&mut self, key: &Key) {
        if let Some(at) = self.principals.get_index_of(key) {
            self.forget_at(at);
        }
    }

    fn forget_at(&mut self, at: usize) {
        let Some((key, entry)) = self.principals.swap_remove_index(at) else { return };
        let groups = entry.rights.scope.groups().iter().map(|group| (key.tenant, group.id)).collect::<Vec<_>>();
        drop(entry);
        if self.tenants.get(&key.tenant).is_some_and(is_unused) {
            self.tenants.remove(&key.tenant);
        }
        for group in groups {
            if self.groups.get(&group).is_some_and(is_unused) {
                self.groups.remove(&group);
            }
        }
    }

    /// Forgets one principal who hasn't been asked for since the clock came by, and whose rights nobody holds; `false` where there is none.
    fn give_up_one(&mut self) -> bool {
        for _ in 0..2 * self.principals.len() {
            if self.hand >= self.principals.len() {
                self.hand = 0;
                // What a request still held when its principal was forgotten.
                self.tenants.retain(|_, part| !is_unused(part));
                self.groups.retain(|_, part| !is_unused(part));
            }
            match self.principals.get_index(self.hand) {
                None => return false,
                Some((_, entry)) if entry.was_used.replace(false) || Rc::strong_count(&entry.rights) > 1 => self.hand += 1,
                Some(_) => {
                    self.forget_at(self.hand);
                    return true;
                }
            }
        }
        false
    }
}
