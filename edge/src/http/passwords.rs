//! The members of a body that the edge must understand: passwords, which it replaces, and what names the tenant.

use super::{app::App, refusal::Refusal};
use crate::{
    auth::{self, PasswordRule, Prepared},
    db::{BodyToken, Challenge, DeriveMode, Route, TenantFrom, TenantSource},
};
use nebula_core::{
    error::Code,
    opaque_token::OpaqueToken,
    password::{Bytes, PasswordProof},
};
use serde::Serialize;
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use tokio::time::Instant;
use uuid::Uuid;

/// Longer names of tenants and people are nobody's; the database refuses them without being asked for a challenge.
const MAX_LOGIN_CHARACTERS: usize = 300;

type Members = BTreeMap<String, Box<RawValue>>;

/// The first argument of `handle`, and the body that goes with it.
pub struct Payload {
    pub tenant: Uuid,
    pub body: Option<Box<RawValue>>,
}

/// Replaces passwords and finds the tenant. Where the tenant can't be told it is nil, and the database says what is missing.
pub async fn prepare(app: &App, route: &Route, tenant: Uuid, body: Option<Box<RawValue>>, deadline: Instant) -> Result<Payload, Refusal> {
    if route.derive.is_empty() && route.tenant_from == TenantFrom::Named(TenantSource::Credential) {
        return Ok(Payload { tenant, body });
    }
    let Some(body) = body else {
        let is_credential = route.tenant_from == TenantFrom::Named(TenantSource::Credential);
        return Ok(Payload { tenant: if is_credential { tenant } else { Uuid::nil() }, body: None });
    };
    let mut members: Members = serde_json::from_str(body.get()).map_err(|_| Refusal::invalid("body", "type"))?;
    let passwords = take_passwords(route, &members)?;
    let (tenant, challenge) = match &route.tenant_from {
        TenantFrom::Named(TenantSource::Credential) => (tenant, None),
        TenantFrom::Body(BodyToken { body_token }) => (tenant_of_token(&members, body_token)?, None),
        TenantFrom::Named(TenantSource::Login) if passwords.is_empty() => (Uuid::nil(), None),
        TenantFrom::Named(TenantSource::Login) => challenge(app, &members).await?,
    };
    let is_login = route.tenant_from == TenantFrom::Named(TenantSource::Login);
    for (field, mode, password) in passwords {
        let replacement = match (mode, &challenge) {
            (DeriveMode::New, _) => raw(&app.deriver.new_password(password, deadline).await.ok_or_else(busy)?),
            (DeriveMode::Check, Some(challenge)) => raw(&app.deriver.proof(password, challenge, deadline).await.ok_or_else(busy)?),
            // No tenant or e-mail to ask a challenge for: the database refuses the body before it looks at this key.
            (DeriveMode::Check, None) if is_login => raw(&PasswordProof { key: Bytes([0; 32]) }),
            // The protocol has a challenge for logins alone; a made-up key would read as a wrong password.
            (DeriveMode::Check, None) => Err(Refusal::internal("an operation other than login asks to check a password")),
        }?;
        members.insert(field, replacement);
    }
    Ok(Payload { tenant, body: Some(raw(&members)?) })
}

/// The passwords of the body, checked for length. A missing one is left for the database to refuse.
fn take_passwords(route: &Route, members: &Members) -> Result<Vec<(String, DeriveMode, Prepared)>, Refusal> {
    let mut passwords = Vec::new();
    for derive in &route.derive {
        let Some(member) = members.get(&derive.field) else { continue };
        let password =
            auth::prepare(member, derive.mode == DeriveMode::New).map_err(|PasswordRule(rule)| Refusal::invalid(&derive.field, rule))?;
        passwords.push((derive.field.clone(), derive.mode, password));
    }
    Ok(passwords)
}

/// The first statement of a login. An unknown tenant or user gets a made-up challenge, so that everything after costs the same.
async fn challenge(app: &App, members: &Members) -> Result<(Uuid, Option<Challenge>), Refusal> {
    let text = |name: &str| text(members, name).filter(|text| text.chars().count() <= MAX_LOGIN_CHARACTERS);
    let (Some(slug), Some(email)) = (text("tenant"), text("email")) else { return Ok((Uuid::nil(), None)) };
    let challenge = app.database.login_challenge(&slug, &email).await?;
    Ok((challenge.tenant_id, Some(challenge)))
}

/// The tenant that an opaque token in the body names.
fn tenant_of_token(members: &Members, field: &str) -> Result<Uuid, Refusal> {
    match text(members, field) {
        None => Ok(Uuid::nil()),
        Some(token) => OpaqueToken::parse(&token).map(|token| token.tenant).ok_or_else(|| Refusal::new(Code::InvalidToken)),
    }
}

fn text(members: &Members, name: &str) -> Option<String> {
    serde_json::from_str(members.get(name)?.get()).ok()
}

fn raw(value: &impl Serialize) -> Result<Box<RawValue>, Refusal> {
    serde_json::value::to_raw_value(value).map_err(|_| Refusal::internal("cannot print JSON"))
}

fn busy() -> Refusal {
    Refusal::unavailable("no turn for a password derivation in time")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use nebula_core::opaque_token::{Kind, Secret};

    fn members(json: &str) -> Members {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn a_token_in_the_body_names_its_tenant() {
        let tenant = Uuid::now_v7();
        let token = OpaqueToken { kind: Kind::Refresh, tenant, id: Uuid::now_v7(), secret: Secret([7; 32]) }.reveal();
        assert_eq!(tenant_of_token(&members(&format!(r#"{{"t":"{token}"}}"#)), "t").unwrap(), tenant);
        assert_eq!(tenant_of_token(&members("{}"), "t").unwrap(), Uuid::nil());
        assert_eq!(tenant_of_token(&members(r#"{"t":1}"#), "t").unwrap(), Uuid::nil());
        assert_eq!(tenant_of_token(&members(r#"{"t":"nbr_junk"}"#), "t").unwrap_err().code, Code::InvalidToken);
    }
}
