//! The worker's pool. Every worker function has its method in the file of its noun; the statement and its types are all that they need from here.

use super::{
    failure::Failure,
    observed::{self, Call, Observed},
    renewal::Renewal,
    servers::{ForPool, Servers},
};
use crate::{
    config::{Config, DatabaseUrl},
    error::Error,
    telemetry::{Telemetry, metrics::Metrics},
};
use deadpool_postgres::{Manager, ManagerConfig, Object, Pool, QueueMode, RecyclingMethod, Runtime};
use std::{sync::Arc, time::Duration};
use tokio_postgres::{
    Row,
    types::{ToSql, Type},
};

/// Connections of the login `nebula_worker`. Cheap to clone.
#[derive(Clone)]
pub struct WorkerDatabase {
    pool: Pool,
    renewal: Renewal,
    observed: Observed,
}

impl WorkerDatabase {
    /// Makes the pool; connects to nothing yet.
    pub fn new(config: &Config) -> Result<Self, Error> {
        let url = config.worker_database_url.as_ref().ok_or(Error::Missing("NEBULA_WORKER_DATABASE_URL"))?;
        Self::connect(url, config.worker_pool_size)
    }

    /// The same for who has no settings.
    pub fn connect(url: &DatabaseUrl, connections: usize) -> Result<Self, Error> {
        let servers = Servers::of(url, "nebula-worker")?;
        let manager = Manager::from_connect(
            url.postgres().clone(),
            ForPool(Arc::new(servers)),
            ManagerConfig { recycling_method: RecyclingMethod::Fast },
        );
        let renewal = Renewal::new();
        let pool = Pool::builder(manager)
            .max_size(connections.max(2))
            // The one that was used last: at a light load few sessions do everything, with what they know at hand.
            .queue_mode(QueueMode::Lifo)
            .pre_recycle(renewal.hook())
            .runtime(Runtime::Tokio1)
            .wait_timeout(Some(Duration::from_secs(30)))
            .create_timeout(Some(Duration::from_secs(5)))
            .recycle_timeout(Some(Duration::from_secs(5)))
            .build()
            .map_err(|error| Error::Database(error.to_string()))?;
        Ok(Self { pool, renewal, observed: Observed::default() })
    }

    /// The same, watched.
    #[must_use]
    pub fn observed_by(self, telemetry: &Telemetry) -> Self {
        Self { observed: Observed::new(telemetry), ..self }
    }

    /// Shows the pool.
    pub fn show(&self, metrics: &Metrics) {
        observed::show_pool(&self.pool, metrics);
    }

    /// A connection of one's own: for a transaction of several statements.
    pub async fn client(&self) -> Result<Object, Failure> {
        Ok(self.pool.get().await?)
    }

    /// One statement, whole transaction. Its plan is kept in the connection: workers connect to the server or to a pooler in session mode.
    pub async fn rows(&self, statement: &str, parameters: &[(&(dyn ToSql + Sync), Type)]) -> Result<Vec<Row>, Failure> {
        if self.observed.is_off() {
            return self.ask(statement, parameters, None).await;
        }
        let mut call = self.observed.begin(statement);
        let outcome = self.ask(statement, parameters, Some(&mut call)).await;
        call.end(outcome.as_ref().err());
        outcome
    }

    async fn ask(
        &self,
        statement: &str,
        parameters: &[(&(dyn ToSql + Sync), Type)],
        call: Option<&mut Call<'_>>,
    ) -> Result<Vec<Row>, Failure> {
        let client = self.client().await;
        if let Some(call) = call {
            call.connected();
        }
        let client = client?;
        let outcome = self.rows_in(&client, statement, parameters).await;
        if outcome.as_ref().is_err_and(Failure::ends_connection) {
            drop(Object::take(client));
        }
        outcome
    }

    /// The same in this session.
    pub async fn rows_in(
        &self,
        session: &Object,
        statement: &str,
        parameters: &[(&(dyn ToSql + Sync), Type)],
    ) -> Result<Vec<Row>, Failure> {
        let (values, types): (Vec<_>, Vec<_>) = parameters.iter().map(|(value, kind)| (*value, kind.clone())).unzip();
        let run = async {
            let prepared = session.prepare_typed_cached(statement, &types).await?;
            session.query(&prepared, &values).await
        };
        run.await.map_err(|error| {
            session.statement_cache.clear();
            let failure = Failure::of(&error);
            if failure.is_of_another_server() {
                self.renewal.renew(&self.pool);
            }
            failure
        })
    }

    /// The only row of a statement.
    pub async fn row(&self, statement: &str, parameters: &[(&(dyn ToSql + Sync), Type)]) -> Result<Row, Failure> {
        self.rows(statement, parameters).await?.into_iter().next().ok_or_else(|| Failure::Statement("no row was answered".to_owned()))
    }
}
