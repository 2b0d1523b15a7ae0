//! Tokens that this edge has verified, by digest: checking a signature costs more than everything else that the edge does for a request.
//!
//! They last as long as what verified them: a state of the database with other keys or issuers begins with none. Whether a token's person may do anything is the
//! database's to say, each time, and it verifies the token for itself.

use crate::db::{EdgeState, ForeignIssuer, SigningKey};
use aws_lc_rs::digest::{SHA256, digest};
use quick_cache::sync::Cache;
use std::sync::Arc;
use uuid::Uuid;

/// So many are kept; beyond that the least used go.
const CAPACITY: usize = 16_384;

/// All of a state of the database that decides which tokens are good.
#[derive(PartialEq)]
struct Verifiers {
    issuer: String,
    audience: String,
    keys: Vec<SigningKey>,
    issuers: Vec<ForeignIssuer>,
}

/// Tenants and ends of tokens, by the tokens' SHA-256: a dump of memory shows none.
pub struct VerifiedTokens {
    by: Verifiers,
    tokens: Cache<[u8; 32], Verified>,
}

/// What a token that was verified says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verified {
    pub tenant: Uuid,
    /// The first second (since the Unix epoch) in which it counts no more.
    pub expires_at: i64,
}

impl VerifiedTokens {
    /// For a state of the database: those of the state before it, where the same verified them, or none yet.
    #[must_use]
    pub fn of(state: &EdgeState, before: Option<&Arc<Self>>) -> Arc<Self> {
        let by = Verifiers {
            issuer: state.issuer.clone(),
            audience: state.audience.clone(),
            keys: state.keys.clone(),
            issuers: state.issuers.clone(),
        };
        let kept = before.filter(|before| before.by == by).map(Arc::clone);
        kept.unwrap_or_else(|| Arc::new(Self { by, tokens: Cache::new(CAPACITY) }))
    }

    /// What is known of a token.
    #[must_use]
    pub fn get(&self, token: &str) -> Option<Verified> {
        self.tokens.get(&key(token)?)
    }

    /// How many are known.
    #[must_use]
    pub fn len(&self) -> usize {
        self.tokens.len()
    }

    /// Remembers a token that was verified.
    pub fn insert(&self, token: &str, verified: Verified) {
        if let Some(key) = key(token) {
            self.tokens.insert(key, verified);
        }
    }
}

fn key(token: &str) -> Option<[u8; 32]> {
    digest(&SHA256, token.as_bytes()).as_ref().try_into().ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    const VERIFIED: Verified = Verified { tenant: Uuid::from_u128(1), expires_at: 7 };

    /// One with a key and an issuer, as changed.
    fn state(changes: &Value) -> EdgeState {
        let mut state = json!({
            "issuer": "nebula", "audience": "nebula", "routes": [],
            "keys": [{ "kid": "k", "alg": "RS256", "publicKey": "AA==", "status": "active" }],
            "issuers": [{
                "issuer": "other", "audience": "nebula", "algorithms": ["ES256"], "tenantClaim": "t", "maxLifetimeSeconds": 60,
                "keys": [{ "kid": "o", "alg": "ES256", "publicKey": "AA==" }],
            }],
        });
        state.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        serde_json::from_value(state).unwrap()
    }

    #[test]
    fn another_token_is_not_known_and_memory_is_bounded() {
        let tokens = VerifiedTokens::of(&state(&json!({})), None);
        tokens.insert("a.b.c", VERIFIED);
        assert_eq!(tokens.get("a.b.c"), Some(VERIFIED));
        assert_eq!(tokens.get("a.b.d"), None);
        for number in 0..2 * CAPACITY {
            tokens.insert(&number.to_string(), VERIFIED);
        }
        assert!(tokens.tokens.len() <= CAPACITY);
    }

    #[test]
    fn tokens_stay_known_as_long_as_the_same_verifies_them() {
        let tokens = VerifiedTokens::of(&state(&json!({})), None);
        tokens.insert("a.b.c", VERIFIED);
        let then = VerifiedTokens::of(&state(&json!({ "schemaVersion": 28, "rateLimitWindowSeconds": 5 })), Some(&tokens));
        assert_eq!(then.get("a.b.c"), Some(VERIFIED));
        let changes = [
            json!({ "issuer": "other" }),
            json!({ "audience": "other" }),
            json!({ "keys": [] }),
            json!({ "keys": [{ "kid": "k", "alg": "RS256", "publicKey": "AQ==", "status": "active" }] }),
            json!({ "issuers": [] }),
            json!({ "issuers": [{ "issuer": "other", "audience": "nebula", "algorithms": ["ES256"], "tenantClaim": "t", "maxLifetimeSeconds": 60, "keys": [] }] }),
        ];
        for change in changes {
            let changed = VerifiedTokens::of(&state(&change), Some(&then));
            assert_eq!(changed.get("a.b.c"), None, "{change}");
            // Nor once it is as before: what was taken away in between verifies nothing again.
            assert_eq!(VerifiedTokens::of(&state(&json!({})), Some(&changed)).get("a.b.c"), None, "{change}");
        }
    }
}
