//! What a database holds, table by table: for comparing it with what a backup gives back.

use crate::error::Error;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use tokio_postgres::{Client, types::Type};

/// Of a table's rows, in whatever order they lie.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contents {
    pub rows: i64,
    /// The sum of a hash of each row.
    pub hash: String,
}

/// By table, quoted and with its schema.
pub type Tables = BTreeMap<String, Contents>;

/// Tables that are part of other extensions: a dump leaves them to these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Members {
    Included,
    LeftOut,
}

/// Every table that survives a crash: partitions each, what was not logged not at all.
pub async fn names(client: &Client, members: Members) -> Result<Vec<String>, Error> {
    let rows = client.query_typed(include_str!("tables.sql"), &[(&(members == Members::Included), Type::BOOL)]).await?;
    Ok(rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?)
}

/// Has a session print values the same as any other, and see every row.
pub async fn prepare(client: &Client) -> Result<(), Error> {
    let settings = "set datestyle = 'ISO, MDY'; set timezone = 'UTC'; set intervalstyle = 'postgres'; set bytea_output = 'hex'; \
        set extra_float_digits = 1; set row_security = off; set statement_timeout = 0; set idle_in_transaction_session_timeout = 0";
    Ok(client.batch_execute(settings).await?)
}

/// Reads all of them as the session's transaction sees them.
pub async fn contents(client: &Client, names: &[String]) -> Result<Tables, Error> {
    let mut tables = Tables::new();
    for name in names {
        let statement = format!(
            "select pg_catalog.count(*), coalesce(pg_catalog.sum(pg_catalog.hashtextextended(t::text, 0)::numeric), 0)::text from only {name} t"
        );
        let row = client.query_typed_one(&statement, &[]).await?;
        tables.insert(name.clone(), Contents { rows: row.try_get(0)?, hash: row.try_get(1)? });
    }
    Ok(tables)
}

/// The tables in which two databases differ, a sentence each.
pub fn differences(noted: &Tables, found: &Tables) -> Vec<String> {
    let missing = noted.keys().filter(|name| !found.contains_key(*name)).map(|name| format!("{name} is missing"));
    let changed = noted.iter().filter_map(|(name, noted)| {
        let found = found.get(name)?;
        (found != noted).then(|| match (noted.rows, found.rows) {
            (noted, found) if noted == found => format!("{name} has other rows, as many"),
            (noted, found) => format!("{name} has {found} rows instead of {noted}"),
        })
    });
    let added = found.keys().filter(|name| !noted.contains_key(*name)).map(|name| format!("{name} was not there"));
    missing.chain(changed).chain(added).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_changed_or_new_is_named() {
        let tables = |list: &[(&str, i64, &str)]| {
            list.iter()
                .map(|(name, rows, hash)| ((*name).to_owned(), Contents { rows: *rows, hash: (*hash).to_owned() }))
                .collect::<Tables>()
        };
        let noted = tables(&[("a", 1, "x"), ("b", 2, "y"), ("c", 3, "z"), ("d", 4, "w")]);
        let found = tables(&[("a", 1, "x"), ("b", 1, "y"), ("c", 3, "other"), ("e", 0, "0")]);
        assert_eq!(
            differences(&noted, &found),
            ["d is missing", "b has 1 rows instead of 2", "c has other rows, as many", "e was not there"]
        );
        assert!(differences(&noted, &noted).is_empty());
    }
}
