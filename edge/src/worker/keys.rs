//! The worker's sealing keys, read again while it runs: a new key file, or a new registration, needs no restart.

use crate::{
    auth::{KeySource, LocalKeys, Registered, RegisteredKeys, SealingKeys, sealing::Place},
    db::{Failure, WorkerDatabase},
    error::Error,
};
use arc_swap::ArcSwap;
use async_trait::async_trait;
use std::{sync::Arc, time::Duration};
use tokio::time::sleep;
use zeroize::Zeroizing;

/// As often as the edge reads its state.
const POLL: Duration = Duration::from_secs(30);
const RETRY: Duration = Duration::from_secs(2);

/// Keys that are renewed for as long as somebody holds them.
pub struct LiveKeys(ArcSwap<RegisteredKeys>);

impl LiveKeys {
    /// Reads the keys of this machine and what the database has registered, and goes on doing so.
    pub async fn start(source: KeySource, database: WorkerDatabase) -> Result<Arc<Self>, Error> {
        let first = read(&source, &database).await?;
        let complaints = complain(&first, &[]);
        let live = Arc::new(Self(ArcSwap::from_pointee(first)));
        live.keep_reading(source, database, complaints, POLL);
        Ok(live)
    }

    /// The same without waiting for the database: until it answers everything opens and nothing is sealed.
    pub fn begin(source: KeySource, database: WorkerDatabase) -> Result<Arc<Self>, Error> {
        let local = LocalKeys::load(&source)?;
        let live = Arc::new(Self(ArcSwap::from_pointee(RegisteredKeys::new(local, Registered::new()))));
        live.keep_reading(source, database, Vec::new(), Duration::ZERO);
        Ok(live)
    }

    /// Reads again after `wait`, and from then on as often as usual; sooner where it fails.
    fn keep_reading(self: &Arc<Self>, source: KeySource, database: WorkerDatabase, mut complaints: Vec<String>, mut wait: Duration) {
        let held = Arc::downgrade(self);
        tokio::spawn(async move {
            loop {
                sleep(wait).await;
                let Some(live) = held.upgrade() else { return };
                // While the database is away, or a file is being replaced, the last keys stay.
                match read(&source, &database).await {
                    Ok(keys) => {
                        complaints = complain(&keys, &complaints);
                        live.0.store(Arc::new(keys));
                        wait = POLL;
                    }
                    Err(error) => {
                        tracing::warn!("the sealing keys were not read again: {error}");
                        wait = RETRY;
                    }
                }
            }
        });
    }
}

async fn read(source: &KeySource, database: &WorkerDatabase) -> Result<RegisteredKeys, Error> {
    let source = source.clone();
    let local = tokio::task::spawn_blocking(move || LocalKeys::load(&source)).await;
    let local = local.map_err(|_| Error::SealingKey("cannot be read".to_owned()))??;
    let registered = registered(database).await.map_err(|failure| Error::Database(failure.reason().to_owned()))?;
    Ok(RegisteredKeys::new(local, registered))
}

/// `nebula.sealing_keys`.
async fn registered(database: &WorkerDatabase) -> Result<Registered, Failure> {
    let rows = database.rows("select version, fingerprint from nebula.sealing_keys()", &[]).await?;
    let read = |row: &tokio_postgres::Row| Some((u16::try_from(row.try_get::<_, i32>(0).ok()?).ok()?, row.try_get(1).ok()?));
    Ok(rows.iter().filter_map(read).collect())
}

/// Logs what is new among the complaints; all of them.
fn complain(keys: &RegisteredKeys, known: &[String]) -> Vec<String> {
    let complaints = keys.complaints();
    complaints.iter().filter(|complaint| !known.contains(complaint)).for_each(|complaint| tracing::error!("{complaint}"));
    complaints
}

#[async_trait]
impl SealingKeys for LiveKeys {
    fn newest(&self) -> Option<u16> {
        self.0.load().newest()
    }

    async fn seal(&self, place: Place<'_>, plain: &[u8]) -> Result<(u16, Vec<u8>), Error> {
        self.0.load_full().seal(place, plain).await
    }

    async fn open(&self, place: Place<'_>, version: u16, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, Error> {
        self.0.load_full().open(place, version, sealed).await
    }

    async fn digest(&self, parts: &[&[u8]]) -> Result<[u8; 32], Error> {
        self.0.load_full().digest(parts).await
    }
}
