//! The operations, as the product itself lists them.

use crate::{Answer, Caller, Database};
use serde_json::{Map, Value};

/// An operation as `nebula.routes()` tells of it.
#[derive(Clone, Debug)]
pub struct Route {
    pub operation: String,
    pub method: String,
    pub path: String,
    pub scope: String,
    pub kind: String,
    pub success: u16,
}

impl Route {
    /// Whether it is about the caller: a person needs no permission for it.
    #[must_use]
    pub fn is_own(&self) -> bool {
        self.operation.starts_with("me.")
    }

    #[must_use]
    pub fn takes_body(&self) -> bool {
        matches!(self.method.as_str(), "POST" | "PUT" | "PATCH")
    }

    /// The names of the parameters in the path.
    pub fn parameters(&self) -> impl Iterator<Item = &str> {
        self.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
    }

    /// The path with the parameters' values, and what remains of the input.
    #[must_use]
    pub fn fill(&self, input: &Value) -> (String, Map<String, Value>) {
        let mut rest = input.as_object().unwrap().clone();
        let mut path = self.path.clone();
        for name in self.parameters() {
            let value = rest.remove(name).unwrap_or_else(|| panic!("{} has no {name}", self.operation));
            path = path.replace(&format!("{{{name}}}"), value.as_str().unwrap());
        }
        (path, rest)
    }

    /// Calls it over HTTP with this input: the path's part of it in the path, the rest as the body or the query.
    #[track_caller]
    pub fn send(&self, caller: &impl Caller, input: &Value) -> Answer {
        let (mut path, rest) = self.fill(input);
        if self.takes_body() {
            return caller.request(&self.method, &path).json(&Value::Object(rest)).send();
        }
        for (index, (name, value)) in rest.iter().enumerate() {
            let value = value.as_str().map_or(value.to_string(), str::to_owned);
            path.push_str(&format!("{}{name}={value}", if index == 0 { '?' } else { '&' }));
        }
        caller.request(&self.method, &path).send()
    }

    /// In which order all operations can be done to one tenant: what is hard to take back comes last, since a person who is gone can't be suspended.
    #[must_use]
    pub fn turn(&self) -> usize {
        const LAST: [&str; 15] = [
            "credentials.delete",
            "groups.members.remove",
            "groups.permissions.revoke",
            "webhooks.redeliver",
            "webhooks.delete",
            "api_keys.status",
            "groups.status",
            "users.status",
            "users.anonymize",
            "catalog.packages.actions.remove",
            "tenants.overrides.remove",
            "tenants.packages.unassign",
            "tenants.status",
            "me.sessions.list",
            "me.sessions.revoke",
        ];
        LAST.iter().position(|last| *last == self.operation).map_or(0, |place| place + 1)
    }
}

/// Every operation.
#[must_use]
pub fn routes(database: &Database) -> Vec<Route> {
    let routes: Value = serde_json::from_str(&database.text("select nebula.routes()::text", &[])).unwrap();
    let text = |route: &Value, member: &str| route[member].as_str().unwrap().to_owned();
    let read = |route: &Value| Route {
        operation: text(route, "operation"),
        method: text(route, "method"),
        path: text(route, "path"),
        scope: text(route, "scope"),
        kind: text(route, "kind"),
        success: u16::try_from(route["success"].as_u64().unwrap()).unwrap(),
    };
    routes.as_array().unwrap().iter().map(read).collect()
}
