//! Passwords as the edge sends them.

use nebula_core::password::{NewPassword, PasswordProof};
use serde_json::Value;

pub fn password(data: &[u8]) {
    if let Ok(password) = serde_json::from_slice::<NewPassword>(data) {
        assert!(!format!("{password:?}").contains("AAA"));
        let written = serde_json::to_value(&password).unwrap();
        let read: NewPassword = serde_json::from_value(written.clone()).unwrap();
        assert_eq!((read.salt, read.key, read.memory_kib), (password.salt, password.key, password.memory_kib));
        one_spelling(data, &written);
    }
    if let Ok(proof) = serde_json::from_slice::<PasswordProof>(data) {
        one_spelling(data, &serde_json::to_value(&proof).unwrap());
    }
}

/// Base64 has one spelling, so that what was sent is what is written.
fn one_spelling(data: &[u8], written: &Value) {
    if let Ok(Value::Object(sent)) = serde_json::from_slice::<Value>(data) {
        assert_eq!(&Value::Object(sent), written);
    }
}
