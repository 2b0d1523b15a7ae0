//! Tools, their actions, packages of actions: global, written by the platform, read by everyone.

use crate::kernel::{
    error::{Refusal, Result},
    handle::ACT_AS,
    operation::{
        self, Call, Kind,
        Method::{Delete, Get, Patch, Post},
        Operation, Reply, Scope, Sorts, shape,
    },
    page::{Limit, List, ListInput, Status},
    seed,
    spi::{self, Arg},
};
use nebula_core::{
    error::Code,
    text::{Description, Instant, Key, Name, Search},
};
use schemars::JsonSchema;
use serde::Deserialize;
use uuid::Uuid;

const SORTS: Sorts = &[("created_at", "timestamptz"), ("key", "text"), ("name", "text")];

#[must_use]
pub fn operations() -> Vec<Operation> {
    let platform = |operation: Operation| operation.scope(Scope::Platform);
    vec![
        platform(Operation::new("catalog.tools.create", (Post, "/v1/catalog/tools"), Kind::Admin, create_tool))
            .success(201)
            .answers::<Tool>()
            .summary("Cria uma ferramenta", "Creates a tool"),
        Operation::new("catalog.tools.list", (Get, "/v1/catalog/tools"), Kind::Read, list_tools)
            .lists::<Tool>()
            .sorts(SORTS)
            .summary("Lista as ferramentas", "Lists tools"),
        Operation::new("catalog.tools.read", (Get, "/v1/catalog/tools/{toolKey}"), Kind::Read, read_tool)
            .answers::<Tool>()
            .summary("Mostra uma ferramenta", "Shows a tool"),
        platform(Operation::new("catalog.tools.update", (Patch, "/v1/catalog/tools/{toolKey}"), Kind::Admin, update_tool))
            .answers::<Tool>()
            .partial()
            .summary("Altera uma ferramenta", "Changes a tool"),
        platform(Operation::new("catalog.actions.create", (Post, "/v1/catalog/tools/{toolKey}/actions"), Kind::Admin, create_action))
            .success(201)
            .answers::<Action>()
            .summary("Cria uma ação", "Creates an action"),
        Operation::new("catalog.actions.list", (Get, "/v1/catalog/tools/{toolKey}/actions"), Kind::Read, list_actions)
            .lists::<Action>()
            .sorts(SORTS)
            .summary("Lista as ações de uma ferramenta", "Lists a tool's actions"),
        platform(Operation::new(
            "catalog.actions.update",
            (Patch, "/v1/catalog/tools/{toolKey}/actions/{actionKey}"),
            Kind::Admin,
            update_action,
        ))
        .answers::<Action>()
        .partial()
        .summary("Altera uma ação", "Changes an action"),
        platform(Operation::new("catalog.packages.create", (Post, "/v1/catalog/packages"), Kind::Admin, create_package))
            .success(201)
            .answers::<Package>()
            .summary("Cria um pacote", "Creates a package"),
        Operation::new("catalog.packages.list", (Get, "/v1/catalog/packages"), Kind::Read, list_packages)
            .lists::<Package>()
            .sorts(SORTS)
            .summary("Lista os pacotes", "Lists packages"),
        Operation::new("catalog.packages.read", (Get, "/v1/catalog/packages/{packageKey}"), Kind::Read, read_package)
            .answers::<PackageWithActions>()
            .summary("Mostra um pacote e suas ações", "Shows a package and its actions"),
        platform(Operation::new("catalog.packages.update", (Patch, "/v1/catalog/packages/{packageKey}"), Kind::Admin, update_package))
            .answers::<Package>()
            .partial()
            .summary("Altera um pacote", "Changes a package"),
        platform(Operation::new(
            "catalog.packages.actions.add",
            (Post, "/v1/catalog/packages/{packageKey}/actions"),
            Kind::Admin,
            add_to_package,
        ))
        .success(201)
        .answers::<PackageAction>()
        .summary("Adiciona uma ação ao pacote", "Adds an action to a package"),
        platform(Operation::new(
            "catalog.packages.actions.remove",
            (Delete, "/v1/catalog/packages/{packageKey}/actions/{actionKey}"),
            Kind::Admin,
            remove_from_package,
        ))
        .summary("Remove uma ação do pacote", "Removes an action from a package"),
    ]
}

shape! {
    /// A tool that is sold.
    Tool {
        id: Uuid,
        key: Key,
        name: Name,
        description: Description,
        status: Status,
        created_at: Instant,
        updated_at: Instant,
    }
}

shape! {
    /// Something that can be done with a tool.
    Action {
        id: Uuid,
        key: Key,
        name: Name,
        description: Description,
        kind: ActionKind,
        status: Status,
        created_at: Instant,
        updated_at: Instant,
    }
}

shape! {
    /// A set of actions that tenants buy.
    Package {
        id: Uuid,
        key: Key,
        name: Name,
        description: Description,
        status: Status,
        created_at: Instant,
        updated_at: Instant,
    }
}

shape! {
    /// A package and what it grants.
    PackageWithActions {
        #[schemars(flatten)]
        package: Package,
        actions: Vec<Key>,
    }
}

shape! {
    /// An action that a package grants.
    PackageAction {
        package_key: Key,
        action_key: Key,
        created_at: Instant,
    }
}

macro_rules! entry_columns {
    ($alias:literal $(, $more:literal)?) => {
        concat!(
            $alias, ".id, ", $alias, ".key, ", $alias, ".name, ", $alias, ".description, ", $alias, ".status, ",
            $alias, ".created_at as \"createdAt\", ", $alias, ".updated_at as \"updatedAt\""
            $(, ", ", $more)?
        )
    };
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct CreateEntry {
    key: Key,
    name: Name,
    description: Option<Description>,
}

impl CreateEntry {
    fn args(&self) -> [Arg<'_>; 3] {
        [Arg::Text(self.key.as_str()), Arg::Text(self.name.as_str()), Arg::OptText(self.description.as_ref().map(Description::as_str))]
    }
}

fn create_tool(_: &Call, input: CreateEntry) -> Result<Reply> {
    spi::object(
        concat!(
            "insert into nebula.tool as t (key, name, description) values ($1, $2, coalesce($3, '')) on conflict (key) do nothing returning ",
            entry_columns!("t")),
        &input.args(),
    )
    .map(Reply::data)
    .ok_or_else(|| Refusal::duplicate("key"))
}

fn list_tools(call: &Call, input: ListInput) -> Result<Reply> {
    list("catalog.tools", "from nebula.tool t where true", "t", entry_columns!("t"), call, &input)
}

fn list(
    name: &'static str,
    from: &'static str,
    alias: &'static str,
    columns: &'static str,
    call: &Call,
    input: &ListInput,
) -> Result<Reply> {
    let search = match alias {
        "t" => "strpos(lower(t.name), lower(%q)) > 0",
        _ => "strpos(lower(p.name), lower(%q)) > 0",
    };
    List { name, from, alias, columns, sorts: SORTS, search: Some(search), has_status: true, filters: &[], tenant: None, parent: None }
        .page(&call.caller, input)
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ByToolKey {
    tool_key: Key,
}

fn read_tool(_: &Call, input: ByToolKey) -> Result<Reply> {
    spi::object(concat!("select ", entry_columns!("t"), " from nebula.tool t where t.key = $1"), &[Arg::Text(input.tool_key.as_str())])
        .map(Reply::data)
        .ok_or_else(|| Code::NotFound.into())
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct UpdateTool {
    tool_key: Key,
    name: Option<Name>,
    description: Option<Description>,
    status: Option<Status>,
}

fn update_tool(_: &Call, input: UpdateTool) -> Result<Reply> {
    require_change(&[input.name.is_some(), input.description.is_some(), input.status.is_some()])?;
    let tool = tool_id(&input.tool_key)?;
    if input.status == Some(Status::Suspenso) {
        let actions =
            spi::rows("select key from nebula.tool_action where tool_id = $1", &[Arg::Uuid(tool)], |row| row.text(1).unwrap_or_default());
        require_sold(actions.iter().map(String::as_str))?;
    }
    spi::object(
        concat!(
            "update nebula.tool t set name = coalesce($2, name), description = coalesce($3, description), status = coalesce($4::nebula.status, status) \
             where t.id = $1 returning ",
            entry_columns!("t")),
        &change(tool, input.name.as_ref(), input.description.as_ref(), input.status),
    )
    .map(Reply::data)
    .ok_or_else(|| Code::NotFound.into())
}

fn require_change(changes: &[bool]) -> Result<()> {
    if changes.contains(&true) { Ok(()) } else { Err(Refusal::invalid("", "nothing_to_change")) }
}

/// The parameters $1 to $4 of an update.
fn change<'a>(id: Uuid, name: Option<&'a Name>, description: Option<&'a Description>, status: Option<Status>) -> [Arg<'a>; 4] {
    [
        Arg::Uuid(id),
        Arg::OptText(name.map(Name::as_str)),
        Arg::OptText(description.map(Description::as_str)),
        Arg::OptText(status.map(Status::as_str)),
    ]
}

/// The product's own actions stay active and of their kind for everyone, or nobody could take it back.
fn require_sold<'a>(mut actions: impl Iterator<Item = &'a str>) -> Result<()> {
    if actions.any(|action| action == ACT_AS || operation::find(action).is_ok_and(|operation| operation.custom.is_none())) {
        Err(Refusal::conflict("product_action"))
    } else {
        Ok(())
    }
}

#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum ActionKind {
    Read,
    Write,
    Admin,
}

impl ActionKind {
    fn as_str(self) -> &'static str {
        match self {
            ActionKind::Read => "read",
            ActionKind::Write => "write",
            ActionKind::Admin => "admin",
        }
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct CreateAction {
    tool_key: Key,
    key: Key,
    name: Name,
    description: Option<Description>,
    kind: ActionKind,
}

fn create_action(_: &Call, input: CreateAction) -> Result<Reply> {
    let tool = tool_id(&input.tool_key)?;
    spi::object(
        concat!(
            "insert into nebula.tool_action as t (key, name, description, kind, tool_id) values ($1, $2, coalesce($3, ''), $4, $5) \
             on conflict (key) do nothing returning ",
            entry_columns!("t", "t.kind")
        ),
        &[
            Arg::Text(input.key.as_str()),
            Arg::Text(input.name.as_str()),
            Arg::OptText(input.description.as_ref().map(Description::as_str)),
            Arg::Text(input.kind.as_str()),
            Arg::Uuid(tool),
        ],
    )
    .map(Reply::data)
    .ok_or_else(|| Refusal::duplicate("key"))
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct UpdateAction {
    tool_key: Key,
    action_key: Key,
    name: Option<Name>,
    description: Option<Description>,
    kind: Option<ActionKind>,
    status: Option<Status>,
}

fn update_action(_: &Call, input: UpdateAction) -> Result<Reply> {
    require_change(&[input.name.is_some(), input.description.is_some(), input.kind.is_some(), input.status.is_some()])?;
    let tool = tool_id(&input.tool_key)?;
    let action = spi::first(
        "select id from nebula.tool_action where tool_id = $1 and key = $2",
        &[Arg::Uuid(tool), Arg::Text(input.action_key.as_str())],
        |row| row.uuid(1),
    );
    let action = action.flatten().ok_or(Code::NotFound)?;
    if input.kind.is_some() || input.status == Some(Status::Suspenso) {
        require_sold([input.action_key.as_str()].into_iter())?;
    }
    // What is exposed under it is of its kind: `nebula.expose` holds the two together.
    if input.kind.is_some() && operation::find(input.action_key.as_str()).is_ok() {
        return Err(Refusal::conflict("exposed_action"));
    }
    let [id, name, description, status] = change(action, input.name.as_ref(), input.description.as_ref(), input.status);
    spi::object(
        concat!(
            "update nebula.tool_action t set name = coalesce($2, name), description = coalesce($3, description), \
               status = coalesce($4::nebula.status, status), kind = coalesce($5, kind) \
             where t.id = $1 returning ",
            entry_columns!("t", "t.kind")
        ),
        &[id, name, description, status, Arg::OptText(input.kind.map(ActionKind::as_str))],
    )
    .map(Reply::data)
    .ok_or_else(|| Code::NotFound.into())
}

fn tool_id(key: &Key) -> Result<Uuid> {
    spi::first("select id from nebula.tool where key = $1", &[Arg::Text(key.as_str())], |row| row.uuid(1))
        .flatten()
        .ok_or_else(|| Code::NotFound.into())
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ListActions {
    tool_key: Key,
    #[serde(default)]
    limit: Limit,
    cursor: Option<String>,
    sort: Option<String>,
    status: Option<Status>,
    q: Option<Search>,
    created_at_from: Option<Instant>,
    created_at_to: Option<Instant>,
}

fn list_actions(call: &Call, input: ListActions) -> Result<Reply> {
    List {
        name: "catalog.actions",
        from: "from nebula.tool_action t where t.tool_id = $2",
        alias: "t",
        columns: entry_columns!("t", "t.kind"),
        sorts: SORTS,
        search: Some("strpos(lower(t.key || ' ' || t.name), lower(%q)) > 0"),
        has_status: true,
        filters: &[],
        tenant: None,
        parent: Some(tool_id(&input.tool_key)?),
    }
    .page(
        &call.caller,
        &ListInput {
            limit: input.limit,
            cursor: input.cursor,
            sort: input.sort,
            status: input.status,
            q: input.q,
            created_at_from: input.created_at_from,
            created_at_to: input.created_at_to,
        },
    )
}

fn create_package(_: &Call, input: CreateEntry) -> Result<Reply> {
    spi::object(
        concat!(
            "insert into nebula.package as p (key, name, description) values ($1, $2, coalesce($3, '')) on conflict (key) do nothing returning ",
            entry_columns!("p")),
        &input.args(),
    )
    .map(Reply::data)
    .ok_or_else(|| Refusal::duplicate("key"))
}

fn list_packages(call: &Call, input: ListInput) -> Result<Reply> {
    list("catalog.packages", "from nebula.package p where true", "p", entry_columns!("p"), call, &input)
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ByPackageKey {
    package_key: Key,
}

fn read_package(_: &Call, input: ByPackageKey) -> Result<Reply> {
    spi::object(
        concat!(
            "select ",
            entry_columns!(
                "p",
                "(select coalesce(json_agg(a.key order by a.key), '[]') from nebula.package_action pa \
                 join nebula.tool_action a on a.id = pa.tool_action_id where pa.package_id = p.id) as actions"
            ),
            " from nebula.package p where p.key = $1"
        ),
        &[Arg::Text(input.package_key.as_str())],
    )
    .map(Reply::data)
    .ok_or_else(|| Code::NotFound.into())
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct UpdatePackage {
    package_key: Key,
    name: Option<Name>,
    description: Option<Description>,
    status: Option<Status>,
}

fn update_package(_: &Call, input: UpdatePackage) -> Result<Reply> {
    require_change(&[input.name.is_some(), input.description.is_some(), input.status.is_some()])?;
    let package =
        spi::first("select id from nebula.package where key = $1", &[Arg::Text(input.package_key.as_str())], |row| row.uuid(1)).flatten();
    if input.status == Some(Status::Suspenso) && input.package_key.as_str() == "platform" {
        // The platform would lose the operation that takes this back.
        return Err(Refusal::conflict("platform_tenant"));
    }
    spi::object(
        concat!(
            "update nebula.package p set name = coalesce($2, name), description = coalesce($3, description), status = coalesce($4::nebula.status, status) \
             where p.id = $1 returning ",
            entry_columns!("p")),
        &change(package.ok_or(Code::NotFound)?, input.name.as_ref(), input.description.as_ref(), input.status),
    )
    .map(Reply::data)
    .ok_or_else(|| Code::NotFound.into())
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct PackagedAction {
    package_key: Key,
    action_key: Key,
}

fn add_to_package(_: &Call, input: PackagedAction) -> Result<Reply> {
    let ids = spi::first(
        "select (select id from nebula.package where key = $1), (select id from nebula.tool_action where key = $2)",
        &[Arg::Text(input.package_key.as_str()), Arg::Text(input.action_key.as_str())],
        |row| (row.uuid(1), row.uuid(2)),
    );
    let (package, action) = ids.unwrap_or_default();
    let package = package.ok_or(Code::NotFound)?;
    let action = action.ok_or_else(|| Refusal::invalid("actionKey", "unknown_action"))?;
    let added = spi::text(
        "insert into nebula.package_action (package_id, tool_action_id) values ($1, $2) on conflict (package_id, tool_action_id) do nothing \
         returning json_build_object('packageKey', $3, 'actionKey', $4, 'createdAt', created_at)::text",
        &[Arg::Uuid(package), Arg::Uuid(action), Arg::Text(input.package_key.as_str()), Arg::Text(input.action_key.as_str())],
    )
    .ok_or_else(|| Refusal::duplicate("actionKey"))?;
    seed::administrators_of_all();
    Ok(Reply::data(added))
}

fn remove_from_package(_: &Call, input: PackagedAction) -> Result<Reply> {
    let removed = spi::run(
        "delete from nebula.package_action pa using nebula.package p, nebula.tool_action a \
         where p.id = pa.package_id and a.id = pa.tool_action_id and p.key = $1 and a.key = $2",
        &[Arg::Text(input.package_key.as_str()), Arg::Text(input.action_key.as_str())],
    );
    if removed == 0 { Err(Code::NotFound.into()) } else { Ok(Reply::none()) }
}
