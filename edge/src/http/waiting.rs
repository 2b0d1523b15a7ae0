//! Who waits for their client: connections for a request, requests for their body. Where no place is left, whoever has waited longest gives theirs up, so that clients
//! which send nothing, or slowly, keep nobody else out (nginx does so with its idle connections).

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{sync::Notify, time::Instant};

/// Whoever waits for a shorter time keeps their place: a client has that long to send what it was let in for.
const GRACE: Duration = Duration::from_secs(1);

/// All who wait.
pub struct Waiting {
    grace: Duration,
    waiters: Mutex<Waiters>,
}

/// Oldest first.
#[derive(Default)]
struct Waiters {
    next: u64,
    places: BTreeMap<u64, (Instant, Arc<Notify>)>,
}

/// One who waits, now and then. Gone when dropped.
pub struct Waiter {
    waiting: Arc<Waiting>,
    place: Mutex<Option<u64>>,
    leave: Arc<Notify>,
}

impl Default for Waiting {
    fn default() -> Self {
        Self { grace: GRACE, waiters: Mutex::default() }
    }
}

impl Waiting {
    /// Somebody who waits from now on.
    #[must_use]
    pub fn enter(self: &Arc<Self>) -> Waiter {
        let waiter = Waiter { waiting: Arc::clone(self), place: Mutex::default(), leave: Arc::default() };
        waiter.wait();
        waiter
    }

    /// Asks whoever has waited longest to leave; false where nobody has waited for long.
    pub fn make_room(&self) -> bool {
        let mut waiters = locked(&self.waiters);
        let Some(oldest) = waiters.places.first_entry() else { return false };
        if oldest.get().0.elapsed() < self.grace {
            return false;
        }
        oldest.remove().1.notify_one();
        true
    }
}

impl Waiter {
    /// Waits from now on.
    pub fn wait(&self) {
        self.stop_waiting();
        let mut waiters = locked(&self.waiting.waiters);
        let number = waiters.next;
        waiters.next += 1;
        waiters.places.insert(number, (Instant::now(), Arc::clone(&self.leave)));
        drop(waiters);
        *locked(&self.place) = Some(number);
    }

    /// Waits no more; false for one who was asked to leave before.
    pub fn stop_waiting(&self) -> bool {
        let place = locked(&self.place).take();
        place.is_some_and(|number| locked(&self.waiting.waiters).places.remove(&number).is_some())
    }

    /// Resolves once this one is asked to leave.
    pub async fn asked_to_leave(&self) {
        self.leave.notified().await;
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        self.stop_waiting();
    }
}

/// What a panic leaves behind is whole: no change takes two steps.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_oldest_of_those_who_wait_leaves() {
        let waiting = Arc::new(Waiting { grace: Duration::ZERO, ..Waiting::default() });
        assert!(!waiting.make_room(), "nobody waits");
        let [first, second] = [(); 2].map(|()| waiting.enter());
        assert!(waiting.make_room());
        first.asked_to_leave().await;
        assert!(second.stop_waiting() && !first.stop_waiting());
        assert!(!waiting.make_room(), "nobody waits any more");
        second.wait();
        assert!(waiting.make_room());
        second.asked_to_leave().await;
        second.wait();
        drop(second);
        assert!(!waiting.make_room(), "nobody is left");
    }

    #[test]
    fn nobody_leaves_within_their_grace() {
        let waiting = Arc::new(Waiting { grace: Duration::from_secs(3_600), ..Waiting::default() });
        let waiter = waiting.enter();
        assert!(!waiting.make_room() && waiter.stop_waiting());
    }
}
