//! Tokens that this edge has verified, by digest: checking a signature costs more than everything else that the edge does for a request.
//!
//! As old as the keys that verified them: a new state of the database begins with none. Whether a token's person may do anything is the database's to say, each time,
//! and it verifies the token for itself.

use aws_lc_rs::digest::{SHA256, digest};
use quick_cache::sync::Cache;
use uuid::Uuid;

/// So many are kept; beyond that the least used go.
const CAPACITY: usize = 16_384;

/// Tenants and ends of tokens, by the tokens' SHA-256: a dump of memory shows none.
pub struct VerifiedTokens {
    tokens: Cache<[u8; 32], Verified>,
}

/// What a token that was verified says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verified {
    pub tenant: Uuid,
    /// The first second (since the Unix epoch) in which it counts no more.
    pub expires_at: i64,
}

impl Default for VerifiedTokens {
    fn default() -> Self {
        Self { tokens: Cache::new(CAPACITY) }
    }
}

impl VerifiedTokens {
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
mod tests {
    use super::*;

    #[test]
    fn another_token_is_not_known_and_memory_is_bounded() {
        let tokens = VerifiedTokens::default();
        let verified = Verified { tenant: Uuid::from_u128(1), expires_at: 7 };
        tokens.insert("a.b.c", verified);
        assert_eq!(tokens.get("a.b.c"), Some(verified));
        assert_eq!(tokens.get("a.b.d"), None);
        for number in 0..2 * CAPACITY {
            tokens.insert(&number.to_string(), verified);
        }
        assert!(tokens.tokens.len() <= CAPACITY);
    }
}
