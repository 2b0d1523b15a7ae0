//! A SQL function as an operation: how its arguments and its result are JSON.

use super::{
    facts::{self, Facts},
    judge::judge,
    types::{Types, distinct},
    unfit::{Result, Unfit},
};
use crate::kernel::spi;
use nebula_core::argument::{Field, Type, json_name};
use serde_json::{Map, Value, json};
use std::collections::HashMap;

/// An argument that a caller gives.
#[derive(Debug)]
pub struct Argument {
    /// In Postgres.
    pub sql_name: String,
    pub sql_type: String,
    pub is_variadic: bool,
    /// In JSON.
    pub name: String,
    pub kind: Type,
    /// The default's expression.
    pub default: Option<String>,
}

/// Of an object: an argument that is given out, or an attribute.
pub type Columns = Vec<Field>;

/// What it returns, once or many times.
#[derive(Debug)]
pub enum Shape {
    Nothing,
    Value(Type),
    Row(Columns),
}

/// A function that may be called.
#[derive(Debug)]
pub struct Function {
    pub signature: String,
    pub owner: String,
    /// As whom it runs.
    pub runner: String,
    pub can_runner_execute: bool,
    /// Whether execute was granted to that role by name.
    pub is_granted: bool,
    pub arguments: Vec<Argument>,
    /// For what it names without a schema, unless it has a setting of its own.
    pub search_path: String,
    /// Without schema and types.
    pub name: String,
    /// With its schema, quoted.
    pub qualified: String,
    is_strict: bool,
    pub shape: Shape,
    pub returns_set: bool,
}

/// Looks a function up and judges it. Must run with the search path pinned, by which the signature was written.
pub fn examine(name: &str, signature: &str) -> Result<Function> {
    let facts = facts::read(name, signature)?;
    judge(&facts, signature)?;
    build(facts, signature)
}

fn build(facts: Facts, signature: &str) -> Result<Function> {
    let types = facts.types.iter().map(|kind| (kind.oid, kind)).collect::<HashMap<_, _>>();
    let types = Types { types, signature };
    let mut arguments: Vec<Argument> = Vec::new();
    for (index, argument) in facts.arguments.iter().enumerate().filter(|(_, argument)| matches!(argument.mode.as_str(), "i" | "b" | "v")) {
        if argument.name.is_empty() {
            return Err(
                Unfit::new(format!("argument {} of {signature} has no name", index + 1)).hint("JSON has names only: name each argument.")
            );
        }
        let name = json_name(&argument.name, true);
        if let Some(other) = arguments.iter().find(|other| other.name == name) {
            return Err(Unfit::new(format!(
                "the arguments {} and {} of {signature} are both {name} in JSON",
                other.sql_name, argument.name
            )));
        }
        arguments.push(Argument {
            name,
            sql_name: argument.name.clone(),
            sql_type: types.get(argument.kind)?.sql.clone(),
            is_variadic: argument.mode == "v",
            kind: types.of(argument.kind, -1, 0)?,
            default: argument.default.clone(),
        });
    }
    let given_out = facts.arguments.iter().filter(|argument| matches!(argument.mode.as_str(), "o" | "b" | "t")).collect::<Vec<_>>();
    let shape = if !given_out.is_empty() {
        let columns = given_out.iter().map(|column| {
            if column.name.is_empty() {
                return Err(Unfit::new(format!("a column of the result of {signature} has no name")));
            }
            Ok(Field { column: column.name.clone(), name: json_name(&column.name, false), kind: types.of(column.kind, -1, 0)? })
        });
        Shape::Row(distinct(columns.collect::<Result<Vec<_>>>()?, signature)?)
    } else {
        let result = types.get(facts.result)?;
        match (result.typtype.as_str(), result.name.as_str()) {
            ("p", "void") => Shape::Nothing,
            ("p", "record") => {
                return Err(Unfit::new(format!("{signature} returns rows whose columns are not known"))
                    .hint("Declare `returns table (…)`, a composite type, or json."));
            }
            _ => match types.of(facts.result, -1, 0)? {
                Type::Object(columns) => Shape::Row(columns),
                kind => Shape::Value(kind),
            },
        }
    };
    let schema = spi::quote_identifier(&facts.schema);
    Ok(Function {
        signature: signature.to_owned(),
        qualified: format!("{schema}.{}", spi::quote_identifier(&facts.name)),
        name: facts.name,
        owner: facts.owner_name,
        runner: facts.runner,
        can_runner_execute: facts.can_runner_execute,
        is_granted: facts.is_granted,
        arguments,
        search_path: format!("{schema}, pg_temp"),
        is_strict: facts.is_strict,
        shape,
        returns_set: facts.returns_set,
    })
}

impl Argument {
    #[must_use]
    pub fn is_optional(&self) -> bool {
        self.default.is_some()
    }

    /// Whether null is a value of it.
    #[must_use]
    pub fn takes_null(&self, function: &Function) -> bool {
        !function.is_strict && !matches!(self.kind, Type::Domain { is_required: true, .. })
    }
}

impl Function {
    #[must_use]
    pub fn returns_nothing(&self) -> bool {
        matches!(self.shape, Shape::Nothing)
    }

    #[must_use]
    pub fn returns_list(&self) -> bool {
        self.returns_set
    }

    /// The input as JSON Schema.
    #[must_use]
    pub fn input_schema(&self) -> Value {
        let members = self.arguments.iter().map(|argument| {
            let schema = if argument.takes_null(self) { argument.kind.nullable_schema() } else { argument.kind.schema() };
            (argument.name.clone(), Value::Object(schema))
        });
        let required = self.arguments.iter().filter(|argument| !argument.is_optional()).map(|argument| &argument.name).collect::<Vec<_>>();
        json!({ "type": "object", "properties": members.collect::<Map<_, _>>(), "required": required, "additionalProperties": false })
    }

    /// `data` as JSON Schema; `None` without content.
    #[must_use]
    pub fn answer_schema(&self) -> Option<Value> {
        let of_columns = |columns: &Columns| Type::Object(columns.clone());
        let kind = match &self.shape {
            Shape::Nothing => return None,
            Shape::Value(kind) => kind.clone(),
            Shape::Row(columns) => of_columns(columns),
        };
        Some(if self.returns_set {
            json!({ "type": "array", "items": kind.nullable_schema() })
        } else {
            Value::Object(kind.nullable_schema())
        })
    }

    /// The arguments' domain that Postgres names in an error, as a field of the input.
    #[must_use]
    pub fn field_of_domain(&self, domain: &str) -> Option<&str> {
        self.arguments.iter().find(|argument| argument.kind.holds_domain(domain)).map(|argument| argument.name.as_str())
    }
}
