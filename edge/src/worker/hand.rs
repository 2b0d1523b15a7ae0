//! What a worker has in hand: claimed and not yet told to be finished. What is in hand has its lease prolonged, and counts against its tenant.

use super::{Job, job::Lease};
use crate::telemetry::metrics::Metrics;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::{
    sync::{Notify, watch},
    task::AbortHandle,
};
use uuid::Uuid;

/// All that is in hand.
pub struct Hand {
    held: Mutex<Held>,
    count: watch::Sender<usize>,
    /// A tenant that had too much in hand to be given more has less.
    pub freed: Notify,
    /// The most that a tenant may have in hand.
    bound: usize,
}

/// What one claim may take: so much of each tenant, none of the busy ones.
#[derive(Debug, PartialEq, Eq)]
pub struct Terms {
    pub per_tenant: usize,
    pub busy: Vec<Uuid>,
}

#[derive(Default)]
struct Held {
    jobs: HashMap<Lease, Option<AbortHandle>>,
    tenants: HashMap<Uuid, usize>,
}

impl Hand {
    /// At most so much of a tenant's at once.
    #[must_use]
    pub fn new(tenant_concurrency: usize) -> Arc<Self> {
        Arc::new(Self { held: Mutex::default(), count: watch::Sender::new(0), freed: Notify::new(), bound: tenant_concurrency.max(1) })
    }

    /// Terms under which no tenant gets more than its bound, whatever each has in hand: half of it for those that have no more than the other half.
    #[must_use]
    pub fn terms(&self) -> Terms {
        let half = self.bound.div_ceil(2);
        Terms { per_tenant: half, busy: self.with_more_than(self.bound - half) }
    }

    /// Terms that fill up those that have more than half, for when the others have nothing; `None` where there are none.
    #[must_use]
    pub fn terms_for_the_rest(&self) -> Option<Terms> {
        let most = self.lock().tenants.values().copied().filter(|count| *count < self.bound).max()?;
        let is_needed = most > self.bound - self.bound.div_ceil(2);
        is_needed.then(|| Terms { per_tenant: self.bound - most, busy: self.with_more_than(self.bound - 1) })
    }

    fn with_more_than(&self, most: usize) -> Vec<Uuid> {
        self.lock().tenants.iter().filter(|(_, count)| **count > most).map(|(tenant, _)| *tenant).collect()
    }

    /// Takes a job in hand until what is returned is dropped.
    #[must_use]
    pub fn take(self: &Arc<Self>, job: &Job) -> Hold {
        let mut held = self.lock();
        held.jobs.insert(job.lease(), None);
        if let Some(tenant) = job.tenant {
            *held.tenants.entry(tenant).or_default() += 1;
        }
        self.count.send_replace(held.jobs.len());
        Hold { hand: Arc::clone(self), lease: job.lease(), tenant: job.tenant }
    }

    /// What does this job is aborted if the lease is lost. Not for what may not be broken off.
    pub fn may_abort(&self, lease: Lease, handle: AbortHandle) {
        if let Some(place) = self.lock().jobs.get_mut(&lease) {
            *place = Some(handle);
        }
    }

    /// Every lease.
    #[must_use]
    pub fn leases(&self) -> Vec<Lease> {
        self.lock().jobs.keys().copied().collect()
    }

    /// Gives up a job whose lease is somebody else's by now.
    /// Whether it was still in hand.
    pub fn abandon(&self, lease: Lease) -> bool {
        let held = self.lock().jobs.get_mut(&lease).map(Option::take);
        let is_held = held.is_some();
        if let Some(handle) = held.flatten() {
            handle.abort();
        }
        is_held
    }

    /// Shows how much is in hand.
    pub fn show(&self, metrics: &Metrics) {
        let count = self.count.subscribe();
        metrics.sample("nebula_worker_in_hand", "Work that is claimed and not finished.", move || *count.borrow());
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self.count.borrow() == 0
    }

    /// Waits until nothing is in hand.
    pub async fn emptied(&self) {
        // An error would mean that the sender is gone, which is ours.
        let _ = self.count.subscribe().wait_for(|count| *count == 0).await;
    }

    fn release(&self, lease: Lease, tenant: Option<Uuid>) {
        let mut held = self.lock();
        held.jobs.remove(&lease);
        if let Some(tenant) = tenant
            && let Some(count) = held.tenants.get_mut(&tenant)
        {
            *count = count.saturating_sub(1);
            if *count + 1 == self.bound || *count == self.bound - self.bound.div_ceil(2) {
                self.freed.notify_one();
            }
            if *count == 0 {
                held.tenants.remove(&tenant);
            }
        }
        self.count.send_replace(held.jobs.len());
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One job in hand.
pub struct Hold {
    hand: Arc<Hand>,
    pub lease: Lease,
    tenant: Option<Uuid>,
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.hand.release(self.lease, self.tenant);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn job(tenant: Uuid) -> Job {
        Job { id: Uuid::now_v7(), tenant: Some(tenant), kind: "user.created".to_owned(), data: Value::Null, attempt: 1 }
    }

    /// Takes what claims may take of a tenant that has always more.
    fn fill(hand: &Arc<Hand>, tenant: Uuid, holds: &mut Vec<Hold>) {
        for terms in [Some(hand.terms()), hand.terms_for_the_rest()].into_iter().flatten() {
            if !terms.busy.contains(&tenant) {
                assert!(terms.per_tenant > 0);
                holds.extend((0..terms.per_tenant).map(|_| hand.take(&job(tenant))));
                return fill(hand, tenant, holds);
            }
        }
    }

    #[test]
    fn a_tenant_gets_its_bound_and_never_more() {
        for bound in 1..=17 {
            let (hand, tenant, mut holds) = (Hand::new(bound), Uuid::now_v7(), Vec::new());
            for given_back in 0..=bound {
                fill(&hand, tenant, &mut holds);
                assert_eq!(holds.len(), bound);
                holds.truncate(bound - given_back);
            }
            assert!(hand.terms().busy.is_empty() && hand.terms_for_the_rest().is_none() && hand.is_empty() && hand.leases().is_empty());
        }
    }

    #[tokio::test]
    async fn who_has_less_again_is_told_of() {
        let (hand, tenant) = (Hand::new(2), Uuid::now_v7());
        let holds = [hand.take(&job(tenant)), hand.take(&job(tenant))];
        let [first, second] = holds;
        drop(first);
        hand.freed.notified().await;
        drop(second);
        hand.emptied().await;
    }

    #[tokio::test]
    async fn what_is_abandoned_is_aborted() {
        let hand = Hand::new(2);
        let hold = hand.take(&job(Uuid::now_v7()));
        let lease = hold.lease;
        let task = tokio::spawn(async move {
            let _hold = hold;
            std::future::pending::<()>().await;
        });
        hand.may_abort(lease, task.abort_handle());
        hand.abandon(lease);
        hand.emptied().await;
        assert!(task.await.is_err_and(|error| error.is_cancelled()));
    }
}
