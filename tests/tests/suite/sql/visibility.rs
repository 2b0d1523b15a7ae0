//! Invariant 5: a change of rights counts from the next statement on, on every connection, also inside an open transaction.

use nebula_tests::{
    Database, Handle, Tenant,
    http::id,
    onboard_by_sql,
    sql_caller::{bound_login, call, can},
    story::{derived_password, log_in_by_sql},
    token::tenant_of,
};
use postgres::GenericClient;
use serde_json::{Value, json};
use uuid::Uuid;

/// A tenant, a member with one permission, and two warm sessions: one that acts as the member, one that changes things.
struct Scene {
    database: Database,
    tenant: Tenant<String>,
    member: Uuid,
    token: String,
    refresh_token: String,
    group: Uuid,
    permission: Uuid,
    key: Uuid,
    secret: String,
}

impl Scene {
    fn set() -> Self {
        let database = Database::new();
        let tenant = onboard_by_sql(&database, "acme");
        let mut handle = database.handle();
        let member = id(&tenant.does(&mut handle, "users.create", &json!({ "email": "bia@acme.example", "name": "Bia" }), 201));
        let group = id(&tenant.does(&mut handle, "groups.create", &json!({ "name": "Suporte" }), 201));
        tenant.does(&mut handle, "groups.members.add", &json!({ "id": group, "userId": member }), 201);
        let permissions = json!({ "id": group, "permissions": [{ "action": "groups.list" }] });
        let permission = id(&tenant.does(&mut handle, "groups.permissions.grant", &permissions, 201)[0]);
        let invite = tenant.does(&mut handle, "users.invite", &json!({ "id": member }), 201);
        assert_eq!(
            handle.public(tenant.id, "auth.password", &json!({ "token": invite["token"], "password": derived_password() })).status,
            204
        );
        let (token, refresh_token) = log_in_by_sql(&database, &mut handle, tenant.id, "acme", "bia@acme.example");
        let (key, secret) = tenant.key(&mut handle, &json!({ "name": "robot", "actions": ["groups.list"] }));
        Self { database, tenant, member, token, refresh_token, group, permission, key, secret }
    }

    fn operator(&self, handle: &mut Handle, operation: &str, input: &Value) {
        let operator = &self.database.installation.operator_key;
        let answer = handle.call(tenant_of(operator), operator, operation, input);
        assert!((200..300).contains(&answer.status), "{answer:?}");
    }

    fn admin(&self, handle: &mut Handle, operation: &str, input: &Value) {
        let answer = handle.call(self.tenant.id, &self.tenant.admin, operation, input);
        assert!((200..300).contains(&answer.status), "{answer:?}");
    }

    /// `change` is done on one session; before it the credential passes on two others, after it neither.
    #[track_caller]
    fn refuses_after(&self, credential: &str, code: &str, change: impl Fn(&mut Handle)) {
        let ask = |handle: &mut Handle| handle.call(self.tenant.id, credential, "groups.list", &json!({}));
        let (mut warm, mut open, mut changing) = (self.database.handle(), self.database.handle(), self.database.handle());
        open.client.batch_execute("begin isolation level read committed").unwrap();
        for _ in 0..2 {
            assert_eq!((ask(&mut warm).status, ask(&mut open).status), (200, 200));
        }
        change(&mut changing);
        assert_eq!(ask(&mut warm).code(), code, "on a warm connection");
        assert_eq!(ask(&mut open).code(), code, "in an open transaction");
        open.client.batch_execute("rollback").unwrap();
    }

    /// The other way round.
    #[track_caller]
    fn allows_after(&self, credential: &str, change: impl Fn(&mut Handle)) {
        let ask = |handle: &mut Handle| handle.call(self.tenant.id, credential, "groups.list", &json!({})).status;
        let (mut warm, mut open, mut changing) = (self.database.handle(), self.database.handle(), self.database.handle());
        open.client.batch_execute("begin isolation level read committed").unwrap();
        assert!(ask(&mut warm) > 400 && ask(&mut open) > 400);
        // The refusal was audited in the open transaction; nothing that it locked may stand in the way.
        change(&mut changing);
        assert_eq!((ask(&mut warm), ask(&mut open)), (200, 200));
        open.client.batch_execute("rollback").unwrap();
    }
}

#[test]
fn a_revoked_and_granted_permission() {
    let scene = Scene::set();
    scene.refuses_after(&scene.token, "FORBIDDEN_ACTION", |handle| {
        scene.admin(handle, "groups.permissions.revoke", &json!({ "id": scene.group, "permissionId": scene.permission }));
    });
    scene.allows_after(&scene.token, |handle| {
        scene.admin(handle, "groups.permissions.grant", &json!({ "id": scene.group, "permissions": [{ "action": "groups.list" }] }));
    });
}

#[test]
fn a_suspended_group() {
    let scene = Scene::set();
    scene.refuses_after(&scene.token, "FORBIDDEN_ACTION", |handle| {
        scene.admin(handle, "groups.status", &json!({ "id": scene.group, "status": "suspenso" }));
    });
    scene.allows_after(&scene.token, |handle| scene.admin(handle, "groups.status", &json!({ "id": scene.group, "status": "ativo" })));
}

#[test]
fn a_removed_and_added_member() {
    let scene = Scene::set();
    let membership = json!({ "id": scene.group, "userId": scene.member });
    scene.refuses_after(&scene.token, "FORBIDDEN_ACTION", |handle| scene.admin(handle, "groups.members.remove", &membership));
    scene.allows_after(&scene.token, |handle| scene.admin(handle, "groups.members.add", &membership));
}

#[test]
fn a_suspended_user() {
    let scene = Scene::set();
    let suspend = json!({ "id": scene.member, "status": "suspenso", "suspendedReason": "férias" });
    let (mut warm, mut changing) = (scene.database.handle(), scene.database.handle());
    warm.call(scene.tenant.id, &scene.token, "groups.list", &json!({})).data(200);
    scene.admin(&mut changing, "users.status", &suspend);
    warm.call(scene.tenant.id, &scene.token, "groups.list", &json!({})).refused(403, "USER_SUSPENDED");
    let login = json!({ "tenant": "acme", "email": "bia@acme.example", "password": nebula_tests::story::proof() });
    warm.public(scene.tenant.id, "auth.login", &login).refused(403, "USER_SUSPENDED");
    scene.admin(&mut changing, "users.status", &json!({ "id": scene.member, "status": "ativo" }));
    // Whoever is let in again logs in again.
    warm.call(scene.tenant.id, &scene.token, "groups.list", &json!({})).refused(401, "INVALID_TOKEN");
    warm.public(scene.tenant.id, "auth.login", &login).data(200);
}

#[test]
fn a_suspended_tenant() {
    let scene = Scene::set();
    let status = |status: &str| json!({ "tenantId": scene.tenant.id, "status": status });
    scene.refuses_after(&scene.token, "TENANT_SUSPENDED", |handle| scene.operator(handle, "tenants.status", &status("suspenso")));
    scene.allows_after(&scene.token, |handle| scene.operator(handle, "tenants.status", &status("ativo")));
    scene.refuses_after(&scene.secret, "TENANT_SUSPENDED", |handle| scene.operator(handle, "tenants.status", &status("suspenso")));
}

#[test]
fn a_suspended_key() {
    let scene = Scene::set();
    let status = |status: &str| json!({ "id": scene.key, "status": status });
    scene.refuses_after(&scene.secret, "INVALID_TOKEN", |handle| scene.admin(handle, "api_keys.status", &status("suspenso")));
    scene.allows_after(&scene.secret, |handle| scene.admin(handle, "api_keys.status", &status("ativo")));
}

#[test]
fn a_rotated_key() {
    let scene = Scene::set();
    scene.refuses_after(&scene.secret, "INVALID_TOKEN", |handle| scene.admin(handle, "api_keys.rotate", &json!({ "id": scene.key })));
}

#[test]
fn a_logout() {
    let scene = Scene::set();
    scene.refuses_after(&scene.token, "INVALID_TOKEN", |handle| {
        assert_eq!(handle.public(scene.tenant.id, "auth.logout", &json!({ "refreshToken": scene.refresh_token })).status, 204);
    });
}

#[test]
fn a_revoked_signing_key() {
    let scene = Scene::set();
    scene.refuses_after(&scene.token, "INVALID_TOKEN", |_| {
        let kid = &scene.database.installation.signer.kid;
        scene.database.superuser().query_one("select nebula.revoke_signing_key($1)", &[kid]).unwrap();
    });
}

#[test]
fn a_package_taken_away_expired_and_given_back() {
    let scene = Scene::set();
    let package = json!({ "tenantId": scene.tenant.id, "packageKey": "pro" });
    for credential in [&scene.token, &scene.secret] {
        scene.refuses_after(credential, "FORBIDDEN_ACTION", |handle| scene.operator(handle, "tenants.packages.unassign", &package));
        scene.allows_after(credential, |handle| scene.operator(handle, "tenants.packages.assign", &package));
    }
    scene.refuses_after(&scene.token, "FORBIDDEN_ACTION", |_| {
        scene.database.execute("update nebula.tenant_package set expires_at = now() where expires_at is null");
    });
}

#[test]
fn an_override() {
    let scene = Scene::set();
    let set = json!({ "tenantId": scene.tenant.id, "actionKey": "groups.list", "flags": { "enabled": false } });
    scene.refuses_after(&scene.token, "FORBIDDEN_ACTION", |handle| scene.operator(handle, "tenants.overrides.set", &set));
    let remove = json!({ "tenantId": scene.tenant.id, "actionKey": "groups.list" });
    scene.allows_after(&scene.token, |handle| scene.operator(handle, "tenants.overrides.remove", &remove));
}

#[test]
fn a_suspended_tool_or_action() {
    let scene = Scene::set();
    for (table, key) in [("tool", "groups"), ("tool_action", "groups.list")] {
        let set = |status: &str| scene.database.execute(&format!("update nebula.{table} set status = '{status}' where key = '{key}'"));
        scene.refuses_after(&scene.token, "FORBIDDEN_ACTION", |_| set("suspenso"));
        scene.allows_after(&scene.secret, |_| set("ativo"));
    }
}

#[test]
fn a_change_that_was_rolled_back_changes_nothing_and_an_uncommitted_one_is_not_seen() {
    let scene = Scene::set();
    let mut warm = scene.database.handle();
    let mut superuser = scene.database.superuser();
    let mut transaction = superuser.transaction().unwrap();
    warm.call(scene.tenant.id, &scene.token, "groups.list", &json!({})).data(200);
    transaction.execute("delete from nebula.group_permission where id = $1", &[&scene.permission]).unwrap();
    warm.call(scene.tenant.id, &scene.token, "groups.list", &json!({})).data(200);
    transaction.rollback().unwrap();
    warm.call(scene.tenant.id, &scene.token, "groups.list", &json!({})).data(200);
}

#[test]
fn a_right_granted_and_rolled_back_in_the_same_session_is_not_kept() {
    let scene = Scene::set();
    // The cache of the very backend that made the change, in a savepoint that it gave up.
    let mut handle = scene.database.handle();
    handle.client.batch_execute("begin; savepoint s").unwrap();
    scene.admin(&mut handle, "groups.permissions.grant", &json!({ "id": scene.group, "permissions": [{ "action": "users.list" }] }));
    handle.call(scene.tenant.id, &scene.token, "users.list", &json!({})).data(200);
    handle.client.batch_execute("rollback to s").unwrap();
    handle.call(scene.tenant.id, &scene.token, "users.list", &json!({})).refused(403, "FORBIDDEN_ACTION");
    handle.client.batch_execute("commit").unwrap();
    handle.call(scene.tenant.id, &scene.token, "users.list", &json!({})).refused(403, "FORBIDDEN_ACTION");
}

/// The levels at which a transaction goes on seeing what was true when it began.
const OLD_SNAPSHOTS: [&str; 2] = ["repeatable read", "serializable"];

fn current_tenant(client: &mut impl GenericClient) -> Option<Uuid> {
    client.query_one("select nebula.current_tenant()", &[]).unwrap().get(0)
}

#[test]
fn an_operation_is_refused_where_the_transaction_sees_an_older_state() {
    let scene = Scene::set();
    let login = bound_login(&scene.database, &scene.tenant, &json!({ "name": "app", "profile": "admin" }));
    let (mut handle, mut app) = (scene.database.handle(), scene.database.connect(&login));
    let why = json!([{ "field": "transaction_isolation", "rule": "read_committed" }]);
    let before = scene.database.digests();
    for level in OLD_SNAPSHOTS {
        handle.client.batch_execute(&format!("begin isolation level {level}")).unwrap();
        for (operation, input) in [("groups.list", json!({})), ("groups.create", json!({ "name": "G" }))] {
            let answer = handle.call(scene.tenant.id, &scene.tenant.admin, operation, &input);
            assert_eq!(answer.refused(400, "VALIDATION_ERROR"), why, "{level} {operation}");
        }
        handle.client.batch_execute("commit").unwrap();
        for (operation, input) in [("groups.list", json!({})), ("groups.create", json!({ "name": "G" }))] {
            app.batch_execute(&format!("begin isolation level {level}")).unwrap();
            let refusal = call(&mut app, operation, &input).unwrap_err();
            assert_eq!(refusal.is("PT400", "VALIDATION_ERROR"), why, "{level} {operation}");
            app.batch_execute("rollback").unwrap();
        }
    }
    assert_eq!(scene.database.digests(), before);
    handle.call(scene.tenant.id, &scene.tenant.admin, "groups.list", &json!({})).data(200);
    call(&mut app, "groups.list", &json!({})).unwrap();
}

#[test]
fn can_and_current_tenant_see_what_was_committed_after_an_old_snapshot() {
    let scene = Scene::set();
    let login = bound_login(&scene.database, &scene.tenant, &json!({ "name": "app", "profile": "admin" }));
    let tenant = scene.tenant.id;
    for level in OLD_SNAPSHOTS {
        for (spoil, mend) in [
            ("update nebula.api_key set status = 'suspenso' where name = 'app'", "update nebula.api_key set status = 'ativo'"),
            ("update nebula.tenant set status = 'suspenso' where slug = 'acme'", "update nebula.tenant set status = 'ativo'"),
        ] {
            for is_warm in [false, true] {
                let mut app = scene.database.connect(&login);
                if is_warm {
                    assert_eq!((current_tenant(&mut app), can(&mut app, "groups.list")), (Some(tenant), true));
                }
                app.batch_execute(&format!("begin isolation level {level}")).unwrap();
                app.batch_execute("select count(*) from pg_catalog.pg_class").unwrap();
                if is_warm {
                    assert_eq!((current_tenant(&mut app), can(&mut app, "groups.list")), (Some(tenant), true));
                }
                scene.database.execute(spoil);
                let seen = (current_tenant(&mut app), can(&mut app, "groups.list"));
                assert_eq!(seen, (None, false), "{level}, warm: {is_warm}: {spoil}");
                scene.database.execute(mend);
                let seen = (current_tenant(&mut app), can(&mut app, "groups.list"));
                assert_eq!(seen, (Some(tenant), true), "{level}, warm: {is_warm}: {mend}");
                scene.database.execute(spoil);
                app.batch_execute("commit").unwrap();
                assert_eq!((current_tenant(&mut app), can(&mut app, "groups.list")), (None, false), "after {level}");
                scene.database.execute(mend);
            }
        }
    }
}

#[test]
fn what_was_read_beside_an_old_snapshot_is_not_kept_against_a_revoked_signing_key() {
    for level in OLD_SNAPSHOTS {
        let scene = Scene::set();
        let mut handle = scene.database.handle();
        handle.client.batch_execute(&format!("begin isolation level {level}; select count(*) from pg_catalog.pg_class")).unwrap();
        let kid = &scene.database.installation.signer.kid;
        scene.database.superuser().query_one("select nebula.revoke_signing_key($1)", &[kid]).unwrap();
        // Each reads the installation with its keys.
        handle.client.batch_execute("select nebula.edge_state(), nebula.login_challenge('nowhere', 'x@y.example', '')").unwrap();
        handle.call(scene.tenant.id, &scene.token, "groups.list", &json!({})).refused(400, "VALIDATION_ERROR");
        handle.client.batch_execute("commit").unwrap();
        handle.call(scene.tenant.id, &scene.token, "groups.list", &json!({})).refused(401, "INVALID_TOKEN");
    }
}

#[test]
fn a_sentinel_that_was_made_anew_still_clears_every_cache() {
    let made_anew = "drop table nebula.rights_sentinel; \
        create table nebula.rights_sentinel ( \
          is_singleton boolean not null default true, \
          constraint pk_rights_sentinel primary key (is_singleton), \
          constraint ck_rights_sentinel_is_singleton check (is_singleton) \
        ); \
        alter table nebula.rights_sentinel owner to nebula_owner; \
        set role nebula_owner; select nebula.govern_table('nebula.rights_sentinel', audited => false); reset role";
    let given_away = "alter table nebula.rights_sentinel owner to postgres; alter table nebula.rights_sentinel owner to nebula_owner";
    for change in [made_anew, given_away] {
        for is_used_between in [true, false] {
            let scene = Scene::set();
            let ask = |handle: &mut Handle| handle.call(scene.tenant.id, &scene.token, "groups.list", &json!({}));
            let (mut warm, mut changing) = (scene.database.handle(), scene.database.handle());
            ask(&mut warm).data(200);
            ask(&mut changing).data(200);
            scene.database.execute(change);
            if is_used_between {
                ask(&mut warm).data(200);
                ask(&mut changing).data(200);
            }
            scene.admin(&mut changing, "groups.status", &json!({ "id": scene.group, "status": "suspenso" }));
            ask(&mut warm).refused(403, "FORBIDDEN_ACTION");
            scene.admin(&mut changing, "groups.status", &json!({ "id": scene.group, "status": "ativo" }));
            ask(&mut warm).data(200);
            scene.admin(&mut changing, "users.status", &json!({ "id": scene.member, "status": "suspenso" }));
            ask(&mut warm).refused(403, "USER_SUSPENDED");
            // By somebody whose backend never saw the old one, too.
            warm.call(scene.tenant.id, &scene.secret, "groups.list", &json!({})).data(200);
            scene.database.execute("update nebula.tenant set status = 'suspenso' where slug = 'acme'");
            warm.call(scene.tenant.id, &scene.secret, "groups.list", &json!({})).refused(403, "TENANT_SUSPENDED");
        }
    }
}

/// How often a request of a tenant's administrator reads tables that decide rights.
fn readings(handle: &mut Handle, tenant: &Tenant<String>) -> i64 {
    let scans = "select coalesce(sum(coalesce(seq_scan, 0) + coalesce(idx_scan, 0)), 0)::bigint from pg_stat_xact_user_tables \
                 where schemaname = 'nebula' and relname in ('group_permission', 'user_group', 'tenant_package', 'tenant', 'tool_action')";
    let count = |handle: &mut Handle| handle.client.query_one(scans, &[]).unwrap().get::<_, i64>(0);
    // What is counted is told to others at the end of a transaction, now and then.
    handle.client.batch_execute("begin").unwrap();
    let before = count(handle);
    handle.call(tenant.id, &tenant.admin, "groups.list", &json!({})).data(200);
    let readings = count(handle) - before;
    handle.client.batch_execute("commit").unwrap();
    readings
}

#[test]
fn a_change_of_one_tenant_leaves_what_is_known_of_the_others() {
    let database = Database::new();
    let acme = onboard_by_sql(&database, "acme");
    // One tenant in 4,096 is told of acme's changes as well; these two are not both.
    let share = |tenant: Uuid| u16::from_be_bytes([tenant.as_bytes()[14], tenant.as_bytes()[15]]) % 4096;
    let others = ["zeta", "beta"].map(|slug| onboard_by_sql(&database, slug));
    let other = others.iter().find(|other| share(other.id) != share(acme.id)).unwrap();
    let (mut warm, mut changing) = (database.handle(), database.handle());
    for tenant in [&acme, other] {
        assert_ne!(readings(&mut warm, tenant), 0);
        assert_eq!(readings(&mut warm, tenant), 0);
    }
    let group = id(&acme.does(&mut changing, "groups.create", &json!({ "name": "Suporte" }), 201));
    for status in ["suspenso", "ativo"] {
        acme.does(&mut changing, "groups.status", &json!({ "id": group, "status": status }), 200);
        assert_eq!(readings(&mut warm, other), 0);
        // Nor is what happens to other relations meanwhile taken for a change of everybody's.
        database.execute("analyze nebula.audit_log");
        assert_eq!(readings(&mut warm, other), 0);
    }
    assert_ne!(readings(&mut warm, &acme), 0);
    database.execute("update nebula.tenant_package set package_id = package_id");
    for tenant in [&acme, other] {
        assert_ne!(readings(&mut warm, tenant), 0, "a DBA's own SQL may concern everybody");
    }
}
