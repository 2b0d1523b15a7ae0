//! A sealed audit log with some history, and the commands that seal and verify it.

use crate::{Database, Retention, Tenant, cluster::nebula_program, onboard_by_sql};
use serde_json::Value;
use std::{
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};
use uuid::Uuid;

/// Two tenants with rows of two past months and of today, sealed, and their heads exported.
pub struct AuditChain {
    pub retention: Retention,
    pub acme: Tenant<String>,
    pub zeta: Tenant<String>,
    /// Where the keys are.
    pub keys: PathBuf,
}

/// What `nebula audit verify` said.
#[derive(Debug)]
pub struct Verified {
    pub code: i32,
    pub report: Value,
}

impl Verified {
    /// Nothing is wrong.
    #[track_caller]
    pub fn clean(self) -> Value {
        assert_eq!((self.code, self.report["findings"].as_array().unwrap().len()), (0, 0), "{:#}", self.report);
        self.report
    }

    /// The first finding.
    #[track_caller]
    pub fn first(self) -> Value {
        assert_eq!(self.code, 3, "{:#}", self.report);
        self.report["findings"][0].clone()
    }

    /// The kinds of all findings.
    #[must_use]
    pub fn kinds(&self) -> Vec<String> {
        self.report["findings"].as_array().unwrap().iter().map(|finding| finding["kind"].as_str().unwrap().to_owned()).collect()
    }

    /// The first finding is of this kind and names this row.
    #[track_caller]
    pub fn names(self, kind: &str, row: Uuid) {
        let first = self.first();
        assert_eq!((first["kind"].as_str(), first["row"].as_str()), (Some(kind), Some(row.to_string().as_str())), "{first:#}");
    }
}

impl AuditChain {
    #[must_use]
    #[allow(clippy::new_without_default, reason = "it costs a database")]
    pub fn new() -> Self {
        let retention = Retention::new();
        let [acme, zeta] = ["acme", "zeta"].map(|slug| onboard_by_sql(&retention.database, slug));
        for months_ago in [2, 1] {
            retention.plant("audit_log", months_ago);
            for tenant in [&acme, &zeta] {
                retention.write_audit(tenant.id, months_ago, 12);
            }
        }
        let keys = retention.database.installation.keys_dir.clone();
        let chain = Self { retention, acme, zeta, keys };
        chain.seal();
        chain.export().unwrap();
        chain
    }

    #[must_use]
    pub fn database(&self) -> &Database {
        &self.retention.database
    }

    /// `nebula …` on a database.
    #[must_use]
    pub fn nebula_of(&self, database: &Database, keys: &Path, arguments: &[&str]) -> Output {
        Command::new(nebula_program())
            .env_clear()
            .env("NEBULA_ADMIN_DATABASE_URL", database.url(database.installation.cluster.superuser))
            .env("NEBULA_KEYS_DIR", keys)
            .env("NEBULA_STORAGE_URL", format!("file://{}", self.retention.storage.display()))
            .args(arguments)
            .current_dir("/")
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    /// Seals, which must go well.
    #[track_caller]
    pub fn seal(&self) -> String {
        self.does(&["audit", "seal"]).unwrap()
    }

    /// The same, whatever comes of it.
    pub fn try_seal(&self) -> Result<String, String> {
        self.does(&["audit", "seal"])
    }

    /// Writes the heads to the storage.
    pub fn export(&self) -> Result<String, String> {
        self.does(&["audit", "heads", "--export"])
    }

    /// Any command: what it printed, or complained of.
    pub fn does(&self, arguments: &[&str]) -> Result<String, String> {
        let output = self.nebula_of(self.database(), &self.keys, arguments);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
    }

    #[track_caller]
    #[must_use]
    pub fn verify(&self) -> Verified {
        self.verify_with(&[])
    }

    #[track_caller]
    #[must_use]
    pub fn verify_with(&self, arguments: &[&str]) -> Verified {
        self.verify_of(self.database(), arguments)
    }

    #[track_caller]
    #[must_use]
    pub fn verify_of(&self, database: &Database, arguments: &[&str]) -> Verified {
        let output = self.nebula_of(database, &self.keys, &[&["audit", "verify", "--json"], arguments].concat());
        let report = serde_json::from_slice(&output.stdout);
        let report = report.unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
        Verified { code: output.status.code().unwrap(), report }
    }

    /// What a superuser does who has turned the log's triggers off.
    #[track_caller]
    pub fn tamper(&self, sql: &str) {
        self.database().execute(&format!("alter table nebula.audit_log disable trigger user; {sql}"));
    }

    /// A tenant's row of a past month, by its place.
    #[track_caller]
    #[must_use]
    pub fn row(&self, tenant: Uuid, months_ago: i32, place: i64) -> Uuid {
        let sql = "select id from nebula.audit_log where tenant_id = $1 and to_char(created_at at time zone 'utc', 'YYYY-MM') = $2 \
                   order by created_at, id offset $3 limit 1";
        self.database().superuser().query_one(sql, &[&tenant, &self.retention.month(months_ago), &(place - 1)]).unwrap().get(0)
    }

    /// Copies every table that an attacker would set back, under a name of its own.
    pub fn copy(&self, name: &str) {
        let tables = ["audit_log", "audit_segment", "audit_block", "audit_erasure", "audit_watermark"];
        let each = tables.map(|table| format!("create table {name}.{table} as select * from nebula.{table};")).concat();
        self.database().execute(&format!("create schema {name}; {each}"));
    }

    /// Sets the tables back to a copy.
    pub fn set_back(&self, name: &str, tables: &[&str]) {
        let each =
            tables.iter().map(|table| format!("delete from nebula.{table}; insert into nebula.{table} select * from {name}.{table};"));
        self.tamper(&each.collect::<String>());
    }
}
