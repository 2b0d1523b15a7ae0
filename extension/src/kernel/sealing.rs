//! Sealing keys as the database knows them, by number and fingerprint, and sealing anew. No key ever comes here, and nothing is opened here.

use super::{
    context::{self, Actor, Caller, Origin},
    spi::{self, Arg},
};
use std::rc::Rc;
use uuid::Uuid;

/// A column that holds what the edge sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source {
    /// `table.column`.
    pub name: &'static str,
    table: &'static str,
    sealed: &'static str,
    version: &'static str,
}

/// All of them. What is sealed there is bound to a field's name, which `edge/src/worker/reseal.rs` knows.
pub const SOURCES: [Source; 3] = [
    Source {
        name: "integration_credential.data_encrypted",
        table: "nebula.integration_credential",
        sealed: "data_encrypted",
        version: "key_version",
    },
    Source {
        name: "webhook_subscription.secret_sealed",
        table: "nebula.webhook_subscription",
        sealed: "secret_sealed",
        version: "secret_key_version",
    },
    Source {
        name: "webhook_subscription.previous_secret_sealed",
        table: "nebula.webhook_subscription",
        sealed: "previous_secret_sealed",
        version: "previous_secret_key_version",
    },
];

impl Source {
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        SOURCES.into_iter().find(|source| source.name == name)
    }
}

/// A value as it lies in its row.
pub struct SealedRow {
    pub tenant: Uuid,
    pub id: Uuid,
    pub version: i32,
    pub sealed: Vec<u8>,
}

/// Registers which key a version is; false where it is known as another.
#[must_use]
pub fn register(version: i32, fingerprint: &[u8]) -> bool {
    spi::run(
        "insert into nebula.sealing_key (version, fingerprint) values ($1, $2) on conflict (version) do nothing",
        &[Arg::Int(version), Arg::Bytes(fingerprint)],
    );
    spi::first("select fingerprint = $2 from nebula.sealing_key where version = $1", &[Arg::Int(version), Arg::Bytes(fingerprint)], |row| {
        row.boolean(1)
    })
    .flatten()
        == Some(true)
}

/// Version and fingerprint of every registered key.
#[must_use]
pub fn registered() -> Vec<(i32, Vec<u8>)> {
    let rows = spi::rows("select version, fingerprint from nebula.sealing_key order by version", &[], |row| {
        Some((row.integer(1)?, row.bytes(2)?))
    });
    rows.into_iter().flatten().collect()
}

/// How many values each version still seals, with the registered ones that seal none.
#[must_use]
pub fn counts() -> Vec<(i32, i64)> {
    let rows = spi::rows(
        "select version, count(source)::text \
         from ( \
           select version, null as source from nebula.sealing_key \
           union all select key_version, 'c' from nebula.integration_credential \
           union all select secret_key_version, 'w' from nebula.webhook_subscription \
           union all select previous_secret_key_version, 'p' from nebula.webhook_subscription where previous_secret_sealed is not null \
         ) sealed \
         group by version order by version",
        &[],
        |row| Some((row.integer(1)?, row.text(2)?.parse().ok()?)),
    );
    rows.into_iter().flatten().collect()
}

/// The next values after a place that an older key than this has sealed.
#[must_use]
pub fn rows(source: Source, below_version: i32, (after_tenant, after_id): (Uuid, Uuid), limit: i32) -> Vec<SealedRow> {
    let Source { table, sealed, version, .. } = source;
    let rows = spi::rows(
        &format!(
            "select tenant_id, id, {version}, {sealed} from {table} \
             where {sealed} is not null and {version} < $1 and (tenant_id, id) > ($2, $3) order by tenant_id, id limit $4"
        ),
        &[Arg::Int(below_version), Arg::Uuid(after_tenant), Arg::Uuid(after_id), Arg::BigInt(i64::from(limit.clamp(1, 1000)))],
        |row| Some(SealedRow { tenant: row.uuid(1)?, id: row.uuid(2)?, version: row.integer(3)?, sealed: row.bytes(4)? }),
    );
    rows.into_iter().flatten().collect()
}

/// Puts the same value, sealed by a newer key that is registered, into the place of exactly what was read: what somebody has changed since stays. Nothing is
/// changed for the tenant, so `updated_at` stays, too (null there means so to its trigger).
#[must_use]
pub fn replace(source: Source, old: &SealedRow, new_version: i32, new_sealed: &[u8]) -> bool {
    let Source { table, sealed, version, .. } = source;
    let (tenant, origin) = (old.tenant, Rc::new(Origin { request_id: Uuid::now_v7().to_string(), ..Origin::default() }));
    let _scope =
        context::enter(Caller { tenant, home: tenant, actor: Actor::Nobody, action: Rc::from("keys.reseal"), origin, session: None });
    spi::run(
        &format!(
            "update {table} set {sealed} = $6, {version} = $5, updated_at = null \
             where tenant_id = $1 and id = $2 and {version} = $3 and {sealed} = $4 and $5 > $3 \
               and exists (select from nebula.sealing_key where version = $5)"
        ),
        &[
            Arg::Uuid(tenant),
            Arg::Uuid(old.id),
            Arg::Int(old.version),
            Arg::Bytes(&old.sealed),
            Arg::Int(new_version),
            Arg::Bytes(new_sealed),
        ],
    ) > 0
}
