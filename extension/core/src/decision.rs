//! The authorisation rule (contract, section 3) as one pure function: conditions in order, each held or refused.

use crate::constraint::{Circumstances, Constraints};
use serde::Deserialize;
use uuid::Uuid;

/// What is known of one action for one principal in one tenant: a row of `rights_*.sql`.
#[derive(Clone, Debug, Deserialize)]
pub struct Right {
    pub action: String,
    /// `read`, `write` or `admin`.
    pub kind: String,
    /// Tool and action are both `ativo`.
    #[serde(rename = "isActive")]
    pub is_active: bool,
    /// In an active package of the tenant: until when, in microseconds since the epoch (`null`: in none; `i64::MAX`: for ever).
    #[serde(rename = "packagedUntil")]
    pub packaged_until: Option<i64>,
    /// What overrides say: `Some(false)` wins over everything, `Some(true)` replaces the package.
    #[serde(rename = "override")]
    pub override_enabled: Option<bool>,
    /// What an override limits it to, in the whole tenant.
    #[serde(rename = "perMinute", default)]
    pub per_minute: Option<u32>,
    #[serde(rename = "perMonth", default)]
    pub per_month: Option<u32>,
    /// For a user: the grants of active groups. For a service: one grant without constraints when its scope holds the action.
    #[serde(default)]
    pub grants: Vec<Grant>,
}

/// One grant of the action.
#[derive(Clone, Debug, Deserialize)]
pub struct Grant {
    /// The `group_permission`; `null` for the scope of a service.
    pub id: Option<Uuid>,
    #[serde(default)]
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

impl Right {
    /// All conditions in order.
    #[must_use]
    pub fn verdicts(&self, call: &Circumstances) -> [Verdict; 5] {
        let verdict = |condition, holds, because| Verdict { condition, holds, because };
        let unmet = self.grants.iter().map(|grant| grant.constraints.first_unmet(call)).collect::<Vec<_>>();
        [
            verdict(Condition::Active, self.is_active, None),
            verdict(Condition::NotDisabled, self.override_enabled != Some(false), None),
            verdict(Condition::Packaged, self.is_packaged(call), None),
            verdict(Condition::Granted, !self.grants.is_empty(), None),
            verdict(Condition::ConstraintsHold, unmet.iter().any(Option::is_none), unmet.iter().find_map(|reason| *reason)),
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

    /// The decision alone, without allocation: the hot path. A free grant is preferred to a counted one.
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
        if self.grants.is_empty() {
            return Err(Condition::Granted);
        }
        let mut counted = Vec::new();
        for grant in self.grants.iter().filter(|grant| grant.constraints.first_unmet(call).is_none()) {
            match (grant.constraints.max_per_day, grant.id) {
                (Some(max_per_day), Some(id)) => counted.push((id, max_per_day)),
                _ => return Ok(Allowed::Freely),
            }
        }
        if counted.is_empty() { Err(Condition::ConstraintsHold) } else { Ok(Allowed::Counted(counted)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Circumstances = Circumstances { ip: None, now_microseconds: 1_000, resource_id: None };

    fn allowed() -> Right {
        Right {
            action: "users.list".into(),
            kind: "read".into(),
            is_active: true,
            packaged_until: Some(i64::MAX),
            override_enabled: None,
            per_minute: None,
            per_month: None,
            grants: vec![Grant { id: None, constraints: Constraints::default() }],
        }
    }

    #[test]
    fn a_right_with_every_condition_is_allowed() {
        assert_eq!(allowed().decide(&NOW), Ok(Allowed::Freely));
        assert!(allowed().verdicts(&NOW).iter().all(|verdict| verdict.holds));
    }

    #[test]
    fn removing_any_one_condition_refuses_and_names_it() {
        for (right, condition) in [
            (Right { is_active: false, ..allowed() }, Condition::Active),
            (Right { override_enabled: Some(false), ..allowed() }, Condition::NotDisabled),
            (Right { packaged_until: None, ..allowed() }, Condition::Packaged),
            (Right { packaged_until: Some(1_000), ..allowed() }, Condition::Packaged),
            (Right { grants: vec![], ..allowed() }, Condition::Granted),
        ] {
            assert_eq!(right.decide(&NOW), Err(condition));
            assert_eq!(right.verdicts(&NOW).iter().find(|v| !v.holds).map(|v| v.condition), Some(condition));
        }
    }

    #[test]
    fn an_override_replaces_the_package_but_not_the_grant() {
        let overridden = Right { packaged_until: None, override_enabled: Some(true), ..allowed() };
        assert_eq!(overridden.decide(&NOW), Ok(Allowed::Freely));
        assert_eq!(Right { grants: vec![], ..overridden }.decide(&NOW), Err(Condition::Granted));
    }

    #[test]
    fn grants_add_up_and_a_free_one_is_preferred() {
        let id = Uuid::from_u128(1);
        let counted = Grant { id: Some(id), constraints: Constraints { max_per_day: Some(2), ..Constraints::default() } };
        let alone = Right { grants: vec![counted.clone()], ..allowed() };
        assert_eq!(alone.decide(&NOW), Ok(Allowed::Counted(vec![(id, 2)])));
        let both = Right { grants: vec![counted, Grant { id: None, constraints: Constraints::default() }], ..allowed() };
        assert_eq!(both.decide(&NOW), Ok(Allowed::Freely));
    }
}
