//! The opaque secrets that Nebula hands out: API keys, refresh tokens, invites.
//!
//! `<prefix>_` + lower-case hex of tenant id (16 bytes), row id (16), secret (32), CRC-32 of everything before it (4).
//! One fixed-width alphabet means one spelling per token: a scanner finds it by `nb[kri]_[0-9a-f]{136}` and checks the checksum
//! without asking anybody. Each names its tenant, so that a distributed database finds the right shard (design, section 5).

use crate::hex;
use sha2::{Digest, Sha256};
use std::fmt;
use subtle::ConstantTimeEq;
use uuid::Uuid;

/// What an opaque token is for; a token of one kind is never taken for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    ApiKey,
    Refresh,
    Invite,
}

impl Kind {
    const ALL: [Kind; 3] = [Kind::ApiKey, Kind::Refresh, Kind::Invite];

    /// The visible prefix.
    #[must_use]
    pub fn prefix(self) -> &'static str {
        match self {
            Kind::ApiKey => "nbk_",
            Kind::Refresh => "nbr_",
            Kind::Invite => "nbi_",
        }
    }
}

/// 256 random bits. `Debug` shows nothing.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Secret(pub [u8; 32]);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl Secret {
    /// SHA-256 of the secret: the only form that is stored.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        Sha256::digest(self.0).into()
    }

    /// Compares in constant time with a stored digest.
    #[must_use]
    pub fn matches(&self, digest: &[u8]) -> bool {
        self.digest().as_slice().ct_eq(digest).into()
    }
}

/// A parsed opaque token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpaqueToken {
    pub kind: Kind,
    pub tenant: Uuid,
    pub id: Uuid,
    pub secret: Secret,
}

const PAYLOAD: usize = 16 + 16 + 32;
/// The length of every token in characters.
pub const LENGTH: usize = 4 + 2 * (PAYLOAD + 4);

impl OpaqueToken {
    /// The token as its holder sees it, once.
    #[must_use]
    pub fn reveal(&self) -> String {
        let mut text = String::with_capacity(LENGTH);
        text.push_str(self.kind.prefix());
        for part in [self.tenant.as_bytes().as_slice(), self.id.as_bytes(), &self.secret.0] {
            text.push_str(&hex::encode(part));
        }
        let checksum = crc32fast::hash(text.as_bytes());
        text.push_str(&hex::encode(&checksum.to_be_bytes()));
        text
    }

    /// Parses; `None` for anything that Nebula did not write.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() != LENGTH {
            return None;
        }
        let kind = Kind::ALL.into_iter().find(|kind| text.starts_with(kind.prefix()))?;
        let (body, checksum) = text.split_at_checked(LENGTH - 8)?;
        let checksum: [u8; 4] = hex::decode(checksum)?;
        if crc32fast::hash(body.as_bytes()).to_be_bytes() != checksum {
            return None;
        }
        Some(Self {
            kind,
            tenant: Uuid::from_bytes(hex::decode(body.get(4..36)?)?),
            id: Uuid::from_bytes(hex::decode(body.get(36..68)?)?),
            secret: Secret(hex::decode(body.get(68..132)?)?),
        })
    }

    /// Parses a token of one kind.
    #[must_use]
    pub fn parse_as(kind: Kind, text: &str) -> Option<Self> {
        Self::parse(text).filter(|token| token.kind == kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(kind: Kind) -> OpaqueToken {
        OpaqueToken { kind, tenant: Uuid::from_u128(1), id: Uuid::from_u128(2), secret: Secret([7; 32]) }
    }

    #[test]
    fn a_token_reads_back_as_itself() {
        for kind in Kind::ALL {
            let token = sample(kind);
            assert_eq!(token.reveal().len(), LENGTH);
            assert_eq!(OpaqueToken::parse(&token.reveal()), Some(token));
        }
    }

    #[test]
    fn every_single_changed_character_is_noticed() {
        let text = sample(Kind::ApiKey).reveal();
        for index in 0..text.len() {
            for replacement in ["0", "f", "F", "g", "+", "_", " "] {
                let mut changed = text.clone();
                changed.replace_range(index..=index, replacement);
                assert!(changed == text || OpaqueToken::parse(&changed).is_none(), "{index} {replacement}");
            }
        }
    }

    #[test]
    fn truncated_padded_and_foreign_kinds_are_refused() {
        let text = sample(Kind::Refresh).reveal();
        assert_eq!(OpaqueToken::parse(&text[..text.len() - 1]), None);
        assert_eq!(OpaqueToken::parse(&format!("{text} ")), None);
        assert_eq!(OpaqueToken::parse_as(Kind::ApiKey, &text), None);
        assert_eq!(OpaqueToken::parse(&"é".repeat(LENGTH / 2)), None);
    }

    #[test]
    fn debug_shows_no_secret() {
        assert!(!format!("{:?}", sample(Kind::ApiKey)).contains('7'));
    }
}
