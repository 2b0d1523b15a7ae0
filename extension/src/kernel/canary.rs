//! Who the isolation prover pretends to be. A SQL caller's identity comes from its session; while the prover tries something, and only then, it is one of the two
//! tenants that the prover has made in the same transaction, which never commits, or nobody.
//!
//! That is no way to become anybody else: the identities are these two alone, they are set by the prover's own frame in Rust, and nothing that runs inside of an
//! attempt can begin another one.

use super::context::Actor;
use std::cell::{Cell, RefCell};
use uuid::Uuid;

/// A person of a canary tenant, who may do everything.
#[derive(Clone, Copy, Debug)]
pub struct Canary {
    pub tenant: Uuid,
    pub user: Uuid,
    pub group: Uuid,
}

/// Two tenants that exist for as long as the prover runs.
#[derive(Clone, Copy, Debug)]
pub struct Canaries {
    pub a: Canary,
    pub b: Canary,
}

thread_local! {
    static CANARIES: RefCell<Option<Canaries>> = const { RefCell::new(None) };
    /// During an attempt: who it is made as; the inner `None` is nobody.
    static ACTING: Cell<Option<Option<(Uuid, Actor)>>> = const { Cell::new(None) };
}

/// Ends the prover's run when dropped, however it ended.
pub struct Run(());

impl Drop for Run {
    fn drop(&mut self) {
        CANARIES.set(None);
        ACTING.set(None);
    }
}

/// Begins a run; `None` while another is under way.
#[must_use]
pub fn begin(canaries: Canaries) -> Option<Run> {
    if CANARIES.with_borrow(Option::is_some) {
        return None;
    }
    CANARIES.set(Some(canaries));
    Some(Run(()))
}

/// Ends an attempt when dropped.
pub struct Attempt(());

impl Drop for Attempt {
    fn drop(&mut self) {
        ACTING.set(None);
    }
}

/// Begins an attempt as `a`, `b` or `nobody`; `None` outside of a run, inside of another attempt, and for any other name.
#[must_use]
pub fn act_as(who: &str) -> Option<Attempt> {
    let canaries = CANARIES.with_borrow(|canaries| *canaries)?;
    let identity = match who {
        "a" => Some((canaries.a.tenant, Actor::User(canaries.a.user))),
        "b" => Some((canaries.b.tenant, Actor::User(canaries.b.user))),
        "nobody" => None,
        _ => return None,
    };
    if ACTING.get().is_some() {
        return None;
    }
    ACTING.set(Some(identity));
    Some(Attempt(()))
}

/// Whose word counts in an attempt; `None` outside of one.
#[must_use]
pub fn acting() -> Option<Option<(Uuid, Actor)>> {
    ACTING.get()
}

/// The transaction is over: so is the run.
pub fn forget() {
    CANARIES.set(None);
    ACTING.set(None);
}
