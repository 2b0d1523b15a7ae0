//! The worker: claims what the outbox holds and does it; any number of them may run. What it may do is what its login may call
//! (docs/worker-protocol.md).

mod context;
pub mod credentials;
mod job;
mod keys;

mod archive;
mod exports;
pub(crate) mod privacy;
pub(crate) mod reseal;
mod retention;
mod webhooks;

pub use context::Context;
pub use job::{Job, Outcome};
pub use keys::LiveKeys;
