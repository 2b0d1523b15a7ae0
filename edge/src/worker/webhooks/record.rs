//! Writing down attempts: the row that the tenant sees, and how the job goes on, in one transaction.

use super::super::{
    Context, Job,
    completions::BATCH,
    hand::Hold,
    http::{Answer, PostError},
    patience::until_answered,
};
use crate::db::{Failure, JsonText};
use serde::Serialize;
use std::{sync::Arc, time::Duration};
use tokio::sync::mpsc::Receiver;
use tokio_postgres::types::Type;
use uuid::Uuid;

/// An attempt, still in hand until it is written.
pub type Attempted = (Hold, Attempt);

/// What became of one attempt; a member of what `nebula.record_deliveries` takes.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Attempt {
    id: Uuid,
    tenant_id: Option<Uuid>,
    attempt: i32,
    #[serde(skip_serializing_if = "Option::is_none")]
    status_code: Option<u16>,
    latency_ms: u32,
    /// The product's words, never the receiver's; `None` is success.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_seconds: Option<u64>,
}

impl Attempt {
    /// Any 2xx is success; everything else is none, redirects included.
    pub fn of(job: &Job, answered: Result<Answer, PostError>, latency: Duration) -> Self {
        let latency_ms = u32::try_from(latency.as_millis()).unwrap_or(u32::MAX).min(i32::MAX.unsigned_abs());
        let (status_code, error, retry_after) = match answered {
            Ok(Answer { status, .. }) if (200..300).contains(&status) => (Some(status), None, None),
            Ok(Answer { status, retry_after }) => (Some(status), Some(format!("HTTP {status}")), retry_after),
            Err(error) => (None, Some(error.to_string()), None),
        };
        let retry_after_seconds = retry_after.map(|after| after.as_secs());
        Self { id: job.id, tenant_id: job.tenant, attempt: job.attempt, status_code, latency_ms, error, retry_after_seconds }
    }
}

/// Writes attempts until there can be no more. While one batch is written the next one gathers.
pub async fn write(context: Arc<Context>, mut attempted: Receiver<Attempted>) {
    let mut batch = Vec::with_capacity(BATCH);
    while attempted.recv_many(&mut batch, BATCH).await > 0 {
        let all = batch.iter().map(|(_, attempt)| attempt).collect::<Vec<_>>();
        if until_answered("write down deliveries", || record(&context, &all)).await.is_err() {
            // One that is refused is not to take the others with it.
            for attempt in all.chunks(1) {
                if let Err(failure) = until_answered("write down deliveries", || record(&context, attempt)).await {
                    tracing::error!("a delivery is not written down: {}", failure.reason());
                }
            }
        }
        batch.clear();
    }
}

async fn record(context: &Context, attempts: &[&Attempt]) -> Result<(), Failure> {
    let outcomes = serde_json::to_string(attempts).map_err(|error| Failure::Statement(error.to_string()))?;
    let parameters = [(&context.worker as _, Type::TEXT), (&JsonText(outcomes) as _, Type::JSON)];
    context.database.rows("select nebula.record_deliveries($1, $2)", &parameters).await.map(|_| ())
}
