//! `nebula protect`: an application's table made tenant-safe while it is written to, step by step.
//!
//! What is to be done, and what is done already, the database says anew before each step. So a run that was killed, wherever it was, is gone on with by the next.

use super::output::{note, tell};
use crate::{
    config::Config,
    db::{self, protection},
    error::Error,
};
use serde::Serialize;
use std::{collections::BTreeMap, fmt, time::Duration};
use tokio::time::sleep;
use uuid::Uuid;

#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The table, with its schema: public.orders.
    table: String,
    /// The tenant that all rows belong to which have none.
    #[arg(long, conflicts_with = "tenant_query")]
    tenant: Option<Uuid>,
    /// SQL of the tenant of a row t: select c.tenant_id from public.customers c where c.id = t.customer_id
    #[arg(long, value_name = "SQL")]
    tenant_query: Option<String>,
    /// The column with the tenant's id; added where it is missing.
    #[arg(long, default_value = "tenant_id", value_name = "NAME")]
    tenant_column: String,
    /// The noun of its actions and events; else the table's name.
    #[arg(long, value_name = "NOUN")]
    resource: Option<String>,
    /// The action of a verb, where it is not `<resource>.<verb>`: read=orders.view
    #[arg(long = "action", value_name = "VERB=KEY", value_parser = pair)]
    actions: Vec<(String, String)>,
    /// The tool of the catalog that actions are added to which it lacks; else the resource.
    #[arg(long, value_name = "KEY")]
    tool: Option<String>,
    /// The package that gets the actions, so that its tenants can be granted them.
    #[arg(long, value_name = "KEY")]
    package: Option<String>,
    /// A column whose values are personal or secret.
    #[arg(long = "personal-column", value_name = "NAME")]
    personal_columns: Vec<String>,
    /// Leave its changes out of the audit log.
    #[arg(long)]
    not_audited: bool,
    /// Write events: <resource>.created, .updated, .deleted.
    #[arg(long)]
    emits: bool,
    /// Keep a column updated_at; added where it is missing.
    #[arg(long)]
    touches_updated_at: bool,
    /// Take the permissive policies out that the table has, until it is unprotected.
    #[arg(long)]
    replace_policies: bool,
    /// A role that may select, insert, update and delete.
    #[arg(long = "grant-to", value_name = "ROLE")]
    grant_to: Vec<String>,
    /// Print the steps that are left, as SQL, and do none.
    #[arg(long)]
    dry_run: bool,
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (verb, key) = text.split_once('=').ok_or("it is VERB=KEY")?;
    Ok((verb.to_owned(), key.to_owned()))
}

impl Arguments {
    /// As the database takes them (sql/functions/protect.sql).
    fn options(&self) -> String {
        let mut options = serde_json::json!({
            "tenant_column": self.tenant_column, "actions": self.actions.iter().cloned().collect::<BTreeMap<_, _>>(),
            "personal_columns": self.personal_columns, "audited": !self.not_audited, "emits": self.emits,
            "touches_updated_at": self.touches_updated_at, "replace_policies": self.replace_policies, "grant_to": self.grant_to,
        });
        let texts = [("tenant_query", &self.tenant_query), ("resource", &self.resource), ("tool", &self.tool), ("package", &self.package)];
        if let Some(members) = options.as_object_mut() {
            members.extend(self.tenant.map(|tenant| ("tenant".to_owned(), serde_json::json!(tenant))));
            members.extend(texts.into_iter().filter_map(|(name, text)| Some((name.to_owned(), serde_json::json!(text.as_ref()?)))));
        }
        options.to_string()
    }
}

/// The steps that are left.
#[derive(Serialize)]
struct Plan {
    steps: Vec<Planned>,
}

#[derive(Serialize)]
struct Planned {
    name: String,
    sql: Option<String>,
    note: Option<String>,
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.steps.iter().try_for_each(|step| match (&step.sql, &step.note) {
            (Some(sql), _) => writeln!(f, "-- {}\n{sql};\n", step.name),
            (None, Some(text)) => writeln!(f, "-- note: {text}"),
            (None, None) => Ok(()),
        })
    }
}

/// A table that is protected now.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Protected<'a> {
    table: &'a str,
    steps_done: u32,
}

impl fmt::Display for Protected<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is protected: {} steps were done", self.table, self.steps_done)
    }
}

/// How often a step is tried whose lock somebody holds: with the waits between, some ten minutes.
const MOST_ATTEMPTS: u32 = 120;
/// How often a step may be left undone though it ran: a fill that writers outran, say.
const MOST_ROUNDS: u32 = 5;
const LONGEST_WAIT: Duration = Duration::from_secs(5);

pub async fn run(arguments: &Arguments, config: &Config) -> Result<(), Error> {
    let client = db::connect_admin(config.require_admin_database_url()?).await?;
    let (table, options) = (&arguments.table, arguments.options());
    if arguments.dry_run {
        let left = protection::steps(&client, table, &options).await?.into_iter().filter(|step| !step.is_done || step.sql.is_none());
        return tell(&Plan { steps: left.map(|step| Planned { name: step.name, sql: step.sql, note: step.note }).collect() });
    }
    protection::prepare(&client).await?;
    let mut attempts = 0;
    while !protection::take_turn(&client, table).await? {
        attempts += 1;
        if attempts == 1 {
            note(&format!("somebody else protects {table}; waiting"));
        } else if attempts > MOST_ATTEMPTS {
            return Err(Error::Protect(format!("somebody else protects {table}")));
        }
        sleep(Duration::from_secs(1)).await;
    }
    let (mut rounds, mut last, mut done) = (0, String::new(), 0);
    loop {
        let steps = protection::steps(&client, table, &options).await?;
        let Some(step) = steps.iter().find(|step| !step.is_done) else {
            for text in steps.iter().filter(|step| step.sql.is_none()).filter_map(|step| step.note.as_deref()) {
                note(&format!("note: {text}"));
            }
            return tell(&Protected { table, steps_done: done });
        };
        rounds = if step.name == last { rounds + 1 } else { 0 };
        last.clone_from(&step.name);
        if rounds >= MOST_ROUNDS {
            return Err(Error::Protect(format!("the step {} is done and has to be done again", step.name)));
        }
        note(&step.name);
        patiently(&client, step).await?;
        done += 1;
    }
}

/// Tries a step until nobody is in its way.
async fn patiently(client: &tokio_postgres::Client, step: &protection::Step) -> Result<(), Error> {
    let mut wait = Duration::from_millis(50);
    for attempt in 1.. {
        match protection::run(client, step).await {
            Err(error) if protection::is_in_the_way(&error) && attempt < MOST_ATTEMPTS => {
                if attempt == 3 {
                    note(&format!("{}: waiting for who holds the table", step.name));
                }
                sleep(wait).await;
                wait = (wait * 2).min(LONGEST_WAIT);
            }
            outcome => return Ok(outcome?),
        }
    }
    Ok(())
}
