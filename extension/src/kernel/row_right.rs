//! `nebula.tenant_for`, and `nebula.current_tenant` for SQL callers: what the policies of protected tables ask, for each row where no index helps. So the answer is kept for a statement, as long as the caller
//! and what decides their rights stay the same.
//!
//! For the statement and not longer, since constraints and expiries depend on the clock.

use super::{
    authenticate,
    context::{self, Actor},
    permission,
    rights::{self, Rights},
    spi, sql_caller,
};
use std::{cell::RefCell, net::IpAddr};
use uuid::Uuid;

/// So many actions of one statement are remembered; a query over more tables than that starts over.
const CAPACITY: usize = 32;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Asker {
    Frame(u64),
    Sql(Uuid, Actor),
}

struct Answers {
    statement: i64,
    generation: u64,
    asker: Asker,
    by_action: Vec<(Box<str>, Option<Uuid>)>,
}

thread_local! {
    static ANSWERS: RefCell<Option<Answers>> = const { RefCell::new(None) };
}

/// The caller's tenant, if they may do the action; contexts of `nebula.handle` and `nebula.call` count first, then who the SQL caller is.
#[must_use]
pub fn tenant_for(action: &str) -> Option<Uuid> {
    match context::serial() {
        Some(serial) => remembered(Asker::Frame(serial), spi::rights_generation(), action, || {
            let caller = context::current()?;
            may(action, caller.tenant, caller.actor, &rights::of_caller(&caller), || caller.origin.ip)
        }),
        None => sql_caller(action, |tenant, actor, rights| may(action, tenant, actor, rights, sql_caller::ip)),
    }
}

/// The SQL caller's tenant, if they are in good standing.
#[must_use]
pub fn tenant_of_sql_caller() -> Option<Uuid> {
    // No action is called so.
    sql_caller("", |tenant, _, rights| authenticate::check_standing(rights).is_ok().then_some(tenant))
}

fn sql_caller(action: &str, decide: impl FnOnce(Uuid, Actor, &Rights) -> Option<Uuid>) -> Option<Uuid> {
    let (tenant, actor, _) = sql_caller::identity()?;
    // Whoever asked who it is has heard what others have committed.
    remembered(Asker::Sql(tenant, actor), spi::heard_generation(), action, || decide(tenant, actor, &rights::of(tenant, actor)))
}

fn may(action: &str, tenant: Uuid, actor: Actor, rights: &Rights, ip: impl FnOnce() -> Option<IpAddr>) -> Option<Uuid> {
    let may = authenticate::check_standing(rights).is_ok() && permission::is_allowed(action, actor, rights, ip);
    may.then_some(tenant)
}

/// What is longer is no action's key, and not worth remembering.
const MAX_ACTION_BYTES: usize = 200;

/// The answer to this question, decided at most once in a statement.
fn remembered(asker: Asker, generation: u64, action: &str, decide: impl FnOnce() -> Option<Uuid>) -> Option<Uuid> {
    if action.len() > MAX_ACTION_BYTES {
        return decide();
    }
    let statement = spi::statement_start();
    let is_same = |a: &Answers| a.generation == generation && a.statement == statement && a.asker == asker;
    let known = ANSWERS.with_borrow(|answers| {
        let answers = answers.as_ref().filter(|answers| is_same(answers))?;
        answers.by_action.iter().find(|(known, _)| **known == *action).map(|(_, tenant)| *tenant)
    });
    if let Some(tenant) = known {
        return tenant;
    }
    let tenant = decide();
    // Deciding may itself have received a change of rights.
    if spi::rights_generation() == generation && !spi::is_parallel() {
        ANSWERS.with_borrow_mut(|answers| {
            match answers.as_mut().filter(|answers| is_same(answers) && answers.by_action.len() < CAPACITY) {
                Some(answers) => answers.by_action.push((action.into(), tenant)),
                None => *answers = Some(Answers { statement, generation, asker, by_action: vec![(action.into(), tenant)] }),
            }
        });
    }
    tenant
}
