//! `nebula config`: the effective settings.

use super::output::say;
use crate::{config::Config, error::Error};

/// Prints one `name = value` a line, secrets redacted.
pub fn run(config: &Config) -> Result<(), Error> {
    config.describe().into_iter().try_for_each(|(name, value)| say(&format!("{name} = {value}")))
}
