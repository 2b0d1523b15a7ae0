//! What a table was before it was protected, and what was added to it: kept in `nebula.protected_table.origin`, so that `nebula.unprotect` can give it back.

use super::{
    policy::{self, Policy},
    privilege::{self, Privilege},
    table::Table,
    wish::Wish,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Origin {
    pub row_security: bool,
    pub force_row_security: bool,
    /// The tenant's column was not there.
    pub adds_column: bool,
    /// What it had as default and whether it took nulls, where it was.
    pub column_default: Option<String>,
    pub is_not_null: bool,
    /// While under way, rows get this tenant by a default: adding a column with a constant fills every row without touching one.
    pub has_constant_default: bool,
    pub index: Option<String>,
    pub foreign_key: Option<String>,
    pub adds_updated_at: bool,
    /// Policies that were taken out.
    pub policies: Vec<Policy>,
    pub revoked: Vec<Privilege>,
    pub granted: Vec<Privilege>,
}

impl Origin {
    /// Of a table before anything was done to it; a partition's column, index and keys are its whole table's.
    pub fn of(table: &Table, wish: &Wish, is_partition: bool) -> Self {
        let column = table.column(&wish.tenant_column);
        let base = Self { row_security: table.row_security, force_row_security: table.force_row_security, ..Self::default() };
        if is_partition {
            return base;
        }
        Self {
            adds_column: column.is_none(),
            column_default: column.and_then(|column| column.default.clone()),
            is_not_null: column.is_some_and(|column| column.is_not_null),
            has_constant_default: column.is_none() && wish.tenant.is_some(),
            adds_updated_at: wish.touches_updated_at && table.column("updated_at").is_none(),
            ..base
        }
    }

    /// With what a protect by this wish adds to, or takes from, the table as it is.
    pub fn with(mut self, table: &Table, wish: &Wish, is_partition: bool) -> Self {
        if !is_partition {
            if self.index.is_none() && table.tenant_index(&wish.tenant_column).is_none() {
                self.index = Some(free_name("idx", table, wish, |name| table.index(name).is_some_and(|index| index.is_valid)));
            }
            if self.foreign_key.is_none() && table.tenant_key(&wish.tenant_column).is_none() {
                self.foreign_key = Some(free_name("fk", table, wish, |name| table.has_constraint(name)));
            }
            self.adds_updated_at |= wish.touches_updated_at && table.column("updated_at").is_none();
        }
        if wish.replace_policies {
            self.policies.extend(replaceable(table).cloned());
        }
        let mut extend = |of: Vec<Privilege>, into: fn(&mut Self) -> &mut Vec<Privilege>| {
            for privilege in of {
                if !into(&mut self).contains(&privilege) {
                    into(&mut self).push(privilege);
                }
            }
        };
        extend(privilege::excess(table), |origin| &mut origin.revoked);
        extend(privilege::missing(table, wish), |origin| &mut origin.granted);
        self
    }
}

/// Permissive policies of the application: they admit rows of the tenant whatever the caller's rights are.
pub fn replaceable(table: &Table) -> impl Iterator<Item = &Policy> {
    table.policies.iter().filter(|policy| policy.is_permissive && !policy::NAMES.contains(&policy.name.as_str()))
}

/// `idx_orders_tenant_id` and the like; cut to what Postgres keeps of a name, and told apart where it is taken.
fn free_name(prefix: &str, table: &Table, wish: &Wish, is_taken: impl Fn(&str) -> bool) -> String {
    let name = bounded(format!("{prefix}_{}_{}", table.name, wish.tenant_column));
    if is_taken(&name) { bounded(format!("{name}_nebula")) } else { name }
}

/// The name of the check that stands for NOT NULL until that can be set without a scan under a lock.
pub fn check_name(table: &Table, tenant_column: &str) -> String {
    bounded(format!("ck_{}_{tenant_column}_nebula", table.name))
}

fn bounded(name: String) -> String {
    const MOST: usize = 63;
    if name.len() <= MOST {
        return name;
    }
    let digest = nebula_core::hex::encode(&Sha256::digest(&name));
    let (mut kept, suffix) = (54, digest.get(..8).unwrap_or_default());
    while !name.is_char_boundary(kept) {
        kept -= 1;
    }
    format!("{}_{suffix}", name.get(..kept).unwrap_or_default())
}
