//! Where each figure comes from.

use super::{
    super::{
        doctor,
        key::{sealing, signing},
    },
    Database, Findings, Keys, Outbox, Replication, Slot, Standby, Status,
};
use crate::{auth::KeySource, config::Config, db, error::Error};
use std::path::Path;
use tokio_postgres::Client;

const SERVER: &str = "select pg_catalog.current_database()::text, pg_catalog.current_setting('server_version'), pg_catalog.pg_is_in_recovery(), \
                      case when pg_catalog.pg_is_in_recovery() then extract(epoch from now() - pg_catalog.pg_last_xact_replay_timestamp())::float8 end";
const STANDBYS: &str = "select coalesce(nullif(s.application_name, ''), s.client_addr::text, '?'), coalesce(s.state, '?'), coalesce(s.sync_state, '?'), \
                        (pg_catalog.pg_current_wal_lsn() - s.replay_lsn)::bigint, extract(epoch from s.replay_lag)::float8 \
                        from pg_catalog.pg_stat_replication s where not pg_catalog.pg_is_in_recovery() order by 1";
const SLOTS: &str = "select s.slot_name::text, s.active, (case when pg_catalog.pg_is_in_recovery() then pg_catalog.pg_last_wal_replay_lsn() \
                     else pg_catalog.pg_current_wal_lsn() end - s.restart_lsn)::bigint from pg_catalog.pg_replication_slots s order by 1";
const SESSIONS: &str = "select s.application_name, count(*) from pg_catalog.pg_stat_activity s \
                        where s.datname = pg_catalog.current_database() and s.application_name in ('nebula-edge', 'nebula-worker') group by 1";
/// What monitoring reads, too (`nebula.metrics`).
const OUTBOX: &str = "select coalesce(sum(m.value) filter (where m.name = 'nebula_outbox_due'), 0)::bigint, \
                      coalesce(sum(m.value) filter (where m.name = 'nebula_outbox_rows' and m.labels ->> 'status' = 'pending'), 0)::bigint, \
                      coalesce(sum(m.value) filter (where m.name = 'nebula_outbox_rows' and m.labels ->> 'status' = 'running'), 0)::bigint, \
                      coalesce(max(m.value) filter (where m.name = 'nebula_outbox_oldest_due_seconds'), 0) from nebula.metrics() m";

/// Everything but the judgement.
pub async fn look(client: &Client, config: &Config, is_quick: bool) -> Result<Status, Error> {
    let server = client.query_typed_one(SERVER, &[]).await?;
    let readiness = db::readiness(client).await?;
    let database = Database {
        name: server.try_get(0)?,
        server_version: server.try_get(1)?,
        extension_version: readiness.extension_version,
        library_version: readiness.library_version,
        schema_version: readiness.schema_version,
        required_version: readiness.required_version,
        migrations_pending: (readiness.required_version - readiness.schema_version).max(0),
    };
    let mut replication =
        Replication { is_standby: server.try_get(2)?, replay_delay_seconds: server.try_get(3)?, standbys: Vec::new(), slots: Vec::new() };
    for row in client.query_typed(STANDBYS, &[]).await? {
        replication.standbys.push(Standby {
            name: row.try_get(0)?,
            state: row.try_get(1)?,
            sync_state: row.try_get(2)?,
            lag_bytes: row.try_get(3)?,
            lag_seconds: row.try_get(4)?,
        });
    }
    for row in client.query_typed(SLOTS, &[]).await? {
        replication.slots.push(Slot { name: row.try_get(0)?, is_active: row.try_get(1)?, retained_bytes: row.try_get(2)? });
    }
    let sessions = client.query_typed(SESSIONS, &[]).await?;
    let sessions = sessions.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect::<Result<_, tokio_postgres::Error>>()?;
    let signing = signing::list(client, &config.keys_dir).await?;
    let sealing = sealing::list(client, &KeySource::of(config)).await?;
    let findings = if is_quick { None } else { Some(findings(client).await?) };
    Ok(Status {
        program_version: env!("CARGO_PKG_VERSION"),
        database,
        replication,
        // An older extension doesn't tell, nor does a newer one whoever may not know.
        outbox: outbox(client).await.ok(),
        sessions,
        keys: Keys {
            signing_active: signing.active(),
            can_sign_here: signing.can_sign(),
            sealing: sealing.sealing(),
            sealing_lacking: sealing.lacking(),
        },
        backup: backup(&config.backup_dir),
        findings,
        problems: Vec::new(),
    })
}

async fn outbox(client: &Client) -> Result<Outbox, tokio_postgres::Error> {
    let row = client.query_typed_one(OUTBOX, &[]).await?;
    Ok(Outbox { due: row.try_get(0)?, pending: row.try_get(1)?, running: row.try_get(2)?, oldest_due_seconds: row.try_get(3)? })
}

async fn findings(client: &Client) -> Result<Findings, Error> {
    const PATIENCE_SECONDS: u32 = 300;
    let found = doctor::Findings::ask(client, None, None, PATIENCE_SECONDS).await?;
    Ok(Findings { errors: found.count("error"), warnings: found.count("warning"), notes: found.count("info") })
}

/// What the backup command wrote last, on the machine that it runs on; `None` where there is nothing of it here.
fn backup(folder: &Path) -> Option<serde_json::Value> {
    let text = std::fs::read_to_string(folder.join("backup-status.json")).ok()?;
    serde_json::from_str(&text).ok()
}
