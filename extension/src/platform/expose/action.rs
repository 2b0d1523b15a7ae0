//! The catalog's side of an operation: its action, the tool that this belongs to, the package that sells it.

use super::{
    definition::{Definition, Wanted},
    refused::{Refused, Result},
};
use crate::kernel::{
    custom_operation::Options,
    seed,
    spi::{self, Arg},
};
use nebula_core::text::Key;

/// Makes the action, and its tool, where they are missing, and puts it into the package. Whether the action was made.
pub fn ensure_action(wanted: &Wanted, definition: &Definition, options: &Options) -> Result<bool> {
    let action = definition.action.as_str();
    let tool = wanted.tool.map_or_else(|| action.split('.').next().unwrap_or_default().to_owned(), str::to_owned);
    if Key::parse(&tool).is_err() {
        return Err(Refused::invalid(format!("{tool} is no key of a tool")));
    }
    let known = spi::first(
        "select a.kind, t.key from nebula.tool_action a join nebula.tool t on t.id = a.tool_id where a.key = $1",
        &[Arg::Text(action)],
        |row| (row.text(1).unwrap_or_default(), row.text(2).unwrap_or_default()),
    );
    match &known {
        Some((kind, _)) if kind != definition.kind.as_str() => {
            return Err(Refused::invalid(format!("the action {action} is of kind {kind}"))
                .hint("An action has one kind, which keys' profiles and groups go by."));
        }
        Some((_, of)) if wanted.tool.is_some() && *of != tool => {
            return Err(Refused::invalid(format!("the action {action} is of the tool {of}")));
        }
        Some(_) => {}
        None => {
            spi::run("insert into nebula.tool (key, name) values ($1, $1) on conflict (key) do nothing", &[Arg::Text(&tool)]);
            spi::run(
                "insert into nebula.tool_action (tool_id, key, name, kind) select t.id, $2, $3, $4 from nebula.tool t where t.key = $1",
                &[Arg::Text(&tool), Arg::Text(action), Arg::Text(&options.summary_pt), Arg::Text(definition.kind.as_str())],
            );
        }
    }
    if let Some(package) = wanted.package {
        let is_there = spi::first("select true from nebula.package where key = $1", &[Arg::Text(package)], |row| row.boolean(1));
        if is_there.is_none() {
            return Err(Refused::invalid(format!("there is no package {package}")).hint("select key from nebula.package;"));
        }
        let added = spi::run(
            "insert into nebula.package_action (package_id, tool_action_id) select p.id, a.id from nebula.package p, nebula.tool_action a \
             where p.key = $1 and a.key = $2 on conflict (package_id, tool_action_id) do nothing",
            &[Arg::Text(package), Arg::Text(action)],
        );
        if added > 0 {
            seed::administrators_of_all();
        }
    }
    Ok(known.is_none())
}

/// The action stays for those whom it is granted to, but allows nothing, unless it was there before, or something else still goes by it.
pub fn suspend(action: &str) {
    let is_used =
        spi::first("select exists (select from nebula.operation where status = 'ativo' and action = $1)", &[Arg::Text(action)], |row| {
            row.boolean(1)
        });
    if is_used.flatten() == Some(false) && !is_protecting(action) {
        spi::run("update nebula.tool_action set status = 'suspenso' where key = $1", &[Arg::Text(action)]);
    }
}

/// Whether a protected table's policies go by the action.
fn is_protecting(action: &str) -> bool {
    let named = spi::first(
        "select exists (select from nebula.protected_table where $1 in (read_action, create_action, update_action, delete_action))",
        &[Arg::Text(action)],
        |row| row.boolean(1),
    );
    named.flatten() == Some(true)
}
