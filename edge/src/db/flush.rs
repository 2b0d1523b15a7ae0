//! Backends gather usage in their memory. Each is asked to hand over, and one of them writes what all have handed over (docs/edge-protocol.md).

use super::{failure::Failure, pool::Database};
use deadpool_postgres::{Object, Timeouts};
use std::time::Duration;
use tokio::time::sleep;

const HAND_OVER: &str = "select nebula.hand_over_usage()";
const FLUSH: &str = "select nebula.flush()";

impl Database {
    /// Has usage written, every `interval`. Never returns; what fails is logged once, and tried on.
    pub async fn keep_flushing(&self, interval: Duration) {
        let mut complaint = None;
        loop {
            sleep(interval).await;
            let found = self.flush_round().await.err();
            if complaint != found {
                log(found.as_ref());
                complaint = found;
            }
        }
    }

    /// Has every connection that is idle hand over, and one write, before the process ends.
    pub async fn flush_all(&self) {
        // All are taken before the first is flushed: one that came back would be taken again.
        let mut idle = Vec::new();
        while let Some(client) = self.idle().await {
            idle.push(client);
        }
        let mut complaint = None;
        let last = idle.pop();
        for (client, statement) in idle.into_iter().map(|client| (client, HAND_OVER)).chain(last.map(|client| (client, FLUSH))) {
            let found = self.run(client, statement, &[]).await.err();
            complaint = complaint.or(found);
        }
        if complaint.is_some() {
            log(complaint.as_ref());
        }
    }

    /// Those that were met are kept until all were, since the pool would give the same one again, and no longer than until a request waits for one. Who writes
    /// waits in turn with the requests where none is idle: otherwise one of those would write, and its client wait for thousands of tenants' counters.
    async fn flush_round(&self) -> Result<(), Failure> {
        if self.pool.status().size == 0 {
            return Ok(());
        }
        let mut met = Vec::new();
        while self.pool.status().waiting == 0
            && let Some(client) = self.idle().await
        {
            met.push(self.run(client, HAND_OVER, &[]).await?.1);
        }
        let writer = match met.pop() {
            Some(client) => client,
            None => self.pool.get().await?,
        };
        // In the order in which requests shall find them: the one that was used last comes back last.
        while met.pop().is_some() {}
        self.run(writer, FLUSH, &[]).await.map(|_| ())
    }

    /// An idle connection: nothing is waited for, and none is made.
    async fn idle(&self) -> Option<Object> {
        if self.pool.status().available == 0 {
            return None;
        }
        let at_once = Timeouts { wait: Some(Duration::ZERO), create: Some(Duration::ZERO), ..self.pool.timeouts() };
        self.pool.timeout_get(&at_once).await.ok()
    }
}

fn log(failure: Option<&Failure>) {
    match failure {
        Some(failure) => tracing::warn!("gathered usage is not written: {}", failure.reason()),
        None => tracing::info!("gathered usage is written again"),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::{
        config::{Config, Settings},
        telemetry::Telemetry,
    };

    #[tokio::test]
    async fn where_nothing_is_idle_nothing_is_connected() {
        let settings =
            Settings { database_url: Some("postgresql://nebula_edge:x@127.0.0.1:1/nebula".parse().unwrap()), ..Settings::default() };
        let database = Database::new(&Config::of(settings), &Telemetry::default()).unwrap();
        assert_eq!(database.flush_round().await, Ok(()));
        database.flush_all().await;
        assert_eq!(database.pool.status().size, 0);
    }
}
