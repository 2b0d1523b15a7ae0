//! How a tenant's tools look.

use crate::kernel::{
    error::Result,
    operation::{
        Call, Kind,
        Method::{Get, Put},
        Operation, Reply, shape,
    },
    outbox,
    spi::{self, Arg},
};
use nebula_core::{
    error::Code,
    text::Instant,
    web::{Color, Domain, HttpsUrl},
};
use schemars::JsonSchema;
use serde::Deserialize;

#[must_use]
pub fn operations() -> Vec<Operation> {
    vec![
        Operation::new("branding.read", (Get, "/v1/branding"), Kind::Read, read)
            .answers::<Branding>()
            .summary("Mostra a identidade visual do tenant", "Shows the tenant's branding"),
        Operation::new("branding.update", (Put, "/v1/branding"), Kind::Write, update)
            .answers::<Branding>()
            .summary("Altera a identidade visual do tenant", "Changes the tenant's branding"),
    ]
}

shape! {
    /// A tenant's branding; what was not set is null.
    Branding {
        logo_url: Option<HttpsUrl>,
        primary_color: Option<Color>,
        secondary_color: Option<Color>,
        /// The host name under which the tenant's people work; not proven to be theirs.
        domain: Option<Domain>,
        /// Null until it was changed for the first time.
        updated_at: Option<Instant>,
    }
}

macro_rules! branding_json {
    () => {
        "json_build_object('logoUrl', b.logo_url, 'primaryColor', b.primary_color, 'secondaryColor', b.secondary_color, 'domain', b.domain, \
         'updatedAt', b.updated_at)::text"
    };
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Nothing {}

fn read(call: &Call, _: Nothing) -> Result<Reply> {
    // A tenant without a row has the row's nulls.
    spi::text(
        concat!("select ", branding_json!(), " from (select $1::uuid as id) t left join nebula.tenant_branding b on b.tenant_id = t.id"),
        &[Arg::Uuid(call.tenant())],
    )
    .map(Reply::data)
    .ok_or_else(|| Code::InternalError.into())
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Update {
    logo_url: Option<HttpsUrl>,
    primary_color: Option<Color>,
    secondary_color: Option<Color>,
    domain: Option<Domain>,
}

/// Sets all of it: what is absent is taken away.
fn update(call: &Call, input: Update) -> Result<Reply> {
    let branding = spi::text(
        concat!(
            "insert into nebula.tenant_branding as b (tenant_id, logo_url, primary_color, secondary_color, domain) values ($1, $2, $3, $4, $5) \
             on conflict (tenant_id) do update set logo_url = excluded.logo_url, primary_color = excluded.primary_color, \
               secondary_color = excluded.secondary_color, domain = excluded.domain returning ",
            branding_json!()
        ),
        &[
            Arg::Uuid(call.tenant()),
            Arg::OptText(input.logo_url.as_ref().map(HttpsUrl::as_str)),
            Arg::OptText(input.primary_color.as_ref().map(Color::as_str)),
            Arg::OptText(input.secondary_color.as_ref().map(Color::as_str)),
            Arg::OptText(input.domain.as_ref().map(Domain::as_str)),
        ],
    )
    .ok_or(Code::InternalError)?;
    outbox::emit(call.tenant(), "branding.changed", &branding)?;
    Ok(Reply::data(branding))
}
