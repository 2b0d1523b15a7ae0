//! Passwords in a body: checked for length, and replaced by what Argon2id makes of them.

use super::{
    app::App,
    payload::{Known, Members, raw},
    refusal::Refusal,
};
use crate::{
    auth::{self, PasswordRule, Prepared},
    db::{DeriveMode, Route, TenantFrom, TenantSource},
};
use nebula_core::password::{Bytes, PasswordProof};
use tokio::time::Instant;

/// A password of the body.
pub struct Password<'a> {
    field: &'a str,
    mode: DeriveMode,
    password: Prepared,
}

/// The passwords of the body, checked for length. A missing one is left for the database to refuse.
pub fn take<'a>(route: &'a Route, members: &Members) -> Result<Vec<Password<'a>>, Refusal> {
    let mut passwords = Vec::new();
    for derive in &route.derive {
        let Some(member) = members.get(&derive.field) else { continue };
        let password =
            auth::prepare(member, derive.mode == DeriveMode::New).map_err(|PasswordRule(rule)| Refusal::invalid(&derive.field, rule))?;
        passwords.push(Password { field: &derive.field, mode: derive.mode, password });
    }
    Ok(passwords)
}

/// Puts what was derived in the passwords' place.
pub async fn replace(
    app: &App,
    route: &Route,
    passwords: Vec<Password<'_>>,
    known: &Known,
    idempotency_key: Option<&str>,
    members: &mut Members,
    deadline: Instant,
) -> Result<(), Refusal> {
    let is_login = route.tenant_from == TenantFrom::Named(TenantSource::Login);
    for Password { field, mode, password } in passwords {
        let replacement = match (mode, &known.challenge) {
            (DeriveMode::New, _) => {
                let salt = auth::salt(known.seed.as_deref(), idempotency_key).ok_or_else(|| Refusal::internal("no randomness"))?;
                raw(&app.deriver.new_password(password, salt, deadline).await.ok_or_else(busy)?)
            }
            (DeriveMode::Check, Some(challenge)) => raw(&app.deriver.proof(password, challenge, deadline).await.ok_or_else(busy)?),
            // No tenant or e-mail to ask a challenge for: the database refuses the body before it looks at this key.
            (DeriveMode::Check, None) if is_login => raw(&PasswordProof { key: Bytes([0; 32]) }),
            // The protocol has a challenge for logins and credentials alone; a made-up key would read as a wrong password.
            (DeriveMode::Check, None) => Err(Refusal::internal("an operation without login or credential asks to check a password")),
        }?;
        members.insert(field.to_owned(), replacement);
    }
    Ok(())
}

fn busy() -> Refusal {
    Refusal::unavailable("no turn for a password derivation in time")
}
