//! The newest seals of every tenant, kept outside of the database: without them nobody can tell that the newest rows were cut off with their seals, or that the
//! whole database was set back.

use crate::{
    error::Error,
    storage::{self, Path, Storage},
};
use futures_util::TryStreamExt;
use nebula_core::object::Object;
use object_store::{ObjectStoreExt, PutPayload};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// `audit/heads/<day>.ndjson`, one object a day: what an earlier day's says is never written over.
const FOLDER: &str = "audit/heads";
const FORMAT: &str = "nebula.audit_heads";

/// The end of a segment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Head {
    pub tenant: Uuid,
    pub number: i32,
    /// `YYYY-MM-01`.
    pub month: String,
    pub blocks: i32,
    pub rows: i64,
    /// Hexadecimal.
    pub head: String,
    pub key_version: i32,
}

/// The heads of a moment, two a tenant at most, ordered by tenant and number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Heads {
    /// RFC 3339.
    pub at: String,
    /// Of the watermark, microseconds since 1970.
    pub complete_before: Option<i64>,
    pub heads: Vec<Head>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct First {
    format: String,
    version: u32,
    at: String,
    complete_before: Option<i64>,
    heads: usize,
}

impl Heads {
    /// One JSON object a line; the first says what it is.
    pub fn to_lines(&self) -> Result<String, Error> {
        let unwritable = |error: serde_json::Error| Error::Audit(error.to_string());
        let first = First {
            format: FORMAT.to_owned(),
            version: 1,
            at: self.at.clone(),
            complete_before: self.complete_before,
            heads: self.heads.len(),
        };
        let mut lines = serde_json::to_string(&first).map_err(unwritable)?;
        for head in &self.heads {
            lines.push('\n');
            lines.push_str(&serde_json::to_string(head).map_err(unwritable)?);
        }
        lines.push('\n');
        Ok(lines)
    }

    /// What was written; one that was cut is an error.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let unreadable = || Error::Audit("these are no heads of the audit log".to_owned());
        let mut lines = text.lines();
        let Object(first): Object<First> = lines.next().and_then(|line| serde_json::from_str(line).ok()).ok_or_else(unreadable)?;
        let head = |line| serde_json::from_str(line).map(|Object(head)| head).map_err(|_| unreadable());
        let heads = lines.map(head).collect::<Result<Vec<Head>, _>>()?;
        if first.format != FORMAT || first.version != 1 || heads.len() != first.heads {
            return Err(unreadable());
        }
        Ok(Self { at: first.at, complete_before: first.complete_before, heads })
    }

    /// The newest that the storage has.
    pub async fn newest(storage: &Storage) -> Result<Option<Self>, Error> {
        let failed = |error: object_store::Error| Error::Storage(storage::reason(&error).to_owned());
        let mut objects: Vec<_> =
            storage.list(Some(&Path::from(FOLDER))).map_ok(|object| object.location).try_collect().await.map_err(failed)?;
        objects.sort();
        let Some(newest) = objects.pop() else { return Ok(None) };
        let bytes = storage.get(&newest).await.map_err(failed)?.bytes().await.map_err(failed)?;
        Self::parse(&String::from_utf8_lossy(&bytes)).map(Some)
    }

    /// Writes them as the day's.
    pub async fn put(&self, storage: &Storage) -> Result<(), Error> {
        let day = self.at.get(..10).unwrap_or_default();
        let path = Path::from(format!("{FOLDER}/{day}.ndjson"));
        storage
            .put(&path, PutPayload::from(self.to_lines()?.into_bytes()))
            .await
            .map_err(|error| Error::Storage(storage::reason(&error).to_owned()))?;
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_read_back_and_not_where_a_line_is_missing() {
        let head = Head {
            tenant: Uuid::from_u128(1),
            number: 2,
            month: "2026-11-01".to_owned(),
            blocks: 3,
            rows: 4,
            head: "00".to_owned(),
            key_version: 1,
        };
        let heads = Heads { at: "2026-11-22T00:00:00Z".to_owned(), complete_before: Some(5), heads: vec![head] };
        let lines = heads.to_lines().unwrap();
        assert_eq!(Heads::parse(&lines).unwrap(), heads);
        assert!(Heads::parse(lines.lines().next().unwrap()).is_err() && Heads::parse("").is_err() && Heads::parse("{}").is_err());
        // A struct's members in order are no object.
        assert!(Heads::parse(r#"["nebula.audit_heads",1,"2026-11-22T00:00:00Z",null,0]"#).is_err());
    }
}
