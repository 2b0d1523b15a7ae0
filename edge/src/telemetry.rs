//! Logs: one JSON object a line on stderr.
//!
//! Fields come from an allow-list (contract, section 10): a request is logged in one place, `http::request_log`, and no other code
//! puts a value that a client sent into a message.

use crate::error::Error;
use tracing_subscriber::EnvFilter;

/// Starts logging at `level` (`error`, `warn`, `info`, `debug`, or a filter as `tracing` reads it).
pub fn start(level: &str) -> Result<(), Error> {
    let filter = EnvFilter::try_new(level).map_err(|_| Error::Telemetry("log_level is not a level or filter".to_owned()))?;
    tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_target(false)
        .with_current_span(false)
        .with_span_list(false)
        .with_writer(std::io::stderr)
        .with_env_filter(filter)
        .try_init()
        .map_err(|error| Error::Telemetry(error.to_string()))
}
