//! Who a SQL caller is: whom PostgREST speaks for, or a login role that a DBA bound to a tenant. Everything else is nobody.

use super::{
    authenticate, canary,
    context::{Actor, Caller, Origin},
    error::Result,
    foreign,
    installation::{self, Trust},
    migrate,
    postgrest::{self, LOGIN as POSTGREST_LOGIN},
    rights, spi,
    spi::Arg,
};
use nebula_core::error::Code;
use std::{cell::RefCell, ffi::CStr, net::IpAddr, rc::Rc};
use uuid::Uuid;

/// Whose queries run as this role in policies and for look-ups.
pub const OWNER: &CStr = c"nebula_owner";
/// The role of what crosses tenants.
pub const PLATFORM: &CStr = c"nebula_platform";

type Identity = (Uuid, Actor, Option<Uuid>);

struct Memo {
    generation: u64,
    login: u32,
    /// What PostgREST's session said, where it is one.
    said: Option<Said>,
    identity: Option<Identity>,
}

/// The settings that an identity was found by: another text is another caller.
struct Said {
    claims: String,
    /// Only where they are believed.
    headers: Option<String>,
    /// The second in which the credential counts no more.
    expires_at: Option<i64>,
}

impl Said {
    fn still_holds(&self) -> bool {
        spi::is_setting(postgrest::CLAIMS, &self.claims)
            && self.headers.as_ref().is_none_or(|headers| spi::is_setting(postgrest::HEADERS, headers))
            && self.expires_at.is_none_or(|at| spi::statement_second() < at)
    }
}

thread_local! {
    static MEMO: RefCell<Option<Memo>> = const { RefCell::new(None) };
}

/// Forgets whom PostgREST spoke for: the transaction, or a savepoint of it, is over. What a login is bound to outlives it: a change of the binding
/// changes the generation.
pub fn forget() {
    MEMO.with_borrow_mut(|memo| {
        if memo.as_ref().is_some_and(|memo| memo.said.is_some()) {
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
    if spi::session_user() != POSTGREST_LOGIN || !spi::may_write() {
        return None;
    }
    let identity = postgrest::stranger()?;
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

/// Whether PostgREST's request should go on: `Err` for a credential that proves nothing, and for who is suspended. Who presents none goes on as nobody.
pub fn admit(action: &str) -> Result<()> {
    if spi::session_user() != POSTGREST_LOGIN {
        return Ok(());
    }
    spi::as_role(PLATFORM, migrate::require_current)?;
    if !postgrest::presents_somebody() {
        return Ok(());
    }
    match current(action).or_else(|| introduce(action)) {
        Some(caller) => authenticate::check_standing(&rights::of_caller(&caller)),
        // Asked again for the reason.
        None => spi::as_role(PLATFORM, || spi::reading_latest(postgrest::spoken)).and(Err(Code::InvalidToken.into())),
    }
}

fn origin() -> Origin {
    let (user_agent, ip) = (header("user-agent"), ip());
    let request_id =
        header("x-request-id").filter(|id| nebula_core::text::RequestId::parse(id).is_ok()).unwrap_or_else(|| Uuid::now_v7().to_string());
    Origin { request_id, trace_id: None, ip, user_agent: user_agent.map(|agent| clip(&agent)) }
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
    if spi::session_user() == POSTGREST_LOGIN { postgrest::header(name) } else { None }
}

/// Tenant, actor and session, kept while login, what PostgREST said and rights stay the same.
#[must_use]
pub fn identity() -> Option<Identity> {
    if let Some(acting) = canary::acting() {
        return acting.map(|(tenant, actor)| (tenant, actor, None));
    }
    let generation = spi::rights_generation();
    let login = spi::session_user_id();
    let known = MEMO.with_borrow(|memo| {
        let memo = memo.as_ref().filter(|memo| memo.generation == generation && memo.login == login)?;
        // A login that isn't PostgREST's says nothing, whatever it sets.
        memo.said.as_ref().is_none_or(Said::still_holds).then_some(memo.identity)
    });
    if let Some(identity) = known {
        return identity;
    }
    let name = spi::session_user();
    let (said, identity) = if name == POSTGREST_LOGIN {
        // Copied before they are judged: what PostgREST sets next is seen. Empty and missing are one.
        let text = |name: &CStr| spi::setting(name).unwrap_or_default();
        let is_token = installation::current().postgrest_trust == Trust::Token;
        let (claims, headers) = (text(postgrest::CLAIMS), is_token.then(|| text(postgrest::HEADERS)));
        let spoken = spi::as_role(PLATFORM, || spi::reading_latest(postgrest::spoken)).ok();
        let said = Said { claims, headers, expires_at: spoken.and_then(|spoken| spoken.expires_at) };
        (Some(said), spoken.map(|spoken| (spoken.tenant, spoken.actor, spoken.session)))
    } else {
        (None, spi::as_role(PLATFORM, || spi::reading_latest(|| from_login(&name))))
    };
    // Resolving may itself have received a change of rights.
    if spi::rights_generation() == generation && !spi::is_parallel() {
        MEMO.set(Some(Memo { generation, login, said, identity }));
    }
    identity
}

fn from_login(login: &str) -> Option<Identity> {
    spi::first("select tenant_id, api_key_id from nebula.role_binding where role_name = $1::name", &[Arg::Text(login)], |row| {
        Some((row.uuid(1)?, Actor::Service(row.uuid(2)?), None))
    })
    .flatten()
}
