//! A single connection for commands that an administrator runs.

use super::pool::parse;
use crate::{config::DatabaseUrl, error::Error};
use tokio_postgres::{Client, NoTls};

/// Connects; the connection ends when the client is dropped.
pub async fn connect(url: &DatabaseUrl) -> Result<Client, Error> {
    let mut config = parse(url.reveal())?;
    config.application_name("nebula");
    let (client, connection) = config.connect(NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}
