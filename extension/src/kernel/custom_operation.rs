//! Operations that a DBA has exposed: rows of `nebula.operation`, kept per backend until a table that decides rights changes. The functions that they
//! are get examined again whenever Postgres' catalog of functions, types or roles has changed: what was safe when it was exposed may not be any more.

use super::{
    error::{Refusal, Result},
    exposed_call,
    exposed_function::{self, Function, Unfit},
    operation::{Deprecation, Handler, Kind, Method, Operation},
    spi,
    sql_caller::OWNER,
};
use nebula_core::{
    error::Code,
    route::{Path, Routes},
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::{cell::RefCell, collections::HashMap, rc::Rc};
use uuid::Uuid;

/// What a DBA chose.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Options {
    pub success: u16,
    #[serde(default)]
    pub summary_pt: String,
    #[serde(default)]
    pub summary_en: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_minute: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_month: Option<u32>,
    /// Of a list.
    #[serde(default = "default_max_rows")]
    pub max_rows: u32,
    /// The event that each success writes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<String>,
    /// Seconds since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deprecated_at: Option<i64>,
    /// Seconds since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sunset_at: Option<i64>,
}

/// Rows of a list, unless the DBA says otherwise.
#[must_use]
pub fn default_max_rows() -> u32 {
    1000
}

impl Options {
    #[must_use]
    pub fn deprecation(&self) -> Option<Deprecation> {
        self.deprecated_at.map(|at| Deprecation { at, sunset: self.sunset_at })
    }
}

/// A row of `nebula.operation`.
#[derive(Debug)]
pub struct Custom {
    pub id: Uuid,
    pub action: String,
    pub method: Method,
    pub path: Path,
    pub kind: Kind,
    /// Counts the changes of its definition.
    pub version: i32,
    pub signature: String,
    pub function_name: String,
    /// Who owned the function when it was exposed: another's function of the same signature is another function.
    pub function_owner: String,
    pub options: Options,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    id: Uuid,
    action: String,
    method: String,
    path: String,
    kind: String,
    version: i32,
    signature: String,
    function_name: String,
    function_owner: String,
    options: Options,
}

impl Custom {
    /// The action's key; of another version than `/v1`, with that behind it.
    #[must_use]
    pub fn operation_id(&self) -> String {
        operation_id(&self.action, self.path.version)
    }

    /// The function as of now, or why it may not be called.
    pub fn function(&self) -> std::result::Result<Rc<Function>, Unfit> {
        let generation = spi::catalog_generation();
        let key = (self.id, self.version);
        if let Some(known) =
            FUNCTIONS.with_borrow(|known| known.get(&key).filter(|(at, _)| *at == generation).map(|(_, known)| known.clone()))
        {
            return known;
        }
        let examined = spi::as_role(OWNER, || spi::reading_latest(|| exposed_function::examine(&self.function_name, &self.signature)));
        let examined = examined.and_then(|function| self.accept(function)).map(Rc::new);
        if spi::catalog_generation() == generation && !spi::is_parallel() {
            FUNCTIONS.with_borrow_mut(|known| {
                known.retain(|_, (at, _)| *at == generation);
                known.insert(key, (generation, examined.clone()));
            });
        }
        examined
    }

    /// What has changed since it was exposed.
    fn accept(&self, function: Function) -> std::result::Result<Function, Unfit> {
        let refused =
            |message: String| Err(Unfit { rule: "function_refused", message, hint: Some("Call nebula.expose() again.".to_owned()) });
        if function.owner != self.function_owner {
            return refused(format!("{} is not {}'s any more", self.signature, self.function_owner));
        }
        if !function.can_runner_execute {
            return refused(format!("{} may not execute {}", function.runner, self.signature));
        }
        if self.path.parameters.iter().any(|name| function.arguments.iter().all(|argument| argument.name != *name)) {
            return refused(format!("{} has no argument for each parameter of {}", self.signature, self.path.as_str()));
        }
        if function.returns_nothing() != (self.options.success == 204) {
            return refused(format!("{} returns nothing now, or something", self.signature));
        }
        Ok(function)
    }
}

/// The id of an action's operation under a version of the API.
#[must_use]
pub fn operation_id(action: &str, api_version: u32) -> String {
    if api_version == 1 { action.to_owned() } else { format!("{action}.v{api_version}") }
}

type Examined = std::result::Result<Rc<Function>, Unfit>;

type InOrder = Rc<Vec<Rc<Operation>>>;
type ById = Rc<HashMap<String, Rc<Operation>>>;

#[derive(Default)]
struct Cache {
    generation: Option<u64>,
    operations: InOrder,
    by_id: ById,
}

thread_local! {
    static CACHE: RefCell<Cache> = RefCell::default();
    static FUNCTIONS: RefCell<HashMap<(Uuid, i32), (u64, Examined)>> = RefCell::default();
}

/// The custom operation with this id, or the newest version of this action.
pub fn find(id: &str) -> Option<Rc<Operation>> {
    let (operations, by_id) = current();
    let newest = || {
        let of_action = operations.iter().filter(|operation| *operation.action == *id);
        of_action.max_by_key(|operation| operation.custom.as_ref().map(|custom| custom.path.version)).cloned()
    };
    by_id.get(id).cloned().or_else(newest)
}

/// Every custom operation that can be served, by path and method.
pub fn all() -> Vec<Rc<Operation>> {
    current().0.to_vec()
}

fn current() -> (InOrder, ById) {
    let generation = spi::global_rights_generation();
    let known =
        CACHE.with_borrow(|cache| (cache.generation == Some(generation)).then(|| (Rc::clone(&cache.operations), Rc::clone(&cache.by_id))));
    if let Some(known) = known {
        return known;
    }
    let operations = Rc::new(servable(spi::as_role(OWNER, || spi::reading_latest(load))));
    let by_id =
        Rc::new(operations.iter().map(|operation| (operation.id.clone().into_owned(), Rc::clone(operation))).collect::<HashMap<_, _>>());
    if spi::global_rights_generation() == generation && !spi::is_parallel() {
        CACHE.set(Cache { generation: Some(generation), operations: Rc::clone(&operations), by_id: Rc::clone(&by_id) });
    }
    (operations, by_id)
}

/// Rows as they stand, the oldest first. A row that can't be read is nobody's operation: the others are served.
fn load() -> Vec<Custom> {
    // The tables may be older than the library: then there are none.
    if spi::text("select to_regclass('nebula.operation_version')::text", &[]).is_none() {
        return Vec::new();
    }
    let rows = spi::rows(
        "select json_build_object('id', o.id, 'action', o.action, 'method', o.method, 'path', o.path, 'kind', o.kind, 'version', o.version, \
           'signature', o.function_signature, 'functionName', o.function_name, 'functionOwner', o.function_owner, 'options', o.options)::text \
         from nebula.operation o where o.status = 'ativo' order by o.created_at, o.id",
        &[],
        |row| row.text(1).unwrap_or_default(),
    );
    rows.iter()
        .filter_map(|text| {
            let read = read(text);
            if read.is_none() {
                pgrx::warning!("a row of nebula.operation can't be read and is not served");
            }
            read
        })
        .collect()
}

fn read(text: &str) -> Option<Custom> {
    let row: Row = serde_json::from_str(text).ok()?;
    Some(Custom {
        id: row.id,
        action: row.action,
        method: Method::parse(&row.method)?,
        path: Path::parse(&row.path).ok().filter(|path| path.as_str() == row.path)?,
        kind: Kind::parse(&row.kind)?,
        version: row.version,
        signature: row.signature,
        function_name: row.function_name,
        function_owner: row.function_owner,
        options: row.options,
    })
}

/// Leaves out what a newer version of the product has taken, and what the edge's router couldn't tell apart: `expose` refuses both, a restored row may have them.
fn servable(rows: Vec<Custom>) -> Vec<Rc<Operation>> {
    let mut routes = Routes::default();
    let built_in = super::operation::built_in();
    for operation in &built_in {
        let _ = routes.add(&operation.path);
    }
    let mut operations: Vec<Rc<Operation>> = Vec::new();
    for row in rows {
        let is_taken = reserved_by(&built_in, &row.action, &row.path).is_some()
            || operations
                .iter()
                .any(|other| other.method == row.method && other.path == row.path.as_str() || other.id == row.operation_id());
        if is_taken || routes.add(row.path.as_str()).is_err() {
            pgrx::warning!("the custom operation {} is not served: its route is taken", row.operation_id());
            continue;
        }
        operations.push(Rc::new(Operation::custom(row)));
    }
    operations.sort_by(|one, other| (&one.path, one.method.as_str()).cmp(&(&other.path, other.method.as_str())));
    operations
}

/// What of an action or a path is the product's: its nouns, now and in versions to come.
#[must_use]
pub fn reserved_by(built_in: &[Rc<Operation>], action: &str, path: &Path) -> Option<&'static str> {
    let noun = |action: &str| action.split('.').next().unwrap_or_default().to_owned();
    if built_in.iter().any(|operation| noun(&operation.action) == noun(action)) {
        return Some("action");
    }
    let resource = |path: &str| path.split('/').nth(2).unwrap_or_default().to_ascii_lowercase();
    let is_edges = ["auth", "openapi.json", "docs", "health", "metrics", "ready"].contains(&path.resource.to_ascii_lowercase().as_str());
    if is_edges || built_in.iter().any(|operation| resource(&operation.path) == path.resource.to_ascii_lowercase()) {
        return Some("path");
    }
    None
}

/// Types the input by the function's arguments, and gives what waits for the call.
pub fn prepare(custom: &Rc<Custom>, input: &Map<String, Value>) -> Result<Handler> {
    let function = custom.function().map_err(|unfit| {
        pgrx::log!("the custom operation {} is not available: {}", custom.operation_id(), unfit.message);
        Refusal::from(Code::ServiceUnavailable).with(json!({ "rule": unfit.rule }))
    })?;
    let is_text = |name: &str| !custom.method.takes_body() || custom.path.parameters.iter().any(|parameter| parameter == name);
    if let Some(name) = input.keys().find(|name| function.arguments.iter().all(|argument| argument.name != **name)) {
        return Err(Refusal::invalid(&name.chars().take(64).collect::<String>(), "unknown"));
    }
    let mut arguments = Vec::with_capacity(function.arguments.len());
    for argument in &function.arguments {
        arguments.push(match input.get(&argument.name) {
            None if argument.is_optional() => None,
            None => return Err(Refusal::invalid(&argument.name, "required")),
            Some(Value::Null) if !argument.takes_null(&function) => return Err(Refusal::invalid(&argument.name, "type")),
            Some(value) => {
                let literal = argument.kind.literal(value, &argument.name, is_text(&argument.name));
                literal.map_err(|(path, rule)| Refusal::invalid(&path, rule))?
            }
        });
    }
    let given = input.keys().cloned().collect::<Vec<_>>();
    let statement = function.statement(|argument| given.contains(&argument.name), custom.options.max_rows);
    let custom = Rc::clone(custom);
    Ok(Box::new(move |call| exposed_call::run(&custom, &function, &statement, &arguments, call)))
}
