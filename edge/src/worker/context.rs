//! What every piece of work may use.

use crate::{auth::SealingKeys, config::Config, db::WorkerDatabase, storage::Storage};
use std::sync::Arc;

/// Shared by everything that a worker does at once.
pub struct Context {
    /// This worker's name, as leases have it.
    pub worker: String,
    pub config: Config,
    pub database: WorkerDatabase,
    /// Keys to what the edge sealed.
    pub keys: Arc<dyn SealingKeys>,
    /// Object storage; `None` where none is configured.
    pub storage: Option<Storage>,
}
