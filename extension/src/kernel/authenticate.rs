//! Who is calling: the credential itself is checked here, whatever the edge has checked before. Its login believes no claim that it is told.

use super::{
    context::{self, Actor, Caller, Origin},
    error::{Refusal, Result},
    foreign, installation,
    rights::{self, PrincipalState, Rights},
    spi::{self, Arg, direct::lookup::Lookup},
};
use nebula_core::{
    access_token::{Claims, Refused, Unverified},
    error::Code,
    foreign_token,
    issuer::Identity,
    opaque_token::{Kind, OpaqueToken},
};
use sha2::{Digest, Sha256};
use std::{cell::RefCell, collections::HashMap, rc::Rc};
use uuid::Uuid;

/// A credential that was checked, with the context that it opens.
pub struct Authenticated {
    pub caller: Caller,
    pub rights: Rc<Rights>,
    /// Valid credential of a suspended or missing tenant, person or key: refused, but known well enough to be audited.
    pub standing: Result<()>,
}

/// Checks a credential for the tenant that the edge names. `Err` is for one that proves nothing.
pub fn check(tenant: Uuid, credential: &str, action: &Rc<str>, origin: &Rc<Origin>) -> Result<Authenticated> {
    let provisional =
        |actor, session| Caller { tenant, home: tenant, actor, action: Rc::clone(action), origin: Rc::clone(origin), session };
    if credential.starts_with(Kind::ApiKey.prefix()) {
        let key = OpaqueToken::parse_as(Kind::ApiKey, credential).filter(|key| key.tenant == tenant).ok_or(Code::InvalidToken)?;
        let caller = provisional(Actor::Service(key.id), None);
        let _scope = context::enter(caller.clone());
        let rights = rights::of(tenant, caller.actor);
        check_secret(&rights, &key)?;
        return Ok(Authenticated { caller, standing: check_standing(&rights), rights });
    }
    let own = match check_token(credential)? {
        Token::Own(own) => own,
        Token::Foreign(identity, _) => return check_person(tenant, &identity, provisional),
    };
    if own.tenant != tenant {
        return Err(Code::InvalidToken.into());
    }
    let caller = provisional(Actor::User(own.user), Some(own.session));
    let _scope = context::enter(caller.clone());
    let session = session_of(&own).ok_or(Code::InvalidToken)?;
    let rights = rights::of(tenant, caller.actor);
    let standing = check_standing(&rights);
    if session == Session::EndedBySuspension && standing.is_ok() {
        return Err(Code::InvalidToken.into());
    }
    Ok(Authenticated { caller, standing, rights })
}

/// A person whom another issuer speaks for, in the tenant that it names and no other.
fn check_person(tenant: Uuid, identity: &Identity, provisional: impl Fn(Actor, Option<Uuid>) -> Caller) -> Result<Authenticated> {
    if identity.tenant != tenant {
        return Err(Code::InvalidToken.into());
    }
    let user = foreign::recognise(identity, provisional(Actor::Nobody, None)).ok_or(Code::InvalidToken)?;
    let caller = provisional(Actor::User(user), None);
    let _scope = context::enter(caller.clone());
    let rights = rights::of(tenant, caller.actor);
    Ok(Authenticated { caller, standing: check_standing(&rights), rights })
}

/// The secret is the key's, or the one before it within the grace period.
pub fn check_secret(rights: &Rights, key: &OpaqueToken) -> Result<()> {
    let state = rights.principal().and_then(PrincipalState::key);
    let previous = state.and_then(|key| key.previous);
    let is_previous_valid = previous.is_some_and(|(_, until)| until > spi::now_microseconds());
    // Both are always compared, a missing one with zeros, so that the time tells nothing.
    let is_current = key.secret.matches(&state.map_or([0; 32], |key| key.hash));
    let is_previous = key.secret.matches(&previous.map_or([0; 32], |(hash, _)| hash));
    if is_current || (is_previous && is_previous_valid) { Ok(()) } else { Err(Code::InvalidToken.into()) }
}

/// Tenant and principal exist and are active, as of this statement.
pub fn check_standing(rights: &Rights) -> Result<()> {
    match (rights.tenant(), rights.principal()) {
        (None, _) => Err(Code::TenantNotFound.into()),
        (Some(tenant), _) if !tenant.is_active() => Err(Code::TenantSuspended.into()),
        (_, None) => Err(Code::InvalidToken.into()),
        (_, Some(key)) if key.is_key() && !key.is_active() => Err(Code::InvalidToken.into()),
        (_, Some(key)) if key.is_expired() => Err(Code::TokenExpired.into()),
        (_, Some(person)) if !person.is_active() => Err(Code::UserSuspended.into()),
        _ => Ok(()),
    }
}

/// Tokens whose signature this backend has checked, by digest, so that a token's RSA costs once per backend and not once per request.
/// The most that a table of two megabytes holds.
const VERIFIED_CAPACITY: usize = 14_336;

/// A token that is authentic. Whether its person may do anything is asked each time.
#[derive(Clone)]
pub enum Token {
    Own(OwnToken),
    /// Of another issuer, until this second.
    Foreign(Rc<Identity>, i64),
}

/// What counts of a token of ours. Small, and without anything to copy: each backend keeps thousands.
#[derive(Clone, Copy)]
pub struct OwnToken {
    pub tenant: Uuid,
    pub user: Uuid,
    pub session: Uuid,
    /// Its own id.
    pub id: Uuid,
    /// In seconds since the epoch.
    expires_at: i64,
}

impl From<Claims> for OwnToken {
    fn from(claims: Claims) -> Self {
        Self { tenant: claims.tenant_id, user: claims.sub, session: claims.sid, id: claims.jti, expires_at: claims.exp }
    }
}

impl Token {
    /// The first second in which it counts no more.
    #[must_use]
    pub fn expires_at(&self) -> i64 {
        match self {
            Token::Own(own) => own.expires_at,
            Token::Foreign(_, expires_at) => *expires_at,
        }
    }
}

thread_local! {
    static VERIFIED: RefCell<(u64, HashMap<[u8; 32], Token>)> = RefCell::default();
}

/// Verifies a token of ours or of a registered issuer; what it says of sessions and people is not looked up.
pub fn check_token(token: &str) -> Result<Token> {
    if token.len() > foreign_token::MAX_BYTES {
        // Before its digest is made, which of a gigabyte takes seconds that no cancel ends.
        return Err(Code::InvalidToken.into());
    }
    let now = spi::now_microseconds() / 1_000_000;
    let generation = spi::global_rights_generation();
    let digest: [u8; 32] = Sha256::digest(token.as_bytes()).into();
    let known = VERIFIED.with_borrow_mut(|(at, verified)| {
        // A key that was revoked takes what it had verified along.
        if *at != generation {
            verified.clear();
            *at = generation;
        }
        verified.get(&digest).cloned()
    });
    if let Some(known) = known {
        return if known.expires_at() > now { Ok(known) } else { Err(Code::TokenExpired.into()) };
    }
    let installation = installation::current();
    let checked = match Unverified::read(token) {
        Ok(unverified) if unverified.claimed_issuer() == installation.issuer => {
            let key = installation.keys.get(unverified.kid()).ok_or(Code::InvalidToken)?;
            Token::Own(unverified.verify(key, &installation.issuer, &installation.audience, now, 0).map_err(refusal)?.into())
        }
        // Another form, or another issuer with the same: one that names us is refused there.
        _ => {
            let verified = foreign::verify(token, &installation.issuer, now)?;
            Token::Foreign(Rc::new(verified.identity), verified.expires_at)
        }
    };
    VERIFIED.with_borrow_mut(|(_, verified)| {
        if verified.len() >= VERIFIED_CAPACITY {
            verified.clear();
        }
        verified.insert(digest, checked.clone());
    });
    Ok(checked)
}

fn refusal(refused: Refused) -> Refusal {
    match refused {
        Refused::Invalid => Code::InvalidToken.into(),
        Refused::Expired => Code::TokenExpired.into(),
    }
}

const SESSION: Lookup = Lookup {
    table: c"session",
    index: c"pk_session",
    key: &[c"tenant_id", c"id"],
    columns: &[c"user_id", c"revoked_at", c"revoked_reason"],
};
const REVOKED_TOKEN: Lookup =
    Lookup { table: c"revoked_token", index: c"uq_revoked_token_tenant_id_jti", key: &[c"tenant_id", c"jti"], columns: &[c"id"] };

/// A session that its token may still name.
#[derive(PartialEq, Eq)]
pub enum Session {
    Alive,
    /// By suspending its person, who is told so as long as they are suspended.
    EndedBySuspension,
}

/// The token's session; `None` when it has ended. Looked up each time: logout, reuse, a changed password count at the next statement.
#[must_use]
pub fn session_of(token: &OwnToken) -> Option<Session> {
    let session = SESSION.find(token.tenant, &[Arg::Uuid(token.tenant), Arg::Uuid(token.session)], |row| {
        (row.uuid(1), row.microseconds(2).is_some(), row.text(3))
    });
    let (_, has_ended, reason) = session.filter(|(user, ..)| *user == Some(token.user))?;
    let session = match (has_ended, reason.as_deref()) {
        (false, _) => Session::Alive,
        (true, Some("user")) => Session::EndedBySuspension,
        (true, _) => return None,
    };
    let is_revoked = REVOKED_TOKEN.find(token.tenant, &[Arg::Uuid(token.tenant), Arg::Uuid(token.id)], |_| ()).is_some();
    (!is_revoked).then_some(session)
}
