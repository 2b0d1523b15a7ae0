//! What the edge knows of the database, replaced as a whole when it changes; a request reads it without a lock.

use super::{docs, document::Document, route_table::RouteTable, served_route::ServedRoute};
use crate::{
    auth::{self, ForeignRing, KeyRing, KeySource, LocalKeys, PrivateKey, RegisteredKeys, SealingKeys, Signer, VerifiedTokens},
    config::Config,
    db::{Database, EdgeState, Failure, Skew},
    error::Error,
};
use arc_swap::ArcSwapOption;
use bytes::Bytes;
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::{Mutex, Notify, watch},
    time::{Instant, sleep, timeout},
};

/// A pooler in transaction mode forwards no notification, so the state is also read this often (docs/edge-protocol.md).
const POLL: Duration = Duration::from_secs(30);
/// While the database is older than this edge.
const OUTDATED_POLL: Duration = Duration::from_secs(1);
const MAX_BACKOFF: Duration = Duration::from_secs(1);
/// Tokens with made-up key ids cause at most one reload in this time, whoever sends them.
const UNKNOWN_KEY_INTERVAL: Duration = Duration::from_secs(3);
const UNKNOWN_KEY_WAIT: Duration = Duration::from_secs(1);

/// One state of the database, ready for use.
pub struct Snapshot {
    pub ring: KeyRing,
    pub foreign: ForeignRing,
    /// What these two have verified, and others like them before.
    pub verified: Arc<VerifiedTokens>,
    pub routes: RouteTable,
    /// The key that signs; `None` where this machine has no private half of an active key.
    pub signer: Option<Signer>,
    /// The keys that seal, read anew with each state: a new file needs no restart.
    pub sealing: Arc<dyn SealingKeys>,
    pub jwks: Bytes,
    /// The database is older than this edge: nothing is served.
    pub is_outdated: bool,
}

/// The current snapshot, and the means to have it replaced.
pub struct LiveState {
    current: ArcSwapOption<Snapshot>,
    /// The OpenAPI document. Beside the snapshot, since a slow one must not hold up a revoked key, nor a broken one anything.
    openapi: ArcSwapOption<Document>,
    wanted: Notify,
    /// Counts loads, failed ones included.
    loads: watch::Sender<u64>,
    /// When a token with an unknown key last had the state read, and how many loads had ended by then.
    last_unknown_key: Mutex<Option<(Instant, u64)>>,
}

impl LiveState {
    #[must_use]
    pub fn new() -> Self {
        Self {
            current: ArcSwapOption::empty(),
            openapi: ArcSwapOption::empty(),
            wanted: Notify::new(),
            loads: watch::Sender::new(0),
            last_unknown_key: Mutex::default(),
        }
    }

    /// The newest snapshot; `None` until the database was reached once.
    #[must_use]
    pub fn current(&self) -> Option<Arc<Snapshot>> {
        self.current.load_full()
    }

    /// The OpenAPI document; `None` where the database has none to give.
    #[must_use]
    pub fn openapi(&self) -> Option<Arc<Document>> {
        self.openapi.load_full()
    }

    /// Has the state read again at once.
    pub fn want(&self) {
        self.wanted.notify_one();
    }

    /// A token named a key that the snapshot lacks: reads the state again, if that was not done just now, and waits for it.
    pub async fn reload_for_unknown_key(&self) {
        let mut loads = self.loads.subscribe();
        {
            let mut last = self.last_unknown_key.lock().await;
            let ended = *loads.borrow_and_update();
            match *last {
                // Whoever comes while that reload is under way waits for it, too: of many requests with a new key the first alone would be right else.
                Some((asked_at, before)) if asked_at.elapsed() < UNKNOWN_KEY_INTERVAL => {
                    if ended > before {
                        return;
                    }
                }
                _ => {
                    *last = Some((Instant::now(), ended));
                    self.want();
                }
            }
        }
        let _ = timeout(UNKNOWN_KEY_WAIT, loads.changed()).await;
    }

    /// Reads the state again and waits for it, not too long.
    pub async fn reload(&self) {
        let mut loads = self.loads.subscribe();
        self.want();
        let _ = timeout(UNKNOWN_KEY_WAIT, loads.changed()).await;
    }

    /// Puts a state of the database in place; what an operator should mend.
    pub async fn replace(&self, state: EdgeState, config: &Config) -> Vec<String> {
        let before = self.current();
        let (snapshot, complaints) = build(state, before.as_ref().map(|before| &before.verified), config).await;
        self.current.store(Some(Arc::new(snapshot)));
        complaints
    }

    /// Puts the OpenAPI document in place, or nothing where it can't be read; what an operator should mend.
    pub fn replace_openapi(&self, read: Result<String, Failure>) -> Option<String> {
        let (document, complaint) = match read {
            Ok(text) => (Some(Arc::new(docs::openapi_document(text))), None),
            Err(failure) => (None, Some(format!("{} is not served: {}", docs::OPENAPI, failure.reason()))),
        };
        self.openapi.store(document);
        complaint
    }

    /// Keeps the snapshot current. Never returns; while the database is away the last snapshot stays.
    pub async fn keep_current(&self, database: Database, config: &Config) {
        let mut backoff = Duration::ZERO;
        let mut complaints = Vec::new();
        let mut openapi_complaint = None;
        loop {
            let loaded = database.edge_state().await;
            match loaded {
                Ok(state) => {
                    let poll = if state.skew() == Skew::Older { OUTDATED_POLL } else { POLL };
                    let found = self.replace(state, config).await;
                    if !backoff.is_zero() {
                        tracing::info!("the database is back");
                    }
                    backoff = Duration::ZERO;
                    if complaints != found {
                        found.iter().for_each(|complaint| tracing::error!("{complaint}"));
                        complaints = found;
                    }
                    self.loads.send_modify(|count| *count += 1);
                    let found = self.replace_openapi(database.openapi().await);
                    if openapi_complaint != found {
                        found.iter().for_each(|complaint| tracing::error!("{complaint}"));
                        openapi_complaint = found;
                    }
                    let _ = timeout(poll, self.wanted.notified()).await;
                }
                Err(failure) => {
                    if backoff.is_zero() {
                        tracing::error!("cannot read the state of the database, trying on: {}", failure.reason());
                    }
                    self.loads.send_modify(|count| *count += 1);
                    backoff = (backoff * 2).clamp(Duration::from_millis(100), MAX_BACKOFF);
                    sleep(backoff).await;
                }
            }
        }
    }
}

/// Makes a snapshot, with the tokens that were verified before where they still are, and says what an operator should mend.
async fn build(state: EdgeState, verified: Option<&Arc<VerifiedTokens>>, config: &Config) -> (Snapshot, Vec<String>) {
    let is_outdated = state.skew() == Skew::Older;
    let skew = state.skew_complaint();
    let ring = KeyRing::new(&state);
    let foreign = ForeignRing::new(&state);
    let verified = VerifiedTokens::of(&state, verified);
    let seals = state.routes.served.iter().any(|route| !route.seal.is_empty());
    let registered = state.sealing_keys.into_iter().map(|key| (key.version, key.fingerprint.0.to_vec())).collect();
    let (limits, window_seconds) = (state.rate_limits, state.rate_limit_window_seconds);
    let unreadable = state.routes.unreadable;
    let routes = state.routes.served.into_iter().map(|route| ServedRoute::new(route, limits, window_seconds));
    let (routes, left_out) = RouteTable::new(routes);
    let mut complaints: Vec<String> =
        skew.into_iter().chain(unreadable.into_iter().chain(left_out).map(|route| format!("route not served: {route}"))).collect();
    let (signing, sealing) = read_keys(config, &mut complaints).await;
    let signer = Signer::choose(&signing, &ring);
    if signer.is_none() {
        complaints.push(
            "no private key of an active signing key here: logins are refused until `nebula key signing generate` has run".to_owned(),
        );
    }
    let sealing = RegisteredKeys::new(sealing, registered);
    if seals {
        complaints.extend(sealing.complaints());
    }
    let jwks = Bytes::from(auth::jwks_document(ring.public_keys()).to_string());
    (Snapshot { ring, foreign, verified, routes, signer, sealing: Arc::new(sealing), jwks, is_outdated }, complaints)
}

/// The keys of this machine, without those that can't be read.
async fn read_keys(config: &Config, complaints: &mut Vec<String>) -> (Vec<PrivateKey>, LocalKeys) {
    let (folder, source) = (config.keys_dir.clone(), KeySource::of(config));
    // Files are read off the runtime's threads.
    let read = tokio::task::spawn_blocking(move || (auth::load_all(&folder), LocalKeys::load(&source)));
    let Ok((signing, sealing)) = read.await else { return (Vec::new(), LocalKeys::from_iter([])) };
    let mut complain = |error: Error| complaints.push(error.to_string());
    (signing.map_err(&mut complain).unwrap_or_default(), sealing.map_err(&mut complain).unwrap_or_else(|()| LocalKeys::from_iter([])))
}
