//! Members of a body that only the edge can read: the database gets them sealed (docs/edge-protocol.md, "Sealing").

use super::{
    handle_request::HandleRequest,
    payload::{Members, raw},
    refusal::Refusal,
};
use crate::{
    auth::{
        SealingKeys,
        sealing::{self, Place},
    },
    db::{Route, SealMode},
    error::Error,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde::Serialize;
use uuid::Uuid;

/// What the database gets of a sealed member.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Sealed<'a> {
    row: Uuid,
    /// Standard base64 of nonce, ciphertext and tag.
    sealed: String,
    key_version: u16,
    /// A made secret, which the client sees once.
    #[serde(skip_serializing_if = "Option::is_none")]
    plain: Option<&'a str>,
    /// Of a given value: with it the database tells one request from another under the same idempotency key. Standard base64.
    #[serde(skip_serializing_if = "Option::is_none")]
    fingerprint: Option<String>,
}

/// Seals what the route lists. `tenant` is the first argument of `handle`.
pub async fn replace(
    keys: &dyn SealingKeys,
    route: &Route,
    tenant: Uuid,
    request: &HandleRequest<'_>,
    members: &mut Members,
) -> Result<(), Refusal> {
    if route.seal.is_empty() {
        return Ok(());
    }
    // Who acts in another tenant names it in the header; everybody else's header names the credential's, or is refused.
    let tenant = request.tenant_header.and_then(|header| header.parse().ok()).unwrap_or(tenant);
    // An id that is none is refused by the database, whatever was sealed for it.
    let row = request.params.get("id").and_then(|id| id.parse().ok()).unwrap_or_else(Uuid::now_v7);
    for seal in &route.seal {
        let field = seal.field.as_str();
        let given = members.get(field).map(|member| member.get());
        let secret = match &seal.mode {
            SealMode::Generate { .. } if given.is_some() => return Err(Refusal::invalid(field, "unknown")),
            SealMode::Generate { prefix } => Some(sealing::new_secret(prefix).ok_or_else(|| Refusal::internal("no randomness"))?),
            SealMode::Given => None,
        };
        let plain = secret.as_ref().map(|secret| secret.as_str());
        // A null is the database's to refuse: sealed, it could not be told from a value.
        let Some(text) = plain.or(given.filter(|given| *given != "null")) else { continue };
        let (key_version, sealed) = keys.seal(Place { tenant, row, field }, text.as_bytes()).await.map_err(unavailable)?;
        let fingerprint = match &seal.mode {
            SealMode::Generate { .. } => None,
            SealMode::Given => {
                let parts = [tenant.as_bytes().as_slice(), route.operation.as_bytes(), field.as_bytes(), text.as_bytes()];
                Some(STANDARD.encode(keys.digest(&parts).await.map_err(unavailable)?))
            }
        };
        let member = Sealed { row, sealed: STANDARD.encode(sealed), key_version, plain, fingerprint };
        members.insert(field.to_owned(), raw(&member)?);
    }
    Ok(())
}

fn unavailable(error: Error) -> Refusal {
    Refusal::unavailable(error.to_string())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use crate::auth::{LocalKeys, RegisteredKeys, sealing::SealingKey};
    use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
    use nebula_core::error::Code;
    use serde_json::{Value, json};
    use std::collections::BTreeMap;

    const TENANT: Uuid = Uuid::from_u128(0xA);

    const BYTES: [u8; 32] = [7; 32];

    /// One key, as an edge has it.
    fn keys() -> RegisteredKeys {
        let key = SealingKey::new(1, &BYTES).unwrap();
        let registered = BTreeMap::from([(1, key.fingerprint().to_vec())]);
        RegisteredKeys::new(LocalKeys::from_iter([key]), registered)
    }

    fn route(seal: Value) -> Route {
        serde_json::from_value(json!({
            "operation": "webhooks.create", "method": "POST", "path": "/v1/webhooks", "scope": "tenant", "kind": "write", "success": 201,
            "takesBody": true, "tenantFrom": "credential", "derive": [], "seal": seal, "issuesToken": false,
        }))
        .unwrap()
    }

    fn request(params: &[(&str, &str)], tenant_header: Option<&'static str>) -> HandleRequest<'static> {
        HandleRequest {
            operation: "webhooks.create",
            params: params.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            query: BTreeMap::new(),
            body: None,
            credential: None,
            tenant_header,
            idempotency_key: None,
            trace_id: None,
            request_id: "r",
            language: "pt",
            ip: String::new(),
            user_agent: None,
        }
    }

    fn open(associated: &str, member: &Value) -> Option<String> {
        let mut sealed = STANDARD.decode(member["sealed"].as_str().unwrap()).unwrap();
        let mut text = sealed.split_off(12);
        let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &BYTES).unwrap());
        let plain = key.open_in_place(Nonce::try_assume_unique_for_key(&sealed).unwrap(), Aad::from(associated), &mut text).ok()?;
        Some(String::from_utf8(plain.to_vec()).unwrap())
    }

    fn member(members: &Members, field: &str) -> Value {
        serde_json::from_str(members[field].get()).unwrap()
    }

    #[tokio::test]
    async fn a_generated_secret_is_sealed_for_its_new_row_and_shown_beside() {
        let mut members: Members = serde_json::from_str(r#"{"url":"https://example.com"}"#).unwrap();
        let route = route(json!([{ "field": "secret", "mode": "generate", "prefix": "whsec_" }]));
        replace(&keys(), &route, TENANT, &request(&[], None), &mut members).await.unwrap();
        let secret = member(&members, "secret");
        let plain = secret["plain"].as_str().unwrap();
        assert!(plain.starts_with("whsec_") && plain.len() == 50);
        let associated = format!("nebula/{TENANT}/{}/secret/1", secret["row"].as_str().unwrap());
        assert_eq!(open(&associated, &secret).as_deref(), Some(plain));
        assert_eq!(secret["row"].as_str().unwrap().parse::<Uuid>().unwrap().get_version_num(), 7);
        assert_eq!(secret["keyVersion"], json!(1));
        assert_eq!(members["url"].get(), r#""https://example.com""#);
    }

    #[tokio::test]
    async fn a_given_member_is_sealed_as_the_client_wrote_it_for_the_row_of_the_path() {
        let mut members: Members = serde_json::from_str(r#"{"data": {"b": 1.10, "a":null}}"#).unwrap();
        let route = route(json!([{ "field": "data", "mode": "given" }, { "field": "absent", "mode": "given" }]));
        let request = request(&[("id", "0000000000000000000000000000000B")], None);
        replace(&keys(), &route, TENANT, &request, &mut members).await.unwrap();
        let data = member(&members, "data");
        let associated = format!("nebula/{TENANT}/00000000-0000-0000-0000-00000000000b/data/1");
        assert_eq!(open(&associated, &data).as_deref(), Some(r#"{"b": 1.10, "a":null}"#));
        assert_eq!(data.as_object().unwrap().keys().collect::<Vec<_>>(), ["fingerprint", "keyVersion", "row", "sealed"]);
        assert!(!members.contains_key("absent"));
    }

    #[tokio::test]
    async fn who_acts_in_another_tenant_seals_for_that_one() {
        let mut members: Members = serde_json::from_str(r#"{"data":1}"#).unwrap();
        let request = request(&[("id", &Uuid::nil().to_string())], Some("0000000C-0000-0000-0000-000000000000"));
        replace(&keys(), &route(json!([{ "field": "data", "mode": "given" }])), TENANT, &request, &mut members).await.unwrap();
        let associated = format!("nebula/0000000c-0000-0000-0000-000000000000/{}/data/1", Uuid::nil());
        assert_eq!(open(&associated, &member(&members, "data")).as_deref(), Some("1"));
    }

    #[tokio::test]
    async fn a_secret_that_the_client_chose_is_refused_and_without_a_key_everything() {
        let mut members: Members = serde_json::from_str(r#"{"secret":null}"#).unwrap();
        let route = route(json!([{ "field": "secret", "mode": "generate", "prefix": "" }]));
        let refusal = replace(&keys(), &route, TENANT, &request(&[], None), &mut members).await.unwrap_err();
        assert_eq!(refusal.details, Some(json!([{ "field": "secret", "rule": "unknown" }])));
        let keyless = RegisteredKeys::new(LocalKeys::from_iter([]), BTreeMap::new());
        let refusal = replace(&keyless, &route, TENANT, &request(&[], None), &mut Members::new()).await.unwrap_err();
        assert_eq!(refusal.code, Code::ServiceUnavailable);
        assert!(refusal.reason.unwrap().contains("nebula key signing generate"));
    }

    #[tokio::test]
    async fn a_given_value_is_told_from_another_by_a_fingerprint_and_a_null_is_left_to_be_refused() {
        let route = route(json!([{ "field": "data", "mode": "given" }]));
        let sealed = async |tenant: Uuid, data: &str| {
            let mut members: Members = serde_json::from_str(&format!(r#"{{"data":{data}}}"#)).unwrap();
            replace(&keys(), &route, tenant, &request(&[], None), &mut members).await.unwrap();
            member(&members, "data")
        };
        let (first, again) = (sealed(TENANT, "[1]").await, sealed(TENANT, "[1]").await);
        assert_eq!(first["fingerprint"], again["fingerprint"]);
        assert_ne!(first["sealed"], again["sealed"]);
        for other in [sealed(TENANT, "[2]").await, sealed(Uuid::nil(), "[1]").await] {
            assert_ne!(first["fingerprint"], other["fingerprint"]);
        }
        assert_eq!(sealed(TENANT, " null").await, Value::Null);
    }
}
