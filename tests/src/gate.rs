//! Requests that stand still where a test wants them.

use crate::{Database, eventually};
use postgres::Client;

/// Before new groups: a request that creates one waits until the gate is opened.
pub struct Gate<'a> {
    database: &'a Database,
    holder: Client,
}

impl<'a> Gate<'a> {
    #[must_use]
    pub fn before_groups(database: &'a Database) -> Self {
        database.execute(
            "create function public.wait() returns trigger language plpgsql as $$ begin perform pg_advisory_xact_lock(42); return null; end $$; \
             create trigger wait after insert on nebula.\"group\" for each statement execute function public.wait()",
        );
        let mut holder = database.superuser();
        holder.batch_execute("select pg_advisory_lock(42)").unwrap();
        Self { database, holder }
    }

    /// Waits until a request stands before it; its backend.
    #[track_caller]
    pub fn await_one(&self) -> i32 {
        let waiting = "select coalesce(min(l.pid), 0)::bigint from pg_locks l join pg_database d on d.oid = l.database and d.datname = current_database() \
                       where l.locktype = 'advisory' and l.objid = 42 and not l.granted";
        let backend = || i32::try_from(self.database.number(waiting, &[])).unwrap();
        eventually("a request stands before the gate", || backend() != 0);
        backend()
    }

    pub fn open(mut self) {
        self.holder.batch_execute("select pg_advisory_unlock(42)").unwrap();
    }
}
