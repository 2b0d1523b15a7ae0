//! What a principal was given.

use super::{
    action_set::{ActionSet, Index},
    catalog::{Action, ActionKind},
};
use crate::{
    decision::{Grant, Granted},
    weight::{Weight, allocated},
};
use std::{
    hash::{Hash, Hasher},
    rc::Rc,
};

/// An active group's name and what it grants: without constraints, many tenants have the same.
#[derive(Debug, PartialEq, Eq)]
pub struct Group {
    pub name: Box<str>,
    /// Granted without constraints.
    free: ActionSet,
    constrained: Box<[(Index, Grant)]>,
    _weight: Weight,
}

impl Group {
    #[must_use]
    pub fn new(name: String, free: ActionSet, mut constrained: Vec<(Index, Grant)>) -> Self {
        constrained.sort_unstable_by_key(|(action, _)| *action);
        let grants = constrained.iter().map(|(_, grant)| grant.constraints.bytes()).sum::<usize>();
        let bytes = allocated(size_of::<Self>() + 2 * size_of::<usize>())
            + allocated(name.len())
            + free.bytes()
            + allocated(size_of_val::<[_]>(&constrained[..]))
            + grants;
        Self { name: name.into(), free, constrained: constrained.into(), _weight: Weight::of(bytes) }
    }

    pub(crate) fn grants_freely(&self, action: Index) -> bool {
        self.free.contains(action)
    }

    pub(crate) fn constrained(&self, action: Index) -> impl Iterator<Item = &Grant> {
        let begin = self.constrained.partition_point(|(known, _)| *known < action);
        self.constrained.iter().skip(begin).take_while(move |(known, _)| *known == action).map(|(_, grant)| grant)
    }
}

impl Hash for Group {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (&self.name, &self.free).hash(state);
    }
}

/// By whom or what actions are granted.
#[derive(Debug)]
pub enum Scope {
    /// A person: by these groups.
    Groups(Box<[Rc<Group>]>),
    /// A key with a profile: everything up to this kind.
    Profile(ActionKind),
    /// A key with a scope of its own, or whoever isn't there.
    Listed(ActionSet),
}

impl Scope {
    #[must_use]
    pub fn groups(&self) -> &[Rc<Group>] {
        if let Scope::Groups(groups) = self { groups } else { &[] }
    }

    /// Bytes of the heap that are no group's.
    #[must_use]
    pub fn bytes(&self) -> usize {
        match self {
            Scope::Groups(groups) => allocated(size_of_val::<[Rc<Group>]>(groups)),
            Scope::Profile(_) => 0,
            Scope::Listed(actions) => actions.bytes(),
        }
    }

    #[inline]
    pub(super) fn granted(&self, action: &Action, at: Index) -> Granted<'_> {
        let is_free = match self {
            Scope::Groups(groups) => groups.iter().any(|group| group.grants_freely(at)),
            Scope::Profile(kind) => action.kind <= *kind,
            Scope::Listed(actions) => actions.contains(at),
        };
        Granted { is_free, groups: self.groups(), action: at }
    }
}
