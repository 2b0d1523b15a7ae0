//! `nebula seed`: the global catalog, or one tenant's beginnings.

use super::output::tell;
use crate::{
    config::Config,
    db::{self, scalar_text},
    error::Error,
};
use serde::{Deserialize, Serialize};
use std::fmt;
use tokio_postgres::{Client, types::Type};
use uuid::Uuid;

#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Seed this tenant (default groups, their permissions, first package) instead of the global catalog.
    #[arg(long, value_name = "UUID", env = "NEBULA_SEED_TENANT")]
    tenant: Option<Uuid>,
}

/// How many rows were changed.
#[derive(Deserialize, Serialize)]
pub struct Seeded {
    changed: u64,
}

impl fmt::Display for Seeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{\"changed\":{}}}", self.changed)
    }
}

pub async fn run(arguments: &Arguments, config: &Config) -> Result<(), Error> {
    let client = db::connect_admin(config.require_admin_database_url()?).await?;
    let seeded = match arguments.tenant {
        Some(tenant) => parse(&scalar_text(&client, "select nebula.seed_tenant($1)::text", &[(&tenant, Type::UUID)]).await?)?,
        None => seed(&client).await?,
    };
    tell(&seeded)
}

/// Upserts the global catalog.
pub async fn seed(client: &Client) -> Result<Seeded, Error> {
    parse(&scalar_text(client, "select nebula.seed()::text", &[]).await?)
}

fn parse(text: &str) -> Result<Seeded, Error> {
    serde_json::from_str(text).map_err(|error| Error::Database(format!("nebula.seed(): {error}")))
}
