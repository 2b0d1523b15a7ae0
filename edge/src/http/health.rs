//! What the edge answers without the database's routes.

use super::{answer, app::App, docs, frame::Frame, refusal::Refusal};
use axum::{Extension, extract::State, response::Response};
use http::{HeaderValue, StatusCode, header::CACHE_CONTROL};
use nebula_core::error::Code;
use serde_json::json;
use std::sync::{Arc, atomic::Ordering};

pub const LIVE: &str = "/health";
pub const READY: &str = "/health/ready";
pub const JWKS: &str = "/.well-known/jwks.json";

/// The template of one of the edge's own paths.
#[must_use]
pub fn own_path(path: &str) -> Option<&'static str> {
    [LIVE, READY, JWKS, docs::OPENAPI].into_iter().chain(docs::paths()).find(|own| *own == path)
}

/// `GET /health`: this process answers.
pub async fn live() -> Response {
    answer::json(StatusCode::OK, json!({ "status": "ok", "version": env!("CARGO_PKG_VERSION") }).to_string())
}

/// `GET /health/ready`: requests would be served.
pub async fn ready(State(app): State<App>, Extension(frame): Extension<Arc<Frame>>) -> Response {
    match readiness(&app).await {
        Ok(version) => answer::json(StatusCode::OK, json!({ "status": "ready", "schemaVersion": version }).to_string()),
        Err(refusal) => answer::refusal(&frame, refusal),
    }
}

async fn readiness(app: &App) -> Result<i64, Refusal> {
    if app.is_stopping.load(Ordering::Relaxed) {
        return Err(Refusal::unavailable("stopping"));
    }
    let _permit = app.admit()?;
    let readiness = app.database.readiness().await.map_err(|failure| match Refusal::from(failure) {
        // A database without the extension is not ready, whatever is wrong with it.
        refusal if refusal.code == Code::DatabaseError => {
            Refusal { code: Code::ServiceUnavailable, retry_after_seconds: Some(1), ..refusal }
        }
        refusal => refusal,
    })?;
    if readiness.is_outdated() {
        let details = json!({
            "schemaVersion": readiness.schema_version, "requiredVersion": readiness.required_version,
            "extensionVersion": readiness.extension_version, "libraryVersion": readiness.library_version, "edgeVersion": env!("CARGO_PKG_VERSION"),
        });
        return Err(Refusal { details: Some(details), ..Refusal::outdated() });
    }
    let is_served = app.live.current().is_some_and(|state| !state.is_outdated);
    if !readiness.ready || !is_served {
        return Err(Refusal::unavailable("not ready"));
    }
    Ok(readiness.schema_version)
}

/// `GET /.well-known/jwks.json` (RFC 7517): the public keys that verify access tokens.
pub async fn jwks(State(app): State<App>, Extension(frame): Extension<Arc<Frame>>) -> Response {
    let Some(state) = app.live.current() else {
        return answer::refusal(&frame, Refusal::unavailable("the database was not reached yet"));
    };
    let mut response = answer::json(StatusCode::OK, state.jwks.clone());
    // Short, so that verifiers elsewhere see a new or revoked key soon.
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=60"));
    response
}
