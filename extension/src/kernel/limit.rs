//! Rate limits and quotas: how many requests of whom are admitted, counted in the database and so the same for every edge.

use super::{
    context::Caller,
    error::{Refusal, Result},
    installation,
    operation::{Kind, Operation, TenantFrom},
    rights::Rights,
    shared_memory,
    spi::{self, Arg},
};
use nebula_core::{
    opaque_token::OpaqueToken,
    rate::{Verdict, WINDOW_SECONDS, Window},
};
use serde::Serialize;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use std::net::{IpAddr, Ipv6Addr};
use uuid::Uuid;

/// What requests are counted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Category {
    Auth,
    Read,
    Write,
    Admin,
}

impl Category {
    pub const ALL: [Self; 4] = [Self::Auth, Self::Read, Self::Write, Self::Admin];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Category::Auth => "auth",
            Category::Read => "read",
            Category::Write => "write",
            Category::Admin => "admin",
        }
    }

    /// Requests a minute of a tenant (`auth`: of an account), unless its configuration says otherwise.
    #[must_use]
    pub fn default_limit(self) -> u32 {
        match self {
            Category::Auth => 30,
            Category::Read => 6000,
            Category::Write => 3000,
            Category::Admin => 1200,
        }
    }
}

impl From<Kind> for Category {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Read => Category::Read,
            Kind::Write => Category::Write,
            Kind::Admin => Category::Admin,
        }
    }
}

/// Requests a minute of one address to operations without a credential, of all tenants together: an office behind one address has many accounts.
const AUTH_PER_ADDRESS: u32 = 300;
/// The same of one refresh token or invite, which nobody guesses: retries of a client with many threads are no attack.
const AUTH_PER_TOKEN: u32 = 300;
const BY_ADDRESS: &str = "auth-address";

/// One limit that counted a request, as the edge's headers show it: a member of `context.rateLimits` (docs/edge-protocol.md).
#[derive(Serialize)]
pub struct Counted {
    policy: String,
    limit: u32,
    /// In seconds, as what follows.
    window: u32,
    remaining: u32,
    reset: u32,
}

impl Counted {
    fn new(policy: &str, limit: u32, verdict: Verdict) -> Self {
        Self { policy: policy.to_owned(), limit, window: WINDOW_SECONDS, remaining: verdict.remaining, reset: verdict.reset_seconds }
    }
}

/// Counts a request of the caller's tenant in the operation's category.
pub fn of_tenant(operation: &Operation, caller: &Caller, rights: &Rights, counted: &mut Vec<Counted>) -> Result<()> {
    let category = Category::from(operation.kind);
    let limit = rights.limit(category).unwrap_or_else(|| category.default_limit());
    count(category.as_str(), digest(&[b"tenant", caller.home.as_bytes(), category.as_str().as_bytes()]), limit, counted)
}

/// Counts an allowed call of an action that an override, or a custom operation's own default, limits, in its tenant. What the platform does there uses nothing up.
pub fn of_action(caller: &Caller, rights: &Rights, operation: &Operation, counted: &mut Vec<Counted>) -> Result<QuotaUsed> {
    let action = &*operation.action;
    let Some(right) = rights.of(action).filter(|_| !caller.is_acting()) else { return Ok(QuotaUsed(false)) };
    if let Some(limit) = right.per_minute.or(operation.limits.per_minute) {
        count(action, digest(&[b"action", caller.tenant.as_bytes(), action.as_bytes()]), limit, counted)?;
    }
    of_month(caller, action, right.per_month.or(operation.limits.per_month))
}

/// Counts a request without a credential: one that tries a password by its address and the account that it names, one with a token of its own by that token,
/// and by its address only when the token was refused ([`of_refused_token`]).
pub fn of_public(operation: &Operation, caller: &Caller, input: &Map<String, Value>, counted: &mut Vec<Counted>) -> Result<()> {
    let address = address_key(caller.origin.ip);
    let text = |name: &str| input.get(name).and_then(Value::as_str).unwrap_or_default();
    match operation.tenant_from {
        TenantFrom::BodyToken(field) => {
            let verdict = peek(address, AUTH_PER_ADDRESS);
            if !verdict.is_admitted {
                counted.push(Counted::new(BY_ADDRESS, AUTH_PER_ADDRESS, verdict));
                return Err(Refusal::rate_limited(BY_ADDRESS, verdict.reset_seconds));
            }
            let token = OpaqueToken::parse(text(field)).map(|token| token.id).unwrap_or_default();
            count("auth-token", digest(&[b"token", caller.tenant.as_bytes(), token.as_bytes()]), AUTH_PER_TOKEN, counted)
        }
        TenantFrom::Login | TenantFrom::Credential => {
            count(BY_ADDRESS, address, AUTH_PER_ADDRESS, counted)?;
            // Who asks for resets in somebody's name keeps them from no login.
            let account = if operation.derive.is_empty() { format!("reset {}", text("email").trim()) } else { text("email").to_owned() };
            count(Category::Auth.as_str(), account_key(caller.tenant, &account), auth_limit(caller.tenant), counted)
        }
    }
}

/// The refusal that a request from this address would meet now, without counting it.
pub fn peek_address(ip: Option<IpAddr>) -> Result<()> {
    let verdict = peek(address_key(ip), AUTH_PER_ADDRESS);
    if verdict.is_admitted { Ok(()) } else { Err(Refusal::rate_limited(BY_ADDRESS, verdict.reset_seconds)) }
}

/// Counts a refused request against its address.
pub fn count_address(ip: Option<IpAddr>, counted: &mut Vec<Counted>) {
    // It is refused already.
    let _ = count(BY_ADDRESS, address_key(ip), AUTH_PER_ADDRESS, counted);
}

/// Counts a request with a token that was refused, for whatever reason, against its address: who floods with made-up tokens is stopped there.
pub fn of_refused_token(operation: &Operation, caller: &Caller, counted: &mut Vec<Counted>) {
    if matches!(operation.tenant_from, TenantFrom::BodyToken(_)) {
        count_address(caller.origin.ip, counted);
    }
}

/// The refusal that the same request would meet now, without counting it. Must run where `tenant_config` can be read.
pub fn peek_public(tenant: Uuid, account: &str, ip: Option<IpAddr>) -> Option<(Refusal, Counted)> {
    let limits =
        [(BY_ADDRESS, address_key(ip), AUTH_PER_ADDRESS), (Category::Auth.as_str(), account_key(tenant, account), auth_limit(tenant))];
    limits.into_iter().find_map(|(policy, key, limit)| {
        let verdict = peek(key, limit);
        let counted = Counted::new(policy, limit, verdict);
        (!verdict.is_admitted).then(|| (Refusal::rate_limited(policy, verdict.reset_seconds), counted))
    })
}

fn auth_limit(tenant: Uuid) -> u32 {
    let own = spi::first(
        "select (limits -> 'auth' ->> 'perMinute')::integer from nebula.tenant_config where tenant_id = $1",
        &[Arg::Uuid(tenant)],
        |row| row.integer(1),
    );
    own.flatten().and_then(|limit| u32::try_from(limit).ok()).unwrap_or_else(|| Category::Auth.default_limit())
}

/// What stands for an account, existing or not: a digest that nobody can make of a list of addresses.
#[must_use]
pub fn account_key(tenant: Uuid, account: &str) -> [u8; 16] {
    installation::keyed(&["account", &tenant.to_string(), &account.trim().to_lowercase()])
}

/// What stands for an address. Of IPv6 the network of 64 bits, which is what one subscriber has.
#[must_use]
pub fn address_key(ip: Option<IpAddr>) -> [u8; 16] {
    let network = match ip.map(|ip| ip.to_canonical()) {
        Some(IpAddr::V6(address)) => {
            let [a, b, c, d, ..] = address.segments();
            Some(IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0)))
        }
        other => other,
    };
    installation::keyed(&["address", &network.map_or_else(String::new, |ip| ip.to_string())])
}

fn digest(parts: &[&[u8]]) -> [u8; 16] {
    let mut digest = Sha256::new();
    for part in parts {
        digest.update(part);
        digest.update([0]);
    }
    digest.finalize().first_chunk::<16>().copied().unwrap_or_default()
}

fn now_seconds() -> i64 {
    spi::now_microseconds() / 1_000_000
}

fn peek(key: [u8; 16], limit: u32) -> Verdict {
    let now = now_seconds();
    shared_memory::peek(key, now, limit).unwrap_or_else(|| stored(key).peek(now, limit))
}

fn count(policy: &str, key: [u8; 16], limit: u32, counted: &mut Vec<Counted>) -> Result<()> {
    let now = now_seconds();
    // A key that is new to the memory may have been counted in the table while the memory was full.
    let known = shared_memory::hit(key, now, limit, None);
    let verdict = known.or_else(|| shared_memory::hit(key, now, limit, Some(stored(key)))).unwrap_or_else(|| hit_stored(key, now, limit));
    counted.push(Counted::new(policy, limit, verdict));
    if verdict.is_admitted { Ok(()) } else { Err(Refusal::rate_limited(policy, verdict.reset_seconds)) }
}

// ---- Where the shared memory is full --------------------------------------------------------------------------------------------

fn read(row: &spi::Row) -> Window {
    let newest = row.text(1).and_then(|text| text.parse().ok()).unwrap_or(0);
    Window::from_parts(newest, &row.bytes(2).unwrap_or_default())
}

fn stored(key: [u8; 16]) -> Window {
    spi::first("select newest::text, counts from nebula.rate_limit where key = $1", &[Arg::Bytes(&key)], read).unwrap_or_default()
}

/// Counts in the table. The row stays locked until the request's end: those of one tenant and category wait for each other, which is what makes the count
/// exact. One that is refused takes no lock.
fn hit_stored(key: [u8; 16], now: i64, limit: u32) -> Verdict {
    let seen = stored(key).peek(now, limit);
    if !seen.is_admitted {
        return seen;
    }
    let lock = || spi::first("select newest::text, counts from nebula.rate_limit where key = $1 for update", &[Arg::Bytes(&key)], read);
    let mut window = lock().unwrap_or_else(|| {
        let (newest, counts) = Window::EMPTY.parts();
        spi::run(
            "insert into nebula.rate_limit (key, newest, counts) values ($1, $2, $3) on conflict (key) do nothing",
            &[Arg::Bytes(&key), Arg::BigInt(i64::from(newest)), Arg::Bytes(&counts)],
        );
        sweep(now);
        lock().unwrap_or_default()
    });
    let verdict = window.hit(now, limit);
    let (newest, counts) = window.parts();
    spi::run(
        "update nebula.rate_limit set newest = $2, counts = $3 where key = $1",
        &[Arg::Bytes(&key), Arg::BigInt(i64::from(newest)), Arg::Bytes(&counts)],
    );
    verdict
}

/// Whoever adds a key takes a few old ones away, so that the table follows the traffic of the last minutes.
fn sweep(now: i64) {
    const MINUTES_KEPT: i64 = 10;
    spi::run(
        "delete from nebula.rate_limit where key in (select key from nebula.rate_limit where newest between 1 and $1 order by newest limit 10 for update skip locked)",
        &[Arg::BigInt(i64::from(Window::slot(now - MINUTES_KEPT * 60)))],
    );
}

// ---- Months --------------------------------------------------------------------------------------------------------------------

/// Whether a call has used up one of the month's; see [`give_back`].
#[derive(Clone, Copy)]
pub struct QuotaUsed(bool);

fn of_month(caller: &Caller, action: &str, per_month: Option<u32>) -> Result<QuotaUsed> {
    let Some(per_month) = per_month else { return Ok(QuotaUsed(false)) };
    let counted = spi::first(
        "insert into nebula.quota_usage as usage (tenant_id, tool_action_id, month) \
         select $1, a.id, date_trunc('month', now() at time zone 'utc')::date from nebula.tool_action a where a.key = $2 and $3 > 0 \
         on conflict (tenant_id, tool_action_id, month) do update set count = usage.count + 1 where usage.count < $3 returning true",
        &[Arg::Uuid(caller.tenant), Arg::Text(action), Arg::BigInt(i64::from(per_month))],
        |_| (),
    );
    if counted.is_some() {
        return Ok(QuotaUsed(true));
    }
    let seconds = spi::first(
        "select ceil(extract(epoch from (date_trunc('month', now() at time zone 'utc') + interval '1 month') - now() at time zone 'utc'))::integer",
        &[],
        |row| row.integer(1),
    );
    Err(Refusal::quota_exceeded(action, per_month, seconds.flatten().and_then(|s| u32::try_from(s).ok()).unwrap_or(1)))
}

/// `perMonth` counts calls that had their effect: one that was refused, or that replayed an older answer, is taken off again.
pub fn give_back(used: QuotaUsed, caller: &Caller, action: &str) {
    if used.0 {
        spi::run(
            "update nebula.quota_usage u set count = u.count - 1 from nebula.tool_action a \
             where u.tenant_id = $1 and a.key = $2 and u.tool_action_id = a.id and u.month = date_trunc('month', now() at time zone 'utc')::date",
            &[Arg::Uuid(caller.tenant), Arg::Text(action)],
        );
    }
}
