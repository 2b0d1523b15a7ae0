//! `nebula doctor`: what is wrong with a database, and the statements that mend it. It reads only.

use super::output::say;
use crate::{config::Config, db, error::Error};
use serde::Serialize;
use std::{fmt::Write, process::ExitCode};
use tokio_postgres::types::Type;

#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Looks into this schema of the application; may be given several times. Without it: into all that no product brings along.
    #[arg(long = "schema", value_name = "SCHEMA")]
    schemas: Vec<String>,
    /// Asks this rule alone; may be given several times.
    #[arg(long = "rule", value_name = "RULE")]
    rules: Vec<String>,
    /// How long a transaction may be open before it is a finding.
    #[arg(long, default_value_t = 300)]
    patience_seconds: u32,
    /// Prints one JSON array instead of text.
    #[arg(long)]
    json: bool,
    /// Ends with 1 where the worst finding is a warning.
    #[arg(long)]
    strict: bool,
}

#[derive(Debug, Serialize)]
struct Finding {
    severity: String,
    rule: String,
    object: String,
    why: String,
    remedy: String,
}

/// Ends with 2 if there is an error, with 1 if there is a warning and `--strict` asks for it, else with 0.
pub async fn run(arguments: &Arguments, config: &Config) -> Result<ExitCode, Error> {
    let client = db::connect_admin(config.require_admin_database_url()?).await?;
    let named = |names: &Vec<String>| (!names.is_empty()).then(|| names.clone());
    let statement = "select severity, rule, object, why, remedy from nebula.doctor($1, $2, make_interval(secs => $3))";
    let (schemas, rules, patience) = (named(&arguments.schemas), named(&arguments.rules), f64::from(arguments.patience_seconds));
    let rows =
        client.query_typed(statement, &[(&schemas, Type::TEXT_ARRAY), (&rules, Type::TEXT_ARRAY), (&patience, Type::FLOAT8)]).await?;
    let mut findings = Vec::with_capacity(rows.len());
    for row in rows {
        findings.push(Finding {
            severity: row.try_get(0)?,
            rule: row.try_get(1)?,
            object: row.try_get(2)?,
            why: row.try_get(3)?,
            remedy: row.try_get(4)?,
        });
    }
    if arguments.json {
        say(&serde_json::to_string_pretty(&findings).map_err(|error| Error::Database(format!("nebula.doctor(): {error}")))?)?;
    } else {
        say(&text(&findings))?;
    }
    Ok(verdict(&findings, arguments.strict))
}

fn verdict(findings: &[Finding], is_strict: bool) -> ExitCode {
    let has = |severity: &str| findings.iter().any(|finding| finding.severity == severity);
    ExitCode::from(if has("error") { 2 } else { u8::from(is_strict && has("warning")) })
}

/// A finding a paragraph, its remedy as it can be pasted; then how many there are.
fn text(findings: &[Finding]) -> String {
    let mut text = String::new();
    for Finding { severity, rule, object, why, remedy } in findings {
        // Writing into a String never fails.
        let _ = writeln!(text, "{severity:<8} {object}  ({rule})\n         {why}");
        for line in remedy.lines() {
            let _ = writeln!(text, "         > {line}");
        }
    }
    let count = |severity: &str| findings.iter().filter(|finding| finding.severity == severity).count();
    let _ = write!(text, "{} errors, {} warnings, {} notes", count("error"), count("warning"), count("info"));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(severity: &str) -> Finding {
        let [severity, rule, object, why, remedy] = [severity, "rule", "app.orders", "Why.", "one;\ntwo;"].map(str::to_owned);
        Finding { severity, rule, object, why, remedy }
    }

    #[test]
    fn the_worst_finding_decides_the_exit_code() {
        let verdict = |severities: &[&str], is_strict| {
            let findings = severities.iter().map(|severity| finding(severity)).collect::<Vec<_>>();
            format!("{:?}", verdict(&findings, is_strict))
        };
        let code = |code: u8| format!("{:?}", ExitCode::from(code));
        assert_eq!(verdict(&[], true), code(0));
        assert_eq!(verdict(&["info"], true), code(0));
        assert_eq!(verdict(&["warning", "info"], false), code(0));
        assert_eq!(verdict(&["warning", "info"], true), code(1));
        assert_eq!(verdict(&["error", "warning"], false), code(2));
    }

    #[test]
    fn remedies_are_printed_whole() {
        let printed = text(&[finding("error"), finding("info")]);
        assert!(printed.contains("> one;\n         > two;\n"), "{printed}");
        assert!(printed.ends_with("1 errors, 0 warnings, 1 notes"), "{printed}");
    }
}
