//! The JWKS document (RFC 7517) and key ids (RFC 7638), both made from DER SubjectPublicKeyInfo.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use pkcs1::RsaPublicKeyRef;
use pkcs8::spki::SubjectPublicKeyInfoRef;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// Modulus and exponent, base64url, without leading zeros.
fn components(public_key: &[u8]) -> Option<(String, String)> {
    let info = SubjectPublicKeyInfoRef::try_from(public_key).ok()?;
    let key = RsaPublicKeyRef::try_from(info.subject_public_key.as_bytes()?).ok()?;
    Some((URL_SAFE_NO_PAD.encode(key.modulus.as_bytes()), URL_SAFE_NO_PAD.encode(key.public_exponent.as_bytes())))
}

/// RFC 7638: SHA-256 of the required members in lexicographic order, without white space.
#[must_use]
pub fn thumbprint(public_key: &[u8]) -> Option<String> {
    let (n, e) = components(public_key)?;
    Some(URL_SAFE_NO_PAD.encode(Sha256::digest(format!(r#"{{"e":"{e}","kty":"RSA","n":"{n}"}}"#))))
}

/// The document of the given keys, as `(kid, public key)`; one that is not RSA is left out.
#[must_use]
pub fn document<'a>(keys: impl Iterator<Item = (&'a str, &'a [u8])>) -> Value {
    let keys: Vec<Value> = keys
        .filter_map(|(kid, public_key)| {
            let (n, e) = components(public_key)?;
            Some(json!({ "kty": "RSA", "use": "sig", "alg": "RS256", "kid": kid, "n": n, "e": e }))
        })
        .collect();
    json!({ "keys": keys })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use base64::engine::general_purpose::STANDARD;
    use pkcs8::der::{
        Encode,
        asn1::{BitStringRef, UintRef},
    };

    /// The key of RFC 7638, section 3.1, and the thumbprint that it gives.
    const N: &str = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMs\
                     tn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91C\
                     bOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw";
    const THUMBPRINT: &str = "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs";

    fn rfc_key() -> Vec<u8> {
        let modulus = URL_SAFE_NO_PAD.decode(N).unwrap();
        let key = RsaPublicKeyRef { modulus: UintRef::new(&modulus).unwrap(), public_exponent: UintRef::new(&[1, 0, 1]).unwrap() };
        let key = key.to_der().unwrap();
        let info = SubjectPublicKeyInfoRef { algorithm: pkcs1::ALGORITHM_ID, subject_public_key: BitStringRef::from_bytes(&key).unwrap() };
        info.to_der().unwrap()
    }

    #[test]
    fn the_thumbprint_is_the_rfcs() {
        assert_eq!(thumbprint(&rfc_key()).as_deref(), Some(THUMBPRINT));
    }

    #[test]
    fn the_document_holds_the_public_components_and_nothing_else() {
        let key = rfc_key();
        let document = document([("k1", key.as_slice()), ("broken", b"junk")].into_iter());
        assert_eq!(document, json!({ "keys": [{ "kty": "RSA", "use": "sig", "alg": "RS256", "kid": "k1", "n": N, "e": "AQAB" }] }));
        assert!(STANDARD.decode("AQAB").is_ok());
    }
}
