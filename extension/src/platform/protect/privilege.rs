//! Privileges on a protected table: what row security does not bind is taken away, what was asked for is given, and both are remembered.

use super::{table::Table, wish::Wish};
use crate::kernel::spi::quote_identifier;
use serde::{Deserialize, Serialize};

/// A privilege of somebody on a table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Privilege {
    /// `None` is PUBLIC.
    pub grantee: Option<String>,
    pub privilege: String,
    pub is_grantable: bool,
}

impl Privilege {
    fn grantee(&self) -> String {
        self.grantee.as_deref().map_or_else(|| "public".to_owned(), quote_identifier)
    }

    pub fn grant(&self, table: &str) -> String {
        let option = if self.is_grantable { " with grant option" } else { "" };
        format!("grant {} on {table} to {}{option}", self.privilege, self.grantee())
    }

    pub fn revoke(&self, table: &str) -> String {
        format!("revoke {} on {table} from {}", self.privilege, self.grantee())
    }
}

/// Row security doesn't bind TRUNCATE; a foreign key or a trigger of somebody else's would see every row.
const UNBOUND: [&str; 3] = ["truncate", "references", "trigger"];

/// Whoever speaks for tenants. Supabase's default privileges give them everything.
const CALLERS: [Option<&str>; 4] = [None, Some("anon"), Some("authenticated"), Some("nebula_app")];

/// What is to be taken away as things are.
pub fn excess(table: &Table) -> Vec<Privilege> {
    let is_excess = |p: &&Privilege| CALLERS.contains(&p.grantee.as_deref()) && UNBOUND.contains(&p.privilege.as_str());
    table.privileges.iter().filter(is_excess).cloned().collect()
}

/// What is to be given as things are.
pub fn missing(table: &Table, wish: &Wish) -> Vec<Privilege> {
    let wanted = wish.grant_to.iter().flat_map(|role| {
        ["select", "insert", "update", "delete"].map(|privilege| Privilege {
            grantee: Some(role.clone()),
            privilege: privilege.to_owned(),
            is_grantable: false,
        })
    });
    let has = |wanted: &Privilege| table.privileges.iter().any(|p| p.grantee == wanted.grantee && p.privilege == wanted.privilege);
    wanted.filter(|privilege| !has(privilege)).collect()
}
