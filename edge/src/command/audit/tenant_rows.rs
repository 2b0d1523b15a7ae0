//! The rows of a block, held against it.

use super::{finding::Finding, tenant::Verifying};
use crate::{
    audit_chain::{AuditKey, Entry, Erasure, ORIGIN_BYTES, Row},
    error::Error,
};
use tokio_postgres::{Transaction, types::Type};
use uuid::Uuid;

const STATEMENT: &str = "select r.id, r.actor_user_id, r.actor_api_key_id, r.actor_type, r.action, r.entity_type, r.entity_id, r.metadata::text, r.ip::text, r.user_agent, \
    e.user_id, (extract(epoch from e.erased_at) * 1000000)::bigint, e.key_version, e.mac, \
    u.id is not null and coalesce(r.actor_user_id = e.user_id, r.actor_api_key_id is null) \
  from unnest($2::uuid[], $3::bigint[]) with ordinality k (id, created_at, place) \
  left join nebula.audit_log r on r.tenant_id = $1 and r.created_at = timestamptz 'epoch' + k.created_at * interval '1 microsecond' and r.id = k.id \
  left join nebula.audit_erasure e on e.tenant_id = $1 and e.id = k.id \
  left join nebula.user u on u.tenant_id = $1 and u.id = e.user_id and u.deleted_at = e.erased_at \
  order by k.place";

/// What anonymising wrote down of a row.
struct Recorded {
    user: Uuid,
    erased_at: i64,
    key_version: Option<i32>,
    mac: Option<Vec<u8>>,
    /// The person was anonymised then, and the row may be theirs.
    is_due: bool,
}

/// Looks at every row of a block.
pub async fn check(
    transaction: &Transaction<'_>,
    verifying: &mut Verifying<'_>,
    month: &str,
    first_position: i64,
    entries: &[Entry],
    origins: &[u8],
    key: &AuditKey,
) -> Result<(), Error> {
    let tenant = verifying.tenant;
    let ids = entries.iter().map(|entry| entry.id).collect::<Vec<_>>();
    let times = entries.iter().map(|entry| entry.created_at).collect::<Vec<_>>();
    let rows = transaction.query_typed(STATEMENT, &[(&tenant, Type::UUID), (&ids, Type::UUID_ARRAY), (&times, Type::INT8_ARRAY)]).await?;
    let origins = origins.chunks_exact(ORIGIN_BYTES);
    for (position, ((entry, origin), stored)) in (first_position..).zip(entries.iter().zip(origins).zip(&rows)) {
        let mut tell = |kind, what: &str| verifying.findings.push(Finding::of(tenant, month, kind, what).at(position, Some(entry.id)));
        if stored.try_get::<_, Option<Uuid>>(0)?.is_none() {
            tell("row_missing", "the row is gone: deleted, or moved to another tenant or time");
        } else {
            let row = read(stored, tenant, entry)?;
            if row.digest(key) != entry.digest {
                tell("row_changed", "the row is not what was sealed");
            } else if row.has_origin() && !entry.has_origin {
                tell("origin_changed", "the row tells an address or a user agent, and told none when it was sealed");
            } else if entry.has_origin
                && let Some(what) = wrong_origin(verifying, &row, origin, recorded(stored)?.as_ref(), key)
            {
                verifying.findings.push(Finding::of(tenant, month, "origin_changed", what).at(position, Some(entry.id)));
            }
        }
        verifying.rows += 1;
        if verifying.is_enough() {
            return Ok(());
        }
    }
    Ok(())
}

fn read(stored: &tokio_postgres::Row, tenant: Uuid, entry: &Entry) -> Result<Row, Error> {
    Ok(Row {
        tenant,
        id: entry.id,
        created_at: entry.created_at,
        actor_user_id: stored.try_get(1)?,
        actor_api_key_id: stored.try_get(2)?,
        actor_type: stored.try_get(3)?,
        action: stored.try_get(4)?,
        entity_type: stored.try_get(5)?,
        entity_id: stored.try_get(6)?,
        metadata: stored.try_get(7)?,
        ip: stored.try_get(8)?,
        user_agent: stored.try_get(9)?,
    })
}

fn recorded(stored: &tokio_postgres::Row) -> Result<Option<Recorded>, Error> {
    let Some(user) = stored.try_get::<_, Option<Uuid>>(10)? else { return Ok(None) };
    Ok(Some(Recorded {
        user,
        erased_at: stored.try_get(11)?,
        key_version: stored.try_get(12)?,
        mac: stored.try_get(13)?,
        is_due: stored.try_get::<_, Option<bool>>(14)?.unwrap_or_default(),
    }))
}

/// What is wrong with address and user agent of a row that told some when it was sealed.
fn wrong_origin(verifying: &Verifying<'_>, row: &Row, origin: &[u8], recorded: Option<&Recorded>, key: &AuditKey) -> Option<&'static str> {
    match (row.has_origin(), recorded) {
        (true, Some(_)) => Some("address and user agent are back, which anonymising took away"),
        (true, None) if row.origin(key).as_slice() == origin => None,
        (true, None) => Some("address or user agent is not what was sealed"),
        (false, None) => Some("address and user agent were taken away, and nobody was anonymised"),
        (false, Some(recorded)) => {
            let sealed = Erasure { tenant: row.tenant, row: row.id, user: recorded.user, erased_at: recorded.erased_at };
            let is_right = match (&recorded.mac, recorded.key_version) {
                (Some(mac), Some(version)) => {
                    verifying.scope.keys.get(version).is_some_and(|key| sealed.mac(key).as_slice() == mac.as_slice())
                }
                // Not sealed yet: what the worker would find.
                _ => recorded.is_due,
            };
            if !is_right {
                Some("address and user agent were taken away for somebody who was not anonymised then")
            } else if origin.iter().any(|byte| *byte != 0) {
                Some("what would tell a guessed address is still in the block, after anonymising")
            } else {
                None
            }
        }
    }
}
