//! What an application sees of a self-hosted Supabase, at one address: a stand-in for its gateway, Auth and PostgREST, which can't be had here. Only what supabase-js
//! asks for in the documentation's examples; how the hook is called and a transaction opened is `supabase.rs`'s.

use crate::{
    Supabase,
    cluster::Installation,
    issuer::{SECRET, now},
    sql_caller::SqlRefusal,
    supabase::{Account, Presented, pre_request, request},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, Mac};
use postgres::{Client, Transaction};
use serde_json::{Value, json};
use sha2::Sha256;
use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

/// A running stand-in; it takes no more connections when it is dropped.
pub struct SupabaseGateway {
    pub address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    installation: &'static Installation,
    database: String,
    /// Accounts by address, each with its password.
    accounts: Mutex<BTreeMap<String, (Account, String)>>,
    is_over: AtomicBool,
}

/// What came, as far as it is looked at.
struct Asked {
    method: String,
    path: String,
    query: Vec<(String, String)>,
    headers: BTreeMap<String, String>,
    body: Value,
}

type Answer = (u16, Value);

impl SupabaseGateway {
    #[must_use]
    pub fn start(supabase: &Supabase) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let shared = Arc::new(Shared {
            installation: supabase.database.installation,
            database: supabase.database.name.clone(),
            accounts: Mutex::default(),
            is_over: AtomicBool::new(false),
        });
        let gateway = Self { address: listener.local_addr().unwrap(), shared: Arc::clone(&shared) };
        thread::spawn(move || {
            for stream in listener.incoming() {
                if shared.is_over.load(Ordering::SeqCst) {
                    return;
                }
                if let (Ok(stream), shared) = (stream, Arc::clone(&shared)) {
                    thread::spawn(move || shared.serve(&stream));
                }
            }
        });
        gateway
    }

    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Supabase's keys: tokens of a role, signed with the secret.
    #[must_use]
    pub fn key(role: &str) -> String {
        sign(&json!({ "role": role, "iss": "supabase", "iat": now(), "exp": now() + 3600 }))
    }
}

impl Drop for SupabaseGateway {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
    }
}

fn mac(signed: &str) -> Hmac<Sha256> {
    let mut mac = <Hmac<Sha256> as Mac>::new_from_slice(SECRET.as_bytes()).unwrap();
    mac.update(signed.as_bytes());
    mac
}

fn sign(claims: &Value) -> String {
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", encode(&json!({ "alg": "HS256", "typ": "JWT" })), encode(claims));
    let signature = URL_SAFE_NO_PAD.encode(mac(&signed).finalize().into_bytes());
    format!("{signed}.{signature}")
}

/// The claims of a token that was signed with the secret and lives.
fn verified(token: &str) -> Option<Value> {
    let (signed, signature) = token.rsplit_once('.')?;
    mac(signed).verify_slice(&URL_SAFE_NO_PAD.decode(signature).ok()?).ok()?;
    let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(signed.split('.').nth(1)?).ok()?).ok()?;
    (claims["exp"].as_i64()? > now()).then_some(claims)
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

impl Shared {
    fn connect(&self, user: &str) -> Client {
        self.installation.cluster.connect(user, &self.database)
    }

    fn serve(&self, stream: &TcpStream) {
        let Some(asked) = read(stream) else { return };
        let (status, body) = self.answer(&asked);
        let text = if status == 204 { String::new() } else { body.to_string() };
        let mut stream = stream;
        let _ = write!(
            stream,
            "HTTP/1.1 {status} Said\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{text}",
            text.len()
        );
    }

    fn answer(&self, asked: &Asked) -> Answer {
        let bearer = asked.headers.get("authorization").and_then(|header| header.strip_prefix("Bearer ")).unwrap_or_default().to_owned();
        let Some(claims) = verified(&bearer) else {
            return (401, json!({ "message": "JWT cryptographic operation failed", "code": "PGRST301" }));
        };
        let is_service = claims["role"] == "service_role";
        match (asked.method.as_str(), asked.path.as_str()) {
            ("POST", "/auth/v1/admin/users") if is_service => self.create_account(&asked.body),
            ("POST", "/auth/v1/token") => self.log_in(&asked.body),
            ("POST", "/auth/v1/logout") => (204, Value::Null),
            (_, path) => match path.strip_prefix("/rest/v1/") {
                Some(place) => self.rest(asked, place, &presented(&bearer, &claims)),
                None => (404, json!({ "message": "no such route" })),
            },
        }
    }

    fn create_account(&self, body: &Value) -> Answer {
        let text = |member: &str| body[member].as_str().unwrap_or_default().to_owned();
        let account = Account::new(&text("email"));
        let user = user(&account);
        self.accounts.lock().unwrap().insert(text("email"), (account, text("password")));
        (200, user)
    }

    fn log_in(&self, body: &Value) -> Answer {
        let found = self.accounts.lock().unwrap().get(body["email"].as_str().unwrap_or_default()).cloned();
        let Some((account, _)) = found.filter(|(_, password)| *password == body["password"]) else {
            return (400, json!({ "code": 400, "error_code": "invalid_credentials", "msg": "Invalid login credentials" }));
        };
        let hooked = crate::supabase::hook(&mut self.connect("supabase_auth_admin"), &account.event());
        let session = json!({
            "access_token": sign(&hooked["claims"]), "token_type": "bearer", "expires_in": 3600, "expires_at": now() + 3600,
            "refresh_token": "of-no-use-here", "user": user(&account),
        });
        (200, session)
    }

    fn rest(&self, asked: &Asked, place: &str, presented: &Presented) -> Answer {
        let mut pooled = self.connect("authenticator");
        let is_read = asked.method == "GET";
        let mut transaction = request(&mut pooled, presented, is_read);
        let done = pre_request(&mut transaction).and_then(|()| match (is_read, place.strip_prefix("rpc/")) {
            (false, Some(function)) => call(&mut transaction, asked, function),
            (false, None) => insert(&mut transaction, asked, place),
            (true, _) => select(&mut transaction, asked, place),
        });
        match done.and_then(|answer| Ok((answer, transaction.commit()?))) {
            Ok(((status, Value::Array(rows)), ())) if asked.wants_one() => match rows.as_slice() {
                [row] => (status, row.clone()),
                _ => (406, json!({ "code": "PGRST116", "message": "the result is not one row", "details": null, "hint": null })),
            },
            Ok((answer, ())) => answer,
            Err(refusal) => refused(&refusal, presented),
        }
    }
}

impl Asked {
    fn wants_one(&self) -> bool {
        self.headers.get("accept").is_some_and(|accept| accept.contains("vnd.pgrst.object"))
    }

    fn schema(&self) -> String {
        let profile = if self.method == "GET" { "accept-profile" } else { "content-profile" };
        self.headers.get(profile).cloned().unwrap_or_else(|| "public".to_owned())
    }
}

fn presented(bearer: &str, claims: &Value) -> Presented {
    if claims["role"] == "anon" { Presented::anon() } else { Presented::token(bearer) }
}

fn user(account: &Account) -> Value {
    json!({
        "id": account.id, "aud": "authenticated", "role": "authenticated", "email": account.email,
        "app_metadata": account.app_metadata, "user_metadata": account.user_metadata, "created_at": "2026-11-22T11:00:00Z",
    })
}

fn columns(asked: &Asked) -> String {
    let chosen = asked.query.iter().find(|(name, _)| name == "select").map_or("*", |(_, value)| value.as_str());
    if chosen == "*" { "*".to_owned() } else { chosen.split(',').map(quoted).collect::<Vec<_>>().join(", ") }
}

fn array(transaction: &mut Transaction, sql: &str, values: &[&(dyn postgres::types::ToSql + Sync)]) -> Result<Value, SqlRefusal> {
    Ok(transaction.query_one(&format!("with rows as ({sql}) select coalesce(jsonb_agg(to_jsonb(rows)), '[]') from rows"), values)?.get(0))
}

fn select(transaction: &mut Transaction, asked: &Asked, table: &str) -> Result<Answer, SqlRefusal> {
    let (mut filters, mut order, mut values) = (Vec::new(), String::new(), Vec::new());
    for (name, value) in &asked.query {
        match (name.as_str(), value.strip_prefix("eq.")) {
            ("order", _) => {
                let (column, direction) = value.split_once('.').unwrap_or((value, "asc"));
                order = format!(" order by {} {}", quoted(column), if direction == "desc" { "desc" } else { "asc" });
            }
            (_, Some(value)) => {
                values.push(value);
                filters.push(format!("{}::text = ${}", quoted(name), values.len()));
            }
            _ => {}
        }
    }
    let filter = if filters.is_empty() { String::new() } else { format!(" where {}", filters.join(" and ")) };
    let sql = format!("select {} from {}.{}{filter}{order}", columns(asked), quoted(&asked.schema()), quoted(table));
    let values = values.iter().map(|value| value as &(dyn postgres::types::ToSql + Sync)).collect::<Vec<_>>();
    Ok((200, array(transaction, &sql, &values)?))
}

fn insert(transaction: &mut Transaction, asked: &Asked, table: &str) -> Result<Answer, SqlRefusal> {
    let rows = if asked.body.is_array() { asked.body.clone() } else { json!([asked.body]) };
    let names = rows[0].as_object().map(|row| row.keys().map(|name| quoted(name)).collect::<Vec<_>>().join(", ")).unwrap_or_default();
    let target = format!("{}.{}", quoted(&asked.schema()), quoted(table));
    let sql = format!(
        "insert into {target} ({names}) select {names} from jsonb_populate_recordset(null::{target}, $1) returning {}",
        columns(asked)
    );
    Ok((201, array(transaction, &sql, &[&rows])?))
}

/// A function with named arguments, each as its type wants it.
fn call(transaction: &mut Transaction, asked: &Asked, function: &str) -> Result<Answer, SqlRefusal> {
    let schema = asked.schema();
    let types = "select a.name, format_type(a.type, null) from pg_proc p, unnest(p.proargnames, p.proargtypes::oid[]) as a (name, type) \
                 where p.pronamespace = to_regnamespace($1) and p.proname = $2 and a.type is not null";
    let types = transaction.query(types, &[&quoted(&schema), &function])?;
    let types = types.iter().map(|row| (row.get(0), row.get(1))).collect::<BTreeMap<String, String>>();
    let argument = |name: &String| {
        let kind = types.get(name).map_or("text", String::as_str);
        let operator = if kind.starts_with("json") { "->" } else { "->>" };
        format!("{} => ($1::jsonb {operator} '{}')::{kind}", quoted(name), name.replace('\'', "''"))
    };
    let arguments = asked.body.as_object().map(|body| body.keys().map(argument).collect::<Vec<_>>().join(", ")).unwrap_or_default();
    let sql = format!("select to_jsonb({}.{}({arguments})) where $1::jsonb is not null", quoted(&schema), quoted(function));
    let value: Option<Value> = transaction.query_one(&sql, &[&asked.body])?.get(0);
    Ok((200, value.unwrap_or(Value::Null)))
}

/// As PostgREST tells of an error: `PTnnn` is the status.
fn refused(refusal: &SqlRefusal, presented: &Presented) -> Answer {
    let status = match (refusal.state.strip_prefix("PT").and_then(|status| status.parse().ok()), refusal.state.as_str()) {
        (Some(status), _) => status,
        (None, "42501") if presented.role == "anon" => 401,
        (None, "42501") => 403,
        _ => 400,
    };
    let details = if refusal.detail.is_null() { Value::Null } else { json!(refusal.detail.to_string()) };
    (status, json!({ "code": refusal.state, "message": refusal.message, "details": details, "hint": null }))
}

fn read(stream: &TcpStream) -> Option<Asked> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split_whitespace();
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.split_once(':') else { break };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let length = headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let url = url::Url::parse(&format!("http://gateway{target}")).ok()?;
    let query = url.query_pairs().map(|(name, value)| (name.into_owned(), value.into_owned())).collect();
    Some(Asked { method, path: url.path().to_owned(), query, headers, body: serde_json::from_slice(&body).unwrap_or(Value::Null) })
}
