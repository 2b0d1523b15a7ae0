//! Passwords as the edge sends them: never the password, only the key that Argon2id made of it.
//!
//! OWASP Password Storage Cheat Sheet: Argon2id with 19 MiB, 2 iterations, 1 lane is the minimum that is recommended.

use base64::{Engine, engine::general_purpose::STANDARD};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The cost of a derivation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Cost {
    /// Memory in KiB, 19,456 to 1,048,576.
    pub memory_kib: u32,
    /// Passes, 1 to 16.
    pub iterations: u32,
    /// Lanes, 1 to 16.
    pub parallelism: u32,
}

impl Cost {
    /// What new passwords get.
    pub const DEFAULT: Cost = Cost { memory_kib: 19_456, iterations: 2, parallelism: 1 };

    /// Whether the cost is neither weaker than the minimum nor so strong that it is an attack.
    #[must_use]
    pub fn is_acceptable(&self) -> bool {
        (19_456..=1_048_576).contains(&self.memory_kib)
            && (1..=16).contains(&self.iterations)
            && (1..=16).contains(&self.parallelism)
            && (self.memory_kib > 19_456 || self.iterations >= 2)
    }
}

/// Bytes that travel as standard base64 and show nothing in `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct Bytes<const N: usize>(pub [u8; N]);

impl<const N: usize> fmt::Debug for Bytes<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Bytes(…)")
    }
}

impl<const N: usize> Serialize for Bytes<N> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(self.0))
    }
}

impl<'de, const N: usize> Deserialize<'de> for Bytes<N> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        let bytes = STANDARD.decode(text.as_bytes()).ok().and_then(|bytes| bytes.try_into().ok());
        bytes.map(Bytes).ok_or_else(|| serde::de::Error::custom("rule=base64"))
    }
}

impl<const N: usize> JsonSchema for Bytes<N> {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        format!("Base64Of{N}Bytes").into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "contentEncoding": "base64" })
    }
}

/// A new password: salt, cost and derived key.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewPassword {
    pub salt: Bytes<16>,
    pub memory_kib: u32,
    pub iterations: u32,
    pub parallelism: u32,
    pub key: Bytes<32>,
}

impl NewPassword {
    #[must_use]
    pub fn cost(&self) -> Cost {
        Cost { memory_kib: self.memory_kib, iterations: self.iterations, parallelism: self.parallelism }
    }
}

/// A password to check: the key derived with the salt and cost of the challenge.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PasswordProof {
    pub key: Bytes<32>,
}

/// The shortest password that the edge accepts, in characters (NIST SP 800-63B).
pub const MIN_PASSWORD_CHARACTERS: usize = 8;
/// The longest, in characters.
pub const MAX_PASSWORD_CHARACTERS: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weak_and_absurd_costs_are_refused() {
        assert!(Cost::DEFAULT.is_acceptable());
        for (memory_kib, iterations, parallelism) in [(8, 2, 1), (19_456, 1, 1), (u32::MAX, 2, 1), (19_456, 1000, 1), (19_456, 2, 0)] {
            assert!(!Cost { memory_kib, iterations, parallelism }.is_acceptable());
        }
    }

    #[test]
    fn debug_shows_no_bytes() {
        assert_eq!(format!("{:?}", Bytes([1_u8; 32])), "Bytes(…)");
    }
}
