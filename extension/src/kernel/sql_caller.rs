//! Who a SQL caller is: claims that PostgREST set, or a login role that a DBA bound to a tenant. Everything else is nobody.

use super::{
    context::{Actor, Caller, Origin},
    foreign, installation, spi,
    spi::Arg,
};
use serde_json::{Map, Value};
use std::{cell::RefCell, ffi::CStr, net::IpAddr, rc::Rc};
use uuid::Uuid;

/// Whose queries run as this role in policies and for look-ups.
pub const OWNER: &CStr = c"nebula_owner";
/// The role of what crosses tenants.
pub const PLATFORM: &CStr = c"nebula_platform";

/// The login that PostgREST uses: only in its sessions are `request.jwt.claims` believed. It runs no SQL of its callers, so that nobody but
/// PostgREST, which verified the token, can have set them.
const POSTGREST_LOGIN: &str = "authenticator";

struct Memo {
    generation: u64,
    login: u32,
    claims: Option<String>,
    identity: Option<(Uuid, Actor, Option<Uuid>)>,
}

thread_local! {
    static MEMO: RefCell<Option<Memo>> = const { RefCell::new(None) };
}

/// Forgets whose claims were read: the transaction, or a savepoint of it, is over. What a login is bound to outlives it: a change of the binding
/// changes the generation.
pub fn forget() {
    MEMO.with_borrow_mut(|memo| {
        if memo.as_ref().is_some_and(|memo| memo.claims.is_some()) {
            *memo = None;
        }
    });
}

/// The SQL caller as of this statement, with the action that is being done.
#[must_use]
pub fn current(action: &str) -> Option<Caller> {
    let (tenant, actor, session) = identity()?;
    Some(Caller { tenant, home: tenant, actor, action: Rc::from(action), origin: Rc::new(origin()), session })
}

/// Somebody of another issuer who calls for the first time: known from now on, if their verified e-mail address is. Only for what may write.
#[must_use]
pub fn introduce(action: &str) -> Option<Caller> {
    if spi::session_user() != POSTGREST_LOGIN || spi::setting(c"transaction_read_only").as_deref() == Some("on") {
        return None;
    }
    let identity = foreign::claimed(&claims()?)?;
    let nobody = Caller {
        tenant: identity.tenant,
        home: identity.tenant,
        actor: Actor::Nobody,
        action: Rc::from(action),
        origin: Rc::new(origin()),
        session: None,
    };
    foreign::recognise(&identity, nobody)?;
    // That nobody was found is remembered until then.
    forget();
    current(action)
}

fn origin() -> Origin {
    let (user_agent, ip) = (header("user-agent"), ip());
    let request_id =
        header("x-request-id").filter(|id| nebula_core::text::RequestId::parse(id).is_ok()).unwrap_or_else(|| Uuid::now_v7().to_string());
    Origin { request_id, ip, user_agent: user_agent.map(|agent| clip(&agent)) }
}

/// The caller's address by the last hop's word: PostgREST stands behind a proxy that sets it.
#[must_use]
pub fn ip() -> Option<IpAddr> {
    header("x-real-ip")?.parse().ok()
}

/// At most 512 characters, without control characters: what a client calls itself is stored, so it is bounded.
#[must_use]
pub fn clip(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(512).collect()
}

fn header(name: &str) -> Option<String> {
    if spi::session_user() != POSTGREST_LOGIN {
        return None;
    }
    let headers = serde_json::from_str::<Value>(&spi::setting(c"request.headers")?).ok()?;
    headers.get(name)?.as_str().map(str::to_owned)
}

/// Tenant, actor and session, kept while login, claims and rights stay the same.
#[must_use]
pub fn identity() -> Option<(Uuid, Actor, Option<Uuid>)> {
    let generation = spi::rights_generation();
    let login = spi::session_user_id();
    let known = MEMO.with_borrow(|memo| {
        let memo = memo.as_ref().filter(|memo| memo.generation == generation && memo.login == login)?;
        // A login that isn't PostgREST's has no claims, whatever it sets.
        (memo.claims.is_none() || memo.claims == spi::setting(c"request.jwt.claims")).then_some(memo.identity)
    });
    if let Some(identity) = known {
        return identity;
    }
    let name = spi::session_user();
    let (claims, identity) = if name == POSTGREST_LOGIN {
        // Empty and missing are one (pitfalls), and are remembered as text, so that what PostgREST sets next is seen.
        let identity = claims().and_then(|claims| spi::as_role(PLATFORM, || spi::reading_latest(|| from_claims(&claims))));
        (Some(spi::setting(c"request.jwt.claims").unwrap_or_default()), identity)
    } else {
        (None, spi::as_role(PLATFORM, || spi::reading_latest(|| from_login(&name))))
    };
    // Resolving may itself have received a change of rights.
    if spi::rights_generation() == generation && !spi::is_parallel() {
        MEMO.set(Some(Memo { generation, login, claims, identity }));
    }
    identity
}

/// What PostgREST says of the token that it has verified.
fn claims() -> Option<Map<String, Value>> {
    serde_json::from_str(&spi::setting(c"request.jwt.claims")?).ok()
}

fn from_claims(claims: &Map<String, Value>) -> Option<(Uuid, Actor, Option<Uuid>)> {
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    if text("iss")? == installation::current().issuer {
        let (tenant, subject): (Uuid, &str) = (text("tenantId")?.parse().ok()?, text("sub")?);
        let (user, session): (Uuid, Uuid) = (subject.parse().ok()?, text("sid")?.parse().ok()?);
        let is_alive = spi::first(
            "select true from nebula.session where tenant_id = $1 and id = $2 and user_id = $3 and revoked_at is null",
            &[Arg::Uuid(tenant), Arg::Uuid(session), Arg::Uuid(user)],
            |row| row.boolean(1),
        );
        return is_alive.map(|_| (tenant, Actor::User(user), Some(session)));
    }
    let identity = foreign::claimed(claims)?;
    foreign::linked(&identity).map(|user| (identity.tenant, Actor::User(user), None))
}

fn from_login(login: &str) -> Option<(Uuid, Actor, Option<Uuid>)> {
    spi::first("select tenant_id, api_key_id from nebula.role_binding where role_name = $1::name", &[Arg::Text(login)], |row| {
        Some((row.uuid(1)?, Actor::Service(row.uuid(2)?), None))
    })
    .flatten()
}
