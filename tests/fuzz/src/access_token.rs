//! Our own tokens. Fields: header, claims, signature (hexadecimal or anything); or a whole token in one line.

use crate::input::lines;
use aws_lc_rs::{
    encoding::AsDer,
    rand::SystemRandom,
    rsa::KeySize,
    signature::{KeyPair, RSA_PKCS1_SHA256, RsaKeyPair},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use nebula_core::{
    access_token::{Claims, LIFETIME_SECONDS, MAX_BYTES, Refused, Unverified, is_usable_key, signing_input},
    foreign_token, jwk,
    unique_json::UniqueJson,
};
use nebula_edge::fuzzing::well_formed;
use serde_json::Value;
use std::sync::OnceLock;

const NOW: i64 = 1_800_000_000;

pub fn access_token(data: &[u8]) {
    assert!(!is_usable_key(data) || (290..=1100).contains(&data.len()), "a key of 2048 to 8192 bits");
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(token) = Unverified::read(text) {
        was_read(text, &token);
    }
    let Some([header, claims, signature]) = lines::<3>(data) else { return };
    let encode = |part: &str| URL_SAFE_NO_PAD.encode(part);
    let token = format!("{}.{}.{}", encode(header), encode(claims), encode(signature));
    let Ok(read) = Unverified::read(&token) else { return };
    was_read(&token, &read);
    verifies_only_when_signed(&token, header, claims);
}

fn was_read(text: &str, token: &Unverified<'_>) {
    assert!(text.len() <= MAX_BYTES && text.is_ascii());
    assert_eq!(well_formed(text), Some(token.claimed_tenant()), "the edge and the database read the same tenant");
    // Another reader, which knows nothing of our claims, reads the same: nothing stands there twice, or as an array.
    let payload = URL_SAFE_NO_PAD.decode(text.split('.').nth(1).unwrap()).unwrap();
    let UniqueJson(Value::Object(members)) = serde_json::from_slice(&payload).unwrap() else { panic!("claims that are no object") };
    let claims: Claims = serde_json::from_value(Value::Object(members)).unwrap();
    assert_eq!((claims.tenant_id, claims.iss.as_str()), (token.claimed_tenant(), token.claimed_issuer()));
    if jwk::is_kid(token.kid()) {
        let foreign = foreign_token::Unverified::read(text).expect("the laxer reader refuses what the stricter one reads");
        assert_eq!(foreign.issuer(), token.claimed_issuer());
    }
    // What is written of it reads back.
    let again = format!("{}.AA", signing_input(token.kid(), &serde_json::to_value(&claims).unwrap()));
    if again.len() <= MAX_BYTES {
        assert_eq!(Unverified::read(&again).unwrap().claimed_tenant(), claims.tenant_id);
    }
}

/// With the key's own signature the claims decide; with any other nothing is accepted.
fn verifies_only_when_signed(token: &str, header: &str, claims: &str) {
    let public = key().public_key().as_der().unwrap();
    assert!(is_usable_key(public.as_ref()));
    let verify = |token: &str| Unverified::read(token)?.verify(public.as_ref(), "nebula", "nebula", NOW, 0);
    assert_eq!(verify(token), Err(Refused::Invalid), "a signature of nobody's");
    let input = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let mut signature = vec![0; key().public_modulus_len()];
    key().sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), input.as_bytes(), &mut signature).unwrap();
    if let Ok(claims) = verify(&format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature))) {
        assert_eq!((claims.iss.as_str(), claims.aud.as_str(), claims.actor_type.as_str()), ("nebula", "nebula", "user"));
        assert!((0..=NOW).contains(&claims.iat) && claims.exp > NOW && claims.exp - claims.iat <= LIFETIME_SECONDS);
    }
}

fn key() -> &'static RsaKeyPair {
    static KEY: OnceLock<RsaKeyPair> = OnceLock::new();
    KEY.get_or_init(|| RsaKeyPair::generate(KeySize::Rsa2048).unwrap())
}
