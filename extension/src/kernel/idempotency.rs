//! One effect per key: an advisory lock while a request runs, one row, written with the effect, when it has happened.

use super::{
    context::{self, Caller},
    error::{Refusal, Result},
    installation,
    operation::{Call, Operation, Reply, Scope, Seal},
    spi::{
        self, Arg,
        direct::{Leaf, Table, lookup::Lookup},
    },
};
use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey},
    hkdf::{HKDF_SHA256, Salt},
};
use nebula_core::{error::Code, hex, text::IdempotencyKey};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use uuid::Uuid;

const IDEMPOTENCY_KEY: Table = Table {
    name: c"idempotency_key",
    leaf: Leaf::Itself,
    columns: &[
        c"id",
        c"tenant_id",
        c"key",
        c"handler",
        c"request_digest",
        c"status",
        c"response_status",
        c"response_body",
        c"response_sealed",
        c"response_hash",
        c"created_at",
    ],
};

const KEPT: Lookup = Lookup {
    table: c"idempotency_key",
    index: c"uq_idempotency_key_tenant_id_key_handler",
    key: &[c"tenant_id", c"key", c"handler"],
    columns: &[c"request_digest", c"response_status", c"response_body", c"response_sealed", c"created_at"],
};

/// How long an answer is kept.
const KEPT_MICROSECONDS: i64 = 24 * 3600 * 1_000_000;
/// How long the second of two equal requests waits for the first, in microseconds (contract, section 4).
const PATIENCE_MICROSECONDS: i64 = 5_000_000;
const RETRY_MILLISECONDS: i64 = 10;

/// A request that runs under a key.
struct Begun<'a> {
    key: &'a IdempotencyKey,
    /// What stands in the table: the key, or its digest where the answer holds a secret.
    stored_key: String,
    digest: [u8; 32],
    seals: bool,
}

/// What was answered before.
#[derive(Debug)]
pub struct Replay {
    pub status: u16,
    pub body: Option<String>,
    pub claims: Option<Value>,
}

/// What is stored of an answer that an access token is signed into: the token itself never is.
#[derive(Serialize, Deserialize)]
struct WithClaims {
    body: Option<String>,
    claims: Option<Value>,
}

/// Has an effect once under the call's key, if it has one; a repeat gets the first answer.
pub fn once(call: &Call, effect: impl FnOnce() -> Result<Reply>) -> Result<Reply> {
    let Some(key) = &call.key else { return effect() };
    // A public operation knows its actor only by now.
    let caller = context::current().ok_or(Code::InternalError)?;
    match begin(key, &call.operation, &caller, &call.input)? {
        Err(replay) => Ok(Reply { replay: Some(replay), ..Reply::default() }),
        Ok(begun) => {
            let reply = effect()?;
            begun.keep(&call.operation, &caller, &reply)?;
            Ok(reply)
        }
    }
}

/// Takes the key for this transaction. `Ok(Err(replay))` when the effect has happened already.
fn begin<'a>(
    key: &'a IdempotencyKey,
    operation: &Operation,
    caller: &Caller,
    input: &Map<String, Value>,
) -> Result<std::result::Result<Begun<'a>, Replay>> {
    // The map is sorted, so that the order of members in the body makes no other request.
    let canonical = serde_json::to_vec(&(&operation.id, caller.actor.id(), asked(operation, input))).map_err(|_| Code::InternalError)?;
    let canonical = String::from_utf8(canonical).map_err(|_| Code::InternalError)?;
    let seals = operation.reveals_secret;
    let stored_key = if seals { format!("sha256:{}", hex::encode(&Sha256::digest(key.as_str()))) } else { key.as_str().to_owned() };
    // Keyed: whoever reads the table must not learn by trying which address somebody asked a password reset for.
    let digest = installation::keyed_secret("idempotency", &[&canonical]);
    let begun = Begun { key, stored_key, digest, seals };
    lock(caller, operation, &begun.stored_key)?;
    let found = KEPT.find(caller.tenant, &[Arg::Uuid(caller.tenant), Arg::Text(&begun.stored_key), Arg::Text(&operation.id)], |row| {
        (row.bytes(1), row.small(2), row.text(3), row.bytes(4), row.microseconds(5))
    });
    let Some((digest, status, body, sealed, made_at)) = found else { return Ok(Ok(begun)) };
    if made_at.is_none_or(|at| at < spi::transaction_microseconds() - KEPT_MICROSECONDS) {
        spi::run(
            "delete from nebula.idempotency_key where tenant_id = $1 and key = $2 and handler = $3",
            &[Arg::Uuid(caller.tenant), Arg::Text(&begun.stored_key), Arg::Text(&operation.id)],
        );
        return Ok(Ok(begun));
    }
    if digest.as_deref() != Some(begun.digest.as_slice()) {
        return Err(Code::IdempotencyKeyReused.into());
    }
    let body = match sealed {
        Some(sealed) => Some(begun.unseal(sealed).ok_or(Code::InternalError)?),
        None => body,
    };
    let kept = match (operation.issues_token, body) {
        (true, Some(text)) => serde_json::from_str(&text).map_err(|_| Code::InternalError)?,
        (_, body) => WithClaims { body, claims: None },
    };
    let status = status.and_then(|status| u16::try_from(status).ok()).ok_or(Code::InternalError)?;
    Ok(Err(Replay { status, body: kept.body, claims: kept.claims }))
}

/// What the caller asked for: without what the edge makes anew for each request. (The proof of a password that is checked has another salt once
/// it was changed; what is changed is part of the request.) Of a value that the caller gave and the edge sealed, the fingerprint says which it was.
fn asked(operation: &Operation, input: &Map<String, Value>) -> Map<String, Value> {
    let mut asked = input.clone();
    for derived in operation.derive.iter().filter(|derived| derived.mode == "check" && operation.scope != Scope::Public) {
        asked.remove(derived.field);
    }
    for sealed in operation.seal {
        let member = asked.remove(sealed.field);
        if let (Seal::Given, Some(Value::Object(mut member))) = (sealed.mode, member) {
            asked.insert(sealed.field.to_owned(), member.remove("fingerprint").unwrap_or_default());
        }
    }
    asked
}

fn lock(caller: &Caller, operation: &Operation, stored_key: &str) -> Result<()> {
    let number = spi::advisory_key(&format!("{}/idempotency/{}/{stored_key}", caller.tenant, operation.id));
    let deadline = spi::now_microseconds() + PATIENCE_MICROSECONDS;
    while !spi::try_advisory_lock(number) {
        if spi::now_microseconds() >= deadline {
            return Err(Refusal::from(Code::IdempotencyInProgress));
        }
        spi::sleep_milliseconds(RETRY_MILLISECONDS);
    }
    Ok(())
}

impl Begun<'_> {
    /// Keeps the answer, in the transaction of the effect.
    fn keep(&self, operation: &Operation, caller: &Caller, reply: &Reply) -> Result<()> {
        let (status, body) = operation.envelope(reply);
        let kept = match operation.issues_token {
            true => Some(serde_json::to_string(&WithClaims { body, claims: reply.claims.clone() }).map_err(|_| Code::InternalError)?),
            false => body,
        };
        let body = kept.as_deref();
        let hash = Sha256::digest(body.unwrap_or_default());
        let sealed = if self.seals { body.map(|body| self.seal(body).ok_or(Code::InternalError)).transpose()? } else { None };
        IDEMPOTENCY_KEY.insert(
            caller.tenant,
            &[
                Arg::Uuid(Uuid::now_v7()),
                Arg::Uuid(caller.tenant),
                Arg::Text(&self.stored_key),
                Arg::Text(&operation.id),
                Arg::Bytes(&self.digest),
                Arg::Text("done"),
                Arg::SmallInt(i16::try_from(status).unwrap_or_default()),
                Arg::OptText(if self.seals { None } else { body }),
                Arg::OptBytes(sealed.as_deref()),
                Arg::Bytes(&hash),
                Arg::Now,
            ],
        );
        Ok(())
    }

    /// A one-time secret must be replayable to its caller and unreadable in a dump: the sealing key comes from the Idempotency-Key, of which
    /// only the digest is stored.
    fn sealing_key(&self) -> Option<LessSafeKey> {
        let info: [&[u8]; 1] = [&self.digest];
        let key = Salt::new(HKDF_SHA256, b"nebula.idempotency_key").extract(self.key.as_str().as_bytes());
        Some(LessSafeKey::new(UnboundKey::from(key.expand(&info, &AES_256_GCM).ok()?)))
    }

    fn seal(&self, body: &str) -> Option<Vec<u8>> {
        let nonce: [u8; 12] = spi::random();
        let mut bytes = body.as_bytes().to_vec();
        self.sealing_key()?.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(self.digest), &mut bytes).ok()?;
        let mut sealed = nonce.to_vec();
        sealed.append(&mut bytes);
        Some(sealed)
    }

    fn unseal(&self, sealed: Vec<u8>) -> Option<String> {
        let (nonce, bytes) = sealed.split_first_chunk::<12>()?;
        let mut bytes = bytes.to_vec();
        let key = self.sealing_key()?;
        let text = key.open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::from(self.digest), &mut bytes).ok()?;
        String::from_utf8(text.to_vec()).ok()
    }
}
