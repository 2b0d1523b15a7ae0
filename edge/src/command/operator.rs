//! Who is on call, acting by a key of the platform's tenant through `nebula.handle`: with the same rules, limits and audit as over HTTP, without an edge in between.
//!
//! The database checks the key itself, so any login that may call `handle` will do, the edge's first.

use crate::{
    config::Config,
    db::{self, JsonText},
    error::Error,
};
use nebula_core::opaque_token::{Kind, OpaqueToken};
use serde_json::{Map, Value, json};
use tokio_postgres::{Client, types::Type};
use uuid::Uuid;

/// An operator with a connection.
pub struct Operator<'a> {
    client: Client,
    key: &'a str,
    /// The key's tenant, which is the platform's.
    pub home: Uuid,
}

/// A page of a list, as large as the API allows.
const PAGE: usize = 200;

impl<'a> Operator<'a> {
    /// Connects as the edge's login, or as the administrator's.
    pub async fn connect(config: &'a Config) -> Result<Self, Error> {
        let key = config.operator_key.as_ref().ok_or(Error::Missing("NEBULA_OPERATOR_KEY"))?.reveal();
        let token = OpaqueToken::parse_as(Kind::ApiKey, key).ok_or_else(|| Error::Refused {
            code: "INVALID_TOKEN".to_owned(),
            message: "NEBULA_OPERATOR_KEY is not an API key, or was cut".to_owned(),
            details: None,
        })?;
        let url = config.database_url.as_ref().map_or_else(|| config.require_admin_database_url(), Ok)?;
        let client = db::connect_admin(url).await?;
        // The key is a parameter: where the server logs those, it stays out of it, as far as this login may say so. For the edge's it is set already.
        let _ = client.batch_execute("set log_parameter_max_length = 0; set log_parameter_max_length_on_error = 0").await;
        Ok(Self { client, key, home: token.tenant })
    }

    /// Does an operation of the platform.
    pub async fn platform(&self, operation: &str, input: Value) -> Result<Value, Error> {
        self.within(self.home, operation, input).await
    }

    /// Does an operation in a tenant: both audit logs tell.
    pub async fn within(&self, tenant: Uuid, operation: &str, input: Value) -> Result<Value, Error> {
        // Where an input comes from, path, query or body, makes a difference to HTTP alone.
        let mut request = json!({
            "operation": operation, "params": input, "credential": self.key, "language": language(),
            "userAgent": concat!("nebula-cli/", env!("CARGO_PKG_VERSION")),
        });
        if let Some(members) = request.as_object_mut().filter(|_| tenant != self.home) {
            members.insert("tenantHeader".to_owned(), json!(tenant));
        }
        let request = JsonText(request.to_string());
        let statement = "select status, body from nebula.handle($1, $2)";
        let row = self.client.query_typed_one(statement, &[(&self.home, Type::UUID), (&request, Type::JSON)]).await?;
        let body = row.try_get::<_, Option<JsonText>>(1)?.map(|text| text.0);
        let body = body.map(|text| serde_json::from_str::<Value>(&text)).transpose();
        let body = body.map_err(|error| Error::Database(format!("nebula.handle(): {error}")))?.unwrap_or(Value::Null);
        if row.try_get::<_, i32>(0)? < 400 {
            return Ok(body);
        }
        let text = |member: &str| body.pointer(member).and_then(Value::as_str).unwrap_or_default().to_owned();
        let details = body.pointer("/error/details").filter(|details| !details.is_null()).cloned();
        Err(Error::Refused { code: text("/error/code"), message: text("/error/message"), details })
    }

    /// The first `limit` rows of a list, page by page, as one answer.
    pub async fn list(&self, tenant: Uuid, operation: &str, filters: &Map<String, Value>, limit: usize) -> Result<Value, Error> {
        let (mut rows, mut cursor, mut has_more) = (Vec::new(), None::<String>, true);
        while has_more && rows.len() < limit {
            let mut input = filters.clone();
            input.insert("limit".to_owned(), json!((limit - rows.len()).min(PAGE)));
            input.extend(cursor.take().map(|cursor| ("cursor".to_owned(), json!(cursor))));
            let mut page = self.within(tenant, operation, Value::Object(input)).await?;
            cursor = page.pointer("/meta/nextCursor").and_then(Value::as_str).map(str::to_owned);
            has_more = cursor.is_some();
            if let Some(Value::Array(data)) = page.get_mut("data").map(Value::take) {
                rows.extend(data);
            }
        }
        Ok(json!({ "data": rows, "meta": { "hasMore": has_more } }))
    }

    /// The row of a list whose member is this text, whatever its case.
    async fn find(&self, tenant: Uuid, operation: &str, member: &str, text: &str) -> Result<Option<Value>, Error> {
        let filters = Map::from_iter([("q".to_owned(), json!(text))]);
        let found = self.list(tenant, operation, &filters, usize::MAX).await?;
        let is_it = |row: &&Value| row.get(member).and_then(Value::as_str).is_some_and(|value| value.eq_ignore_ascii_case(text));
        Ok(found.get("data").and_then(Value::as_array).and_then(|rows| rows.iter().find(is_it)).cloned())
    }

    /// A tenant by its id or slug, as `tenants.read` answers.
    pub async fn tenant(&self, name: &str) -> Result<(Uuid, Value), Error> {
        let absent = || Error::NotFound { what: "tenant", name: name.to_owned() };
        if let Ok(id) = name.parse::<Uuid>() {
            let answer = self.platform("tenants.read", json!({ "tenantId": id })).await;
            return answer.map(|answer| (id, answer)).map_err(|error| if error.code() == "NOT_FOUND" { absent() } else { error });
        }
        let row = self.find(self.home, "tenants.list", "slug", name).await?.ok_or_else(absent)?;
        Ok((id(&row)?, json!({ "data": row })))
    }

    /// A person by their id or e-mail address.
    pub async fn user(&self, tenant: Uuid, name: &str) -> Result<Uuid, Error> {
        if let Ok(id) = name.parse::<Uuid>() {
            return Ok(id);
        }
        let row = self.find(tenant, "users.list", "email", name).await?;
        id(&row.ok_or_else(|| Error::NotFound { what: "user", name: name.to_owned() })?)
    }

    /// An API key by its id or name.
    pub async fn api_key(&self, tenant: Uuid, name: &str) -> Result<Uuid, Error> {
        if let Ok(id) = name.parse::<Uuid>() {
            return Ok(id);
        }
        let row = self.find(tenant, "api_keys.list", "name", name).await?;
        id(&row.ok_or_else(|| Error::NotFound { what: "key", name: name.to_owned() })?)
    }
}

fn id(row: &Value) -> Result<Uuid, Error> {
    let id = row.get("id").and_then(Value::as_str).and_then(|id| id.parse().ok());
    id.ok_or_else(|| Error::Database("a row without an id".to_owned()))
}

/// The language of messages: the terminal's, where it is Portuguese, else English like everything else that commands say.
fn language() -> &'static str {
    let locale = ["LC_ALL", "LC_MESSAGES", "LANG"].into_iter().find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()));
    if locale.is_some_and(|locale| locale.starts_with("pt")) { "pt" } else { "en" }
}
