//! A single connection for commands that an administrator runs.

use super::{
    servers::Servers,
    state::{EdgeState, Readiness},
};
use crate::{config::DatabaseUrl, error::Error};
use std::time::Duration;
use tokio::time::timeout;
use tokio_postgres::{
    Client,
    types::{ToSql, Type},
};

/// How long a server may take to let somebody in.
const PATIENCE: Duration = Duration::from_secs(30);

/// Connects; the connection ends when the client is dropped.
pub async fn connect(url: &DatabaseUrl) -> Result<Client, Error> {
    let servers = Servers::of(url, "nebula")?;
    let connected = timeout(PATIENCE, servers.connect()).await.map_err(|_| Error::Unavailable("no server answers".to_owned()))?;
    let (client, connection) = connected?;
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

/// `nebula.readiness` over an administrator's connection.
pub async fn readiness(client: &Client) -> Result<Readiness, Error> {
    let text = scalar_text(client, "select nebula.readiness()::text", &[]).await?;
    serde_json::from_str(&text).map_err(|error| Error::Database(format!("nebula.readiness(): {error}")))
}
