//! The pool, and the functions that requests call through it.

use super::{
    cancel::cancel,
    failure::Failure,
    json_text::JsonText,
    observed::{self, Call, Observed},
    renewal::Renewal,
    servers::{ForPool, Servers},
    skew::Skew,
    state::{Context, EdgeState, LoginChallenge, Readiness},
};
use crate::{
    config::Config,
    error::Error,
    telemetry::{Telemetry, metrics::Metrics},
};
use deadpool_postgres::{Manager, ManagerConfig, Object, Pool, QueueMode, RecyclingMethod, Runtime};
use serde::de::DeserializeOwned;
use std::{sync::Arc, time::Duration};
use tokio_postgres::{
    Row,
    error::SqlState,
    types::{ToSql, Type},
};
use uuid::Uuid;

/// The answer of `nebula.handle`.
pub struct Reply {
    pub status: i32,
    /// The answer's JSON text, ready to be sent; `None` for 204.
    pub body: Option<String>,
    pub context: Context,
}

/// How long a cancelled statement may take to notice.
const CANCEL_GRACE: Duration = Duration::from_secs(2);

/// A pool of connections to the database. Cheap to clone.
#[derive(Clone)]
pub struct Database {
    pub(super) pool: Pool,
    renewal: Renewal,
    /// Where and how the pool connects: whoever cancels a statement connects so, too.
    servers: Arc<Servers>,
    /// After this a statement is cancelled.
    statement_timeout: Duration,
    keeps_prepared: bool,
    pub(super) observed: Observed,
}

impl Database {
    /// Makes the pool; connects to nothing yet, so that the edge starts while the database is away.
    pub fn new(config: &Config, telemetry: &Telemetry) -> Result<Self, Error> {
        let url = config.require_database_url()?;
        let servers = Arc::new(Servers::of(url, "nebula-edge")?);
        // `Fast` asks the client whether its connection is closed, without a round trip; one that died is replaced.
        let settings = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let manager = Manager::from_connect(url.postgres().clone(), ForPool(Arc::clone(&servers)), settings);
        let wait = Duration::from_millis(config.pool_wait_ms);
        let renewal = Renewal::new();
        let pool = Pool::builder(manager)
            .max_size(config.pool_size.max(1))
            // The backend that was used last has the most in its caches, and the processor in its own.
            .queue_mode(QueueMode::Lifo)
            .pre_recycle(renewal.hook())
            .runtime(Runtime::Tokio1)
            .wait_timeout(Some(wait))
            .create_timeout(Some(Duration::from_secs(5)))
            .recycle_timeout(Some(wait))
            .build()
            .map_err(|error| Error::Database(error.to_string()))?;
        Ok(Self {
            pool,
            renewal,
            servers,
            statement_timeout: Duration::from_millis(config.request_timeout_ms),
            keeps_prepared: config.prepared_statements,
            observed: Observed::new(telemetry),
        })
    }

    /// `nebula.handle`: one request, one statement, one transaction. Never sent twice: after a broken connection its outcome is unknown.
    pub async fn handle(&self, tenant: Uuid, request: String) -> Result<Reply, Failure> {
        let request = JsonText(request);
        let row = self
            .one_row("select status, body, context from nebula.handle($1, $2)", &[(&tenant, Type::UUID), (&request, Type::JSON)])
            .await?;
        let context = column::<Option<JsonText>>(&row, 2)?;
        Ok(Reply {
            status: column(&row, 0)?,
            body: column::<Option<JsonText>>(&row, 1)?.map(|text| text.0),
            context: context.map_or_else(|| Ok(Context::default()), |text| decode(&text.0))?,
        })
    }

    /// `nebula.login_challenge`: stable made-up values where there is no such tenant or user.
    pub async fn login_challenge(&self, tenant_slug: &str, email: &str, ip: &str) -> Result<LoginChallenge, Failure> {
        let parameters: [(&(dyn ToSql + Sync), Type); 3] = [(&tenant_slug, Type::TEXT), (&email, Type::TEXT), (&ip, Type::TEXT)];
        self.json("select nebula.login_challenge($1, $2, $3)", &parameters).await
    }

    /// `nebula.password_challenge`: for the person of a credential, invite or reset token; what proves nothing is refused. Its tenant means nothing.
    pub async fn password_challenge(&self, tenant: Uuid, credential: &str, ip: &str) -> Result<LoginChallenge, Failure> {
        let parameters: [(&(dyn ToSql + Sync), Type); 3] = [(&tenant, Type::UUID), (&credential, Type::TEXT), (&ip, Type::TEXT)];
        self.json("select nebula.password_challenge($1, $2, $3)", &parameters).await
    }

    /// `nebula.edge_state`. Where it came from a session whose library is not the newest there is, all connections are given up for new ones.
    pub async fn edge_state(&self) -> Result<EdgeState, Failure> {
        let state: EdgeState = self.json("select nebula.edge_state()", &[]).await?;
        if state.skew() != Skew::Suits {
            self.renewal.renew(&self.pool);
        }
        Ok(state)
    }

    /// `nebula.openapi`: the document's JSON text.
    pub async fn openapi(&self) -> Result<String, Failure> {
        let row = self.one_row("select nebula.openapi()", &[]).await?;
        Ok(column::<JsonText>(&row, 0)?.0)
    }

    /// `nebula.readiness`.
    pub async fn readiness(&self) -> Result<Readiness, Failure> {
        self.json("select nebula.readiness()", &[]).await
    }

    async fn json<T: DeserializeOwned>(&self, statement: &str, parameters: &[(&(dyn ToSql + Sync), Type)]) -> Result<T, Failure> {
        let row = self.one_row(statement, parameters).await?;
        decode(&column::<JsonText>(&row, 0)?.0)
    }

    async fn one_row(&self, statement: &str, parameters: &[(&(dyn ToSql + Sync), Type)]) -> Result<Row, Failure> {
        if self.observed.is_off() {
            return self.ask(statement, parameters, None).await;
        }
        let mut call = self.observed.begin(statement);
        let outcome = self.ask(statement, parameters, Some(&mut call)).await;
        call.end(outcome.as_ref().err());
        outcome
    }

    async fn ask(&self, statement: &str, parameters: &[(&(dyn ToSql + Sync), Type)], call: Option<&mut Call<'_>>) -> Result<Row, Failure> {
        let client = self.pool.get().await;
        if let Some(call) = call {
            call.connected();
        }
        let outcome = match self.run(client?, statement, parameters).await {
            // It took nothing from us and changed nothing: a new connection, to the server that takes writes now, is asked the same.
            Err(failure) if failure.is_of_another_server() && self.servers.is_primary_wanted() => {
                self.run(self.pool.get().await?, statement, parameters).await
            }
            outcome => outcome,
        };
        outcome.map(|(row, _)| row)
    }

    /// Shows the pool.
    pub fn show(&self, metrics: &Metrics) {
        observed::show_pool(&self.pool, metrics);
    }

    /// One unnamed, typed statement: one round trip, and nothing stays in the session, so a pooler may stand between. Where none does, a setting
    /// keeps the statement prepared, which saves Postgres parsing and planning it each time. The connection stays with the caller, unless it fails.
    pub(super) async fn run(
        &self,
        client: Object,
        statement: &str,
        parameters: &[(&(dyn ToSql + Sync), Type)],
    ) -> Result<(Row, Object), Failure> {
        let token = client.cancel_token();
        let outcome = {
            let query = async {
                if !self.keeps_prepared {
                    return client.query_typed_one(statement, parameters).await;
                }
                let (values, types): (Vec<_>, Vec<_>) = parameters.iter().map(|(value, kind)| (*value, kind.clone())).unzip();
                let prepared = client.prepare_typed_cached(statement, &types).await?;
                client.query_one(&prepared, &values).await
            };
            tokio::pin!(query);
            match tokio::time::timeout(self.statement_timeout, &mut query).await {
                Ok(result) => Some(result),
                // Nobody waits for the answer any more. Cancelling rolls the transaction back and gives the connection back clean.
                Err(_) => {
                    let _ = tokio::time::timeout(CANCEL_GRACE, cancel(&self.servers, &token)).await;
                    match tokio::time::timeout(CANCEL_GRACE, query).await {
                        // A commit that waited for a synchronous replica ends so, too: it stands here, and may be lost with this server. Whoever
                        // asks again under the same key learns what became of it.
                        Ok(Ok(_)) => return Err(Failure::Unavailable("a statement was cancelled while it committed".to_owned())),
                        outcome => outcome.ok(),
                    }
                }
            }
        };
        match outcome {
            Some(Err(error)) if self.keeps_prepared && is_stale(&error) => {
                // The function was replaced by another version, or a pooler is in between after all: this connection forgets what it prepared.
                client.statement_cache.clear();
                Err(Failure::Unavailable("a prepared statement is no longer valid".to_owned()))
            }
            Some(Ok(row)) => Ok((row, client)),
            Some(Err(error)) => {
                let failure = Failure::of(&error);
                if failure.ends_connection() {
                    drop(Object::take(client));
                }
                if failure.is_of_another_server() && self.servers.is_primary_wanted() {
                    self.renewal.renew(&self.pool);
                }
                Err(failure)
            }
            None => {
                drop(Object::take(client));
                // The server says nothing at all: so it will to others, who need not wait for it each.
                self.renewal.renew(&self.pool);
                Err(Failure::Unavailable("a statement neither finished nor was cancelled".to_owned()))
            }
        }
    }
}

/// The statement failed before it ran: its plan or its name is gone.
fn is_stale(error: &tokio_postgres::Error) -> bool {
    error.code().is_some_and(|code| *code == SqlState::FEATURE_NOT_SUPPORTED || *code == SqlState::INVALID_SQL_STATEMENT_NAME)
}

fn column<'a, T: tokio_postgres::types::FromSql<'a>>(row: &'a Row, index: usize) -> Result<T, Failure> {
    row.try_get(index).map_err(|_| Failure::Statement("an answer of another shape than the protocol's".to_owned()))
}

/// Serde's message may quote a value, so only its place is kept.
fn decode<T: DeserializeOwned>(text: &str) -> Result<T, Failure> {
    serde_json::from_str(text).map_err(|error| {
        Failure::Statement(format!("unexpected JSON from the database at line {} column {}", error.line(), error.column()))
    })
}
