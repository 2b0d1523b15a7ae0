//! Logs: one JSON object a line on stderr.
//!
//! Fields come from an allow-list (`fields`): a request is logged in one place, `http::request_log`, and no other code
//! puts a value that a client sent into a message.

use super::{fields::AllowedFields, sentry};
use crate::error::Error;
use tracing_subscriber::EnvFilter;

/// Starts logging at `level` (`error`, `warn`, `info`, `debug`, or a filter as `tracing` reads it).
pub fn start(level: &str) -> Result<(), Error> {
    let filter = EnvFilter::try_new(directives(level)).map_err(|_| Error::Telemetry("log_level is not a level or filter".to_owned()))?;
    report_panics();
    tracing_subscriber::fmt()
        .event_format(AllowedFields)
        .with_writer(std::io::stderr)
        .with_env_filter(filter)
        .try_init()
        .map_err(|error| Error::Telemetry(error.to_string()))
}

/// Panics go to the log, and to Sentry where that is on.
pub(super) fn report_panics() {
    // A panic's message may hold what it panicked over; its place says enough.
    std::panic::set_hook(Box::new(|info| {
        let place = info.location().map_or_else(|| "an unknown place".to_owned(), |place| format!("{}:{}", place.file(), place.line()));
        tracing::error!("panic at {place}");
        sentry::panicked(&place);
    }));
}

/// Whether a text is a level or filter.
pub fn is_level(level: &str) -> bool {
    EnvFilter::try_new(directives(level)).is_ok()
}

/// A bare level is ours alone: libraries log what they like, tokio-postgres the text of every notice. Who wants it writes a filter.
fn directives(level: &str) -> String {
    if level.contains(['=', ',']) { level.to_owned() } else { format!("off,{}={level}", env!("CARGO_CRATE_NAME")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_level_silences_libraries_and_a_filter_is_taken_as_it_is() {
        assert_eq!(directives("info"), "off,nebula_edge=info");
        assert_eq!(directives("warn,tokio_postgres=debug"), "warn,tokio_postgres=debug");
        assert!(EnvFilter::try_new(directives("loud")).is_err());
    }
}
