//! The connection that listens for `nebula_changed`.

use super::servers::Servers;
use crate::{config::DatabaseUrl, error::Error};
use futures_util::{StreamExt, stream};
use std::time::Duration;
use tokio::time::timeout;
use tokio_postgres::AsyncMessage;

/// How long a server may take to let the listener in.
const PATIENCE: Duration = Duration::from_secs(5);

/// Calls `changed` after each notification, and after each new connection, since what was sent meanwhile is lost. Never returns.
///
/// Behind a pooler in transaction mode nothing arrives, and one of the pooler's sessions stays subscribed for nobody: `notify_database_url` then names the
/// server itself. Without it the poll every 30 seconds remains (docs/edge-protocol.md).
pub async fn listen(url: DatabaseUrl, changed: impl Fn() + Send + Sync) {
    let mut backoff = Duration::from_millis(100);
    loop {
        if session(&url, &changed).await.is_ok() {
            backoff = Duration::from_millis(100);
        }
        tokio::time::sleep(backoff).await;
        backoff = (backoff * 2).min(Duration::from_secs(5));
    }
}

/// Listens until the connection ends; an error means that it never began.
async fn session(url: &DatabaseUrl, changed: &(impl Fn() + Send + Sync)) -> Result<(), Error> {
    let servers = Servers::of(url, "nebula-edge-listener")?;
    let connected = timeout(PATIENCE, servers.connect()).await.map_err(|_| Error::Database("no server answers".to_owned()))?;
    let (client, mut connection) = connected?;
    let mut messages = Box::pin(stream::poll_fn(move |context| connection.poll_message(context)));
    // The connection only moves while its messages are polled, also for the `listen` itself.
    let subscribe = client.batch_execute("listen nebula_changed");
    tokio::pin!(subscribe);
    let mut is_listening = false;
    loop {
        tokio::select! {
            result = &mut subscribe, if !is_listening => {
                result?;
                is_listening = true;
                changed();
            }
            message = messages.next() => match message {
                Some(Ok(AsyncMessage::Notification(_))) => changed(),
                Some(Ok(_)) => {}
                Some(Err(_)) | None if is_listening => return Ok(()),
                Some(Err(error)) => return Err(error.into()),
                None => return Ok(()),
            },
        }
    }
}
