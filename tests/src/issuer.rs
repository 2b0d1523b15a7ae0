//! Another issuer, registered in a test's database: what it publishes, signs and says.

use crate::{Database, Jose, Tenant, cluster::nebula_program};
use postgres::types::Type;
use serde_json::{Value, json};
use std::{
    process::{Command, Stdio},
    time::{SystemTime, UNIX_EPOCH},
};

/// Its name.
pub const ISSUER: &str = "https://id.example/auth/v1";
/// What it shares with us, for HS256.
pub const SECRET: &str = "super-secret-jwt-token-with-at-least-32-characters-long";
/// The algorithms, each with the kid of its key.
pub const ALGORITHMS: [(&str, &str); 3] = [("RS256", "rsa-1"), ("ES256", "ec-1"), ("EdDSA", "ed-1")];

/// A registered issuer.
pub struct Issuer {
    pub jose: Jose,
    /// Its public keys, of one of each algorithm.
    pub jwks: Vec<Value>,
    /// The RSA key's public half as PEM.
    pub rsa_pem: String,
}

#[must_use]
pub fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs().try_into().unwrap()
}

/// A configuration in which the tenant stands in a claim, with some members replaced; a null removes one.
#[must_use]
pub fn configuration(changes: &Value) -> Value {
    crate::token::with(
        &json!({
            "issuer": ISSUER, "audience": "authenticated", "algorithms": ["RS256", "ES256", "EdDSA", "HS256"],
            "tenantClaim": "app_metadata.tenantId", "emailVerifiedClaim": "email_verified",
        }),
        changes,
    )
}

/// `nebula.register_issuer`, as a DBA.
#[track_caller]
pub fn register(database: &Database, changes: &Value) -> bool {
    let configuration = configuration(changes).to_string();
    let sql = "select nebula.register_issuer($1::text::json)";
    let mut rows = database.superuser().query_typed(sql, &[(&configuration, Type::TEXT)]).unwrap_or_else(|error| panic!("{error:?}"));
    rows.pop().unwrap().get(0)
}

/// `nebula.replace_issuer_keys`, as a DBA.
#[track_caller]
pub fn replace_keys(database: &Database, keys: &[Value]) -> i32 {
    let jwks = json!({ "keys": keys }).to_string();
    let sql = "select nebula.replace_issuer_keys($1, $2::text::json)";
    let mut rows = database.superuser().query_typed(sql, &[(&ISSUER, Type::TEXT), (&jwks, Type::TEXT)]).unwrap();
    rows.pop().unwrap().get(0)
}

impl Issuer {
    /// Makes keys; registers nothing.
    #[must_use]
    pub fn start() -> Self {
        let mut jose = Jose::start();
        let made = ALGORITHMS.map(|(alg, kid)| jose.generate(alg, kid));
        let rsa_pem = made[0].1.clone();
        Self { jose, jwks: made.into_iter().map(|(jwk, _)| jwk).collect(), rsa_pem }
    }

    /// Makes keys and registers everything by hand, secret included.
    #[track_caller]
    #[must_use]
    pub fn registered(database: &Database, changes: &Value) -> Self {
        let issuer = Self::start();
        assert!(register(database, changes));
        replace_keys(database, &issuer.jwks);
        if configuration(changes)["algorithms"].as_array().unwrap().contains(&json!("HS256")) {
            database.superuser().query_one("select nebula.set_issuer_secret($1, $2)", &[&ISSUER, &SECRET]).unwrap();
        }
        issuer
    }

    /// Signs with one of the four algorithms.
    #[track_caller]
    pub fn token(&mut self, alg: &str, claims: &Value) -> String {
        match ALGORITHMS.iter().find(|(name, _)| *name == alg) {
            Some((_, kid)) => self.jose.sign(kid, &json!({ "alg": alg, "typ": "JWT", "kid": kid }), claims),
            None => self.jose.sign_with_secret(SECRET, &json!({ "alg": "HS256", "typ": "JWT" }), claims),
        }
    }
}

/// What it says of somebody of this tenant whose address it has verified.
#[must_use]
pub fn claims<A>(tenant: &Tenant<A>, subject: &str, email: &str) -> Value {
    json!({
        "iss": ISSUER, "aud": "authenticated", "sub": subject, "iat": now(), "exp": now() + 3600, "role": "authenticated",
        "email": email, "email_verified": true, "app_metadata": { "provider": "email", "tenantId": tenant.id }, "user_metadata": {},
    })
}

/// Runs `nebula …` with these settings: what it printed, or what it complained of.
pub fn nebula_with(settings: &[(&str, &str)], arguments: &[&str]) -> Result<String, String> {
    let output =
        Command::new(nebula_program()).env_clear().envs(settings.iter().copied()).args(arguments).stdin(Stdio::null()).output().unwrap();
    let (said, complained) = (String::from_utf8_lossy(&output.stdout).into_owned(), String::from_utf8_lossy(&output.stderr).into_owned());
    if output.status.success() { Ok(said.trim().to_owned()) } else { Err(complained) }
}
