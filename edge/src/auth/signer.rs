//! Signs the claims that the database made.

use super::{KeyRing, PrivateKey};
use aws_lc_rs::{rand::SystemRandom, rsa::KeyPair, signature::RSA_PKCS1_SHA256};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use nebula_core::access_token::signing_input;
use serde_json::Value;
use std::sync::Arc;

/// The key that signs now.
pub struct Signer {
    kid: String,
    pair: Arc<KeyPair>,
}

impl Signer {
    /// The newest private key of this machine that the database lets sign; `local` comes newest first.
    #[must_use]
    pub fn choose(local: &[PrivateKey], ring: &KeyRing) -> Option<Self> {
        let key = local.iter().find(|key| ring.may_sign(&key.kid))?;
        Some(Self { kid: key.kid.clone(), pair: Arc::clone(&key.pair) })
    }

    /// The complete token; `None` if the library refuses, which a loaded key gives no reason for.
    #[must_use]
    pub fn sign(&self, claims: &Value) -> Option<String> {
        let input = signing_input(&self.kid, claims);
        let mut signature = vec![0; self.pair.public_modulus_len()];
        self.pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), input.as_bytes(), &mut signature).ok()?;
        Some(format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::auth::Verified;
    use crate::{
        auth::{Refused, generate},
        db::EdgeState,
    };
    use base64::engine::general_purpose::STANDARD;
    use serde_json::json;
    use uuid::Uuid;

    const NOW: i64 = 1_800_000_000;

    fn ring(key: &PrivateKey, status: &str) -> KeyRing {
        let state: EdgeState = serde_json::from_value(json!({
            "schemaVersion": 1, "issuer": "nebula", "audience": "nebula", "routes": [],
            "keys": [{ "kid": key.kid, "alg": "RS256", "publicKey": STANDARD.encode(key.public_key().unwrap()), "status": status }],
        }))
        .unwrap();
        KeyRing::new(&state)
    }

    #[test]
    fn what_is_signed_is_verified_and_a_retiring_key_no_longer_signs() {
        let folder = std::env::temp_dir().join(format!("nebula-signer-{}", Uuid::now_v7()));
        let key = generate(&folder).unwrap();
        std::fs::remove_dir_all(folder).unwrap();
        let tenant = Uuid::now_v7();
        let claims = json!({
            "iss": "nebula", "aud": "nebula", "sub": Uuid::now_v7(), "tenantId": tenant, "role": "VIEWER", "groups": [], "type": "user",
            "iat": NOW, "exp": NOW + 900, "jti": Uuid::now_v7(), "sid": Uuid::now_v7(),
        });
        let active = ring(&key, "active");
        let token = Signer::choose(std::slice::from_ref(&key), &active).unwrap().sign(&claims).unwrap();
        assert_eq!(active.verify(&token, NOW), Ok(Verified { tenant, expires_at: NOW + 900 }));
        assert_eq!(active.verify(&token, NOW - 5), Ok(Verified { tenant, expires_at: NOW + 900 }));
        assert_eq!(active.verify(&token, NOW - 6), Err(Refused::Invalid));
        assert_eq!(active.verify(&token, NOW + 900), Err(Refused::Expired));
        let retiring = ring(&key, "retiring");
        assert_eq!(retiring.verify(&token, NOW), Ok(Verified { tenant, expires_at: NOW + 900 }));
        assert!(Signer::choose(std::slice::from_ref(&key), &retiring).is_none());
    }
}
