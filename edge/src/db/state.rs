//! `nebula.edge_state()`: what the edge must know to serve without knowing a noun.

use super::issuer::ForeignIssuer;
use nebula_core::password::Bytes;
use serde::Deserialize;
use serde_json::Value;

/// The document of `nebula.edge_state()`. Members that a newer database adds are ignored.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EdgeState {
    /// The release of the library that answered; the first one didn't say.
    #[serde(default)]
    pub library_version: Option<String>,
    /// The release of the extension's declarations.
    #[serde(default)]
    pub extension_version: Option<String>,
    pub issuer: String,
    pub audience: String,
    pub keys: Vec<SigningKey>,
    /// Which key each version of the sealing keys is.
    #[serde(default)]
    pub sealing_keys: Vec<SealingKeyState>,
    /// Other issuers whose tokens count.
    #[serde(default)]
    pub issuers: Vec<ForeignIssuer>,
    /// Read one by one: what this edge doesn't understand must not keep it from serving the rest.
    #[serde(deserialize_with = "readable")]
    pub routes: Routes,
    /// The installation's defaults; an older database has none.
    #[serde(default)]
    pub rate_limits: RateLimits,
    #[serde(default)]
    pub rate_limit_window_seconds: Option<u64>,
}

/// The routes that can be read, and which can't.
#[derive(Clone, Debug, Default)]
pub struct Routes {
    pub served: Vec<Route>,
    pub unreadable: Vec<String>,
}

fn readable<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Routes, D::Error> {
    let mut routes = Routes::default();
    for value in Vec::<Value>::deserialize(deserializer)? {
        match Route::deserialize(&value) {
            Ok(route) => routes.served.push(route),
            Err(error) => routes.unreadable.push(format!("{}: {error}", value.get("operation").and_then(Value::as_str).unwrap_or("?"))),
        }
    }
    Ok(routes)
}

/// Requests in a window, by category.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
pub struct RateLimits {
    pub auth: Option<u64>,
    pub read: Option<u64>,
    pub write: Option<u64>,
    pub admin: Option<u64>,
}

/// A registered sealing key.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SealingKeyState {
    pub version: u16,
    /// Not of the key's bytes: an HMAC under it.
    pub fingerprint: Bytes<32>,
}

/// The public half of a signing key.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SigningKey {
    pub kid: String,
    pub alg: String,
    /// Standard base64 of the DER SubjectPublicKeyInfo.
    pub public_key: String,
    pub status: KeyStatus,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeyStatus {
    /// Signs and verifies.
    Active,
    /// Verifies only, until the last token that it signed has expired.
    Retiring,
}

/// One operation as the edge serves it.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Route {
    pub operation: String,
    pub method: String,
    /// `{name}` stands for a path parameter.
    pub path: String,
    pub scope: Scope,
    pub kind: Kind,
    pub takes_body: bool,
    pub tenant_from: TenantFrom,
    pub derive: Vec<Derive>,
    #[serde(default)]
    pub seal: Vec<Seal>,
    pub issues_token: bool,
    /// Of the file that it answers with, where it does.
    #[serde(default)]
    pub content_type: Option<String>,
    #[serde(default)]
    pub deprecation: Option<Deprecation>,
}

/// Since when an operation is deprecated, and what comes of it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Deprecation {
    /// Unix seconds.
    pub at: i64,
    /// When it stops answering, in Unix seconds.
    pub sunset: Option<i64>,
    /// The URI of a page about it.
    pub link: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    Public,
    Tenant,
    Platform,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Read,
    Write,
    Admin,
}

/// Where the first argument of `handle` comes from.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum TenantFrom {
    Named(TenantSource),
    Body(BodyToken),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TenantSource {
    Credential,
    Login,
}

/// The member of the body that holds an opaque token, which names its tenant.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BodyToken {
    pub body_token: String,
}

/// A member of the body that holds a password.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Derive {
    pub field: String,
    pub mode: DeriveMode,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DeriveMode {
    /// A password to be stored: a salt of its own, today's cost.
    New,
    /// A password to be compared: the salt and cost of the challenge.
    Check,
}

/// A member of the body that only the edge can read.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Seal {
    pub field: String,
    #[serde(flatten)]
    pub mode: SealMode,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(tag = "mode", rename_all = "lowercase")]
pub enum SealMode {
    /// A secret that the edge makes: what it begins with.
    Generate { prefix: String },
    /// The client's member, any JSON value.
    Given,
}

/// How a password is to be derived, for whom; made up where there is nobody.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Challenge {
    pub tenant_id: uuid::Uuid,
    pub salt: Bytes<16>,
    pub memory_kib: u32,
    pub iterations: u32,
    pub parallelism: u32,
    /// What a new password's salt is made of, so that an equal request stays an equal request.
    #[serde(default)]
    pub salt_seed: Option<Bytes<32>>,
}

/// The answer of `nebula.login_challenge()`.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum LoginChallenge {
    Refused { refused: RefusedLogin },
    Challenge(Challenge),
}

/// Nothing is to be derived: the attempts of an account or an address are used up, or a credential proves nothing.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RefusedLogin {
    /// Of the one error table.
    pub code: String,
    /// Which limit it was.
    pub details: Option<Value>,
    pub retry_after_seconds: Option<u64>,
    #[serde(default)]
    pub rate_limits: Box<[RateLimit]>,
}

/// A limit that counted a request.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct RateLimit {
    /// Its name.
    pub policy: String,
    /// Requests in a window.
    pub limit: u64,
    /// In seconds.
    pub window: u64,
    /// Requests that are left.
    pub remaining: u64,
    /// Seconds until the window begins anew.
    pub reset: u64,
}

/// `nebula.readiness()`.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Readiness {
    pub ready: bool,
    pub schema_version: i64,
    pub required_version: i64,
    #[serde(default)]
    pub extension_version: Option<String>,
    #[serde(default)]
    pub library_version: Option<String>,
}

/// The third column of `handle`: for the edge and its log, never for the client.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Context {
    pub tenant_id: Option<String>,
    pub actor_type: Option<String>,
    pub actor_id: Option<String>,
    pub error_code: Option<String>,
    /// Something that a person on watch should see, such as `refresh_reuse`.
    pub alert: Option<String>,
    pub replayed: bool,
    /// The complete claim set of an access token, to be signed as it is.
    pub claims: Option<serde_json::Value>,
    /// What is to be sent instead of a body.
    pub file: Option<StoredFile>,
    pub retry_after_seconds: Option<u64>,
    pub rate_limits: Vec<RateLimit>,
}

/// A file in object storage.
#[derive(Clone, Debug, Deserialize)]
pub struct StoredFile {
    /// `<folder>/<tenant>/…`.
    pub location: String,
    /// What the client is told to call it.
    pub name: String,
    /// In bytes.
    pub size: u64,
    /// Hexadecimal.
    pub sha256: String,
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use super::*;

    #[test]
    fn the_protocols_example_is_read() {
        let state: EdgeState = serde_json::from_str(
            r#"{"schemaVersion":1,"issuer":"nebula","audience":"nebula",
                "keys":[{"kid":"k","alg":"RS256","publicKey":"AA==","status":"retiring"}],
                "routes":[{"operation":"users.create","method":"POST","path":"/v1/users","scope":"tenant","kind":"write","success":201,
                           "takesBody":true,"tenantFrom":"credential","derive":[],
                           "seal":[{"field":"secret","mode":"generate","prefix":"whsec_"},{"field":"data","mode":"given"}],"issuesToken":false},
                          {"operation":"auth.refresh","method":"POST","path":"/v1/auth/refresh","scope":"public","kind":"write","success":200,
                           "takesBody":true,"tenantFrom":{"bodyToken":"refreshToken"},"derive":[{"field":"password","mode":"new"}],"issuesToken":true},
                          {"operation":"orders.create","method":"POST","path":"/v1/orders","scope":"tenant","kind":"of a later version"}]}"#,
        )
        .unwrap();
        assert_eq!(state.routes.unreadable.len(), 1);
        let sources: Vec<_> = state.routes.served.iter().map(|route| route.tenant_from.clone()).collect();
        let seals: Vec<_> = state.routes.served.iter().flat_map(|route| route.seal.iter().map(|seal| seal.mode.clone())).collect();
        assert_eq!(seals, [SealMode::Generate { prefix: "whsec_".to_owned() }, SealMode::Given]);
        assert_eq!(
            sources,
            [TenantFrom::Named(TenantSource::Credential), TenantFrom::Body(BodyToken { body_token: "refreshToken".to_owned() }),]
        );
    }

    #[test]
    fn a_login_is_challenged_or_refused() {
        let challenge = r#"{"tenantId":"0199c2a7-0000-7000-8000-000000000000","salt":"AAAAAAAAAAAAAAAAAAAAAA==","memoryKib":19456,
                            "iterations":2,"parallelism":1}"#;
        let LoginChallenge::Challenge(challenge) = serde_json::from_str(challenge).unwrap() else { panic!("refused") };
        assert!(challenge.salt_seed.is_none());
        let refused = r#"{"refused":{"code":"RATE_LIMITED","retryAfterSeconds":7,"rateLimits":[]}}"#;
        let LoginChallenge::Refused { refused } = serde_json::from_str(refused).unwrap() else { panic!("challenged") };
        assert_eq!((refused.code.as_str(), refused.retry_after_seconds), ("RATE_LIMITED", Some(7)));
    }
}
