//! A piece of work, and how it ended.

use crate::db::Failure;
use serde_json::Value;
use std::time::Duration;
use tokio_postgres::Row;
use uuid::Uuid;

/// A job and the attempt that its lease is for.
pub type Lease = (Uuid, i32);

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

impl Outcome {
    /// As metrics and traces call it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Done | Self::Settled => "done",
            Self::Retry { .. } => "retry",
            Self::Dead { .. } => "dead",
        }
    }
}

impl Job {
    /// Id, tenant, type, data and attempt, in this order.
    pub(super) fn read(row: &Row) -> Result<Self, Failure> {
        let read = || {
            Ok(Self {
                id: row.try_get(0)?,
                tenant: row.try_get(1)?,
                kind: row.try_get(2)?,
                data: row.try_get::<_, Option<Value>>(3)?.unwrap_or(Value::Null),
                attempt: row.try_get(4)?,
            })
        };
        read().map_err(|error| Failure::of(&error))
    }

    /// What its lease is recognised by.
    #[must_use]
    pub fn lease(&self) -> Lease {
        (self.id, self.attempt)
    }
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
