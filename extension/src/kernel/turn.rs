//! The order of what is about the same: one at a time is worked on, the earliest first.
//!
//! One whose turn it isn't is held: it leaves what is due, and comes back when the one before it is finished, or after a minute should nobody have told it. Who
//! holds and who finishes take the same lock, so that no turn is missed.

use super::{
    round::Due,
    spi::{self, Arg},
    wake::{self, Work},
};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use uuid::Uuid;

/// Of these those whose turn it is; the others are held, and whether there were any. With `batch` all of them are worked on in one transaction, in the order in
/// which they were written: only what is not among them must be finished before.
#[must_use]
pub fn whose(found: Vec<Due>, is_batch: bool) -> (Vec<Due>, bool) {
    let mut locks = HashMap::new();
    let mut ordered = Vec::new();
    for due in &found {
        let Some(about) = due.about() else { continue };
        if *locks.entry(about).or_insert_with(|| spi::try_advisory_lock(spi::advisory_key(&lock(about)))) {
            ordered.push(due.id);
        }
    }
    if ordered.is_empty() {
        return (found.into_iter().filter(|due| due.about().is_none()).collect(), false);
    }
    // Read anew, under the locks: what was finished until now counts as finished.
    let with = if is_batch { ordered.as_slice() } else { &[] };
    let ready = spi::rows(
        "select o.id from nebula.outbox_live o where o.id = any ($1) and not exists ( \
           select from nebula.outbox_live e \
           where e.tenant_id = o.tenant_id and e.aggregate = o.aggregate and e.id <> o.id and e.id <> all ($2) \
             and (e.position < o.position or e.locked_until > now()) \
         )",
        &[Arg::Uuids(&ordered), Arg::Uuids(with)],
        |row| row.uuid(1),
    );
    let ready = ready.into_iter().flatten().collect::<HashSet<_>>();
    let held = ordered.into_iter().filter(|id| !ready.contains(id)).collect::<Vec<_>>();
    if !held.is_empty() {
        spi::run(
            "update nebula.outbox_live set available_at = now() + interval '1 minute', is_held = true where id = any ($1)",
            &[Arg::Uuids(&held)],
        );
    }
    (found.into_iter().filter(|due| due.about().is_none() || ready.contains(&due.id)).collect(), !held.is_empty())
}

/// The lock's name.
fn lock((tenant, aggregate): (Uuid, &str)) -> String {
    format!("nebula/outbox/{tenant}/{aggregate}")
}

/// Tenant and aggregate of what is locked.
pub struct About(Vec<Uuid>, Vec<String>);

/// Takes the locks on what these jobs are about, always in the same order: nobody looks for a turn meanwhile.
#[must_use]
pub fn lock_all(jobs: &[Uuid]) -> About {
    let about = spi::rows(
        "select tenant_id, aggregate from nebula.outbox_live where id = any ($1) and aggregate is not null and tenant_id is not null",
        &[Arg::Uuids(jobs)],
        |row| row.uuid(1).zip(row.text(2)),
    );
    let named = about.into_iter().flatten().map(|about| (lock((about.0, &about.1)), about));
    let named = named.collect::<BTreeMap<_, _>>();
    named.keys().for_each(|name| spi::advisory_lock(name));
    let (tenants, aggregates) = named.into_values().unzip();
    About(tenants, aggregates)
}

/// Tenant and aggregate of those whose turn it is, which are locked since that was found out.
#[must_use]
pub fn held_by(turns: Vec<Due>) -> About {
    let about = turns.into_iter().filter_map(|due| due.tenant.zip(due.aggregate)).collect::<BTreeSet<_>>();
    let (tenants, aggregates) = about.into_iter().unzip();
    About(tenants, aggregates)
}

/// What was held for these is due.
pub fn pass_on(About(tenants, aggregates): About) {
    if tenants.is_empty() {
        return;
    }
    let woken = spi::run(
        "update nebula.outbox_live o set available_at = now(), is_held = false \
         from unnest($1::uuid[], $2::text[]) a (tenant_id, aggregate) \
         cross join lateral ( \
           select n.id from nebula.outbox_live n where n.tenant_id = a.tenant_id and n.aggregate = a.aggregate order by n.position limit 1 \
         ) next \
         where o.id = next.id and o.is_held",
        &[Arg::Uuids(&tenants), Arg::Texts(&aggregates)],
    );
    if woken > 0 {
        wake::at_commit(Work::ANY);
    }
}
