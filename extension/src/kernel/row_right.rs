//! `nebula.tenant_for`: what the policies of protected tables ask, for each row where no index helps. So the answer is kept for a statement, as long as the caller
//! and what decides their rights stay the same.
//!
//! For the statement and not longer, since constraints and expiries depend on the clock.

use super::{
    authenticate,
    context::{self, Actor, Frame},
    permission,
    rights::{self, Rights},
    spi, sql_caller,
};
use std::{cell::RefCell, net::IpAddr, rc::Rc};
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
    let frame = context::frame();
    let asker = match &frame {
        Some(frame) => Asker::Frame(frame.serial),
        None => {
            let (tenant, actor, _) = sql_caller::identity()?;
            Asker::Sql(tenant, actor)
        }
    };
    let (statement, generation) = (spi::statement_start(), spi::rights_generation());
    let known = ANSWERS.with_borrow(|answers| {
        let answers = answers.as_ref().filter(|a| a.generation == generation && a.statement == statement && a.asker == asker)?;
        answers.by_action.iter().find(|(known, _)| **known == *action).map(|(_, tenant)| *tenant)
    });
    if let Some(tenant) = known {
        return tenant;
    }
    let tenant = decide(action, frame, asker);
    // Deciding may itself have received a change of rights.
    if spi::rights_generation() == generation && !spi::is_parallel() {
        ANSWERS.with_borrow_mut(|answers| {
            let is_same = |a: &&mut Answers| {
                a.generation == generation && a.statement == statement && a.asker == asker && a.by_action.len() < CAPACITY
            };
            match answers.as_mut().filter(is_same) {
                Some(answers) => answers.by_action.push((action.into(), tenant)),
                None => *answers = Some(Answers { statement, generation, asker, by_action: vec![(action.into(), tenant)] }),
            }
        });
    }
    tenant
}

fn decide(action: &str, frame: Option<Frame>, asker: Asker) -> Option<Uuid> {
    let (tenant, actor, rights, ip): (Uuid, Actor, Rc<Rights>, Option<IpAddr>) = match (frame, asker) {
        (Some(Frame { caller, .. }), _) => (caller.tenant, caller.actor, rights::of_caller(&caller), caller.origin.ip),
        (None, Asker::Sql(tenant, actor)) => (tenant, actor, rights::of(tenant, actor), sql_caller::ip()),
        (None, Asker::Frame(_)) => return None,
    };
    let may = authenticate::check_standing(&rights).is_ok() && permission::is_allowed(action, actor, &rights, || ip);
    may.then_some(tenant)
}
