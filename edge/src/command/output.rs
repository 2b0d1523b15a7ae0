//! What commands print on stdout: results, for people and pipes.

use crate::error::Error;
use std::io::Write;

/// Prints a line of result.
pub fn say(line: &str) -> Result<(), Error> {
    Ok(writeln!(std::io::stdout(), "{line}")?)
}

/// Prints on stderr what is being waited for, so that stdout stays the result alone.
pub fn note(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}
