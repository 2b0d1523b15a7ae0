//! Who may have an issuer's keys fetched now: one at a time for each issuer, and after it nobody for a while, however many tokens name keys that nobody
//! knows.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};
use tokio::sync::watch;

/// Answers whose turn it is.
pub struct Cooldown {
    interval: Duration,
    turns: Mutex<HashMap<String, Began>>,
}

struct Began {
    at: Instant,
    /// Closed when the fetch is over.
    over: watch::Receiver<()>,
}

/// What an asker is to do.
pub enum Turn {
    /// Fetch; whoever waits goes on when this is dropped.
    Fetch(watch::Sender<()>),
    /// Somebody fetches already: over when the channel closes.
    Wait(watch::Receiver<()>),
    /// It was done just now.
    Recent,
}

impl Cooldown {
    #[must_use]
    pub fn new(interval: Duration) -> Self {
        Self { interval, turns: Mutex::default() }
    }

    /// Asks for a turn. Issuers are registered ones, so that the map is as small as their table.
    pub fn ask(&self, issuer: &str, now: Instant) -> Turn {
        let mut turns = self.lock();
        if let Some(began) = turns.get(issuer) {
            // An error means that the sender is gone.
            if began.over.has_changed().is_ok() {
                return Turn::Wait(began.over.clone());
            }
            if now.saturating_duration_since(began.at) < self.interval {
                return Turn::Recent;
            }
        }
        let (done, over) = watch::channel(());
        turns.insert(issuer.to_owned(), Began { at: now, over });
        Turn::Fetch(done)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Began>> {
        self.turns.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
#[allow(clippy::panic)]
mod tests {
    use super::*;

    fn after(start: Instant, seconds: u64) -> Instant {
        start + Duration::from_secs(seconds)
    }

    #[test]
    fn one_fetches_others_wait_and_then_nobody_for_a_while() {
        let (cooldown, start) = (Cooldown::new(Duration::from_secs(30)), Instant::now());
        let Turn::Fetch(done) = cooldown.ask("a", start) else { panic!("the first fetches") };
        assert!(matches!(cooldown.ask("a", after(start, 1)), Turn::Wait(_)));
        assert!(matches!(cooldown.ask("b", after(start, 1)), Turn::Fetch(_)), "another issuer has its own turn");
        drop(done);
        for seconds in [2, 29] {
            assert!(matches!(cooldown.ask("a", after(start, seconds)), Turn::Recent), "{seconds}");
        }
        assert!(matches!(cooldown.ask("a", after(start, 30)), Turn::Fetch(_)));
    }

    #[test]
    fn a_fetch_that_takes_longer_than_the_cooldown_is_still_the_only_one() {
        let (cooldown, start) = (Cooldown::new(Duration::from_secs(1)), Instant::now());
        let Turn::Fetch(_done) = cooldown.ask("a", start) else { panic!("the first fetches") };
        assert!(matches!(cooldown.ask("a", after(start, 5)), Turn::Wait(_)));
    }

    #[tokio::test]
    async fn whoever_waits_goes_on_when_the_fetch_is_over() {
        let (cooldown, start) = (Cooldown::new(Duration::from_secs(30)), Instant::now());
        let Turn::Fetch(done) = cooldown.ask("a", start) else { panic!("the first fetches") };
        let Turn::Wait(mut over) = cooldown.ask("a", start) else { panic!("the second waits") };
        drop(done);
        assert!(over.changed().await.is_err(), "closed");
    }
}
