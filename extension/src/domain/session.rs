//! Logging in, staying in, leaving. Public operations: each checks its own credential.

use crate::kernel::{
    audit,
    context::{self, Actor},
    error::{Refusal, Result},
    idempotency::{self, Replay},
    installation, invite,
    login_guard::Guard,
    operation::{Call, Derived, Kind, Method::Post, Operation, Reply, Scope, TenantFrom, shape},
    outbox, password, permission, rights,
    spi::{self, Arg},
};
use nebula_core::{
    access_token::LIFETIME_SECONDS,
    error::Code,
    hex,
    opaque_token::{Kind as TokenKind, OpaqueToken, Secret},
    password::{NewPassword, PasswordProof},
    text::{Email, Slug},
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use uuid::Uuid;

#[must_use]
pub fn operations() -> Vec<Operation> {
    let public = |operation: Operation| operation.scope(Scope::Public);
    vec![
        public(Operation::new("auth.login", (Post, "/v1/auth/login"), Kind::Write, login))
            .tenant_from(TenantFrom::Login)
            .derive(&[Derived { field: "password", mode: "check" }])
            .issues_token()
            .reveals_secret()
            .answers::<Tokens>()
            .summary("Entra com e-mail e senha", "Logs in with e-mail and password"),
        public(Operation::new("auth.refresh", (Post, "/v1/auth/refresh"), Kind::Write, refresh))
            .tenant_from(TenantFrom::BodyToken("refreshToken"))
            .issues_token()
            .answers::<Tokens>()
            .summary("Troca o refresh token por novos tokens", "Exchanges the refresh token for new tokens"),
        public(Operation::new("auth.logout", (Post, "/v1/auth/logout"), Kind::Write, logout))
            .tenant_from(TenantFrom::BodyToken("refreshToken"))
            .success(204)
            .summary("Encerra a sessão", "Ends the session"),
        public(Operation::new("auth.password", (Post, "/v1/auth/password"), Kind::Write, set_password))
            .tenant_from(TenantFrom::BodyToken("token"))
            .derive(&[Derived { field: "password", mode: "new" }])
            .success(204)
            .summary("Define a senha com um convite ou token de redefinição", "Sets the password with an invite or reset token"),
        public(Operation::new("auth.password.reset", (Post, "/v1/auth/password/reset"), Kind::Write, reset_password))
            .tenant_from(TenantFrom::Login)
            .success(204)
            .summary("Pede a redefinição da senha", "Asks for a password reset"),
    ]
}

shape! {
    /// What opens the API for a person.
    Tokens {
        /// A JWT, RS256; verified with `/.well-known/jwks.json`.
        access_token: String,
        /// `Bearer`.
        token_type: String,
        /// Seconds that the access token lives.
        expires_in: u32,
        /// Opaque; used once.
        refresh_token: String,
        /// Seconds that the refresh token lives.
        refresh_expires_in: u32,
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Login {
    /// The tenant's slug.
    #[allow(dead_code, reason = "the edge has resolved it to the tenant argument; here it is only held to its form")]
    tenant: Slug,
    email: Email,
    password: PasswordProof,
}

fn login(call: &Call, input: Login) -> Result<Reply> {
    let guard = Guard::new(call.tenant(), input.email.as_str(), call.caller.origin.ip);
    guard.enter()?;
    let user = password::person(call.tenant(), input.email.as_str());
    let is_right = password::is_right(call.tenant(), user, &input.password);
    let Some(user) = user.filter(|_| is_right) else {
        guard.failed();
        record_failure(call, user);
        return Err(Refusal::from(Code::InvalidCredentials).keeping_writes());
    };
    guard.passed();
    let _scope = act_as(call, user, None);
    require_standing(call, user)?;
    idempotency::once(call, || {
        let session = Uuid::now_v7();
        spi::run(
            "insert into nebula.session (tenant_id, id, user_id, ip, user_agent, expires_at) values ($1, $2, $3, $4::inet, $5, now() + make_interval(days => $6))",
            &[
                Arg::Uuid(call.tenant()),
                Arg::Uuid(session),
                Arg::Uuid(user),
                Arg::OptText(call.caller.origin.ip.map(|ip| ip.to_string()).as_deref()),
                Arg::OptText(call.caller.origin.user_agent.as_deref()),
                Arg::Int(installation::current().refresh_days),
            ],
        );
        audit::record(call.tenant(), "session", Some(session), &json!({ "outcome": "logged_in" }));
        let token = OpaqueToken { kind: TokenKind::Refresh, tenant: call.tenant(), id: Uuid::now_v7(), secret: Secret(spi::random()) };
        issue(call, user, session, &token)
    })
}

/// A wrong password is audited the same way whether the person exists: neither answer nor time tells.
fn record_failure(call: &Call, user: Option<Uuid>) {
    let is_tenant = spi::first("select true from nebula.tenant where id = $1", &[Arg::Uuid(call.tenant())], |_| ()).is_some();
    if is_tenant {
        audit::record(call.tenant(), "user", user, &json!({ "outcome": Code::InvalidCredentials.as_str() }));
    }
}

/// From here on the call is this person's: what it writes is audited as theirs.
fn act_as(call: &Call, user: Uuid, session: Option<Uuid>) -> context::Scope {
    context::enter(call.caller.with_actor(Actor::User(user), session))
}

fn require_standing(call: &Call, user: Uuid) -> Result<()> {
    let standing = crate::kernel::authenticate::check_standing(&rights::of(call.tenant(), Actor::User(user)));
    standing.map_err(|refusal| {
        audit::record(call.tenant(), "user", Some(user), &json!({ "outcome": refusal.code.as_str() }));
        refusal.keeping_writes()
    })
}

/// Stores a refresh token and answers with it and the claims for the access token beside it.
fn issue(call: &Call, user: Uuid, session: Uuid, token: &OpaqueToken) -> Result<Reply> {
    let jti = Uuid::now_v7();
    spi::run(
        "insert into nebula.refresh_token (tenant_id, id, session_id, hash, jti, expires_at) \
         values ($1, $2, $3, $4, $5, now() + make_interval(days => $6))",
        &[
            Arg::Uuid(call.tenant()),
            Arg::Uuid(token.id),
            Arg::Uuid(session),
            Arg::Bytes(&token.secret.digest()),
            Arg::Uuid(jti),
            Arg::Int(installation::current().refresh_days),
        ],
    );
    answer(call, user, session, token, jti)
}

fn answer(call: &Call, user: Uuid, session: Uuid, token: &OpaqueToken, jti: Uuid) -> Result<Reply> {
    let installation = installation::current();
    let rights = rights::of(call.tenant(), Actor::User(user));
    // As of the refresh token's making, so that a retry gets the same answer.
    let times = spi::first(
        "select floor(extract(epoch from created_at))::integer, extract(epoch from expires_at - created_at)::integer \
         from nebula.refresh_token where tenant_id = $1 and id = $2",
        &[Arg::Uuid(call.tenant()), Arg::Uuid(token.id)],
        |row| Some((row.integer(1)?, row.integer(2)?)),
    );
    let (issued_at, refresh_expires_in) = times.flatten().map(|(at, lives)| (i64::from(at), lives)).ok_or(Code::InternalError)?;
    let groups = rights.groups();
    let role = groups.first().copied().unwrap_or_default();
    let claims = json!({
        "iss": installation.issuer, "aud": installation.audience, "sub": user, "tenantId": call.tenant(), "role": role,
        "groups": groups_that_fit(&groups),
        "type": "user", "iat": issued_at, "exp": issued_at + LIFETIME_SECONDS, "jti": jti, "sid": session,
    });
    let data = json!({
        "tokenType": "Bearer", "expiresIn": LIFETIME_SECONDS, "refreshToken": token.reveal(), "refreshExpiresIn": refresh_expires_in,
    });
    Ok(Reply { claims: Some(claims), ..Reply::data(data.to_string()) })
}

/// A token that is too long is refused everywhere: as many groups inform as fit into a kilobyte, the rest is asked for at `/v1/me`.
fn groups_that_fit<'a>(groups: &[&'a str]) -> Vec<&'a str> {
    let mut bytes = 0;
    let fits = |group: &&str| {
        bytes += group.len() + 3;
        bytes <= 1024
    };
    groups.iter().copied().take_while(fits).collect()
}

/// A token for the documentation, which no checksum fits.
macro_rules! token_example {
    ($prefix:literal) => {
        concat!(
            $prefix,
            "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
            "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
            "01234567"
        )
    };
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Refresh {
    #[schemars(regex(pattern = "^nbr_[0-9a-f]{136}$"), extend("examples" = [token_example!("nbr_")]))]
    refresh_token: String,
}

/// A stored refresh token and its family.
struct Stored {
    session: Uuid,
    user: Uuid,
    jti: Uuid,
    hash: Vec<u8>,
    is_expired: bool,
    is_rotated: bool,
    is_in_retry_window: bool,
    replaced_by: Option<Uuid>,
    is_family_revoked: bool,
}

/// Finds and locks a refresh token with its family; `INVALID_TOKEN` for anything that isn't one of ours.
fn find(call: &Call, text: &str) -> Result<(OpaqueToken, Stored)> {
    let token = OpaqueToken::parse_as(TokenKind::Refresh, text).filter(|token| token.tenant == call.tenant()).ok_or(Code::InvalidToken)?;
    let stored = spi::first(
        "select s.id, s.user_id, r.jti, r.hash, r.expires_at <= now() or s.expires_at <= now(), r.revoked_at is not null, \
           coalesce(r.revoked_at > clock_timestamp() - interval '10 seconds', false), r.replaced_by, s.revoked_at is not null \
         from nebula.refresh_token r join nebula.session s on s.tenant_id = $1 and s.id = r.session_id \
         where r.tenant_id = $1 and r.id = $2 for update of s, r",
        &[Arg::Uuid(call.tenant()), Arg::Uuid(token.id)],
        |row| {
            Some(Stored {
                session: row.uuid(1)?,
                user: row.uuid(2)?,
                jti: row.uuid(3)?,
                hash: row.bytes(4)?,
                is_expired: row.boolean(5)?,
                is_rotated: row.boolean(6)?,
                is_in_retry_window: row.boolean(7)?,
                replaced_by: row.uuid(8),
                is_family_revoked: row.boolean(9)?,
            })
        },
    );
    let stored = stored.flatten().filter(|stored| token.secret.matches(&stored.hash)).ok_or(Code::InvalidToken)?;
    Ok((token, stored))
}

fn refresh(call: &Call, input: Refresh) -> Result<Reply> {
    let (token, stored) = find(call, &input.refresh_token)?;
    let _scope = act_as(call, stored.user, Some(stored.session));
    if stored.is_family_revoked {
        return Err(Code::InvalidToken.into());
    }
    if stored.is_rotated {
        return rotated_before(call, &token, &stored);
    }
    if stored.is_expired {
        return Err(Code::TokenExpired.into());
    }
    require_standing(call, stored.user)?;
    let successor_id = Uuid::now_v7();
    let successor = successor(&token, successor_id);
    let reply = issue(call, stored.user, stored.session, &successor)?;
    spi::run(
        "update nebula.refresh_token set revoked_at = clock_timestamp(), replaced_by = $3 where tenant_id = $1 and id = $2",
        &[Arg::Uuid(call.tenant()), Arg::Uuid(token.id), Arg::Uuid(successor_id)],
    );
    spi::run(
        "update nebula.session set last_used_at = now(), expires_at = now() + make_interval(days => $3) where tenant_id = $1 and id = $2",
        &[Arg::Uuid(call.tenant()), Arg::Uuid(stored.session), Arg::Int(installation::current().refresh_days)],
    );
    Ok(reply)
}

/// The next token of a family. Its secret is made of the one before and the installation's: a retry within the window gets the same token
/// again though only its hash is stored, and neither a dump alone nor an old token alone makes one.
fn successor(token: &OpaqueToken, id: Uuid) -> OpaqueToken {
    let secret = installation::keyed_secret("refresh", &[&hex::encode(&token.secret.0), &id.to_string()]);
    OpaqueToken { kind: TokenKind::Refresh, tenant: token.tenant, id, secret: Secret(secret) }
}

/// A token that was rotated already: a retry within 10 seconds gets the successor again; anything else is reuse and ends the family.
fn rotated_before(call: &Call, token: &OpaqueToken, stored: &Stored) -> Result<Reply> {
    let Some(next) = stored.replaced_by else { return Err(Code::InvalidToken.into()) };
    if stored.is_in_retry_window {
        let jti = spi::first(
            "select jti from nebula.refresh_token where tenant_id = $1 and id = $2 and revoked_at is null",
            &[Arg::Uuid(call.tenant()), Arg::Uuid(next)],
            |row| row.uuid(1),
        )
        .flatten();
        // The successor was used already: this is a straggler, not a thief.
        let jti = jti.ok_or(Code::InvalidToken)?;
        require_standing(call, stored.user)?;
        let reply = answer(call, stored.user, stored.session, &successor(token, next), jti)?;
        if call.key.is_none() {
            return Ok(reply);
        }
        let (status, body) = call.operation.envelope(&reply);
        return Ok(Reply { replay: Some(Replay { status, body, claims: reply.claims }), ..Reply::default() });
    }
    end(call, stored, "reuse");
    audit::record(call.tenant(), "session", Some(stored.session), &json!({ "outcome": "refresh_reuse" }));
    Err(Refusal::from(Code::InvalidToken).keeping_writes().alerting("refresh_reuse"))
}

/// Ends a family: its refresh tokens, its access tokens, and by name the newest of those.
fn end(call: &Call, stored: &Stored, reason: &str) {
    spi::run(
        "update nebula.session set revoked_at = now(), revoked_reason = $3 where tenant_id = $1 and id = $2 and revoked_at is null",
        &[Arg::Uuid(call.tenant()), Arg::Uuid(stored.session), Arg::Text(reason)],
    );
    spi::run(
        "update nebula.refresh_token set revoked_at = coalesce(revoked_at, now()) where tenant_id = $1 and session_id = $2",
        &[Arg::Uuid(call.tenant()), Arg::Uuid(stored.session)],
    );
    spi::run(
        "insert into nebula.revoked_token (tenant_id, jti, expires_at) values ($1, $2, now() + make_interval(secs => $3)) on conflict (tenant_id, jti) do nothing",
        &[Arg::Uuid(call.tenant()), Arg::Uuid(stored.jti), Arg::Int(i32::try_from(LIFETIME_SECONDS).unwrap_or(i32::MAX))],
    );
}

fn logout(call: &Call, input: Refresh) -> Result<Reply> {
    let (_, stored) = find(call, &input.refresh_token)?;
    let _scope = act_as(call, stored.user, Some(stored.session));
    if !stored.is_family_revoked {
        end(call, &stored, "logout");
        audit::record(call.tenant(), "session", Some(stored.session), &json!({ "outcome": "logged_out" }));
    }
    Ok(Reply::none())
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SetPassword {
    /// The invite or reset token.
    #[schemars(regex(pattern = "^nbi_[0-9a-f]{136}$"), extend("examples" = [token_example!("nbi_")]))]
    token: String,
    password: NewPassword,
}

fn set_password(call: &Call, input: SetPassword) -> Result<Reply> {
    password::check_cost(&input.password, "password")?;
    let token =
        OpaqueToken::parse_as(TokenKind::Invite, &input.token).filter(|token| token.tenant == call.tenant()).ok_or(Code::InvalidToken)?;
    let invite = spi::first(
        "select user_id, hash, used_at is not null, expires_at <= now(), made_by_user_id, made_by_api_key_id \
         from nebula.invite where tenant_id = $1 and id = $2 for update",
        &[Arg::Uuid(call.tenant()), Arg::Uuid(token.id)],
        |row| {
            let maker = row.uuid(5).map(Actor::User).or(row.uuid(6).map(Actor::Service));
            Some((row.uuid(1)?, row.bytes(2)?, row.boolean(3)?, row.boolean(4)?, maker))
        },
    );
    let (user, _, is_used, is_expired, maker) =
        invite.flatten().filter(|(_, hash, ..)| token.secret.matches(hash)).ok_or(Code::InvalidToken)?;
    idempotency::once(call, || {
        if is_used {
            return Err(Code::InvalidToken.into());
        }
        if is_expired {
            return Err(Code::TokenExpired.into());
        }
        if let Some(maker) = maker.filter(|maker| *maker != Actor::User(user)) {
            // Whoever made it may know it: what the person has been given since must be theirs too, or the invite opens more than its maker holds.
            permission::require_holds_all_of(&call.caller.with_actor(maker, None), user).map_err(|_| Code::InvalidToken)?;
        }
        let _scope = act_as(call, user, None);
        require_standing(call, user)?;
        password::store(call.tenant(), user, &input.password, None);
        Ok(Reply::none())
    })
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Reset {
    /// The tenant's slug.
    #[allow(dead_code, reason = "the edge has resolved it to the tenant argument; here it is only held to its form")]
    tenant: Slug,
    email: Email,
}

/// Answers the same whether or not there is such a person; who there is gets a token by the event that a worker delivers, one in two minutes at most.
fn reset_password(call: &Call, input: Reset) -> Result<Reply> {
    idempotency::once(call, || {
        let user = spi::first(
            "select u.id from nebula.user u join nebula.tenant t on t.id = $1 \
             where u.tenant_id = $1 and lower(u.email) collate \"C\" = lower($2) and u.deleted_at is null and u.status = 'ativo' \
               and u.auth_provider = 'internal' and t.status = 'ativo' \
               and not exists ( \
                 select from nebula.invite i \
                 where i.tenant_id = $1 and i.user_id = u.id and i.purpose = 'reset' and i.used_at is null and i.created_at > now() - interval '2 minutes' \
               )",
            &[Arg::Uuid(call.tenant()), Arg::Text(input.email.as_str())],
            |row| row.uuid(1),
        );
        if let Some(user) = user.flatten() {
            let reset = invite::make_reset(call.tenant(), user)?;
            outbox::emit(call.tenant(), "user.password.reset", &reset)?;
        }
        Ok(Reply::none())
    })
}
