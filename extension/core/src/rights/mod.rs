//! What decides who may do what, in parts that many share: the catalog is everybody's, a tenant's conditions and a group's grants are all its
//! people's. What is known of one action is put together when it is asked for, without allocating.
//!
//! Parts that hold indexes belong to the catalog that they were made with.

pub mod action_set;
pub mod catalog;
pub mod conditions;
pub mod scope;

use crate::decision::Right;
use action_set::Index;
use catalog::{Action, Catalog, numbered};
use conditions::Conditions;
use scope::Scope;

/// The three together.
#[derive(Clone, Copy)]
pub struct View<'a> {
    pub catalog: &'a Catalog,
    pub conditions: &'a Conditions,
    pub scope: &'a Scope,
}

impl<'a> View<'a> {
    /// What is known of an action; `None` when the catalog doesn't have it.
    #[inline]
    #[must_use]
    pub fn of(self, key: &str) -> Option<Right<'a>> {
        let at = *self.catalog.by_key.get(key)?;
        self.catalog.actions.get(at as usize).map(|action| self.right(action, at))
    }

    /// Every action of the catalog, in no order.
    pub fn all(self) -> impl Iterator<Item = Right<'a>> {
        numbered(&self.catalog.actions).map(move |(action, at)| self.right(action, at))
    }

    #[inline]
    fn right(self, action: &'a Action, at: Index) -> Right<'a> {
        let own = self.conditions.of_action(at);
        // Of a tool's and an action's override, one that disables wins.
        let said = [own.and_then(|own| own.enabled), self.conditions.of_tool(action.tool)];
        Right {
            action: &action.key,
            kind: action.kind,
            is_active: action.is_active,
            packaged_until: self.conditions.packaged_until(self.catalog, at),
            override_enabled: said.into_iter().flatten().reduce(|one, other| one && other),
            per_minute: own.and_then(|own| own.per_minute),
            per_month: own.and_then(|own| own.per_month),
            granted: self.scope.granted(action, at),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{
        action_set::ActionSet,
        catalog::{ActionKind, Package},
        conditions::{ActionOverride, TenantPackage},
        scope::Group,
        *,
    };
    use crate::{
        constraint::{Circumstances, Constraints},
        decision::{Allowed, Condition, Grant},
        weight::held_bytes,
    };
    use std::rc::Rc;
    use uuid::Uuid;

    const NOW: Circumstances = Circumstances { ip: None, now_microseconds: 1_000, resource_id: None };
    const TOOL: Uuid = Uuid::from_u128(1);
    const OTHER_TOOL: Uuid = Uuid::from_u128(2);

    /// `a.read`, `a.write` and `a.admin` of one tool, `b.read` of another, `c.read` inactive; packages `all`, `reads`, and `ended`, which isn't sold any more.
    fn catalog() -> Catalog {
        let action =
            |id, tool, key: &str, kind| Action { id: Uuid::from_u128(id), tool, key: key.into(), kind, is_active: key != "c.read" };
        let actions = vec![
            action(10, TOOL, "a.read", ActionKind::Read),
            action(11, TOOL, "a.write", ActionKind::Write),
            action(12, TOOL, "a.admin", ActionKind::Admin),
            action(13, OTHER_TOOL, "b.read", ActionKind::Read),
            action(14, OTHER_TOOL, "c.read", ActionKind::Read),
        ];
        Catalog::new(actions, |by_id| {
            let package = |id, key: &str, is_active, ids: &[u128]| Package {
                id: Uuid::from_u128(id),
                key: key.into(),
                name: key.into(),
                is_active,
                actions: ids.iter().map(|id| by_id[&Uuid::from_u128(*id)]).collect(),
            };
            vec![package(20, "all", true, &[10, 11, 12, 13, 14]), package(21, "ended", false, &[13]), package(22, "reads", true, &[10, 13])]
        })
    }

    fn has(package: Index, until: i64) -> TenantPackage {
        TenantPackage { package, until, expires_at: (until != i64::MAX).then(|| until.to_string().into()) }
    }

    fn conditions(packages: Vec<TenantPackage>) -> Conditions {
        Conditions::new(packages, vec![], vec![])
    }

    fn everything() -> Scope {
        Scope::Profile(ActionKind::Admin)
    }

    fn allowed(conditions: &Conditions, scope: &Scope) -> Vec<String> {
        let catalog = catalog();
        let view = View { catalog: &catalog, conditions, scope };
        view.all().filter(|right| right.decide(&NOW).is_ok()).map(|right| right.action.to_owned()).collect()
    }

    fn refused(conditions: &Conditions, scope: &Scope, action: &str) -> Option<Condition> {
        let catalog = catalog();
        View { catalog: &catalog, conditions, scope }.of(action).unwrap().decide(&NOW).err()
    }

    #[test]
    fn an_action_that_the_catalog_lacks_is_nothing() {
        let (catalog, conditions, scope) = (catalog(), Conditions::default(), everything());
        assert!(View { catalog: &catalog, conditions: &conditions, scope: &scope }.of("a.unknown").is_none());
        assert_eq!((catalog.action(Uuid::from_u128(13)), catalog.action(Uuid::nil())), (Some(3), None));
    }

    #[test]
    fn the_package_that_lasts_longest_counts_and_only_while_it_is_sold() {
        let read_until = |packages| {
            let catalog = catalog();
            let view = View { catalog: &catalog, conditions: &conditions(packages), scope: &everything() };
            view.of("b.read").unwrap().packaged_until
        };
        assert_eq!(read_until(vec![]), None);
        assert_eq!(read_until(vec![has(1, i64::MAX)]), None, "not sold any more");
        assert_eq!(read_until(vec![has(2, 5), has(0, 7), has(1, 9)]), Some(7));
        assert_eq!(read_until(vec![has(2, i64::MAX), has(0, 7)]), Some(i64::MAX));
        assert_eq!(allowed(&conditions(vec![has(2, 2_000), has(0, 1_000)]), &everything()), ["a.read", "b.read"]);
    }

    #[test]
    fn packages_are_listed_in_the_catalogs_order_while_they_count() {
        let catalog = catalog();
        let conditions = conditions(vec![has(2, i64::MAX), has(1, i64::MAX), has(0, 2_000)]);
        let listed = |now| conditions.packages_at(&catalog, now).map(|(package, end)| (&*package.key, end)).collect::<Vec<_>>();
        assert_eq!(listed(1_999), [("all", Some("2000")), ("reads", None)]);
        assert_eq!(listed(2_000), [("reads", None)]);
    }

    #[test]
    fn an_override_that_disables_wins_whether_it_is_the_actions_or_the_tools() {
        let says = |of_action, of_tool| {
            let by_action = vec![ActionOverride { action: 0, enabled: of_action, per_minute: Some(5), per_month: None }];
            let conditions = Conditions::new(vec![], by_action, of_tool);
            let (catalog, all) = (catalog(), everything());
            let right = View { catalog: &catalog, conditions: &conditions, scope: &all }.of("a.read").unwrap();
            assert_eq!((right.per_minute, right.per_month), (Some(5), None));
            right.override_enabled
        };
        assert_eq!(says(None, vec![]), None);
        assert_eq!(says(None, vec![(OTHER_TOOL, false)]), None);
        assert_eq!(says(None, vec![(OTHER_TOOL, false), (TOOL, true)]), Some(true));
        assert_eq!(says(Some(true), vec![(TOOL, false)]), Some(false));
        assert_eq!(says(Some(false), vec![(TOOL, true)]), Some(false));
        assert_eq!(says(Some(true), vec![(TOOL, true)]), Some(true));
    }

    #[test]
    fn a_profile_covers_the_kinds_up_to_its_own_and_a_list_what_it_names() {
        let conditions = conditions(vec![has(0, i64::MAX)]);
        assert_eq!(allowed(&conditions, &Scope::Profile(ActionKind::Read)), ["a.read", "b.read"]);
        assert_eq!(allowed(&conditions, &Scope::Profile(ActionKind::Write)), ["a.read", "a.write", "b.read"]);
        assert_eq!(allowed(&conditions, &everything()), ["a.read", "a.write", "a.admin", "b.read"]);
        assert_eq!(allowed(&conditions, &Scope::Listed([2, 4].into_iter().collect())), ["a.admin"]);
        assert_eq!(refused(&conditions, &everything(), "c.read"), Some(Condition::Active));
        assert_eq!(refused(&conditions, &Scope::Listed(ActionSet::from_iter([])), "a.read"), Some(Condition::Granted));
    }

    #[test]
    fn what_one_of_a_persons_groups_grants_is_granted() {
        let conditions = conditions(vec![has(0, i64::MAX)]);
        let counted = Grant { id: Uuid::from_u128(9), constraints: Constraints { max_per_day: Some(3), ..Constraints::default() } };
        let group = |free: &[Index], constrained| Rc::new(Group::new("g".to_owned(), free.iter().copied().collect(), constrained));
        let scope = Scope::Groups([group(&[1], vec![]), group(&[3], vec![(2, counted.clone()), (0, counted.clone())])].into());
        assert_eq!(allowed(&conditions, &scope), ["a.read", "a.write", "a.admin", "b.read"]);
        assert_eq!(allowed(&conditions, &Scope::Groups([].into())), [""; 0]);
        let catalog = catalog();
        let right = View { catalog: &catalog, conditions: &conditions, scope: &scope }.of("a.admin").unwrap();
        assert_eq!(right.decide(&NOW), Ok(Allowed::Counted(vec![(counted.id, 3)])));
        assert_eq!(right.granted.constrained().count(), 1);
    }

    #[test]
    fn groups_weigh_as_long_as_somebody_holds_them() {
        let before = held_bytes();
        let group = Rc::new(Group::new("g".to_owned(), (0..100).collect(), vec![]));
        let shared = Rc::clone(&group);
        drop(group);
        assert!(held_bytes() > before + 100);
        drop(shared);
        assert_eq!(held_bytes(), before);
    }
}
