//! Who guesses passwords is slowed down, by account and by address, and no faster for accounts that don't exist.

use super::{
    error::{Refusal, Result},
    limit,
    spi::{self, Arg},
};
use std::net::IpAddr;
use uuid::Uuid;

/// Wrong passwords that cost nothing: people mistype.
const FREE_FOR_ACCOUNT: i32 = 5;
/// More, since an office behind one address has many people who do.
const FREE_FOR_ADDRESS: i32 = 20;
/// The longest wait. Who attacks an account can keep its person waiting, too, but not for longer than this.
const LONGEST_SECONDS: i32 = 300;

/// One attempt to use a password.
pub struct Guard {
    account: [u8; 16],
    address: [u8; 16],
}

impl Guard {
    #[must_use]
    pub fn new(tenant: Uuid, email: &str, ip: Option<IpAddr>) -> Self {
        Self { account: limit::account_key(tenant, email), address: limit::address_key(ip) }
    }

    /// Lets the attempt through, or refuses it without looking at the password. Attempts on one account come one after the other from here to the end of the
    /// transaction, so that parallel guesses are counted one by one.
    pub fn enter(&self) -> Result<()> {
        spi::advisory_lock(&format!("login/{}", nebula_core::hex::encode(&self.account)));
        self.peek()
    }

    /// The same without waiting for others.
    pub fn peek(&self) -> Result<()> {
        let wait = spi::first(
            "select ceil(extract(epoch from max(blocked_until) - clock_timestamp()))::integer from nebula.login_failure \
             where key in ($1, $2) and blocked_until > clock_timestamp()",
            &[Arg::Bytes(&self.account), Arg::Bytes(&self.address)],
            |row| row.integer(1),
        );
        match wait.flatten().and_then(|seconds| u32::try_from(seconds).ok()) {
            Some(seconds) => Err(Refusal::rate_limited("login-failures", seconds.max(1))),
            None => Ok(()),
        }
    }

    /// The password was wrong: from the free attempts on each one doubles the wait, from a second up.
    pub fn failed(&self) {
        for (key, free) in [(&self.account, FREE_FOR_ACCOUNT), (&self.address, FREE_FOR_ADDRESS)] {
            spi::run(
                "insert into nebula.login_failure as f (key, failures) values ($1, 1) \
                 on conflict (key) do update set last_failed_at = clock_timestamp(), \
                   failures = case when f.last_failed_at < clock_timestamp() - interval '1 hour' then 1 else f.failures + 1 end, \
                   blocked_until = case when f.failures + 1 >= $2 and f.last_failed_at >= clock_timestamp() - interval '1 hour' \
                     then clock_timestamp() + make_interval(secs => least($3, 2 ^ least(f.failures + 1 - $2, 20))) end",
                &[Arg::Bytes(key), Arg::Int(free), Arg::Int(LONGEST_SECONDS)],
            );
        }
        spi::run(
            "delete from nebula.login_failure where key in \
             (select key from nebula.login_failure where last_failed_at < now() - interval '1 day' order by last_failed_at limit 10 for update skip locked)",
            &[],
        );
    }

    /// The password was right. The address keeps its count: one good account buys no guesses at others.
    pub fn passed(&self) {
        spi::run("delete from nebula.login_failure where key = $1", &[Arg::Bytes(&self.account)]);
    }
}
