//! One-time tokens with which a person sets a password.

use super::{
    context::Actor,
    error::Result,
    spi::{self, Arg},
};
use nebula_core::{
    error::Code,
    opaque_token::{Kind, OpaqueToken, Secret},
};
use uuid::Uuid;

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
