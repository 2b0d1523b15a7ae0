//! Passwords: checked for length, derived with Argon2id here, so that neither the password nor the slow part reaches the database.

use crate::db::Challenge;
use argon2::{Algorithm, Argon2, Block, Params, Version};
use aws_lc_rs::rand;
use nebula_core::password::{Bytes, Cost, MAX_PASSWORD_CHARACTERS, MIN_PASSWORD_CHARACTERS, NewPassword, PasswordProof};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use std::sync::Arc;
use tokio::{
    sync::Semaphore,
    task::spawn_blocking,
    time::{Instant, timeout_at},
};
use zeroize::Zeroizing;

/// A password's broken rule: the `rule` of a `VALIDATION_ERROR`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule(pub &'static str);

/// A password of acceptable form. Wiped when dropped.
#[derive(Clone)]
pub struct Prepared(Zeroizing<String>);

/// Takes a password out of a member of the body. Lengths are in characters.
pub fn prepare(member: &RawValue, is_new: bool) -> Result<Prepared, Rule> {
    let password: Zeroizing<String> = Zeroizing::new(serde_json::from_str(member.get()).map_err(|_| Rule("type"))?);
    let shortest = if is_new { MIN_PASSWORD_CHARACTERS } else { 1 };
    if password.chars().count() < shortest {
        Err(Rule("too_short"))
    } else if password.chars().count() > MAX_PASSWORD_CHARACTERS {
        Err(Rule("too_long"))
    } else {
        Ok(Prepared(password))
    }
}

/// The salt of a new password: random, or, where a request that may be repeated brings both, made of a secret seed and its `Idempotency-Key`, so
/// that an equal request stays an equal request (docs/edge-protocol.md, "Passwords"). `None` without randomness.
#[must_use]
pub fn salt(seed: Option<&[u8]>, idempotency_key: Option<&str>) -> Option<[u8; 16]> {
    let mut salt = [0; 16];
    match (seed, idempotency_key) {
        (Some(seed), Some(key)) => {
            let digest = Sha256::new().chain_update("nebula.salt\0").chain_update(seed).chain_update("\0").chain_update(key).finalize();
            salt = *digest.first_chunk()?;
        }
        _ => rand::fill(&mut salt).ok()?,
    }
    Some(salt)
}

/// Derives keys, a bounded number at once: each takes 19 MiB and a core for some 20 ms.
#[derive(Clone)]
pub struct Deriver(Arc<Semaphore>);

impl Deriver {
    #[must_use]
    pub fn new(concurrency: usize) -> Self {
        Self(Arc::new(Semaphore::new(concurrency.max(1))))
    }

    /// What is stored of a new password, at today's cost. `None`: not before `deadline`.
    pub async fn new_password(&self, password: Prepared, salt: [u8; 16], deadline: Instant) -> Option<NewPassword> {
        let Cost { memory_kib, iterations, parallelism } = Cost::DEFAULT;
        let key = self.derive(password, salt, Cost::DEFAULT, deadline).await?;
        Some(NewPassword { salt: Bytes(salt), memory_kib, iterations, parallelism, key: Bytes(key) })
    }

    /// What is compared: the key under the challenge's salt and cost. `None`: not before `deadline`, or a cost that is an attack.
    pub async fn proof(&self, password: Prepared, challenge: &Challenge, deadline: Instant) -> Option<PasswordProof> {
        let cost = Cost { memory_kib: challenge.memory_kib, iterations: challenge.iterations, parallelism: challenge.parallelism };
        if !cost.is_acceptable() {
            return None;
        }
        let key = self.derive(password, challenge.salt.0, cost, deadline).await?;
        Some(PasswordProof { key: Bytes(key) })
    }

    async fn derive(&self, password: Prepared, salt: [u8; 16], cost: Cost, deadline: Instant) -> Option<[u8; 32]> {
        let permit = timeout_at(deadline, Arc::clone(&self.0).acquire_owned()).await.ok()?.ok()?;
        let derivation = spawn_blocking(move || {
            let _permit = permit;
            argon2id(&password, &salt, cost)
        });
        derivation.await.ok()?
    }
}

fn argon2id(password: &Prepared, salt: &[u8], cost: Cost) -> Option<[u8; 32]> {
    let mut key = [0; 32];
    let parameters = Params::new(cost.memory_kib, cost.iterations, cost.parallelism, Some(key.len())).ok()?;
    let mut memory = memory(parameters.block_count());
    Argon2::new(Algorithm::Argon2id, Version::V0x13, parameters)
        .hash_password_into_with_memory(password.0.as_bytes(), salt, &mut key, &mut memory)
        .ok()?;
    Some(key)
}

/// What glibc's malloc never keeps for later: more than 32 MiB it maps and unmaps each time (`M_MMAP_THRESHOLD` in mallopt(3)). Of less it keeps what a burst of logins took, 150
/// MiB after eight. What is not touched of it is no memory.
const UNKEPT_BYTES: usize = 33 << 20;

fn memory(blocks: usize) -> Vec<Block> {
    let mut memory = Vec::with_capacity(blocks.max(UNKEPT_BYTES / Block::SIZE));
    memory.resize(blocks, Block::default());
    memory
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::time::Duration;
    use uuid::Uuid;

    fn member(json: &str) -> Box<RawValue> {
        RawValue::from_string(json.to_owned()).unwrap()
    }

    fn rule(json: &str, is_new: bool) -> Option<&'static str> {
        prepare(&member(json), is_new).err().map(|rule| rule.0)
    }

    fn challenge(memory_kib: u32) -> Challenge {
        Challenge { tenant_id: Uuid::nil(), salt: Bytes([0; 16]), memory_kib, iterations: 2, parallelism: 1, salt_seed: None }
    }

    /// The vector: `printf 'nebula.salt\0seed\0key' | sha256sum`.
    #[test]
    fn an_equal_request_has_an_equal_salt_and_every_other_a_random_one() {
        assert_eq!(
            salt(Some(b"seed"), Some("key")).unwrap(),
            [0x89, 0xbb, 0x66, 0x3b, 0x9f, 0x9c, 0x55, 0x20, 0x2f, 0x1e, 0x13, 0xd6, 0x73, 0xb2, 0x17, 0x3b]
        );
        for (seed, key) in [(None, None), (Some(b"seed".as_slice()), None), (None, Some("key"))] {
            assert_ne!(salt(seed, key), salt(seed, key));
        }
    }

    #[test]
    fn a_password_is_a_string_of_bounded_length() {
        assert_eq!(rule("1", true), Some("type"));
        assert_eq!(rule("null", false), Some("type"));
        assert_eq!(rule("\"1234567\"", true), Some("too_short"));
        assert_eq!(rule("\"ãããããããã\"", true), None);
        assert_eq!(rule("\"\"", false), Some("too_short"));
        assert_eq!(rule("\"1\"", false), None);
        assert_eq!(rule(&format!("\"{}\"", "a".repeat(256)), true), None);
        assert_eq!(rule(&format!("\"{}\"", "a".repeat(257)), true), Some("too_long"));
    }

    #[tokio::test]
    async fn a_proof_under_the_stored_salt_gives_the_stored_key() {
        let deriver = Deriver::new(1);
        let deadline = Instant::now() + Duration::from_secs(30);
        let password = prepare(&member("\"correct horse\""), true).unwrap();
        let stored = deriver.new_password(password.clone(), salt(None, None).unwrap(), deadline).await.unwrap();
        let challenge = Challenge { salt: stored.salt.clone(), ..challenge(19_456) };
        assert_eq!(deriver.proof(password, &challenge, deadline).await.unwrap().key, stored.key);
    }

    #[tokio::test]
    async fn an_absurd_cost_is_not_paid() {
        let password = prepare(&member("\"x\""), false).unwrap();
        assert!(Deriver::new(1).proof(password, &challenge(u32::MAX), Instant::now() + Duration::from_secs(1)).await.is_none());
    }
}
