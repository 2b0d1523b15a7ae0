//! What Postgres' catalog says of a function.

use super::unfit::{Result, Unfit};
use crate::kernel::spi::{self, Arg};
use serde::Deserialize;

/// What `facts.sql` tells of a function.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Facts {
    pub schema: String,
    pub name: String,
    pub prokind: String,
    pub language: String,
    pub is_trusted: bool,
    pub is_definer: bool,
    pub is_strict: bool,
    pub returns_set: bool,
    pub result: i64,
    pub owner: String,
    pub owner_name: String,
    pub settings: Vec<String>,
    pub is_of_extension: bool,
    pub is_of_system: bool,
    pub runner: String,
    pub is_runner_strong: bool,
    pub can_runner_execute: bool,
    pub is_granted: bool,
    pub closed_schema: Option<String>,
    pub arguments: Vec<ArgumentFacts>,
    pub types: Vec<TypeFacts>,
}

/// Of an argument, taken or given out.
#[derive(Deserialize)]
pub struct ArgumentFacts {
    pub name: String,
    pub mode: String,
    #[serde(rename = "type")]
    pub kind: i64,
    pub default: Option<String>,
}

/// Of a type that it needs.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TypeFacts {
    pub oid: i64,
    pub sql: String,
    pub schema: String,
    pub name: String,
    pub typtype: String,
    pub category: String,
    pub base: i64,
    pub modifier: i32,
    pub is_required: bool,
    pub element: Option<i64>,
    pub labels: Option<Vec<String>>,
    pub attributes: Option<Vec<AttributeFacts>>,
}

/// Of an attribute of a composite type.
#[derive(Deserialize)]
pub struct AttributeFacts {
    pub name: String,
    #[serde(rename = "type")]
    pub kind: i64,
    pub modifier: i32,
}

/// Looks a function up. Must run with the search path pinned, by which the signature was written.
pub fn read(name: &str, signature: &str) -> Result<Facts> {
    let facts = spi::text(include_str!("facts.sql"), &[Arg::Text(name), Arg::Text(signature), Arg::Text("nebula")]);
    let Some(facts) = facts else {
        return Err(Unfit { rule: "function_missing", message: format!("there is no function {signature}"), hint: None });
    };
    serde_json::from_str(&facts).map_err(|error| Unfit::new(format!("the catalog was not understood: {error}")))
}
