//! What the catalog shows of a table that is to be protected.

use super::{
    policy::Policy,
    privilege::Privilege,
    refused::{Refused, Result},
};
use crate::kernel::spi::{self, Arg, quote_identifier};
use serde::Deserialize;

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Table {
    pub oid: i64,
    pub schema: String,
    pub name: String,
    kind: String,
    is_temporary: bool,
    is_owner: bool,
    is_of_extension: bool,
    is_partition: bool,
    inherits: bool,
    pub row_security: bool,
    pub force_row_security: bool,
    /// Row security filters what the caller sees of it.
    pub hides_rows: bool,
    pub columns: Vec<Column>,
    pub indexes: Vec<Index>,
    pub constraints: Vec<Constraint>,
    pub policies: Vec<Policy>,
    pub triggers: Vec<Trigger>,
    pub privileges: Vec<Privilege>,
    /// Of its serial columns.
    pub sequences: Vec<String>,
    /// Roles that may use the table, and can't ask `nebula.tenant_for`.
    pub blind_roles: Vec<String>,
    partitions: Vec<i64>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Column {
    pub name: String,
    #[serde(rename = "type")]
    pub kind: String,
    pub is_not_null: bool,
    /// Its values make themselves: generated, or an identity.
    pub is_generated: bool,
    pub default: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Index {
    pub name: String,
    pub is_valid: bool,
    pub is_unique: bool,
    /// A B-tree of all rows.
    pub is_whole: bool,
    pub columns: Vec<String>,
    pub has_expressions: bool,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Constraint {
    pub name: String,
    pub is_valid: bool,
    pub refers_to_tenant: bool,
    /// The table that a foreign key leads to.
    pub refers_to: Option<String>,
    pub columns: Vec<String>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Trigger {
    pub name: String,
    pub function: String,
    /// `pg_trigger.tgenabled`.
    pub enabled: String,
}

impl Table {
    /// Reads it by its qualified name.
    pub fn named(target: &str) -> Result<Self> {
        let oid = spi::text("select pg_catalog.to_regclass($1)::oid::text", &[Arg::Text(target)]).and_then(|oid| oid.parse().ok());
        oid.and_then(Self::of).ok_or_else(|| Refused {
            code: pgrx::PgSqlErrorCode::ERRCODE_UNDEFINED_TABLE,
            message: format!("there is no table {target}"),
            hint: "Name it with its schema.".to_owned(),
        })
    }

    fn of(oid: i64) -> Option<Self> {
        let text = spi::text(include_str!("table.sql"), &[Arg::BigInt(oid)])?;
        serde_json::from_str(&text).ok()
    }

    /// Reads it again.
    pub fn again(&self) -> Result<Self> {
        Self::of(self.oid).ok_or_else(|| Refused::state(format!("{} is gone", self.qualified()), "It was dropped meanwhile."))
    }

    /// Its partitions, theirs included.
    pub fn partitions(&self) -> Vec<Self> {
        self.partitions.iter().filter_map(|oid| Self::of(*oid)).collect()
    }

    pub fn qualified(&self) -> String {
        format!("{}.{}", quote_identifier(&self.schema), quote_identifier(&self.name))
    }

    pub fn is_partitioned(&self) -> bool {
        self.kind == "p"
    }

    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }

    pub fn index(&self, name: &str) -> Option<&Index> {
        self.indexes.iter().find(|index| index.name == name)
    }

    /// An index that finds a tenant's rows.
    pub fn tenant_index(&self, column: &str) -> Option<&Index> {
        self.indexes.iter().find(|index| index.is_valid && index.is_whole && index.columns.first().is_some_and(|first| first == column))
    }

    /// The foreign key from this column to the tenants.
    pub fn tenant_key(&self, column: &str) -> Option<&Constraint> {
        self.constraints.iter().find(|key| key.refers_to_tenant && key.columns == [column])
    }

    pub fn has_constraint(&self, name: &str) -> bool {
        self.constraints.iter().any(|constraint| constraint.name == name)
    }

    /// Only the owner changes a table, and not every table is one.
    pub fn require_protectable(&self) -> Result<()> {
        let name = self.qualified();
        if matches!(self.schema.as_str(), "nebula" | "pg_catalog" | "information_schema" | "pg_toast") || self.schema.starts_with("pg_") {
            return Err(Refused::kind(format!("{name} is a table of the system"), "Protect tables of the application."));
        }
        match self.kind.as_str() {
            "r" | "p" => {}
            "v" | "m" => {
                return Err(Refused::kind(
                    format!("{name} is a view"),
                    "Protect the tables that it reads; give a view the option security_invoker.",
                ));
            }
            "f" => return Err(Refused::kind(format!("{name} is a foreign table"), "Protect it where its rows are.")),
            _ => return Err(Refused::kind(format!("{name} is no table"), "Protect tables.")),
        }
        if !self.is_owner {
            return Err(Refused::privilege(format!("{name} is not yours"), "Its owner, or a superuser, protects it."));
        }
        if self.is_temporary {
            return Err(Refused::kind(format!("{name} is temporary"), "It is its session's alone, and ends with it."));
        }
        if self.is_of_extension {
            return Err(Refused::kind(format!("{name} belongs to an extension"), "What was added to it would not be dumped."));
        }
        if self.is_partition {
            return Err(Refused::kind(format!("{name} is a partition"), "Protect the table that it is part of."));
        }
        if self.inherits {
            return Err(Refused::kind(
                format!("{name} inherits, or is inherited from"),
                "Policies of a parent do not bind its children: make it a partitioned table, or tables of their own.",
            ));
        }
        Ok(())
    }
}
