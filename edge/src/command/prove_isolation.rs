//! `nebula prove-isolation`: tries from one made-up tenant what must not reach another one. Nothing of it stays in the database.

use super::output::say;
use crate::{config::Config, db, error::Error};
use serde::Serialize;
use std::{fmt::Write, process::ExitCode};
use tokio_postgres::types::Type;

#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Tries this schema of the application; may be given several times. Without it: all that no product brings along.
    #[arg(long = "schema", value_name = "SCHEMA")]
    schemas: Vec<String>,
    /// Calls volatile functions, too: what they send elsewhere is not taken back.
    #[arg(long)]
    call_volatile: bool,
    /// What is not tried by then is told as not tried.
    #[arg(long, default_value_t = 60)]
    time_limit_seconds: u32,
    /// Prints everything that was tried, not only what leaked or could not be tried.
    #[arg(long)]
    all: bool,
    /// Prints everything as one JSON array instead.
    #[arg(long)]
    json: bool,
    /// Ends with 1 where something could not be tried.
    #[arg(long)]
    strict: bool,
}

#[derive(Debug, Serialize)]
struct Attempt {
    role: String,
    object: String,
    attempt: String,
    /// `None`: it could not be tried.
    leaked: Option<bool>,
    evidence: String,
}

/// Ends with 2 if something leaked, with 1 if something could not be tried and `--strict` asks for it, else with 0.
pub async fn run(arguments: &Arguments, config: &Config) -> Result<ExitCode, Error> {
    let client = db::connect_admin(config.require_admin_database_url()?).await?;
    let schemas = (!arguments.schemas.is_empty()).then(|| arguments.schemas.clone());
    let limit = f64::from(arguments.time_limit_seconds);
    let statement = "select role, object, attempt, leaked, evidence from nebula.prove_isolation($1, $2, make_interval(secs => $3))";
    let parameters: [(&(dyn tokio_postgres::types::ToSql + Sync), Type); 3] =
        [(&schemas, Type::TEXT_ARRAY), (&arguments.call_volatile, Type::BOOL), (&limit, Type::FLOAT8)];
    let mut attempts = Vec::new();
    for row in client.query_typed(statement, &parameters).await? {
        attempts.push(Attempt {
            role: row.try_get(0)?,
            object: row.try_get(1)?,
            attempt: row.try_get(2)?,
            leaked: row.try_get(3)?,
            evidence: row.try_get(4)?,
        });
    }
    if arguments.json {
        let json = serde_json::to_string_pretty(&attempts);
        say(&json.map_err(|error| Error::Database(format!("nebula.prove_isolation(): {error}")))?)?;
    } else {
        say(&text(&attempts, arguments.all))?;
    }
    Ok(verdict(&attempts, arguments.strict))
}

fn count(attempts: &[Attempt], leaked: Option<bool>) -> usize {
    attempts.iter().filter(|attempt| attempt.leaked == leaked).count()
}

fn verdict(attempts: &[Attempt], is_strict: bool) -> ExitCode {
    // Where nothing was tried, nothing was proved.
    ExitCode::from(if count(attempts, Some(true)) > 0 {
        2
    } else {
        u8::from(is_strict && (count(attempts, None) > 0 || attempts.is_empty()))
    })
}

fn text(attempts: &[Attempt], prints_all: bool) -> String {
    let mut text = String::new();
    for Attempt { role, object, attempt, leaked, evidence } in attempts {
        let word = match leaked {
            Some(true) => "LEAKED",
            Some(false) if !prints_all => continue,
            Some(false) => "held",
            None => "not tried",
        };
        // Writing into a String never fails.
        let _ = writeln!(text, "{word:<9} {role}: {object}: {attempt}: {}", evidence.trim_start_matches("not tried: "));
    }
    let [leaked, held, untried] = [Some(true), Some(false), None].map(|leaked| count(attempts, leaked));
    let _ = write!(text, "{leaked} leaked, {held} held, {untried} not tried");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attempts(leaked: &[Option<bool>]) -> Vec<Attempt> {
        let one = |leaked: &Option<bool>| {
            let [role, object, attempt, evidence] = ["anon", "app.orders", "delete", "not tried: no row"].map(str::to_owned);
            Attempt { role, object, attempt, leaked: *leaked, evidence }
        };
        leaked.iter().map(one).collect()
    }

    #[test]
    fn a_leak_decides_the_exit_code_and_strictness_asks_for_all() {
        let verdict = |leaked: &[Option<bool>], is_strict| format!("{:?}", verdict(&attempts(leaked), is_strict));
        let code = |code: u8| format!("{:?}", ExitCode::from(code));
        assert_eq!(verdict(&[Some(false), None], false), code(0));
        assert_eq!(verdict(&[Some(false), None], true), code(1));
        assert_eq!(verdict(&[Some(false)], true), code(0));
        assert_eq!(verdict(&[], true), code(1));
        assert_eq!(verdict(&[None, Some(true)], false), code(2));
    }

    #[test]
    fn what_held_is_printed_only_where_all_is_asked_for() {
        let tried = attempts(&[Some(true), Some(false), None]);
        assert_eq!(text(&tried, false).lines().count(), 3);
        assert_eq!(text(&tried, true).lines().count(), 4);
        assert!(text(&tried, false).ends_with("1 leaked, 1 held, 1 not tried"));
        assert!(text(&tried, false).contains("not tried anon: app.orders: delete: no row"));
    }
}
