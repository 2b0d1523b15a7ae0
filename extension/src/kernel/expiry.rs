//! Rows that end by themselves, deleted a batch of each table at a time. No trigger keeps these, and no index finds them by time: each would cost every write
//! what one pass over the table costs once a day.

use super::{
    place,
    spi::{self, Arg},
};
use serde_json::{Map, Value, json};

const MAX_BATCH: i32 = 10_000;

/// Table, and which of its rows `r` to delete, in an order in which nothing is left that refers to them.
const EXPIRED: [(&str, &str); 9] = [
    ("idempotency_key", "where r.created_at < now() - interval '24 hours'"),
    // No token lives longer than 30 days. A token's predecessor refers to it and is older: it goes before it or with it. Rotated tokens of a living session stay
    // as long, so that their reuse is noticed.
    (
        "refresh_token",
        "join nebula.session s on s.tenant_id = r.tenant_id and s.id = r.session_id \
         where r.created_at < now() - interval '31 days' or s.expires_at < now() - interval '1 day' or s.revoked_at < now() - interval '1 day' \
         order by r.created_at, r.id",
    ),
    (
        "session",
        "where (r.expires_at < now() - interval '1 day' or r.revoked_at < now() - interval '1 day') \
         and not exists (select from nebula.refresh_token t where t.tenant_id = r.tenant_id and t.session_id = r.id)",
    ),
    ("revoked_token", "where r.expires_at < now() - interval '1 hour'"),
    ("invite", "where r.expires_at < now() - interval '7 days'"),
    // Slots of five seconds: ten minutes.
    ("rate_limit", "where r.newest < extract(epoch from now())::bigint / 5 - 120"),
    ("login_failure", "where r.last_failed_at < now() - interval '1 day' and (r.blocked_until is null or r.blocked_until < now())"),
    ("permission_usage", "where r.day < (now() at time zone 'utc')::date - 7"),
    ("quota_usage", "where r.month < (date_trunc('month', now() at time zone 'utc') - interval '2 months')::date"),
];

/// Deletes up to `limit` rows of each table: `{"table": rows}`.
#[must_use]
pub fn purge(limit: i32) -> Value {
    place::require_known();
    let mut deleted = Map::new();
    for (table, rows) in EXPIRED {
        pgrx::check_for_interrupts!();
        // A row that somebody changes meanwhile has another ctid, and stays.
        let sql = format!("delete from nebula.{table} where ctid = any (array(select r.ctid from nebula.{table} r {rows} limit $1))");
        deleted.insert(table.to_owned(), json!(spi::run(&sql, &[Arg::Int(limit.clamp(1, MAX_BATCH))])));
    }
    Value::Object(deleted)
}
