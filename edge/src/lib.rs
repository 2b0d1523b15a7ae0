//! `nebula`: the REST edge of Nebula, its worker and its command line. A library, so that services of the operator can use what the worker can
//! (`worker::credentials`); the program only starts it.
//!
//! Imports flow one way: config ← telemetry ← db ← auth ← storage ← audit_chain, issuers, exports ← http, worker ← command.

mod audit_chain;
mod auth;
mod cli;
mod command;
mod config;
mod db;
mod error;
mod exports;
#[doc(hidden)]
pub mod fuzzing;
mod http;
mod issuers;
mod storage;
mod telemetry;
pub mod worker;

pub use cli::run;
