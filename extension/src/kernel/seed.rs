//! Seeds: the global catalog, and a tenant's default groups. Running one again changes nothing.

use super::{
    installation,
    spi::{self, Arg},
};
use nebula_core::{
    hex,
    opaque_token::{Kind, OpaqueToken, Secret},
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use uuid::Uuid;

const CATALOG: &str = include_str!("../../../sql/seeds/catalog.json");
/// In order: the platform first, since changes of the catalog are audited in its log.
const CATALOG_SQL: [&str; 5] = [
    include_str!("../../../sql/seeds/platform_tenant.sql"),
    include_str!("../../../sql/seeds/tool.sql"),
    include_str!("../../../sql/seeds/tool_action.sql"),
    include_str!("../../../sql/seeds/package.sql"),
    include_str!("../../../sql/seeds/package_action.sql"),
];
const TENANT_GROUP: &str = include_str!("../../../sql/seeds/tenant_group.sql");
const TENANT_GROUP_PERMISSION: &str = include_str!("../../../sql/seeds/tenant_group_permission.sql");

/// Which default groups follow which packages: what a tenant's administrators took away from OPERATOR and VIEWER comes back only when
/// somebody asks for it.
#[derive(Clone, Copy)]
pub enum Extent {
    /// All default groups, all packages: a new tenant, or the explicit command.
    Everything,
    /// All default groups, one package that was just assigned.
    Package(Uuid),
    /// ADM_CLIENTE alone, which is defined as everything in the packages.
    Administrators,
}

/// Upserts the global catalog and the platform's tenant; `{"changed": rows}`. Must run as `nebula_platform`.
pub fn catalog() -> Value {
    let mut changed = 0;
    for sql in CATALOG_SQL {
        changed += spi::run(sql, &[Arg::Text(CATALOG)]);
    }
    if let Some(platform) = installation::platform_tenant() {
        changed += spi::run(
            "insert into nebula.tenant_package (tenant_id, package_id) select $1, id from nebula.package where key = 'platform' \
             on conflict (tenant_id, package_id) do nothing",
            &[Arg::Uuid(platform)],
        );
        changed += spi::run(TENANT_GROUP, &[Arg::Uuid(platform)]);
    }
    changed += administrators_of_all();
    remember("catalog", None, CATALOG, changed);
    json!({ "changed": changed })
}

/// What packages grant may have grown: every tenant's administrators follow. Returns how many grants were added.
pub fn administrators_of_all() -> u64 {
    spi::run(TENANT_GROUP_PERMISSION, &[Arg::OptUuid(None), Arg::OptUuid(None), Arg::Bool(true)])
}

/// Upserts the default groups of a tenant and what they grant, from its packages; returns how many rows changed.
pub fn tenant(tenant: Uuid, extent: Extent) -> u64 {
    let changed = tenant_rows(tenant, extent);
    remember("tenant", Some(tenant), TENANT_GROUP_PERMISSION, changed);
    changed
}

fn tenant_rows(tenant: Uuid, extent: Extent) -> u64 {
    let (package, is_admin_only) = match extent {
        Extent::Everything => (None, false),
        Extent::Package(package) => (Some(package), false),
        Extent::Administrators => (None, true),
    };
    spi::run(TENANT_GROUP, &[Arg::Uuid(tenant)])
        + spi::run(TENANT_GROUP_PERMISSION, &[Arg::OptUuid(Some(tenant)), Arg::OptUuid(package), Arg::Bool(is_admin_only)])
}

/// A run that changed nothing is remembered once.
fn remember(name: &str, tenant: Option<Uuid>, text: &str, changed: u64) {
    spi::run(
        "insert into nebula.seed_history (name, tenant_id, checksum, changed) select $1, $2, $3, $4 \
         where $4 > 0 or not exists (select from nebula.seed_history h where h.name = $1 and h.tenant_id is not distinct from $2 and h.checksum = $3)",
        &[
            Arg::Text(name),
            Arg::OptUuid(tenant),
            Arg::Text(&hex::encode(&Sha256::digest(text))),
            Arg::Int(i32::try_from(changed).unwrap_or(i32::MAX)),
        ],
    );
}

/// Makes a key of the platform's tenant with the profile `admin`; the returned secret stands nowhere else. For the DBA.
pub fn operator_key(name: &str) -> Option<String> {
    let platform = installation::platform_tenant()?;
    let token = OpaqueToken { kind: Kind::ApiKey, tenant: platform, id: Uuid::now_v7(), secret: Secret(spi::random()) };
    let made = spi::run(
        "insert into nebula.api_key (tenant_id, id, name, role, hash) values ($1, $2, $3, 'admin', $4) on conflict (tenant_id, name) do nothing",
        &[Arg::Uuid(platform), Arg::Uuid(token.id), Arg::Text(name), Arg::Bytes(&token.secret.digest())],
    );
    (made > 0).then(|| token.reveal())
}
