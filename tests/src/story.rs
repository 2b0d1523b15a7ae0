//! What most tests start from: a tenant with an administrator who is logged in.

use crate::{Caller, Database, Edge, Handle, User, http::id, token::tenant_of};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicU32, Ordering};
use uuid::Uuid;

/// The password of everyone.
pub const PASSWORD: &str = "correct horse battery staple";

/// An onboarded tenant.
pub struct Tenant<A> {
    pub id: Uuid,
    pub slug: String,
    /// How its administrator calls: a `User` over HTTP, a token in SQL.
    pub admin: A,
    pub admin_id: Uuid,
    pub admin_email: String,
    pub refresh_token: String,
    /// Used up.
    pub invite: String,
}

fn unique() -> u32 {
    static COUNT: AtomicU32 = AtomicU32::new(1);
    COUNT.fetch_add(1, Ordering::Relaxed)
}

/// The body of `POST /v1/tenants`.
#[must_use]
pub fn tenant_body(slug: &str, package: &str) -> Value {
    json!({ "slug": slug, "name": format!("Tenant {slug}"), "packageKey": package, "adminUser": { "email": format!("admin@{slug}.example"), "name": "Ana" } })
}

/// Onboards a tenant with the package `pro` over HTTP: create, invite, password, login.
#[track_caller]
#[must_use]
pub fn onboard(edge: &Edge, slug: &str) -> Tenant<User> {
    let made = edge.operator().post("/v1/tenants", &tenant_body(slug, "pro")).data(201);
    let invite = made["invite"]["token"].as_str().unwrap().to_owned();
    let admin_email = made["admin"]["email"].as_str().unwrap().to_owned();
    let (admin, refresh_token) = accept(edge, slug, &admin_email, &invite);
    Tenant { id: id(&made["tenant"]), slug: slug.to_owned(), admin, admin_id: id(&made["admin"]), admin_email, refresh_token, invite }
}

/// Sets the password with an invite and logs in.
#[track_caller]
#[must_use]
pub fn accept(edge: &Edge, slug: &str, email: &str, invite: &str) -> (User, String) {
    edge.anonymous().post("/v1/auth/password", &json!({ "token": invite, "password": PASSWORD })).empty();
    log_in(edge, slug, email)
}

/// Logs in: the caller, and the refresh token.
#[track_caller]
#[must_use]
pub fn log_in(edge: &Edge, slug: &str, email: &str) -> (User, String) {
    let session = edge.anonymous().post("/v1/auth/login", &json!({ "tenant": slug, "email": email, "password": PASSWORD })).data(200);
    (edge.user(session["accessToken"].as_str().unwrap()), session["refreshToken"].as_str().unwrap().to_owned())
}

impl Tenant<User> {
    /// Creates a person without rights; the id.
    #[track_caller]
    pub fn person(&self, name: &str) -> Uuid {
        id(&self.admin.post("/v1/users", &json!({ "email": format!("{name}@{}.example", self.slug), "name": name })).data(201))
    }

    /// Creates a person, with a group of their own that grants these actions, and logs them in: caller, user id, group id.
    #[track_caller]
    pub fn member(&self, edge: &Edge, name: &str, actions: &[&str]) -> (User, Uuid, Uuid) {
        let user = self.person(name);
        let group = self.group(&format!("group of {name} {}", unique()), actions);
        self.admin.post(&format!("/v1/groups/{group}/users/{user}"), &json!({})).data(201);
        let invite = self.admin.post(&format!("/v1/users/{user}/invite"), &json!({})).data(201);
        let (caller, _) = accept(edge, &self.slug, &format!("{name}@{}.example", self.slug), invite["token"].as_str().unwrap());
        (caller, user, group)
    }

    /// Creates a group that grants these actions.
    #[track_caller]
    pub fn group(&self, name: &str, actions: &[&str]) -> Uuid {
        let group = id(&self.admin.post("/v1/groups", &json!({ "name": name })).data(201));
        if !actions.is_empty() {
            let permissions = actions.iter().map(|action| json!({ "action": action })).collect::<Vec<_>>();
            self.admin.post(&format!("/v1/groups/{group}/permissions"), &json!({ "permissions": permissions })).data(201);
        }
        group
    }

    /// The id of a group by its name.
    #[track_caller]
    pub fn group_named(&self, name: &str) -> Uuid {
        let groups = self.admin.get("/v1/groups?limit=200").data(200);
        id(groups.as_array().unwrap().iter().find(|group| group["name"] == name).unwrap_or_else(|| panic!("no group {name}")))
    }

    /// Makes an API key; its secret.
    #[track_caller]
    pub fn key(&self, edge: &Edge, body: &Value) -> (crate::Key, Uuid) {
        let made = self.admin.post("/v1/api-keys", body).data(201);
        (edge.key(made["secret"].as_str().unwrap()), id(&made))
    }
}

/// What the edge would send for a password: no derivation is needed to test what the database does with its result.
#[must_use]
pub fn derived_password() -> Value {
    json!({ "salt": "AAAAAAAAAAAAAAAAAAAAAA==", "memoryKib": 19456, "iterations": 2, "parallelism": 1, "key": proof()["key"] })
}

/// What the edge would send to check that password.
#[must_use]
pub fn proof() -> Value {
    json!({ "key": "a2V5IG9mIDMyIGJ5dGVzIHRoYXQgbm9ib2R5IGtub3c=" })
}

/// Onboards a tenant through `nebula.handle` alone; the administrator's credential is an access token that the harness signed.
#[track_caller]
#[must_use]
pub fn onboard_by_sql(database: &Database, slug: &str) -> Tenant<String> {
    let mut handle = database.handle();
    let operator = &database.installation.operator_key;
    let made = handle.call(tenant_of(operator), operator, "tenants.create", &tenant_body(slug, "pro")).data(201);
    let tenant = id(&made["tenant"]);
    let invite = made["invite"]["token"].as_str().unwrap().to_owned();
    let admin_email = made["admin"]["email"].as_str().unwrap().to_owned();
    let set = handle.public(tenant, "auth.password", &json!({ "token": invite, "password": derived_password() }));
    assert_eq!(set.status, 204, "{set:?}");
    let (admin, refresh_token) = log_in_by_sql(database, &mut handle, tenant, slug, &admin_email);
    Tenant { id: tenant, slug: slug.to_owned(), admin, admin_id: id(&made["admin"]), admin_email, refresh_token, invite }
}

/// Logs in through `nebula.handle`: access token and refresh token.
#[track_caller]
#[must_use]
pub fn log_in_by_sql(database: &Database, handle: &mut Handle, tenant: Uuid, slug: &str, email: &str) -> (String, String) {
    let login = handle.public(tenant, "auth.login", &json!({ "tenant": slug, "email": email, "password": proof() }));
    let refresh_token = login.data(200)["refreshToken"].as_str().unwrap().to_owned();
    (database.installation.signer.sign(&login.context["claims"]), refresh_token)
}

impl Tenant<String> {
    /// Does something as the administrator; its `data`.
    #[track_caller]
    pub fn does(&self, handle: &mut Handle, operation: &str, input: &Value, status: i32) -> Value {
        handle.call(self.id, &self.admin, operation, input).data(status)
    }

    /// Makes an API key: id and secret.
    #[track_caller]
    pub fn key(&self, handle: &mut Handle, body: &Value) -> (Uuid, String) {
        let made = self.does(handle, "api_keys.create", body, 201);
        (id(&made), made["secret"].as_str().unwrap().to_owned())
    }
}
