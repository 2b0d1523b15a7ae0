//! Keys of other issuers: a JWKS document (RFC 7517) read into keys that a token can be verified with.

use crate::{issuer::Algorithm, unique_json::UniqueJson};
use aws_lc_rs::{
    encoding::AsDer,
    signature::{ECDSA_P256_SHA256_FIXED, ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

/// The largest document that is looked at, in bytes.
pub const MAX_BYTES: usize = 262_144;
/// The most keys that an issuer may have.
pub const MAX_KEYS: usize = 50;

/// A key that verifies one algorithm's signatures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey {
    /// As the document says, or the RFC 7638 thumbprint where it says nothing.
    pub kid: String,
    pub algorithm: Algorithm,
    /// DER, SubjectPublicKeyInfo.
    pub der: Vec<u8>,
}

/// Why a document was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("the document is larger than 256 KiB")]
    TooLarge,
    #[error("the document is no JSON object with a list of keys")]
    NotAKeySet,
    #[error("the document has more than 50 usable keys")]
    TooManyKeys,
}

/// Reads a key set. Keys that we can't use (another type, another algorithm, for encryption, too short) are skipped, as RFC 7517, section 5
/// asks; a second key of a name is skipped too.
pub fn parse_set(text: &str) -> Result<Vec<PublicKey>, Refused> {
    if text.len() > MAX_BYTES {
        return Err(Refused::TooLarge);
    }
    let Ok(UniqueJson(Value::Object(set))) = serde_json::from_str(text) else { return Err(Refused::NotAKeySet) };
    let Some(Value::Array(listed)) = set.get("keys") else { return Err(Refused::NotAKeySet) };
    let mut keys: Vec<PublicKey> = Vec::new();
    for key in listed.iter().filter_map(Value::as_object).filter_map(parse) {
        if keys.iter().all(|known| known.kid != key.kid) {
            keys.push(key);
        }
        if keys.len() > MAX_KEYS {
            return Err(Refused::TooManyKeys);
        }
    }
    Ok(keys)
}

fn parse(jwk: &Map<String, Value>) -> Option<PublicKey> {
    let text = |name: &str| jwk.get(name).and_then(Value::as_str);
    if jwk.get("use").is_some_and(|usage| usage.as_str() != Some("sig")) {
        return None;
    }
    if let Some(operations) = jwk.get("key_ops") {
        operations.as_array()?.iter().find(|operation| operation.as_str() == Some("verify"))?;
    }
    let member = |name: &str| text(name).and_then(|value| URL_SAFE_NO_PAD.decode(value).ok());
    let (algorithm, der, thumbprint) = match (text("kty")?, text("crv")) {
        ("RSA", None) => {
            let (n, e) = (member("n")?, member("e")?);
            (Algorithm::Rs256, rsa(&n, &e)?, format!(r#"{{"e":"{}","kty":"RSA","n":"{}"}}"#, text("e")?, text("n")?))
        }
        ("EC", Some("P-256")) => {
            let (x, y) = (member("x")?, member("y")?);
            (Algorithm::Es256, p256(&x, &y)?, format!(r#"{{"crv":"P-256","kty":"EC","x":"{}","y":"{}"}}"#, text("x")?, text("y")?))
        }
        ("OKP", Some("Ed25519")) => {
            (Algorithm::EdDsa, ed25519(&member("x")?)?, format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#, text("x")?))
        }
        _ => return None,
    };
    // A key that names another algorithm than ours (RS512, PS256) is not for us.
    if jwk.get("alg").is_some_and(|name| name.as_str() != Some(algorithm.as_str())) {
        return None;
    }
    let kid = match jwk.get("kid") {
        None => URL_SAFE_NO_PAD.encode(Sha256::digest(thumbprint)),
        Some(kid) => kid.as_str().filter(|kid| is_kid(kid))?.to_owned(),
    };
    Some(PublicKey { kid, algorithm, der })
}

/// Whether a text can name a key: 1 to 255 visible ASCII characters.
#[must_use]
pub fn is_kid(text: &str) -> bool {
    (1..=255).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// 2048 to 8192 bits, an odd exponent of at most 33 bits. Leading zeros, which RFC 7518 forbids and some write, are dropped.
fn rsa(n: &[u8], e: &[u8]) -> Option<Vec<u8>> {
    let trim = |bytes: &[u8]| bytes.iter().copied().skip_while(|byte| *byte == 0).collect::<Vec<_>>();
    let (n, e) = (trim(n), trim(e));
    let bits = n.len() * 8 - n.first().map_or(0, |byte| byte.leading_zeros() as usize);
    let exponent = if e.len() <= 5 { e.iter().fold(0_u64, |value, byte| value << 8 | u64::from(*byte)) } else { 0 };
    if !(2048..=8192).contains(&bits) || n.last().is_none_or(|byte| byte % 2 == 0) || exponent < 3 || exponent % 2 == 0 {
        return None;
    }
    let der = RsaPublicKeyComponents { n, e }.as_der().ok()?.as_ref().to_vec();
    ParsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, &der).is_ok().then_some(der)
}

/// RFC 5480: id-ecPublicKey, prime256v1, and the uncompressed point, which must lie on the curve.
fn p256(x: &[u8], y: &[u8]) -> Option<Vec<u8>> {
    const PREFIX: [u8; 27] = [
        0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01,
        0x07, 0x03, 0x42, 0x00, 0x04,
    ];
    if x.len() != 32 || y.len() != 32 {
        return None;
    }
    let der = [PREFIX.as_slice(), x, y].concat();
    ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, &der).is_ok().then_some(der)
}

/// RFC 8410: id-Ed25519 and the key's 32 bytes.
fn ed25519(x: &[u8]) -> Option<Vec<u8>> {
    const PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
    if x.len() != 32 {
        return None;
    }
    let der = [PREFIX.as_slice(), x].concat();
    ParsedPublicKey::new(&ED25519, &der).is_ok().then_some(der)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use serde_json::json;

    /// RFC 7638, section 3.1.
    const N: &str = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMs\
                     tn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91C\
                     bOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw";

    fn rsa_key(changes: &Value) -> Value {
        with(json!({ "kty": "RSA", "use": "sig", "alg": "RS256", "kid": "r", "n": N, "e": "AQAB" }), changes)
    }

    /// RFC 7517, appendix A.1.
    fn ec_key(changes: &Value) -> Value {
        let (x, y) = ("MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4", "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM");
        with(json!({ "kty": "EC", "crv": "P-256", "kid": "e", "x": x, "y": y }), changes)
    }

    /// RFC 8037, appendix A.2.
    fn okp_key(changes: &Value) -> Value {
        with(json!({ "kty": "OKP", "crv": "Ed25519", "kid": "o", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo" }), changes)
    }

    fn with(mut key: Value, changes: &Value) -> Value {
        for (name, value) in changes.as_object().unwrap() {
            key[name] = value.clone();
            if value.is_null() {
                key.as_object_mut().unwrap().remove(name);
            }
        }
        key
    }

    fn parsed(keys: &[Value]) -> Vec<PublicKey> {
        parse_set(&json!({ "keys": keys }).to_string()).unwrap()
    }

    #[test]
    fn keys_of_the_three_types_are_read() {
        let keys = parsed(&[rsa_key(&json!({})), ec_key(&json!({})), okp_key(&json!({ "alg": "EdDSA", "key_ops": ["verify"] }))]);
        let read = keys.iter().map(|key| (key.kid.as_str(), key.algorithm)).collect::<Vec<_>>();
        assert_eq!(read, [("r", Algorithm::Rs256), ("e", Algorithm::Es256), ("o", Algorithm::EdDsa)]);
    }

    #[test]
    fn a_key_without_a_name_is_named_by_its_thumbprint() {
        // The thumbprints of RFC 7638, section 3.1 and RFC 8037, appendix A.3.
        assert_eq!(parsed(&[rsa_key(&json!({ "kid": null }))])[0].kid, "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
        assert_eq!(parsed(&[okp_key(&json!({ "kid": null }))])[0].kid, "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    }

    #[test]
    fn keys_that_are_not_for_us_are_skipped() {
        let short = URL_SAFE_NO_PAD.encode([0xff_u8; 128]);
        let even = URL_SAFE_NO_PAD.encode([0xfe_u8; 256]);
        for skipped in [
            rsa_key(&json!({ "use": "enc" })),
            rsa_key(&json!({ "use": 1 })),
            rsa_key(&json!({ "alg": "RS512" })),
            rsa_key(&json!({ "alg": "PS256" })),
            rsa_key(&json!({ "alg": "HS256" })),
            rsa_key(&json!({ "key_ops": ["encrypt"] })),
            rsa_key(&json!({ "key_ops": "verify" })),
            rsa_key(&json!({ "n": short })),
            rsa_key(&json!({ "n": even })),
            rsa_key(&json!({ "n": "" })),
            rsa_key(&json!({ "n": format!("{N}=") })),
            rsa_key(&json!({ "e": "AQ" })),
            rsa_key(&json!({ "e": "AA" })),
            rsa_key(&json!({ "e": "AQAA" })),
            rsa_key(&json!({ "e": "AQABAQABAQAB" })),
            rsa_key(&json!({ "e": null })),
            rsa_key(&json!({ "kid": "" })),
            rsa_key(&json!({ "kid": 7 })),
            rsa_key(&json!({ "kid": "a b" })),
            rsa_key(&json!({ "kid": "k".repeat(256) })),
            rsa_key(&json!({ "crv": "P-256" })),
            ec_key(&json!({ "crv": "P-384" })),
            ec_key(&json!({ "alg": "RS256" })),
            ec_key(&json!({ "y": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4" })),
            ec_key(&json!({ "x": "AA" })),
            okp_key(&json!({ "crv": "X25519" })),
            okp_key(&json!({ "x": "AA" })),
            json!({ "kty": "oct", "k": "c2VjcmV0", "kid": "s", "alg": "HS256" }),
            json!({}),
            json!("key"),
        ] {
            assert_eq!(parsed(std::slice::from_ref(&skipped)), [], "{skipped}");
        }
        assert_eq!(parsed(&[rsa_key(&json!({})), ec_key(&json!({ "kid": "r" }))]).len(), 1, "a name stands for one key");
    }

    #[test]
    fn documents_are_bounded_and_closed() {
        let many = (0..=MAX_KEYS).map(|number| okp_key(&json!({ "kid": number.to_string() }))).collect::<Vec<_>>();
        assert_eq!(parsed(&many[..MAX_KEYS]).len(), MAX_KEYS);
        assert_eq!(parse_set(&json!({ "keys": many }).to_string()), Err(Refused::TooManyKeys));
        assert_eq!(parse_set(&" ".repeat(MAX_BYTES + 1)), Err(Refused::TooLarge));
        for text in ["", "[]", "{}", r#"{"keys":{}}"#, "<html>", r#"{"keys":[],"keys":[]}"#] {
            assert_eq!(parse_set(text), Err(Refused::NotAKeySet), "{text}");
        }
        assert_eq!(parse_set(r#"{"keys":[]}"#), Ok(vec![]));
    }
}
