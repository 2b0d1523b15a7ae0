//! The statement that calls a function and makes JSON of its result.

use super::function::{Argument, Function, Shape};
use crate::kernel::spi;
use nebula_core::argument::{Field, Type};

impl Function {
    /// The statement for a call in which these arguments are given, in the order of the function's; each is an element of the array `$1`.
    /// All are passed, with their defaults and exact types, so that no other function of the name is called.
    #[must_use]
    pub fn statement(&self, is_given: impl Fn(&Argument) -> bool, max_rows: u32) -> String {
        let arguments = self.arguments.iter().enumerate().map(|(index, argument)| {
            let value = match &argument.default {
                Some(default) if !is_given(argument) => format!("({default})"),
                _ => format!("($1)[{}]", index + 1),
            };
            let variadic = if argument.is_variadic { "variadic " } else { "" };
            format!("{variadic}{} => {value}::{}", spi::quote_identifier(&argument.sql_name), argument.sql_type)
        });
        let called = format!("{}({})", self.qualified, arguments.collect::<Vec<_>>().join(", "));
        let (aliases, value) = match &self.shape {
            Shape::Nothing => ("c1".to_owned(), "null::pg_catalog.json".to_owned()),
            Shape::Value(kind) => ("c1".to_owned(), json_of(kind, "r.c1", 1)),
            Shape::Row(columns) => {
                let aliases = (1..=columns.len()).map(|index| format!("c{index}")).collect::<Vec<_>>();
                let row = row_of(columns.iter().zip(aliases.iter().map(|alias| format!("r.{alias}"))), 1);
                // A composite value that is null comes as a row of nulls.
                let is_null = aliases.iter().map(|alias| format!("r.{alias} is not distinct from null")).collect::<Vec<_>>().join(" and ");
                (aliases.join(", "), if self.returns_set { row } else { format!("case when not ({is_null}) then {row} end") })
            }
        };
        if self.returns_set && !matches!(self.shape, Shape::Nothing) {
            return format!(
                "select coalesce(pg_catalog.json_agg(q.item), '[]')::pg_catalog.text, pg_catalog.count(*) \
                 from (select {value} as item from {called} as r({aliases}) limit {}) q",
                u64::from(max_rows) + 1
            );
        }
        format!("select ({value})::pg_catalog.text, 1::pg_catalog.int8 from {called} as r({aliases})")
    }
}

/// Whether Postgres' own JSON of it would have other names or another form than ours.
fn is_plain(kind: &Type) -> bool {
    match kind {
        Type::Bytes | Type::Object(_) => false,
        Type::Domain { base: inner, .. } | Type::List(inner) => is_plain(inner),
        _ => true,
    }
}

/// The expression that makes JSON of a value.
fn json_of(kind: &Type, value: &str, depth: usize) -> String {
    match kind {
        kind if is_plain(kind) => format!("pg_catalog.to_json({value})"),
        Type::Bytes => format!("pg_catalog.to_json(pg_catalog.translate(pg_catalog.encode({value}, 'base64'), E'\\n', ''))"),
        Type::Domain { base, .. } => json_of(base, value, depth),
        Type::Object(fields) => {
            let row = row_of(fields.iter().map(|field| (field, format!("({value}).{}", spi::quote_identifier(&field.column)))), depth);
            format!("case when {value} is distinct from null then {row} end")
        }
        Type::List(item) => {
            let item = json_of(item, &format!("({value})[g{depth}.i]"), depth + 1);
            format!(
                "case when {value} is distinct from null then (select coalesce(pg_catalog.json_agg({item} order by g{depth}.i), '[]') \
                 from pg_catalog.generate_subscripts({value}, 1) as g{depth}(i)) end"
            )
        }
        _ => format!("pg_catalog.to_json({value})"),
    }
}

/// A row with the columns' JSON names: without the limit of a function's arguments.
fn row_of<'a>(columns: impl Iterator<Item = (&'a Field, String)>, depth: usize) -> String {
    let columns =
        columns.map(|(field, value)| format!("{} as {}", json_of(&field.kind, &value, depth), spi::quote_identifier(&field.name)));
    format!("(select pg_catalog.row_to_json(o{depth}) from (select {}) as o{depth})", columns.collect::<Vec<_>>().join(", "))
}
