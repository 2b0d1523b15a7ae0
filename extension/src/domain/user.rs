//! People of a tenant.

use crate::kernel::{
    context::Actor,
    erasure,
    error::{Refusal, Result},
    invite::{self, Invite},
    operation::{
        Call, Kind,
        Method::{Delete, Get, Patch, Post},
        Operation, Reply, Sorts, shape,
    },
    outbox,
    page::{List, ListInput, Status},
    permission,
    spi::{self, Arg},
};
use nebula_core::{
    error::Code,
    text::{Description, Email, Instant, Name},
};
use schemars::JsonSchema;
use serde::Deserialize;
use uuid::Uuid;

const SORTS: Sorts = &[("created_at", "timestamptz"), ("updated_at", "timestamptz"), ("name", "text"), ("email", "text")];

#[must_use]
pub fn operations() -> Vec<Operation> {
    vec![
        Operation::new("users.create", (Post, "/v1/users"), Kind::Write, create)
            .success(201)
            .answers::<User>()
            .summary("Cria um usuário", "Creates a user"),
        Operation::new("users.list", (Get, "/v1/users"), Kind::Read, list)
            .lists::<User>()
            .sorts(SORTS)
            .summary("Lista os usuários", "Lists users"),
        Operation::new("users.read", (Get, "/v1/users/{id}"), Kind::Read, read)
            .answers::<User>()
            .summary("Mostra um usuário", "Shows a user"),
        Operation::new("users.update", (Patch, "/v1/users/{id}"), Kind::Write, update)
            .answers::<User>()
            .partial()
            .summary("Altera um usuário", "Changes a user"),
        Operation::new("users.status", (Patch, "/v1/users/{id}/status"), Kind::Admin, set_status)
            .answers::<User>()
            .summary("Suspende ou reativa um usuário", "Suspends or reactivates a user"),
        Operation::new("users.invite", (Post, "/v1/users/{id}/invite"), Kind::Admin, make_invite)
            .success(201)
            .reveals_secret()
            .answers::<Invite>()
            .summary("Gera um convite de uso único", "Makes a one-time invite"),
        Operation::new("users.anonymize", (Delete, "/v1/users/{id}"), Kind::Admin, anonymize)
            .summary("Anonimiza um usuário, para sempre", "Anonymises a user, for good"),
    ]
}

shape! {
    /// A person of the tenant.
    User {
        id: Uuid,
        email: Email,
        name: Name,
        status: Status,
        suspended_reason: Option<String>,
        /// `internal`, or the issuer that the person logs in with.
        auth_provider: String,
        created_at: Instant,
        updated_at: Instant,
    }
}

macro_rules! user_columns {
    () => {
        "u.id, u.email, u.name, u.status, u.suspended_reason as \"suspendedReason\", u.auth_provider as \"authProvider\", \
         u.created_at as \"createdAt\", u.updated_at as \"updatedAt\""
    };
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct CreateUser {
    email: Email,
    name: Name,
}

/// Who gives an address to somebody waits for who else does: an update has no `on conflict`, and an index' refusal would be a 500.
fn lock_email(call: &Call, email: &Email) {
    spi::advisory_lock(&format!("{}/user.email/{}", call.tenant(), email.as_str().to_lowercase()));
}

fn create(call: &Call, input: CreateUser) -> Result<Reply> {
    lock_email(call, &input.email);
    let user = spi::object(
        concat!(
            "insert into nebula.user as u (tenant_id, email, name) values ($1, $2, $3) \
             on conflict (tenant_id, (lower(email)) collate \"C\") do nothing returning ",
            user_columns!()
        ),
        &[Arg::Uuid(call.tenant()), Arg::Text(input.email.as_str()), Arg::Text(input.name.as_str())],
    )
    .ok_or_else(|| Refusal::duplicate("email"))?;
    outbox::emit(call.tenant(), "user.created", &user)?;
    Ok(Reply::data(user))
}

fn list(call: &Call, input: ListInput) -> Result<Reply> {
    List {
        name: "users",
        from: "from nebula.user u where u.tenant_id = $1 and u.deleted_at is null",
        alias: "u",
        columns: user_columns!(),
        sorts: SORTS,
        // A range and not `like`, which is not leakproof and loses the index under RLS.
        search: Some(
            "((lower(u.email) collate \"C\" >= lower(%q) and lower(u.email) collate \"C\" < lower(%q) || chr(1114111)) \
              or strpos(lower(u.name), lower(%q)) > 0)",
        ),
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
        concat!("select ", user_columns!(), " from nebula.user u where u.tenant_id = $1 and u.id = $2 and u.deleted_at is null"),
        &[Arg::Uuid(call.tenant()), Arg::Uuid(input.id)],
    )
    .map(Reply::data)
    .ok_or_else(|| Code::NotFound.into())
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct UpdateUser {
    id: Uuid,
    email: Option<Email>,
    name: Option<Name>,
}

fn update(call: &Call, input: UpdateUser) -> Result<Reply> {
    if input.email.is_none() && input.name.is_none() {
        return Err(Refusal::invalid("", "nothing_to_change"));
    }
    if input.email.is_some() {
        // Whoever owns the address can take the account over: only for those who hold what it holds.
        permission::require_holds_all_of(&call.caller, input.id)?;
    }
    let is_taken = input.email.as_ref().is_some_and(|email| {
        lock_email(call, email);
        spi::first(
            "select true from nebula.user where tenant_id = $1 and lower(email) collate \"C\" = lower($2) and id <> $3",
            &[Arg::Uuid(call.tenant()), Arg::Text(email.as_str()), Arg::Uuid(input.id)],
            |_| (),
        )
        .is_some()
    });
    if is_taken {
        return Err(Refusal::duplicate("email"));
    }
    let user = spi::object(
        concat!(
            "update nebula.user u set email = coalesce($3, email), name = coalesce($4, name) \
             where u.tenant_id = $1 and u.id = $2 and u.deleted_at is null returning ",
            user_columns!()
        ),
        &[
            Arg::Uuid(call.tenant()),
            Arg::Uuid(input.id),
            Arg::OptText(input.email.as_ref().map(Email::as_str)),
            Arg::OptText(input.name.as_ref().map(Name::as_str)),
        ],
    )
    .ok_or(Code::NotFound)?;
    outbox::emit(call.tenant(), "user.updated", &user)?;
    Ok(Reply::data(user))
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
    if input.status == Status::Suspenso {
        permission::require_another_admin(call.tenant(), input.id)?;
    }
    let user = spi::object(
        concat!(
            "update nebula.user u set status = $3::nebula.status, suspended_reason = $4 \
             where u.tenant_id = $1 and u.id = $2 and u.deleted_at is null returning ",
            user_columns!()
        ),
        &[
            Arg::Uuid(call.tenant()),
            Arg::Uuid(input.id),
            Arg::Text(input.status.as_str()),
            Arg::OptText(input.suspended_reason.as_ref().map(Description::as_str)),
        ],
    )
    .ok_or(Code::NotFound)?;
    if input.status == Status::Suspenso {
        // A person who is let in again logs in again.
        spi::run(
            "update nebula.session set revoked_at = now(), revoked_reason = 'user' where tenant_id = $1 and user_id = $2 and revoked_at is null",
            &[Arg::Uuid(call.tenant()), Arg::Uuid(input.id)],
        );
    }
    outbox::emit(call.tenant(), "user.status.changed", &user)?;
    Ok(Reply::data(user))
}

fn make_invite(call: &Call, input: ById) -> Result<Reply> {
    spi::first(
        "select true from nebula.user where tenant_id = $1 and id = $2 and deleted_at is null and status = 'ativo'",
        &[Arg::Uuid(call.tenant()), Arg::Uuid(input.id)],
        |_| (),
    )
    .ok_or(Code::NotFound)?;
    permission::require_holds_all_of(&call.caller, input.id)?;
    // The platform's own keys are not this tenant's to refer to.
    let maker = if call.caller.is_acting() { Actor::Nobody } else { call.caller.actor };
    Ok(Reply::data(invite::make(call.tenant(), input.id, maker)?))
}

/// The person is gone, the id stays: history keeps its actor, and nothing leads back.
fn anonymize(call: &Call, input: ById) -> Result<Reply> {
    permission::require_another_admin(call.tenant(), input.id)?;
    if erasure::erase(call.tenant(), input.id)? { Ok(Reply::none()) } else { Err(Code::NotFound.into()) }
}
