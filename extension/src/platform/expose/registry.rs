//! `nebula.operation` and the history of each of its rows.

use super::definition::Definition;
use crate::kernel::{
    custom_operation::Options,
    exposed_function::Function,
    spi::{self, Arg},
};
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

/// A row of `nebula.operation` as it stands.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Standing {
    pub id: Uuid,
    pub version: i32,
    pub status: String,
    pub definition: Value,
    pub signature: String,
    pub function_owner: String,
    pub grants_execute: bool,
    pub makes_action: bool,
    pub action: String,
}

const STANDING: &str = "select json_build_object('id', o.id, 'version', o.version, 'status', o.status, 'signature', o.function_signature, \
  'functionOwner', o.function_owner, 'grantsExecute', o.grants_execute, 'makesAction', o.makes_action, 'action', o.action, \
  'definition', (select v.definition from nebula.operation_version v where v.operation_id = o.id and v.version = o.version))::text \
  from nebula.operation o where ";

/// Rows that meet a condition, locked.
pub fn standing(condition: &str, args: &[Arg]) -> Vec<Standing> {
    let rows = spi::rows(&format!("{STANDING}{condition} order by o.api_version for update of o"), args, |row| row.text(1));
    rows.iter().flatten().filter_map(|text| serde_json::from_str(text).ok()).collect()
}

/// Whom execute is to be granted, and of which function it is to be taken back.
#[derive(Default)]
pub struct Grants {
    pub give: Option<String>,
    pub take: Option<String>,
}

/// Writes row and history, unless it is so already: id and version.
pub fn write(definition: &Definition, function: &Function, options: &Options, made_action: bool) -> ((Uuid, i32), Grants) {
    let action = definition.action.as_str();
    let options = json!(options);
    let new = json!({
        "method": definition.method.as_str(), "path": definition.path.as_str(), "function": function.signature, "owner": function.owner,
        "kind": definition.kind.as_str(), "options": options,
    });
    let before = standing("o.action = $1 and o.api_version = $2", &[Arg::Text(action), Arg::Int(definition.api_version())]).pop();
    let give = (!function.is_granted).then(|| function.runner.clone());
    let is_same_function = before.as_ref().is_some_and(|before| before.signature == function.signature);
    let (id, version) = match &before {
        Some(before) if before.definition == new && before.status == "ativo" => {
            // A grant that somebody took away meanwhile is given again, and nothing else changes.
            if give.is_some() && !before.grants_execute {
                spi::run("update nebula.operation set grants_execute = true where id = $1", &[Arg::Uuid(before.id)]);
            }
            return ((before.id, before.version), Grants { give, take: None });
        }
        Some(before) => (before.id, before.version + 1),
        None => (Uuid::now_v7(), 1),
    };
    let grants_execute =
        give.is_some() || is_same_function && before.as_ref().is_some_and(|before| before.grants_execute && before.status == "ativo");
    let makes_action = made_action || before.as_ref().is_some_and(|before| before.makes_action);
    spi::run(
        "insert into nebula.operation as o \
           (id, action, api_version, method, path, kind, version, function_signature, function_name, function_owner, options, grants_execute, makes_action) \
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11::jsonb, $12, $13) \
         on conflict (action, api_version) do update set method = excluded.method, path = excluded.path, kind = excluded.kind, version = excluded.version, \
           function_signature = excluded.function_signature, function_name = excluded.function_name, function_owner = excluded.function_owner, \
           options = excluded.options, grants_execute = excluded.grants_execute, makes_action = excluded.makes_action, status = 'ativo'",
        &[
            Arg::Uuid(id),
            Arg::Text(action),
            Arg::Int(definition.api_version()),
            Arg::Text(definition.method.as_str()),
            Arg::Text(definition.path.as_str()),
            Arg::Text(definition.kind.as_str()),
            Arg::Int(version),
            Arg::Text(&function.signature),
            Arg::Text(&function.name),
            Arg::Text(&function.owner),
            Arg::Text(&options.to_string()),
            Arg::Bool(grants_execute),
            Arg::Bool(makes_action),
        ],
    );
    remember(id, version, "ativo", &new);
    if makes_action {
        // Suspended by an unexpose.
        spi::run("update nebula.tool_action set status = 'ativo' where key = $1 and status <> 'ativo'", &[Arg::Text(action)]);
    }
    let replaced = before.filter(|before| before.grants_execute && !is_same_function);
    ((id, version), Grants { give, take: replaced.map(|before| before.signature) })
}

/// Adds a version to the history.
pub fn remember(id: Uuid, version: i32, status: &str, definition: &Value) {
    spi::run(
        "insert into nebula.operation_version (operation_id, version, status, definition) values ($1, $2, $3::nebula.status, $4::jsonb)",
        &[Arg::Uuid(id), Arg::Int(version), Arg::Text(status), Arg::Text(&definition.to_string())],
    );
}
