//! The public keys that the database registered, and verification with them.

use super::verified_tokens::Verified;
use crate::db::{EdgeState, KeyStatus};
use base64::{Engine, engine::general_purpose::STANDARD};
use nebula_core::access_token::{self, Unverified};
use std::collections::HashMap;

/// Seconds by which the edge's clock may be behind the database's, which writes `iat` (docs/edge-protocol.md).
const SKEW_SECONDS: i64 = 5;

/// Why a token was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    Invalid,
    Expired,
    /// Signed with a key that is not in this ring: it may be newer than the ring.
    UnknownKey,
}

impl From<access_token::Refused> for Refused {
    fn from(refused: access_token::Refused) -> Self {
        match refused {
            access_token::Refused::Invalid => Self::Invalid,
            access_token::Refused::Expired => Self::Expired,
        }
    }
}

struct PublicKey {
    der: Vec<u8>,
    status: KeyStatus,
}

/// The registered public keys, with the issuer and audience that their tokens must name.
pub struct KeyRing {
    issuer: String,
    audience: String,
    keys: HashMap<String, PublicKey>,
}

impl KeyRing {
    /// Takes the keys out of the database's document; one that can't be read is left out and verifies nothing.
    #[must_use]
    pub fn new(state: &EdgeState) -> Self {
        let keys = state.keys.iter().filter(|key| key.alg == "RS256").filter_map(|key| {
            let der = STANDARD.decode(&key.public_key).ok()?;
            Some((key.kid.clone(), PublicKey { der, status: key.status }))
        });
        Self { issuer: state.issuer.clone(), audience: state.audience.clone(), keys: keys.collect() }
    }

    /// Verifies an access token at `now` (seconds since the epoch); the tenant of its claims, and its end.
    pub fn verify(&self, token: &str, now: i64) -> Result<Verified, Refused> {
        let token = Unverified::read(token)?;
        if token.claimed_issuer() != self.issuer {
            return Err(Refused::Invalid);
        }
        let key = self.keys.get(token.kid()).ok_or(Refused::UnknownKey)?;
        let claims = token.verify(&key.der, &self.issuer, &self.audience, now, SKEW_SECONDS)?;
        Ok(Verified { tenant: claims.tenant_id, expires_at: claims.exp })
    }

    /// Whether tokens may still be signed with this key.
    #[must_use]
    pub fn may_sign(&self, kid: &str) -> bool {
        self.keys.get(kid).is_some_and(|key| key.status == KeyStatus::Active)
    }

    /// Every key, by kid, for the JWKS document.
    pub fn public_keys(&self) -> impl Iterator<Item = (&str, &[u8])> {
        let mut keys: Vec<_> = self.keys.iter().map(|(kid, key)| (kid.as_str(), key.der.as_slice())).collect();
        keys.sort_unstable_by_key(|(kid, _)| *kid);
        keys.into_iter()
    }
}
