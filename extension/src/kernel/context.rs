//! Who is calling: in backend memory, written only by code that checked a credential, gone with the call that set it.
//!
//! A GUC would be forgeable by any role (pitfalls). A frame is popped when its call returns or unwinds; as a second net, callbacks of
//! Postgres drop what a transaction or savepoint leaves behind.

use super::spi;
use nebula_core::text::TraceId;
use std::{
    cell::{Cell, RefCell},
    net::IpAddr,
    rc::Rc,
};
use uuid::Uuid;

/// Who acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Actor {
    /// A public operation before its credential is checked.
    Nobody,
    User(Uuid),
    /// An API key.
    Service(Uuid),
}

impl Actor {
    /// `audit_log.actor_type`.
    #[must_use]
    pub fn type_name(self) -> &'static str {
        match self {
            Actor::Nobody => "system",
            Actor::User(_) => "user",
            Actor::Service(_) => "service",
        }
    }

    #[must_use]
    pub fn id(self) -> Option<Uuid> {
        match self {
            Actor::Nobody => None,
            Actor::User(id) | Actor::Service(id) => Some(id),
        }
    }

    #[must_use]
    pub fn user(self) -> Option<Uuid> {
        if let Actor::User(id) = self { Some(id) } else { None }
    }

    #[must_use]
    pub fn service(self) -> Option<Uuid> {
        if let Actor::Service(id) = self { Some(id) } else { None }
    }
}

/// Where a call came from.
#[derive(Clone, Debug, Default)]
pub struct Origin {
    pub request_id: String,
    /// The distributed trace that the call is a part of, where the edge traces.
    pub trace_id: Option<TraceId>,
    pub ip: Option<IpAddr>,
    pub user_agent: Option<String>,
}

/// One call's context.
#[derive(Clone, Debug)]
pub struct Caller {
    /// Whose data the call is about.
    pub tenant: Uuid,
    /// Whose credential it was: the platform's where a service account of it acts in another tenant, else the same.
    pub home: Uuid,
    pub actor: Actor,
    /// The operation's action key.
    pub action: Rc<str>,
    pub origin: Rc<Origin>,
    /// The session of a user's token.
    pub session: Option<Uuid>,
}

impl Caller {
    /// A service account of the platform, in another tenant.
    #[must_use]
    pub fn is_acting(&self) -> bool {
        self.home != self.tenant
    }

    /// The same call, by another actor.
    #[must_use]
    pub fn with_actor(&self, actor: Actor, session: Option<Uuid>) -> Self {
        Self { actor, session, ..self.clone() }
    }
}

struct Frame {
    caller: Rc<Caller>,
    /// No other frame of this backend has or had it.
    serial: u64,
    nesting: i32,
}

thread_local! {
    static FRAMES: RefCell<Vec<Frame>> = const { RefCell::new(Vec::new()) };
    static SERIAL: Cell<u64> = const { Cell::new(0) };
}

/// Ends the context that [`enter`] began, when dropped.
pub struct Scope {
    depth: usize,
}

impl Drop for Scope {
    fn drop(&mut self) {
        FRAMES.with_borrow_mut(|frames| frames.truncate(self.depth));
    }
}

/// Begins a context; it lasts until the scope is dropped.
#[must_use = "the context ends when the scope is dropped"]
pub fn enter(caller: Caller) -> Scope {
    let serial = SERIAL.get().wrapping_add(1);
    SERIAL.set(serial);
    let frame = Frame { caller: Rc::new(caller), serial, nesting: spi::transaction_nesting() };
    FRAMES.with_borrow_mut(|frames| {
        frames.push(frame);
        Scope { depth: frames.len().saturating_sub(1) }
    })
}

/// The innermost context.
#[must_use]
pub fn current() -> Option<Rc<Caller>> {
    FRAMES.with_borrow(|frames| frames.last().map(|frame| Rc::clone(&frame.caller)))
}

/// What tells the innermost context apart from every other of this backend.
#[must_use]
pub fn serial() -> Option<u64> {
    FRAMES.with_borrow(|frames| frames.last().map(|frame| frame.serial))
}

/// The innermost context's tenant: what every policy asks for every scan.
#[must_use]
pub fn tenant() -> Option<Uuid> {
    FRAMES.with_borrow(|frames| frames.last().map(|frame| frame.caller.tenant))
}

/// How many contexts there are: operations inside of operations.
#[must_use]
pub fn depth() -> usize {
    FRAMES.with_borrow(Vec::len)
}

/// Drops every context: the transaction is over.
pub fn forget_all() {
    FRAMES.with_borrow_mut(Vec::clear);
    super::canary::forget();
    super::sql_caller::forget();
    super::export::forget();
    super::import::forget();
}

/// Drops the contexts of a savepoint that was rolled back.
pub fn forget_from(nesting: i32) {
    FRAMES.with_borrow_mut(|frames| frames.retain(|frame| frame.nesting < nesting));
    super::sql_caller::forget();
    super::export::forget();
    super::import::forget();
}
