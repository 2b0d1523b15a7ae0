//! Lists in columns.

use super::{FAINT, STRONG};
use serde::{Serialize, Serializer};
use serde_json::Value;
use std::fmt;

/// Text as a terminal may be given it: what tenants call themselves and their people is theirs to choose, and could be a terminal's commands.
#[must_use]
pub fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' { '\u{fffd}' } else { c }).collect()
}

/// Rows under a head, each column as wide as its widest cell.
#[derive(Default)]
pub struct Table {
    head: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    #[must_use]
    pub fn new(head: &[&str]) -> Self {
        Self { head: head.iter().map(|name| (*name).to_owned()).collect(), rows: Vec::new() }
    }

    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().map(|cell| plain(&cell).replace('\n', " ")).collect());
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.rows.is_empty() {
            return write!(f, "{FAINT}none{FAINT:#}");
        }
        let width = |column: usize| {
            let cells = std::iter::once(&self.head).chain(&self.rows).filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths = (0..self.head.len()).map(width).collect::<Vec<_>>();
        let line = |cells: &[String]| {
            let padded = cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
            padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
        };
        writeln!(f, "{STRONG}{}{STRONG:#}", line(&self.head))?;
        self.rows.iter().try_for_each(|row| writeln!(f, "{}", line(row)))
    }
}

/// A list as an operation answers it; for people, some of its members in columns.
pub struct Rows {
    pub body: Value,
    /// Head and member of each column.
    pub columns: &'static [(&'static str, &'static str)],
}

impl Serialize for Rows {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.body.serialize(serializer)
    }
}

impl fmt::Display for Rows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = Table::new(&self.columns.iter().map(|(head, _)| *head).collect::<Vec<_>>());
        for row in self.body.get("data").and_then(Value::as_array).into_iter().flatten() {
            table.row(self.columns.iter().map(|(_, member)| cell(row.get(member))));
        }
        write!(f, "{table}")?;
        if self.body.pointer("/meta/hasMore") == Some(&Value::Bool(true)) {
            writeln!(f, "{FAINT}there are more: --limit{FAINT:#}")?;
        }
        Ok(())
    }
}

/// A value in a cell.
#[must_use]
pub fn cell(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => "–".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(list)) => list.iter().map(|value| cell(Some(value))).collect::<Vec<_>>().join(","),
        Some(other) => other.to_string(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn columns_are_aligned_and_a_terminals_commands_are_no_more_than_text() {
        let body =
            json!({ "data": [{ "slug": "a", "name": "A\u{1b}[31m\n" }, { "slug": "longer", "name": null }], "meta": { "hasMore": true } });
        let text = Rows { body, columns: &[("slug", "slug"), ("name", "name")] }.to_string();
        let bare = anstream::adapter::strip_str(&text).to_string();
        assert_eq!(bare, "slug    name\na       A\u{fffd}[31m\nlonger  –\nthere are more: --limit\n");
    }
}
