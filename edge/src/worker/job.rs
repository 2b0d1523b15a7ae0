//! A piece of work, and how it ended.

use serde_json::Value;
use std::time::Duration;
use uuid::Uuid;

/// What `nebula.claim` gave.
#[derive(Clone, Debug)]
pub struct Job {
    pub id: Uuid,
    /// Whose it is; `None` for the installation's own.
    pub tenant: Option<Uuid>,
    /// The event's or the work's name.
    pub kind: String,
    /// `payload.data`.
    pub data: Value,
    /// With it the worker proves that the lease is still its own.
    pub attempt: i32,
}

/// How it ended; the words reach the tenant's list of jobs, so they hold no secret and nothing personal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Done,
    /// To be tried again, not before this time.
    Retry {
        error: String,
        after: Option<Duration>,
    },
    /// To be tried again only if a person says so.
    Dead {
        error: String,
    },
    /// Its handler has already told the database.
    Settled,
}
