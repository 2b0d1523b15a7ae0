//! B11, invariant 7: a dump gives back everything, fires no trigger and loses no row.

use nebula_tests::{
    Database, Handle, Tenant,
    catalog::{assert_same, contents, description},
    cluster::{Cluster, TEMPLATE, install, postgres_program},
    onboard_by_sql,
    sql_caller::bound_login,
};
use serde_json::json;
use std::process::Command;

#[track_caller]
fn run(program: &str, arguments: &[&str]) -> String {
    let mut command = Command::new(postgres_program(program));
    let output = command.env_clear().env("PATH", "/usr/bin:/bin").current_dir("/").args(arguments).output().unwrap();
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A database with something in every table that this slice writes.
fn lived_in() -> (Database, Tenant<String>, String) {
    let database = Database::new();
    let acme = onboard_by_sql(&database, "acme");
    let _zeta = onboard_by_sql(&database, "zeta");
    let mut handle = database.handle();
    let user = acme.does(&mut handle, "users.create", &json!({ "email": "bia@acme.example", "name": "Bia \\ 'ç' 日本" }), 201);
    acme.does(&mut handle, "users.status", &json!({ "id": user["id"], "status": "suspenso", "suspendedReason": "linha\nquebrada" }), 200);
    let (_, key) = acme.key(&mut handle, &json!({ "name": "robot", "actions": ["users.create", "users.list"] }));
    let _login = bound_login(&database, &acme, &json!({ "name": "bound", "profile": "read-only" }));
    let mut keyed = nebula_tests::handle::request("groups.create", Some(&acme.admin), &json!({ "name": "Suporte" }));
    keyed["idempotencyKey"] = json!("kept");
    handle.send(acme.id, &keyed).data(201);
    let mut sealed =
        nebula_tests::handle::request("api_keys.create", Some(&acme.admin), &json!({ "name": "sealed", "profile": "read-only" }));
    sealed["idempotencyKey"] = json!("kept");
    handle.send(acme.id, &sealed).data(201);
    handle.public(acme.id, "auth.refresh", &json!({ "refreshToken": acme.refresh_token })).data(200);
    let _issuer = nebula_tests::Issuer::registered(&database, &json!({}));
    // Old history, in the default partition.
    database.execute("insert into nebula.audit_log (tenant_id, actor_type, action, entity_type, created_at) select id, 'system', 'old', 'x', '2020-01-01' from nebula.tenant");
    // An old month of which one tenant's rows have gone: its partition was rebuilt.
    database.execute(
        "set role nebula_owner; \
         create table nebula.audit_log_2021_03 partition of nebula.audit_log for values from ('2021-03-01 00:00:00+00') to ('2021-04-01 00:00:00+00'); \
         select nebula.govern_partition('nebula.audit_log_2021_03'); \
         comment on table nebula.audit_log_2021_03 is 'x'; \
         set role none; \
         insert into nebula.audit_log (tenant_id, actor_type, action, entity_type, created_at) select id, 'system', 'old', 'x', '2021-03-15' from nebula.tenant; \
         update nebula.operational_profile set audit_days = 36500 where key = 'enterprise'; \
         insert into nebula.tenant_config (tenant_id, profile) select id, 'enterprise' from nebula.tenant where slug = 'acme'; \
         select nebula.adopt_here()",
    );
    let dropped = database.connect("nebula_worker").query_one("select nebula.drop_partition('audit_log', '2021-03', '{}')", &[]).unwrap();
    assert_eq!(dropped.get::<_, Option<&str>>(0), Some("rebuilt"));
    drop(handle);
    database.wait_until_deserted();
    (database, acme, key)
}

#[track_caller]
fn works_after(mut handle: Handle, acme: &Tenant<String>, key: &str) {
    let list = handle.call(acme.id, key, "users.list", &json!({})).data(200);
    assert_eq!(list.as_array().unwrap().len(), 2);
    handle.call(acme.id, &acme.admin, "users.create", &json!({ "email": "caio@acme.example", "name": "Caio" })).data(201);
    handle.call(acme.id, key, "users.create", &json!({ "email": "bia@acme.example", "name": "Bia" })).refused(409, "DUPLICATE_RESOURCE");
    // What happened under a key before the dump has happened.
    for operation in ["groups.create", "api_keys.create"] {
        let input =
            if operation == "groups.create" { json!({ "name": "Suporte" }) } else { json!({ "name": "sealed", "profile": "read-only" }) };
        let mut keyed = nebula_tests::handle::request(operation, Some(&acme.admin), &input);
        keyed["idempotencyKey"] = json!("kept");
        let replay = handle.send(acme.id, &keyed);
        assert_eq!(replay.context["replayed"], true, "{replay:?}");
        replay.data(201);
    }
}

#[test]
fn restored_beside_the_original_everything_is_equal_and_works() {
    let (database, acme, key) = lived_in();
    let cluster = &database.installation.cluster;
    let (port, file) = (cluster.port.to_string(), cluster.dir.join(format!("{}.dump", database.name)).display().to_string());
    let target = format!("{}_restored", database.name);
    let server = ["-h", "127.0.0.1", "-p", &port, "-U", "postgres"];
    run("pg_dump", &[&server[..], &["-Fc", "-f", &file, &database.name]].concat());
    run("createdb", &[&server[..], &["-T", "template0", &target]].concat());
    run("pg_restore", &[&server[..], &["--exit-on-error", "-d", &target, &file]].concat());

    let mut restored = cluster.connect("postgres", &target);
    let mut original = database.superuser();
    let (before, after) = (contents(&mut original), contents(&mut restored));
    assert!(before.len() > 30);
    assert_eq!(after, before);
    assert_same(&description(&mut restored), &description(&mut original));
    works_after(Handle::new(cluster.connect("nebula_edge", &target)), &acme, &key);
    // Rules hold of what is written from now on, too.
    let audited: i64 = restored
        .query_one("select count(*) from nebula.audit_log where action = 'users.create' and actor_user_id = $1", &[&acme.admin_id])
        .unwrap()
        .get(0);
    assert_eq!(audited, 2);
    restored.batch_execute("set session_replication_role = replica").unwrap();
    restored.batch_execute("delete from nebula.audit_log").unwrap_err();
    let migrated: serde_json::Value = restored.query_one("select nebula.migrate()::jsonb", &[]).unwrap().get(0);
    assert_eq!(migrated["applied"], json!([]));
    drop(restored);
    cluster.connect("postgres", "postgres").batch_execute(&format!("drop database {target} with (force)")).unwrap();
}

#[test]
fn restored_on_a_new_server_from_plain_sql_it_works_with_durable_settings() {
    let (database, acme, key) = lived_in();
    let cluster = &database.installation.cluster;
    let port = cluster.port.to_string();
    let other = Cluster::start("");
    let other_port = other.port.to_string();
    let script = |name: &str| cluster.dir.join(format!("{}-{name}.sql", database.name)).display().to_string();
    let (roles, data) = (script("roles"), script("data"));
    run("pg_dumpall", &["-h", "127.0.0.1", "-p", &port, "-U", "postgres", "--roles-only", "-f", &roles]);
    run("pg_dump", &["-h", "127.0.0.1", "-p", &port, "-U", "postgres", "-f", &data, &database.name]);
    let psql = |database: &str, file: &str, stop: &str| {
        let program = postgres_program("psql");
        let output = Command::new(program)
            .env_clear()
            .args(["-X", "-q", "-h", "127.0.0.1", "-p", &other_port, "-U", "postgres", "-v", stop, "-d", database, "-f", file])
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    // "role postgres already exists" is the one error that a list of roles has.
    psql("postgres", &roles, "ON_ERROR_STOP=0");
    other.connect("postgres", "postgres").batch_execute("create database restored template template0").unwrap();
    psql("restored", &data, "ON_ERROR_STOP=1");
    let mut restored = other.connect("postgres", "restored");
    assert_eq!(contents(&mut restored), contents(&mut database.superuser()));
    assert_same(&description(&mut restored), &description(&mut database.superuser()));
    works_after(Handle::new(other.connect("nebula_edge", "restored")), &acme, &key);
}

#[test]
fn a_physical_copy_is_recognised_and_claims_nothing() {
    let installation = install(Cluster::start("fsync = off"));
    let original = &installation.cluster;
    original.connect("postgres", "postgres").batch_execute(&format!("alter database {TEMPLATE} with allow_connections true")).unwrap();
    let may_deliver =
        |cluster: &Cluster| -> bool { cluster.connect("postgres", TEMPLATE).query_one("select nebula.may_deliver()", &[]).unwrap().get(0) };
    assert!(may_deliver(original));
    let copy = original.base_backup();
    assert!(!may_deliver(&copy));
    let refused = copy.connect("nebula_worker", TEMPLATE).query("select nebula.claim('w', 1, '1 minute')", &[]).unwrap_err();
    assert_eq!(refused.code(), Some(&postgres::error::SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE));
    assert!(may_deliver(original), "the original goes on");
}
