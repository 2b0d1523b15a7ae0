//! The worker of `up`: ready when it is connected.

use super::{cluster::Cluster, env_file::EnvFile, place::Place, process::Process};
use crate::error::Error;
use tokio_postgres::Client;

/// Makes sure that the worker of this program and these settings runs; the administrator's connection tells whether it is there.
pub async fn ensure_running(place: &Place, env: &EnvFile, cluster: &Cluster<'_>, client: &Client) -> Result<(), Error> {
    let worker = Process::worker(place);
    if worker.is_current(env, cluster)? {
        return worker.wait_until_ready(async || is_connected(client).await, || worker.pid().is_none()).await;
    }
    worker.stop().await?;
    let mut child = worker.start(env, &[])?;
    worker.wait_until_ready(async || is_connected(client).await, || !matches!(child.try_wait(), Ok(None))).await?;
    worker.remember(env, cluster)
}

async fn is_connected(client: &Client) -> bool {
    let statement =
        "select from pg_catalog.pg_stat_activity where application_name = 'nebula-worker' and datname = pg_catalog.current_database()";
    client.query_typed(statement, &[]).await.is_ok_and(|sessions| !sessions.is_empty())
}
