//! The authorisation rule (contract, section 3) as one pure function: conditions in order, each held or refused.

use crate::{
    constraint::{Circumstances, Constraints},
    rights::{action_set::Index, catalog::ActionKind, scope::Group},
};
use serde::Deserialize;
use std::rc::Rc;
use uuid::Uuid;

/// What is known of one action for one principal in one tenant: a view of the parts that hold it ([`crate::rights`]).
#[derive(Clone, Copy, Debug)]
pub struct Right<'a> {
    pub action: &'a str,
    pub kind: ActionKind,
    /// Tool and action are both `ativo`.
    pub is_active: bool,
    /// In an active package of the tenant: until when, in microseconds since the epoch (`None`: in none; `i64::MAX`: for ever).
    pub packaged_until: Option<i64>,
    /// What overrides say: `Some(false)` wins over everything, `Some(true)` replaces the package.
    pub override_enabled: Option<bool>,
    /// What an override limits it to, in the whole tenant.
    pub per_minute: Option<u32>,
    pub per_month: Option<u32>,
    pub granted: Granted<'a>,
}

/// For a user: the grants of active groups. For a service: one grant without constraints when its scope holds the action.
#[derive(Clone, Copy, Debug)]
pub struct Granted<'a> {
    /// At least once without constraints.
    pub is_free: bool,
    pub groups: &'a [Rc<Group>],
    pub action: Index,
}

impl<'a> Granted<'a> {
    /// The grants with constraints, in no order.
    pub fn constrained(self) -> impl Iterator<Item = &'a Grant> {
        self.groups.iter().flat_map(move |group| group.constrained(self.action))
    }

    fn is_any(self) -> bool {
        self.is_free || self.constrained().next().is_some()
    }
}

/// A grant of an action by a group, with constraints.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Grant {
    /// The `group_permission`.
    pub id: Uuid,
    pub constraints: Constraints,
}

/// A condition of the rule, in the order in which it is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// The tool and the action exist and are `ativo`.
    Active,
    /// No override disables it.
    NotDisabled,
    /// In an active, unexpired package, or enabled by an override.
    Packaged,
    /// Granted by an active group, or in the key's scope.
    Granted,
    /// The constraints of at least one grant hold for this call.
    ConstraintsHold,
}

impl Condition {
    /// The name in `nebula.why` and in `details.condition`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Condition::Active => "action_active",
            Condition::NotDisabled => "not_disabled_by_override",
            Condition::Packaged => "in_active_package",
            Condition::Granted => "granted",
            Condition::ConstraintsHold => "constraints_hold",
        }
    }
}

/// One condition's verdict, with what refused it where that helps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    pub condition: Condition,
    pub holds: bool,
    pub because: Option<&'static str>,
}

/// A grant that lets the call through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Allowed {
    /// Without further counting.
    Freely,
    /// Only while `maxPerDay` of one of these grants, each with its id, isn't used up: they add up.
    Counted(Vec<(Uuid, u32)>),
}

impl Right<'_> {
    /// All conditions in order.
    #[must_use]
    pub fn verdicts(&self, call: &Circumstances) -> [Verdict; 5] {
        let verdict = |condition, holds, because| Verdict { condition, holds, because };
        let unmet = self.granted.constrained().map(|grant| grant.constraints.first_unmet(call)).collect::<Vec<_>>();
        let is_met = self.granted.is_free || unmet.iter().any(Option::is_none);
        [
            verdict(Condition::Active, self.is_active, None),
            verdict(Condition::NotDisabled, self.override_enabled != Some(false), None),
            verdict(Condition::Packaged, self.is_packaged(call), None),
            verdict(Condition::Granted, self.granted.is_any(), None),
            verdict(Condition::ConstraintsHold, is_met, unmet.iter().find_map(|reason| *reason)),
        ]
    }

    /// Whether the tenant's own conditions hold: what can be granted to somebody with effect.
    #[must_use]
    pub fn is_offered(&self, call: &Circumstances) -> bool {
        self.is_active && self.override_enabled != Some(false) && self.is_packaged(call)
    }

    fn is_packaged(&self, call: &Circumstances) -> bool {
        self.override_enabled == Some(true) || self.packaged_until.is_some_and(|until| until > call.now_microseconds)
    }

    /// Whether the caller's address can matter to the decision.
    #[must_use]
    pub fn asks_address(&self) -> bool {
        !self.granted.is_free && self.granted.constrained().any(|grant| grant.constraints.ip_cidrs.is_some())
    }

    /// Whether the decision is the same whenever, from wherever and about whatever it is asked.
    #[must_use]
    pub fn is_constant(&self) -> bool {
        let may_end = self.override_enabled.is_none() && self.packaged_until.is_some_and(|until| until != i64::MAX);
        !may_end && (self.granted.is_free || self.granted.constrained().next().is_none())
    }

    /// The decision alone, without allocation unless uses are counted: the hot path. A free grant is preferred to a counted one.
    ///
    /// `Err` names the first condition that refused.
    pub fn decide(&self, call: &Circumstances) -> Result<Allowed, Condition> {
        if !self.is_active {
            return Err(Condition::Active);
        }
        if self.override_enabled == Some(false) {
            return Err(Condition::NotDisabled);
        }
        if !self.is_packaged(call) {
            return Err(Condition::Packaged);
        }
        if self.granted.is_free {
            return Ok(Allowed::Freely);
        }
        let (mut is_granted, mut counted) = (false, Vec::new());
        for grant in self.granted.constrained() {
            is_granted = true;
            match grant.constraints.max_per_day {
                _ if grant.constraints.first_unmet(call).is_some() => {}
                Some(max_per_day) => counted.push((grant.id, max_per_day)),
                None => return Ok(Allowed::Freely),
            }
        }
        match is_granted {
            false => Err(Condition::Granted),
            true if counted.is_empty() => Err(Condition::ConstraintsHold),
            true => Ok(Allowed::Counted(counted)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rights::action_set::ActionSet;

    const NOW: Circumstances = Circumstances { ip: None, now_microseconds: 1_000, resource_id: None };
    const ACTION: Index = 3;

    fn granted(is_free: bool, groups: &[Rc<Group>]) -> Granted<'_> {
        Granted { is_free, groups, action: ACTION }
    }

    fn allowed() -> Right<'static> {
        Right {
            action: "users.list",
            kind: ActionKind::Read,
            is_active: true,
            packaged_until: Some(i64::MAX),
            override_enabled: None,
            per_minute: None,
            per_month: None,
            granted: granted(true, &[]),
        }
    }

    /// A group that grants the action once, under these constraints.
    fn constrained(id: u128, constraints: Constraints) -> Rc<Group> {
        let grant = Grant { id: Uuid::from_u128(id), constraints };
        Rc::new(Group::new("g".to_owned(), ActionSet::from_iter([]), vec![(ACTION, grant)]))
    }

    fn counted(id: u128, max_per_day: u32) -> Rc<Group> {
        constrained(id, Constraints { max_per_day: Some(max_per_day), ..Constraints::default() })
    }

    #[test]
    fn a_right_with_every_condition_is_allowed() {
        assert_eq!(allowed().decide(&NOW), Ok(Allowed::Freely));
        assert!(allowed().verdicts(&NOW).iter().all(|verdict| verdict.holds));
    }

    #[test]
    fn removing_any_one_condition_refuses_and_names_it() {
        let elsewhere = [constrained(1, Constraints { resource_ids: Some(vec![Uuid::from_u128(9)]), ..Constraints::default() })];
        for (right, condition) in [
            (Right { is_active: false, ..allowed() }, Condition::Active),
            (Right { override_enabled: Some(false), ..allowed() }, Condition::NotDisabled),
            (Right { packaged_until: None, ..allowed() }, Condition::Packaged),
            (Right { packaged_until: Some(1_000), ..allowed() }, Condition::Packaged),
            (Right { granted: granted(false, &[]), ..allowed() }, Condition::Granted),
            (Right { granted: granted(false, &elsewhere), ..allowed() }, Condition::ConstraintsHold),
        ] {
            assert_eq!(right.decide(&NOW), Err(condition));
            assert_eq!(right.verdicts(&NOW).iter().find(|v| !v.holds).map(|v| v.condition), Some(condition));
        }
    }

    #[test]
    fn an_override_replaces_the_package_but_not_the_grant() {
        let overridden = Right { packaged_until: None, override_enabled: Some(true), ..allowed() };
        assert_eq!(overridden.decide(&NOW), Ok(Allowed::Freely));
        assert_eq!(Right { granted: granted(false, &[]), ..overridden }.decide(&NOW), Err(Condition::Granted));
    }

    #[test]
    fn grants_add_up_and_a_free_one_is_preferred() {
        let mut groups = vec![counted(1, 2), counted(2, 5)];
        let ids = [1, 2].map(Uuid::from_u128);
        let alone = Right { granted: granted(false, &groups), ..allowed() };
        assert_eq!(alone.decide(&NOW), Ok(Allowed::Counted(vec![(ids[0], 2), (ids[1], 5)])));
        assert_eq!(Right { granted: granted(true, &groups), ..allowed() }.decide(&NOW), Ok(Allowed::Freely));
        groups.push(constrained(3, Constraints { resource_ids: Some(vec![Uuid::from_u128(9)]), ..Constraints::default() }));
        let here = Circumstances { resource_id: Some(Uuid::from_u128(9)), ..NOW };
        assert_eq!(Right { granted: granted(false, &groups), ..allowed() }.decide(&here), Ok(Allowed::Freely));
        let elsewhere = Right { granted: granted(false, &groups), ..allowed() };
        assert_eq!(elsewhere.decide(&NOW), Ok(Allowed::Counted(vec![(ids[0], 2), (ids[1], 5)])));
        assert_eq!(
            elsewhere.verdicts(&NOW)[4],
            Verdict { condition: Condition::ConstraintsHold, holds: true, because: Some("resourceIds") }
        );
    }

    #[test]
    fn the_address_matters_only_where_a_network_decides() {
        let network = serde_json::from_value::<Constraints>(serde_json::json!({ "ipCidrs": ["10.0.0.0/8"] })).unwrap();
        let groups = [counted(1, 2), constrained(2, network)];
        assert!(Right { granted: granted(false, &groups), ..allowed() }.asks_address());
        assert!(!Right { granted: granted(true, &groups), ..allowed() }.asks_address());
        assert!(!Right { granted: granted(false, &groups[..1]), ..allowed() }.asks_address());
    }
}
