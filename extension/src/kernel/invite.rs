//! One-time tokens with which a person sets a password.

use super::{
    context::Actor,
    error::Result,
    installation,
    spi::{self, Arg},
};
use nebula_core::{
    error::Code,
    opaque_token::{Kind, OpaqueToken, Secret},
    text::Instant,
};
use schemars::JsonSchema;
use uuid::Uuid;

/// A token with which a person sets a password; shown this once.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase")]
#[allow(dead_code, reason = "describes what SQL makes")]
pub struct Invite {
    /// `nbi_` and 136 hex digits.
    token: String,
    expires_at: Instant,
}

/// A token with which a person who forgot the password sets another, within an hour. Its secret stands nowhere: it is made of the installation's own and
/// the token's id, again when a worker delivers it. The result is what the event tells: `{"userId", "inviteId", "expiresAt"}`.
pub fn make_reset(tenant: Uuid, user: Uuid) -> Result<String> {
    let token = reset_token(tenant, Uuid::now_v7());
    spi::text(
        "insert into nebula.invite (tenant_id, id, user_id, purpose, hash, expires_at) values ($1, $2, $3, 'reset', $4, now() + interval '1 hour') \
         returning json_build_object('userId', user_id, 'inviteId', id, 'expiresAt', expires_at)::text",
        &[Arg::Uuid(tenant), Arg::Uuid(token.id), Arg::Uuid(user), Arg::Bytes(&token.secret.digest())],
    )
    .ok_or_else(|| Code::InternalError.into())
}

/// The text of a reset token that can still be used.
#[must_use]
pub fn reveal_reset(tenant: Uuid, id: Uuid) -> Option<String> {
    spi::first(
        "select from nebula.invite where tenant_id = $1 and id = $2 and purpose = 'reset' and used_at is null and expires_at > now()",
        &[Arg::Uuid(tenant), Arg::Uuid(id)],
        |_| reset_token(tenant, id).reveal(),
    )
}

fn reset_token(tenant: Uuid, id: Uuid) -> OpaqueToken {
    let secret = installation::keyed_secret("reset", &[&tenant.to_string(), &id.to_string()]);
    OpaqueToken { kind: Kind::Invite, tenant, id, secret: Secret(secret) }
}

/// Makes a one-time invite of three days; its JSON `{"token", "expiresAt"}` is the only place where the token stands.
pub fn make(tenant: Uuid, user: Uuid, maker: Actor) -> Result<String> {
    let token = OpaqueToken { kind: Kind::Invite, tenant, id: Uuid::now_v7(), secret: Secret(spi::random()) };
    spi::text(
        "insert into nebula.invite (tenant_id, id, user_id, hash, expires_at, made_by_user_id, made_by_api_key_id) \
         values ($1, $2, $3, $4, now() + interval '3 days', $6, $7) \
         returning json_build_object('token', $5, 'expiresAt', expires_at)::text",
        &[
            Arg::Uuid(tenant),
            Arg::Uuid(token.id),
            Arg::Uuid(user),
            Arg::Bytes(&token.secret.digest()),
            Arg::Text(&token.reveal()),
            Arg::OptUuid(maker.user()),
            Arg::OptUuid(maker.service()),
        ],
    )
    .ok_or_else(|| Code::InternalError.into())
}
