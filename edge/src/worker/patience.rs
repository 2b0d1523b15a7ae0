//! What a worker does while the database is away: it waits, longer and longer, says so once, and goes on by itself.

use crate::db::Failure;
use std::time::Duration;

const FIRST: Duration = Duration::from_millis(50);
const LONGEST: Duration = Duration::from_secs(5);

/// The waits of one thing that is tried again and again.
pub struct Patience {
    what: &'static str,
    wait: Duration,
    is_waiting: bool,
}

impl Patience {
    /// `what` can't be done while the database is away, for the log.
    #[must_use]
    pub fn with(what: &'static str) -> Self {
        Self { what, wait: FIRST, is_waiting: false }
    }

    /// How long to wait after this failure.
    pub fn after(&mut self, failure: &Failure) -> Duration {
        if !self.is_waiting {
            self.is_waiting = true;
            tracing::warn!("cannot {}: {}", self.what, failure.reason());
        }
        let wait = self.wait;
        self.wait = (wait * 2).min(LONGEST);
        wait
    }

    /// It was done.
    pub fn rewarded(&mut self) {
        if self.is_waiting {
            tracing::info!("can {} again", self.what);
        }
        *self = Self::with(self.what);
    }
}

/// Tries until the database answers: what was done must be told to it, however long it is away. `Err` if the statement itself is refused.
pub async fn until_answered<T, F: Future<Output = Result<T, Failure>>>(what: &'static str, attempt: impl Fn() -> F) -> Result<T, Failure> {
    let mut patience = Patience::with(what);
    loop {
        match attempt().await {
            Err(failure @ Failure::Unavailable(_)) => tokio::time::sleep(patience.after(&failure)).await,
            answered => {
                patience.rewarded();
                return answered;
            }
        }
    }
}
