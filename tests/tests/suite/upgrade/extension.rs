//! `alter extension nebula update`: an updated installation is what a new one is, whoever updates it.

use nebula_tests::{
    Database, Edge, Handle, Previous,
    catalog::{assert_same, timeless},
    handle::request,
    onboard_by_sql, previous,
};
use postgres::error::SqlState;
use serde_json::json;

#[test]
fn an_updated_installation_is_what_a_new_one_is() {
    if !previous::runs_here() {
        return;
    }
    let previous = Previous::start("fsync = off");
    // Grants that this release doesn't make go; a DBA's own, to a role that is not of the product, stays. A role that is missing is made, with its settings.
    previous.database.execute(
        "grant execute on function nebula.handle(uuid, json), nebula.migrate() to nebula_worker, authenticated; \
         alter role nebula_edge reset statement_timeout; \
         drop owned by nebula_keys; drop role nebula_keys; \
         create role auditor; grant execute on function nebula.routes() to auditor",
    );
    let said = previous.update();
    assert!(said.starts_with(&format!("extension {}", env!("CARGO_PKG_VERSION"))), "{said}");
    let granted = "select has_function_privilege('auditor', 'nebula.routes()', 'execute')::text";
    assert_eq!(previous.database.text(granted, &[]), "true");
    previous.database.execute("drop owned by auditor");
    previous.assert_like_new();
    assert!(previous.migrate().contains("nothing to apply"));
}

#[test]
fn a_dba_who_is_no_superuser_updates_and_keeps_what_they_may_do() {
    if !previous::runs_here() {
        return;
    }
    let previous = Previous::start("fsync = off");
    let cluster = &previous.installation.cluster;
    let mut postgres = cluster.connect("postgres", "postgres");
    postgres.batch_execute("create role dba login createdb").unwrap();
    for database in ["theirs", "other"] {
        postgres.batch_execute(&format!("create database {database} owner dba")).unwrap();
        let mut dba = cluster.connect("dba", database);
        dba.batch_execute("create extension nebula; select nebula.migrate()").unwrap();
    }
    previous.tree.install_present();
    // One by themselves, the other by a superuser.
    for (database, who) in [("theirs", "dba"), ("other", "postgres")] {
        cluster.connect(who, database).batch_execute("alter extension nebula update").unwrap();
        let mut dba = cluster.connect("dba", database);
        dba.batch_execute("select nebula.migrate(); select nebula.migrate_next(); select nebula.seed()").unwrap();
    }
    postgres.batch_execute("create database fresh owner dba").unwrap();
    cluster.connect("dba", "fresh").batch_execute("create extension nebula; select nebula.migrate()").unwrap();
    let fresh = timeless(&mut cluster.connect("postgres", "fresh"));
    for database in ["theirs", "other"] {
        assert_same(&timeless(&mut cluster.connect("postgres", database)), &fresh);
    }
}

#[test]
fn a_session_with_the_old_library_cannot_update_and_nothing_is_half_done() {
    if !previous::runs_here() {
        return;
    }
    let previous = Previous::start("fsync = off");
    let mut warm = previous.database.superuser();
    let version = |client: &mut postgres::Client| client.query_one("select nebula.version()", &[]).unwrap().get::<_, String>(0);
    assert_eq!(version(&mut warm), previous::VERSION);
    previous.tree.install_present();
    let before = timeless(&mut warm);
    let error = warm.batch_execute("alter extension nebula update").unwrap_err();
    let error = error.as_db_error().unwrap();
    assert_eq!(error.code(), &SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, "{error:?}");
    assert!(error.hint().is_some_and(|hint| hint.contains("connect anew")), "{error:?}");
    assert_eq!(timeless(&mut warm), before);
    // It goes on with what it has loaded; a new session has the new one.
    assert_eq!(version(&mut warm), previous::VERSION);
    assert_eq!(version(&mut previous.database.superuser()), env!("CARGO_PKG_VERSION"));
}

#[test]
fn a_preloaded_library_is_told_apart_until_the_server_restarts() {
    if !previous::runs_here() {
        return;
    }
    let previous = Previous::start("fsync = off\nshared_preload_libraries = 'nebula'");
    previous.tree.install_present();
    let error = previous.database.superuser().batch_execute("alter extension nebula update").unwrap_err();
    assert!(error.as_db_error().unwrap().hint().is_some_and(|hint| hint.contains("shared_preload_libraries")), "{error:?}");
    previous.installation.cluster.stop("fast");
    previous.installation.cluster.start_again();
    let _ = previous.migrate();
    previous.assert_like_new();
}

#[test]
fn what_is_older_than_the_library_is_told_and_served_again_once_it_is_updated() {
    if !previous::runs_here() {
        return;
    }
    let previous = Previous::start("fsync = off");
    let database = &previous.database;
    let acme = onboard_by_sql(database, "acme");
    previous.tree.install_present();

    let outdated = |database: &Database, what: &str| {
        let mut handle: Handle = database.handle();
        let refused = handle.send(acme.id, &request("users.list", Some(&acme.admin), &json!({})));
        refused.refused(503, "SCHEMA_OUTDATED");
        assert!(refused.context["retryAfterSeconds"].as_u64().is_some(), "{what}: {refused:?}");
    };
    outdated(database, "the extension is older");
    // An edge that asks now still knows the keys: it must not take everybody for nobody.
    let state: String = database.handle().client.query_one("select nebula.edge_state()::text", &[]).unwrap().get(0);
    assert!(state.contains(&previous.installation.signer.kid), "{state}");
    let error = database.superuser().batch_execute("select nebula.migrate()").unwrap_err();
    assert!(error.as_db_error().unwrap().hint().is_some_and(|hint| hint.contains("alter extension nebula update")), "{error:?}");

    let edge = Edge::start_without_database(previous.installation, &database.url("nebula_edge"), &[]);
    let not_ready = nebula_tests::Caller::get(&edge.anonymous(), "/health/ready");
    let details = not_ready.refused(503, "SCHEMA_OUTDATED");
    assert_eq!(details["extensionVersion"], previous::VERSION, "{details}");
    assert_eq!(details["libraryVersion"], env!("CARGO_PKG_VERSION"), "{details}");
    assert!(not_ready.header("retry-after").is_some());

    database.execute("alter extension nebula update");
    // Tables that are older: their last migration has not come yet.
    database.execute("delete from nebula.schema_migration where version = (select max(version) from nebula.schema_migration)");
    outdated(database, "the tables are older");
    nebula_tests::Caller::get(&edge.anonymous(), "/health/ready").refused(503, "SCHEMA_OUTDATED");
}
