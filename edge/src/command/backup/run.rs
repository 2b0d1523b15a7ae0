//! `nebula backup run`.

use super::{PgBackRest, list::time, manifest::Manifest, server::Server, status::Status};
use crate::{
    command::output::{note, tell},
    config::Config,
    error::Error,
};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How long the end of a backup may take to arrive in the archive.
const PATIENCE: Duration = Duration::from_secs(120);

#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Everything; what changed since the last full one; what changed since the last one. The first is full, whatever is said.
    #[arg(long, value_enum, default_value_t = Kind::Incr)]
    kind: Kind,
    /// Doesn't read every table for `nebula backup verify`, which then can't tell whether a later backup is good.
    #[arg(long)]
    without_manifest: bool,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Kind {
    Full,
    Diff,
    Incr,
}

pub async fn run(arguments: &Arguments, config: &Config) -> Result<(), Error> {
    let made = make(arguments, config).await;
    if let Err(error) = &made
        && config.backup_dir.is_dir()
    {
        Status { ok: false, problems: vec![error.to_string()], ..Status::load(config).unwrap_or_default() }.save(config)?;
    }
    made
}

async fn make(arguments: &Arguments, config: &Config) -> Result<(), Error> {
    let server = Server::find(config).await?;
    let pgbackrest = PgBackRest::new(config, &server.user);
    let kind = match arguments.kind {
        Kind::Full => "full",
        Kind::Diff => "diff",
        Kind::Incr => "incr",
    };
    note("backing up …");
    pgbackrest.run(&["backup", &format!("--type={kind}")])?;
    let backups = pgbackrest.backups()?;
    let newest = backups.last().ok_or_else(|| Error::Backup("pgbackrest knows of no backup".to_owned()))?;
    if !arguments.without_manifest {
        note("reading every table, for `nebula backup verify` …");
        let manifest = Manifest::take(config, &newest.label).await?;
        wait_until_archived(&server).await?;
        manifest.save(config, &backups.iter().map(|backup| backup.label.clone()).collect::<Vec<_>>())?;
    }
    let status = Status {
        kind: Some(newest.kind.clone()),
        label: Some(newest.label.clone()),
        finished_at: Some(time(newest.timestamp.stop)),
        size_bytes: Some(newest.info.size),
        ok: true,
        problems: Vec::new(),
        ..Status::load(config)?
    };
    status.save(config)?;
    tell(&status)
}

/// Without its WAL the point could not be reached.
async fn wait_until_archived(server: &Server) -> Result<(), Error> {
    let segment = "select pg_catalog.pg_walfile_name(pg_catalog.pg_switch_wal())";
    let wanted: String = server.client.query_typed_one(segment, &[]).await?.try_get(0)?;
    let deadline = Instant::now() + PATIENCE;
    loop {
        let sql = "select last_archived_wal, last_failed_time is not null and last_failed_time > coalesce(last_archived_time, '-infinity') \
             from pg_catalog.pg_stat_archiver";
        let row = server.client.query_typed_one(sql, &[]).await?;
        // A timeline's segments sort by name; a history or backup label after the segment that it belongs to.
        if row.try_get::<_, Option<String>>(0)?.is_some_and(|newest| newest >= wanted) {
            return Ok(());
        }
        if Instant::now() >= deadline {
            let reason = if row.try_get(1)? { "archiving fails: see the server's log" } else { "archiving is slow" };
            return Err(Error::Backup(format!("{wanted} did not arrive in the repository: {reason}")));
        }
        sleep(Duration::from_millis(100)).await;
    }
}
