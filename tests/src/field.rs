//! The fields of an operation, as the OpenAPI document tells of them: where a test can put something.

use crate::Route;
use serde_json::{Map, Value, json};

/// One step into an input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    Member(String),
    /// The first of a list.
    Item,
}

/// A place of an operation's input; path, query and body are one, since their names don't collide.
#[derive(Clone, Debug)]
pub struct Field {
    pub steps: Vec<Step>,
    /// `path`, `query` or `body`.
    pub part: &'static str,
    pub schema: Value,
}

impl Field {
    /// As people write it: `permissions[].action`.
    #[must_use]
    pub fn name(&self) -> String {
        let mut name = String::new();
        for step in &self.steps {
            match step {
                Step::Member(member) if name.is_empty() => name.push_str(member),
                Step::Member(member) => name.push_str(&format!(".{member}")),
                Step::Item => name.push_str("[]"),
            }
        }
        name
    }

    /// Whether ids stand here.
    #[must_use]
    pub fn is_id(&self) -> bool {
        self.schema["format"] == "uuid"
    }

    /// The input with this value here; what is missing on the way is made.
    #[must_use]
    pub fn set(&self, input: &Value, value: &Value) -> Value {
        let mut changed = input.clone();
        put(&mut changed, &self.steps, value);
        changed
    }

    /// What stands here.
    #[must_use]
    pub fn get<'a>(&self, input: &'a Value) -> Option<&'a Value> {
        self.steps.iter().try_fold(input, |value, step| match step {
            Step::Member(name) => value.get(name),
            Step::Item => value.get(0),
        })
    }
}

fn put(at: &mut Value, steps: &[Step], value: &Value) {
    let Some((step, rest)) = steps.split_first() else {
        *at = value.clone();
        return;
    };
    match step {
        Step::Member(name) => {
            if !at.is_object() {
                *at = json!({});
            }
            put(at.as_object_mut().unwrap().entry(name.clone()).or_insert(Value::Null), rest, value);
        }
        Step::Item => {
            if at.as_array().is_none_or(Vec::is_empty) {
                *at = json!([null]);
            }
            put(&mut at[0], rest, value);
        }
    }
}

/// The schema that a reference leads to, and what is behind "or null".
fn resolved(document: &Value, schema: &Value) -> Value {
    if let Some(path) = schema["$ref"].as_str() {
        return resolved(document, document.pointer(path.trim_start_matches('#')).unwrap_or_else(|| panic!("{path} leads nowhere")));
    }
    let choices = schema["anyOf"].as_array().map_or(&[][..], Vec::as_slice);
    match choices.iter().find(|choice| choice["type"] != "null") {
        Some(choice) if schema.get("properties").is_none() => resolved(document, choice),
        _ => schema.clone(),
    }
}

/// Every field of this operation, those of nested objects and lists included, and the objects and lists themselves.
#[must_use]
pub fn fields(document: &Value, route: &Route) -> Vec<Field> {
    let operation = &document["paths"][&route.path][route.method.to_lowercase()];
    assert!(operation.is_object(), "{} {} is not in the document", route.method, route.path);
    let mut found = Vec::new();
    for parameter in operation["parameters"].as_array().into_iter().flatten() {
        // What is shared by reference are headers.
        let part = match parameter["in"].as_str() {
            Some("path") => "path",
            Some("query") => "query",
            _ => continue,
        };
        let name = parameter["name"].as_str().unwrap().to_owned();
        found.push(Field { steps: vec![Step::Member(name)], part, schema: resolved(document, &parameter["schema"]) });
    }
    let body = &operation["requestBody"]["content"]["application/json"]["schema"];
    if body.is_object() {
        walk(document, &resolved(document, body), &mut Vec::new(), &mut found);
    }
    found
}

fn walk(document: &Value, schema: &Value, steps: &mut Vec<Step>, found: &mut Vec<Field>) {
    if !steps.is_empty() {
        found.push(Field { steps: steps.clone(), part: "body", schema: schema.clone() });
    }
    let empty = Map::new();
    for (name, member) in schema["properties"].as_object().unwrap_or(&empty) {
        steps.push(Step::Member(name.clone()));
        walk(document, &resolved(document, member), steps, found);
        steps.pop();
    }
    if schema["items"].is_object() {
        steps.push(Step::Item);
        walk(document, &resolved(document, &schema["items"]), steps, found);
        steps.pop();
    }
}
