//! Metrics for Prometheus. Every name is in docs/operations/metrics.md; no label holds a tenant, a person, or anything that a client chose.

pub mod database;
mod exposition;
mod http;
mod process;
mod registry;
mod sampled;
mod server;
mod worker;

pub use registry::Metrics;
pub use server::{Refresh, bind, serve};
pub use worker::WorkerMetrics;
