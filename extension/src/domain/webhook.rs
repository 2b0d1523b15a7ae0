//! Who is told of a tenant's events. Sending is the worker's.

use crate::kernel::{
    error::{Refusal, Result},
    operation::{
        Call, Kind,
        Method::{Delete, Get, Patch, Post},
        Operation, Reply, Seal, Sealed, Sorts, allows_loopback_webhooks, shape,
    },
    outbox,
    page::{Limit, List, ListInput, Status},
    queue,
    spi::{self, Arg},
    sql_caller::PLATFORM,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use nebula_core::{
    error::Code,
    object::Object,
    text::{Description, EventFilter, Instant, Key},
    web::{LoopbackUrl, WebhookUrl},
};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, de::Error};
use serde_json::json;
use std::num::NonZeroU16;
use uuid::Uuid;

const SORTS: Sorts = &[("created_at", "timestamptz")];
/// Standard Webhooks: the secret's form.
const SECRET: &[Sealed] = &[Sealed { field: "secret", mode: Seal::Generate { prefix: "whsec_" } }];

#[must_use]
pub fn operations() -> Vec<Operation> {
    vec![
        Operation::new("webhooks.create", (Post, "/v1/webhooks"), Kind::Admin, create)
            .success(201)
            .seal(SECRET)
            .reveals_secret()
            .answers::<WebhookWithSecret>()
            .summary("Cria um webhook", "Creates a webhook"),
        Operation::new("webhooks.list", (Get, "/v1/webhooks"), Kind::Read, list)
            .lists::<Webhook>()
            .sorts(SORTS)
            .summary("Lista os webhooks", "Lists webhooks"),
        Operation::new("webhooks.read", (Get, "/v1/webhooks/{id}"), Kind::Read, read)
            .answers::<Webhook>()
            .summary("Mostra um webhook", "Shows a webhook"),
        Operation::new("webhooks.update", (Patch, "/v1/webhooks/{id}"), Kind::Admin, update)
            .answers::<Webhook>()
            .partial()
            .summary("Altera, suspende ou reativa um webhook", "Changes, suspends or reactivates a webhook"),
        Operation::new("webhooks.delete", (Delete, "/v1/webhooks/{id}"), Kind::Admin, delete)
            .summary("Remove um webhook", "Removes a webhook"),
        Operation::new("webhooks.rotate_secret", (Post, "/v1/webhooks/{id}/rotate-secret"), Kind::Admin, rotate_secret)
            .seal(SECRET)
            .reveals_secret()
            .answers::<WebhookWithSecret>()
            .summary("Troca o segredo de um webhook", "Rotates a webhook's secret"),
        Operation::new("webhooks.test", (Post, "/v1/webhooks/{id}/test"), Kind::Write, test)
            .success(202)
            .answers::<Queued>()
            .summary("Envia um evento de teste", "Sends a test event"),
        Operation::new("webhooks.deliveries.list", (Get, "/v1/webhooks/{id}/deliveries"), Kind::Read, list_deliveries)
            .lists::<Delivery>()
            .sorts(SORTS)
            .summary("Lista as tentativas de entrega de um webhook", "Lists a webhook's delivery attempts"),
        Operation::new("webhooks.redeliver", (Post, "/v1/webhooks/deliveries/{id}/redeliver"), Kind::Write, redeliver)
            .success(202)
            .answers::<Queued>()
            .summary("Entrega de novo", "Delivers again"),
    ]
}

shape! {
    /// A subscription to events.
    Webhook {
        id: Uuid,
        url: WebhookUrl,
        description: Description,
        events: Vec<EventFilter>,
        status: Status,
        suspended_reason: Option<String>,
        /// Until then the secret before the last rotation signs, too.
        previous_secret_expires_at: Option<Instant>,
        created_at: Instant,
        updated_at: Instant,
    }
}

shape! {
    /// A subscription with its new secret, which is shown this once.
    WebhookWithSecret {
        #[schemars(flatten)]
        webhook: Webhook,
        /// `whsec_` and the standard base64 of 32 bytes.
        secret: String,
    }
}

shape! {
    /// An attempt to deliver an event.
    Delivery {
        id: Uuid,
        event_id: Uuid,
        event_type: String,
        attempt: u32,
        /// What the receiver answered; null where it did not.
        status_code: Option<u16>,
        latency_ms: Option<u32>,
        error: Option<String>,
        created_at: Instant,
    }
}

shape! {
    /// Work that waits for the worker.
    Queued {
        job_id: Uuid,
    }
}

macro_rules! webhook_columns {
    ($($more:literal)?) => {
        concat!(
            "w.id, w.url, w.description, to_json(w.events) as events, w.status, w.suspended_reason as \"suspendedReason\", \
             w.previous_secret_expires_at as \"previousSecretExpiresAt\", w.created_at as \"createdAt\", w.updated_at as \"updatedAt\""
            $(, $more)?
        )
    };
}

/// What the edge makes of a secret: sealed for the table, plain for the one answer.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct GeneratedSecret {
    row: Uuid,
    sealed: String,
    key_version: NonZeroU16,
    plain: String,
}

impl GeneratedSecret {
    fn sealed(&self) -> Result<Vec<u8>> {
        STANDARD.decode(&self.sealed).map_err(|_| Refusal::invalid("secret", "base64"))
    }
}

/// Where a webhook goes: the public network, or this machine where the installation allows that.
struct Target(String);

impl<'de> Deserialize<'de> for Target {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let value = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        let refused = match WebhookUrl::parse(&value) {
            Ok(url) => return Ok(Self(url.as_str().to_owned())),
            Err(rule) => D::Error::custom(format_args!("rule={rule}")),
        };
        let loopback = LoopbackUrl::parse(&value).ok().filter(|_| allows_loopback_webhooks());
        loopback.map(|url| Self(url.as_str().to_owned())).ok_or(refused)
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct CreateWebhook {
    #[schemars(with = "WebhookUrl")]
    url: Target,
    /// 1 to 100 event types, or `*`.
    #[schemars(length(min = 1, max = 100))]
    events: Vec<EventFilter>,
    description: Option<Description>,
    secret: Object<GeneratedSecret>,
}

fn create(call: &Call, input: CreateWebhook) -> Result<Reply> {
    let secret = input.secret.0;
    let (filters, sealed) = (filters(&input.events)?, secret.sealed()?);
    if !outbox::has_webhooks(call.tenant()) {
        spi::as_role(PLATFORM, || queue::settle(call.tenant()));
    }
    spi::object(
        concat!(
            "insert into nebula.webhook_subscription as w (tenant_id, id, url, events, description, secret_sealed, secret_key_version) \
             values ($1, $2, $3, $4, coalesce($5, ''), $6, $7) on conflict (tenant_id, id) do nothing returning ",
            webhook_columns!(", $8 as secret")
        ),
        &[
            Arg::Uuid(call.tenant()),
            Arg::Uuid(secret.row),
            Arg::Text(&input.url.0),
            Arg::Texts(&filters),
            Arg::OptText(input.description.as_ref().map(Description::as_str)),
            Arg::Bytes(&sealed),
            Arg::Int(i32::from(secret.key_version.get())),
            Arg::Text(&secret.plain),
        ],
    )
    .map(Reply::data)
    .ok_or_else(|| Refusal::duplicate("id"))
}

fn filters(events: &[EventFilter]) -> Result<Vec<String>> {
    if !(1..=100).contains(&events.len()) {
        return Err(Refusal::invalid("events", "length"));
    }
    let mut filters = events.iter().map(|event| event.as_str().to_owned()).collect::<Vec<_>>();
    filters.sort();
    filters.dedup();
    Ok(filters)
}

fn list(call: &Call, input: ListInput) -> Result<Reply> {
    List {
        name: "webhooks",
        from: "from nebula.webhook_subscription w where w.tenant_id = $1",
        alias: "w",
        columns: webhook_columns!(),
        sorts: SORTS,
        search: Some("strpos(lower(w.url || ' ' || w.description), lower(%q)) > 0"),
        has_status: true,
        filters: &[],
        tenant: Some(call.tenant()),
        parent: None,
    }
    .page(&call.caller, &input)
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ById {
    id: Uuid,
}

fn read(call: &Call, input: ById) -> Result<Reply> {
    find(call, input.id).map(Reply::data)
}

fn find(call: &Call, id: Uuid) -> Result<String> {
    spi::object(
        concat!("select ", webhook_columns!(), " from nebula.webhook_subscription w where w.tenant_id = $1 and w.id = $2"),
        &[Arg::Uuid(call.tenant()), Arg::Uuid(id)],
    )
    .ok_or_else(|| Code::NotFound.into())
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(transform = Status::reason_only_when_suspending)]
struct UpdateWebhook {
    id: Uuid,
    #[schemars(with = "Option<WebhookUrl>")]
    url: Option<Target>,
    /// 1 to 100 event types, or `*`.
    #[schemars(length(min = 1, max = 100))]
    events: Option<Vec<EventFilter>>,
    description: Option<Description>,
    status: Option<Status>,
    suspended_reason: Option<Description>,
}

fn update(call: &Call, input: UpdateWebhook) -> Result<Reply> {
    let has_change = input.url.is_some() || input.events.is_some() || input.description.is_some() || input.status.is_some();
    match input.status {
        Some(status) => status.check_reason(input.suspended_reason.as_ref())?,
        None if input.suspended_reason.is_some() => return Err(Refusal::invalid("suspendedReason", "only_when_suspending")),
        None if !has_change => return Err(Refusal::invalid("", "nothing_to_change")),
        None => {}
    }
    let events = input.events.as_deref().map(filters).transpose()?;
    if input.url.is_some() || input.status == Some(Status::Ativo) {
        // Another address, or another try: its days of failure begin anew.
        spi::run(
            "update nebula.webhook_subscription set failing_since = null where tenant_id = $1 and id = $2 and failing_since is not null",
            &[Arg::Uuid(call.tenant()), Arg::Uuid(input.id)],
        );
    }
    spi::object(
        concat!(
            "update nebula.webhook_subscription w set url = coalesce($3, url), \
               events = case when $4 then $5 else events end, description = coalesce($6, description), status = coalesce($7::nebula.status, status), \
               suspended_reason = case when $7 is null then suspended_reason else $8 end \
             where w.tenant_id = $1 and w.id = $2 returning ",
            webhook_columns!()),
        &[
            Arg::Uuid(call.tenant()),
            Arg::Uuid(input.id),
            Arg::OptText(input.url.as_ref().map(|url| url.0.as_str())),
            Arg::Bool(events.is_some()),
            Arg::Texts(&events.unwrap_or_default()),
            Arg::OptText(input.description.as_ref().map(Description::as_str)),
            Arg::OptText(input.status.map(Status::as_str)),
            Arg::OptText(input.suspended_reason.as_ref().map(Description::as_str)),
        ],
    )
    .map(Reply::data)
    .ok_or_else(|| Code::NotFound.into())
}

fn delete(call: &Call, input: ById) -> Result<Reply> {
    let removed = spi::run(
        "delete from nebula.webhook_subscription where tenant_id = $1 and id = $2",
        &[Arg::Uuid(call.tenant()), Arg::Uuid(input.id)],
    );
    if removed == 0 { Err(Code::NotFound.into()) } else { Ok(Reply::none()) }
}

/// How long both secrets sign after a rotation, unless the caller says otherwise: a day, as Stripe does.
const OVERLAP_SECONDS: u32 = 86_400;

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RotateSecret {
    id: Uuid,
    /// How long the old secret signs beside the new one, in seconds: 0 to 604,800, default 86,400.
    #[schemars(range(max = 604_800))]
    grace_period_seconds: Option<u32>,
    secret: Object<GeneratedSecret>,
}

fn rotate_secret(call: &Call, input: RotateSecret) -> Result<Reply> {
    let secret = input.secret.0;
    let overlap = input.grace_period_seconds.unwrap_or(OVERLAP_SECONDS);
    if overlap > 604_800 {
        return Err(Refusal::invalid("gracePeriodSeconds", "range"));
    }
    spi::object(
        concat!(
            "update nebula.webhook_subscription w set secret_sealed = $3, secret_key_version = $4, \
               previous_secret_sealed = case when $5 > 0 then secret_sealed end, \
               previous_secret_key_version = case when $5 > 0 then secret_key_version end, \
               previous_secret_expires_at = case when $5 > 0 then now() + make_interval(secs => $5) end \
             where w.tenant_id = $1 and w.id = $2 returning ",
            webhook_columns!(", $6 as secret")
        ),
        &[
            Arg::Uuid(call.tenant()),
            Arg::Uuid(input.id),
            Arg::Bytes(&secret.sealed()?),
            Arg::Int(i32::from(secret.key_version.get())),
            Arg::Int(i32::try_from(overlap).unwrap_or(0)),
            Arg::Text(&secret.plain),
        ],
    )
    .map(Reply::data)
    .ok_or_else(|| Code::NotFound.into())
}

fn test(call: &Call, input: ById) -> Result<Reply> {
    find(call, input.id)?;
    queue(call, "webhook.test", &json!({ "webhookId": input.id }).to_string())
}

fn queue(call: &Call, event: &str, data: &str) -> Result<Reply> {
    let job = outbox::emit(call.tenant(), event, data)?;
    Ok(Reply::data(json!({ "jobId": job }).to_string()))
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ListDeliveries {
    id: Uuid,
    #[serde(default)]
    limit: Limit,
    cursor: Option<String>,
    sort: Option<String>,
    event_type: Option<Key>,
    created_at_from: Option<Instant>,
    created_at_to: Option<Instant>,
}

fn list_deliveries(call: &Call, input: ListDeliveries) -> Result<Reply> {
    find(call, input.id)?;
    List {
        name: "webhooks.deliveries",
        from: "from nebula.webhook_delivery d where d.tenant_id = $1 and d.webhook_subscription_id = $2",
        alias: "d",
        columns: "d.id, d.event_id as \"eventId\", d.event_type as \"eventType\", d.attempt, d.status_code as \"statusCode\", \
                  d.latency_ms as \"latencyMs\", d.error, d.created_at as \"createdAt\"",
        sorts: SORTS,
        search: None,
        has_status: false,
        filters: &[("d.event_type = %1", input.event_type.map(|event| event.as_str().to_owned()))],
        tenant: Some(call.tenant()),
        parent: Some(input.id),
    }
    .page(&call.caller, &ListInput::page(input.limit, input.cursor, input.sort).created(input.created_at_from, input.created_at_to))
}

fn redeliver(call: &Call, input: ById) -> Result<Reply> {
    let delivery = spi::text(
        "select json_build_object('deliveryId', d.id, 'eventId', d.event_id, 'eventType', d.event_type, 'webhookId', w.id)::text \
         from nebula.webhook_delivery d join nebula.webhook_subscription w on w.tenant_id = $1 and w.id = d.webhook_subscription_id \
         where d.tenant_id = $1 and d.id = $2",
        &[Arg::Uuid(call.tenant()), Arg::Uuid(input.id)],
    )
    .ok_or(Code::NotFound)?;
    queue(call, "webhook.redelivery", &delivery)
}
