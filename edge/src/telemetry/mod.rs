//! What a process tells of itself: its log, and, where settings ask for it, metrics, traces and reports of failures.
//!
//! Each of them is an allow-list (contract, section 10). What leaves the machine (traces, reports) names neither people nor tenants: `requestId` and `traceId` lead to the log, which stays.

mod client;
mod fields;
mod log;
pub mod metrics;
mod sentry;
mod start;
pub(crate) mod traces;

pub use log::{is_level, start as start_log};
pub use sentry::Failed;
pub use start::{Program, Telemetry};
pub use traces::{Statement, Trace, Traces};
