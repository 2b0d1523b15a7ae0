//! What is sold, the same for every tenant.

use super::action_set::{ActionSet, Index};
use std::{collections::HashMap, rc::Rc};
use uuid::Uuid;

/// What an action does to data: keys' profiles are made of these, each of which covers those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ActionKind {
    Read,
    Write,
    Admin,
}

impl ActionKind {
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "read" => Some(ActionKind::Read),
            "write" => Some(ActionKind::Write),
            "admin" => Some(ActionKind::Admin),
            _ => None,
        }
    }
}

/// An action of the catalog.
#[derive(Debug)]
pub struct Action {
    pub id: Uuid,
    pub tool: Uuid,
    pub key: Rc<str>,
    pub kind: ActionKind,
    /// Tool and action are both `ativo`.
    pub is_active: bool,
}

/// What a tenant can buy.
#[derive(Debug)]
pub struct Package {
    pub id: Uuid,
    pub key: Box<str>,
    pub name: Box<str>,
    pub is_active: bool,
    pub actions: ActionSet,
}

/// Everything that is sold, the same for every tenant.
#[derive(Debug)]
pub struct Catalog {
    pub(super) actions: Box<[Action]>,
    pub(super) by_key: HashMap<Rc<str>, Index>,
    by_id: HashMap<Uuid, Index>,
    packages: Box<[Package]>,
    package_by_id: HashMap<Uuid, Index>,
}

/// `0, 1, …` beside a list's members.
pub(super) fn numbered<T>(list: &[T]) -> impl Iterator<Item = (&T, Index)> {
    list.iter().zip(0..)
}

impl Catalog {
    /// The order of the packages is kept. `packages` gets the place of each action by id.
    #[must_use]
    pub fn new(actions: Vec<Action>, packages: impl FnOnce(&HashMap<Uuid, Index>) -> Vec<Package>) -> Self {
        let by_key = numbered(&actions).map(|(action, at)| (Rc::clone(&action.key), at)).collect();
        let by_id = numbered(&actions).map(|(action, at)| (action.id, at)).collect();
        let packages = packages(&by_id);
        let package_by_id = numbered(&packages).map(|(package, at)| (package.id, at)).collect();
        Self { actions: actions.into(), by_key, by_id, packages: packages.into(), package_by_id }
    }

    /// Where the action with this id stands; `None` for one that is newer than the catalog.
    #[must_use]
    pub fn action(&self, id: Uuid) -> Option<Index> {
        self.by_id.get(&id).copied()
    }

    /// The same of a package.
    #[must_use]
    pub fn package(&self, id: Uuid) -> Option<Index> {
        self.package_by_id.get(&id).copied()
    }

    pub(super) fn package_at(&self, at: Index) -> Option<&Package> {
        self.packages.get(at as usize)
    }
}
