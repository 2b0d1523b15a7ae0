//! `nebula prove-isolation`: tries from one made-up tenant what must not reach another one. Nothing of it stays in the database.

use super::output::{BAD, plain, tell};
use crate::{
    config::Config,
    db,
    error::{Error, Exit},
};
use serde::{Serialize, Serializer};
use std::fmt;
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
    /// Ends with 3 where something could not be tried.
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

/// Ends with 3 if something leaked, or could not be tried and `--strict` asks for it.
pub async fn run(arguments: &Arguments, config: &Config) -> Result<Exit, Error> {
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
    let proof = Proof { attempts, prints_all: arguments.all };
    tell(&proof)?;
    Ok(proof.verdict(arguments.strict))
}

/// What was tried; as JSON all of it.
struct Proof {
    attempts: Vec<Attempt>,
    /// What held, too.
    prints_all: bool,
}

impl Serialize for Proof {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.attempts.serialize(serializer)
    }
}

impl Proof {
    fn count(&self, leaked: Option<bool>) -> usize {
        self.attempts.iter().filter(|attempt| attempt.leaked == leaked).count()
    }

    fn verdict(&self, is_strict: bool) -> Exit {
        // Where nothing was tried, nothing was proved.
        let is_incomplete = self.count(None) > 0 || self.attempts.is_empty();
        if self.count(Some(true)) > 0 || (is_strict && is_incomplete) { Exit::Findings } else { Exit::Done }
    }
}

impl fmt::Display for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Attempt { role, object, attempt, leaked, evidence } in &self.attempts {
            let word = match leaked {
                Some(true) => format!("{BAD}LEAKED   {BAD:#}"),
                Some(false) if !self.prints_all => continue,
                Some(false) => "held     ".to_owned(),
                None => "not tried".to_owned(),
            };
            writeln!(f, "{word} {role}: {}: {attempt}: {}", plain(object), plain(evidence.trim_start_matches("not tried: ")))?;
        }
        let [leaked, held, untried] = [Some(true), Some(false), None].map(|leaked| self.count(leaked));
        write!(f, "{leaked} leaked, {held} held, {untried} not tried")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proof(leaked: &[Option<bool>], prints_all: bool) -> Proof {
        let one = |leaked: &Option<bool>| {
            let [role, object, attempt, evidence] = ["anon", "app.orders", "delete", "not tried: no row"].map(str::to_owned);
            Attempt { role, object, attempt, leaked: *leaked, evidence }
        };
        Proof { attempts: leaked.iter().map(one).collect(), prints_all }
    }

    #[test]
    fn a_leak_decides_the_exit_code_and_strictness_asks_for_all() {
        let verdict = |leaked: &[Option<bool>], is_strict| proof(leaked, false).verdict(is_strict);
        assert_eq!(verdict(&[Some(false), None], false), Exit::Done);
        assert_eq!(verdict(&[Some(false), None], true), Exit::Findings);
        assert_eq!(verdict(&[Some(false)], true), Exit::Done);
        assert_eq!(verdict(&[], true), Exit::Findings);
        assert_eq!(verdict(&[None, Some(true)], false), Exit::Findings);
    }

    #[test]
    fn what_held_is_printed_only_where_all_is_asked_for() {
        let text = |prints_all| proof(&[Some(true), Some(false), None], prints_all).to_string();
        assert_eq!((text(false).lines().count(), text(true).lines().count()), (3, 4));
        assert!(text(false).ends_with("1 leaked, 1 held, 1 not tried"));
        assert!(text(false).contains("not tried anon: app.orders: delete: no row"));
    }
}
