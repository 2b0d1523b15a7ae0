//! Deliveries of webhooks, for the worker. SQL shapes are in `sql/functions/webhook.sql`.
#![allow(unsafe_code, clippy::needless_pass_by_value)]

use super::{
    Table, back,
    outbox::{leases, refuse},
};
use crate::{domain::webhook_delivery, kernel::spi};
use pgrx::{PgSqlErrorCode, name, pg_extern};

#[pg_extern(sql = false)]
#[allow(clippy::type_complexity)]
fn webhook_requests(
    worker: &str,
    ids: Vec<Option<pgrx::Uuid>>,
    attempts: Vec<Option<i32>>,
) -> Table<(
    name!(id, pgrx::Uuid),
    name!(tenant_id, pgrx::Uuid),
    name!(webhook_id, Option<pgrx::Uuid>),
    name!(url, Option<String>),
    name!(secret, Option<Vec<u8>>),
    name!(secret_version, Option<i32>),
    name!(previous_secret, Option<Vec<u8>>),
    name!(previous_secret_version, Option<i32>),
    name!(event_id, Option<pgrx::Uuid>),
    name!(body, Option<String>),
)> {
    let requests = spi::looking_up(|| webhook_delivery::requests(worker, &leases(ids, attempts)));
    Table::of(requests.into_iter().map(|request| {
        let ((secret, version), (previous, previous_version)) = (request.secret, request.previous);
        (
            back(request.job),
            back(request.tenant),
            request.webhook.map(back),
            request.url,
            secret,
            version,
            previous,
            previous_version,
            request.event.map(back),
            request.body,
        )
    }))
}

#[pg_extern(sql = false)]
fn record_deliveries(worker: &str, outcomes: &str) -> i32 {
    match spi::looking_up(|| webhook_delivery::record(worker, outcomes)) {
        Ok(count) => i32::try_from(count).unwrap_or(i32::MAX),
        Err(_) => refuse(PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE, "outcomes are not as nebula.record_deliveries takes them"),
    }
}
