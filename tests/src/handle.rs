//! The edge's login without an edge: `nebula.handle`, called as a thief of its password would.

use postgres::{Client, types::Type};
use serde_json::{Map, Value, json};
use uuid::Uuid;

/// A session of `nebula_edge`.
pub struct Handle {
    pub client: Client,
}

/// The answer of `nebula.handle`.
#[derive(Debug)]
pub struct Handled {
    pub status: i32,
    /// Byte for byte.
    pub text: String,
    pub body: Value,
    pub context: Value,
}

impl Handled {
    /// Success with this status: its `data`.
    #[track_caller]
    pub fn data(&self, status: i32) -> Value {
        assert_eq!(self.status, status, "{self:?}");
        self.body["data"].clone()
    }

    /// A refusal; its `details`.
    #[track_caller]
    pub fn refused(&self, status: i32, code: &str) -> Value {
        assert_eq!((self.status, self.code()), (status, code), "{self:?}");
        assert_eq!(self.context["errorCode"], code);
        self.body["error"]["details"].clone()
    }

    #[must_use]
    pub fn code(&self) -> &str {
        self.body["error"]["code"].as_str().unwrap_or_default()
    }
}

/// The request of an operation, with its input put where `handle` expects it.
#[must_use]
pub fn request(operation: &str, credential: Option<&str>, input: &Value) -> Value {
    let mut request = Map::new();
    request.insert("operation".into(), json!(operation));
    request.insert("ip".into(), json!("203.0.113.7"));
    if let Some(credential) = credential {
        request.insert("credential".into(), json!(credential));
    }
    // Lists and reads take a query, the rest a body; ids in the path are parameters of both.
    let reads = [".list", ".read", ".download"].iter().any(|verb| operation.ends_with(verb));
    let removes = [".remove", ".revoke", ".unassign", ".anonymize"].iter().any(|verb| operation.ends_with(verb));
    let part = if reads || removes { "query" } else { "body" };
    request.insert(part.into(), input.clone());
    Value::Object(request)
}

impl Handle {
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self { client }
    }

    /// One call; the error is the statement's own.
    pub fn try_send(&mut self, tenant: Uuid, request: &Value) -> Result<Handled, postgres::Error> {
        let sql = "select status, body::text, context::text from nebula.handle($1, $2::text::json)";
        let row = self.client.query_typed(sql, &[(&tenant, Type::UUID), (&request.to_string(), Type::TEXT)])?.pop().unwrap();
        let text: Option<String> = row.get(1);
        let text = text.unwrap_or_default();
        let context: String = row.get(2);
        Ok(Handled {
            status: row.get(0),
            body: serde_json::from_str(&text).unwrap_or(Value::Null),
            text,
            context: serde_json::from_str(&context).unwrap(),
        })
    }

    /// One call.
    #[track_caller]
    pub fn send(&mut self, tenant: Uuid, request: &Value) -> Handled {
        self.try_send(tenant, request).unwrap_or_else(|error| panic!("handle failed: {error:?}"))
    }

    /// An operation with a credential.
    #[track_caller]
    pub fn call(&mut self, tenant: Uuid, credential: &str, operation: &str, input: &Value) -> Handled {
        self.send(tenant, &request(operation, Some(credential), input))
    }

    /// A public operation.
    #[track_caller]
    pub fn public(&mut self, tenant: Uuid, operation: &str, input: &Value) -> Handled {
        self.send(tenant, &request(operation, None, input))
    }
}
