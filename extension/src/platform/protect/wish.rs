//! What a call of `nebula.protect` asks for, checked.

use super::{
    refused::{Refused, Result},
    table::Table,
};
use crate::{
    domain,
    kernel::{
        outbox,
        spi::{self, Arg, quote_identifier, quote_literal},
        sql_caller::PLATFORM,
    },
};
use nebula_core::text::Key;
use serde::Deserialize;
use std::collections::BTreeMap;
use uuid::Uuid;

/// The verbs, in the order of every list here.
pub const VERBS: [&str; 4] = ["read", "create", "update", "delete"];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    tenant: Option<Uuid>,
    tenant_query: Option<String>,
    #[serde(default = "tenant_id")]
    tenant_column: String,
    resource: Option<String>,
    #[serde(default)]
    actions: BTreeMap<String, String>,
    tool: Option<String>,
    package: Option<String>,
    #[serde(default)]
    personal_columns: Vec<String>,
    #[serde(default = "yes")]
    audited: bool,
    #[serde(default)]
    emits: bool,
    #[serde(default)]
    touches_updated_at: bool,
    #[serde(default)]
    replace_policies: bool,
    #[serde(default)]
    grant_to: Vec<String>,
}

fn tenant_id() -> String {
    "tenant_id".to_owned()
}

fn yes() -> bool {
    true
}

/// The whole of what is wanted.
pub struct Wish {
    pub tenant: Option<Uuid>,
    pub tenant_query: Option<String>,
    pub tenant_column: String,
    pub resource: String,
    /// By [`VERBS`].
    pub actions: [String; 4],
    pub tool: String,
    pub package: Option<String>,
    pub personal_columns: Vec<String>,
    pub audited: bool,
    pub emits: bool,
    pub touches_updated_at: bool,
    pub replace_policies: bool,
    pub grant_to: Vec<String>,
}

impl Wish {
    /// Checks the options against the table.
    pub fn parse(options: &str, table: &Table) -> Result<Self> {
        let options = serde_json::from_str::<Options>(options)
            .map_err(|error| Refused::argument(format!("the options of protect: {error}"), "docs/protect.md lists them."))?;
        if options.tenant.is_some() && options.tenant_query.is_some() {
            return Err(Refused::argument("both tenant and tenant_query are given", "One of them says whose the rows are."));
        }
        let is_derived = options.resource.is_none();
        let resource = options.resource.unwrap_or_else(|| table.name.clone());
        let key = |what: &str, key: &str| {
            Key::parse(key).map(|_| ()).map_err(|_| {
                Refused::argument(
                    format!("{what} {key:?} is no key"),
                    "A key has lower-case letters, digits, _ and -, joined by dots, and begins with a letter; the option resource names the noun where the table's name is none.",
                )
            })
        };
        key("resource", &resource)?;
        if let Some(verb) = options.actions.keys().find(|verb| !VERBS.contains(&verb.as_str())) {
            return Err(Refused::argument(format!("actions has no verb {verb:?}"), "They are read, create, update and delete."));
        }
        let actions = VERBS.map(|verb| options.actions.get(verb).cloned().unwrap_or_else(|| format!("{resource}.{verb}")));
        for action in &actions {
            key("action", action)?;
        }
        let own = domain::operations();
        let taken = actions
            .iter()
            .zip(VERBS)
            .find(|(action, verb)| !options.actions.contains_key(*verb) && own.iter().any(|own| *own.action == ***action));
        if let Some((action, _)) = taken.filter(|_| is_derived) {
            return Err(Refused::argument(
                format!("{action} is an operation of the product"),
                "Name another resource, or bind the verb to that action by the option actions.",
            ));
        }
        if options.emits && outbox::is_reserved(&resource) {
            return Err(Refused::argument(format!("events of {resource} are the product's own"), "Name another resource."));
        }
        let tool = options.tool.unwrap_or_else(|| resource.clone());
        key("tool", &tool)?;
        if let Some(column) = options.personal_columns.iter().find(|column| table.column(column).is_none()) {
            return Err(Refused::argument(
                format!("{} has no column {column}", table.qualified()),
                "Name columns of the table in personal_columns.",
            ));
        }
        if let Some(role) = options.grant_to.iter().find(|role| !exists("select from pg_catalog.pg_roles where rolname = $1", role)) {
            return Err(Refused::argument(format!("there is no role {role}"), "Name roles that exist in grant_to."));
        }
        let wish = Self {
            tenant: options.tenant,
            tenant_query: options.tenant_query,
            tenant_column: options.tenant_column,
            resource,
            actions,
            tool,
            package: options.package,
            personal_columns: options.personal_columns,
            audited: options.audited,
            emits: options.emits,
            touches_updated_at: options.touches_updated_at,
            replace_policies: options.replace_policies,
            grant_to: options.grant_to,
        };
        wish.check_platform()?;
        Ok(wish)
    }

    /// The tenant's column can be one, and it is known whose the rows are where it is missing.
    pub fn check_column(&self, table: &Table) -> Result<()> {
        let Some(column) = table.column(&self.tenant_column) else {
            if self.tenant.is_none() && self.tenant_query.is_none() && self.rows(table) {
                return Err(Refused::argument(
                    format!("whose are the rows of {}?", table.qualified()),
                    "Give a tenant that they all belong to, or a tenant_query over each row, t: select c.tenant_id from public.customers c where c.id = t.customer_id.",
                ));
            }
            return Ok(());
        };
        if column.kind != "uuid" {
            return Err(Refused::kind(
                format!("{}.{} is of type {}", table.qualified(), self.tenant_column, column.kind),
                "A tenant's id is a uuid: name another column in tenant_column.",
            ));
        }
        if column.is_generated {
            return Err(Refused::kind(
                format!("{}.{} makes its values itself", table.qualified(), self.tenant_column),
                "The tenant's column gets the caller's tenant by default: name another one in tenant_column.",
            ));
        }
        Ok(())
    }

    fn rows(&self, table: &Table) -> bool {
        spi::text(&format!("select 'yes' from {} limit 1", table.qualified()), &[]).is_some()
    }

    /// Tenant and package exist.
    fn check_platform(&self) -> Result<()> {
        let is_known = |sql: &str, value: &str| spi::as_role(PLATFORM, || exists(sql, value));
        if let Some(tenant) = self.tenant.filter(|tenant| !is_known("select from nebula.tenant where id = $1::uuid", &tenant.to_string())) {
            return Err(Refused::argument(format!("there is no tenant {tenant}"), "Create it first."));
        }
        if let Some(package) = self.package.as_ref().filter(|package| !is_known("select from nebula.package where key = $1", package)) {
            return Err(Refused::argument(format!("there is no package {package}"), "Create it first, or leave the option away."));
        }
        Ok(())
    }

    /// SQL of a row's tenant; `None` where rows have it already.
    pub fn tenant_of_row(&self) -> Option<String> {
        self.tenant
            .map(|tenant| format!("{}::pg_catalog.uuid", quote_literal(&tenant.to_string())))
            .or_else(|| self.tenant_query.as_ref().map(|query| format!("({query})")))
    }

    pub fn quoted_column(&self) -> String {
        quote_identifier(&self.tenant_column)
    }

    /// The options, as the first step names them.
    pub fn options(&self) -> String {
        let actions = VERBS.iter().zip(&self.actions).collect::<BTreeMap<_, _>>();
        let mut options = serde_json::json!({
            "tenant_column": self.tenant_column, "resource": self.resource, "actions": actions, "tool": self.tool,
            "personal_columns": self.personal_columns, "audited": self.audited, "emits": self.emits,
            "touches_updated_at": self.touches_updated_at, "replace_policies": self.replace_policies, "grant_to": self.grant_to,
        });
        if let Some(members) = options.as_object_mut() {
            members.extend(self.tenant.map(|tenant| ("tenant".to_owned(), serde_json::json!(tenant))));
            members.extend(self.tenant_query.as_ref().map(|query| ("tenant_query".to_owned(), serde_json::json!(query))));
            members.extend(self.package.as_ref().map(|package| ("package".to_owned(), serde_json::json!(package))));
        }
        options.to_string()
    }
}

fn exists(sql: &str, value: &str) -> bool {
    spi::first(sql, &[Arg::Text(value)], |_| ()).is_some()
}
