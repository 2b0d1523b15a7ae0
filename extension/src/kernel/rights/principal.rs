//! Tenant and principal as rights know them.

use crate::kernel::{limit::Category, spi};
use nebula_core::{
    rights::{conditions::Conditions, scope::Group},
    weight::{Weight, allocated},
};
use serde::Deserialize;
use std::{cell::RefCell, rc::Rc};
use uuid::Uuid;

/// A principal's tenant.
#[derive(Debug)]
pub struct TenantState {
    is_active: bool,
    is_platform: bool,
    slug_bytes: u16,
    slug_and_name: Box<str>,
}

impl TenantState {
    pub(super) fn new(is_active: bool, is_platform: bool, slug: &str, name: &str) -> Self {
        Self {
            is_active,
            is_platform,
            slug_bytes: u16::try_from(slug.len()).unwrap_or(u16::MAX),
            slug_and_name: [slug, name].concat().into(),
        }
    }

    #[must_use]
    pub fn slug(&self) -> &str {
        self.slug_and_name.get(..usize::from(self.slug_bytes)).unwrap_or_default()
    }
    #[must_use]
    pub fn name(&self) -> &str {
        self.slug_and_name.get(usize::from(self.slug_bytes)..).unwrap_or_default()
    }
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.is_active
    }
    #[must_use]
    pub fn is_platform(&self) -> bool {
        self.is_platform
    }
}

/// What a tenant was sold. Many were sold the same.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Terms {
    pub(super) conditions: Conditions,
    pub(super) limits: CategoryLimits,
    _weight: Weight,
}

impl Terms {
    pub(super) fn new(conditions: Conditions, limits: CategoryLimits) -> Self {
        let bytes = allocated(size_of::<Self>() + RC_BYTES) + conditions.bytes();
        Self { conditions, limits, _weight: Weight::of(bytes) }
    }
}

/// What everybody of a tenant shares.
#[derive(Debug)]
pub struct Tenant {
    /// `None` where there is no such tenant.
    pub(super) state: Option<TenantState>,
    pub(super) terms: Rc<Terms>,
    /// The active groups that somebody was found in, by id.
    groups: RefCell<Vec<(Uuid, Rc<Group>)>>,
    _weight: Weight,
}

impl Tenant {
    pub(super) fn new(state: Option<TenantState>, terms: Rc<Terms>) -> Self {
        let texts = state.as_ref().map_or(0, |state| allocated(state.slug_and_name.len()));
        let bytes = allocated(size_of::<Self>() + RC_BYTES) + texts + super::cache::TENANT_SLOT_BYTES;
        Self { state, terms, groups: RefCell::default(), _weight: Weight::of(bytes) }
    }

    pub(super) fn group(&self, id: Uuid) -> Option<Rc<Group>> {
        let groups = self.groups.borrow();
        groups.binary_search_by_key(&id, |(known, _)| *known).ok().and_then(|at| groups.get(at)).map(|(_, group)| Rc::clone(group))
    }

    pub(super) fn remember(&self, id: Uuid, group: &Rc<Group>) {
        let mut groups = self.groups.borrow_mut();
        if let Err(at) = groups.binary_search_by_key(&id, |(known, _)| *known) {
            if groups.len() < 4 {
                groups.reserve_exact(1);
            }
            groups.insert(at, (id, Rc::clone(group)));
        }
    }

    /// Its parts, which others may share.
    pub(super) fn into_shared(self) -> (Rc<Terms>, impl Iterator<Item = Rc<Group>>) {
        (self.terms, self.groups.into_inner().into_iter().map(|(_, group)| group))
    }
}

/// The counts in front of what an `Rc` points to.
pub const RC_BYTES: usize = 2 * size_of::<usize>();
/// What a tenant keeps to find a group.
pub const GROUP_SLOT_BYTES: usize = size_of::<(Uuid, usize)>();

/// The person or key itself.
#[derive(Debug)]
pub struct PrincipalState {
    pub(super) is_active: bool,
    /// Of a key.
    pub(super) key: Option<Box<KeyState>>,
}

/// What only a key has. Instants are microseconds since the epoch.
#[derive(Debug)]
pub struct KeyState {
    /// SHA-256 of the secret.
    pub hash: [u8; 32],
    /// Of the secret before it, and until when that counts.
    pub previous: Option<([u8; 32], i64)>,
    pub expires_at: Option<i64>,
}

impl PrincipalState {
    /// What a key has; `None` of a person.
    #[must_use]
    pub fn key(&self) -> Option<&KeyState> {
        self.key.as_deref()
    }

    /// A key, not a person.
    #[must_use]
    pub fn is_key(&self) -> bool {
        self.key.is_some()
    }

    /// A key whose time is over.
    #[must_use]
    pub fn is_expired(&self) -> bool {
        self.key().and_then(|key| key.expires_at).is_some_and(|at| at <= spi::now_microseconds())
    }

    /// A key whose time will be over, or is.
    #[must_use]
    pub fn may_expire(&self) -> bool {
        self.key().is_some_and(|key| key.expires_at.is_some())
    }

    #[must_use]
    pub fn is_active(&self) -> bool {
        self.is_active
    }

    pub(super) fn bytes(&self) -> usize {
        if self.is_key() { allocated(size_of::<KeyState>()) } else { 0 }
    }
}

/// What a tenant has instead of the installation's default rate limits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
pub struct CategoryLimits {
    auth: Option<PerMinute>,
    read: Option<PerMinute>,
    write: Option<PerMinute>,
    admin: Option<PerMinute>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
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
