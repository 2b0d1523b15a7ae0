//! A worker's session, spoken by hand: the functions of docs/worker-protocol.md.

use crate::Database;
use postgres::{Client, types::ToSql};
use serde_json::Value;
use uuid::Uuid;

/// A session of the worker's login under a name.
pub struct Queue {
    pub client: Client,
    pub name: String,
}

/// What `claim` answered.
#[derive(Clone, Debug)]
pub struct Leased {
    pub id: Uuid,
    pub tenant: Option<Uuid>,
    pub kind: String,
    pub data: Value,
    pub attempt: i32,
    pub aggregate: Option<String>,
}

impl Queue {
    /// A worker of a database that is adopted.
    #[must_use]
    pub fn new(database: &Database, name: &str) -> Self {
        database.execute("select nebula.adopt_here()");
        Self { client: database.connect("nebula_worker"), name: name.to_owned() }
    }

    /// Leases up to so many jobs for a minute.
    #[track_caller]
    pub fn claim(&mut self, limit: i32) -> Vec<Leased> {
        self.claim_with(limit, "1 minute", None, &[])
    }

    /// The same with every argument.
    #[track_caller]
    pub fn claim_with(&mut self, limit: i32, lease: &str, per_tenant: Option<i32>, busy: &[Uuid]) -> Vec<Leased> {
        let sql = "select id, tenant_id, kind, data::text, attempt, aggregate from nebula.claim($1, $2, $3::text::interval, $4, $5)";
        let rows = self.client.query(sql, &[&self.name, &limit, &lease, &per_tenant, &busy]).unwrap();
        let leased = |row: postgres::Row| Leased {
            id: row.get(0),
            tenant: row.get(1),
            kind: row.get(2),
            data: serde_json::from_str(row.get(3)).unwrap(),
            attempt: row.get(4),
            aggregate: row.get(5),
        };
        rows.into_iter().map(leased).collect()
    }

    /// Finishes jobs; how many of them.
    #[track_caller]
    pub fn complete(&mut self, jobs: &[Leased]) -> usize {
        self.of_leases("select id from nebula.complete($1, $2, $3)", jobs, &[])
    }

    /// Prolongs leases; how many of them.
    #[track_caller]
    pub fn extend(&mut self, jobs: &[Leased], lease: &str) -> usize {
        self.of_leases("select id from nebula.extend($1, $2, $3, $4::text::interval)", jobs, &[&lease])
    }

    /// Hands events to the webhooks; how many of them.
    #[track_caller]
    pub fn fan_out(&mut self, jobs: &[Leased]) -> usize {
        self.of_leases("select from generate_series(1, nebula.fan_out($1, $2, $3))", jobs, &[])
    }

    /// Hands due events on; how many were due.
    #[track_caller]
    pub fn relay(&mut self, limit: i32) -> i32 {
        self.client.query_one("select nebula.relay($1, $2)", &[&self.name, &limit]).unwrap().get(0)
    }

    #[track_caller]
    fn of_leases(&mut self, sql: &str, jobs: &[Leased], more: &[&(dyn ToSql + Sync)]) -> usize {
        let ids = jobs.iter().map(|job| job.id).collect::<Vec<_>>();
        let attempts = jobs.iter().map(|job| job.attempt).collect::<Vec<_>>();
        let mut args: Vec<&(dyn ToSql + Sync)> = vec![&self.name, &ids, &attempts];
        args.extend(more);
        self.client.query(sql, &args).unwrap().len()
    }

    /// Reports a failure; the new status, if the lease was still this worker's.
    #[track_caller]
    pub fn fail(&mut self, job: &Leased, retry_after: Option<&str>, is_dead: bool) -> Option<String> {
        let sql = "select nebula.fail($1, $2, $3, 'it failed', $4::text::interval, $5)";
        self.client.query_one(sql, &[&self.name, &job.id, &job.attempt, &retry_after, &is_dead]).unwrap().get(0)
    }
}
