//! `nebula openapi`: the document of all operations, the custom ones of this installation too.

use super::output::say;
use crate::{
    config::Config,
    db::{self, scalar_text},
    error::Error,
};

/// Asks as the edge's login, or as the administrator's.
pub async fn run(config: &Config) -> Result<(), Error> {
    let url = config.database_url.as_ref().map_or_else(|| config.require_admin_database_url(), Ok)?;
    let client = db::connect_admin(url).await?;
    let document = scalar_text(&client, "select nebula.openapi()::text", &[]).await?;
    let document =
        serde_json::from_str::<serde_json::Value>(&document).map_err(|error| Error::Database(format!("nebula.openapi(): {error}")))?;
    say(&serde_json::to_string_pretty(&document).map_err(|error| Error::Database(error.to_string()))?)
}
