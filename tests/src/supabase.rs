//! A cluster like those of Supabase's images, where Nebula was installed by `postgres`, who is no superuser there; and what GoTrue and PostgREST do in it.
//!
//! What can't be had here: the images' own libraries (supautils, safeupdate, pg_net, …), hence what supautils forbids to `postgres`; ICU as the locale's provider.

use crate::{
    Database, Jose, Tenant,
    cluster::{Cluster, Installation, QUICK, TEMPLATE, furnish, nebula_program, postgres_programs},
    http::id,
    issuer::{SECRET, now},
    sql_caller::SqlRefusal,
};
use postgres::{Client, Transaction, types::Type};
use serde_json::{Value, json};
use std::sync::{
    OnceLock,
    atomic::{AtomicU32, Ordering},
};
use uuid::Uuid;

/// GoTrue's name in `iss`: API_EXTERNAL_URL with its path.
pub const AUTH: &str = "http://localhost:8000/auth/v1";

/// A database of that cluster.
pub struct Supabase {
    pub database: Database,
    pub jose: Jose,
}

/// Somebody with an account in Supabase Auth.
#[derive(Clone)]
pub struct Account {
    pub id: Uuid,
    pub email: String,
    pub app_metadata: Value,
    pub user_metadata: Value,
    /// One login.
    pub session: Uuid,
}

impl Account {
    #[must_use]
    pub fn new(email: &str) -> Self {
        Self {
            id: Uuid::now_v7(),
            email: email.to_owned(),
            app_metadata: json!({ "provider": "email", "providers": ["email"] }),
            // What GoTrue copies there itself; people may write it.
            user_metadata: json!({ "email": email, "email_verified": true, "phone_verified": false, "sub": Uuid::nil() }),
            session: Uuid::now_v7(),
        }
    }

    /// The claims that GoTrue is about to sign.
    #[must_use]
    pub fn claims(&self) -> Value {
        json!({
            "iss": AUTH, "sub": self.id, "aud": "authenticated", "exp": now() + 3600, "iat": now(), "email": self.email, "phone": "",
            "app_metadata": self.app_metadata, "user_metadata": self.user_metadata, "role": "authenticated", "aal": "aal1",
            "amr": [{ "method": "password", "timestamp": now() }], "session_id": self.session, "is_anonymous": false,
        })
    }

    /// What GoTrue hands to the hook.
    #[must_use]
    pub fn event(&self) -> Value {
        json!({
            "metadata": { "uuid": Uuid::now_v7(), "time": "2026-11-22T11:00:00Z", "name": "customize-access-token", "ip_address": "203.0.113.9" },
            "user_id": self.id, "claims": self.claims(), "authentication_method": "password",
        })
    }
}

fn installation() -> &'static Installation {
    static PLACE: OnceLock<Option<Installation>> = OnceLock::new();
    let made = PLACE.get_or_init(|| std::panic::catch_unwind(|| install(start())).ok());
    made.as_ref().expect("the cluster like Supabase's could not be made; the first test that asked for it says why")
}

/// A cluster with the images' roles and settings, and an empty database of theirs.
#[must_use]
pub fn start() -> Cluster {
    let settings = format!(
        "{QUICK}\nwal_level = logical\nshared_preload_libraries = 'pg_stat_statements, auto_explain'\nauto_explain.log_min_duration = '10s'\n"
    );
    let cluster = Cluster::prepare_for("supabase_admin", |_| postgres_programs(), &settings);
    cluster.start_again();
    let mut admin = cluster.connect("supabase_admin", "postgres");
    admin.batch_execute(include_str!("supabase/roles.sql")).unwrap();
    admin.batch_execute(&format!("create database {TEMPLATE} owner postgres")).unwrap();
    cluster.connect("supabase_admin", TEMPLATE).batch_execute(include_str!("supabase/database.sql")).unwrap();
    cluster
}

/// The DBA's part: an application's table, then Nebula, all as `postgres`.
fn install(cluster: Cluster) -> Installation {
    furnish(&nebula_program(), cluster)
}

/// A database of that cluster in which nothing of ours is yet; it belongs to `postgres`.
#[must_use]
pub fn empty() -> Database {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let installation = installation();
    let name = format!("empty_{}", COUNT.fetch_add(1, Ordering::Relaxed));
    let cluster = &installation.cluster;
    cluster.connect("supabase_admin", "postgres").batch_execute(&format!("create database {name} owner postgres")).unwrap();
    let database = Database { name, installation };
    database.superuser().batch_execute(include_str!("supabase/database.sql")).unwrap();
    database
}

impl Supabase {
    /// A copy of the installed database, in which nothing else was done.
    #[must_use]
    #[allow(clippy::new_without_default, reason = "it costs a database")]
    pub fn new() -> Self {
        Self { database: Database::of(installation()), jose: Jose::start() }
    }

    /// The same with Supabase Auth registered by its shared secret, as `postgres` does it.
    #[must_use]
    pub fn with_auth() -> Self {
        let supabase = Self::new();
        supabase.register(&json!({}));
        let mut dba = supabase.dba();
        dba.query_one("select nebula.set_issuer_secret($1, $2)", &[&AUTH, &SECRET]).unwrap();
        supabase
    }

    /// `nebula.register_issuer`, as `postgres`.
    #[track_caller]
    pub fn register(&self, changes: &Value) {
        let config = crate::token::with(
            &json!({ "issuer": AUTH, "audience": "authenticated", "algorithms": ["HS256"], "tenantClaim": "tenantId", "trustsEmail": true }),
            changes,
        );
        self.dba().query_typed("select nebula.register_issuer($1::text::json)", &[(&config.to_string(), Type::TEXT)]).unwrap();
    }

    /// The DBA, who is no superuser.
    #[must_use]
    pub fn dba(&self) -> Client {
        self.database.connect("postgres")
    }

    /// A connection of PostgREST's pool.
    #[must_use]
    pub fn postgrest(&self) -> Client {
        self.database.connect("authenticator")
    }

    /// A tenant, onboarded by the operator.
    #[track_caller]
    #[must_use]
    pub fn tenant(&self, slug: &str) -> Tenant<String> {
        crate::onboard_by_sql(&self.database, slug)
    }

    /// Creates a person in Nebula with an address, in these default groups; their id.
    #[track_caller]
    pub fn person(&self, tenant: &Tenant<String>, email: &str, groups: &[&str]) -> Uuid {
        let mut handle = self.database.handle();
        let user = id(&tenant.does(&mut handle, "users.create", &json!({ "email": email, "name": email }), 201));
        for group in groups {
            let group = self.database.text("select id::text from nebula.group where tenant_id = $1 and name = $2", &[&tenant.id, group]);
            tenant.does(&mut handle, "groups.members.add", &json!({ "id": group, "userId": user }), 201);
        }
        user
    }

    /// The hook as GoTrue calls it: its login, its timeout, in the login's transaction.
    #[track_caller]
    #[must_use]
    pub fn hook(&self, event: &Value) -> Value {
        hook(&mut self.database.connect("supabase_auth_admin"), event)
    }

    /// Logs in: the token that GoTrue signs after the hook, HS256 as it comes out of the box.
    #[track_caller]
    #[must_use]
    pub fn log_in(&mut self, account: &Account) -> String {
        let claims = self.hook(&account.event())["claims"].clone();
        self.sign(&claims)
    }

    /// Logs in a member of one tenant, again where the machine is so busy that the hook ran out of its time: the token would stay as it was.
    #[track_caller]
    #[must_use]
    pub fn log_in_member(&mut self, account: &Account) -> String {
        let mut claims = self.hook(&account.event())["claims"].clone();
        for _ in 0..5 {
            if claims.get("tenantId").is_none() {
                claims = self.hook(&account.event())["claims"].clone();
            }
        }
        self.sign(&claims)
    }

    /// Signs with the JWT secret.
    #[track_caller]
    #[must_use]
    pub fn sign(&mut self, claims: &Value) -> String {
        self.jose.sign_with_secret(SECRET, &json!({ "alg": "HS256", "typ": "JWT" }), claims)
    }
}

/// The hook in a session of GoTrue's login.
#[track_caller]
pub fn hook(auth: &mut Client, event: &Value) -> Value {
    let mut login = auth.transaction().unwrap();
    login.batch_execute("set local statement_timeout to '2000'").unwrap();
    let row = login.query_one(r#"select "nebula"."custom_access_token_hook"($1)"#, &[event]).unwrap_or_else(|error| panic!("{error:?}"));
    let answer: Value = row.get(0);
    login.batch_execute("set local statement_timeout to default").unwrap();
    login.commit().unwrap();
    answer
}

/// What a request brings to PostgREST.
#[derive(Clone, Debug)]
pub struct Presented {
    pub role: String,
    pub claims: Value,
    pub headers: Value,
}

impl Presented {
    /// A bearer's token, which PostgREST has verified.
    #[must_use]
    pub fn token(token: &str) -> Self {
        let claims = crate::token::claims_of(token);
        let role = claims["role"].as_str().filter(|role| *role == "service_role").unwrap_or("authenticated").to_owned();
        let headers = json!({ "host": "localhost", "authorization": format!("Bearer {token}"), "user-agent": "supabase-js" });
        Self { role: role.clone(), claims: crate::token::with(&claims, &json!({ "role": role })), headers }
    }

    /// Supabase's anonymous key in both places.
    #[must_use]
    pub fn anon() -> Self {
        Self {
            role: "anon".to_owned(),
            claims: json!({ "role": "anon", "iss": "supabase", "iat": 1, "exp": now() + 3600 }),
            headers: json!({ "host": "localhost", "authorization": "Bearer anon.key.of-supabase", "apikey": "anon.key.of-supabase" }),
        }
    }

    /// An API key of ours beside that.
    #[must_use]
    pub fn key(secret: &str) -> Self {
        let anon = Self::anon();
        Self { headers: crate::token::with(&anon.headers, &json!({ "x-api-key": secret })), ..anon }
    }
}

/// A transaction as PostgREST opens it: every setting in one statement, the pre-request, then the caller's query.
pub fn request<'a>(pooled: &'a mut Client, presented: &Presented, is_read: bool) -> Transaction<'a> {
    let mut transaction = pooled.build_transaction().read_only(is_read).start().unwrap();
    transaction
        .execute(
            "select set_config('search_path', '\"public\", \"extensions\"', true), set_config('role', $1, true), \
               set_config('request.jwt.claims', $2, true), set_config('request.method', $3, true), set_config('request.path', '/orders', true), \
               set_config('request.headers', $4, true), set_config('request.cookies', '{}', true)",
            &[&presented.role, &presented.claims.to_string(), &(if is_read { "GET" } else { "POST" }), &presented.headers.to_string()],
        )
        .unwrap_or_else(|error| panic!("{error:?}"));
    transaction
}

/// The pre-request.
pub fn pre_request(transaction: &mut Transaction) -> Result<(), SqlRefusal> {
    transaction.execute("select nebula.pre_request()", &[])?;
    Ok(())
}

/// A whole request of one query with one column of text: what it answers.
pub fn ask(pooled: &mut Client, presented: &Presented, sql: &str) -> Result<Vec<Option<String>>, SqlRefusal> {
    let mut transaction = request(pooled, presented, true);
    let rows = transaction.query(sql, &[])?;
    let answer = rows.iter().map(|row| row.get(0)).collect();
    transaction.commit()?;
    Ok(answer)
}
