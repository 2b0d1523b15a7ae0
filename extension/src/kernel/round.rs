//! Whose work is next: tenants in turn, a share of each, so that nobody waits for another's backlog.

use super::spi::{self, Arg};
use std::{cell::Cell, thread::LocalKey};
use uuid::Uuid;

/// What of the outbox is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Events,
    Jobs,
}

/// A due row, locked by this transaction.
pub struct Due {
    pub id: Uuid,
    pub tenant: Option<Uuid>,
    /// What it is about; the installation's work has no order.
    pub aggregate: Option<String>,
    /// Its lease has ended too often without a word.
    pub is_poison: bool,
}

/// The tenant after which the next round begins, nil for the first one: a place in a round, nothing of a caller's.
pub type Place = LocalKey<Cell<Uuid>>;

impl Due {
    /// Tenant and aggregate, where it has one.
    pub fn about(&self) -> Option<(Uuid, &str)> {
        self.tenant.zip(self.aggregate.as_deref())
    }
}

thread_local! {
    pub static CLAIMS: Cell<Uuid> = const { Cell::new(Uuid::nil()) };
    pub static RELAYS: Cell<Uuid> = const { Cell::new(Uuid::nil()) };
}

/// The next tenants after a place that have due work of these parts, none of `without`: one look into an index each, however much they have.
#[must_use]
pub fn tenants(place: &'static Place, parts: &[Part], limit: usize, without: &[Uuid]) -> Vec<Uuid> {
    let after = |tenant: Uuid, without: &[Uuid], limit: usize| {
        let limit = i32::try_from(limit).unwrap_or(i32::MAX);
        let args = [Arg::Uuid(tenant), Arg::Int(limit), Arg::Uuids(without)];
        spi::rows(tenants_sql(parts), &args, |row| row.uuid(1)).into_iter().flatten().collect::<Vec<_>>()
    };
    if limit == 0 {
        return Vec::new();
    }
    let mut tenants = after(place.get(), without, limit);
    if tenants.len() < limit && !place.get().is_nil() {
        let without = [without, &tenants].concat();
        let more = after(Uuid::nil(), &without, limit - tenants.len());
        tenants.extend(more);
    }
    tenants
}

/// Up to `share` due rows of each of these tenants, locked; what others hold is left out.
#[must_use]
pub fn pick(part: Part, tenants: &[Uuid], share: usize) -> Vec<Due> {
    let share = i32::try_from(share).unwrap_or(i32::MAX);
    due(pick_sql(part), &[Arg::Int(share), Arg::Uuids(tenants)])
}

/// The same of the installation itself, whose work has no order.
#[must_use]
pub fn pick_installation(part: Part, limit: usize) -> Vec<Due> {
    let limit = i32::try_from(limit).unwrap_or(i32::MAX);
    due(installation_sql(part), &[Arg::Int(limit)])
}

fn due(sql: &str, args: &[Arg]) -> Vec<Due> {
    let read = |row: &spi::Row| {
        Some(Due { id: row.uuid(1)?, tenant: row.uuid(2), aggregate: row.text(3), is_poison: row.boolean(4) == Some(true) })
    };
    spi::rows(sql, args, read).into_iter().flatten().collect()
}

/// A row that may be claimed now.
macro_rules! is_due {
    () => {
        "o.available_at <= now() and (o.locked_until is null or o.locked_until <= now())"
    };
}

/// The smallest tenant after `$after` with a row of these parts.
macro_rules! next_tenant {
    ($after:literal, $part:literal) => {
        concat!(
            "(select o.tenant_id from nebula.outbox_live o where ",
            $part,
            " and o.tenant_id > ",
            $after,
            " order by o.tenant_id limit 1)"
        )
    };
    ($after:literal, $part:literal, $other:literal) => {
        concat!(
            "(select t.tenant_id from (",
            next_tenant!($after, $part),
            " union all ",
            next_tenant!($after, $other),
            ") t order by t.tenant_id limit 1)"
        )
    };
}

macro_rules! tenants {
    ($($part:literal),+; $any:literal) => {
        concat!(
            "with recursive waiting (tenant_id) as (", next_tenant!("$1", $($part),+),
            " union all select next.tenant_id from waiting w cross join lateral ", next_tenant!("w.tenant_id", $($part),+), " next) \
             select w.tenant_id from waiting w where w.tenant_id <> all ($3) and exists ( \
               select from nebula.outbox_live o where o.tenant_id = w.tenant_id and ", $any, " and ", is_due!(), ") limit $2"
        )
    };
}

fn tenants_sql(parts: &[Part]) -> &'static str {
    match parts {
        [Part::Events] => tenants!("not o.is_job"; "not o.is_job"),
        [Part::Jobs] => tenants!("o.is_job"; "o.is_job"),
        // Two looks: a condition on both would use neither index.
        _ => concat!(
            "with recursive waiting (tenant_id) as (",
            next_tenant!("$1", "not o.is_job", "o.is_job"),
            " union all select next.tenant_id from waiting w cross join lateral ",
            next_tenant!("w.tenant_id", "not o.is_job", "o.is_job"),
            " next) \
             select w.tenant_id from waiting w where w.tenant_id <> all ($3) and ( \
               exists (select from nebula.outbox_live o where o.tenant_id = w.tenant_id and not o.is_job and ",
            is_due!(),
            ") \
               or exists (select from nebula.outbox_live o where o.tenant_id = w.tenant_id and o.is_job and ",
            is_due!(),
            ")) limit $2"
        ),
    }
}

macro_rules! pick {
    ($part:literal) => {
        concat!(
            "select o.id, t.tenant_id, o.aggregate, o.attempts - o.failures >= 25 \
             from unnest($2::uuid[]) t (tenant_id) cross join lateral ( \
               select o.id, o.aggregate, o.attempts, o.failures from nebula.outbox_live o \
               where o.tenant_id = t.tenant_id and ",
            $part,
            " and ",
            is_due!(),
            " order by o.available_at, o.position limit $1 for update skip locked \
             ) o"
        )
    };
}

fn pick_sql(part: Part) -> &'static str {
    match part {
        Part::Events => pick!("not o.is_job"),
        Part::Jobs => pick!("o.is_job"),
    }
}

macro_rules! installation {
    ($part:literal) => {
        concat!(
            "select o.id, o.tenant_id, null::text, o.attempts - o.failures >= 25 from nebula.outbox_live o \
             where o.tenant_id is null and ",
            $part,
            " and ",
            is_due!(),
            " order by o.available_at, o.position limit $1 for update skip locked"
        )
    };
}

fn installation_sql(part: Part) -> &'static str {
    match part {
        Part::Events => installation!("not o.is_job"),
        Part::Jobs => installation!("o.is_job"),
    }
}
