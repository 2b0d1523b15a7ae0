//! The members of a body that the edge must understand: what names the tenant, passwords, and what only the edge can read.

use super::{app::App, handle_request::HandleRequest, live_state::Snapshot, passwords, refusal::Refusal, seals};
use crate::db::{BodyToken, Challenge, LoginChallenge, Route, TenantFrom, TenantSource};
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
    let known = ask(app, route, tenant, &members, request, !passwords.is_empty()).await?;
    passwords::replace(app, route, passwords, &known, request.idempotency_key, &mut members, deadline).await?;
    seals::replace(state.sealing.as_ref(), route, known.tenant, request, &mut members).await?;
    if request.body.is_some() || !members.is_empty() {
        request.body = Some(raw(&members)?);
    }
    Ok(known.tenant)
}

/// What the database, or a token, says before anything is derived.
pub struct Known {
    tenant: Uuid,
    pub challenge: Option<Challenge>,
    /// What the salt of a new password is made of, where the request may be repeated.
    pub seed: Option<Vec<u8>>,
}

async fn ask(
    app: &App,
    route: &Route,
    tenant: Uuid,
    members: &Members,
    request: &HandleRequest<'_>,
    derives: bool,
) -> Result<Known, Refusal> {
    match (&route.tenant_from, request.credential) {
        (TenantFrom::Body(BodyToken { body_token }), _) => {
            let token = text(members, body_token);
            let tenant = tenant_of_token(token.as_deref())?;
            if let (Some(token), true) = (&token, derives) {
                accept(app.database.password_challenge(tenant, token, &request.ip).await?)?;
            }
            Ok(Known { tenant, challenge: None, seed: token.map(String::into_bytes) })
        }
        (TenantFrom::Named(TenantSource::Login), _) => match login_challenge(app, members, &request.ip).await? {
            Some(challenge) => Ok(Known::challenged(challenge.tenant_id, challenge)),
            None => Ok(Known { tenant: Uuid::nil(), challenge: None, seed: None }),
        },
        (TenantFrom::Named(TenantSource::Credential), Some(credential)) if derives => {
            Ok(Known::challenged(tenant, accept(app.database.password_challenge(tenant, credential, &request.ip).await?)?))
        }
        (TenantFrom::Named(TenantSource::Credential), _) => Ok(Known { tenant, challenge: None, seed: None }),
    }
}

impl Known {
    fn challenged(tenant: Uuid, challenge: Challenge) -> Self {
        let seed = challenge.salt_seed.as_ref().map(|seed| seed.0.to_vec());
        Self { tenant, challenge: Some(challenge), seed }
    }
}

/// The first statement of a login. An unknown tenant or user gets a made-up challenge, so that everything after costs the same; who has used
/// up the attempts is refused before anything is derived. `None` where the body doesn't say who.
async fn login_challenge(app: &App, members: &Members, ip: &str) -> Result<Option<Challenge>, Refusal> {
    let text = |name: &str| text(members, name).filter(|text| text.chars().count() <= MAX_LOGIN_CHARACTERS);
    let (Some(slug), Some(email)) = (text("tenant"), text("email")) else { return Ok(None) };
    accept(app.database.login_challenge(&slug, &email, ip).await?).map(Some)
}

fn accept(answer: LoginChallenge) -> Result<Challenge, Refusal> {
    match answer {
        LoginChallenge::Challenge(challenge) => Ok(challenge),
        LoginChallenge::Refused { refused } => Err(refused.into()),
    }
}

/// The tenant that an opaque token in the body names.
fn tenant_of_token(token: Option<&str>) -> Result<Uuid, Refusal> {
    match token {
        None => Ok(Uuid::nil()),
        Some(token) => OpaqueToken::parse(token).map(|token| token.tenant).ok_or_else(|| Refusal::new(Code::InvalidToken)),
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
        let named = |body: &str| tenant_of_token(text(&members(body), "t").as_deref());
        assert_eq!(named(&format!(r#"{{"t":"{token}"}}"#)).unwrap(), tenant);
        assert_eq!(named("{}").unwrap(), Uuid::nil());
        assert_eq!(named(r#"{"t":1}"#).unwrap(), Uuid::nil());
        assert_eq!(named(r#"{"t":"nbr_junk"}"#).unwrap_err().code, Code::InvalidToken);
    }
}
