//! The audit log is history: nobody changes it.

use nebula_tests::{Caller, Database, onboard, onboard_by_sql, sql_caller::bound_login};
use serde_json::json;
use uuid::Uuid;

#[test]
fn nobody_updates_deletes_or_truncates_audit_rows() {
    let database = Database::new();
    let _tenant = onboard_by_sql(&database, "acme");
    let before = database.text("select count(*) || md5(string_agg(l::text, '' order by id)) from nebula.audit_log l", &[]);
    let tables = database.texts("select oid::regclass::text from pg_class where relnamespace = 'nebula'::regnamespace and relname ~ '^audit_log' and relkind in ('r', 'p')", &[]);
    assert!(tables.len() >= 14, "{tables:?}");
    // A superuser who sets the replica role gets around ordinary triggers, but not around these.
    for session in ["set role nebula_owner", "set role nebula_platform", "set session_replication_role = replica", "set role none"] {
        let mut superuser = database.superuser();
        superuser.batch_execute(session).unwrap();
        for table in &tables {
            for verb in ["update {} set action = 'x'", "delete from {}", "truncate {}"] {
                let sql = verb.replace("{}", table);
                match superuser.batch_execute(&sql) {
                    Err(error) => assert_eq!(error.code().unwrap().code(), "42501", "{session}; {sql}: {error:?}"),
                    // Row triggers have nothing to refuse where no row is visible; what is left is compared below.
                    Ok(()) => assert!(!sql.starts_with("truncate"), "{session}; {sql} was let through"),
                }
            }
        }
    }
    let after = database.text("select count(*) || md5(string_agg(l::text, '' order by id)) from nebula.audit_log l", &[]);
    assert_eq!(after, before);
}

#[test]
fn audit_triggers_fire_also_under_the_replica_role() {
    let database = Database::new();
    let acme = onboard_by_sql(&database, "acme");
    database.execute("set session_replication_role = replica; update nebula.\"group\" set description = 'tampered' where name = 'VIEWER'");
    let metadata =
        database.text("select metadata ->> 'changed' from nebula.audit_log where action = 'group.update' and tenant_id = $1", &[&acme.id]);
    assert_eq!(metadata, "[\"description\"]");
}

#[test]
fn values_of_personal_and_secret_columns_never_enter_it() {
    let database = Database::new();
    let acme = onboard_by_sql(&database, "acme");
    let mut handle = database.handle();
    let user =
        acme.does(&mut handle, "users.create", &serde_json::json!({ "email": "canary.person@acme.example", "name": "Canary Person" }), 201);
    acme.does(
        &mut handle,
        "users.update",
        &serde_json::json!({ "id": user["id"], "name": "Canary Renamed", "email": "canary.moved@acme.example" }),
        200,
    );
    let (_, secret) = acme.key(&mut handle, &serde_json::json!({ "name": "k", "profile": "read-only" }));
    let log = database.texts("select l::text from nebula.audit_log l", &[]).join("\n");
    for canary in ["anary", &secret[4..], &acme.invite[4..], &acme.refresh_token[4..], &acme.admin_email] {
        assert!(!log.contains(canary), "{canary} stands in the audit log");
    }
    let changed = database.text(
        "select metadata ->> 'changed' from nebula.audit_log where action = 'users.update' and entity_type = 'user' and tenant_id = $1",
        &[&acme.id],
    );
    assert_eq!(changed, "[\"email\", \"name\"]");
}

#[test]
fn a_login_that_is_bound_to_another_tenant_stands_in_both_logs() {
    let database = Database::new();
    let (acme, zeta) = (onboard_by_sql(&database, "acme"), onboard_by_sql(&database, "zeta"));
    let login = bound_login(&database, &acme, &json!({ "name": "app", "profile": "admin" }));
    zeta.key(&mut database.handle(), &json!({ "name": "app", "profile": "read-only" }));
    let trail = |tenant: Uuid| {
        let sql = "select action from nebula.audit_log where entity_type = 'role_binding' and tenant_id = $1 order by created_at, id";
        database.texts(sql, &[&tenant])
    };
    let bind = |tenant: Uuid, key: &str| -> bool {
        let sql = "select nebula.bind_role($1::text::name, $2, $3)";
        database.superuser().query_one(sql, &[&login, &tenant, &key]).unwrap().get(0)
    };
    assert_eq!((trail(acme.id), trail(zeta.id)), (vec!["role_binding.insert".to_owned()], vec![]));
    let mut app = database.connect(&login);
    let mut tenant = || app.query_one("select nebula.current_tenant()", &[]).unwrap().get::<_, Option<Uuid>>(0);
    assert_eq!(tenant(), Some(acme.id));
    // A key that isn't there changes nothing.
    assert!(!bind(zeta.id, "no such"));
    assert_eq!(tenant(), Some(acme.id));
    assert!(bind(zeta.id, "app"));
    assert_eq!(trail(acme.id), ["role_binding.insert", "role_binding.delete"]);
    assert_eq!(trail(zeta.id), ["role_binding.insert"]);
    assert_eq!(tenant(), Some(zeta.id));
}

#[test]
fn where_the_platforms_people_come_from_stays_in_its_own_log() {
    let database = Database::new();
    let edge = database.serve();
    let acme = onboard(&edge, "acme");
    let request = |method: &str, path: &str| {
        edge.operator()
            .request(method, &format!("/v1/tenants/{}{path}", acme.id))
            .header("X-Request-Id", "whose-address-01")
            .header("User-Agent", "canary-agent/1")
    };
    request("PATCH", "").json(&json!({ "name": "Outra" })).send().data(200);
    request("POST", "/packages/base/assign").json(&json!({})).send().data(200);
    request("PUT", "/overrides/users.list").json(&json!({ "flags": { "enabled": true } })).send().data(200);
    let rows = |kind: &str, condition: &str| {
        let sql = "select count(*) from nebula.audit_log l join nebula.tenant t on t.id = l.tenant_id \
                   where t.kind = $1 and l.metadata ->> 'requestId' = 'whose-address-01' and ";
        database.number(&format!("{sql}{condition}"), &[&kind])
    };
    assert!(rows("customer", "true") >= 3 && rows("platform", "true") >= 1);
    let anonymous = "l.ip is null and l.user_agent is null and l.metadata ->> 'actorTenantId' = (select id::text from nebula.tenant where kind = 'platform')";
    assert_eq!(rows("customer", anonymous), rows("customer", "true"));
    let told = "host(l.ip) = '127.0.0.1' and l.user_agent = 'canary-agent/1' and not l.metadata ? 'actorTenantId'";
    assert_eq!(rows("platform", told), rows("platform", "true"));
    // A tenant's own people are told to the tenant.
    acme.admin.request("POST", "/v1/groups").header("User-Agent", "canary-agent/2").json(&json!({ "name": "G" })).send().data(201);
    let own =
        "select count(*) from nebula.audit_log where action = 'groups.create' and host(ip) = '127.0.0.1' and user_agent = 'canary-agent/2'";
    assert_eq!(database.number(own, &[]), 1);
    let seen = acme.admin.get("/v1/audit-logs?limit=200");
    seen.data(200);
    assert!(!seen.text.contains("canary-agent/1"), "{}", seen.text);
}
