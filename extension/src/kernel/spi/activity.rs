//! What the server's sessions are doing, as `pg_stat_activity` knows it: that view tells others' transactions to members of `pg_read_all_stats` alone, which no role
//! of ours is.

use pgrx::pg_sys;

/// When the oldest transaction of this database that could write began, this one included, in Postgres' microseconds. `None` where a session hides it
/// (`track_activities = off`). Prepared transactions have no session and are not seen.
#[must_use]
pub fn oldest_transaction_start() -> Option<i64> {
    // SAFETY: the first reads a variable of the backend; the others read a copy that the backend makes at the first call of a transaction, and keeps until its end; positions begin with 1.
    unsafe {
        let mut oldest = pg_sys::GetCurrentTransactionStartTimestamp();
        for position in 1..=pg_sys::pgstat_fetch_stat_numbackends() {
            #[cfg(feature = "pg15")]
            let entry = pg_sys::pgstat_fetch_stat_local_beentry(position);
            #[cfg(not(feature = "pg15"))]
            let entry = pg_sys::pgstat_get_local_beentry_by_index(position);
            let Some(entry) = entry.as_ref() else { continue };
            let status = &entry.backendStatus;
            // Others, such as autovacuum, write no rows of ours.
            let is_client = matches!(status.st_backendType, pg_sys::BackendType::B_BACKEND | pg_sys::BackendType::B_BG_WORKER);
            if status.st_databaseid != pg_sys::MyDatabaseId || !is_client {
                continue;
            }
            if status.st_state == pg_sys::BackendState::STATE_DISABLED {
                return None;
            }
            if status.st_xact_start_timestamp != 0 {
                oldest = oldest.min(status.st_xact_start_timestamp);
            }
        }
        Some(oldest)
    }
}
