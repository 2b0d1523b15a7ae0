//! Postgres' types as JSON's.

use super::{
    facts::TypeFacts,
    unfit::{Result, Unfit},
};
use nebula_core::argument::{Field, Type, json_name};
use std::collections::HashMap;

/// A type within a type, at most: a client's JSON is bounded as well.
const MAX_DEPTH: usize = 8;

/// The types that a function needs, by oid.
pub struct Types<'a> {
    pub types: HashMap<i64, &'a TypeFacts>,
    pub signature: &'a str,
}

impl Types<'_> {
    pub fn get(&self, oid: i64) -> Result<&TypeFacts> {
        self.types.get(&oid).copied().ok_or_else(|| Unfit::new(format!("{} has a type that is too deep", self.signature)))
    }

    pub fn of(&self, oid: i64, modifier: i32, depth: usize) -> Result<Type> {
        let facts = self.get(oid)?;
        let unknown = || {
            Unfit::new(format!("{} has a value of type {}, which has no one form in JSON", self.signature, facts.sql))
                .hint("Take and give text, numbers, times, json, enums, domains, composite types, and lists of them.")
        };
        if depth > MAX_DEPTH {
            return Err(unknown());
        }
        if let Some(element) = facts.element {
            return match self.of(element, modifier, depth + 1)? {
                Type::List(_) => Err(unknown()),
                item => Ok(Type::List(Box::new(item))),
            };
        }
        match facts.typtype.as_str() {
            "e" => Ok(Type::Enum(facts.labels.clone().unwrap_or_default())),
            "d" => match self.of(facts.base, facts.modifier, depth + 1)? {
                Type::Object(_) => Err(unknown()),
                base => Ok(Type::Domain { name: facts.name.clone(), base: Box::new(base), is_required: facts.is_required }),
            },
            "c" => {
                let fields = facts.attributes.iter().flatten().map(|attribute| {
                    let kind = self.of(attribute.kind, attribute.modifier, depth + 1)?;
                    Ok(Field { column: attribute.name.clone(), name: json_name(&attribute.name, false), kind })
                });
                distinct(fields.collect::<Result<Vec<_>>>()?, self.signature).map(Type::Object)
            }
            "b" => scalar(facts, modifier).ok_or_else(unknown),
            _ => Err(unknown()),
        }
    }
}

fn scalar(facts: &TypeFacts, modifier: i32) -> Option<Type> {
    if facts.schema != "pg_catalog" {
        // citext and its like.
        return (facts.category == "S").then_some(Type::Text { max: None });
    }
    Some(match facts.name.as_str() {
        "bool" => Type::Boolean,
        "int2" => Type::Integer(16),
        "int4" => Type::Integer(32),
        "int8" => Type::Integer(64),
        "numeric" => Type::Numeric,
        "float4" => Type::Float { is_single: true },
        "float8" => Type::Float { is_single: false },
        // The modifier counts its own four bytes.
        "text" | "varchar" | "bpchar" => Type::Text { max: usize::try_from(modifier - 4).ok().filter(|_| modifier >= 4) },
        "uuid" => Type::Uuid,
        "date" => Type::Date,
        "timestamptz" => Type::Instant,
        "timestamp" => Type::DateTime,
        "time" => Type::Time,
        "interval" => Type::Duration,
        "json" | "jsonb" => Type::Json,
        "bytea" => Type::Bytes,
        _ => return None,
    })
}

/// Refuses columns that are one in JSON.
pub fn distinct(columns: Vec<Field>, signature: &str) -> Result<Vec<Field>> {
    for (index, column) in columns.iter().enumerate() {
        if let Some(other) = columns.iter().take(index).find(|other| other.name == column.name) {
            return Err(Unfit::new(format!("{} and {} in {signature} are both {} in JSON", other.column, column.column, column.name)));
        }
    }
    Ok(columns)
}
