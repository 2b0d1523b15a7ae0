//! Each server of a connection string by itself, the primary and its replicas.

use super::{admin::scalar_text, servers::Servers};
use crate::{config::DatabaseUrl, error::Error};
use std::time::Duration;
use tokio::time::timeout;
use tokio_postgres::{Client, Config, config::TargetSessionAttrs, types::Type};

const PATIENCE: Duration = Duration::from_secs(5);

/// A server that was asked.
pub struct Server {
    pub client: Client,
    pub is_primary: bool,
    /// How long ago the newest transaction that it has replayed was committed; `None` on a primary, and before there was one.
    pub replay_age_seconds: Option<f64>,
    /// Where it stands, as the worker sees it.
    pub place: String,
}

/// Connects to each, whatever it is; why not, where one doesn't answer.
pub async fn each(url: &DatabaseUrl) -> Result<Vec<Result<Server, Error>>, Error> {
    let servers = Servers::of(url, "nebula")?;
    let mut answers = Vec::with_capacity(servers.each().len());
    for config in servers.each() {
        let asked = timeout(PATIENCE, ask(config, &servers)).await;
        answers.push(asked.unwrap_or_else(|_| Err(Error::Database("it doesn't answer".to_owned()))));
    }
    Ok(answers)
}

async fn ask(config: &Config, servers: &Servers) -> Result<Server, Error> {
    let (client, connection) = config.clone().target_session_attrs(TargetSessionAttrs::Any).connect(servers.tls()).await?;
    tokio::spawn(connection);
    let statement = "select not pg_catalog.pg_is_in_recovery(), \
        extract(epoch from pg_catalog.clock_timestamp() - pg_catalog.pg_last_xact_replay_timestamp())::float8";
    let row = client.query_typed_one(statement, &[]).await?;
    let (is_primary, replay_age_seconds): (bool, Option<f64>) = (row.try_get(0)?, row.try_get(1)?);
    let place = scalar_text(&client, "select nebula.delivery_place_here()", &[]).await?;
    Ok(Server { is_primary, replay_age_seconds: replay_age_seconds.filter(|_| !is_primary), place, client })
}

impl Server {
    /// Whether it may send, or could if it were promoted now: what it knows of itself came from the primary.
    pub async fn may_deliver(&self) -> Result<bool, Error> {
        Ok(self.client.query_typed_one("select nebula.may_deliver()", &[]).await?.try_get(0)?)
    }

    /// Tells a primary that it may send from another's place. False where it knew.
    pub async fn adopt(&self, place: &str) -> Result<bool, Error> {
        Ok(self.client.query_typed_one("select nebula.adopt_place($1)", &[(&place, Type::TEXT)]).await?.try_get(0)?)
    }
}
