//! The database's routes, indexed by path and method.

use super::{query, served_route::ServedRoute};
use http::Method;
use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

/// Name and value of each path parameter, still percent-encoded.
pub type RawParameters = Vec<(String, String)>;

/// What stands under one path.
type Methods = Vec<(Method, Arc<ServedRoute>)>;

/// What a path and method lead to.
#[derive(Debug)]
pub enum Found {
    Route(Arc<ServedRoute>, RawParameters),
    /// The path has other methods: their names, for `Allow`.
    OtherMethods(String),
    Nothing,
}

/// All routes of one state of the database.
#[derive(Default)]
pub struct RouteTable {
    paths: matchit::Router<Methods>,
}

impl RouteTable {
    /// Builds the table, and says which routes could not be served, with the reason.
    #[must_use]
    pub fn new(routes: impl IntoIterator<Item = ServedRoute>) -> (Self, Vec<String>) {
        // In the order of the database, which lists its own first: of two that collide the product's stays.
        let mut by_path: Vec<(String, Methods)> = Vec::new();
        let mut places: HashMap<String, usize> = HashMap::new();
        let mut left_out = Vec::new();
        for served in routes {
            let Ok(method) = Method::from_bytes(served.route.method.as_bytes()) else {
                left_out.push(format!("{}: not a method", served.route.operation));
                continue;
            };
            let path = served.route.path.clone();
            let place = *places.entry(path.clone()).or_insert_with(|| {
                by_path.push((path, Vec::new()));
                by_path.len() - 1
            });
            if let Some((_, methods)) = by_path.get_mut(place) {
                methods.push((method, Arc::new(served)));
            }
        }
        let mut table = Self::default();
        for (path, methods) in by_path {
            if let Err(error) = table.paths.insert(path.clone(), methods) {
                // A custom operation may collide with another: the rest must still be served.
                left_out.push(format!("{path}: {error}"));
            }
        }
        (table, left_out)
    }

    /// Finds the route. A trailing slash is another path.
    #[must_use]
    pub fn find(&self, method: &Method, path: &str) -> Found {
        let Ok(matched) = self.paths.at(path) else { return Found::Nothing };
        match matched.value.iter().find(|(candidate, _)| candidate == method) {
            Some((_, served)) => {
                let parameters = matched.params.iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
                Found::Route(Arc::clone(served), parameters.collect())
            }
            None => {
                let mut names: Vec<&str> = matched.value.iter().map(|(method, _)| method.as_str()).collect();
                names.sort_unstable();
                names.dedup();
                Found::OtherMethods(names.join(", "))
            }
        }
    }
}

/// Decodes path parameters; the error names the one that is broken and its rule.
pub fn decode_parameters(parameters: RawParameters) -> Result<BTreeMap<String, String>, (String, &'static str)> {
    parameters
        .into_iter()
        .map(|(name, value)| match query::decode(&value) {
            Ok(value) => Ok((name, value)),
            Err(rule) => Err((name, rule)),
        })
        .collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use super::*;
    use crate::db::RateLimits;

    fn route(operation: &str, method: &str, path: &str) -> ServedRoute {
        let route = serde_json::from_value(serde_json::json!({
            "operation": operation, "method": method, "path": path, "scope": "tenant", "kind": "read", "success": 200,
            "takesBody": false, "tenantFrom": "credential", "derive": [], "issuesToken": false,
        }));
        ServedRoute::new(route.unwrap(), RateLimits::default(), None)
    }

    fn table() -> RouteTable {
        let (table, left_out) = RouteTable::new(vec![
            route("users.list", "GET", "/v1/users"),
            route("users.create", "POST", "/v1/users"),
            route("users.read", "GET", "/v1/users/{id}"),
            route("users.invite", "POST", "/v1/users/{userId}/invite"),
            route("webhooks.read", "GET", "/v1/webhooks/{id}"),
            route("webhooks.redeliver", "POST", "/v1/webhooks/deliveries/{id}/redeliver"),
            route("webhooks.test", "POST", "/v1/webhooks/{id}/test"),
        ]);
        assert_eq!(left_out, Vec::<String>::new());
        table
    }

    fn operation(method: Method, path: &str) -> String {
        match table().find(&method, path) {
            Found::Route(served, parameters) => format!("{} {parameters:?}", served.route.operation),
            Found::OtherMethods(allow) => allow,
            Found::Nothing => "nothing".to_owned(),
        }
    }

    #[test]
    fn a_path_and_method_lead_to_one_route() {
        assert_eq!(operation(Method::POST, "/v1/users"), "users.create []");
        assert_eq!(operation(Method::GET, "/v1/users/a%2Fb"), r#"users.read [("id", "a%2Fb")]"#);
        assert_eq!(operation(Method::POST, "/v1/users/7/invite"), r#"users.invite [("userId", "7")]"#);
        assert_eq!(operation(Method::POST, "/v1/webhooks/deliveries/7/redeliver"), r#"webhooks.redeliver [("id", "7")]"#);
        assert_eq!(operation(Method::POST, "/v1/webhooks/7/test"), r#"webhooks.test [("id", "7")]"#);
    }

    #[test]
    fn other_methods_are_named_and_other_paths_are_not_found() {
        assert_eq!(operation(Method::DELETE, "/v1/users"), "GET, POST");
        for path in ["/", "/v1", "/v1/users/", "/v1/users/7/", "/v1/users//invite", "/V1/users", "/v1/userss"] {
            assert_eq!(operation(Method::GET, path), "nothing", "{path}");
        }
    }

    #[test]
    fn a_route_that_collides_leaves_the_others() {
        let (table, left_out) = RouteTable::new(vec![
            route("a", "GET", "/v1/x/{a}"),
            route("b", "GET", "/v1/x/{b}"),
            route("c", "GET", "/v1/{broken"),
            route("d", "G T", "/v1/d"),
            route("e", "GET", "/v1/e"),
        ]);
        assert_eq!(left_out.len(), 3);
        assert!(matches!(table.find(&Method::GET, "/v1/e"), Found::Route(..)));
    }

    #[test]
    fn of_two_routes_that_collide_the_first_stays() {
        for [first, second] in [["/v1/x/{b}", "/v1/x/{a}"], ["/v1/x/{a}", "/v1/x/{b}"]] {
            let (table, left_out) = RouteTable::new(vec![route("first", "GET", first), route("second", "GET", second)]);
            assert!(matches!(table.find(&Method::GET, "/v1/x/7"), Found::Route(served, _) if served.route.operation == "first"));
            assert_eq!(left_out.len(), 1);
        }
    }

    #[test]
    fn parameters_are_decoded_and_broken_ones_named() {
        let decode = |value: &str| decode_parameters(vec![("id".to_owned(), value.to_owned())]);
        assert_eq!(decode("a%2Fb").unwrap().get("id").map(String::as_str), Some("a/b"));
        assert_eq!(decode("%00"), Err(("id".to_owned(), "nul")));
        assert_eq!(decode("%zz"), Err(("id".to_owned(), "percent_encoding")));
    }
}
