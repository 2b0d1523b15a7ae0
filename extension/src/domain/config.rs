//! How a tenant runs: its own switches, and what the platform set for it.

use crate::kernel::{
    error::{Refusal, Result},
    operation::{
        Call, Kind,
        Method::{Get, Put},
        Operation, Reply, shape,
    },
    outbox, rights,
    spi::{self, Arg},
};
use nebula_core::{
    error::Code,
    object::Object,
    text::{Instant, Key},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

#[must_use]
pub fn operations() -> Vec<Operation> {
    vec![
        Operation::new("config.read", (Get, "/v1/config"), Kind::Read, read)
            .answers::<Config>()
            .summary("Mostra a configuração do tenant", "Shows the tenant's configuration"),
        Operation::new("config.update", (Put, "/v1/config"), Kind::Admin, update)
            .answers::<Config>()
            .summary("Altera a configuração do tenant", "Changes the tenant's configuration"),
    ]
}

/// What the tenant's operations are run for: how much is kept, for how long, and how often is retried.
#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "OperationalProfile")]
enum Profile {
    Mvp,
    Standard,
    Enterprise,
}

impl Profile {
    fn as_str(self) -> &'static str {
        match self {
            Profile::Mvp => "mvp",
            Profile::Standard => "standard",
            Profile::Enterprise => "enterprise",
        }
    }
}

/// Requests a minute, 1 to 100,000,000, instead of the installation's default.
#[derive(Clone, Copy, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "CategoryLimit")]
struct Category {
    #[schemars(range(min = 1, max = 100_000_000))]
    per_minute: u32,
}

/// By category; one that is absent has the installation's default.
#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "CategoryLimits")]
struct Limits {
    #[serde(skip_serializing_if = "Option::is_none")]
    auth: Option<Object<Category>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    read: Option<Object<Category>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    write: Option<Object<Category>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    admin: Option<Object<Category>>,
}

shape! {
    /// A tenant's configuration.
    Config {
        /// The tenant's own switches.
        flags: BTreeMap<String, bool>,
        limits: Limits,
        profile: Profile,
        /// Null until it was changed for the first time.
        updated_at: Option<Instant>,
    }
}

const CONFIG_JSON: &str = "json_build_object('flags', c.flags, 'limits', c.limits, 'profile', c.profile, 'updatedAt', c.updated_at)::text";

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Nothing {}

fn read(call: &Call, _: Nothing) -> Result<Reply> {
    let config =
        spi::text(&format!("select {CONFIG_JSON} from nebula.tenant_config c where c.tenant_id = $1"), &[Arg::Uuid(call.tenant())]);
    Ok(Reply::data(config.unwrap_or_else(|| r#"{"flags":{},"limits":{},"profile":"mvp","updatedAt":null}"#.to_owned())))
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Update {
    /// All of the tenant's switches, up to 100.
    #[schemars(extend("maxProperties" = 100))]
    flags: BTreeMap<Key, bool>,
    /// For the platform to change; what is sent must be what is there. Absent: unchanged.
    limits: Option<Object<Limits>>,
    /// As `limits`.
    profile: Option<Profile>,
}

fn update(call: &Call, input: Update) -> Result<Reply> {
    if input.flags.len() > 100 {
        return Err(Refusal::invalid("flags", "too_long"));
    }
    if let Some(field) = input.limits.as_ref().and_then(|limits| out_of_range(&limits.0)) {
        return Err(Refusal::invalid(field, "range"));
    }
    let text = |value: serde_json::Result<String>| value.map_err(|_| Refusal::from(Code::InternalError));
    let flags = text(serde_json::to_string(&input.flags))?;
    let limits = input.limits.map(|limits| text(serde_json::to_string(&limits.0))).transpose()?;
    let profile = input.profile.map(Profile::as_str);
    // How much a tenant may use is agreed with whoever sells it.
    let is_platforms = call.caller.is_acting() || rights::of_caller(&call.caller).tenant().is_some_and(rights::TenantState::is_platform);
    let changes_agreement = spi::first(
        "select coalesce($2::jsonb <> coalesce(c.limits, '{}'), false) or coalesce($3 <> coalesce(c.profile, 'mvp'), false) \
         from (select $1::uuid as id) t left join nebula.tenant_config c on c.tenant_id = t.id",
        &[Arg::Uuid(call.tenant()), Arg::OptText(limits.as_deref()), Arg::OptText(profile)],
        |row| row.boolean(1),
    );
    if changes_agreement.flatten() != Some(false) && !is_platforms {
        return Err(Refusal::forbidden(&call.caller.action, "platform_only"));
    }
    let config = spi::text(
        &format!(
            "insert into nebula.tenant_config as c (tenant_id, flags, limits, profile) values ($1, $2::jsonb, coalesce($3::jsonb, '{{}}'), coalesce($4, 'mvp')) \
             on conflict (tenant_id) do update set flags = excluded.flags, limits = coalesce($3::jsonb, c.limits), profile = coalesce($4, c.profile) \
             returning {CONFIG_JSON}"
        ),
        &[Arg::Uuid(call.tenant()), Arg::Text(&flags), Arg::OptText(limits.as_deref()), Arg::OptText(profile)],
    )
    .ok_or(Code::InternalError)?;
    outbox::emit(call.tenant(), "config.changed", &config)?;
    Ok(Reply::data(config))
}

fn out_of_range(limits: &Limits) -> Option<&'static str> {
    let categories = [
        ("limits.auth.perMinute", &limits.auth),
        ("limits.read.perMinute", &limits.read),
        ("limits.write.perMinute", &limits.write),
        ("limits.admin.perMinute", &limits.admin),
    ];
    let is_out = |limit: &Option<Object<Category>>| limit.as_ref().is_some_and(|limit| !(1..=100_000_000).contains(&limit.0.per_minute));
    categories.into_iter().find(|(_, limit)| is_out(limit)).map(|(field, _)| field)
}
