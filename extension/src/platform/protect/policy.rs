//! The policies of a protected table: one a verb, bound to the right to its action, and one that none can widen.

use super::wish::Wish;
use crate::kernel::spi::{quote_identifier, quote_literal};
use serde::{Deserialize, Serialize};

/// A policy, as the catalog shows it, or as it is wanted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Policy {
    pub name: String,
    pub is_permissive: bool,
    pub command: String,
    /// `None` is PUBLIC.
    pub roles: Vec<Option<String>>,
    pub using: Option<String>,
    pub with_check: Option<String>,
    pub comment: Option<String>,
}

impl Policy {
    pub fn create(&self, table: &str) -> String {
        let kind = if self.is_permissive { "permissive" } else { "restrictive" };
        let roles = self.roles.iter().map(|role| role.as_deref().map_or_else(|| "public".to_owned(), quote_identifier));
        let name = quote_identifier(&self.name);
        let mut sql = format!("create policy {name} on {table} as {kind} for {} to {}", self.command, roles.collect::<Vec<_>>().join(", "));
        if let Some(using) = &self.using {
            sql.push_str(&format!(" using ({using})"));
        }
        if let Some(check) = &self.with_check {
            sql.push_str(&format!(" with check ({check})"));
        }
        if let Some(comment) = &self.comment {
            sql.push_str(&format!(";\ncomment on policy {name} on {table} is {}", quote_literal(comment)));
        }
        sql
    }

    pub fn drop(&self, table: &str) -> String {
        format!("drop policy {} on {table}", quote_identifier(&self.name))
    }
}

/// The names that are ours on any table.
pub const NAMES: [&str; 5] = ["nebula_tenant", "nebula_read", "nebula_create", "nebula_update", "nebula_delete"];

/// What a protected table has. In exactly this form (design, section 3): STABLE functions that return backend memory keep the index and cost nothing per row.
pub fn wanted(wish: &Wish) -> Vec<Policy> {
    let column = quote_identifier(&wish.tenant_column);
    // As Postgres writes them back, so that what is there can be compared with what is wanted.
    let tenant = format!("({column} = nebula.current_tenant())");
    let may = |action: &str| Some(format!("({column} = nebula.tenant_for({}::text))", quote_literal(action)));
    let policy = |name: &str, command: &str, using: Option<String>, with_check: Option<String>| Policy {
        name: name.to_owned(),
        is_permissive: name != "nebula_tenant",
        command: command.to_owned(),
        roles: vec![None],
        using,
        with_check,
        comment: None,
    };
    let [read, create, update, delete] = wish.actions.each_ref().map(|action| may(action));
    vec![
        policy("nebula_tenant", "all", Some(tenant.clone()), Some(tenant)),
        policy("nebula_read", "select", read, None),
        policy("nebula_create", "insert", None, create),
        policy("nebula_update", "update", update.clone(), update),
        policy("nebula_delete", "delete", delete, None),
    ]
}
