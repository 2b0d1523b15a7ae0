//! `nebula doctor`: what is wrong with a database, and the statements that mend it. It reads only.

use super::output::{BAD, DOUBTFUL, FAINT, plain, tell};
use crate::{
    config::Config,
    db,
    error::{Error, Exit},
};
use serde::Serialize;
use std::fmt;
use tokio_postgres::{Client, types::Type};

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
    /// Ends with 3 where the worst finding is a warning, too.
    #[arg(long)]
    strict: bool,
}

/// What is wrong, worst first.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub struct Findings(Vec<Finding>);

#[derive(Debug, Serialize)]
struct Finding {
    severity: String,
    rule: String,
    object: String,
    why: String,
    remedy: String,
}

/// Ends with 3 if there is an error, or a warning and `--strict`.
pub async fn run(arguments: &Arguments, config: &Config) -> Result<Exit, Error> {
    let client = db::connect_admin(config.require_admin_database_url()?).await?;
    let named = |names: &Vec<String>| (!names.is_empty()).then(|| names.clone());
    let findings = Findings::ask(&client, named(&arguments.schemas), named(&arguments.rules), arguments.patience_seconds).await?;
    tell(&findings)?;
    Ok(findings.verdict(arguments.strict))
}

impl Findings {
    /// Asks `nebula.doctor()`; nothing named is everything.
    pub async fn ask(
        client: &Client,
        schemas: Option<Vec<String>>,
        rules: Option<Vec<String>>,
        patience_seconds: u32,
    ) -> Result<Self, Error> {
        let statement = "select severity, rule, object, why, remedy from nebula.doctor($1, $2, make_interval(secs => $3))";
        let patience = f64::from(patience_seconds);
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
        Ok(Self(findings))
    }

    /// How many there are of a severity: `error`, `warning`, `info`.
    #[must_use]
    pub fn count(&self, severity: &str) -> usize {
        self.0.iter().filter(|finding| finding.severity == severity).count()
    }

    fn verdict(&self, is_strict: bool) -> Exit {
        if self.count("error") > 0 || (is_strict && self.count("warning") > 0) { Exit::Findings } else { Exit::Done }
    }
}

/// A finding a paragraph, its remedy as it can be pasted; then how many there are.
impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Finding { severity, rule, object, why, remedy } in &self.0 {
            let style = match severity.as_str() {
                "error" => BAD,
                "warning" => DOUBTFUL,
                _ => FAINT,
            };
            writeln!(f, "{style}{severity:<8}{style:#} {}  ({rule})\n         {}", plain(object), plain(why))?;
            for line in remedy.lines() {
                writeln!(f, "         > {}", plain(line))?;
            }
        }
        write!(f, "{} errors, {} warnings, {} notes", self.count("error"), self.count("warning"), self.count("info"))
    }
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
        let verdict =
            |severities: &[&str], is_strict| Findings(severities.iter().map(|severity| finding(severity)).collect()).verdict(is_strict);
        assert_eq!(verdict(&[], true), Exit::Done);
        assert_eq!(verdict(&["info"], true), Exit::Done);
        assert_eq!(verdict(&["warning", "info"], false), Exit::Done);
        assert_eq!(verdict(&["warning", "info"], true), Exit::Findings);
        assert_eq!(verdict(&["error", "warning"], false), Exit::Findings);
    }

    #[test]
    fn remedies_are_printed_whole() {
        let printed = Findings(vec![finding("error"), finding("info")]).to_string();
        assert!(printed.contains("> one;\n         > two;\n"), "{printed}");
        assert!(printed.ends_with("1 errors, 0 warnings, 1 notes"), "{printed}");
    }
}
