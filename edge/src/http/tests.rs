//! What the edge refuses by itself: real requests through the whole router, with a database that is away.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use super::{App, body::RequestBody};
use crate::{
    auth::{KeySource, LocalKeys, sealing},
    config::{Config, Settings},
    db::Failure,
    telemetry::Telemetry,
};
use axum::body::Body;
use base64::{Engine, engine::general_purpose::STANDARD};
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt;
use nebula_core::{
    error::Code,
    opaque_token::{Kind, OpaqueToken, Secret},
};
use serde_json::{Value, json};
use std::path::Path;
use tower::ServiceExt;
use uuid::Uuid;

/// An edge whose database refuses connections at once.
fn edge_without_state(settings: Settings) -> App {
    let settings = Settings {
        database_url: Some("postgresql://nebula_edge:x@127.0.0.1:1/nebula".parse().unwrap()),
        max_body_bytes: Some(64),
        ..settings
    };
    App::new(Config::of(settings), Telemetry::default()).unwrap()
}

async fn edge() -> App {
    edge_of(Settings::default(), Path::new("/nonexistent")).await
}

async fn edge_of(settings: Settings, keys_dir: &Path) -> App {
    let route = |operation: &str, method: &str, path: &str, scope: &str, takes_body: bool| {
        json!({
            "operation": operation, "method": method, "path": path, "scope": scope, "kind": "read", "success": 200,
            "takesBody": takes_body, "tenantFrom": "credential", "derive": [], "issuesToken": operation == "auth.login",
        })
    };
    let mut deprecated = route("users.read", "GET", "/v1/users/{id}", "tenant", false);
    deprecated["deprecation"] = json!({ "at": 1_688_169_599, "sunset": 1_719_792_000 });
    let mut password = route("me.password", "PUT", "/v1/me/password", "tenant", true);
    password["derive"] = json!([{ "field": "currentPassword", "mode": "check" }, { "field": "newPassword", "mode": "new" }]);
    let mut sealing = route("webhooks.create", "POST", "/v1/webhooks", "tenant", true);
    sealing["seal"] = json!([{ "field": "secret", "mode": "generate", "prefix": "whsec_" }]);
    let registered = LocalKeys::load(&KeySource::Folder(keys_dir.to_owned())).unwrap();
    let registered =
        registered.newest_first().map(|key| json!({ "version": key.version, "fingerprint": STANDARD.encode(key.fingerprint()) }));
    let state = json!({
        "schemaVersion": 1, "libraryVersion": env!("CARGO_PKG_VERSION"), "issuer": "nebula", "audience": "nebula", "keys": [], "sealingKeys": registered.collect::<Vec<_>>(),
        "rateLimits": { "auth": 60, "read": 3000, "write": 1200, "admin": 600 }, "rateLimitWindowSeconds": 60,
        "routes": [
            route("users.list", "GET", "/v1/users", "tenant", false),
            route("users.create", "POST", "/v1/users", "tenant", true),
            deprecated,
            route("auth.login", "POST", "/v1/auth/login", "public", true),
            password,
            sealing,
        ],
    });
    let app = edge_without_state(Settings { keys_dir: Some(keys_dir.to_owned()), ..settings });
    app.live.replace(serde_json::from_value(state).unwrap(), &app.config).await;
    app
}

fn key() -> String {
    OpaqueToken { kind: Kind::ApiKey, tenant: Uuid::now_v7(), id: Uuid::now_v7(), secret: Secret([7; 32]) }.reveal()
}

async fn call(app: &App, method: &str, path: &str, headers: &[(&str, &str)], body: impl Into<Body>) -> (StatusCode, HeaderMap, Value) {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = app.router().oneshot(request.body(body.into()).unwrap()).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    (parts.status, parts.headers, serde_json::from_slice(&body).unwrap_or(Value::Null))
}

async fn code(app: &App, method: &str, path: &str, headers: &[(&str, &str)], body: impl Into<Body>) -> String {
    let (_, _, body) = call(app, method, path, headers, body).await;
    body["error"]["code"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn while_the_database_is_away_the_edge_is_alive_but_not_ready() {
    let app = edge_without_state(Settings::default());
    let (status, _, body) = call(&app, "GET", "/health", &[], "").await;
    assert_eq!((status, &body["status"]), (StatusCode::OK, &json!("ok")));
    for path in ["/health/ready", "/.well-known/jwks.json", "/v1/users"] {
        let (status, headers, body) = call(&app, "GET", path, &[], "").await;
        assert_eq!((status, &body["error"]["code"]), (StatusCode::SERVICE_UNAVAILABLE, &json!("SERVICE_UNAVAILABLE")), "{path}");
        assert_eq!(headers["retry-after"], "1");
    }
}

#[tokio::test]
async fn every_answer_has_a_request_id_and_is_neither_sniffed_nor_stored() {
    let app = edge().await;
    for path in ["/health", "/v1/users", "/nowhere"] {
        let (_, headers, _) = call(&app, "GET", path, &[("x-request-id", "my-request-1")], "").await;
        assert_eq!(headers["x-request-id"], "my-request-1", "{path}");
        assert_eq!(headers["x-content-type-options"], "nosniff");
        assert_eq!(headers["cache-control"], "no-store");
    }
    let (_, headers, body) = call(&app, "GET", "/nowhere", &[("x-request-id", "bad id")], "").await;
    assert_eq!(body["error"]["requestId"], headers["x-request-id"].to_str().unwrap());
    assert!(headers["x-request-id"].to_str().unwrap().parse::<Uuid>().is_ok());
}

#[tokio::test]
async fn messages_come_in_the_asked_language() {
    let app = edge().await;
    let (_, headers, body) = call(&app, "GET", "/nowhere", &[], "").await;
    assert_eq!((&headers["content-language"].to_str().unwrap(), &body["error"]["message"]), (&"pt", &json!("Recurso não encontrado.")));
    let (_, headers, body) = call(&app, "GET", "/nowhere", &[("accept-language", "en")], "").await;
    assert_eq!((&headers["content-language"].to_str().unwrap(), &body["error"]["message"]), (&"en", &json!("The resource was not found.")));
}

#[tokio::test]
async fn other_paths_are_not_found_and_other_methods_are_named() {
    let app = edge().await;
    for path in ["/", "/v1/users/", "/V1/users", "/health/", "/v1/users/1/2"] {
        assert_eq!(code(&app, "GET", path, &[], "").await, "NOT_FOUND", "{path}");
    }
    let (status, headers, _) = call(&app, "DELETE", "/v1/users", &[], "").await;
    assert_eq!((status, headers["allow"].to_str().unwrap()), (StatusCode::METHOD_NOT_ALLOWED, "GET, POST"));
    let (status, headers, _) = call(&app, "DELETE", "/health", &[], "").await;
    assert!(status == StatusCode::METHOD_NOT_ALLOWED && headers["allow"].to_str().unwrap().contains("GET"));
}

#[tokio::test]
async fn a_bad_credential_is_refused_without_the_database() {
    let app = edge().await;
    let key = key();
    let mut altered = key.clone();
    altered.replace_range(40..41, if key.get(40..41) == Some("0") { "1" } else { "0" });
    let (status, headers, body) = call(&app, "GET", "/v1/users", &[], "").await;
    assert_eq!((status, &body["error"]["code"]), (StatusCode::UNAUTHORIZED, &json!("UNAUTHORIZED")));
    assert_eq!(headers["www-authenticate"], "Bearer");
    for credential in ["Bearer a.b.c", "Basic YTpi", "Bearer nbk_1", &format!("Bearer {altered}")] {
        assert_eq!(code(&app, "GET", "/v1/users", &[("authorization", credential)], "").await, "INVALID_TOKEN", "{credential}");
    }
    // A well-formed key gets as far as the database.
    assert_eq!(code(&app, "GET", "/v1/users", &[("x-api-key", &key)], "").await, "SERVICE_UNAVAILABLE");
}

#[tokio::test]
async fn a_body_must_be_expected_small_and_json() {
    let app = edge().await;
    let key = key();
    let json_type = ("content-type", "application/json");
    let own = ("x-api-key", key.as_str());
    assert_eq!(code(&app, "POST", "/v1/users", &[own], "{}").await, "UNSUPPORTED_MEDIA_TYPE");
    assert_eq!(code(&app, "POST", "/v1/users", &[own, json_type], "x".repeat(65)).await, "PAYLOAD_TOO_LARGE");
    assert_eq!(code(&app, "POST", "/v1/users", &[own, json_type, ("content-length", "99")], "{}").await, "PAYLOAD_TOO_LARGE");
    for (body, rule) in [("{", "json"), (r#"{"a":1,"a":2}"#, "duplicate_key"), (r#"["\u0000"]"#, "nul"), (&"[".repeat(40), "depth")] {
        let (_, _, answer) = call(&app, "POST", "/v1/users", &[own, json_type], body.to_owned()).await;
        assert_eq!(answer["error"]["details"], json!([{ "field": "body", "rule": rule }]));
    }
    let (_, _, answer) = call(&app, "GET", "/v1/users", &[own, json_type], "{}").await;
    assert_eq!(answer["error"]["details"], json!([{ "field": "body", "rule": "unexpected" }]));
    assert_eq!(code(&app, "POST", "/v1/users", &[own, json_type], "{}").await, "SERVICE_UNAVAILABLE");
}

#[tokio::test]
async fn parameters_and_headers_are_read_strictly() {
    let app = edge().await;
    let key = key();
    let own = ("x-api-key", key.as_str());
    for (path, field, rule) in [
        ("/v1/users/%00", "id", "nul"),
        ("/v1/users/%zz", "id", "percent_encoding"),
        ("/v1/users?limit=1&limit=2", "limit", "repeated"),
        ("/v1/users?q=%ff", "query", "utf-8"),
    ] {
        let (_, _, answer) = call(&app, "GET", path, &[own], "").await;
        assert_eq!(answer["error"]["details"], json!([{ "field": field, "rule": rule }]), "{path}");
    }
    let twice = [own, ("x-tenant-id", "a"), ("x-tenant-id", "a")];
    assert_eq!(code(&app, "GET", "/v1/users", &twice, "").await, "TENANT_MISMATCH");
    let twice = [own, ("idempotency-key", "a"), ("idempotency-key", "a")];
    assert_eq!(code(&app, "GET", "/v1/users", &twice, "").await, "VALIDATION_ERROR");
}

#[tokio::test]
async fn without_a_key_to_sign_with_nothing_is_used_up() {
    let app = edge().await;
    let (status, headers, _) = call(&app, "POST", "/v1/auth/login", &[("content-type", "application/json")], "{}").await;
    assert_eq!((status, headers["retry-after"].to_str().unwrap()), (StatusCode::SERVICE_UNAVAILABLE, "1"));
}

#[tokio::test]
async fn passwords_are_checked_for_length_before_the_database_is_asked_for_a_challenge() {
    let app = edge().await;
    let key = key();
    let headers = [("x-api-key", key.as_str()), ("content-type", "application/json")];
    for (body, field, rule) in [
        (r#"{"currentPassword":"","newPassword":"12345678"}"#, "currentPassword", "too_short"),
        (r#"{"currentPassword":"a","newPassword":"1234567"}"#, "newPassword", "too_short"),
        (r#"{"currentPassword":"a","newPassword":12345678}"#, "newPassword", "type"),
    ] {
        let (_, _, answer) = call(&app, "PUT", "/v1/me/password", &headers, body).await;
        assert_eq!(answer["error"]["details"], json!([{ "field": field, "rule": rule }]));
    }
    let body = r#"{"currentPassword":"a","newPassword":"12345678"}"#;
    assert_eq!(code(&app, "PUT", "/v1/me/password", &headers, body).await, "SERVICE_UNAVAILABLE");
}

#[tokio::test]
async fn what_the_edge_refuses_on_a_known_route_says_the_default_policy_alone() {
    let app = edge().await;
    let policy = |headers: &HeaderMap| headers.get("ratelimit-policy").map(|value| value.to_str().unwrap().to_owned());
    let (_, headers, _) = call(&app, "GET", "/v1/users", &[], "").await;
    assert_eq!(policy(&headers).as_deref(), Some(r#""read";q=3000;w=60"#));
    assert!(!headers.contains_key("ratelimit"));
    let (_, headers, _) = call(&app, "POST", "/v1/auth/login", &[("content-type", "application/json")], "{}").await;
    assert_eq!(policy(&headers).as_deref(), Some(r#""auth";q=60;w=60"#));
    let _all = app.in_flight.acquire_many(u32::try_from(app.config.max_in_flight).unwrap()).await.unwrap();
    let (status, headers, _) = call(&app, "GET", "/v1/users", &[], "").await;
    assert_eq!((status, policy(&headers).is_some()), (StatusCode::SERVICE_UNAVAILABLE, true));
    for (method, path) in [("GET", "/nowhere"), ("DELETE", "/v1/users"), ("GET", "/health")] {
        let (_, headers, _) = call(&app, method, path, &[], "").await;
        assert_eq!(policy(&headers), None, "{path}");
    }
}

#[tokio::test]
async fn every_answer_of_a_deprecated_route_says_so() {
    let app = edge().await;
    let key = key();
    for (path, headers) in
        [("/v1/users/1", &[][..]), ("/v1/users/%00", &[("x-api-key", key.as_str())]), ("/v1/users/2", &[("x-api-key", &key)])]
    {
        let (_, headers, _) = call(&app, "GET", path, headers, "").await;
        assert_eq!(headers["deprecation"], "@1688169599", "{path}");
        assert_eq!(headers["sunset"], "Mon, 01 Jul 2024 00:00:00 GMT", "{path}");
    }
    let (_, headers, _) = call(&app, "GET", "/v1/users", &[], "").await;
    assert!(!headers.contains_key("deprecation"));
}

#[tokio::test]
async fn a_request_that_takes_too_long_still_carries_its_routes_headers() {
    let app = edge_of(Settings { request_timeout_ms: Some(100), ..Settings::default() }, Path::new("/nonexistent")).await;
    let key = key();
    let endless = Body::from_stream(futures_util::stream::pending::<Result<bytes::Bytes, std::convert::Infallible>>());
    let (status, headers, _) = call(&app, "GET", "/v1/users/1", &[("x-api-key", &key)], endless).await;
    assert_eq!((status, headers.contains_key("deprecation")), (StatusCode::SERVICE_UNAVAILABLE, true));
}

#[tokio::test]
async fn the_openapi_document_is_served_with_an_entity_tag_or_not_at_all() {
    let app = edge().await;
    assert_eq!(call(&app, "GET", "/v1/openapi.json", &[], "").await.0, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(app.live.replace_openapi(Ok(r#"{"openapi":"3.1.0"}"#.to_owned())), None);
    let (status, headers, body) = call(&app, "GET", "/v1/openapi.json", &[], "").await;
    assert_eq!((status, body), (StatusCode::OK, json!({ "openapi": "3.1.0" })));
    assert_eq!(
        (&headers["content-type"], &headers["cache-control"]),
        (&"application/json".parse().unwrap(), &"public, max-age=60".parse().unwrap())
    );
    let tag = headers["etag"].to_str().unwrap();
    let (status, headers, body) = call(&app, "GET", "/v1/openapi.json", &[("if-none-match", tag)], "").await;
    assert_eq!((status, headers["etag"].to_str().unwrap(), body), (StatusCode::NOT_MODIFIED, tag, Value::Null));
    let failure = Failure::Statement("SQLSTATE 42883".to_owned());
    assert_eq!(app.live.replace_openapi(Err(failure)).as_deref(), Some("/v1/openapi.json is not served: SQLSTATE 42883"));
    assert_eq!(code(&app, "GET", "/v1/openapi.json", &[], "").await, "SERVICE_UNAVAILABLE");
    assert_eq!(code(&app, "GET", "/v1/users", &[], "").await, "UNAUTHORIZED");
}

#[tokio::test]
async fn the_page_and_what_it_loads_are_served_without_the_database() {
    let app = edge_without_state(Settings::default());
    for path in super::docs::paths() {
        let (status, headers, _) = call(&app, "GET", path, &[], "").await;
        assert_eq!(status, StatusCode::OK, "{path}");
        assert!(headers["content-security-policy"].to_str().unwrap().starts_with("default-src 'none'; script-src 'self'; "));
        let (status, same, _) = call(&app, "HEAD", path, &[], "").await;
        assert_eq!((status, &same["etag"], &same["content-type"]), (StatusCode::OK, &headers["etag"], &headers["content-type"]), "{path}");
        let (status, _, _) = call(&app, "GET", path, &[("if-none-match", headers["etag"].to_str().unwrap())], "").await;
        assert_eq!(status, StatusCode::NOT_MODIFIED, "{path}");
    }
    for path in ["/docs", "/docs/swagger-ui.css", "/v1/openapi.json"] {
        let (status, headers, _) = call(&app, "POST", path, &[], "").await;
        assert_eq!((status, headers["allow"].to_str().unwrap()), (StatusCode::METHOD_NOT_ALLOWED, "GET,HEAD"), "{path}");
    }
    let app = edge().await;
    for path in ["/docs/", "/docs/swagger-ui.css.map", "/docs/index.html", "/docs/../docs"] {
        assert_eq!(code(&app, "GET", path, &[], "").await, "NOT_FOUND", "{path}");
    }
}

#[tokio::test]
async fn a_secret_is_made_with_a_sealing_key_and_never_taken_from_the_client() {
    let folder = std::env::temp_dir().join(format!("nebula-edge-{}", Uuid::now_v7()));
    let key = key();
    let headers = [("x-api-key", key.as_str()), ("content-type", "application/json")];
    let (status, _, answer) = call(&edge_of(Settings::default(), &folder).await, "POST", "/v1/webhooks", &headers, "{}").await;
    assert_eq!((status, &answer["error"]["code"]), (StatusCode::SERVICE_UNAVAILABLE, &json!("SERVICE_UNAVAILABLE")));
    sealing::FILES.generate(&folder, 1).unwrap();
    let app = edge_of(Settings::default(), &folder).await;
    let (_, _, answer) = call(&app, "POST", "/v1/webhooks", &headers, r#"{"secret":"mine"}"#).await;
    assert_eq!(answer["error"]["details"], json!([{ "field": "secret", "rule": "unknown" }]));
    std::fs::remove_dir_all(folder).unwrap();
}

#[tokio::test]
async fn at_the_limit_requests_are_shed_and_health_still_answers() {
    let app = edge().await;
    let _all = app.in_flight.acquire_many(u32::try_from(app.config.max_in_flight).unwrap()).await.unwrap();
    assert_eq!(code(&app, "GET", "/v1/users", &[], "").await, "SERVICE_UNAVAILABLE");
    assert_eq!(call(&app, "GET", "/health", &[], "").await.0, StatusCode::OK);
}

#[tokio::test]
async fn a_body_is_bounded_whether_or_not_it_declares_its_length() {
    let app = edge_without_state(Settings::default());
    let declares = |bytes: &str| HeaderMap::from_iter([(http::header::CONTENT_LENGTH, bytes.parse().unwrap())]);
    let mut declared = RequestBody::new(Body::from("x"), &declares("65"));
    assert_eq!(declared.read(&app, None).await.unwrap_err().code, Code::PayloadTooLarge);
    let mut undeclared = RequestBody::new(Body::from(vec![0; 65]), &HeaderMap::new());
    assert_eq!(undeclared.read(&app, None).await.unwrap_err().code, Code::PayloadTooLarge);
    assert!(undeclared.discard().await);
    assert_eq!(RequestBody::new(Body::from(vec![0; 64]), &declares("64")).read(&app, None).await.unwrap().len(), 64);
}
