//! Answers held against the OpenAPI document, more strictly than a client would: a member that the document doesn't name is an error, too.

use serde_json::Value;

/// Where a value is not what the schema says; empty where it is.
#[must_use]
pub fn differences(document: &Value, schema: &Value, value: &Value) -> Vec<String> {
    let mut found = Vec::new();
    compare(document, schema, value, "$", &mut found);
    found
}

fn compare(document: &Value, schema: &Value, value: &Value, at: &str, found: &mut Vec<String>) {
    if let Some(path) = schema["$ref"].as_str() {
        let target = document.pointer(path.trim_start_matches('#')).unwrap_or_else(|| panic!("{path} leads nowhere"));
        return compare(document, target, value, at, found);
    }
    if let Some(choices) = schema["anyOf"].as_array().or(schema["oneOf"].as_array()) {
        let fits = |choice: &Value| {
            let mut inner = Vec::new();
            compare(document, choice, value, at, &mut inner);
            inner.is_empty()
        };
        if !choices.iter().any(fits) {
            found.push(format!("{at}: {value} is none of {choices:?}"));
        }
        return;
    }
    if let Some(choices) = schema["enum"].as_array()
        && !choices.contains(value)
    {
        found.push(format!("{at}: {value} is not in {choices:?}"));
    }
    let kinds = match &schema["type"] {
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
        Value::String(kind) => vec![kind.as_str()],
        _ => vec![],
    };
    if !kinds.is_empty() && !kinds.iter().any(|kind| is(kind, value)) {
        found.push(format!("{at}: {value} is no {kinds:?}"));
        return;
    }
    match value {
        Value::Object(members) => {
            for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
                if !members.contains_key(name) {
                    found.push(format!("{at}.{name}: is missing"));
                }
            }
            for (name, member) in members {
                let at = format!("{at}.{name}");
                let named = &schema["properties"][name];
                match (named, &schema["additionalProperties"]) {
                    (Value::Null, Value::Object(_)) => compare(document, &schema["additionalProperties"], member, &at, found),
                    // Without any named member and not closed: anything.
                    (Value::Null, Value::Bool(true)) => {}
                    (Value::Null, _) => found.push(format!("{at}: is not in the document")),
                    _ => compare(document, named, member, &at, found),
                }
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                compare(document, &schema["items"], item, &format!("{at}[{index}]"), found);
            }
        }
        Value::String(text) => {
            let is_form = match schema["format"].as_str() {
                Some("uuid") => text.parse::<uuid::Uuid>().is_ok(),
                Some("date-time") => text.contains('T') && (text.ends_with('Z') || text.ends_with("+00:00")),
                _ => true,
            };
            if !is_form {
                found.push(format!("{at}: {text:?} is no {}", schema["format"]));
            }
        }
        _ => {}
    }
}

fn is(kind: &str, value: &Value) -> bool {
    match kind {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        _ => false,
    }
}
