//! What commands print: results on stdout, for people or as JSON; what is waited for on stderr. Colours reach terminals alone, and none where NO_COLOR is set.
//!
//! In which of the two ways is one decision for the whole process, taken at its start, as with a logger.

mod fields;
mod progress;
mod table;

pub use fields::Fields;
pub use progress::Progress;
pub use table::{Rows, Table, plain};

use crate::error::Error;
use anstyle::{AnsiColor, Style};
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::{
    fmt::Display,
    io::Write,
    sync::atomic::{AtomicBool, Ordering},
};

static IS_JSON: AtomicBool = AtomicBool::new(false);

/// What is wrong stands out.
pub const BAD: Style = AnsiColor::Red.on_default().bold();
pub const DOUBTFUL: Style = AnsiColor::Yellow.on_default().bold();
pub const GOOD: Style = AnsiColor::Green.on_default();
pub const STRONG: Style = Style::new().bold();
pub const FAINT: Style = Style::new().dimmed();

/// Whether results are told as JSON; before anything is told.
pub fn start(is_json: bool) {
    IS_JSON.store(is_json, Ordering::Relaxed);
}

#[must_use]
pub fn is_json() -> bool {
    IS_JSON.load(Ordering::Relaxed)
}

/// Tells a result: its text, or with --json the whole of it.
pub fn tell(result: &(impl Serialize + Display)) -> Result<(), Error> {
    if is_json() {
        let json = serde_json::to_string_pretty(result).map_err(|error| Error::Database(error.to_string()))?;
        return say(&json);
    }
    say(result.to_string().trim_end_matches('\n'))
}

/// Prints a line of result.
pub fn say(line: &str) -> Result<(), Error> {
    Ok(writeln!(anstream::stdout(), "{line}")?)
}

/// Prints on stderr what is being waited for, so that stdout stays the result alone.
pub fn note(line: &str) {
    let _ = if is_json() { writeln!(std::io::stderr(), "{}", json!({ "note": line })) } else { writeln!(anstream::stderr(), "{line}") };
}

/// Prints on stderr why a command failed, and what to do next.
pub fn complain(error: &Error) {
    // Nothing is left to do when even stderr is gone.
    let _ = if is_json() {
        let mut members = Map::new();
        members.insert("code".to_owned(), json!(error.code()));
        members.insert("message".to_owned(), json!(error.to_string()));
        members.extend(error.hint().map(|hint| ("hint".to_owned(), json!(hint))));
        members.extend(error.details().map(|details| ("details".to_owned(), details)));
        writeln!(std::io::stderr(), "{}", json!({ "error": Value::Object(members) }))
    } else {
        let hint = error.hint().map(|hint| format!("\n  {FAINT}hint:{FAINT:#} {hint}")).unwrap_or_default();
        writeln!(anstream::stderr(), "{BAD}nebula:{BAD:#} {}{hint}", plain(&error.to_string()))
    };
}
