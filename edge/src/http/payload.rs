//! The members of a body that the edge must understand: what names the tenant, passwords, and what only the edge can read.

use super::{app::App, handle_request::HandleRequest, live_state::Snapshot, passwords, refusal::Refusal, seals};
use crate::db::{BodyToken, Challenge, Route, TenantFrom, TenantSource};
use nebula_core::{error::Code, opaque_token::OpaqueToken};
use serde::Serialize;
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use tokio::time::Instant;
use uuid::Uuid;

/// Longer names of tenants and people are nobody's; the database refuses them without being asked for a challenge.
const MAX_LOGIN_CHARACTERS: usize = 300;

/// A body's members, each as the text that the client sent.
pub type Members = BTreeMap<String, Box<RawValue>>;

/// Replaces what the database must not see in the request's body, and finds the tenant, the first argument of `handle`. Where it can't be
/// told it is nil, and the database says what is missing. `tenant` is the credential's.
pub async fn prepare(
    app: &App,
    state: &Snapshot,
    route: &Route,
    tenant: Uuid,
    request: &mut HandleRequest<'_>,
    deadline: Instant,
) -> Result<Uuid, Refusal> {
    if route.derive.is_empty() && route.seal.is_empty() && route.tenant_from == TenantFrom::Named(TenantSource::Credential) {
        return Ok(tenant);
    }
    let mut members: Members = match &request.body {
        Some(body) => serde_json::from_str(body.get()).map_err(|_| Refusal::invalid("body", "type"))?,
        None => Members::new(),
    };
    let passwords = passwords::take(route, &members)?;
    let (tenant, challenge) = match &route.tenant_from {
        TenantFrom::Named(TenantSource::Credential) => (tenant, None),
        TenantFrom::Body(BodyToken { body_token }) => (tenant_of_token(&members, body_token)?, None),
        TenantFrom::Named(TenantSource::Login) if passwords.is_empty() => (Uuid::nil(), None),
        TenantFrom::Named(TenantSource::Login) => challenge(app, &members).await?,
    };
    passwords::replace(app, route, passwords, challenge.as_ref(), &mut members, deadline).await?;
    seals::replace(state.sealing.as_ref(), route, tenant, request, &mut members)?;
    if request.body.is_some() || !members.is_empty() {
        request.body = Some(raw(&members)?);
    }
    Ok(tenant)
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

/// A member's JSON text.
pub fn raw(value: &impl Serialize) -> Result<Box<RawValue>, Refusal> {
    serde_json::value::to_raw_value(value).map_err(|_| Refusal::internal("cannot print JSON"))
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
