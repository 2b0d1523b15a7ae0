//! Access tokens: JWT (RFC 7519) signed RS256, read strictly.
//!
//! JWT libraries accept what we must not (`crit` ignored, `typ` ignored, duplicate claims, ten-year lifetimes, megabytes of input;
//! RFC 8725 lists the attacks), so the reading is ours and closed; the mathematics is AWS-LC's.

use crate::object::Object;
use aws_lc_rs::signature::{ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The longest token that is looked at, in bytes.
pub const MAX_BYTES: usize = 4096;
/// The longest life of a token, in seconds (contract, section 2).
pub const LIFETIME_SECONDS: i64 = 900;

/// The header of our tokens: these three members and no other.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    alg: String,
    typ: String,
    kid: String,
}

/// The claims of our tokens: these and no other, each typed. `role` and `groups` inform clients; no decision is made from them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Claims {
    pub iss: String,
    pub aud: String,
    /// The user's id.
    pub sub: Uuid,
    pub tenant_id: Uuid,
    pub role: String,
    pub groups: Vec<String>,
    /// Always `user`: services present API keys.
    #[serde(rename = "type")]
    pub actor_type: String,
    /// Seconds since the Unix epoch.
    pub iat: i64,
    pub exp: i64,
    pub jti: Uuid,
    /// The session (refresh-token family) that the token belongs to; it dies with it.
    pub sid: Uuid,
}

/// Why a token was refused. Clients see only these two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("invalid")]
    Invalid,
    #[error("expired")]
    Expired,
}

/// A token whose form was read and whose signature was not yet checked.
#[derive(Debug)]
pub struct Unverified<'a> {
    kid: String,
    signed: &'a str,
    signature: Vec<u8>,
    claims: Claims,
}

impl<'a> Unverified<'a> {
    /// Reads the form: three parts of canonical base64url, a closed header that names RS256, closed and typed claims.
    pub fn read(token: &'a str) -> Result<Self, Refused> {
        if token.len() > MAX_BYTES {
            return Err(Refused::Invalid);
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(Refused::Invalid)?;
        let (header, payload) = signed.split_once('.').ok_or(Refused::Invalid)?;
        let header: Header = decode(header)?;
        // The algorithm is ours to name, not the token's: anything but RS256 is a forgery.
        if header.alg != "RS256" || header.typ != "JWT" || header.kid.is_empty() || header.kid.len() > 128 {
            return Err(Refused::Invalid);
        }
        let claims: Claims = decode(payload)?;
        let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| Refused::Invalid)?;
        Ok(Self { kid: header.kid, signed, signature, claims })
    }

    /// The id of the key that the token says it was signed with.
    #[must_use]
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// The tenant that the token claims; worth nothing before [`Self::verify`].
    #[must_use]
    pub fn claimed_tenant(&self) -> Uuid {
        self.claims.tenant_id
    }

    /// Whose token it says it is; worth nothing before [`Self::verify`].
    #[must_use]
    pub fn claimed_issuer(&self) -> &str {
        &self.claims.iss
    }

    /// Checks the signature against `public_key` (DER, SubjectPublicKeyInfo), then issuer, audience and times.
    ///
    /// `now` is in seconds since the Unix epoch; `skew_seconds` excuses a clock that is behind the issuer's, for `iat` alone:
    /// an expired token is expired (pass 0 where the clock is the issuer's own).
    pub fn verify(self, public_key: &[u8], issuer: &str, audience: &str, now: i64, skew_seconds: i64) -> Result<Claims, Refused> {
        UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, public_key)
            .verify(self.signed.as_bytes(), &self.signature)
            .map_err(|_| Refused::Invalid)?;
        let claims = self.claims;
        let lifetime = claims.exp.checked_sub(claims.iat).ok_or(Refused::Invalid)?;
        if claims.iss != issuer
            || claims.aud != audience
            || claims.actor_type != "user"
            || claims.iat < 0
            || claims.iat > now.saturating_add(skew_seconds)
            || !(1..=LIFETIME_SECONDS).contains(&lifetime)
        {
            return Err(Refused::Invalid);
        }
        if claims.exp <= now {
            return Err(Refused::Expired);
        }
        Ok(claims)
    }
}

/// Whether these bytes are a public key that [`Unverified::verify`] can verify with: RSA of 2048 to 8192 bits, DER.
#[must_use]
pub fn is_usable_key(public_key: &[u8]) -> bool {
    is_one_der_sequence(public_key) && ParsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, public_key).is_ok()
}

/// Whether the bytes are one DER SEQUENCE with a two-byte length, as every RSA key of that size is, and nothing after it: the library's parser
/// overlooks what follows, others don't, and a key must be the same key to all.
fn is_one_der_sequence(bytes: &[u8]) -> bool {
    match bytes {
        [0x30, 0x82, high, low, content @ ..] => content.len() == usize::from(u16::from_be_bytes([*high, *low])),
        _ => false,
    }
}

/// What is signed: header and claims, encoded. The signature follows after a dot.
#[must_use]
pub fn signing_input(kid: &str, claims: &serde_json::Value) -> String {
    let header = serde_json::json!({ "alg": "RS256", "typ": "JWT", "kid": kid });
    format!("{}.{}", URL_SAFE_NO_PAD.encode(header.to_string()), URL_SAFE_NO_PAD.encode(claims.to_string()))
}

fn decode<T: for<'de> Deserialize<'de>>(part: &str) -> Result<T, Refused> {
    let bytes = URL_SAFE_NO_PAD.decode(part).map_err(|_| Refused::Invalid)?;
    serde_json::from_slice::<Object<T>>(&bytes).map(|object| object.0).map_err(|_| Refused::Invalid)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;
    use aws_lc_rs::{
        encoding::AsDer,
        rand::SystemRandom,
        rsa::KeySize,
        signature::{KeyPair, RSA_PKCS1_SHA256, RsaKeyPair},
    };
    use serde_json::{Value, json};

    const NOW: i64 = 1_800_000_000;

    fn key() -> &'static RsaKeyPair {
        static KEY: std::sync::OnceLock<RsaKeyPair> = std::sync::OnceLock::new();
        KEY.get_or_init(|| RsaKeyPair::generate(KeySize::Rsa2048).unwrap())
    }

    fn claims() -> Value {
        json!({
            "iss": "nebula", "aud": "nebula", "sub": Uuid::from_u128(1), "tenantId": Uuid::from_u128(2), "role": "ADM_CLIENTE",
            "groups": ["ADM_CLIENTE"], "type": "user", "iat": NOW - 10, "exp": NOW + 890, "jti": Uuid::from_u128(3), "sid": Uuid::from_u128(4),
        })
    }

    fn signed(header: &str, payload: &str) -> String {
        let input = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
        let mut signature = vec![0; key().public_modulus_len()];
        key().sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), input.as_bytes(), &mut signature).unwrap();
        format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    const HEADER: &str = r#"{"alg":"RS256","typ":"JWT","kid":"k"}"#;

    fn verdict(token: &str) -> Result<Claims, Refused> {
        Unverified::read(token)?.verify(key().public_key().as_ref(), "nebula", "nebula", NOW, 0)
    }

    #[test]
    fn a_key_is_rsa_and_nothing_follows_it() {
        let good = key().public_key().as_der().unwrap().as_ref().to_vec();
        assert!(is_usable_key(&good));
        for bad in [vec![], vec![0; 300], good[..good.len() - 1].to_vec(), [good.as_slice(), &[0]].concat()] {
            assert!(!is_usable_key(&bad), "{}", bad.len());
        }
    }

    #[test]
    fn our_own_token_is_accepted() {
        assert!(verdict(&signed(HEADER, &claims().to_string())).is_ok());
    }

    #[test]
    fn signing_input_reads_back() {
        let input = signing_input("k", &claims());
        let mut signature = vec![0; key().public_modulus_len()];
        key().sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), input.as_bytes(), &mut signature).unwrap();
        assert!(verdict(&format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature))).is_ok());
    }

    #[test]
    fn a_closed_header_refuses_every_other_member_and_algorithm() {
        for header in [
            r#"{"alg":"none","typ":"JWT","kid":"k"}"#,
            r#"{"alg":"HS256","typ":"JWT","kid":"k"}"#,
            r#"{"alg":"rs256","typ":"JWT","kid":"k"}"#,
            r#"{"alg":"RS512","typ":"JWT","kid":"k"}"#,
            r#"{"alg":"RS256","typ":"at+jwt","kid":"k"}"#,
            r#"{"alg":"RS256","kid":"k"}"#,
            r#"{"alg":"RS256","typ":"JWT"}"#,
            r#"{"alg":"RS256","typ":"JWT","kid":""}"#,
            r#"{"alg":"RS256","typ":"JWT","kid":1}"#,
            r#"{"alg":"RS256","typ":"JWT","kid":"k","crit":["exp"]}"#,
            r#"{"alg":"RS256","typ":"JWT","kid":"k","jwk":{}}"#,
            r#"{"alg":"RS256","typ":"JWT","kid":"k","jku":"https://evil.example"}"#,
            r#"{"alg":"RS256","typ":"JWT","kid":"k","x5c":[]}"#,
            r#"{"alg":"RS256","alg":"none","typ":"JWT","kid":"k"}"#,
            r#"["RS256","JWT","k"]"#,
            "[]",
            "",
        ] {
            assert_eq!(verdict(&signed(header, &claims().to_string())), Err(Refused::Invalid), "{header}");
        }
    }

    #[test]
    fn every_claim_is_required_typed_and_bounded() {
        for name in ["iss", "aud", "sub", "tenantId", "role", "groups", "type", "iat", "exp", "jti", "sid"] {
            let mut missing = claims();
            missing.as_object_mut().unwrap().remove(name);
            assert_eq!(verdict(&signed(HEADER, &missing.to_string())), Err(Refused::Invalid), "no {name}");
        }
        for (name, value) in [
            ("iss", json!("other")),
            ("aud", json!("other")),
            ("aud", json!(["nebula"])),
            ("sub", json!("1 or 1=1")),
            ("tenantId", json!(null)),
            ("type", json!("service")),
            ("groups", json!("ADM_CLIENTE")),
            ("iat", json!(NOW + 60)),
            ("iat", json!(-1)),
            ("exp", json!(NOW + 315_360_000)),
            ("exp", json!("2030-01-01")),
            ("exp", json!(i64::MAX)),
            ("extra", json!(1)),
        ] {
            let mut changed = claims();
            changed.as_object_mut().unwrap().insert(name.to_owned(), value.clone());
            assert_eq!(verdict(&signed(HEADER, &changed.to_string())), Err(Refused::Invalid), "{name} = {value}");
        }
    }

    #[test]
    fn an_expired_token_says_so_from_its_last_second_on() {
        let mut expired = claims();
        expired["iat"] = json!(NOW - 900);
        expired["exp"] = json!(NOW);
        assert_eq!(verdict(&signed(HEADER, &expired.to_string())), Err(Refused::Expired));
    }

    #[test]
    fn duplicate_claims_are_refused() {
        let duplicate = claims().to_string().replacen('{', r#"{"iss":"evil","#, 1);
        assert_eq!(verdict(&signed(HEADER, &duplicate)), Err(Refused::Invalid));
    }

    #[test]
    fn altered_padded_oversized_and_foreign_tokens_are_refused() {
        let token = signed(HEADER, &claims().to_string());
        let (input, _) = token.rsplit_once('.').unwrap();
        let foreign = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        let mut signature = vec![0; foreign.public_modulus_len()];
        foreign.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), input.as_bytes(), &mut signature).unwrap();
        for forged in [
            format!("{input}."),
            format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature)),
            format!("{token}="),
            format!("{token}."),
            format!(" {token}"),
            "..".to_owned(),
            "a.b.c".to_owned(),
            "x".repeat(8 << 20),
        ] {
            assert_eq!(verdict(&forged), Err(Refused::Invalid), "{}", forged.len());
        }
    }
}
