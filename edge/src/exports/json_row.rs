//! A row as JSON, member by member as Postgres wrote it: numbers that no float holds stay what they are.

use crate::{
    auth::{SealingKeys, sealing::Place},
    db::TableDescription,
    error::Error,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use nebula_core::hex;
use serde::{
    Deserialize, Deserializer,
    de::{Error as _, MapAccess, Visitor},
};
use serde_json::value::RawValue;
use std::{borrow::Cow, collections::HashMap, fmt};
use uuid::Uuid;
use zeroize::Zeroizing;

/// What a sealed value begins with; its key's version and standard base64 follow.
const SEALED: &str = "sealed:";
const NULL: &str = "null";

/// A row's members: JSON texts by column.
pub struct JsonRow<'a>(HashMap<&'a str, Cow<'a, str>>);

impl<'a> JsonRow<'a> {
    /// Reads a line; `None` where that is no row, or has a member twice: of two, each reader takes another.
    #[must_use]
    pub fn parse(line: &'a str) -> Option<Self> {
        let Members(members) = serde_json::from_str(line).ok()?;
        Some(Self(members))
    }

    /// The JSON text of a column; null where it has none.
    #[must_use]
    pub fn get(&self, column: &str) -> &str {
        self.0.get(column).map_or(NULL, Cow::as_ref)
    }

    #[must_use]
    pub fn is_null(&self, column: &str) -> bool {
        self.get(column) == NULL
    }

    /// The names of its members.
    pub fn columns(&self) -> impl Iterator<Item = &str> {
        self.0.keys().copied()
    }

    /// Puts another JSON text in a column's place.
    pub fn set(&mut self, column: &'a str, value: String) {
        self.0.insert(column, Cow::Owned(value));
    }

    /// The text of a column that is one.
    #[must_use]
    pub fn text(&self, column: &str) -> Option<String> {
        serde_json::from_str(self.get(column)).ok()
    }

    fn id(&self) -> Uuid {
        self.text("id").and_then(|id| id.parse().ok()).unwrap_or_default()
    }

    /// Seals the secrets, so that the file gives nobody what could be guessed at or used.
    pub async fn seal(&mut self, tenant: Uuid, table: &'a TableDescription, keys: &dyn SealingKeys) -> Result<(), Error> {
        for column in &table.secrets {
            if !self.is_null(column) {
                let field = field(table, column);
                let (version, sealed) = keys.seal(Place { tenant, row: self.id(), field: &field }, self.get(column).as_bytes()).await?;
                self.set(column, format!("\"{SEALED}{version}:{}\"", STANDARD.encode(sealed)));
            }
        }
        Ok(())
    }

    /// Opens what [`Self::seal`] sealed.
    pub async fn open(&mut self, tenant: Uuid, table: &'a TableDescription, keys: &dyn SealingKeys) -> Result<(), Error> {
        for column in &table.secrets {
            if self.is_null(column) {
                continue;
            }
            let text = self.text(column).unwrap_or_default();
            let sealed = text.strip_prefix(SEALED).and_then(|rest| rest.split_once(':'));
            let sealed = sealed.and_then(|(version, sealed)| Some((version.parse().ok()?, STANDARD.decode(sealed).ok()?)));
            let (version, sealed) = sealed.ok_or_else(|| Error::Import(format!("{}.{column} is not sealed", table.name)))?;
            let field = field(table, column);
            let plain = keys.open(Place { tenant, row: self.id(), field: &field }, version, &sealed).await?;
            let plain = String::from_utf8(plain.to_vec()).map_err(|_| Error::Import(format!("{}.{column} holds no text", table.name)))?;
            self.set(column, plain);
        }
        Ok(())
    }

    /// Makes sure that every value that was sealed in the database opens, and seals it anew where the keys of here are others.
    pub async fn reseal(
        &mut self,
        tenant: Uuid,
        table: &'a TableDescription,
        source: &dyn SealingKeys,
        here: Option<&dyn SealingKeys>,
    ) -> Result<(), Error> {
        for sealed in &table.sealed {
            if self.is_null(&sealed.column) {
                continue;
            }
            let bytes = self.text(&sealed.column).as_deref().and_then(bytea);
            let version = self.get(&sealed.version).parse().ok();
            let (Some(bytes), Some(version)) = (bytes, version) else {
                return Err(Error::Import(format!("{}.{} is not sealed", table.name, sealed.column)));
            };
            let place = Place { tenant, row: self.id(), field: &sealed.field };
            let plain: Zeroizing<Vec<u8>> = source.open(place, version, &bytes).await?;
            if let Some(here) = here {
                let (version, anew) = here.seal(place, &plain).await?;
                self.set(&sealed.column, format!("\"\\\\x{}\"", hex::encode(&anew)));
                self.set(&sealed.version, version.to_string());
            }
        }
        Ok(())
    }

    /// Appends it as an object with these columns.
    pub fn append_to(&self, columns: &[String], out: &mut String) {
        out.push('{');
        for (index, column) in columns.iter().enumerate() {
            if index > 0 {
                out.push(',');
            }
            // Names of columns need no escapes.
            out.extend(["\"", column, "\":", self.get(column)]);
        }
        out.push('}');
    }
}

/// Members of which no two have one name.
struct Members<'a>(HashMap<&'a str, Cow<'a, str>>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Unique;
        impl<'de> Visitor<'de> for Unique {
            type Value = Members<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Self::Value, A::Error> {
                let mut members = HashMap::new();
                while let Some((name, value)) = object.next_entry::<&str, &RawValue>()? {
                    if members.insert(name, Cow::Borrowed(value.get())).is_some() {
                        return Err(A::Error::custom("a member stands twice"));
                    }
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Unique)
    }
}

/// What a secret is sealed for, beside tenant and row.
fn field(table: &TableDescription, column: &str) -> String {
    format!("export/{}.{column}", table.name)
}

/// The bytes of a `bytea`'s hexadecimal text.
fn bytea(text: &str) -> Option<Vec<u8>> {
    let digits = text.strip_prefix("\\x")?.as_bytes();
    if !digits.len().is_multiple_of(2) || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    let pair = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    digits.chunks(2).map(pair).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn members_stay_as_they_were_written() {
        let line = r#"{"id":null,"n":1.10,"big":123456789012345678901234567890,"t":"a\"b\u00e7","j":{"b": [1]}}"#;
        let mut out = String::new();
        JsonRow::parse(line).unwrap().append_to(&["n", "big", "t", "j", "none"].map(str::to_owned), &mut out);
        assert_eq!(out, r#"{"n":1.10,"big":123456789012345678901234567890,"t":"a\"b\u00e7","j":{"b": [1]},"none":null}"#);
    }

    #[test]
    fn what_is_no_row_is_none() {
        for line in ["", "{\"a\": oops}", "[1]", "null", r#"{"a":1,"a":2}"#] {
            assert!(JsonRow::parse(line).is_none(), "{line}");
        }
    }

    #[test]
    fn bytes_are_read_from_their_hexadecimal_text() {
        assert_eq!(bytea("\\x00ff"), Some(vec![0, 255]));
        for none in ["00ff", "\\xzz", "\\x+f", "\\x0"] {
            assert_eq!(bytea(none), None, "{none}");
        }
    }
}
