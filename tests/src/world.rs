//! A tenant in which every operation of the product can succeed: something of every kind is there, and each operation has an input that is right.

use crate::{
    Database, Handle, Handled,
    handle::request,
    http::id,
    route::Route,
    story::{PASSWORD, derived_password, log_in_by_sql, onboard_by_sql, proof},
    token::tenant_of,
};
use serde_json::{Value, json};
use uuid::Uuid;

/// Someone who calls: a tenant and a credential.
#[derive(Clone)]
pub struct Actor {
    pub tenant: Uuid,
    pub credential: String,
}

/// The things of one tenant.
pub struct World {
    pub tenant: Uuid,
    pub slug: String,
    /// Who made it: holds every action.
    pub founder: Actor,
    person: Uuid,
    member: Uuid,
    group: Uuid,
    permission: Uuid,
    key: Uuid,
    webhook: Uuid,
    credential: Uuid,
    delivery: Uuid,
    dead_job: Uuid,
    export: Uuid,
    /// Another tenant, for the platform's operations.
    customer: Uuid,
}

/// What is sold in these tests, beside the product's own actions. Everybody who grants something grants this, so that what they may do depends on nothing else.
pub const SOLD_ACTION: &str = "notes.read";

/// Adds a tool that is sold, with a package that everyone in these tests has.
pub fn sell_notes(database: &Database, handle: &mut Handle) {
    let operator = &database.installation.operator_key;
    let mut does = |operation: &str, input: Value| handle.call(tenant_of(operator), operator, operation, &input).data(201);
    does("catalog.tools.create", json!({ "key": "notes", "name": "Notas" }));
    does("catalog.actions.create", json!({ "toolKey": "notes", "key": SOLD_ACTION, "name": "Lê notas", "kind": "read" }));
    does("catalog.actions.create", json!({ "toolKey": "notes", "key": "notes.write", "name": "Escreve notas", "kind": "write" }));
    does("catalog.packages.create", json!({ "key": "notes", "name": "Notas" }));
    does("catalog.packages.actions.add", json!({ "packageKey": "notes", "actionKey": SOLD_ACTION }));
}

fn assign_notes(database: &Database, handle: &mut Handle, tenant: Uuid) {
    let operator = &database.installation.operator_key;
    let input = json!({ "tenantId": tenant, "packageKey": "notes" });
    handle.call(tenant_of(operator), operator, "tenants.packages.assign", &input).data(200);
}

/// What the edge puts into a member that it seals.
fn sealed(row: Uuid) -> Value {
    json!({ "row": row, "sealed": "c2VhbGVk", "keyVersion": 1, "plain": "whsec_plain" })
}

/// What the edge makes of a member that the client gave: 40 bytes that nothing opens.
fn given(row: Uuid) -> Value {
    json!({ "row": row, "sealed": "c2VhbGVkIHNlYWxlZCBzZWFsZWQgc2VhbGVkIHNlYWxlZCBzZWFsZWQ=", "keyVersion": 1, "fingerprint": "ZmluZ2VycHJpbnQ=" })
}

impl World {
    /// A customer with the packages `pro` and `notes`.
    #[must_use]
    pub fn of_customer(database: &Database, handle: &mut Handle, slug: &str) -> Self {
        let tenant = onboard_by_sql(database, slug);
        assign_notes(database, handle, tenant.id);
        let founder = Actor { tenant: tenant.id, credential: tenant.admin };
        Self::furnish(database, handle, slug, founder)
    }

    /// The platform's own tenant.
    #[must_use]
    pub fn of_platform(database: &Database, handle: &mut Handle) -> Self {
        let operator = database.installation.operator_key.clone();
        let tenant = tenant_of(&operator);
        assign_notes(database, handle, tenant);
        let slug = database.text("select slug from nebula.tenant where id = $1", &[&tenant]);
        // Packages that the seed did not give to the administrators of the platform itself.
        handle.call(tenant, &operator, "tenants.seed", &json!({ "tenantId": tenant })).data(200);
        Self::furnish(database, handle, &slug, Actor { tenant, credential: operator })
    }

    fn furnish(database: &Database, handle: &mut Handle, slug: &str, founder: Actor) -> Self {
        let tenant = founder.tenant;
        let mut does =
            |operation: &str, input: Value, status: i32| handle.call(tenant, &founder.credential, operation, &input).data(status);
        let mut user = |name: &str| id(&does("users.create", json!({ "email": format!("{name}@{slug}.example"), "name": name }), 201));
        let (person, member) = (user("bia"), user("caio"));
        let group = id(&does("groups.create", json!({ "name": "leitura" }), 201));
        let granted = does("groups.permissions.grant", json!({ "id": group, "permissions": [{ "action": SOLD_ACTION }] }), 201);
        does("groups.members.add", json!({ "id": group, "userId": member }), 201);
        let key = id(&does("api_keys.create", json!({ "name": "robô", "actions": [SOLD_ACTION] }), 201));
        let webhook = Uuid::now_v7();
        does("webhooks.create", json!({ "url": "https://acme.example/hook", "events": ["*"], "secret": sealed(webhook) }), 201);
        let credential = Uuid::now_v7();
        does("credentials.create", json!({ "provider": "stripe", "name": "conta", "data": given(credential) }), 201);
        let (delivery, dead_job, export) = (Uuid::now_v7(), Uuid::now_v7(), Uuid::now_v7());
        let mut superuser = database.superuser();
        superuser
            .execute(
                "insert into nebula.webhook_delivery (id, tenant_id, webhook_subscription_id, event_id, event_type, attempt, status_code, latency_ms) \
                 values ($1, $2, $3, gen_random_uuid(), 'user.created', 1, 500, 12)",
                &[&delivery, &tenant, &webhook],
            )
            .unwrap();
        superuser
            .execute(
                "insert into nebula.outbox (id, tenant_id, type, payload, status, attempts) values ($1, $2, 'user.created', '{}', 'dead', 5)",
                &[&dead_job, &tenant],
            )
            .unwrap();
        superuser
            .execute(
                "insert into nebula.export_job (id, tenant_id, job_id, format, status, location, row_count, size_bytes, sha256, expires_at) \
                 values ($1, $2, gen_random_uuid(), 'json', 'done', 'exports/' || $2::uuid || '/x.zip', 1, 1, sha256('x'), now() + interval '1 day')",
                &[&export, &tenant],
            )
            .unwrap();
        let customer = onboard_by_sql(database, &format!("{slug}-cliente")).id;
        let operator = &database.installation.operator_key;
        let exception = json!({ "tenantId": customer, "actionKey": "users.create", "limits": { "perMinute": 1000 } });
        handle.call(tenant_of(operator), operator, "tenants.overrides.set", &exception).data(200);
        let permission = id(&granted[0]);
        Self {
            tenant,
            slug: slug.to_owned(),
            founder,
            person,
            member,
            group,
            permission,
            key,
            webhook,
            credential,
            delivery,
            dead_job,
            export,
            customer,
        }
    }

    /// A person with a group of their own that grants these actions, logged in.
    pub fn person_with(&self, database: &Database, handle: &mut Handle, name: &str, actions: &[String]) -> (Actor, Uuid) {
        let group = id(&self.does(handle, "groups.create", &json!({ "name": format!("só {name}") })).data(201));
        for actions in actions.chunks(200) {
            let permissions = actions.iter().map(|action| json!({ "action": action })).collect::<Vec<_>>();
            self.does(handle, "groups.permissions.grant", &json!({ "id": group, "permissions": permissions })).data(201);
        }
        (self.person_in(database, handle, name, group), group)
    }

    /// A person in this group, logged in.
    pub fn person_in(&self, database: &Database, handle: &mut Handle, name: &str, group: Uuid) -> Actor {
        let email = format!("{name}@{}.example", self.slug);
        let user = id(&self.does(handle, "users.create", &json!({ "email": email, "name": name })).data(201));
        self.does(handle, "groups.members.add", &json!({ "id": group, "userId": user })).data(201);
        let invite = self.does(handle, "users.invite", &json!({ "id": user })).data(201);
        let accepted = handle.public(self.tenant, "auth.password", &json!({ "token": invite["token"], "password": derived_password() }));
        assert_eq!(accepted.status, 204, "{accepted:?}");
        let (credential, _) = log_in_by_sql(database, handle, self.tenant, &self.slug, &email);
        Actor { tenant: self.tenant, credential }
    }

    /// A key with this profile.
    pub fn key_with(&self, handle: &mut Handle, profile: &str) -> Actor {
        let made = self.does(handle, "api_keys.create", &json!({ "name": format!("chave {profile}"), "profile": profile })).data(201);
        Actor { tenant: self.tenant, credential: made["secret"].as_str().unwrap().to_owned() }
    }

    fn does(&self, handle: &mut Handle, operation: &str, input: &Value) -> Handled {
        handle.call(self.tenant, &self.founder.credential, operation, input)
    }

    /// An input with which this operation succeeds, for who may do it: path, query and body as one.
    #[must_use]
    pub fn input(&self, operation: &str) -> Value {
        let (own, person, group) = (json!({}), json!({ "id": self.person }), json!({ "id": self.group }));
        let with = |base: &Value, more: Value| {
            let mut merged = base.as_object().unwrap().clone();
            merged.extend(more.as_object().unwrap().clone());
            Value::Object(merged)
        };
        let (tool, package) = (json!({ "toolKey": "notes" }), json!({ "packageKey": "notes" }));
        let (customer, webhook) = (json!({ "tenantId": self.customer }), json!({ "id": self.webhook }));
        match operation {
            "me.update" => json!({ "name": "Outro Nome" }),
            "me.password" => json!({ "currentPassword": proof(), "newPassword": derived_password() }),
            "users.create" => json!({ "email": format!("dora@{}.example", self.slug), "name": "Dora" }),
            "users.update" => with(&person, json!({ "name": "Beatriz" })),
            "users.status" => with(&person, json!({ "status": "suspenso", "suspendedReason": "férias" })),
            "users.read" | "users.invite" | "users.anonymize" | "users.sessions.list" | "users.sessions.revoke" => person,
            "groups.create" => json!({ "name": "escrita", "description": "quem escreve" }),
            "groups.update" => with(&group, json!({ "description": "quem lê" })),
            "groups.status" => with(&group, json!({ "status": "suspenso" })),
            "groups.read" | "groups.members.list" | "groups.permissions.list" => group,
            "groups.members.add" => with(&group, json!({ "userId": self.person })),
            "groups.members.remove" => with(&group, json!({ "userId": self.member })),
            "groups.permissions.grant" => {
                with(&group, json!({ "permissions": [{ "action": SOLD_ACTION, "constraints": { "maxPerDay": 9 } }] }))
            }
            "groups.permissions.revoke" => with(&group, json!({ "permissionId": self.permission })),
            "api_keys.create" => json!({ "name": "outra", "actions": [SOLD_ACTION] }),
            "api_keys.status" => json!({ "id": self.key, "status": "suspenso" }),
            "api_keys.rotate" => json!({ "id": self.key, "gracePeriodSeconds": 60 }),
            "branding.update" => json!({ "primaryColor": "#102030", "logoUrl": "https://acme.example/logo.svg" }),
            "config.update" => json!({ "flags": { "beta": true } }),
            "webhooks.create" => {
                json!({ "url": "https://acme.example/other", "events": ["user.created"], "secret": sealed(Uuid::now_v7()) })
            }
            "webhooks.update" => with(&webhook, json!({ "description": "outro" })),
            "webhooks.rotate_secret" => with(&webhook, json!({ "secret": sealed(self.webhook) })),
            "webhooks.read" | "webhooks.delete" | "webhooks.test" | "webhooks.deliveries.list" => webhook,
            "webhooks.redeliver" => json!({ "id": self.delivery }),
            "exports.create" => json!({ "format": "json" }),
            "exports.read" | "exports.download" => json!({ "id": self.export }),
            "credentials.create" => json!({ "provider": "stripe", "name": "outra", "data": given(Uuid::now_v7()) }),
            "credentials.update" => json!({ "id": self.credential, "data": given(self.credential) }),
            "credentials.delete" => json!({ "id": self.credential }),
            "jobs.retry" => json!({ "id": self.dead_job }),
            "catalog.tools.create" => json!({ "key": "agenda", "name": "Agenda" }),
            "catalog.tools.update" => with(&tool, json!({ "description": "para notas" })),
            "catalog.tools.read" | "catalog.actions.list" => tool,
            "catalog.actions.create" => with(&tool, json!({ "key": "notes.share", "name": "Compartilha notas", "kind": "write" })),
            "catalog.actions.update" => with(&tool, json!({ "actionKey": SOLD_ACTION, "name": "Lê as notas" })),
            "catalog.packages.create" => json!({ "key": "agenda", "name": "Agenda" }),
            "catalog.packages.update" => with(&package, json!({ "description": "com notas" })),
            "catalog.packages.read" => package,
            "catalog.packages.actions.add" => with(&package, json!({ "actionKey": "notes.write" })),
            "catalog.packages.actions.remove" => with(&package, json!({ "actionKey": SOLD_ACTION })),
            "tenants.create" => {
                json!({ "slug": "nova", "name": "Nova", "packageKey": "base", "adminUser": { "email": "eva@nova.example", "name": "Eva" } })
            }
            "tenants.update" => with(&customer, json!({ "name": "Outra" })),
            "tenants.status" => with(&customer, json!({ "status": "suspenso" })),
            "tenants.read" | "tenants.seed" => customer,
            "tenants.packages.assign" => with(&customer, json!({ "packageKey": "notes" })),
            "tenants.packages.unassign" => with(&customer, json!({ "packageKey": "pro" })),
            "tenants.overrides.set" => with(&customer, json!({ "actionKey": "users.list", "flags": { "enabled": false } })),
            "tenants.overrides.remove" => with(&customer, json!({ "actionKey": "users.create" })),
            "me.read" | "me.sessions.list" | "me.sessions.revoke" | "branding.read" | "config.read" => own,
            _ if operation.ends_with(".list") || operation == "usage.read" => own,
            _ => panic!("{operation} has no input here: add one"),
        }
    }

    /// The same as a client sends it: what the edge seals or derives is still plain.
    #[must_use]
    pub fn sent(&self, operation: &str) -> Value {
        let mut input = self.input(operation);
        let members = input.as_object_mut().unwrap();
        match operation {
            "webhooks.create" | "webhooks.rotate_secret" => drop(members.remove("secret")),
            "credentials.create" | "credentials.update" => drop(members.insert("data".into(), json!({ "apiKey": "plain" }))),
            "me.password" => return json!({ "currentPassword": PASSWORD, "newPassword": PASSWORD }),
            _ => {}
        }
        input
    }

    /// Does an operation as somebody and takes it back: the world stays as it was.
    pub fn tries(&self, handle: &mut Handle, actor: &Actor, route: &Route, input: &Value) -> Handled {
        let mut message = request(&route.operation, Some(&actor.credential), &json!({}));
        let part = if route.takes_body() { "body" } else { "query" };
        let members = message.as_object_mut().unwrap();
        members.remove("query");
        members.remove("body");
        members.insert(part.to_owned(), input.clone());
        handle.client.batch_execute("begin").unwrap();
        let answer = handle.send(actor.tenant, &message);
        handle.client.batch_execute("rollback").unwrap();
        answer
    }
}
