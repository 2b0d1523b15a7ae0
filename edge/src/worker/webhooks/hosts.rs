//! How many requests a host gets at once, of all tenants together.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How many requests may wait for one host: more than that would wait for minutes, and are better tried again later.
const MAX_WAITING: usize = 1024;

/// The hosts that something is sent to, or waits for, now.
pub struct Hosts {
    bound: usize,
    hosts: Mutex<HashMap<String, Host>>,
}

struct Host {
    turns: Arc<Semaphore>,
    /// Who sends and who waits.
    users: usize,
}

/// What somebody who asks is told.
pub enum Turn {
    Now(#[allow(dead_code, reason = "its end is what it is for")] Sending),
    Wait(Waiting),
    Crowded,
}

/// A place among the users of a host.
struct Place {
    hosts: Arc<Hosts>,
    host: String,
}

/// The right to send; given back when dropped.
pub struct Sending {
    // Before the place: a host is forgotten after its last turn is given back.
    _turn: Option<OwnedSemaphorePermit>,
    _place: Place,
}

/// A place in the queue of a host.
pub struct Waiting {
    turns: Arc<Semaphore>,
    place: Place,
}

impl Hosts {
    #[must_use]
    pub fn new(bound: usize) -> Arc<Self> {
        Arc::new(Self { bound: bound.clamp(1, Semaphore::MAX_PERMITS), hosts: Mutex::default() })
    }

    /// Asks for a turn at a host.
    pub fn ask(this: &Arc<Self>, host: &str) -> Turn {
        let mut hosts = this.lock();
        let entry = hosts.entry(host.to_owned()).or_insert_with(|| Host { turns: Arc::new(Semaphore::new(this.bound)), users: 0 });
        if entry.users >= this.bound + MAX_WAITING {
            return Turn::Crowded;
        }
        entry.users += 1;
        let place = Place { hosts: Arc::clone(this), host: host.to_owned() };
        // Whoever waits already comes first: a semaphore with a queue gives out no turn by the way.
        match Arc::clone(&entry.turns).try_acquire_owned() {
            Ok(turn) => Turn::Now(Sending { _turn: Some(turn), _place: place }),
            Err(_) => Turn::Wait(Waiting { turns: Arc::clone(&entry.turns), place }),
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Host>> {
        self.hosts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    /// Waits for the turn, in the order of asking.
    pub async fn turn(self) -> Sending {
        // Never closed.
        Sending { _turn: self.turns.acquire_owned().await.ok(), _place: self.place }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut hosts = self.hosts.lock();
        if let Some(host) = hosts.get_mut(&self.host) {
            host.users = host.users.saturating_sub(1);
            if host.users == 0 {
                hosts.remove(&self.host);
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::panic)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_host_has_its_bound_and_is_forgotten_afterwards() {
        let hosts = Hosts::new(2);
        let Turn::Now(first) = Hosts::ask(&hosts, "a") else { panic!("the first") };
        let Turn::Now(second) = Hosts::ask(&hosts, "a") else { panic!("the second") };
        let Turn::Wait(third) = Hosts::ask(&hosts, "a") else { panic!("the third waits") };
        assert!(matches!(Hosts::ask(&hosts, "b"), Turn::Now(_)), "another host has its own");
        drop(first);
        drop(third.turn().await);
        drop(second);
        assert!(hosts.lock().is_empty());
    }

    #[tokio::test]
    async fn a_queue_has_an_end() {
        let hosts = Hosts::new(1);
        let Turn::Now(_first) = Hosts::ask(&hosts, "a") else { panic!("the first") };
        let waiting = (0..MAX_WAITING).map(|_| Hosts::ask(&hosts, "a")).collect::<Vec<_>>();
        assert!(waiting.iter().all(|turn| matches!(turn, Turn::Wait(_))));
        assert!(matches!(Hosts::ask(&hosts, "a"), Turn::Crowded));
        drop(waiting);
        assert!(matches!(Hosts::ask(&hosts, "a"), Turn::Wait(_)));
    }
}
