//! `nebula tenant`: tenants, by the operator's key.

use super::{
    key::Page,
    operator::Operator,
    output::{Fields, Rows, tell},
};
use crate::{config::Config, error::Error};
use serde_json::{Map, Value, json};

#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Lists tenants.
    List(Page),
    /// Shows a tenant, how many people and keys it has, and its profile.
    Show {
        /// The tenant's id or slug.
        tenant: String,
    },
    /// Creates a tenant with its package and first administrator, and prints the invite with which they set their password: it is shown this once.
    Create {
        slug: String,
        name: String,
        /// The package that it gets.
        #[arg(long, value_name = "KEY")]
        package: String,
        #[arg(long, value_name = "ADDRESS")]
        admin_email: String,
        #[arg(long, value_name = "NAME")]
        admin_name: String,
    },
    /// Lets nobody of a tenant in, from the next statement on.
    Suspend {
        /// The tenant's id or slug.
        tenant: String,
        /// Why, for whoever reads it later.
        #[arg(long)]
        reason: Option<String>,
    },
    /// Lets a suspended tenant in again.
    Reactivate {
        /// The tenant's id or slug.
        tenant: String,
    },
    /// Gives a tenant a package, or another end to one that it has.
    Assign {
        /// The tenant's id or slug.
        tenant: String,
        package: String,
        /// Until when it counts, in RFC 3339.
        #[arg(long, value_name = "TIME")]
        expires_at: Option<String>,
    },
    /// Takes a package away.
    Unassign {
        /// The tenant's id or slug.
        tenant: String,
        package: String,
    },
}

const COLUMNS: &[(&str, &str)] =
    &[("slug", "slug"), ("name", "name"), ("id", "id"), ("kind", "kind"), ("status", "status"), ("created", "createdAt")];

pub async fn run(arguments: &Arguments, config: &Config) -> Result<(), Error> {
    let operator = Operator::connect(config).await?;
    let answer = match &arguments.action {
        Action::List(page) => {
            let body = operator.list(operator.home, "tenants.list", &page.filters(), page.limit).await?;
            return tell(&Rows { body, columns: COLUMNS });
        }
        Action::Show { tenant } => show(&operator, tenant).await?,
        Action::Create { slug, name, package, admin_email, admin_name } => {
            let admin = json!({ "email": admin_email, "name": admin_name });
            operator.platform("tenants.create", json!({ "slug": slug, "name": name, "packageKey": package, "adminUser": admin })).await?
        }
        Action::Suspend { tenant, reason } => {
            let input = json!({ "tenantId": operator.tenant(tenant).await?.0, "status": "suspenso", "suspendedReason": reason });
            operator.platform("tenants.status", input).await?
        }
        Action::Reactivate { tenant } => {
            operator.platform("tenants.status", json!({ "tenantId": operator.tenant(tenant).await?.0, "status": "ativo" })).await?
        }
        Action::Assign { tenant, package, expires_at } => {
            let input = json!({ "tenantId": operator.tenant(tenant).await?.0, "packageKey": package, "expiresAt": expires_at });
            operator.platform("tenants.packages.assign", input).await?
        }
        Action::Unassign { tenant, package } => {
            let id = operator.tenant(tenant).await?.0;
            operator.platform("tenants.packages.unassign", json!({ "tenantId": id, "packageKey": package })).await?;
            json!({ "data": { "tenantId": id, "packageKey": package, "status": "unassigned" } })
        }
    };
    tell(&Fields(answer))
}

/// The tenant, and what is looked for first when something is wrong with it. A suspended one lets nobody look into it.
async fn show(operator: &Operator<'_>, tenant: &str) -> Result<Value, Error> {
    let (id, mut answer) = operator.tenant(tenant).await?;
    let Some(data) = answer.get_mut("data").and_then(Value::as_object_mut) else { return Ok(answer) };
    if data.get("status").and_then(Value::as_str) != Some("ativo") {
        return Ok(answer);
    }
    for (member, operation) in [("users", "users.list"), ("apiKeys", "api_keys.list")] {
        let listed = known(operator.list(id, operation, &Map::new(), COUNTED).await)?;
        let rows = listed.get("data").and_then(Value::as_array).map(Vec::len);
        let has_more = listed.pointer("/meta/hasMore") == Some(&Value::Bool(true));
        data.insert(
            member.to_owned(),
            rows.map_or(Value::Null, |rows| if has_more { json!(format!("more than {rows}")) } else { json!(rows) }),
        );
    }
    let config = known(operator.within(id, "config.read", json!({})).await)?;
    data.insert("profile".to_owned(), config.pointer("/data/profile").cloned().unwrap_or_default());
    Ok(answer)
}

/// What the tenant's packages don't hold can't be asked of it.
fn known(answer: Result<Value, Error>) -> Result<Value, Error> {
    match answer {
        Err(error) if error.code() == "FORBIDDEN_ACTION" => Ok(Value::Null),
        answer => answer,
    }
}

/// Rows are counted so far: one page, the largest there is.
const COUNTED: usize = 200;
