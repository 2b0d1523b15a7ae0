//! Other issuers as the edge knows them: what `edge_state` says of them, and the two functions of the login that keeps their keys fresh.

use super::{admin::scalar_text, json_text::JsonText};
use crate::error::Error;
use serde::{Deserialize, Serialize};
use tokio_postgres::{Client, types::Type};
use uuid::Uuid;

/// An active issuer in `nebula.edge_state()`. Texts, so that one which a newer database describes in words that we don't know is left out alone and the
/// rest is served.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ForeignIssuer {
    pub issuer: String,
    pub audience: String,
    pub algorithms: Vec<String>,
    /// Either this claim holds the tenant's id, or it is always `tenant_id`.
    pub tenant_claim: Option<String>,
    pub tenant_id: Option<Uuid>,
    pub max_lifetime_seconds: i64,
    pub keys: Vec<ForeignKey>,
}

/// A public key of an issuer.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ForeignKey {
    pub kid: String,
    pub alg: String,
    /// Standard base64 of the DER SubjectPublicKeyInfo.
    pub public_key: String,
}

/// An issuer in `nebula.issuer_state()`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct IssuerState {
    pub issuer: String,
    pub status: String,
    pub audience: String,
    pub algorithms: Vec<String>,
    pub jwks_url: Option<String>,
    pub kids: Vec<String>,
    pub has_secret: bool,
}

/// `nebula.issuer_state`: every issuer.
pub async fn issuer_state(client: &Client) -> Result<Vec<IssuerState>, Error> {
    let text = scalar_text(client, "select nebula.issuer_state()::text", &[]).await?;
    serde_json::from_str(&text).map_err(|error| Error::Database(format!("nebula.issuer_state(): {error}")))
}

/// `nebula.replace_issuer_keys`: how many keys were added, changed or removed.
pub async fn replace_issuer_keys(client: &Client, issuer: &str, jwks: String) -> Result<i32, Error> {
    let jwks = JsonText(jwks);
    let statement = "select nebula.replace_issuer_keys($1, $2)";
    Ok(client.query_typed_one(statement, &[(&issuer, Type::TEXT), (&jwks, Type::JSON)]).await?.try_get(0)?)
}
