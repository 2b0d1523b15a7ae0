//! What SQL asks again and again: `nebula.tenant_for`, and `nebula.current_tenant` for SQL callers, which the policies of protected tables ask, for each row where no index helps; and `nebula.can`.
//! The answer is kept as long as the caller and what decides their rights stay the same: for the statement alone where it depends on the clock or on the caller's address,
//! as constraints and expiries do.

use super::{
    authenticate,
    context::{self, Actor},
    permission,
    rights::{self, PrincipalState, Rights},
    spi, sql_caller,
};
use std::{cell::RefCell, net::IpAddr};
use uuid::Uuid;

/// So many actions are remembered; whoever asks for more than that starts over.
const CAPACITY: usize = 32;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Asker {
    Frame(u64),
    Sql(Uuid, Actor),
}

/// The tenant, where the answer is yes.
#[derive(Clone, Copy)]
struct Answer {
    tenant: Option<Uuid>,
    /// Good for other statements, too.
    lasts: bool,
}

struct Remembered {
    action: Box<str>,
    tenant: Option<Uuid>,
    /// The one statement that it is good for.
    only_in: Option<i64>,
}

impl Remembered {
    fn is_good_in(&self, statement: i64) -> bool {
        self.only_in.is_none_or(|only| only == statement)
    }
}

struct Answers {
    generation: u64,
    asker: Asker,
    answers: Vec<Remembered>,
}

thread_local! {
    static ANSWERS: RefCell<Option<Answers>> = const { RefCell::new(None) };
}

/// The caller's tenant, if they may do the action; contexts of `nebula.handle` and `nebula.call` count first, then who the SQL caller is.
#[must_use]
pub fn tenant_for(action: &str) -> Option<Uuid> {
    match context::serial() {
        Some(serial) => remembered(Asker::Frame(serial), spi::rights_generation(), action, || {
            let Some(caller) = context::current() else { return Answer { tenant: None, lasts: false } };
            may(action, caller.tenant, caller.actor, &rights::of_caller(&caller), || caller.origin.ip)
        }),
        None => sql_caller(action, |tenant, actor, rights| may(action, tenant, actor, rights, sql_caller::ip)),
    }
}

/// The SQL caller's tenant, if they are in good standing.
#[must_use]
pub fn tenant_of_sql_caller() -> Option<Uuid> {
    // No action is called so.
    sql_caller("", |tenant, _, rights| {
        let is_in_good_standing = authenticate::check_standing(rights).is_ok();
        Answer { tenant: is_in_good_standing.then_some(tenant), lasts: !may_expire(rights) }
    })
}

fn sql_caller(action: &str, decide: impl FnOnce(Uuid, Actor, &Rights) -> Answer) -> Option<Uuid> {
    let (tenant, actor, _) = sql_caller::identity()?;
    // Whoever asked who it is has heard what others have committed.
    remembered(Asker::Sql(tenant, actor), spi::heard_generation(), action, || decide(tenant, actor, &rights::of(tenant, actor)))
}

fn may(action: &str, tenant: Uuid, actor: Actor, rights: &Rights, ip: impl FnOnce() -> Option<IpAddr>) -> Answer {
    let verdict = permission::verdict(action, actor, rights, ip);
    let may = verdict.is_allowed && authenticate::check_standing(rights).is_ok();
    Answer { tenant: may.then_some(tenant), lasts: verdict.is_constant && !may_expire(rights) }
}

fn may_expire(rights: &Rights) -> bool {
    rights.principal().is_some_and(PrincipalState::may_expire)
}

/// What is longer is no action's key, and not worth remembering.
const MAX_ACTION_BYTES: usize = 200;

/// The answer to this question, decided once as long as it lasts.
fn remembered(asker: Asker, generation: u64, action: &str, decide: impl FnOnce() -> Answer) -> Option<Uuid> {
    if action.len() > MAX_ACTION_BYTES {
        return decide().tenant;
    }
    let statement = spi::statement_start();
    let is_same = |a: &Answers| a.generation == generation && a.asker == asker;
    let known = ANSWERS.with_borrow(|answers| {
        let answers = answers.as_ref().filter(|answers| is_same(answers))?;
        answers.answers.iter().find(|known| *known.action == *action && known.is_good_in(statement)).map(|known| known.tenant)
    });
    if let Some(tenant) = known {
        return tenant;
    }
    let Answer { tenant, lasts } = decide();
    // Deciding may itself have received a change of rights.
    if spi::rights_generation() == generation && !spi::is_parallel() {
        let new = Remembered { action: action.into(), tenant, only_in: (!lasts).then_some(statement) };
        ANSWERS.with_borrow_mut(|answers| {
            if let Some(answers) = answers.as_mut().filter(|answers| is_same(answers)) {
                answers.answers.retain(|known| known.is_good_in(statement));
                if answers.answers.len() < CAPACITY {
                    return answers.answers.push(new);
                }
            }
            *answers = Some(Answers { generation, asker, answers: vec![new] });
        });
    }
    tenant
}
