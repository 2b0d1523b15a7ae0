//! The way of a request through the edge, from top to bottom: route, credential, inputs, one statement, answer.

use super::{
    answer,
    app::App,
    body::{self, RequestBody},
    client_address, download, foreign,
    frame::Frame,
    handle_request::HandleRequest,
    headers,
    live_state::Snapshot,
    payload, query, rate_limit,
    refusal::Refusal,
    request_log::Facts,
    route_table::{self, Found, RawParameters},
    served_route::ServedRoute,
    waiting::Waiter,
};
use crate::{
    auth::{self, Presented, Refused},
    db::{Reply, Route, Scope},
};
use axum::{
    Extension,
    extract::{Request, State},
    response::Response,
};
use http::{
    HeaderMap, HeaderValue, StatusCode,
    header::{CONNECTION, RETRY_AFTER},
    request::Parts,
};
use nebula_core::{
    error::Code,
    opaque_token::{Kind, OpaqueToken},
};
use serde_json::Value;
use std::{
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};
use tokio::time::Instant;
use uuid::Uuid;

/// Answers everything that the database has a route for, and refuses the rest.
pub async fn run(State(app): State<App>, Extension(frame): Extension<Arc<Frame>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let mut body = RequestBody::new(body, &parts.headers);
    match serve(&app, &frame, &parts, &mut body).await {
        Ok(response) => response,
        Err(refusal) => {
            let ended = body.discard().await;
            let mut response = answer::refusal(&frame, refusal);
            if !ended {
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            response
        }
    }
}

/// 405 of the edge's own paths; the router adds `Allow`.
pub async fn method_not_allowed(Extension(frame): Extension<Arc<Frame>>) -> Response {
    answer::refusal(&frame, Refusal::new(Code::MethodNotAllowed))
}

async fn serve(app: &App, frame: &Frame, parts: &Parts, body: &mut RequestBody) -> Result<Response, Refusal> {
    let state = app.live.current().ok_or_else(|| Refusal::unavailable("the database was not reached yet"))?;
    if state.is_outdated {
        return Err(Refusal::outdated());
    }
    let (served, parameters) = find(&state, parts)?;
    let route = &frame.route.get_or_init(|| served).route;
    // After the route: what is shed carries the route's headers, too.
    app.may_admit()?;

    let (tenant, credential) = authenticate(app, &state, route, &parts.headers).await?;

    let params = route_table::decode_parameters(parameters).map_err(|(name, rule)| Refusal::invalid(&name, rule))?;
    let query = query::parse(parts.uri.query())?;
    let tenant_header = headers::tenant(&parts.headers)?;
    let idempotency_key = headers::idempotency_key(&parts.headers)?;
    let bytes = body.read(app, parts.extensions.get::<Arc<Waiter>>()).await?;
    // From here on it takes something of others: not while its client is sending.
    let _permit = app.admit()?;
    let body = body::parse(bytes, route.takes_body, &parts.headers)?;

    // Before anything has an effect: a refresh token must not be used up for an access token that can't be signed.
    if route.issues_token && state.signer.is_none() {
        return Err(Refusal::unavailable("no key to sign with"));
    }
    let mut request = HandleRequest {
        operation: &route.operation,
        params,
        query,
        body,
        credential,
        tenant_header,
        idempotency_key,
        request_id: &frame.request_id,
        trace_id: frame.trace.as_ref().map(|trace| trace.id.as_str()),
        language: headers::tag(frame.language),
        ip: client_address::of(frame.peer, &parts.headers, &app.config.trusted_proxies).to_string(),
        user_agent: headers::user_agent(&parts.headers),
    };
    let tenant = payload::prepare(app, &state, route, tenant, &mut request, frame.deadline).await?;
    if Instant::now() >= frame.deadline {
        return Err(Refusal::unavailable("the request took too long"));
    }
    let request = serde_json::to_string(&request).map_err(|_| Refusal::internal("cannot print JSON"))?;
    let reply = app.database.handle(tenant, request).await?;
    let has_counted = !reply.context.rate_limits.is_empty();
    let mut response = answer_with(app, &state, route, reply).await?;
    if !has_counted {
        // A credential that the database refused: nobody's limit counted it.
        rate_limit::write_default(response.headers_mut(), frame.route.get().and_then(|served| served.default_policy.as_ref()));
    }
    Ok(response)
}

fn find(state: &Snapshot, parts: &Parts) -> Result<(Arc<ServedRoute>, RawParameters), Refusal> {
    match state.routes.find(&parts.method, parts.uri.path()) {
        Found::Route(served, parameters) => Ok((served, parameters)),
        Found::OtherMethods(allow) => Err(Refusal { allow: Some(allow), ..Refusal::new(Code::MethodNotAllowed) }),
        Found::Nothing => Err(Refusal::new(Code::NotFound)),
    }
}

/// The credential and the tenant that it names. A bad one is refused here, at no cost to the database, which verifies it again.
async fn authenticate<'a>(app: &App, state: &Snapshot, route: &Route, headers: &'a HeaderMap) -> Result<(Uuid, Option<&'a str>), Refusal> {
    let presented = auth::present(headers);
    if route.scope == Scope::Public {
        // Whoever needs no credential is not refused for a bad one; a well-formed one is passed on (logout blacklists it).
        let known = match presented {
            Presented::One(credential) => auth::well_formed(credential).map(|tenant| (tenant, Some(credential))),
            Presented::Nothing | Presented::Unusable => None,
        };
        return Ok(known.unwrap_or((Uuid::nil(), None)));
    }
    let credential = match presented {
        Presented::One(credential) => credential,
        Presented::Nothing => return Err(Refusal::new(Code::Unauthorized)),
        Presented::Unusable => return Err(Refusal::new(Code::InvalidToken)),
    };
    if credential.starts_with(Kind::ApiKey.prefix()) {
        let key = OpaqueToken::parse_as(Kind::ApiKey, credential).ok_or_else(|| Refusal::new(Code::InvalidToken))?;
        return Ok((key.tenant, Some(credential)));
    }
    let known = state.verified.get(credential);
    if let Some(metrics) = &app.telemetry.metrics {
        metrics.http.token_looked_up(known.is_some(), 1);
    }
    if let Some(known) = known {
        return if known.expires_at > now() { Ok((known.tenant, Some(credential))) } else { Err(Refusal::new(Code::TokenExpired)) };
    }
    let verified = match state.ring.verify(credential, now()) {
        Err(Refused::UnknownKey) => {
            app.live.reload_for_unknown_key().await;
            app.live.current().map_or(Err(Refused::UnknownKey), |state| state.ring.verify(credential, now()))
        }
        verdict => verdict,
    };
    let verified = match verified {
        // None of ours: another issuer's, or nobody's.
        Err(Refused::Invalid) => foreign::verify(app, state, credential, now).await,
        verdict => verdict,
    };
    match verified {
        Ok(verified) => {
            state.verified.insert(credential, verified);
            Ok((verified.tenant, Some(credential)))
        }
        Err(Refused::Expired) => Err(Refusal::new(Code::TokenExpired)),
        Err(Refused::Invalid | Refused::UnknownKey) => Err(Refusal::new(Code::InvalidToken)),
    }
}

async fn answer_with(app: &App, state: &Snapshot, route: &Route, reply: Reply) -> Result<Response, Refusal> {
    let status = u16::try_from(reply.status).ok().and_then(|status| StatusCode::from_u16(status).ok());
    let status = status.ok_or_else(|| Refusal::internal("the database answered with no HTTP status"))?;
    let context = reply.context;
    let mut response = match (&context.file, reply.body, &context.claims) {
        (Some(file), ..) => {
            let content_type = route.content_type.as_deref().unwrap_or("application/octet-stream");
            let answered = download::answer(app.storage.as_ref(), content_type, context.tenant_id.as_deref(), file).await;
            answered.map_err(|refusal| Refusal { rate_limits: context.rate_limits.clone().into(), ..refusal })?
        }
        (None, Some(body), Some(claims)) => answer::json(status, with_access_token(state, &body, claims)?),
        (None, Some(body), None) => answer::json(status, body),
        (None, None, _) => answer::empty(status),
    };
    if context.replayed {
        response.headers_mut().insert(headers::IDEMPOTENCY_REPLAYED, HeaderValue::from_static("true"));
    }
    if let Some(seconds) = context.retry_after_seconds {
        response.headers_mut().insert(RETRY_AFTER, seconds.into());
    }
    rate_limit::write(response.headers_mut(), &context.rate_limits);
    response.extensions_mut().insert(Facts {
        tenant_id: context.tenant_id,
        actor_type: context.actor_type,
        actor_id: context.actor_id,
        error_code: context.error_code,
        reason: None,
        alert: context.alert,
    });
    Ok(response)
}

/// Signs the claims and puts the token into `data.accessToken`.
fn with_access_token(state: &Snapshot, body: &str, claims: &Value) -> Result<String, Refusal> {
    let token = state.signer.as_ref().and_then(|signer| signer.sign(claims)).ok_or_else(|| Refusal::unavailable("cannot sign"))?;
    let mut body: Value = serde_json::from_str(body).map_err(|_| Refusal::internal("the database answered with broken JSON"))?;
    let data = body.get_mut("data").and_then(Value::as_object_mut);
    let data = data.ok_or_else(|| Refusal::internal("the database's answer has no place for the access token"))?;
    data.insert("accessToken".to_owned(), Value::String(token));
    Ok(body.to_string())
}

fn now() -> i64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(elapsed.as_secs()).unwrap_or(i64::MAX)
}
