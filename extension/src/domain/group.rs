//! Groups, who is in them, and what they grant.

use crate::kernel::{
    error::{Refusal, Result},
    operation::{
        Call, Kind,
        Method::{Delete, Get, Patch, Post},
        Operation, Reply, Sorts, shape,
    },
    outbox,
    page::{Limit, List, ListInput, Status},
    permission::{self, ADMIN_GROUP},
    spi::{self, Arg},
};
use nebula_core::{
    constraint::Constraints,
    error::Code,
    object::Object,
    text::{Description, Email, Instant, Key, Name},
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use uuid::Uuid;

const SORTS: Sorts = &[("created_at", "timestamptz"), ("updated_at", "timestamptz"), ("name", "text")];
const BY_TIME: Sorts = &[("created_at", "timestamptz")];

#[must_use]
pub fn operations() -> Vec<Operation> {
    vec![
        Operation::new("groups.create", (Post, "/v1/groups"), Kind::Write, create)
            .success(201)
            .answers::<Group>()
            .summary("Cria um grupo", "Creates a group"),
        Operation::new("groups.list", (Get, "/v1/groups"), Kind::Read, list)
            .lists::<Group>()
            .sorts(SORTS)
            .summary("Lista os grupos", "Lists groups"),
        Operation::new("groups.read", (Get, "/v1/groups/{id}"), Kind::Read, read)
            .answers::<Group>()
            .summary("Mostra um grupo", "Shows a group"),
        Operation::new("groups.update", (Patch, "/v1/groups/{id}"), Kind::Write, update)
            .answers::<Group>()
            .partial()
            .summary("Altera um grupo", "Changes a group"),
        Operation::new("groups.status", (Patch, "/v1/groups/{id}/status"), Kind::Admin, set_status)
            .answers::<Group>()
            .summary("Suspende ou reativa um grupo", "Suspends or reactivates a group"),
        Operation::new("groups.members.list", (Get, "/v1/groups/{id}/users"), Kind::Read, list_members)
            .lists::<Member>()
            .sorts(BY_TIME)
            .summary("Lista os membros de um grupo", "Lists a group's members"),
        Operation::new("groups.members.add", (Post, "/v1/groups/{id}/users/{userId}"), Kind::Admin, add_member)
            .success(201)
            .answers::<MembershipEntry>()
            .summary("Adiciona um membro", "Adds a member"),
        Operation::new("groups.members.remove", (Delete, "/v1/groups/{id}/users/{userId}"), Kind::Admin, remove_member)
            .summary("Remove um membro", "Removes a member"),
        Operation::new("groups.permissions.list", (Get, "/v1/groups/{id}/permissions"), Kind::Read, list_permissions)
            .lists::<Permission>()
            .sorts(BY_TIME)
            .summary("Lista as permissões de um grupo", "Lists a group's permissions"),
        Operation::new("groups.permissions.grant", (Post, "/v1/groups/{id}/permissions"), Kind::Admin, grant)
            .success(201)
            .answers::<Vec<Permission>>()
            .summary("Concede ações a um grupo", "Grants actions to a group"),
        Operation::new("groups.permissions.revoke", (Delete, "/v1/groups/{id}/permissions/{permissionId}"), Kind::Admin, revoke)
            .summary("Revoga uma permissão", "Revokes a permission"),
    ]
}

shape! {
    /// A set of people who may do the same things.
    Group {
        id: Uuid,
        name: Name,
        description: Description,
        status: Status,
        suspended_reason: Option<String>,
        created_at: Instant,
        updated_at: Instant,
    }
}

shape! {
    /// A person in a group.
    Member {
        id: Uuid,
        email: Email,
        name: Name,
        status: Status,
        added_at: Instant,
    }
}

shape! {
    /// A membership.
    MembershipEntry {
        group_id: Uuid,
        user_id: Uuid,
        added_at: Instant,
    }
}

shape! {
    /// An action that a group grants.
    Permission {
        id: Uuid,
        action: Key,
        constraints: Constraints,
        created_at: Instant,
        updated_at: Instant,
    }
}

macro_rules! group_columns {
    () => {
        "g.id, g.name, g.description, g.status, g.suspended_reason as \"suspendedReason\", g.created_at as \"createdAt\", \
         g.updated_at as \"updatedAt\""
    };
}

macro_rules! permission_columns {
    () => {
        "gp.id, a.key as action, gp.constraints, gp.created_at as \"createdAt\", gp.updated_at as \"updatedAt\""
    };
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct CreateGroup {
    name: Name,
    description: Option<Description>,
}

/// As for a user's e-mail: an update has no `on conflict`.
fn lock_name(call: &Call, name: &str) {
    spi::advisory_lock(&format!("{}/group.name/{name}", call.tenant()));
}

fn create(call: &Call, input: CreateGroup) -> Result<Reply> {
    lock_name(call, input.name.as_str());
    let group = spi::object(
        concat!(
            "insert into nebula.group as g (tenant_id, name, description) values ($1, $2, coalesce($3, '')) \
             on conflict (tenant_id, name) do nothing returning ",
            group_columns!()
        ),
        &[Arg::Uuid(call.tenant()), Arg::Text(input.name.as_str()), Arg::OptText(input.description.as_ref().map(Description::as_str))],
    )
    .ok_or_else(|| Refusal::duplicate("name"))?;
    outbox::emit(call.tenant(), "group.created", &group)?;
    Ok(Reply::data(group))
}

fn list(call: &Call, input: ListInput) -> Result<Reply> {
    List {
        name: "groups",
        from: "from nebula.group g where g.tenant_id = $1",
        alias: "g",
        columns: group_columns!(),
        sorts: SORTS,
        search: Some("strpos(lower(g.name), lower(%q)) > 0"),
        has_status: true,
        filters: &[],
        tenant: Some(call.tenant()),
        parent: None,
    }
    .page(&call.caller, &input)
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ById {
    id: Uuid,
}

fn read(call: &Call, input: ById) -> Result<Reply> {
    spi::object(
        concat!("select ", group_columns!(), " from nebula.group g where g.tenant_id = $1 and g.id = $2"),
        &[Arg::Uuid(call.tenant()), Arg::Uuid(input.id)],
    )
    .map(Reply::data)
    .ok_or_else(|| Code::NotFound.into())
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct UpdateGroup {
    id: Uuid,
    name: Option<Name>,
    description: Option<Description>,
}

fn update(call: &Call, input: UpdateGroup) -> Result<Reply> {
    if input.name.is_none() && input.description.is_none() {
        return Err(Refusal::invalid("", "nothing_to_change"));
    }
    let name = name_of(call, input.id)?;
    if let Some(new) = input.name.as_ref().map(Name::as_str).filter(|new| *new != name) {
        if is_default(&name) {
            return Err(Refusal::conflict("default_group"));
        }
        lock_name(call, new);
        let is_taken = spi::first(
            "select true from nebula.group where tenant_id = $1 and name = $2",
            &[Arg::Uuid(call.tenant()), Arg::Text(new)],
            |_| (),
        );
        if is_taken.is_some() {
            return Err(Refusal::duplicate("name"));
        }
    }
    let group = spi::object(
        concat!(
            "update nebula.group g set name = coalesce($3, name), description = coalesce($4, description) \
             where g.tenant_id = $1 and g.id = $2 returning ",
            group_columns!()
        ),
        &[
            Arg::Uuid(call.tenant()),
            Arg::Uuid(input.id),
            Arg::OptText(input.name.as_ref().map(Name::as_str)),
            Arg::OptText(input.description.as_ref().map(Description::as_str)),
        ],
    )
    .ok_or(Code::NotFound)?;
    outbox::emit(call.tenant(), "group.updated", &group)?;
    Ok(Reply::data(group))
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(transform = Status::reason_only_when_suspending)]
struct SetStatus {
    id: Uuid,
    status: Status,
    suspended_reason: Option<Description>,
}

fn set_status(call: &Call, input: SetStatus) -> Result<Reply> {
    input.status.check_reason(input.suspended_reason.as_ref())?;
    if name_of(call, input.id)? == ADMIN_GROUP && input.status == Status::Suspenso {
        return Err(Refusal::conflict("last_admin"));
    }
    if input.status == Status::Ativo {
        // A suspended group that counts again grants again.
        require_holds_group(call, input.id)?;
    }
    let group = spi::object(
        concat!(
            "update nebula.group g set status = $3::nebula.status, suspended_reason = $4 where g.tenant_id = $1 and g.id = $2 returning ",
            group_columns!()
        ),
        &[
            Arg::Uuid(call.tenant()),
            Arg::Uuid(input.id),
            Arg::Text(input.status.as_str()),
            Arg::OptText(input.suspended_reason.as_ref().map(Description::as_str)),
        ],
    )
    .ok_or(Code::NotFound)?;
    outbox::emit(call.tenant(), "group.updated", &group)?;
    Ok(Reply::data(group))
}

/// The group's name; a foreign, deleted or random id is not found, all alike.
fn name_of(call: &Call, group: Uuid) -> Result<String> {
    spi::text("select name from nebula.group where tenant_id = $1 and id = $2", &[Arg::Uuid(call.tenant()), Arg::Uuid(group)])
        .ok_or_else(|| Code::NotFound.into())
}

fn is_default(name: &str) -> bool {
    matches!(name, "ADM_CLIENTE" | "OPERATOR" | "VIEWER")
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ListOfGroup {
    id: Uuid,
    #[serde(default)]
    limit: Limit,
    cursor: Option<String>,
    sort: Option<String>,
}

impl ListOfGroup {
    fn list_input(self) -> ListInput {
        ListInput::page(self.limit, self.cursor, self.sort)
    }
}

fn list_members(call: &Call, input: ListOfGroup) -> Result<Reply> {
    name_of(call, input.id)?;
    List {
        name: "groups.members",
        from: "from nebula.user_group ug join nebula.user u on u.tenant_id = $1 and u.id = ug.user_id \
               where ug.tenant_id = $1 and ug.group_id = $2",
        alias: "ug",
        columns: "u.id, u.email, u.name, u.status, ug.created_at as \"addedAt\"",
        sorts: BY_TIME,
        search: None,
        has_status: false,
        filters: &[],
        tenant: Some(call.tenant()),
        parent: Some(input.id),
    }
    .page(&call.caller, &input.list_input())
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Membership {
    id: Uuid,
    user_id: Uuid,
}

/// Membership hands on all that the group grants: who adds must hold it.
fn require_holds_group(call: &Call, group: Uuid) -> Result<()> {
    let actions = spi::rows(
        "select a.key from nebula.group_permission gp join nebula.tool_action a on a.id = gp.tool_action_id \
         where gp.tenant_id = $1 and gp.group_id = $2",
        &[Arg::Uuid(call.tenant()), Arg::Uuid(group)],
        |row| row.text(1).unwrap_or_default(),
    );
    permission::require_holds_all(actions.iter().map(String::as_str), &call.caller)
}

fn add_member(call: &Call, input: Membership) -> Result<Reply> {
    name_of(call, input.id)?;
    spi::first(
        "select true from nebula.user where tenant_id = $1 and id = $2 and deleted_at is null",
        &[Arg::Uuid(call.tenant()), Arg::Uuid(input.user_id)],
        |_| (),
    )
    .ok_or(Code::NotFound)?;
    require_holds_group(call, input.id)?;
    let membership = spi::text(
        "insert into nebula.user_group (tenant_id, user_id, group_id) values ($1, $2, $3) \
         on conflict (tenant_id, user_id, group_id) do nothing \
         returning json_build_object('groupId', group_id, 'userId', user_id, 'addedAt', created_at)::text",
        &[Arg::Uuid(call.tenant()), Arg::Uuid(input.user_id), Arg::Uuid(input.id)],
    )
    .ok_or_else(|| Refusal::duplicate("userId"))?;
    outbox::emit(
        call.tenant(),
        "user_group.changed",
        &json!({ "groupId": input.id, "userId": input.user_id, "change": "added" }).to_string(),
    )?;
    Ok(Reply::data(membership))
}

fn remove_member(call: &Call, input: Membership) -> Result<Reply> {
    if name_of(call, input.id)? == ADMIN_GROUP {
        permission::require_another_admin(call.tenant(), input.user_id)?;
    }
    let removed = spi::run(
        "delete from nebula.user_group where tenant_id = $1 and group_id = $2 and user_id = $3",
        &[Arg::Uuid(call.tenant()), Arg::Uuid(input.id), Arg::Uuid(input.user_id)],
    );
    if removed == 0 {
        return Err(Code::NotFound.into());
    }
    outbox::emit(
        call.tenant(),
        "user_group.changed",
        &json!({ "groupId": input.id, "userId": input.user_id, "change": "removed" }).to_string(),
    )?;
    Ok(Reply::none())
}

fn list_permissions(call: &Call, input: ListOfGroup) -> Result<Reply> {
    name_of(call, input.id)?;
    List {
        name: "groups.permissions",
        from: "from nebula.group_permission gp join nebula.tool_action a on a.id = gp.tool_action_id \
               where gp.tenant_id = $1 and gp.group_id = $2",
        alias: "gp",
        columns: permission_columns!(),
        sorts: BY_TIME,
        search: None,
        has_status: false,
        filters: &[],
        tenant: Some(call.tenant()),
        parent: Some(input.id),
    }
    .page(&call.caller, &input.list_input())
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Grant {
    id: Uuid,
    /// 1 to 200 actions.
    #[schemars(length(min = 1, max = 200))]
    permissions: Vec<Object<GrantedAction>>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct GrantedAction {
    action: Key,
    constraints: Option<Object<Constraints>>,
}

fn grant(call: &Call, input: Grant) -> Result<Reply> {
    if !(1..=200).contains(&input.permissions.len()) {
        return Err(Refusal::invalid("permissions", "length"));
    }
    let mut actions = Vec::with_capacity(input.permissions.len());
    let mut constraints = Vec::with_capacity(input.permissions.len());
    for (index, Object(granted)) in input.permissions.iter().enumerate() {
        let action = granted.action.as_str().to_owned();
        if actions.contains(&action) {
            return Err(Refusal::invalid(&format!("permissions[{index}].action"), "repeated"));
        }
        actions.push(action);
        let wanted = granted.constraints.clone().unwrap_or_default().0;
        if let Err((field, rule)) = wanted.check() {
            return Err(Refusal::invalid(&format!("permissions[{index}].constraints.{field}"), rule));
        }
        constraints.push(serde_json::to_string(&wanted).map_err(|_| Code::InternalError)?);
    }
    let name = name_of(call, input.id)?;
    if name == ADMIN_GROUP && constraints.iter().any(|text| text != "{}") {
        return Err(Refusal::conflict("default_group"));
    }
    if let Some(index) = permission::first_unknown(&actions) {
        return Err(Refusal::invalid(&format!("permissions[{index}].action"), "unknown_action"));
    }
    permission::require_holds_all(actions.iter().map(String::as_str), &call.caller)?;
    let granted = spi::objects(
        concat!(
            "with gp as ( \
               insert into nebula.group_permission as p (tenant_id, group_id, tool_action_id, constraints) \
               select $1, $2, a.id, wanted.constraints::jsonb \
               from unnest($3, $4) as wanted (action, constraints) join nebula.tool_action a on a.key = wanted.action \
               on conflict (tenant_id, group_id, tool_action_id) do update set constraints = excluded.constraints \
               returning * \
             ) select ",
            permission_columns!(),
            " from gp join nebula.tool_action a on a.id = gp.tool_action_id order by a.key"
        ),
        &[Arg::Uuid(call.tenant()), Arg::Uuid(input.id), Arg::Texts(&actions), Arg::Texts(&constraints)],
    );
    announce(call, input.id, "granted", &actions)?;
    Ok(Reply::data(format!("[{}]", granted.join(","))))
}

fn announce(call: &Call, group: Uuid, change: &str, actions: &[String]) -> Result<()> {
    outbox::emit(
        call.tenant(),
        "group.permission.changed",
        &json!({ "groupId": group, "change": change, "actions": actions }).to_string(),
    )?;
    Ok(())
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Revoke {
    id: Uuid,
    permission_id: Uuid,
}

fn revoke(call: &Call, input: Revoke) -> Result<Reply> {
    if name_of(call, input.id)? == ADMIN_GROUP {
        // What the administrators hold is defined by the tenant's packages; the last of them can't be stripped.
        return Err(Refusal::conflict("last_admin"));
    }
    let action = spi::text(
        "delete from nebula.group_permission gp using nebula.tool_action a \
         where gp.tenant_id = $1 and gp.group_id = $2 and gp.id = $3 and a.id = gp.tool_action_id returning a.key",
        &[Arg::Uuid(call.tenant()), Arg::Uuid(input.id), Arg::Uuid(input.permission_id)],
    )
    .ok_or(Code::NotFound)?;
    announce(call, input.id, "revoked", &[action])?;
    Ok(Reply::none())
}
