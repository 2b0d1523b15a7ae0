//! Tenant and principal as rights know them.

use crate::kernel::{limit::Category, spi};
use nebula_core::{
    rights::conditions::Conditions,
    weight::{Weight, allocated},
};
use serde::Deserialize;

/// A principal's tenant.
#[derive(Debug)]
pub struct TenantState {
    pub(super) is_active: bool,
    pub(super) is_platform: bool,
    pub slug: Box<str>,
    pub name: Box<str>,
}

impl TenantState {
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.is_active
    }
    #[must_use]
    pub fn is_platform(&self) -> bool {
        self.is_platform
    }
}

/// What everybody of a tenant shares.
#[derive(Debug)]
pub(super) struct Tenant {
    /// `None` where there is no such tenant.
    pub(super) state: Option<TenantState>,
    pub(super) conditions: Conditions,
    pub(super) limits: CategoryLimits,
    _weight: Weight,
}

impl Tenant {
    pub(super) fn new(state: Option<TenantState>, conditions: Conditions, limits: CategoryLimits) -> Self {
        let texts = state.as_ref().map_or(0, |state| allocated(state.slug.len()) + allocated(state.name.len()));
        let bytes = allocated(size_of::<Self>() + 2 * size_of::<usize>()) + super::cache::TENANT_SLOT_BYTES + texts + conditions.bytes();
        Self { state, conditions, limits, _weight: Weight::of(bytes) }
    }
}

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

    #[must_use]
    pub fn is_active(&self) -> bool {
        self.is_active
    }

    pub(super) fn bytes(&self) -> usize {
        if self.is_key() { allocated(size_of::<KeyState>()) } else { 0 }
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
