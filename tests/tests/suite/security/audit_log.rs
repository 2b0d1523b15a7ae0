//! The audit log is history: nobody changes it.

use nebula_tests::{Database, onboard_by_sql};

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
