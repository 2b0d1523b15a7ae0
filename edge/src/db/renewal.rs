//! Connections that are no longer wanted: to a server that takes no writes any more, or with a library that was replaced.

use deadpool_postgres::{Hook, HookError, Pool};
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

/// Since when a connection must have been made. Cheap to clone.
#[derive(Clone)]
pub struct Renewal(Arc<Mutex<Instant>>);

impl Renewal {
    pub fn new() -> Self {
        Self(Arc::new(Mutex::new(Instant::now())))
    }

    /// For a pool's `pre_recycle`: whoever asks next finds no connection that was given up while it was in use.
    pub fn hook(&self) -> Hook {
        let renewal = self.clone();
        Hook::sync_fn(
            move |_, metrics| {
                if metrics.created < *renewal.since() { Err(HookError::message("given up while it was in use")) } else { Ok(()) }
            },
        )
    }

    /// Gives up what a pool has: idle connections at once, those in use when they come back.
    pub fn renew(&self, pool: &Pool) {
        *self.since() = Instant::now();
        pool.retain(|_, _| false);
    }

    fn since(&self) -> MutexGuard<'_, Instant> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
