//! The worker: claims what the outbox holds and does it; any number of them may run. What it may do is what its login may call
//! (docs/worker-protocol.md).

pub mod credentials;

mod completions;
mod context;
mod dispatch;
mod figures;
mod hand;
mod handlers;
pub(crate) mod http;
mod job;
mod keys;
mod leases;
mod patience;
mod queue;
mod relay;
mod run;
mod schedule;
mod wake;

mod archive;
pub(crate) mod audit_chain;
mod exports;
pub(crate) mod privacy;
pub(crate) mod reseal;
mod retention;
mod webhooks;

pub use context::Context;
pub use figures::Figures;
pub use job::{Job, Outcome};
pub use keys::LiveKeys;
pub(crate) use retention::retain;
pub use run::{Until, run};
