//! People of other issuers: their token is verified here with the issuer's registered keys, and they are matched with a person of the tenant that it
//! names, by `external_id`, then once by verified e-mail (contract, section 2).

use super::{
    audit, authenticate,
    context::{self, Actor, Caller},
    error::Result,
    issuer, rights,
    spi::{self, Arg},
    sql_caller::OWNER,
};
use nebula_core::{
    error::Code,
    foreign_token::{Refused, Unverified, Verified},
    issuer::Identity,
};
use serde_json::{Map, Value, json};
use uuid::Uuid;

/// Verifies a token of a registered, active issuer. `own_issuer` is this installation's name: no other speaks under it.
pub fn verify(token: &str, own_issuer: &str, now: i64) -> Result<Verified> {
    let issuers = issuer::current();
    let verdict = Unverified::read(token).and_then(|token| {
        let issuer = issuers.get(token.issuer()).filter(|_| token.issuer() != own_issuer).ok_or(Refused::Invalid)?;
        token.verify(&issuer.profile, &issuer.keys, now)
    });
    verdict.map_err(|refused| match refused {
        Refused::Expired => Code::TokenExpired.into(),
        Refused::Invalid | Refused::UnknownKey => Code::InvalidToken.into(),
    })
}

/// Whom claims are about that were verified by somebody else (PostgREST): by the same rules, of the same issuers.
#[must_use]
pub fn claimed(claims: &Map<String, Value>) -> Option<Identity> {
    issuer::current().get(claims.get("iss")?.as_str()?)?.profile.identify(claims)
}

/// The person who is linked with this subject. Needs the tenant's context, or a role that sees every tenant.
#[must_use]
pub fn linked(identity: &Identity) -> Option<Uuid> {
    spi::first(
        "select id from nebula.user where tenant_id = $1 and auth_provider = $2 and external_id = $3 and deleted_at is null",
        &[Arg::Uuid(identity.tenant), Arg::Text(&identity.issuer), Arg::Text(&identity.subject)],
        |row| row.uuid(1),
    )
    .flatten()
}

/// The person who is linked with this subject; at the first time, the person of the verified address, who is linked from then on and with nobody
/// else. `nobody` is the call before its caller is known.
#[must_use]
pub fn recognise(identity: &Identity, nobody: Caller) -> Option<Uuid> {
    spi::as_role(OWNER, || {
        let _scope = context::enter(nobody.clone());
        linked(identity).or_else(|| link(identity, nobody))
    })
}

fn link(identity: &Identity, nobody: Caller) -> Option<Uuid> {
    let email = identity.email.as_ref()?;
    // Two first requests at once are one link: the second finds what the first has done.
    spi::advisory_lock(&format!("{}/user.external_id/{}/{}", identity.tenant, identity.issuer, identity.subject));
    if let Some(user) = linked(identity) {
        return Some(user);
    }
    let user = spi::first(
        "select id from nebula.user where tenant_id = $1 and lower(email) collate \"C\" = lower($2) \
         and auth_provider = 'internal' and external_id is null and deleted_at is null for update",
        &[Arg::Uuid(identity.tenant), Arg::Text(email.as_str())],
        |row| row.uuid(1),
    )
    .flatten()?;
    let _scope = context::enter(Caller { actor: Actor::User(user), ..nobody });
    if authenticate::check_standing(&rights::of(identity.tenant, Actor::User(user))).is_err() {
        // Known well enough to be told so, and not let in: nothing is changed for them.
        return Some(user);
    }
    spi::run(
        "update nebula.user set auth_provider = $3, external_id = $4 where tenant_id = $1 and id = $2",
        &[Arg::Uuid(identity.tenant), Arg::Uuid(user), Arg::Text(&identity.issuer), Arg::Text(&identity.subject)],
    );
    audit::record(identity.tenant, "user", Some(user), &json!({ "outcome": "linked", "issuer": identity.issuer }));
    Some(user)
}
