//! A tenant's events and other work for the worker, as it sees them.

use crate::kernel::{
    error::{Refusal, Result},
    operation::{
        Call, Kind,
        Method::{Get, Post},
        Operation, Reply, Sorts, shape,
    },
    page::{Limit, List, ListInput},
    queue,
    spi::{self, Arg},
};
use nebula_core::{
    error::Code,
    text::{Instant, Key},
};
use schemars::JsonSchema;
use serde::Deserialize;
use uuid::Uuid;

const SORTS: Sorts = &[("created_at", "timestamptz")];

#[must_use]
pub fn operations() -> Vec<Operation> {
    vec![
        Operation::new("jobs.list", (Get, "/v1/jobs"), Kind::Read, list)
            .lists::<Job>()
            .sorts(SORTS)
            .summary("Lista os trabalhos assíncronos", "Lists asynchronous jobs"),
        Operation::new("jobs.retry", (Post, "/v1/jobs/{id}/retry"), Kind::Admin, retry)
            .answers::<Job>()
            .summary("Tenta de novo um trabalho que falhou de vez", "Tries a dead job again"),
    ]
}

/// `dead` jobs have used up their attempts and wait for a person.
#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum JobStatus {
    Pending,
    Running,
    Done,
    Dead,
}

impl JobStatus {
    fn as_str(self) -> &'static str {
        match self {
            JobStatus::Pending => "pending",
            JobStatus::Running => "running",
            JobStatus::Done => "done",
            JobStatus::Dead => "dead",
        }
    }
}

shape! {
    /// An event or another job.
    Job {
        id: Uuid,
        #[schemars(rename = "type")]
        kind: String,
        status: JobStatus,
        attempts: u32,
        available_at: Instant,
        last_error: Option<String>,
        created_at: Instant,
    }
}

macro_rules! job_columns {
    () => {
        "j.id, j.type, j.status, j.attempts, j.available_at as \"availableAt\", j.last_error as \"lastError\", j.created_at as \
         \"createdAt\""
    };
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ListJobs {
    #[serde(default)]
    limit: Limit,
    cursor: Option<String>,
    sort: Option<String>,
    status: Option<JobStatus>,
    #[serde(rename = "type")]
    kind: Option<Key>,
    created_at_from: Option<Instant>,
    created_at_to: Option<Instant>,
}

fn list(call: &Call, input: ListJobs) -> Result<Reply> {
    List {
        name: "jobs",
        from: "from nebula.outbox j where j.tenant_id = $1",
        alias: "j",
        columns: job_columns!(),
        sorts: SORTS,
        search: None,
        has_status: false,
        filters: &[
            ("j.status = %1", input.status.map(|status| status.as_str().to_owned())),
            ("j.type = %1", input.kind.map(|kind| kind.as_str().to_owned())),
        ],
        tenant: Some(call.tenant()),
        parent: None,
    }
    .page(&call.caller, &ListInput::page(input.limit, input.cursor, input.sort).created(input.created_at_from, input.created_at_to))
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ById {
    id: Uuid,
}

fn retry(call: &Call, input: ById) -> Result<Reply> {
    let is_requeued = queue::requeue(input.id, Some(call.tenant()));
    let job = spi::object(
        concat!("select ", job_columns!(), " from nebula.outbox j where j.tenant_id = $1 and j.id = $2"),
        &[Arg::Uuid(call.tenant()), Arg::Uuid(input.id)],
    )
    .ok_or(Code::NotFound)?;
    if is_requeued { Ok(Reply::data(job)) } else { Err(Refusal::conflict("not_dead")) }
}
