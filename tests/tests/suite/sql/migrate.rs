//! Installing: again, side by side, and by commands.

use nebula_tests::{Caller, Database, cluster::nebula, handle::request, http::id, onboard, onboard_by_sql};
use serde_json::{Value, json};
use std::{
    fs,
    path::Path,
    sync::{Mutex, PoisonError},
    thread,
};

/// Roles and their settings are the cluster's: extensions are created in one database at a time.
fn one_at_a_time<T>(create: impl FnOnce() -> T) -> T {
    static CLUSTER: Mutex<()> = Mutex::new(());
    let _one = CLUSTER.lock().unwrap_or_else(PoisonError::into_inner);
    create()
}

fn install_again(database: &Database, sql: &str) {
    one_at_a_time(|| database.execute(sql));
}

#[test]
fn migrating_and_seeding_again_change_nothing() {
    let database = Database::new();
    let _acme = onboard_by_sql(&database, "acme");
    let before = database.digests();
    let report: Value = serde_json::from_str(&database.text("select nebula.migrate()::text", &[])).unwrap();
    assert_eq!(report["applied"], json!([]));
    assert_eq!(database.text("select nebula.seed()::text", &[]), r#"{"changed":0}"#);
    assert_eq!(database.text("select nebula.seed_tenant(id)::text from nebula.tenant where slug = 'acme'", &[]), r#"{"changed":0}"#);
    assert_eq!(database.digests(), before);
}

#[test]
fn the_commands_say_what_they_did_and_may_be_repeated() {
    let database = Database::new();
    let (url, keys) = (database.url("postgres"), &database.installation.keys_dir);
    let said = nebula(&url, keys, &["migrate"]);
    assert!(said.contains("nothing to apply"), "{said}");
    assert_eq!(nebula(&url, keys, &["seed"]), r#"{"changed":0}"#);
    let key = nebula(&url, keys, &["key", "operator", "issue", "--name", "second"]);
    let edge = database.serve();
    edge.key(&key).get("/v1/tenants").data(200);
    assert!(nebula(&url, keys, &["key", "signing", "list"]).contains(&database.installation.signer.kid));
}

#[test]
fn eight_migrations_at_once_apply_each_file_once() {
    let database = Database::new();
    install_again(&database, "drop schema nebula cascade; create extension nebula");
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| database.superuser().query_one("select nebula.migrate()::text", &[]).unwrap());
        }
    });
    let versions = database.text("select count(*) || ' ' || max(version) from nebula.schema_migration", &[]);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("sql/migrations");
    let numbers = fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().file_name().to_str().unwrap()[..4].parse::<u32>().unwrap())
        .collect::<Vec<_>>();
    assert_eq!(versions, format!("{} {}", numbers.len(), numbers.iter().max().unwrap()));
}

#[test]
fn without_tables_every_request_is_refused_as_outdated_and_the_edge_is_not_ready() {
    let database = Database::new();
    let acme = onboard_by_sql(&database, "acme");
    let mut warm = database.handle();
    acme.does(&mut warm, "users.list", &json!({}), 200);
    let edge = database.serve();
    database.execute("delete from nebula.schema_migration where version > 3");
    let mut cold = database.handle();
    cold.send(acme.id, &request("users.list", Some(&acme.admin), &json!({}))).refused(503, "SCHEMA_OUTDATED");
    edge.anonymous().get("/health/ready").refused(503, "SCHEMA_OUTDATED");
    assert_eq!(edge.anonymous().get("/health").status, 200);
}

#[test]
fn a_migration_whose_text_has_changed_is_refused() {
    let database = Database::new();
    database.execute("update nebula.schema_migration set checksum = 'other' where version = 4");
    let error = database.superuser().query_one("select nebula.migrate()::text", &[]).unwrap_err();
    assert!(error.as_db_error().unwrap().message().contains("0004_user"), "{error:?}");
}

#[test]
fn a_warm_session_survives_dropping_and_installing_everything_again() {
    let database = Database::new();
    let acme = onboard_by_sql(&database, "acme");
    let mut warm = database.handle();
    acme.does(&mut warm, "users.list", &json!({}), 200);
    install_again(&database, "drop schema nebula cascade; create extension nebula; select nebula.migrate(); select nebula.seed()");
    let signer = &database.installation.signer;
    database.superuser().query_one("select nebula.register_signing_key($1, $2)", &[&signer.kid, &signer.public_key()]).unwrap();
    warm.send(acme.id, &request("users.list", Some(&acme.admin), &json!({}))).refused(401, "INVALID_TOKEN");
    let operator = database.text("select nebula.issue_operator_key('again')", &[]);
    let made =
        warm.call(nebula_tests::token::tenant_of(&operator), &operator, "tenants.create", &nebula_tests::story::tenant_body("acme", "pro"));
    made.data(201);
}

#[test]
fn a_schema_that_holds_foreign_objects_is_not_adopted() {
    let database = Database::new();
    for prepared in [
        "create function nebula.handle(uuid, json) returns integer language sql as 'select 1'",
        "create table nebula.tenant ()",
        "create view nebula.trap as select 1",
    ] {
        database.execute(&format!("drop schema if exists nebula cascade; create schema nebula; {prepared}"));
        let error = one_at_a_time(|| database.superuser().batch_execute("create extension nebula")).expect_err(prepared);
        assert!(error.as_db_error().unwrap().message().contains("not Nebula's"), "{prepared}: {error:?}");
    }
}

#[test]
fn seeding_gives_nothing_back_that_somebody_took_away() {
    let database = Database::new();
    let edge = database.serve();
    let acme = onboard(&edge, "acme");
    let operator = edge.operator();
    operator.delete("/v1/catalog/packages/pro/actions/audit.list").empty();
    let mut revoked = Vec::new();
    for name in ["OPERATOR", "VIEWER"] {
        let path = format!("/v1/groups/{}/permissions", acme.group_named(name));
        let held = acme.admin.get(&format!("{path}?limit=200")).data(200);
        let permission = held.as_array().unwrap().iter().find(|permission| permission["action"] == "users.list").unwrap();
        acme.admin.delete(&format!("{path}/{}", id(permission))).empty();
        revoked.push(path);
    }
    let before = database.digests();
    assert_eq!(database.text("select nebula.seed()::text", &[]), r#"{"changed":0}"#);
    assert_eq!(database.digests(), before);
    acme.admin.get("/v1/audit-logs").forbidden("audit.list", "in_active_package");
    for path in revoked {
        let held = acme.admin.get(&format!("{path}?limit=200")).data(200);
        assert!(held.as_array().unwrap().iter().all(|permission| permission["action"] != "users.list"), "{path}: {held}");
    }
    // What it brings anew, it still grants to the administrators.
    database.execute(
        "delete from nebula.group_permission where tool_action_id = (select id from nebula.tool_action where key = 'users.create'); select nebula.seed()",
    );
    acme.admin.post("/v1/users", &json!({ "email": "bia@acme.example", "name": "Bia" })).data(201);
}

#[test]
fn rows_of_a_month_without_a_partition_do_not_break_migrating() {
    let database = Database::new();
    let month = |ahead: i32| format!("date_trunc('month', now() at time zone 'utc') + interval '{ahead} months'");
    let partition = |ahead: i32| database.text(&format!("select 'audit_log_' || to_char({}, 'YYYY_MM')", month(ahead)), &[]);
    let (kept, missing) = (partition(3), partition(4));
    database.execute(&format!(
        "drop table nebula.{kept}, nebula.{missing}; \
         insert into nebula.audit_log (tenant_id, actor_type, action, entity_type, created_at) \
         select id, 'system', 'test', 'test', ({} + interval '5 days') at time zone 'utc' from nebula.tenant",
        month(3)
    ));
    let stranded = "select count(*) from nebula.audit_log_default where action = 'test'";
    assert_eq!(database.number(stranded, &[]), 1);
    for _ in 0..2 {
        let report: Value = serde_json::from_str(&database.text("select nebula.migrate()::text", &[])).unwrap();
        assert_eq!(report["applied"], json!([]));
    }
    let exists = |name: &str| database.text("select (to_regclass('nebula.' || $1) is not null)::text", &[&name]);
    // History stays where it is, and the months after it get theirs.
    assert_eq!((exists(&kept).as_str(), exists(&missing).as_str()), ("false", "true"));
    assert_eq!(database.number(stranded, &[]), 1);
    let guarded = "select count(*) from pg_class where oid = ('nebula.' || $1)::regclass and relrowsecurity and relforcerowsecurity";
    assert_eq!(database.number(guarded, &[&missing]), 1);
}
