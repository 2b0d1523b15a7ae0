//! The effective settings.

use super::super::output::{DOUBTFUL, FAINT, plain, tell};
use crate::{
    config::{Loaded, Problem},
    error::Error,
};
use serde::Serialize;
use serde_json::Value;
use std::{
    fmt,
    path::{Path, PathBuf},
};

/// Every setting, what is wrong with some, and the file that was read.
#[derive(Serialize)]
struct Effective<'a> {
    file: Option<PathBuf>,
    settings: Vec<Shown>,
    problems: &'a [Problem],
}

#[derive(Serialize)]
struct Shown {
    name: &'static str,
    /// Of a connection string, without its password; of another secret, that there is one.
    value: Value,
    source: String,
}

pub fn run(loaded: &Loaded, file: Option<&Path>) -> Result<(), Error> {
    let source = |name: &str| loaded.sources.get(name).map(ToString::to_string).unwrap_or_default();
    let is_wrong = |name: &str| loaded.problems.iter().any(|problem| problem.is_error() && problem.setting == name);
    let settings = loaded.config.shown().into_iter().map(|(setting, value)| {
        // Nobody knows what it is: a password in the wrong place, perhaps.
        let value = if value.is_string() && is_wrong(setting.name) { Value::from("[not shown]") } else { value };
        Shown { name: setting.name, value, source: source(setting.name) }
    });
    tell(&Effective { file: file.map(Path::to_owned), settings: settings.collect(), problems: &loaded.problems })
}

impl fmt::Display for Effective<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.settings.iter().map(|shown| shown.name.len()).max().unwrap_or(0);
        for Shown { name, value, source } in &self.settings {
            // What comes from nowhere isn't there.
            let value = if value.is_null() { "–".to_owned() } else { value.to_string() };
            let source = if source == "default" { String::new() } else { format!("  {FAINT}# {source}{FAINT:#}") };
            writeln!(f, "{name:<width$} = {}{source}", plain(&value))?;
        }
        if !self.problems.is_empty() {
            let count = self.problems.len();
            writeln!(f, "{DOUBTFUL}{count} problems{DOUBTFUL:#}: nebula config check")?;
        }
        Ok(())
    }
}
