//! Prolonging the leases of what is in hand, in one statement every third of a lease, so that one or two that fail cost nothing.

use super::{Context, hand::Hand, patience::Patience, queue};
use std::{collections::HashSet, sync::Arc};
use tokio::time::{MissedTickBehavior, interval, sleep};

/// Never returns.
pub async fn keep(context: Arc<Context>, hand: Arc<Hand>) {
    let mut patience = Patience::with("prolong leases");
    let mut turns = interval(context.lease() / 3);
    turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        turns.tick().await;
        let leases = hand.leases();
        if leases.is_empty() {
            continue;
        }
        match queue::extend(&context, &leases).await {
            Ok(kept) => {
                patience.rewarded();
                let kept = kept.into_iter().collect::<HashSet<_>>();
                // Finished meanwhile, or somebody else's by now: in both cases nothing is left to do here.
                let lost = leases.into_iter().filter(|(id, _)| !kept.contains(id)).filter(|lease| hand.abandon(*lease)).count();
                if let Some(metrics) = context.metrics() {
                    metrics.leases_lost.inc_by(lost as u64);
                }
            }
            Err(failure) => {
                sleep(patience.after(&failure)).await;
                turns.reset_immediately();
            }
        }
    }
}
