//! Privileges on a protected table: what row security does not bind is taken away, what was asked for is given, and both are remembered.

use super::{table::Table, wish::Wish};
use crate::kernel::spi::quote_identifier;
use serde::{Deserialize, Serialize};

/// A privilege of somebody on a table, or on a sequence of its columns.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Privilege {
    /// `None` is PUBLIC.
    pub grantee: Option<String>,
    pub privilege: String,
    pub is_grantable: bool,
    /// Qualified; `None`: on the table.
    #[serde(default)]
    pub sequence: Option<String>,
}

impl Privilege {
    fn grantee(&self) -> String {
        self.grantee.as_deref().map_or_else(|| "public".to_owned(), quote_identifier)
    }

    fn object(&self, table: &str) -> String {
        self.sequence.as_ref().map_or_else(|| table.to_owned(), |sequence| format!("sequence {sequence}"))
    }

    pub fn grant(&self, table: &str) -> String {
        let option = if self.is_grantable { " with grant option" } else { "" };
        format!("grant {} on {} to {}{option}", self.privilege, self.object(table), self.grantee())
    }

    pub fn revoke(&self, table: &str) -> String {
        format!("revoke {} on {} from {}", self.privilege, self.object(table), self.grantee())
    }

    /// Whether the table gives it, with or without the right to hand it on.
    pub fn is_held(&self, table: &Table) -> bool {
        table.privileges.iter().any(|p| p.grantee == self.grantee && p.privilege == self.privilege && p.sequence == self.sequence)
    }
}

/// Row security doesn't bind TRUNCATE; a foreign key or a trigger of somebody else's would see every row; MAINTAIN (from 17 on) locks all tenants out.
const UNBOUND: [&str; 4] = ["truncate", "references", "trigger", "maintain"];

/// Whoever speaks for tenants. Supabase's default privileges give them everything.
const CALLERS: [Option<&str>; 4] = [None, Some("anon"), Some("authenticated"), Some("nebula_app")];

/// What is to be taken away as things are.
pub fn excess(table: &Table) -> Vec<Privilege> {
    let is_excess =
        |p: &&Privilege| p.sequence.is_none() && CALLERS.contains(&p.grantee.as_deref()) && UNBOUND.contains(&p.privilege.as_str());
    table.privileges.iter().filter(is_excess).cloned().collect()
}

/// What is to be given as things are.
pub fn missing(table: &Table, wish: &Wish) -> Vec<Privilege> {
    let wanted = wish.grant_to.iter().flat_map(|role| {
        let privilege = |privilege: &str, sequence: Option<String>| Privilege {
            grantee: Some(role.clone()),
            privilege: privilege.to_owned(),
            is_grantable: false,
            sequence,
        };
        let on_table = ["select", "insert", "update", "delete"].map(|verb| privilege(verb, None));
        on_table.into_iter().chain(table.sequences.iter().map(|sequence| privilege("usage", Some(sequence.clone()))).collect::<Vec<_>>())
    });
    wanted.filter(|privilege| !privilege.is_held(table)).collect()
}
