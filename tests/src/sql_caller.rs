//! SQL callers: PostgREST's login with claims, and logins that a DBA bound to a tenant.

use crate::{Database, Tenant};
use postgres::{Client, Transaction};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicU32, Ordering};

/// What a statement was refused with.
#[derive(Debug)]
pub struct SqlRefusal {
    pub state: String,
    pub message: String,
    /// `DETAIL`, where it is JSON.
    pub detail: Value,
}

impl From<postgres::Error> for SqlRefusal {
    fn from(error: postgres::Error) -> Self {
        let db = error.as_db_error().unwrap_or_else(|| panic!("{error:?}"));
        let detail = db.detail().and_then(|detail| serde_json::from_str(detail).ok()).unwrap_or(Value::Null);
        Self { state: db.code().code().to_owned(), message: db.message().to_owned(), detail }
    }
}

impl SqlRefusal {
    /// Refused under this SQLSTATE and code; the details.
    #[track_caller]
    pub fn is(&self, state: &str, code: &str) -> Value {
        assert_eq!((self.state.as_str(), self.detail["code"].as_str()), (state, Some(code)), "{self:?}");
        self.detail["details"].clone()
    }
}

/// Makes a login role that is bound to a key of this tenant; its name.
#[track_caller]
#[must_use]
pub fn bound_login(database: &Database, tenant: &Tenant<String>, key: &Value) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let login = format!("app_{}_{}", database.name, COUNT.fetch_add(1, Ordering::Relaxed));
    tenant.key(&mut database.handle(), key);
    let name = key["name"].as_str().unwrap();
    let mut superuser = database.superuser();
    superuser.batch_execute(&format!("create role {login} login; grant nebula_app to {login}")).unwrap();
    let is_bound: bool =
        superuser.query_one("select nebula.bind_role($1::text::name, $2, $3)", &[&login, &tenant.id, &name]).unwrap().get(0);
    assert!(is_bound);
    login
}

/// A transaction as PostgREST opens it for a token with these claims.
pub fn as_postgrest<'a>(authenticator: &'a mut Client, claims: &Value) -> Transaction<'a> {
    let mut transaction = authenticator.transaction().unwrap();
    transaction.execute("select set_config('request.jwt.claims', $1, true)", &[&claims.to_string()]).unwrap();
    transaction.batch_execute("set local role authenticated").unwrap();
    transaction
}

/// `nebula.call`.
pub fn call(client: &mut impl postgres::GenericClient, action: &str, input: &Value) -> Result<Value, SqlRefusal> {
    let row = client.query_one("select nebula.call($1, $2)", &[&action, input])?;
    Ok(row.get::<_, Option<Value>>(0).unwrap_or(json!(null)))
}

/// `nebula.why`.
#[track_caller]
pub fn why(client: &mut impl postgres::GenericClient, action: &str) -> Value {
    client.query_one("select nebula.why($1)", &[&action]).unwrap().get::<_, Option<Value>>(0).unwrap_or(Value::Null)
}

/// `nebula.can`.
#[track_caller]
pub fn can(client: &mut impl postgres::GenericClient, action: &str) -> bool {
    client.query_one("select nebula.can($1)", &[&action]).unwrap().get(0)
}
