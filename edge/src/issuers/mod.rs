//! Keeping other issuers' public keys fresh: fetched from where the database says, and registered by a login that may do nothing else.
//!
//! Without `keys_database_url` nothing is ever fetched: the keys are then brought by `nebula issuer sync`, from wherever that runs.

mod cooldown;
mod fetch;

pub use cooldown::Turn;

use crate::{
    config::{Config, DatabaseUrl},
    db::{self, IssuerState},
    error::Error,
};
use cooldown::Cooldown;
use fetch::fetch;
use std::time::{Duration, Instant};
use tokio::sync::{Semaphore, watch};
use tokio_postgres::Client;

/// Requests that wait for a fetch at once: a slow issuer must not take every place that requests have.
const MAX_WAITING: usize = 32;
const MAX_WAIT: Duration = Duration::from_secs(2);
/// For fetching and registering one issuer's keys.
const RENEWAL_TIMEOUT: Duration = Duration::from_secs(12);

/// Fetches and registers.
pub struct Renewal {
    keys_database_url: Option<DatabaseUrl>,
    allows_loopback: bool,
    pub interval: Duration,
    cooldown: Cooldown,
    waiting: Semaphore,
}

/// One issuer's keys after a renewal.
pub struct Renewed {
    pub issuer: String,
    /// How many keys were added, changed or removed.
    pub outcome: Result<i32, Error>,
}

impl Renewal {
    #[must_use]
    pub fn new(config: &Config) -> Self {
        Self {
            keys_database_url: config.keys_database_url.clone(),
            allows_loopback: config.allow_loopback_jwks,
            interval: Duration::from_secs(config.jwks_refresh_seconds.max(1)),
            cooldown: Cooldown::new(Duration::from_secs(config.jwks_cooldown_seconds)),
            waiting: Semaphore::new(MAX_WAITING),
        }
    }

    /// Whether this edge fetches at all.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.keys_database_url.is_some()
    }

    /// A token of this issuer names a key that nobody knows: whose turn it is to fetch.
    pub fn ask(&self, issuer: &str) -> Turn {
        self.cooldown.ask(issuer, Instant::now())
    }

    /// Waits for a fetch that is under way, not too long and not with too many others.
    pub async fn wait(&self, mut over: watch::Receiver<()>) {
        if let Ok(_place) = self.waiting.try_acquire() {
            let _ = tokio::time::timeout(MAX_WAIT, over.changed()).await;
        }
    }

    /// Fetches and registers the keys of every active issuer that publishes its own, or of this one alone.
    pub async fn renew(&self, only: Option<&str>) -> Result<Vec<Renewed>, Error> {
        let url = self.keys_database_url.as_ref().ok_or(Error::Missing("NEBULA_KEYS_DATABASE_URL"))?;
        renew_over(&db::connect_admin(url).await?, only, self.allows_loopback).await
    }
}

/// The same over a connection of the caller's.
pub async fn renew_over(client: &Client, only: Option<&str>, allows_loopback: bool) -> Result<Vec<Renewed>, Error> {
    let mut renewed = Vec::new();
    for issuer in db::issuer_state(client).await? {
        if issuer.status == "ativo" && only.is_none_or(|only| only == issuer.issuer) && issuer.jwks_url.is_some() {
            let outcome = tokio::time::timeout(RENEWAL_TIMEOUT, renew_one(client, &issuer, allows_loopback)).await;
            let outcome = outcome.unwrap_or_else(|_| Err(Error::Issuer("the database did not answer in time".to_owned())));
            renewed.push(Renewed { issuer: issuer.issuer, outcome });
        }
    }
    Ok(renewed)
}

async fn renew_one(client: &Client, issuer: &IssuerState, allows_loopback: bool) -> Result<i32, Error> {
    let url = issuer.jwks_url.as_deref().unwrap_or_default();
    let jwks = fetch(url, allows_loopback).await.map_err(|error| Error::Issuer(format!("{url}: {error}")))?;
    db::replace_issuer_keys(client, &issuer.issuer, jwks).await
}
