//! One thing, a member a line.

use super::plain;
use super::{FAINT, table::cell};
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};
use std::fmt;

/// An answer about one thing: `{"data": {…}}`, or an object of ours.
pub struct Fields(pub Value);

impl Serialize for Fields {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl fmt::Display for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(members) = self.0.get("data").unwrap_or(&self.0).as_object() else { return f.write_str("done") };
        let mut lines = Vec::new();
        gather("", members, &mut lines);
        let width = lines.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
        lines.iter().try_for_each(|(name, value)| writeln!(f, "{FAINT}{name:<width$}{FAINT:#}  {}", plain(value)))
    }
}

/// Objects in objects by their path.
fn gather(path: &str, members: &Map<String, Value>, lines: &mut Vec<(String, String)>) {
    for (name, value) in members {
        let name = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        match value {
            Value::Object(members) => gather(&name, members, lines),
            value => lines.push((name, cell(Some(value)))),
        }
    }
}
