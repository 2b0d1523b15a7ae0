//! `nebula user`: people of a tenant, by the operator's key. Both audit logs tell, the tenant's and the platform's.

use super::{
    key::Page,
    operator::Operator,
    output::{Fields, Rows, tell},
};
use crate::{config::Config, error::Error};
use serde_json::{Map, json};

#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Lists a tenant's people.
    List {
        /// The tenant's id or slug.
        tenant: String,
        #[command(flatten)]
        page: Page,
    },
    /// Shows a person.
    Show(Which),
    /// Creates a person, who can log in once they have an invite.
    Create {
        /// The tenant's id or slug.
        tenant: String,
        email: String,
        name: String,
    },
    /// Makes an invite with which a person sets their password, and prints it, this once.
    Invite(Which),
    /// Lets a person in no more, from the next statement on, and ends their sessions.
    Suspend {
        #[command(flatten)]
        which: Which,
        /// Why, for whoever reads it later.
        #[arg(long)]
        reason: Option<String>,
    },
    /// Lets a suspended person log in again.
    Reactivate(Which),
    /// Lists where a person is logged in.
    Sessions {
        #[command(flatten)]
        which: Which,
        /// At most so many.
        #[arg(long, default_value_t = 50, value_name = "N")]
        limit: usize,
    },
    /// Ends every session of a person: they log in again.
    EndSessions(Which),
}

/// A person of a tenant.
#[derive(Debug, clap::Args)]
struct Which {
    /// The tenant's id or slug.
    tenant: String,
    /// The person's id or e-mail address.
    user: String,
}

const COLUMNS: &[(&str, &str)] =
    &[("email", "email"), ("name", "name"), ("id", "id"), ("status", "status"), ("logs in with", "authProvider"), ("created", "createdAt")];
const SESSIONS: &[(&str, &str)] =
    &[("id", "id"), ("address", "ip"), ("client", "userAgent"), ("since", "createdAt"), ("last used", "lastUsedAt"), ("ends", "expiresAt")];

pub async fn run(arguments: &Arguments, config: &Config) -> Result<(), Error> {
    let operator = Operator::connect(config).await?;
    let tenant = async |name: &str| Ok::<_, Error>(operator.tenant(name).await?.0);
    let find = async |which: &Which| {
        let tenant = tenant(&which.tenant).await?;
        Ok::<_, Error>((tenant, operator.user(tenant, &which.user).await?))
    };
    let answer = match &arguments.action {
        Action::List { tenant: name, page } => {
            let body = operator.list(tenant(name).await?, "users.list", &page.filters(), page.limit).await?;
            return tell(&Rows { body, columns: COLUMNS });
        }
        Action::Sessions { which, limit } => {
            let (tenant, user) = find(which).await?;
            let filters = Map::from_iter([("id".to_owned(), json!(user))]);
            return tell(&Rows { body: operator.list(tenant, "users.sessions.list", &filters, *limit).await?, columns: SESSIONS });
        }
        Action::Show(which) => {
            let (tenant, user) = find(which).await?;
            operator.within(tenant, "users.read", json!({ "id": user })).await?
        }
        Action::Create { tenant: name, email, name: person } => {
            operator.within(tenant(name).await?, "users.create", json!({ "email": email, "name": person })).await?
        }
        Action::Invite(which) => {
            let (tenant, user) = find(which).await?;
            operator.within(tenant, "users.invite", json!({ "id": user })).await?
        }
        Action::Suspend { which, reason } => {
            let (tenant, user) = find(which).await?;
            let input = json!({ "id": user, "status": "suspenso", "suspendedReason": reason });
            operator.within(tenant, "users.status", input).await?
        }
        Action::Reactivate(which) => {
            let (tenant, user) = find(which).await?;
            operator.within(tenant, "users.status", json!({ "id": user, "status": "ativo" })).await?
        }
        Action::EndSessions(which) => {
            let (tenant, user) = find(which).await?;
            operator.within(tenant, "users.sessions.revoke", json!({ "id": user })).await?
        }
    };
    tell(&Fields(answer))
}
