//! Passwords as the database knows them: a salt, a cost, and the SHA-256 of the key that the edge derives with Argon2id.

use super::{
    authenticate,
    context::Origin,
    error::{Refusal, Result},
    installation,
    limit::{self, Counted},
    login_guard::Guard,
    spi::{self, Arg},
    sql_caller::PLATFORM,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use nebula_core::{
    error::Code,
    opaque_token::{Kind, OpaqueToken},
    password::{Bytes, Cost, NewPassword, PasswordProof},
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::{net::IpAddr, rc::Rc};
use subtle::ConstantTimeEq;
use uuid::Uuid;

/// Salt and cost of a stored password; all of them or none.
#[derive(Default)]
struct Stored {
    salt: Option<[u8; 16]>,
    cost: Option<Cost>,
}

impl Stored {
    /// Reads salt, memory, iterations and parallelism from this column on.
    fn read(row: &spi::Row, first: i32) -> Self {
        let number = |column| row.integer(first + column).map(i32::cast_unsigned);
        let cost = (number(1), number(2), number(3));
        Self {
            salt: row.bytes(first).and_then(|salt| salt.try_into().ok()),
            cost: match cost {
                (Some(memory_kib), Some(iterations), Some(parallelism)) => Some(Cost { memory_kib, iterations, parallelism }),
                _ => None,
            },
        }
    }

    /// The challenge; what is missing is made up of these words, and always the same.
    fn challenge(self, tenant: Uuid, words: [&str; 2]) -> Value {
        let [one, two] = words;
        let cost = self.cost.unwrap_or(Cost::DEFAULT);
        let seed = installation::keyed_secret("seed", &[one, two]);
        json!({
            "tenantId": tenant,
            "salt": Bytes::<16>(self.salt.unwrap_or_else(|| installation::keyed(&["salt", one, two]))),
            "memoryKib": cost.memory_kib,
            "iterations": cost.iterations,
            "parallelism": cost.parallelism,
            "saltSeed": STANDARD.encode(seed),
        })
    }
}

/// Slugs and addresses are shorter.
const MAX_CHARACTERS: usize = 512;

/// `nebula.login_challenge`: tenant, salt and cost. Who is unknown gets made-up ones that stay the same, so that nothing tells them apart. Whoever has used up
/// the attempts is told so before anything is derived.
#[must_use]
pub fn login_challenge(slug: &str, email: &str, ip: Option<IpAddr>) -> Value {
    // Nobody's are longer.
    let begin = |text: &str| text.chars().take(MAX_CHARACTERS).collect::<String>();
    let (slug, email) = (&*begin(slug), begin(email.trim()).to_lowercase());
    spi::as_role(PLATFORM, || {
        let found = spi::first(
            "select t.id, s.salt, s.memory_kib, s.iterations, s.parallelism from nebula.tenant t \
             left join nebula.user u on u.tenant_id = t.id and lower(u.email) collate \"C\" = $2 and u.deleted_at is null \
             left join nebula.user_secret s on s.tenant_id = t.id and s.user_id = u.id \
             where t.slug = $1",
            &[Arg::Text(slug), Arg::Text(&email)],
            |row| (row.uuid(1), Stored::read(row, 2)),
        );
        let (tenant, stored) = found.unwrap_or_default();
        let tenant = tenant.unwrap_or_else(|| made_up_tenant(slug));
        if let Some((refusal, counted)) = limit::peek_public(tenant, &email, ip) {
            return refused(&refusal, &[counted]);
        }
        match Guard::new(tenant, &email, ip).peek() {
            Err(refusal) => refused(&refusal, &[]),
            Ok(()) => stored.challenge(tenant, [slug, &email]),
        }
    })
}

fn refused(refusal: &Refusal, limits: &[Counted]) -> Value {
    json!({ "refused": { "code": refusal.code.as_str(), "details": refusal.details, "retryAfterSeconds": refusal.retry_after_seconds, "rateLimits": limits } })
}

/// `nebula.password_challenge`: of the person whose credential, invite or reset token this is. What proves nothing, and whoever has used up the attempts, is refused
/// before anything is derived: a derivation costs more than all the rest of a request.
#[must_use]
pub fn own_challenge(tenant: Uuid, credential: &str, ip: Option<IpAddr>) -> Value {
    let challenged = if credential.starts_with(Kind::Invite.prefix()) {
        of_invite(tenant, credential, ip)
    } else {
        of_credential(tenant, credential, ip)
    };
    challenged.unwrap_or_else(|refusal| refused(&refusal, &[]))
}

fn of_credential(tenant: Uuid, credential: &str, ip: Option<IpAddr>) -> Result<Value> {
    const ACTION: &str = "me.password";
    let authenticated = authenticate::check(tenant, credential, &Rc::from(ACTION), &Rc::new(Origin::default()))?;
    authenticated.standing?;
    let user = authenticated.caller.actor.user().ok_or_else(|| Refusal::forbidden(ACTION, "users_only"))?;
    let (stored, email) = spi::as_role(PLATFORM, || {
        spi::first(
            "select s.salt, s.memory_kib, s.iterations, s.parallelism, u.email from nebula.user u \
             left join nebula.user_secret s on s.tenant_id = u.tenant_id and s.user_id = u.id where u.tenant_id = $1 and u.id = $2",
            &[Arg::Uuid(tenant), Arg::Uuid(user)],
            |row| (Stored::read(row, 1), row.text(5).unwrap_or_default()),
        )
    })
    .unwrap_or_default();
    Guard::new(tenant, &email, ip).peek()?;
    Ok(stored.challenge(tenant, [&tenant.to_string(), &user.to_string()]))
}

/// Whether it was used or is too old is asked later: a repeat of the request that used it must get its answer.
fn of_invite(tenant: Uuid, text: &str, ip: Option<IpAddr>) -> Result<Value> {
    limit::peek_address(ip)?;
    let token = OpaqueToken::parse_as(Kind::Invite, text).filter(|token| token.tenant == tenant);
    let is_known = token.is_some_and(|token| {
        let hash = spi::as_role(PLATFORM, || {
            let args = [Arg::Uuid(tenant), Arg::Uuid(token.id)];
            spi::first("select hash from nebula.invite where tenant_id = $1 and id = $2", &args, |row| row.bytes(1)).flatten()
        });
        hash.is_some_and(|hash| token.secret.matches(&hash))
    });
    if !is_known {
        limit::count_address(ip, &mut Vec::new());
        return Err(Code::InvalidToken.into());
    }
    Ok(Stored::default().challenge(tenant, [&tenant.to_string(), text]))
}

/// An id that looks like a tenant's of this installation's first weeks, always the same for a slug.
fn made_up_tenant(slug: &str) -> Uuid {
    const SPAN_MILLISECONDS: u64 = 30 * 86_400_000;
    let (time, random) = (installation::keyed(&["tenant-time", slug]), installation::keyed(&["tenant", slug]));
    let offset = time.first_chunk::<8>().map_or(0, |bytes| u64::from_be_bytes(*bytes) % SPAN_MILLISECONDS);
    let start = installation::current().id.get_timestamp().map_or(0, |at| at.to_unix().0.saturating_mul(1000));
    let random = random.first_chunk::<10>().copied().unwrap_or_default();
    uuid::Builder::from_unix_timestamp_millis(start.saturating_add(offset), &random).into_uuid()
}

/// Whether the proof is this person's. Nobody's stored key is zeros, which no proof has as its digest.
#[must_use]
pub fn is_right(tenant: Uuid, user: Option<Uuid>, proof: &PasswordProof) -> bool {
    let stored = spi::first(
        "select key_hash from nebula.user_secret where tenant_id = $1 and user_id = $2",
        &[Arg::Uuid(tenant), Arg::OptUuid(user)],
        |row| row.bytes(1),
    );
    let digest: [u8; 32] = Sha256::digest(proof.key.0).into();
    digest.as_slice().ct_eq(&stored.flatten().unwrap_or_else(|| vec![0; 32])).into()
}

/// Stores a new password. It is one way in: invites and older logins end with the old one; `kept` is the session that goes on.
pub fn store(tenant: Uuid, user: Uuid, password: &NewPassword, kept: Option<Uuid>) {
    let number = |value: u32| i32::try_from(value).unwrap_or(i32::MAX);
    spi::run(
        "insert into nebula.user_secret (tenant_id, user_id, salt, memory_kib, iterations, parallelism, key_hash) values ($1, $2, $3, $4, $5, $6, $7) \
         on conflict (tenant_id, user_id) do update set salt = excluded.salt, memory_kib = excluded.memory_kib, iterations = excluded.iterations, \
           parallelism = excluded.parallelism, key_hash = excluded.key_hash",
        &[
            Arg::Uuid(tenant),
            Arg::Uuid(user),
            Arg::Bytes(&password.salt.0),
            Arg::Int(number(password.memory_kib)),
            Arg::Int(number(password.iterations)),
            Arg::Int(number(password.parallelism)),
            Arg::Bytes(&Sha256::digest(password.key.0)),
        ],
    );
    spi::run(
        "update nebula.invite set used_at = now() where tenant_id = $1 and user_id = $2 and used_at is null",
        &[Arg::Uuid(tenant), Arg::Uuid(user)],
    );
    spi::run(
        "update nebula.session set revoked_at = now(), revoked_reason = 'password' \
         where tenant_id = $1 and user_id = $2 and id is distinct from $3 and revoked_at is null",
        &[Arg::Uuid(tenant), Arg::Uuid(user), Arg::OptUuid(kept)],
    );
}

/// Refuses a cost that the edge never asks for.
pub fn check_cost(password: &NewPassword, field: &str) -> Result<()> {
    if password.cost().is_acceptable() { Ok(()) } else { Err(Refusal::invalid(field, "cost")) }
}

/// The person with this address, unless anonymised.
#[must_use]
pub fn person(tenant: Uuid, email: &str) -> Option<Uuid> {
    spi::first(
        "select id from nebula.user where tenant_id = $1 and lower(email) collate \"C\" = lower($2) and deleted_at is null",
        &[Arg::Uuid(tenant), Arg::Text(email)],
        |row| row.uuid(1),
    )
    .flatten()
}
