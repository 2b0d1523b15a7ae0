//! A single connection for commands that an administrator runs.

use super::{pool::parse, state::EdgeState};
use crate::{config::DatabaseUrl, error::Error};
use tokio_postgres::{
    Client, NoTls,
    types::{ToSql, Type},
};

/// Connects; the connection ends when the client is dropped.
pub async fn connect(url: &DatabaseUrl) -> Result<Client, Error> {
    let mut config = parse(url.reveal())?;
    config.application_name("nebula");
    let (client, connection) = config.connect(NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

/// The one text that a statement answers.
pub async fn scalar_text(client: &Client, statement: &str, parameters: &[(&(dyn ToSql + Sync), Type)]) -> Result<String, Error> {
    Ok(client.query_typed_one(statement, parameters).await?.try_get(0)?)
}

/// `nebula.edge_state` over an administrator's connection.
pub async fn admin_state(client: &Client) -> Result<EdgeState, Error> {
    let text = scalar_text(client, "select nebula.edge_state()::text", &[]).await?;
    serde_json::from_str(&text).map_err(|error| Error::Database(format!("nebula.edge_state(): {error}")))
}
