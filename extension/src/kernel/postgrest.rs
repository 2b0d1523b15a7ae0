//! Whom PostgREST speaks for. It sets the token's claims and the request's headers in each transaction; a DBA says which of the two is believed
//! (decision 0022). Only its own login's sessions come here.

use super::{
    authenticate::{self, OwnToken, Session, Token},
    context::Actor,
    error::Result,
    foreign,
    installation::{self, Trust},
    rights,
    spi::{self, Arg},
};
use nebula_core::{
    error::Code,
    issuer::Identity,
    opaque_token::{Kind, OpaqueToken},
};
use serde_json::{Map, Value};
use std::ffi::CStr;
use uuid::Uuid;

/// The login that PostgREST uses. It runs no SQL of its callers.
pub const LOGIN: &str = "authenticator";
/// What PostgREST says of the token that it has verified, with the database role in `role`. Empty and missing are one (pitfalls).
pub const CLAIMS: &CStr = c"request.jwt.claims";
/// The request's headers, named in lower case.
pub const HEADERS: &CStr = c"request.headers";

/// Whom a transaction of PostgREST speaks for.
#[derive(Clone, Copy)]
pub struct Spoken {
    pub tenant: Uuid,
    pub actor: Actor,
    pub session: Option<Uuid>,
    /// The second in which the credential counts no more, where that is ours to say.
    pub expires_at: Option<i64>,
}

impl Spoken {
    fn for_user(tenant: Uuid, user: Uuid) -> Self {
        Self { tenant, actor: Actor::User(user), session: None, expires_at: None }
    }
}

/// Who is spoken for, by what is believed now. Needs a role that sees every tenant.
pub fn spoken() -> Result<Spoken> {
    match installation::current().postgrest_trust {
        Trust::Claims => claims().and_then(|claims| of_claims(&claims)).ok_or(Code::InvalidToken.into()),
        Trust::Token => of_headers(),
    }
}

/// Whom another issuer's token is about, who may not be linked with anybody yet.
#[must_use]
pub fn stranger() -> Option<Identity> {
    let claims = claims()?;
    match installation::current().postgrest_trust {
        Trust::Claims => foreign::claimed(&claims),
        Trust::Token => match agreed(&claims).ok()? {
            Token::Foreign(identity, _) => Some((*identity).clone()),
            Token::Own(_) => None,
        },
    }
}

/// Whether the request came with a credential of a person or service. PostgREST's role for everybody, and Supabase's keys of the roles `anon` and
/// `service_role`, name nobody.
#[must_use]
pub fn presents_somebody() -> bool {
    claims().is_some_and(|claims| claims.get("sub").is_some_and(|subject| !subject.is_null()))
        || (installation::current().postgrest_trust == Trust::Token && key().is_some())
}

/// A header of the request.
#[must_use]
pub fn header(name: &str) -> Option<String> {
    let headers = serde_json::from_str::<Value>(&spi::setting(HEADERS)?).ok()?;
    headers.get(name)?.as_str().map(str::to_owned)
}

fn claims() -> Option<Map<String, Value>> {
    serde_json::from_str(&spi::setting(CLAIMS)?).ok()
}

/// An API key. It stands in a header of its own: PostgREST takes every bearer for a JWT.
fn key() -> Option<String> {
    header("x-api-key").filter(|key| key.starts_with(Kind::ApiKey.prefix()))
}

fn of_claims(claims: &Map<String, Value>) -> Option<Spoken> {
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    if text("iss")? == installation::current().issuer {
        let (tenant, subject): (Uuid, &str) = (text("tenantId")?.parse().ok()?, text("sub")?);
        let (user, session): (Uuid, Uuid) = (subject.parse().ok()?, text("sid")?.parse().ok()?);
        let is_alive = spi::first(
            "select true from nebula.session where tenant_id = $1 and id = $2 and user_id = $3 and revoked_at is null",
            &[Arg::Uuid(tenant), Arg::Uuid(session), Arg::Uuid(user)],
            |row| row.boolean(1),
        );
        return is_alive.map(|_| Spoken { session: Some(session), ..Spoken::for_user(tenant, user) });
    }
    let identity = foreign::claimed(claims)?;
    foreign::linked(&identity).map(|user| Spoken::for_user(identity.tenant, user))
}

/// By the credential itself, checked as `nebula.handle` checks it.
fn of_headers() -> Result<Spoken> {
    let claims = claims().unwrap_or_default();
    if let Some(key) = key() {
        // One credential a request: a person's claims beside it would say somebody else.
        return if claims.get("sub").is_none_or(Value::is_null) { of_key(&key) } else { Err(Code::InvalidToken.into()) };
    }
    let token = agreed(&claims)?;
    let expires_at = Some(token.expires_at());
    match token {
        Token::Own(own) => {
            let session = authenticate::session_of(&own).ok_or(Code::InvalidToken)?;
            let standing = || authenticate::check_standing(&rights::of(own.tenant, Actor::User(own.user)));
            if session == Session::EndedBySuspension && standing().is_ok() {
                return Err(Code::InvalidToken.into());
            }
            Ok(Spoken { session: Some(own.session), expires_at, ..Spoken::for_user(own.tenant, own.user) })
        }
        Token::Foreign(identity, _) => {
            let user = foreign::linked(&identity).ok_or(Code::InvalidToken)?;
            Ok(Spoken { expires_at, ..Spoken::for_user(identity.tenant, user) })
        }
    }
}

fn of_key(key: &str) -> Result<Spoken> {
    let key = OpaqueToken::parse_as(Kind::ApiKey, key).ok_or(Code::InvalidToken)?;
    let actor = Actor::Service(key.id);
    authenticate::check_secret(&rights::of(key.tenant, actor), &key)?;
    Ok(Spoken { tenant: key.tenant, actor, session: None, expires_at: None })
}

/// The bearer's token, verified, where it says the same as the claims: one without the other, or two that differ, were not set by PostgREST.
fn agreed(claims: &Map<String, Value>) -> Result<Token> {
    let header = header("authorization").ok_or(Code::Unauthorized)?;
    // RFC 9110, section 11.1: the scheme ignores case.
    let (scheme, token) = header.split_once(' ').ok_or(Code::InvalidToken)?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(Code::InvalidToken.into());
    }
    let token = authenticate::check_token(token.trim_start_matches(' '))?;
    let agrees = match &token {
        Token::Own(own) => is_of(claims, own),
        Token::Foreign(identity, _) => foreign::claimed(claims).is_some_and(|claimed| claimed == **identity),
    };
    if agrees { Ok(token) } else { Err(Code::InvalidToken.into()) }
}

fn is_of(claims: &Map<String, Value>, own: &OwnToken) -> bool {
    let is = |name: &str, value: &dyn ToString| claims.get(name).and_then(Value::as_str) == Some(value.to_string().as_str());
    is("iss", &installation::current().issuer)
        && is("sub", &own.user)
        && is("tenantId", &own.tenant)
        && is("sid", &own.session)
        && is("jti", &own.id)
}
