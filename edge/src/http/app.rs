//! What every request shares, and the router.

use super::{body::BodyMemory, docs, foreign, frame, health, live_state::LiveState, pipeline, refusal::Refusal, waiting::Waiting};
use crate::{
    auth::Deriver,
    config::Config,
    db::{self, Database},
    error::Error,
    issuers::Renewal,
    storage::{self, Storage},
    telemetry::Telemetry,
};
use axum::{Router, middleware, routing::get};
use std::{
    sync::{Arc, Weak, atomic::AtomicBool},
    time::Duration,
};
use tokio::sync::{Semaphore, SemaphorePermit};

/// Holds on to nothing.
pub struct WeakApp(Weak<Inner>);

impl WeakApp {
    #[must_use]
    pub fn upgrade(&self) -> Option<App> {
        self.0.upgrade().map(App)
    }
}

/// The shared state; cheap to clone.
#[derive(Clone)]
pub struct App(Arc<Inner>);

pub struct Inner {
    pub config: Config,
    pub database: Database,
    pub live: LiveState,
    pub deriver: Deriver,
    /// Of other issuers' keys.
    pub renewal: Renewal,
    /// Where files are; `None` where no setting names it.
    pub storage: Option<Storage>,
    /// One permit a request under way; none left means shedding.
    pub in_flight: Arc<Semaphore>,
    /// Since the signal to stop: a balancer is to send its requests elsewhere.
    pub is_stopping: AtomicBool,
    /// One slot a client connection.
    pub connections: Arc<Semaphore>,
    /// Connections whose client sends nothing, or slowly.
    pub idle: Arc<Waiting>,
    /// What unfinished bodies may take.
    pub bodies: BodyMemory,
    pub telemetry: Telemetry,
}

impl std::ops::Deref for App {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}

impl App {
    pub fn new(config: Config, telemetry: Telemetry) -> Result<Self, Error> {
        let app = Self(Arc::new(Inner {
            database: Database::new(&config, &telemetry)?,
            live: LiveState::new(),
            deriver: Deriver::new(config.argon2_concurrency),
            renewal: Renewal::new(&config),
            storage: storage::open(&config)?,
            in_flight: Arc::new(Semaphore::new(config.max_in_flight.clamp(1, Semaphore::MAX_PERMITS))),
            is_stopping: AtomicBool::new(false),
            connections: Arc::new(Semaphore::new(config.max_connections.clamp(1, Semaphore::MAX_PERMITS))),
            idle: Arc::default(),
            bodies: BodyMemory::new(config.max_body_bytes),
            telemetry,
            config,
        }));
        app.show();
        Ok(app)
    }

    #[must_use]
    pub fn downgrade(&self) -> WeakApp {
        WeakApp(Arc::downgrade(&self.0))
    }

    /// A place among the requests under way; none left means shedding.
    pub fn admit(&self) -> Result<SemaphorePermit<'_>, Refusal> {
        self.in_flight.try_acquire().map_err(|_| self.shed("too many requests under way"))
    }

    /// The same, for one whose body is still to be read: refused at once where there is no place now.
    pub fn may_admit(&self) -> Result<(), Refusal> {
        self.admit().map(drop)
    }

    /// 503 for what is too much at the moment.
    pub fn shed(&self, reason: &str) -> Refusal {
        if let Some(metrics) = &self.telemetry.metrics {
            metrics.http.shed.inc();
        }
        Refusal::unavailable(reason)
    }

    /// Closes the connection whose client has sent nothing for longest.
    pub fn make_room(&self) {
        if self.idle.make_room()
            && let Some(metrics) = &self.telemetry.metrics
        {
            metrics.http.dismissed.inc();
        }
    }

    /// Starts what runs beside the requests: the keeper of the state, the listener that wakes it, and the flushing of usage.
    pub fn start_background(&self) -> Result<(), Error> {
        let url = self.config.notify_database_url.as_ref().map_or_else(|| self.config.require_database_url(), Ok)?.clone();
        let app = self.clone();
        tokio::spawn(async move { app.live.keep_current(app.database.clone(), &app.config).await });
        let app = self.clone();
        tokio::spawn(async move { db::listen(url, || app.live.want()).await });
        if self.config.flush_interval_ms > 0 {
            let app = self.clone();
            tokio::spawn(async move { app.database.keep_flushing(Duration::from_millis(app.config.flush_interval_ms)).await });
        }
        if self.renewal.is_on() {
            let app = self.clone();
            tokio::spawn(async move { foreign::keep_fresh(&app).await });
        }
        Ok(())
    }

    /// The router: what the edge answers itself, and everything else by the database's routes.
    pub fn router(&self) -> Router {
        let own = Router::new()
            .route(health::LIVE, get(health::live))
            .route(health::READY, get(health::ready))
            .route(health::JWKS, get(health::jwks))
            .route(docs::OPENAPI, get(docs::openapi));
        docs::paths()
            .fold(own, |router, path| router.route(path, get(docs::page)))
            .method_not_allowed_fallback(pipeline::method_not_allowed)
            .fallback(pipeline::run)
            .layer(middleware::from_fn_with_state(self.clone(), frame::around))
            .with_state(self.clone())
    }
}
