//! What a tenant's contract says, whoever of it calls.

use super::{
    action_set::Index,
    catalog::{Catalog, Package},
};
use crate::weight::allocated;
use uuid::Uuid;

/// A package that a tenant has.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct TenantPackage {
    pub package: Index,
    /// Microseconds since the epoch; `i64::MAX`: for ever.
    pub until: i64,
    /// The same as JSON shows it.
    pub expires_at: Option<Box<str>>,
}

/// What a tenant's override says of an action.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct ActionOverride {
    pub action: Index,
    pub enabled: Option<bool>,
    /// Limits of the whole tenant.
    pub per_minute: Option<u32>,
    pub per_month: Option<u32>,
}

/// Packages and overrides of a tenant.
#[derive(Debug, Default, PartialEq, Eq, Hash)]
pub struct Conditions {
    packages: Box<[TenantPackage]>,
    by_action: Box<[ActionOverride]>,
    by_tool: Box<[(Uuid, bool)]>,
}

impl Conditions {
    /// There is at most one override an action and one a tool.
    #[must_use]
    pub fn new(mut packages: Vec<TenantPackage>, mut by_action: Vec<ActionOverride>, by_tool: Vec<(Uuid, bool)>) -> Self {
        packages.sort_unstable_by_key(|package| package.package);
        by_action.sort_unstable_by_key(|an_override| an_override.action);
        Self { packages: packages.into(), by_action: by_action.into(), by_tool: by_tool.into() }
    }

    /// Packages that count at this instant, in the catalog's order.
    pub fn packages_at<'a>(&'a self, catalog: &'a Catalog, now_microseconds: i64) -> impl Iterator<Item = (&'a Package, Option<&'a str>)> {
        let counting = self.packages.iter().filter(move |held| held.until > now_microseconds);
        counting
            .filter_map(|held| Some((catalog.package_at(held.package)?, held.expires_at.as_deref())))
            .filter(|(package, _)| package.is_active)
    }

    #[inline]
    pub(super) fn packaged_until(&self, catalog: &Catalog, action: Index) -> Option<i64> {
        let holds = |held: &&TenantPackage| {
            catalog.package_at(held.package).is_some_and(|package| package.is_active && package.actions.contains(action))
        };
        self.packages.iter().filter(holds).map(|held| held.until).max()
    }

    #[inline]
    pub(super) fn of_action(&self, action: Index) -> Option<&ActionOverride> {
        self.by_action.binary_search_by_key(&action, |an_override| an_override.action).ok().and_then(|at| self.by_action.get(at))
    }

    #[inline]
    pub(super) fn of_tool(&self, tool: Uuid) -> Option<bool> {
        self.by_tool.iter().find(|(known, _)| *known == tool).map(|(_, enabled)| *enabled)
    }

    /// Bytes of the heap.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let texts = self.packages.iter().filter_map(|held| held.expires_at.as_ref()).map(|text| allocated(text.len())).sum::<usize>();
        allocated(size_of_val::<[TenantPackage]>(&self.packages))
            + allocated(size_of_val::<[ActionOverride]>(&self.by_action))
            + allocated(size_of_val::<[(Uuid, bool)]>(&self.by_tool))
            + texts
    }
}
