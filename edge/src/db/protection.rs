//! The steps of protecting a table, as the database plans them, and running one.

use crate::error::Error;
use tokio_postgres::{Client, error::SqlState, types::Type};

/// A step of `nebula.protection_steps`.
pub struct Step {
    pub name: String,
    /// `None`: a note for people.
    pub sql: Option<String>,
    pub is_done: bool,
    pub note: Option<String>,
}

/// The plan as things are now.
pub async fn steps(client: &Client, table: &str, options: &str) -> Result<Vec<Step>, Error> {
    let statement = "select name, sql, is_done, note from nebula.protection_steps($1, $2::text::json, true) order by step";
    let rows = client.query_typed(statement, &[(&table, Type::TEXT), (&options, Type::TEXT)]).await?;
    let step = |row: &tokio_postgres::Row| {
        Ok::<_, tokio_postgres::Error>(Step {
            name: row.try_get(0)?,
            sql: row.try_get(1)?,
            is_done: row.try_get(2)?,
            note: row.try_get(3)?,
        })
    };
    Ok(rows.iter().map(step).collect::<Result<_, _>>()?)
}

/// Readies a session for steps that take long: names mean what they mean in the plan, and a backend whose client was killed doesn't go on for long.
pub async fn prepare(client: &Client) -> Result<(), Error> {
    client
        .batch_execute("set search_path = pg_catalog, pg_temp; set statement_timeout = 0; set idle_in_transaction_session_timeout = 0")
        .await?;
    // Not on every system.
    let _ = client.batch_execute("set client_connection_check_interval = '500ms'").await;
    Ok(())
}

/// One session at a time; false where another has the turn. It ends with the session.
pub async fn take_turn(client: &Client, table: &str) -> Result<bool, Error> {
    let statement =
        "select pg_catalog.pg_try_advisory_lock(pg_catalog.hashtextextended('nebula.protect ' || pg_catalog.to_regclass($1)::oid, 0))";
    let row = client.query_typed_one(statement, &[(&table, Type::TEXT)]).await?;
    // Of a table that isn't there the plan says so.
    Ok(row.try_get::<_, Option<bool>>(0)?.unwrap_or(true))
}

/// Runs a step in a transaction of its own.
pub async fn run(client: &Client, step: &Step) -> Result<(), tokio_postgres::Error> {
    match &step.sql {
        Some(sql) => client.batch_execute(sql).await,
        None => Ok(()),
    }
}

/// Whether a step failed because somebody held a lock.
pub fn is_in_the_way(error: &tokio_postgres::Error) -> bool {
    let states = [SqlState::LOCK_NOT_AVAILABLE, SqlState::T_R_DEADLOCK_DETECTED, SqlState::T_R_SERIALIZATION_FAILURE];
    error.code().is_some_and(|code| states.contains(code))
}
