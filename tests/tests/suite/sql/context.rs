//! Invariant 4: the context dies with its transaction, and before it.

use nebula_tests::{Database, Tenant, handle::request, onboard_by_sql};
use postgres::{Client, GenericClient};
use serde_json::json;

/// A superuser's session: it may call everything, and is nobody by itself.
fn session(database: &Database) -> Client {
    // Proves that there is a context while a handler runs: otherwise all below would hold of nothing.
    database.execute(
        "create table if not exists public.seen (tenant uuid, actor json); \
         create or replace function public.watch() returns trigger language plpgsql security definer as $$ \
         begin insert into public.seen values (nebula.current_tenant(), nebula.current_actor()); return null; end $$; \
         create or replace trigger watch after insert on nebula.\"group\" for each statement execute function public.watch()",
    );
    database.superuser()
}

#[track_caller]
fn create_group(client: &mut impl GenericClient, tenant: &Tenant<String>, name: &str) -> i32 {
    let request = request("groups.create", Some(&tenant.admin), &json!({ "name": name })).to_string();
    client.query_one("select status from nebula.handle($1, $2::text::json)", &[&tenant.id, &request]).unwrap().get(0)
}

#[track_caller]
fn is_nobody(client: &mut impl GenericClient) {
    let row =
        client.query_one("select nebula.current_tenant() is null, nebula.current_actor() is null, nebula.can('users.list')", &[]).unwrap();
    assert_eq!((row.get(0), row.get(1), row.get(2)), (true, true, false));
    client.batch_execute("set role nebula_owner").unwrap();
    let users: i64 = client.query_one("select count(*) from nebula.\"user\"", &[]).unwrap().get(0);
    client.batch_execute("reset role").unwrap();
    assert_eq!(users, 0);
}

#[test]
fn nothing_is_left_after_the_call_in_the_same_transaction_or_after_its_commit() {
    let database = Database::new();
    let acme = onboard_by_sql(&database, "acme");
    let mut client = session(&database);
    let mut transaction = client.transaction().unwrap();
    assert_eq!(create_group(&mut transaction, &acme, "one"), 201);
    is_nobody(&mut transaction);
    transaction.commit().unwrap();
    is_nobody(&mut client);
    let tenant = database.text("select tenant::text from public.seen", &[]);
    assert_eq!(tenant, acme.id.to_string(), "there was no context inside either");
}

#[test]
fn nothing_is_left_within_the_same_statement() {
    let database = Database::new();
    let acme = onboard_by_sql(&database, "acme");
    let mut client = session(&database);
    let request = request("groups.create", Some(&acme.admin), &json!({ "name": "one" })).to_string();
    let sql = "select h.status, nebula.current_tenant() from nebula.handle($1, $2::text::json) h";
    let row = client.query_one(sql, &[&acme.id, &request]).unwrap();
    assert_eq!((row.get::<_, i32>(0), row.get::<_, Option<uuid::Uuid>>(1)), (201, None));
}

#[test]
fn nothing_is_left_after_rollback() {
    let database = Database::new();
    let acme = onboard_by_sql(&database, "acme");
    let mut client = session(&database);
    let mut transaction = client.transaction().unwrap();
    assert_eq!(create_group(&mut transaction, &acme, "one"), 201);
    transaction.rollback().unwrap();
    is_nobody(&mut client);
    assert_eq!(database.number("select count(*) from nebula.\"group\" where name = 'one'", &[]), 0);
}

#[test]
fn nothing_is_left_after_rollback_to_a_savepoint_or_its_release() {
    let database = Database::new();
    let acme = onboard_by_sql(&database, "acme");
    let mut client = session(&database);
    let mut transaction = client.transaction().unwrap();
    let mut savepoint = transaction.savepoint("s").unwrap();
    assert_eq!(create_group(&mut savepoint, &acme, "one"), 201);
    is_nobody(&mut savepoint);
    savepoint.rollback().unwrap();
    is_nobody(&mut transaction);
    let mut savepoint = transaction.savepoint("s").unwrap();
    assert_eq!(create_group(&mut savepoint, &acme, "two"), 201);
    savepoint.commit().unwrap();
    is_nobody(&mut transaction);
    transaction.commit().unwrap();
    is_nobody(&mut client);
}

#[test]
fn nothing_is_left_after_an_error_inside_a_handler() {
    let database = Database::new();
    let acme = onboard_by_sql(&database, "acme");
    let mut client = session(&database);
    database.execute(
        "create function public.fail() returns trigger language plpgsql as $$ begin raise exception 'on purpose'; end $$; \
         create trigger zzz_fail after insert on nebula.outbox for each row execute function public.fail()",
    );
    let failing = request("groups.create", Some(&acme.admin), &json!({ "name": "one" })).to_string();
    let sql = "select status from nebula.handle($1, $2::text::json)";
    // Without a transaction, within one, within a savepoint, and caught by plpgsql.
    client.query_one(sql, &[&acme.id, &failing]).unwrap_err();
    is_nobody(&mut client);
    let mut transaction = client.transaction().unwrap();
    transaction.query_one(sql, &[&acme.id, &failing]).unwrap_err();
    transaction.rollback().unwrap();
    is_nobody(&mut client);
    let mut transaction = client.transaction().unwrap();
    let mut savepoint = transaction.savepoint("s").unwrap();
    savepoint.query_one(sql, &[&acme.id, &failing]).unwrap_err();
    savepoint.rollback().unwrap();
    is_nobody(&mut transaction);
    transaction
        .batch_execute(
            "create temp table caught (tenant uuid, failed boolean); \
             create function pg_temp.attempt(tenant uuid, request text) returns void language plpgsql as $$ \
             begin \
               perform nebula.handle(tenant, request::json); \
               insert into caught values (nebula.current_tenant(), false); \
             exception when raise_exception then \
               insert into caught values (nebula.current_tenant(), true); \
             end $$",
        )
        .unwrap();
    transaction.execute("select pg_temp.attempt($1, $2)", &[&acme.id, &failing]).unwrap();
    let caught = transaction.query_one("select tenant, failed from caught", &[]).unwrap();
    assert_eq!((caught.get::<_, Option<uuid::Uuid>>(0), caught.get::<_, bool>(1)), (None, true));
    is_nobody(&mut transaction);
    transaction.commit().unwrap();
    is_nobody(&mut client);
}

#[test]
fn nothing_is_left_after_a_cancelled_statement() {
    let database = Database::new();
    let acme = onboard_by_sql(&database, "acme");
    let mut client = session(&database);
    database.slow_inserts("nebula.outbox", 60.0);
    client.batch_execute("set statement_timeout = '300ms'").unwrap();
    let stalling = request("groups.create", Some(&acme.admin), &json!({ "name": "one" })).to_string();
    let error = client.query_one("select status from nebula.handle($1, $2::text::json)", &[&acme.id, &stalling]).unwrap_err();
    assert_eq!(error.code().unwrap().code(), "57014");
    is_nobody(&mut client);
}

#[test]
fn one_call_never_meets_the_context_of_the_call_before() {
    let database = Database::new();
    let (acme, zeta) = (onboard_by_sql(&database, "acme"), onboard_by_sql(&database, "zeta"));
    let mut client = session(&database);
    let mut transaction = client.transaction().unwrap();
    for (tenant, name) in [(&acme, "a1"), (&zeta, "z1"), (&acme, "a2")] {
        assert_eq!(create_group(&mut transaction, tenant, name), 201);
    }
    transaction.commit().unwrap();
    let seen = database.texts("select tenant::text from public.seen", &[]);
    assert_eq!(seen, [acme.id.to_string(), zeta.id.to_string(), acme.id.to_string()]);
    assert_eq!(database.number("select count(*) from nebula.\"group\" where name = 'z1' and tenant_id = $1", &[&zeta.id]), 1);
}
