//! Key sets of other issuers.

use nebula_core::{
    access_token::is_usable_key,
    issuer::Algorithm,
    jwk::{MAX_BYTES, MAX_KEYS, is_kid, parse_set},
};
use serde_json::Value;
use std::collections::BTreeSet;

pub fn jwk(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(keys) = parse_set(text) else { return };
    assert!(text.len() <= MAX_BYTES && keys.len() <= MAX_KEYS);
    let set: Value = serde_json::from_str(text).unwrap();
    assert!(keys.len() <= set["keys"].as_array().unwrap().len());
    assert_eq!(keys.iter().map(|key| &key.kid).collect::<BTreeSet<_>>().len(), keys.len(), "a name of two keys");
    for key in &keys {
        assert!(is_kid(&key.kid));
        // No secret is ever taken for a public key.
        assert_ne!(key.algorithm, Algorithm::Hs256);
        assert!(key.der.len() <= 1100);
        if key.algorithm == Algorithm::Rs256 {
            assert!(is_usable_key(&key.der), "a key that the database would refuse to register");
        }
    }
    assert_eq!(parse_set(text), Ok(keys));
}
