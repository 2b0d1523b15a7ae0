//! `nebula seed`: the global catalog, one tenant's beginnings, or an operator's key.

use super::output::say;
use crate::{
    config::Config,
    db::{self, scalar_text},
    error::Error,
};
use std::time::{SystemTime, UNIX_EPOCH};
use tokio_postgres::{Client, types::Type};
use uuid::Uuid;

#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Seed this tenant (default groups, their permissions, first package) instead of the global catalog.
    #[arg(long, value_name = "UUID", env = "NEBULA_SEED_TENANT", conflicts_with = "operator")]
    tenant: Option<Uuid>,
    /// Issue a new API key of the platform tenant instead, and print it: it is shown this once.
    #[arg(long, env = "NEBULA_SEED_OPERATOR")]
    operator: bool,
    /// The name of the operator's key [default: operator-<seconds since 1970>].
    #[arg(long, requires = "operator", env = "NEBULA_SEED_OPERATOR_NAME")]
    name: Option<String>,
}

pub async fn run(arguments: &Arguments, config: &Config) -> Result<(), Error> {
    let client = db::connect_admin(config.require_admin_database_url()?).await?;
    let result = match arguments.tenant {
        Some(tenant) => scalar_text(&client, "select nebula.seed_tenant($1)::text", &[(&tenant, Type::UUID)]).await?,
        None if arguments.operator => issue_operator_key(&client, arguments.name.as_deref()).await?,
        None => seed(&client).await?,
    };
    say(&result)
}

/// Upserts the global catalog; the database's report as JSON.
pub async fn seed(client: &Client) -> Result<String, Error> {
    scalar_text(client, "select nebula.seed()::text", &[]).await
}

/// Issues a key of the platform tenant. Names are unique, so the default one has the time in it.
pub async fn issue_operator_key(client: &Client, name: Option<&str>) -> Result<String, Error> {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let name = name.map_or_else(|| format!("operator-{seconds}"), str::to_owned);
    scalar_text(client, "select nebula.issue_operator_key($1)", &[(&name, Type::TEXT)]).await
}
