//! The other issuers that the database has registered, and verification of their tokens.

use super::verified_tokens::Verified;
use crate::db::{EdgeState, ForeignIssuer};
use base64::{Engine, engine::general_purpose::STANDARD};
use nebula_core::{
    foreign_token::{self, Keys, Unverified},
    issuer::{Algorithm, ClaimPath, EmailRule, Profile, TenantRule},
};
use std::collections::HashMap;

/// Why a token was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForeignRefused {
    Invalid,
    Expired,
    /// Of an issuer that is not in this ring: it may be newer than the ring.
    UnknownIssuer,
    /// Signed with a key that is not in this ring.
    UnknownKey,
}

impl From<foreign_token::Refused> for ForeignRefused {
    fn from(refused: foreign_token::Refused) -> Self {
        match refused {
            foreign_token::Refused::Invalid => Self::Invalid,
            foreign_token::Refused::Expired => Self::Expired,
            foreign_token::Refused::UnknownKey => Self::UnknownKey,
        }
    }
}

/// The active issuers by name. Empty in most installations.
#[derive(Default)]
pub struct ForeignRing {
    own_issuer: String,
    issuers: HashMap<String, (Profile, Keys)>,
}

impl ForeignRing {
    /// Takes the issuers out of the database's document.
    #[must_use]
    pub fn new(state: &EdgeState) -> Self {
        let issuers = state.issuers.iter().filter_map(entry);
        Self { own_issuer: state.issuer.clone(), issuers: issuers.collect() }
    }

    /// Verifies a token at `now` (seconds since the epoch); the tenant that it names, and its end. What a shared secret signed can't be verified here: the
    /// database, which has the secret, does.
    pub fn verify(&self, token: &Unverified<'_>, now: i64) -> Result<Verified, ForeignRefused> {
        if token.issuer() == self.own_issuer {
            return Err(ForeignRefused::Invalid);
        }
        let (profile, keys) = self.issuers.get(token.issuer()).ok_or(ForeignRefused::UnknownIssuer)?;
        let verified = token.verify_without_secret(profile, keys, now)?;
        Ok(Verified { tenant: verified.identity.tenant, expires_at: verified.expires_at })
    }
}

/// One that can't be read is left out: its tokens are refused.
fn entry(issuer: &ForeignIssuer) -> Option<(String, (Profile, Keys))> {
    let tenant = match (&issuer.tenant_claim, issuer.tenant_id) {
        (Some(claim), None) => TenantRule::Claim(ClaimPath::try_from(claim.clone()).ok()?),
        (None, Some(tenant)) => TenantRule::Always(tenant),
        _ => return None,
    };
    let profile = Profile {
        issuer: issuer.issuer.clone(),
        audience: issuer.audience.clone(),
        algorithms: issuer.algorithms.iter().filter_map(|name| Algorithm::named(name)).collect(),
        tenant,
        // Whose address it is, is the database's to ask.
        email: EmailRule::Never,
        max_lifetime_seconds: issuer.max_lifetime_seconds,
    };
    let mut keys = Keys::default();
    for key in &issuer.keys {
        if let (Some(algorithm), Ok(der)) = (Algorithm::named(&key.alg), STANDARD.decode(&key.public_key)) {
            keys.add(key.kid.clone(), algorithm, der);
        }
    }
    Some((profile.issuer.clone(), (profile, keys)))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use serde_json::{Value, json};
    use uuid::Uuid;

    const NOW: i64 = 1_800_000_000;

    fn ring() -> ForeignRing {
        let issuer = |name: &str, more: Value| {
            let mut issuer = json!({
                "issuer": name, "audience": "nebula", "algorithms": ["ES256", "HS256"], "maxLifetimeSeconds": 3600, "keys": [], "later": true,
            });
            issuer.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            issuer
        };
        let state: EdgeState = serde_json::from_value(json!({
            "schemaVersion": 12, "issuer": "nebula", "audience": "nebula", "keys": [], "routes": [],
            "issuers": [issuer("later", json!({ "algorithms": ["ES999"], "keys": [{ "kid": "k", "alg": "ES999", "publicKey": "AA==" }], "tenantClaim": "t" })),
                        issuer("odd", json!({ "tenantClaim": "a..b" })), issuer("a", json!({ "tenantClaim": "t" })), issuer("b", json!({ "tenantId": Uuid::from_u128(2) })), issuer("c", json!({})),
                        issuer("nebula", json!({ "tenantClaim": "t" }))],
        }))
        .unwrap();
        ForeignRing::new(&state)
    }

    fn verdict(issuer: &str, alg: &str, changes: &Value) -> Result<Uuid, ForeignRefused> {
        let mut claims = json!({ "iss": issuer, "aud": "nebula", "sub": "7", "t": Uuid::from_u128(1), "exp": NOW + 60 });
        claims.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let token = format!("{}.{}.AAAA", part(json!({ "alg": alg, "kid": "k" })), part(claims));
        ring().verify(&Unverified::read(&token).unwrap(), NOW).map(|verified| verified.tenant)
    }

    #[test]
    fn the_tenant_is_the_claims_or_the_issuers() {
        assert_eq!(verdict("a", "HS256", &json!({})), Ok(Uuid::from_u128(1)));
        assert_eq!(verdict("b", "HS256", &json!({})), Ok(Uuid::from_u128(2)));
    }

    #[test]
    fn what_the_edge_can_tell_it_refuses_itself() {
        for (issuer, alg, changes, refused) in [
            ("d", "HS256", json!({}), ForeignRefused::UnknownIssuer),
            ("c", "HS256", json!({}), ForeignRefused::UnknownIssuer),
            ("odd", "HS256", json!({}), ForeignRefused::UnknownIssuer),
            ("later", "ES256", json!({}), ForeignRefused::Invalid),
            ("nebula", "HS256", json!({}), ForeignRefused::Invalid),
            ("a", "ES256", json!({}), ForeignRefused::UnknownKey),
            ("a", "RS256", json!({}), ForeignRefused::Invalid),
            ("a", "HS256", json!({ "exp": NOW }), ForeignRefused::Expired),
            ("a", "HS256", json!({ "aud": "other" }), ForeignRefused::Invalid),
            ("a", "HS256", json!({ "t": "acme" }), ForeignRefused::Invalid),
        ] {
            assert_eq!(verdict(issuer, alg, &changes), Err(refused), "{issuer} {alg} {changes}");
        }
    }
}
