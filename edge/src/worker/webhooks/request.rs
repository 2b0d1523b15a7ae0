//! What is to be sent, as the database says it now.

use super::{
    super::{Context, job::Lease, queue::split},
    signature,
};
use crate::{
    auth::{SealingKeys, sealing::Place},
    db::Failure,
    error::Error,
};
use ::http::{HeaderMap, HeaderValue, header::CONTENT_TYPE};
use bytes::Bytes;
use std::{
    collections::HashMap,
    time::{SystemTime, UNIX_EPOCH},
};
use tokio_postgres::{Row, types::Type};
use url::Url;
use uuid::Uuid;

/// What a job comes to.
pub enum Delivery {
    Request(Request),
    /// The webhook is gone or suspended.
    Nothing,
    /// The event is older than events are kept.
    Forgotten,
}

/// One event for one address.
pub struct Request {
    tenant: Uuid,
    pub webhook: Uuid,
    pub url: String,
    /// What the bound of a host counts by; empty where the URL is none.
    pub host: String,
    event: Uuid,
    /// Exactly this text is signed and sent.
    pub body: Bytes,
    /// With the version of the key that sealed it: the present secret, and while both sign the previous one.
    secrets: Vec<(u16, Vec<u8>)>,
}

/// What these jobs come to; one whose lease is lost is not in it.
pub async fn read(context: &Context, leases: &[Lease]) -> Result<HashMap<Uuid, Delivery>, Failure> {
    let (ids, attempts) = split(leases);
    let statement = "select id, tenant_id, webhook_id, url, secret, secret_version, previous_secret, previous_secret_version, event_id, body \
                     from nebula.webhook_requests($1, $2, $3)";
    let parameters = [(&context.worker as _, Type::TEXT), (&ids as _, Type::UUID_ARRAY), (&attempts as _, Type::INT4_ARRAY)];
    let rows = context.database.rows(statement, &parameters).await?;
    rows.iter().map(|row| Ok((row.try_get(0)?, delivery(row)?))).collect::<Result<_, _>>().map_err(|error| Failure::of(&error))
}

fn delivery(row: &Row) -> Result<Delivery, tokio_postgres::Error> {
    let (Some(webhook), Some(url)) = (row.try_get(2)?, row.try_get::<_, Option<String>>(3)?) else { return Ok(Delivery::Nothing) };
    let (Some(event), Some(body)) = (row.try_get(8)?, row.try_get::<_, Option<String>>(9)?) else { return Ok(Delivery::Forgotten) };
    let secrets = [secret(row, 4)?, secret(row, 6)?].into_iter().flatten().collect();
    let host = Url::parse(&url).ok().and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_default();
    Ok(Delivery::Request(Request { tenant: row.try_get(1)?, webhook, url, host, event, body: Bytes::from(body), secrets }))
}

fn secret(row: &Row, column: usize) -> Result<Option<(u16, Vec<u8>)>, tokio_postgres::Error> {
    let sealed: Option<Vec<u8>> = row.try_get(column)?;
    let version: Option<i32> = row.try_get(column + 1)?;
    Ok(version.and_then(|version| u16::try_from(version).ok()).zip(sealed))
}

impl Request {
    /// The headers of Standard Webhooks, signed at this moment with every secret that counts.
    pub async fn headers(&self, keys: &dyn SealingKeys) -> Result<HeaderMap, Error> {
        let id = self.event.to_string();
        let timestamp = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let mut signatures = Vec::new();
        for (version, sealed) in &self.secrets {
            let place = Place { tenant: self.tenant, row: self.webhook, field: "secret" };
            let secret = keys.open(place, *version, sealed).await?;
            let signed = signature::of(&secret, &id, timestamp, &self.body);
            signatures.push(signed.ok_or_else(|| Error::SealingKey("what it opens is no webhook secret".to_owned()))?);
        }
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        for (name, value) in [("webhook-id", id), ("webhook-timestamp", timestamp.to_string()), ("webhook-signature", signatures.join(" "))]
        {
            let value = HeaderValue::try_from(value).map_err(|_| Error::SealingKey("a signature is no header".to_owned()))?;
            headers.insert(name, value);
        }
        Ok(headers)
    }
}
