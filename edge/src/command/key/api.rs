//! `nebula key api`: a tenant's service accounts.

use super::super::{
    operator::Operator,
    output::{Fields, Rows, tell},
};
use crate::{config::Config, error::Error};
use serde_json::{Map, Value, json};
use uuid::Uuid;

#[derive(Debug, clap::Subcommand)]
pub enum Action {
    /// Lists a tenant's keys.
    List {
        /// The tenant's id or slug.
        tenant: String,
        #[command(flatten)]
        page: Page,
    },
    /// Makes a key and prints it with its secret, which is shown this once.
    Create {
        /// The tenant's id or slug.
        tenant: String,
        name: String,
        /// What it may do, by kind of action: read-only, write or admin.
        #[arg(long, conflicts_with = "actions", required_unless_present = "actions")]
        profile: Option<String>,
        /// One action that it may do; may be given several times.
        #[arg(long = "action", value_name = "KEY")]
        actions: Vec<String>,
        /// Until when it counts, in RFC 3339.
        #[arg(long, value_name = "TIME")]
        expires_at: Option<String>,
    },
    /// Stops a key from the next statement on.
    Revoke {
        #[command(flatten)]
        which: Which,
        /// Why, for whoever reads it later.
        #[arg(long)]
        reason: Option<String>,
    },
    /// Lets a revoked key count again.
    Reinstate(Which),
    /// Gives a key another secret and prints it, this once.
    Rotate {
        #[command(flatten)]
        which: Which,
        /// For how many seconds the old secret still counts.
        #[arg(long, default_value_t = 0, value_name = "SECONDS")]
        grace_period_seconds: u32,
    },
}

/// A key of a tenant.
#[derive(Debug, clap::Args)]
pub struct Which {
    /// The tenant's id or slug.
    tenant: String,
    /// The key's id or name.
    key: String,
}

/// Which rows of a list.
#[derive(Debug, clap::Args)]
pub struct Page {
    /// At most so many.
    #[arg(long, default_value_t = 50, value_name = "N")]
    pub limit: usize,
    /// Only those whose name has this in it.
    #[arg(long, value_name = "TEXT")]
    pub search: Option<String>,
    /// Only those of this status.
    #[arg(long, value_name = "STATUS", value_parser = ["ativo", "suspenso"])]
    pub status: Option<String>,
}

impl Page {
    /// As operations take them.
    #[must_use]
    pub fn filters(&self) -> Map<String, Value> {
        let filters = [("q", &self.search), ("status", &self.status)];
        filters.into_iter().filter_map(|(name, value)| Some((name.to_owned(), json!(value.as_ref()?)))).collect()
    }
}

const COLUMNS: &[(&str, &str)] =
    &[("name", "name"), ("id", "id"), ("profile", "profile"), ("status", "status"), ("expires", "expiresAt"), ("last used", "lastUsedAt")];

pub async fn run(action: &Action, config: &Config) -> Result<(), Error> {
    let operator = Operator::connect(config).await?;
    let tenant = async |name: &str| Ok::<_, Error>(operator.tenant(name).await?.0);
    match action {
        Action::List { tenant: name, page } => list(&operator, tenant(name).await?, page).await,
        Action::Create { tenant: name, name: key, profile, actions, expires_at } => {
            let mut input = json!({ "name": key });
            if let Some(members) = input.as_object_mut() {
                members.extend(profile.as_ref().map(|profile| ("profile".to_owned(), json!(profile))));
                members.extend((!actions.is_empty()).then(|| ("actions".to_owned(), json!(actions))));
                members.extend(expires_at.as_ref().map(|at| ("expiresAt".to_owned(), json!(at))));
            }
            tell(&Fields(operator.within(tenant(name).await?, "api_keys.create", input).await?))
        }
        Action::Revoke { which, reason } => {
            let tenant = tenant(&which.tenant).await?;
            set_status(&operator, tenant, &which.key, Some(reason.as_deref())).await
        }
        Action::Reinstate(which) => {
            let tenant = tenant(&which.tenant).await?;
            set_status(&operator, tenant, &which.key, None).await
        }
        Action::Rotate { which, grace_period_seconds } => {
            let tenant = tenant(&which.tenant).await?;
            let input = json!({ "id": operator.api_key(tenant, &which.key).await?, "gracePeriodSeconds": grace_period_seconds });
            tell(&Fields(operator.within(tenant, "api_keys.rotate", input).await?))
        }
    }
}

/// Lists keys of a tenant.
pub async fn list(operator: &Operator<'_>, tenant: Uuid, page: &Page) -> Result<(), Error> {
    tell(&Rows { body: operator.list(tenant, "api_keys.list", &page.filters(), page.limit).await?, columns: COLUMNS })
}

/// Revokes a key, perhaps for a reason, or reinstates it.
pub async fn set_status(operator: &Operator<'_>, tenant: Uuid, key: &str, revoked: Option<Option<&str>>) -> Result<(), Error> {
    let mut input = json!({ "id": operator.api_key(tenant, key).await?, "status": if revoked.is_some() { "suspenso" } else { "ativo" } });
    if let (Some(members), Some(reason)) = (input.as_object_mut(), revoked.flatten()) {
        members.insert("suspendedReason".to_owned(), json!(reason));
    }
    tell(&Fields(operator.within(tenant, "api_keys.status", input).await?))
}
