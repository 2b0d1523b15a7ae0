//! What is known of the installation and its signing keys, kept in memory like rights.

use super::{
    audit,
    spi::{self, Arg},
    sql_caller::OWNER,
};
use hmac::{Hmac, Mac};
use serde_json::json;
use sha2::{Digest, Sha256};
use std::{cell::RefCell, collections::HashMap, rc::Rc};
use uuid::Uuid;

/// How far a session of PostgREST's login is believed when it says who is calling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// The claims, which PostgREST has verified: whoever has its login may say anything.
    Claims,
    /// The token in the request's headers, which is verified again: the login alone is worth nothing.
    Token,
}

impl Trust {
    /// The word that a DBA and the table use.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Trust::Claims => "claims",
            Trust::Token => "token",
        }
    }

    /// The trust of a word.
    #[must_use]
    pub fn named(word: &str) -> Option<Self> {
        [Trust::Claims, Trust::Token].into_iter().find(|trust| trust.as_str() == word)
    }
}

/// The one row of `nebula.installation`, and the keys that may verify.
#[derive(Debug)]
pub struct Installation {
    pub id: Uuid,
    pub issuer: String,
    pub audience: String,
    pub secret: Vec<u8>,
    /// How long a refresh token lives.
    pub refresh_days: i32,
    /// What PostgREST's sessions are believed.
    pub postgrest_trust: Trust,
    /// DER SubjectPublicKeyInfo by `kid`; revoked keys are not among them.
    pub keys: HashMap<String, Vec<u8>>,
}

thread_local! {
    static CACHE: RefCell<Option<(u64, Rc<Installation>)>> = const { RefCell::new(None) };
}

/// The installation as of now.
#[must_use]
pub fn current() -> Rc<Installation> {
    let generation = spi::global_rights_generation();
    if let Some(known) = CACHE.with_borrow(|cache| cache.as_ref().filter(|(g, _)| *g == generation).map(|(_, i)| Rc::clone(i))) {
        return known;
    }
    let installation = Rc::new(spi::as_role(OWNER, || spi::reading_latest(load)));
    if spi::global_rights_generation() == generation && !spi::is_parallel() {
        CACHE.set(Some((generation, Rc::clone(&installation))));
    }
    installation
}

fn load() -> Installation {
    // Through JSON: tables that are older than this column are read as well, until somebody migrates them.
    let loaded = spi::first(
        "select issuer, audience, secret, id, refresh_days, to_jsonb(i) ->> 'postgrest_trust' from nebula.installation i",
        &[],
        |row| {
            // A word that is not known trusts less.
            let trust = row.text(6).map_or(Trust::Claims, |word| Trust::named(&word).unwrap_or(Trust::Token));
            Some((row.text(1)?, row.text(2)?, row.bytes(3)?, row.uuid(4)?, row.integer(5)?, trust))
        },
    );
    let Some((issuer, audience, secret, id, refresh_days, postgrest_trust)) = loaded.flatten() else {
        pgrx::error!("nebula.installation has no row")
    };
    let keys = spi::rows("select kid, public_key from nebula.signing_key where status <> 'revoked'", &[], |row| {
        Some((row.text(1)?, row.bytes(2)?))
    });
    Installation { id, issuer, audience, secret, refresh_days, postgrest_trust, keys: keys.into_iter().flatten().collect() }
}

/// The platform's own tenant; `None` before the seed.
#[must_use]
pub fn platform_tenant() -> Option<Uuid> {
    spi::first("select id from nebula.tenant where kind = 'platform'", &[], |row| row.uuid(1)).flatten()
}

/// Sets how far PostgREST's sessions are believed; whether that was another before. The platform's log tells.
#[must_use]
pub fn set_postgrest_trust(trust: Trust) -> bool {
    let changed =
        spi::run("update nebula.installation set postgrest_trust = $1 where postgrest_trust <> $1", &[Arg::Text(trust.as_str())]) > 0;
    if let Some(platform) = platform_tenant().filter(|_| changed) {
        audit::record(platform, "installation", None, &json!({ "outcome": "changed", "postgrestTrust": trust.as_str() }));
    }
    changed
}

/// 16 bytes that only this installation can make of these words.
#[must_use]
pub fn keyed(words: &[&str]) -> [u8; 16] {
    let secret = &current().secret;
    let mut bytes = [0; 16];
    if let Ok(mut mac) = <Hmac<Sha256> as Mac>::new_from_slice(secret) {
        for word in words {
            mac.update(word.as_bytes());
            mac.update(&[0]);
        }
        if let Some(chunk) = mac.finalize().into_bytes().first_chunk::<16>() {
            bytes = *chunk;
        }
    }
    bytes
}

/// 256 bits that only this installation can make of a purpose and these words.
#[must_use]
pub fn keyed_secret(purpose: &str, words: &[&str]) -> [u8; 32] {
    let mut digest = Sha256::new();
    for half in ["left", "right"] {
        digest.update(keyed(&[&[purpose, half], words].concat()));
    }
    digest.finalize().into()
}

/// Registers a public key; only a DBA may. Returns false when the kid is known already.
#[must_use]
pub fn register_signing_key(kid: &str, public_key: &[u8]) -> bool {
    spi::run(
        "insert into nebula.signing_key (kid, public_key) values ($1, $2) on conflict (kid) do nothing",
        &[Arg::Text(kid), Arg::Bytes(public_key)],
    ) > 0
}

/// Changes a key's status; false when there is no such key. A revoked key stays revoked.
#[must_use]
pub fn set_signing_key_status(kid: &str, status: &str) -> bool {
    spi::run(
        "update nebula.signing_key set status = $2 where kid = $1 and (status <> 'revoked' or $2 = 'revoked')",
        &[Arg::Text(kid), Arg::Text(status)],
    ) > 0
}
