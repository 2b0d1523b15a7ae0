//! A tenant's data as a file, made by the worker.

use crate::kernel::{
    audit,
    error::{Refusal, Result},
    export,
    operation::{
        Call, File, Kind,
        Method::{Get, Post},
        Operation, Reply, Sorts, shape,
    },
    outbox,
    page::{Limit, List, ListInput},
    spi::{self, Arg},
};
use nebula_core::{error::Code, text::Instant};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use uuid::Uuid;

const SORTS: Sorts = &[("created_at", "timestamptz")];
/// How many of a tenant's exports may be under way at once.
const MAX_UNFINISHED: i32 = 3;

#[must_use]
pub fn operations() -> Vec<Operation> {
    vec![
        Operation::new("exports.create", (Post, "/v1/exports"), Kind::Admin, create)
            .success(202)
            .answers::<Export>()
            .summary("Pede uma exportação dos dados do tenant", "Asks for an export of the tenant's data"),
        Operation::new("exports.list", (Get, "/v1/exports"), Kind::Read, list)
            .lists::<Export>()
            .sorts(SORTS)
            .summary("Lista as exportações", "Lists exports"),
        Operation::new("exports.read", (Get, "/v1/exports/{id}"), Kind::Read, read)
            .answers::<Export>()
            .summary("Mostra uma exportação", "Shows an export"),
        Operation::new("exports.download", (Get, "/v1/exports/{id}/download"), Kind::Admin, download)
            .downloads("application/zip")
            .summary("Baixa o arquivo de uma exportação", "Downloads an export's file"),
    ]
}

/// json can be imported by another installation; csv is for people.
#[derive(Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Format {
    Json,
    Csv,
}

impl Format {
    fn as_str(self) -> &'static str {
        match self {
            Format::Json => "json",
            Format::Csv => "csv",
        }
    }
}

/// `done` can be downloaded until `expiresAt`; `expired` is gone.
#[derive(Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum ExportStatus {
    Pending,
    Running,
    Done,
    Failed,
    Expired,
}

impl ExportStatus {
    fn as_str(self) -> &'static str {
        match self {
            ExportStatus::Pending => "pending",
            ExportStatus::Running => "running",
            ExportStatus::Done => "done",
            ExportStatus::Failed => "failed",
            ExportStatus::Expired => "expired",
        }
    }
}

shape! {
    /// An export of the tenant's data.
    Export {
        id: Uuid,
        format: Format,
        status: ExportStatus,
        /// Of all its tables.
        row_count: Option<u64>,
        size_bytes: Option<u64>,
        /// Of the file, hexadecimal.
        sha256: Option<String>,
        last_error: Option<String>,
        /// Until then it can be downloaded.
        expires_at: Option<Instant>,
        finished_at: Option<Instant>,
        created_at: Instant,
    }
}

macro_rules! export_columns {
    () => {
        "e.id, e.format, e.status, e.row_count as \"rowCount\", e.size_bytes as \"sizeBytes\", encode(e.sha256, 'hex') as \
         sha256, e.last_error as \"lastError\", e.expires_at as \"expiresAt\", e.finished_at as \"finishedAt\", e.created_at as \
         \"createdAt\""
    };
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct CreateExport {
    format: Format,
}

fn create(call: &Call, input: CreateExport) -> Result<Reply> {
    export::lock(call.tenant());
    let unfinished = spi::first(
        "select count(*)::integer from nebula.export_job e \
         where e.tenant_id = $1 and e.status in ('pending', 'running') and exists ( \
           select from nebula.outbox o where o.tenant_id = $1 and o.id = e.job_id and o.status in ('pending', 'running'))",
        &[Arg::Uuid(call.tenant())],
        |row| row.integer(1),
    );
    if unfinished.flatten() >= Some(MAX_UNFINISHED) {
        return Err(Refusal::conflict("too_many_unfinished"));
    }
    let id = Uuid::now_v7();
    let job = outbox::emit(call.tenant(), export::RUN, &json!({ "exportId": id }).to_string())?;
    spi::object(
        concat!(
            "insert into nebula.export_job as e (tenant_id, id, job_id, format, requested_by_user_id, requested_by_api_key_id) \
             values ($1, $2, $3, $4, $5, $6) returning ",
            export_columns!()
        ),
        &[
            Arg::Uuid(call.tenant()),
            Arg::Uuid(id),
            Arg::Uuid(job),
            Arg::Text(input.format.as_str()),
            // Of the platform's service account in another tenant the audit log tells.
            Arg::OptUuid(call.caller.actor.user().filter(|_| !call.caller.is_acting())),
            Arg::OptUuid(call.caller.actor.service().filter(|_| !call.caller.is_acting())),
        ],
    )
    .map(Reply::data)
    .ok_or_else(|| Code::InternalError.into())
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ListExports {
    #[serde(default)]
    limit: Limit,
    cursor: Option<String>,
    sort: Option<String>,
    status: Option<ExportStatus>,
    created_at_from: Option<Instant>,
    created_at_to: Option<Instant>,
}

fn list(call: &Call, input: ListExports) -> Result<Reply> {
    List {
        name: "exports",
        from: "from nebula.export_job e where e.tenant_id = $1",
        alias: "e",
        columns: export_columns!(),
        sorts: SORTS,
        search: None,
        has_status: false,
        filters: &[("e.status = %1", input.status.map(|status| status.as_str().to_owned()))],
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

fn read(call: &Call, input: ById) -> Result<Reply> {
    spi::object(
        concat!("select ", export_columns!(), " from nebula.export_job e where e.tenant_id = $1 and e.id = $2"),
        &[Arg::Uuid(call.tenant()), Arg::Uuid(input.id)],
    )
    .map(Reply::data)
    .ok_or_else(|| Code::NotFound.into())
}

/// The edge sends the file. Each download is audited.
fn download(call: &Call, input: ById) -> Result<Reply> {
    let found = spi::first(
        "select e.status, e.status = 'done' and e.expires_at > now(), json_build_object('location', e.location, \
           'name', 'export-' || t.slug || '-' || to_char(e.created_at at time zone 'utc', 'YYYYMMDD') || '-' || e.id || '.zip', \
           'size', e.size_bytes, 'sha256', encode(e.sha256, 'hex'))::text \
         from nebula.export_job e join nebula.tenant t on t.id = $1 where e.tenant_id = $1 and e.id = $2",
        &[Arg::Uuid(call.tenant()), Arg::Uuid(input.id)],
        |row| (row.text(1), row.boolean(2), row.text(3)),
    );
    let (status, is_there, file) = found.ok_or(Code::NotFound)?;
    match (is_there, status.as_deref()) {
        (Some(true), _) => {}
        (_, Some("done" | "expired")) => return Err(Refusal::conflict("expired")),
        _ => return Err(Refusal::conflict("not_done")),
    }
    let file = file.and_then(|text| serde_json::from_str::<File>(&text).ok()).ok_or(Code::InternalError)?;
    audit::record(call.tenant(), "export_job", Some(input.id), &json!({ "outcome": "downloaded" }));
    Ok(Reply::file(file))
}
