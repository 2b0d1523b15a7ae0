//! `nebula audit verify`: reads the tables themselves, in pages, and computes every seal anew. A tenant is read in one snapshot.

use super::{
    finding::Finding,
    outside,
    tenant::{self, Scope},
};
use crate::{
    audit_chain::{self, AuditKeys, Heads, Watermark},
    command::output::tell,
    config::Config,
    db,
    error::{Error, Exit},
};
use serde::Serialize;
use std::{collections::BTreeSet, fmt, path::PathBuf};
use tokio_postgres::{Client, types::Type};
use uuid::Uuid;

#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// This tenant's log alone, by id or slug.
    #[arg(long)]
    tenant: Option<String>,
    /// Heads that were kept elsewhere than in the object storage: a file of what `nebula audit heads` printed.
    #[arg(long, value_name = "FILE")]
    heads: Option<PathBuf>,
    /// How long a row may wait to be sealed before that is a finding.
    #[arg(long, default_value_t = 3600)]
    max_lag_seconds: u32,
}

/// What was verified.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    pub tenants: u64,
    pub rows: u64,
    /// Rows that no block has yet.
    pub unsealed_rows: i64,
    /// How long the oldest of them has waited.
    pub unsealed_seconds: Option<i64>,
    /// Months whose rows retention dropped.
    pub dropped_months: u64,
    /// When the heads were exported that this was held against; without any nobody can tell whether the newest rows were cut off.
    pub heads_at: Option<String>,
    pub findings: Vec<Finding>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.findings.is_empty() {
            writeln!(f, "every sealed row is as it was sealed")?;
        }
        self.findings.iter().try_for_each(|finding| writeln!(f, "{}", finding.text()))?;
        let lag = self.unsealed_seconds.map(|seconds| format!(", the oldest for {seconds} s")).unwrap_or_default();
        writeln!(
            f,
            "{} rows of {} tenants verified, {} months dropped by retention, {} rows not sealed yet{lag}",
            self.rows, self.tenants, self.dropped_months, self.unsealed_rows
        )?;
        match &self.heads_at {
            Some(at) => write!(f, "held against the heads that were exported at {at}"),
            None => f.write_str(
                "no exported heads: that the newest rows were cut off with their seals would not show (NEBULA_STORAGE_URL, --heads)",
            ),
        }
    }
}

const TABLES: [&str; 6] = ["audit_log", "audit_key", "audit_segment", "audit_block", "audit_erasure", "audit_watermark"];

/// Every tenant that has rows, seals or a name.
const TENANTS: &str = "with recursive present (tenant_id) as ( \
    (select tenant_id from nebula.audit_log order by tenant_id limit 1) \
    union all \
    select (select r.tenant_id from nebula.audit_log r where r.tenant_id > p.tenant_id order by r.tenant_id limit 1) from present p where p.tenant_id is not null \
  ) \
  select tenant_id from present where tenant_id is not null \
  union select tenant_id from nebula.audit_segment union select tenant_id from nebula.audit_block";

pub async fn run(arguments: &Arguments, config: &Config) -> Result<Exit, Error> {
    let mut client = db::connect_admin(config.require_admin_database_url()?).await?;
    // Seals are looked up by key; a plan of a small table must not read a large one.
    client.batch_execute("set jit = off; set timezone = 'UTC'; set datestyle = 'ISO'; set search_path = pg_catalog, pg_temp").await?;
    let heads = outside::load(arguments.heads.as_deref(), config).await?;
    let mut report = Report { heads_at: heads.as_ref().map(|heads| heads.at.clone()), ..Report::default() };
    if tables_are_there(&client, &mut report).await? {
        check(&mut client, arguments, config, heads.as_ref(), &mut report).await?;
    }
    tell(&report)?;
    Ok(if report.findings.is_empty() { Exit::Done } else { Exit::Findings })
}

async fn check(
    client: &mut Client,
    arguments: &Arguments,
    config: &Config,
    heads: Option<&Heads>,
    report: &mut Report,
) -> Result<(), Error> {
    let keys = keys(client, config, report).await?;
    let watermark = watermark(client, &keys, heads, report).await?;
    let scope = Scope { keys: &keys, heads, complete_before: watermark, max_lag_seconds: arguments.max_lag_seconds.into() };
    for tenant in tenants(client, arguments.tenant.as_deref(), heads).await? {
        tenant::verify(client, &scope, tenant, report).await?;
        report.tenants += 1;
    }
    Ok(())
}

async fn tables_are_there(client: &Client, report: &mut Report) -> Result<bool, Error> {
    for table in TABLES {
        let statement = "select exists (select from pg_class where relnamespace = to_regnamespace('nebula') and relname = $1 and relkind in ('r', 'p'))";
        let row = client.query_typed_one(statement, &[(&table, Type::TEXT)]).await?;
        if !row.try_get::<_, bool>(0)? {
            let what = format!("there is no table nebula.{table}: dropped, or `nebula migrate` was not run");
            report.findings.push(Finding { kind: "table_missing", what, ..Finding::default() });
        }
    }
    Ok(report.findings.is_empty())
}

/// The keys; what does not fit is found before anything is verified with it.
async fn keys(client: &Client, config: &Config, report: &mut Report) -> Result<AuditKeys, Error> {
    let rows = client.query_typed("select version, fingerprint from nebula.audit_key", &[]).await?;
    let registered = audit_chain::registered(&rows)?;
    let keys = AuditKeys::load(&config.keys_dir, registered.clone())?;
    if keys.local().next().is_none() {
        return Err(Error::AuditKey(format!("no audit-*.key in {}: verify where a worker has them", config.keys_dir.display())));
    }
    for what in keys.complaints() {
        report.findings.push(Finding { kind: "key_registration", what, ..Finding::default() });
    }
    let used = "select distinct v from (select key_version from nebula.audit_segment union all select key_version from nebula.audit_watermark) k (v)";
    for row in client.query_typed(used, &[]).await? {
        let version = row.try_get::<_, i32>(0)?;
        if !u16::try_from(version).is_ok_and(|version| registered.contains_key(&version)) {
            let what = format!("version {version} has sealed, and is not registered");
            report.findings.push(Finding { kind: "key_registration", what, ..Finding::default() });
        }
    }
    Ok(keys)
}

async fn watermark(client: &Client, keys: &AuditKeys, heads: Option<&Heads>, report: &mut Report) -> Result<Option<i64>, Error> {
    let mut wrong = |what: &str| report.findings.push(Finding { kind: "watermark", what: what.to_owned(), ..Finding::default() });
    let statement = "select (extract(epoch from complete_before) * 1000000)::bigint, (extract(epoch from sealed_at) * 1000000)::bigint, key_version, mac \
                     from nebula.audit_watermark";
    let outside = heads.and_then(|heads| heads.complete_before);
    let rows = client.query_typed(statement, &[]).await?;
    let Some(row) = rows.first() else {
        let row = client.query_typed_one("select exists (select from nebula.audit_segment)", &[]).await?;
        if outside.is_some() || row.try_get::<_, bool>(0)? {
            wrong("the watermark is gone");
        }
        return Ok(outside);
    };
    let watermark = Watermark { complete_before: row.try_get(0)?, sealed_at: row.try_get(1)? };
    let is_ours = keys.get(row.try_get(2)?).is_some_and(|key| watermark.mac(key).as_slice() == row.get::<_, &[u8]>(3));
    if !is_ours {
        wrong("the watermark's seal is not ours");
        return Ok(outside);
    }
    if outside > Some(watermark.complete_before) {
        wrong("the watermark is older than the one that was exported: it was set back");
    }
    Ok(outside.max(Some(watermark.complete_before)))
}

async fn tenants(client: &Client, only: Option<&str>, heads: Option<&Heads>) -> Result<BTreeSet<Uuid>, Error> {
    if let Some(only) = only {
        let rows = client.query_typed("select id from nebula.tenant where id::text = $1 or slug = $1", &[(&only, Type::TEXT)]).await?;
        let id = rows.first().map(|row| row.try_get(0)).transpose()?.or_else(|| only.parse().ok());
        return Ok([id.ok_or_else(|| Error::NotFound { what: "tenant", name: only.to_owned() })?].into());
    }
    let mut tenants = heads.map(|heads| heads.heads.iter().map(|head| head.tenant).collect::<BTreeSet<_>>()).unwrap_or_default();
    for row in client.query_typed(TENANTS, &[]).await? {
        tenants.insert(row.try_get(0)?);
    }
    Ok(tenants)
}
