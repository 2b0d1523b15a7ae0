//! Tenants: onboarding, standing, packages, exceptions. All of it is the platform's.

use crate::kernel::{
    audit,
    context::Actor,
    error::{Refusal, Result},
    invite::{self, Invite},
    operation::{
        Call, Kind,
        Method::{Delete, Get, Patch, Post, Put},
        Operation, Reply, Scope, Sorts, shape,
    },
    outbox,
    page::{List, ListInput, Status},
    permission::ADMIN_GROUP,
    seed::{self, Extent},
    spi::{self, Arg},
};
use nebula_core::{
    error::Code,
    object,
    text::{Description, Email, Instant, Key, Name, Slug},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use uuid::Uuid;

const SORTS: Sorts = &[("created_at", "timestamptz"), ("slug", "text"), ("name", "text")];

#[must_use]
pub fn operations() -> Vec<Operation> {
    [
        Operation::new("tenants.create", (Post, "/v1/tenants"), Kind::Admin, create)
            .success(201)
            .reveals_secret()
            .answers::<Onboarded>()
            .summary("Cria um tenant com pacote, administrador e convite", "Creates a tenant with package, administrator and invite"),
        Operation::new("tenants.list", (Get, "/v1/tenants"), Kind::Read, list)
            .lists::<Tenant>()
            .sorts(SORTS)
            .summary("Lista os tenants", "Lists tenants"),
        Operation::new("tenants.read", (Get, "/v1/tenants/{tenantId}"), Kind::Read, read)
            .answers::<Tenant>()
            .summary("Mostra um tenant", "Shows a tenant"),
        Operation::new("tenants.update", (Patch, "/v1/tenants/{tenantId}"), Kind::Admin, update)
            .answers::<Tenant>()
            .summary("Altera um tenant", "Changes a tenant"),
        Operation::new("tenants.status", (Patch, "/v1/tenants/{tenantId}/status"), Kind::Admin, set_status)
            .answers::<Tenant>()
            .summary("Suspende ou reativa um tenant", "Suspends or reactivates a tenant"),
        Operation::new("tenants.packages.assign", (Post, "/v1/tenants/{tenantId}/packages/{packageKey}/assign"), Kind::Admin, assign)
            .answers::<AssignedPackage>()
            .summary("Atribui um pacote", "Assigns a package"),
        Operation::new("tenants.packages.unassign", (Delete, "/v1/tenants/{tenantId}/packages/{packageKey}"), Kind::Admin, unassign)
            .summary("Retira um pacote", "Takes a package away"),
        Operation::new("tenants.overrides.set", (Put, "/v1/tenants/{tenantId}/overrides/{actionKey}"), Kind::Admin, set_override)
            .answers::<Override>()
            .summary("Define uma exceção para uma ação", "Sets an exception for an action"),
        Operation::new("tenants.overrides.remove", (Delete, "/v1/tenants/{tenantId}/overrides/{actionKey}"), Kind::Admin, remove_override)
            .summary("Remove uma exceção", "Removes an exception"),
        Operation::new("tenants.seed", (Post, "/v1/tenants/{tenantId}/seeds"), Kind::Admin, run_seed)
            .answers::<Seeded>()
            .summary("Refaz os grupos padrão de um tenant", "Makes a tenant's default groups again"),
    ]
    .map(|operation| operation.scope(Scope::Platform))
    .into()
}

shape! {
    /// A company that uses the platform, or the platform itself.
    Tenant {
        id: Uuid,
        slug: Slug,
        name: Name,
        kind: TenantKind,
        status: Status,
        suspended_reason: Option<String>,
        created_at: Instant,
        updated_at: Instant,
    }
}

#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
#[allow(dead_code, reason = "describes what SQL makes")]
enum TenantKind {
    Platform,
    Customer,
}

shape! {
    /// A new tenant, its first administrator, and the token with which they set their password.
    Onboarded {
        tenant: Tenant,
        admin: Administrator,
        invite: Invite,
    }
}

shape! {
    /// A tenant's first administrator.
    Administrator {
        id: Uuid,
        email: Email,
        name: Name,
        status: Status,
        created_at: Instant,
    }
}

shape! {
    /// A package that a tenant has.
    AssignedPackage {
        package_key: Key,
        status: Status,
        assigned_at: Instant,
        expires_at: Option<Instant>,
    }
}

shape! {
    /// An exception for one action of a tenant.
    Override {
        action_key: Key,
        flags: OverrideFlags,
        limits: Limits,
        created_at: Instant,
        updated_at: Instant,
    }
}

/// `enabled`: false wins over packages, true replaces them; absent: as the packages say.
#[derive(JsonSchema)]
#[allow(dead_code, reason = "describes what SQL makes")]
struct OverrideFlags {
    #[serde(skip_serializing_if = "Option::is_none")]
    enabled: Option<bool>,
}

shape! {
    /// A seed that ran.
    Seeded {
        /// Rows that it changed.
        changed: u64,
    }
}

macro_rules! tenant_columns {
    () => {
        "t.id, t.slug, t.name, t.kind, t.status, t.suspended_reason as \"suspendedReason\", t.created_at as \"createdAt\", \
         t.updated_at as \"updatedAt\""
    };
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct CreateTenant {
    slug: Slug,
    name: Name,
    package_key: Key,
    #[serde(deserialize_with = "object::only")]
    admin_user: AdminUser,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct AdminUser {
    email: Email,
    name: Name,
}

fn create(call: &Call, input: CreateTenant) -> Result<Reply> {
    let package = active_package(&input.package_key, "packageKey")?;
    let id = Uuid::now_v7();
    let tenant = spi::object(
        concat!(
            "insert into nebula.tenant as t (id, slug, name) values ($1, $2, $3) on conflict (slug) do nothing returning ",
            tenant_columns!()
        ),
        &[Arg::Uuid(id), Arg::Text(input.slug.as_str()), Arg::Text(input.name.as_str())],
    )
    .ok_or_else(|| Refusal::duplicate("slug"))?;
    spi::run("insert into nebula.tenant_package (tenant_id, package_id) values ($1, $2)", &[Arg::Uuid(id), Arg::Uuid(package)]);
    seed::tenant(id, Extent::Everything);

    let admin_id = Uuid::now_v7();
    let admin = spi::text(
        "insert into nebula.user (tenant_id, id, email, name) values ($1, $2, $3, $4) \
         returning json_build_object('id', id, 'email', email, 'name', name, 'status', status, 'createdAt', created_at)::text",
        &[Arg::Uuid(id), Arg::Uuid(admin_id), Arg::Text(input.admin_user.email.as_str()), Arg::Text(input.admin_user.name.as_str())],
    )
    .ok_or(Code::InternalError)?;
    spi::run(
        "insert into nebula.user_group (tenant_id, user_id, group_id) select $1, $2, id from nebula.group where tenant_id = $1 and name = $3",
        &[Arg::Uuid(id), Arg::Uuid(admin_id), Arg::Text(ADMIN_GROUP)],
    );
    let invite = invite::make(id, admin_id, Actor::Nobody)?;

    outbox::emit(id, "tenant.created", &tenant)?;
    outbox::emit(id, "tenant.package.assigned", &json!({ "packageKey": input.package_key, "expiresAt": null }).to_string())?;
    outbox::emit(id, "user.created", &admin)?;
    note(call, id);
    Ok(Reply::data(format!("{{\"tenant\":{tenant},\"admin\":{admin},\"invite\":{invite}}}")))
}

/// Triggers write into the log of the tenant that is changed; this is the same in the log of who changed it.
fn note(call: &Call, tenant: Uuid) {
    if tenant != call.tenant() {
        audit::record(call.tenant(), "tenant", Some(tenant), &json!({ "targetTenantId": tenant }));
    }
}

fn active_package(key: &Key, field: &str) -> Result<Uuid> {
    spi::first("select id from nebula.package where key = $1 and status = 'ativo'", &[Arg::Text(key.as_str())], |row| row.uuid(1))
        .flatten()
        .ok_or_else(|| Refusal::invalid(field, "unknown_package"))
}

fn list(call: &Call, input: ListInput) -> Result<Reply> {
    List {
        name: "tenants",
        from: "from nebula.tenant t where true",
        alias: "t",
        columns: tenant_columns!(),
        sorts: SORTS,
        search: Some("(strpos(t.slug, lower(%q)) > 0 or strpos(lower(t.name), lower(%q)) > 0)"),
        has_status: true,
        filters: &[],
        tenant: None,
        parent: None,
    }
    .page(&call.caller, &input)
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ByTenant {
    tenant_id: Uuid,
}

fn read(_: &Call, input: ByTenant) -> Result<Reply> {
    find(input.tenant_id).map(Reply::data)
}

fn find(tenant: Uuid) -> Result<String> {
    spi::object(concat!("select ", tenant_columns!(), " from nebula.tenant t where t.id = $1"), &[Arg::Uuid(tenant)])
        .ok_or_else(|| Code::NotFound.into())
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct UpdateTenant {
    tenant_id: Uuid,
    name: Name,
}

fn update(call: &Call, input: UpdateTenant) -> Result<Reply> {
    let tenant = spi::object(
        concat!("update nebula.tenant t set name = $2 where t.id = $1 returning ", tenant_columns!()),
        &[Arg::Uuid(input.tenant_id), Arg::Text(input.name.as_str())],
    )
    .ok_or(Code::NotFound)?;
    note(call, input.tenant_id);
    Ok(Reply::data(tenant))
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(transform = Status::reason_only_when_suspending)]
struct SetStatus {
    tenant_id: Uuid,
    status: Status,
    suspended_reason: Option<Description>,
}

fn set_status(call: &Call, input: SetStatus) -> Result<Reply> {
    input.status.check_reason(input.suspended_reason.as_ref())?;
    if input.status == Status::Suspenso && input.tenant_id == call.tenant() {
        return Err(Refusal::conflict("platform_tenant"));
    }
    let tenant = spi::object(
        concat!(
            "update nebula.tenant t set status = $2::nebula.status, suspended_reason = $3 where t.id = $1 returning ",
            tenant_columns!()
        ),
        &[
            Arg::Uuid(input.tenant_id),
            Arg::Text(input.status.as_str()),
            Arg::OptText(input.suspended_reason.as_ref().map(Description::as_str)),
        ],
    )
    .ok_or(Code::NotFound)?;
    note(call, input.tenant_id);
    Ok(Reply::data(tenant))
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Assign {
    tenant_id: Uuid,
    package_key: Key,
    /// From then on the package counts no more; absent: never.
    expires_at: Option<Instant>,
}

fn assign(call: &Call, input: Assign) -> Result<Reply> {
    find(input.tenant_id)?;
    let package =
        spi::first("select id from nebula.package where key = $1 and status = 'ativo'", &[Arg::Text(input.package_key.as_str())], |row| {
            row.uuid(1)
        })
        .flatten()
        .ok_or(Code::NotFound)?;
    let assigned = spi::text(
        "insert into nebula.tenant_package as tp (tenant_id, package_id, expires_at) values ($1, $2, $3::timestamptz) \
         on conflict (tenant_id, package_id) do update set status = 'ativo', assigned_at = now(), expires_at = excluded.expires_at \
         returning json_build_object('packageKey', $4, 'status', tp.status, 'assignedAt', tp.assigned_at, 'expiresAt', tp.expires_at)::text",
        &[
            Arg::Uuid(input.tenant_id),
            Arg::Uuid(package),
            Arg::OptText(input.expires_at.as_ref().map(Instant::as_str)),
            Arg::Text(input.package_key.as_str()),
        ],
    )
    .ok_or(Code::InternalError)?;
    // The default groups hold what the packages hold.
    seed::tenant(input.tenant_id, Extent::Package(package));
    outbox::emit(input.tenant_id, "tenant.package.assigned", &assigned)?;
    note(call, input.tenant_id);
    Ok(Reply::data(assigned))
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Unassign {
    tenant_id: Uuid,
    package_key: Key,
}

fn unassign(call: &Call, input: Unassign) -> Result<Reply> {
    if input.tenant_id == call.tenant() && input.package_key.as_str() == "platform" {
        // Nobody could assign it again.
        return Err(Refusal::conflict("platform_tenant"));
    }
    let removed = spi::run(
        "delete from nebula.tenant_package tp using nebula.package p where p.id = tp.package_id and tp.tenant_id = $1 and p.key = $2",
        &[Arg::Uuid(input.tenant_id), Arg::Text(input.package_key.as_str())],
    );
    if removed == 0 {
        return Err(Code::NotFound.into());
    }
    outbox::emit(input.tenant_id, "package.unassigned", &json!({ "packageKey": input.package_key }).to_string())?;
    note(call, input.tenant_id);
    Ok(Reply::none())
}

#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Flags {
    /// false wins over packages, true replaces them.
    enabled: bool,
}

#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "ActionLimits")]
struct Limits {
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = u32::MAX))]
    per_minute: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = u32::MAX))]
    per_month: Option<u32>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("anyOf" = [
    { "properties": { "flags": { "type": "object" } }, "required": ["flags"] },
    { "properties": { "limits": { "type": "object" } }, "required": ["limits"] },
]))]
struct SetOverride {
    tenant_id: Uuid,
    action_key: Key,
    flags: Option<object::Object<Flags>>,
    limits: Option<object::Object<Limits>>,
}

fn set_override(call: &Call, input: SetOverride) -> Result<Reply> {
    if input.flags.is_none() && input.limits.is_none() {
        return Err(Refusal::invalid("flags", "required"));
    }
    find(input.tenant_id)?;
    let action = action_id(&input.action_key)?;
    let text = |value: serde_json::Result<String>| value.map_err(|_| Refusal::from(Code::InternalError));
    let flags = input.flags.map_or(Ok("{}".to_owned()), |flags| text(serde_json::to_string(&flags.0)))?;
    let limits = input.limits.map_or(Ok("{}".to_owned()), |limits| text(serde_json::to_string(&limits.0)))?;
    let set = spi::text(
        "insert into nebula.tenant_tool_override as o (tenant_id, tool_action_id, flags, limits) values ($1, $2, $3::jsonb, $4::jsonb) \
         on conflict (tenant_id, tool_action_id) do update set flags = excluded.flags, limits = excluded.limits \
         returning json_build_object('actionKey', $5, 'flags', o.flags, 'limits', o.limits, 'createdAt', o.created_at, 'updatedAt', o.updated_at)::text",
        &[Arg::Uuid(input.tenant_id), Arg::Uuid(action), Arg::Text(&flags), Arg::Text(&limits), Arg::Text(input.action_key.as_str())],
    )
    .ok_or(Code::InternalError)?;
    // What is switched on beyond the packages is the administrators' to use and to grant.
    seed::tenant(input.tenant_id, Extent::Administrators);
    note(call, input.tenant_id);
    Ok(Reply::data(set))
}

fn action_id(key: &Key) -> Result<Uuid> {
    spi::first("select id from nebula.tool_action where key = $1", &[Arg::Text(key.as_str())], |row| row.uuid(1))
        .flatten()
        .ok_or_else(|| Code::NotFound.into())
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RemoveOverride {
    tenant_id: Uuid,
    action_key: Key,
}

fn remove_override(call: &Call, input: RemoveOverride) -> Result<Reply> {
    let action = action_id(&input.action_key)?;
    let removed = spi::run(
        "delete from nebula.tenant_tool_override where tenant_id = $1 and tool_action_id = $2",
        &[Arg::Uuid(input.tenant_id), Arg::Uuid(action)],
    );
    if removed == 0 {
        return Err(Code::NotFound.into());
    }
    note(call, input.tenant_id);
    Ok(Reply::none())
}

fn run_seed(call: &Call, input: ByTenant) -> Result<Reply> {
    find(input.tenant_id)?;
    let changed = seed::tenant(input.tenant_id, Extent::Everything);
    note(call, input.tenant_id);
    Ok(Reply::data(json!({ "changed": changed }).to_string()))
}
