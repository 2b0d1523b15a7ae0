//! The edge's parsers, for the fuzz targets in `tests/fuzz` and for nobody else: no part of what the library promises.
//!
//! Always there, instead of behind a Cargo feature: with one, `cargo build --workspace` and `cargo test -p …` would each compile the edge in a way of its own
//! (docs/decisions/0037-fuzzing.md).

use crate::{
    auth::{SealingKeys, key_source, sealing::SealingKey},
    command::up::env_file,
    config::{DatabaseUrl, Settings, setting},
    db::TableDescription,
    error::Error,
    exports::json_row::JsonRow,
    http::{client_address, headers, query, strict_json},
    telemetry::traces::parent,
    worker::http::retry_after,
};
use async_trait::async_trait;
use http::HeaderMap;
use ipnet::IpNet;
use std::{
    collections::BTreeMap,
    net::IpAddr,
    time::{Duration, SystemTime},
};
use uuid::Uuid;
use zeroize::Zeroizing;

pub use crate::{
    audit_chain::heads::{Head, Heads},
    auth::{Presented, present, sealing, sealing::Place, well_formed},
};

/// `Ok`: the same text.
pub fn strict_json(bytes: &[u8]) -> Result<&str, &'static str> {
    strict_json::check(bytes)
}

#[must_use]
pub fn query(text: &str) -> Option<BTreeMap<String, String>> {
    query::parse(Some(text)).ok()
}

/// A segment of a path.
pub fn percent_decode(text: &str) -> Result<String, &'static str> {
    query::decode(text)
}

#[must_use]
pub fn client_address(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    client_address::of(peer, headers, trusted)
}

#[must_use]
pub fn request_id(headers: &HeaderMap) -> String {
    headers::request_id(headers)
}

#[must_use]
pub fn user_agent(headers: &HeaderMap) -> Option<String> {
    headers::user_agent(headers)
}

/// `X-Tenant-Id` and `Idempotency-Key`, where they are accepted.
#[must_use]
pub fn single_headers(headers: &HeaderMap) -> [Option<Option<&str>>; 2] {
    [headers::tenant(headers).ok(), headers::idempotency_key(headers).ok()]
}

/// Trace, span and flags of `traceparent`, and the text of `tracestate`.
#[must_use]
pub fn traceparent(headers: &HeaderMap) -> Option<(String, String, u8, String)> {
    let context = parent::of(headers)?;
    Some((context.trace_id().to_string(), context.span_id().to_string(), context.trace_flags().to_u8(), context.trace_state().header()))
}

#[must_use]
pub fn retry_after(value: &str, now: SystemTime) -> Option<Duration> {
    retry_after::parse(value, now)
}

/// A settings file: what was read of it, as `nebula config show` would print the file's connection strings, and every word that an operator is told.
#[must_use]
pub fn settings(text: &str) -> (String, Vec<String>) {
    let mut problems = Vec::new();
    let settings = Settings::read(text, &mut problems);
    let told = problems.into_iter().map(|problem| format!("{}: {} {}", problem.setting, problem.message, problem.hint.unwrap_or_default()));
    (format!("{settings:?}"), told.collect())
}

/// A setting's text as it is shown.
#[must_use]
pub fn without_credentials(text: &str) -> String {
    setting::without_credentials(text)
}

/// What a connection string means: what is shown of it, its login, its password and how TLS is checked. The error is what an operator is told.
pub fn database_url(text: &str) -> Result<ReadDatabaseUrl, String> {
    let url: DatabaseUrl = text.parse()?;
    let config = url.postgres();
    Ok(ReadDatabaseUrl {
        shown: url.without_password(),
        debug: format!("{url:?}"),
        user: config.get_user().map(str::to_owned),
        password: config.get_password().map(<[u8]>::to_vec),
        hosts: config.get_hosts().len(),
        tls: format!("{:?} {:?}", url.tls(), config.get_ssl_mode()),
    })
}

/// See [`database_url`].
#[derive(Debug, PartialEq, Eq)]
pub struct ReadDatabaseUrl {
    pub shown: String,
    pub debug: String,
    pub user: Option<String>,
    pub password: Option<Vec<u8>>,
    pub hosts: usize,
    pub tls: String,
}

/// Versions and fingerprints of a list of sealing keys, the newest first; the error is what an operator is told.
pub fn sealing_keys(list: &str) -> Result<Vec<(u16, [u8; 32])>, String> {
    let keys = key_source::parse(list).map_err(|error| error.to_string())?;
    Ok(keys.newest_first().map(|key| (key.version, *key.fingerprint())).collect())
}

#[must_use]
pub fn env_line(line: &str) -> Option<(String, String)> {
    env_file::parse(line)
}

/// As `up` writes it, without the line feed.
#[must_use]
pub fn env_line_of(name: &str, value: &str) -> String {
    env_file::line(name, value)
}

/// A row of an export: whether it opens with this key, and the row as it is loaded then.
#[must_use]
pub fn open_export_row(line: &str, key: SealingKey, tenant: Uuid, table: &str) -> Option<String> {
    let table: TableDescription = serde_json::from_str(table).ok()?;
    let mut row = JsonRow::parse(line)?;
    let keys = OneKey(key);
    now(row.open(tenant, &table, &keys))?.ok()?;
    now(row.reseal(tenant, &table, &keys, None))?.ok()?;
    let mut out = String::new();
    row.append_to(&table.columns, &mut out);
    Some(out)
}

/// A row as an export writes it: its secrets sealed.
#[must_use]
pub fn seal_export_row(line: &str, key: SealingKey, tenant: Uuid, table: &str) -> Option<String> {
    let table: TableDescription = serde_json::from_str(table).ok()?;
    let mut row = JsonRow::parse(line)?;
    now(row.seal(tenant, &table, &OneKey(key)))?.ok()?;
    let mut out = String::new();
    row.append_to(&table.columns, &mut out);
    Some(out)
}

/// The result of a future that waits for nothing.
fn now<T>(future: impl Future<Output = T>) -> Option<T> {
    futures_util::FutureExt::now_or_never(future)
}

/// A key that is registered nowhere.
struct OneKey(SealingKey);

#[async_trait]
impl SealingKeys for OneKey {
    fn newest(&self) -> Option<u16> {
        Some(self.0.version)
    }

    async fn seal(&self, place: Place<'_>, plain: &[u8]) -> Result<(u16, Vec<u8>), Error> {
        let sealed = self.0.seal(place, plain).ok_or_else(|| Error::SealingKey("cannot seal".to_owned()))?;
        Ok((self.0.version, sealed))
    }

    async fn open(&self, place: Place<'_>, version: u16, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, Error> {
        let opened = if version == self.0.version { self.0.open(place, sealed) } else { None };
        opened.ok_or_else(|| Error::SealingKey("does not open".to_owned()))
    }

    async fn digest(&self, parts: &[&[u8]]) -> Result<[u8; 32], Error> {
        Ok(self.0.digest(parts))
    }
}
