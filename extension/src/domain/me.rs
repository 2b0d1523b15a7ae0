//! The caller about themselves.

use super::user_session::{self, Session};
use crate::kernel::{
    audit,
    context::{Actor, Caller},
    error::{Refusal, Result},
    login_guard::Guard,
    operation::{
        Call, Derived, Kind,
        Method::{Delete, Get, Patch, Put},
        Operation, Reply, Scope, shape,
    },
    outbox,
    page::{Limit, ListInput},
    password, permission,
    rights::{self, Origin, Rights},
    spi::{self, Arg, direct::lookup::Lookup},
};
use nebula_core::{
    error::Code,
    password::{NewPassword, PasswordProof},
    text::{Email, Instant, Key, Name, Slug},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::{cell::RefCell, collections::HashMap, rc::Rc};
use uuid::Uuid;

#[must_use]
pub fn operations() -> Vec<Operation> {
    vec![
        Operation::new("me.read", (Get, "/v1/me"), Kind::Read, read)
            .scope(Scope::OwnUser)
            .answers::<Me>()
            .summary("Mostra quem está chamando e o que pode fazer", "Shows who is calling and what they may do"),
        Operation::new("me.update", (Patch, "/v1/me"), Kind::Write, update)
            .scope(Scope::OwnUser)
            .answers::<Person>()
            .summary("Altera o próprio nome", "Changes one's own name"),
        Operation::new("me.password", (Put, "/v1/me/password"), Kind::Write, change_password)
            .scope(Scope::OwnUser)
            .derive(&[Derived { field: "currentPassword", mode: "check" }, Derived { field: "newPassword", mode: "new" }])
            .success(204)
            .summary("Troca a própria senha", "Changes one's own password"),
        Operation::new("me.sessions.list", (Get, "/v1/me/sessions"), Kind::Read, list_sessions)
            .scope(Scope::OwnUser)
            .lists::<Session>()
            .sorts(user_session::SORTS)
            .summary("Lista as próprias sessões", "Lists one's own sessions"),
        Operation::new("me.sessions.revoke", (Delete, "/v1/me/sessions"), Kind::Write, revoke_sessions)
            .scope(Scope::OwnUser)
            .summary("Encerra as outras sessões", "Ends one's other sessions"),
    ]
}

shape! {
    /// Who is calling, and what they may do.
    Me {
        actor: Principal,
        tenant: OwnTenant,
        packages: Vec<OwnPackage>,
        /// Names of the active groups.
        groups: Vec<String>,
        /// Every action that would be allowed now.
        actions: Vec<Key>,
    }
}

/// A person (`user`, with `email`) or a service account (`service`, with `profile`, null for an explicit scope).
#[derive(JsonSchema)]
#[allow(dead_code, reason = "describes what SQL makes")]
struct Principal {
    #[schemars(rename = "type")]
    kind: PrincipalKind,
    id: Uuid,
    name: Name,
    #[schemars(skip_serializing_if = "Option::is_none")]
    email: Option<Email>,
    #[schemars(skip_serializing_if = "Option::is_none")]
    profile: Option<String>,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
#[allow(dead_code, reason = "describes what SQL makes")]
enum PrincipalKind {
    User,
    Service,
}

shape! {
    /// The caller's tenant.
    OwnTenant {
        id: Uuid,
        slug: Slug,
        name: Name,
    }
}

shape! {
    /// A package of the caller's tenant.
    OwnPackage {
        key: Key,
        name: Name,
        expires_at: Option<Instant>,
    }
}

shape! {
    /// The calling person.
    Person {
        id: Uuid,
        email: Email,
        name: Name,
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Nothing {}

fn read(call: &Call, _: Nothing) -> Result<Reply> {
    let tenant = call.tenant();
    let actor = match call.caller.actor {
        Actor::User(id) => PERSON
            .find(tenant, &[Arg::Uuid(tenant), Arg::Uuid(id)], |row| {
                text(&TellsPerson { id, email: row.text(1), name: row.text(2), kind: "user" })
            })
            .transpose()?,
        Actor::Service(id) => spi::object(
            "select id, name, role as profile, 'service'::text as type from nebula.api_key where tenant_id = $1 and id = $2",
            &[Arg::Uuid(tenant), Arg::Uuid(id)],
        ),
        Actor::Nobody => None,
    };
    let actor = actor.ok_or(Code::NotFound)?;
    let standing = standing(&call.caller)?;
    Ok(Reply::data(["{\"actor\":", &actor, ",", &standing, "}"].concat()))
}

const PERSON: Lookup = Lookup { table: c"user", index: c"pk_user", key: &[c"tenant_id", c"id"], columns: &[c"email", c"name"] };

/// The calling person, as it is told.
#[derive(Serialize)]
struct TellsPerson {
    id: Uuid,
    email: Option<String>,
    name: Option<String>,
    #[serde(rename = "type")]
    kind: &'static str,
}

/// The caller's tenant, as it is told.
#[derive(Serialize)]
struct TellsTenant<'a> {
    id: Uuid,
    slug: &'a str,
    name: &'a str,
}

fn text(told: &impl Serialize) -> Result<String> {
    serde_json::to_string(told).map_err(|_| Code::InternalError.into())
}

/// What a backend keeps of what it has told, for whoever asks again.
const STANDINGS: usize = 256;

thread_local! {
    static TOLD: RefCell<HashMap<Origin, Rc<str>>> = RefCell::default();
}

/// Where somebody belongs and what they may do, as members of a JSON object. What they may do is told again as it was, to them and to whoever has the same rights, if
/// neither time nor place decides.
fn standing(caller: &Caller) -> Result<String> {
    let rights = rights::of_caller(caller);
    let tenant = rights.tenant().ok_or(Code::TenantNotFound)?;
    let tenant = text(&TellsTenant { id: caller.tenant, slug: tenant.slug(), name: tenant.name() })?;
    let origin = rights::origin(&rights);
    let told = TOLD.with_borrow(|told| told.get(&origin).map(Rc::clone));
    let may = told.unwrap_or_else(|| {
        let (may, lasts) = may(caller, &rights);
        if lasts {
            TOLD.with_borrow_mut(|told| {
                if told.len() >= STANDINGS {
                    told.clear();
                }
                told.insert(origin, Rc::clone(&may));
            });
        }
        may
    });
    Ok(format!("\"tenant\":{tenant},{may}"))
}

/// What somebody may do, as members of a JSON object; and whether it stays so for as long as their rights are the same.
fn may(caller: &Caller, rights: &Rights) -> (Rc<str>, bool) {
    let packages = rights.packages();
    let lasts = packages.as_array().is_some_and(|packages| packages.iter().all(|package| package["expiresAt"].is_null()))
        && rights
            .all()
            .all(|right| right.granted.constrained().next().is_none() && right.packaged_until.is_none_or(|until| until == i64::MAX));
    let actions = json!(permission::effective_actions(caller, rights));
    let groups = json!(rights.groups());
    (format!("\"packages\":{packages},\"groups\":{groups},\"actions\":{actions}").into(), lasts)
}

/// These are about a person; a key has neither name of its own nor sessions.
fn own_user(call: &Call) -> Result<Uuid> {
    call.caller.actor.user().ok_or_else(|| Refusal::forbidden(&call.caller.action, "users_only"))
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct UpdateMe {
    name: Name,
}

fn update(call: &Call, input: UpdateMe) -> Result<Reply> {
    let me = spi::text(
        "update nebula.user set name = $3 where tenant_id = $1 and id = $2 \
         returning json_build_object('id', id, 'email', email, 'name', name)::text",
        &[Arg::Uuid(call.tenant()), Arg::Uuid(own_user(call)?), Arg::Text(input.name.as_str())],
    )
    .ok_or(Code::NotFound)?;
    outbox::emit(call.tenant(), "user.updated", &me)?;
    Ok(Reply::data(me))
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ChangePassword {
    current_password: PasswordProof,
    new_password: NewPassword,
}

/// The session that changes it goes on; every other ends. Wrong guesses count as at a login.
fn change_password(call: &Call, input: ChangePassword) -> Result<Reply> {
    let user = own_user(call)?;
    password::check_cost(&input.new_password, "newPassword")?;
    let email = spi::text(
        "select email from nebula.user where tenant_id = $1 and id = $2 and deleted_at is null",
        &[Arg::Uuid(call.tenant()), Arg::Uuid(user)],
    )
    .ok_or(Code::NotFound)?;
    let guard = Guard::new(call.tenant(), &email, call.caller.origin.ip);
    guard.enter()?;
    if !password::is_right(call.tenant(), Some(user), &input.current_password) {
        guard.failed();
        audit::record(call.tenant(), "user", Some(user), &json!({ "outcome": Code::InvalidCredentials.as_str() }));
        return Err(Refusal::from(Code::InvalidCredentials).keeping_writes());
    }
    guard.passed();
    password::store(call.tenant(), user, &input.new_password, call.caller.session);
    audit::record(call.tenant(), "user", Some(user), &json!({ "outcome": "password_changed" }));
    Ok(Reply::none())
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ListSessions {
    #[serde(default)]
    limit: Limit,
    cursor: Option<String>,
    sort: Option<String>,
}

fn list_sessions(call: &Call, input: ListSessions) -> Result<Reply> {
    user_session::open(call, "me.sessions", own_user(call)?, &ListInput::page(input.limit, input.cursor, input.sort))
}

fn revoke_sessions(call: &Call, _: Nothing) -> Result<Reply> {
    spi::run(
        "update nebula.session set revoked_at = now(), revoked_reason = 'logout' \
         where tenant_id = $1 and user_id = $2 and id is distinct from $3 and revoked_at is null",
        &[Arg::Uuid(call.tenant()), Arg::Uuid(own_user(call)?), Arg::OptUuid(call.caller.session)],
    );
    audit::record(call.tenant(), "session", None, &json!({ "outcome": "others_revoked" }));
    Ok(Reply::none())
}
