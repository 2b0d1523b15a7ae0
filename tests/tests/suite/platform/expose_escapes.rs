//! What an exposed function must not be able to do: leave its role, its caller, or anything behind.

use nebula_tests::{
    Database,
    exposed::{expose_body, open_shop},
    onboard_by_sql,
    sql_caller::{bound_login, call},
};
use serde_json::{Value, json};

/// Ways out, each a statement that must be refused.
const ESCAPES: [(&str, &str); 26] = [
    ("set_role", "set role nebula_owner"),
    ("set_local_role", "set local role postgres"),
    ("set_role_none", "set role none"),
    ("reset_role", "reset role"),
    ("reset_all", "reset all; perform * from nebula.tenant"),
    ("config_role", "perform set_config('role', 'postgres', true)"),
    ("config_role_none", "perform set_config('role', 'none', false)"),
    ("session_authorization", "set session authorization postgres"),
    ("reset_session", "reset session authorization"),
    ("config_session", "perform set_config('session_authorization', 'nebula_edge', false)"),
    ("row_security_off", "set row_security = off; perform * from shop.orders"),
    ("replication_role", "set session_replication_role = replica"),
    ("alter_role", "execute 'alter role current_user set search_path = x'; raise insufficient_privilege"),
    ("alter_login", "execute 'alter role nebula_edge set search_path = x'"),
    ("commit", "commit"),
    ("rollback", "rollback"),
    ("execute_any", "execute 'do $x$ begin set role postgres; end $x$'"),
    ("temporary", "create temporary table left_behind (x int)"),
    ("prepared", "execute 'prepare left_behind as select 1'"),
    ("held", "execute 'declare left_behind cursor with hold for select 1'"),
    ("listening", "execute 'listen left_behind'"),
    ("wrapper", "perform nebula.run_exposed('select 1', '{}', 'pg_catalog', false, 1, 1, false)"),
    ("handle", "perform nebula.handle(nebula.current_tenant(), '{}')"),
    ("expose", "perform nebula.unexpose('tries.handle')"),
    ("operations", "delete from nebula.operation"),
    ("bind", "perform nebula.bind_role('postgres', nebula.current_tenant(), 'x')"),
];

#[test]
fn it_can_not_leave_its_role() {
    let database = Database::new();
    let mut dba = open_shop(&database);
    for (name, statement) in ESCAPES {
        expose_body(&mut dba, name, "", &format!("returns text language plpgsql as $$ begin {statement}; return current_user; end $$"));
        // The same, where the function swallows the error and goes on.
        expose_body(
            &mut dba,
            &format!("{name}_caught"),
            "",
            &format!(
                "returns text language plpgsql as $$ begin begin {statement}; exception when others then null; end; return current_user || (select count(*) from shop.orders); end $$"
            ),
        );
    }
    dba.batch_execute(
        "set row_security = off; insert into shop.orders (tenant_id, customer_name, amount) select id, 'foreign', 1 from nebula.tenant",
    )
    .unwrap();
    let acme = onboard_by_sql(&database, "acme");
    let mut handle = database.handle();
    let login = bound_login(&database, &acme, &json!({ "name": "aplicação", "profile": "write" }));
    let mut client = database.connect(&login);
    for (name, _) in ESCAPES {
        let refused = handle.call(acme.id, &acme.admin, &format!("tries.{name}"), &json!({}));
        assert!(refused.status == 403 || refused.status == 500, "{name}: {refused:?}");
        let caught = handle.call(acme.id, &acme.admin, &format!("tries.{name}_caught"), &json!({}));
        if !matches!(name, "commit" | "rollback") {
            assert_eq!(caught.data(200), "authenticated0", "{name}");
        }
        assert!(call(&mut client, &format!("tries.{name}"), &json!({})).is_err(), "{name}");
        assert_eq!(who(&mut handle.client), ("nebula_edge".to_owned(), "nebula_edge".to_owned()), "{name}");
        assert_eq!(who(&mut client), (login.clone(), login.clone()), "{name}");
    }
    let left: i64 = client.query_one("select (select count(*) from pg_prepared_statements where name ~ 'left') + (select count(*) from pg_cursors where name ~ 'left') + (select count(*) from pg_listening_channels())", &[]).unwrap().get(0);
    assert_eq!(left, 0);
    assert_eq!(database.number("select count(*) from pg_class where relname = 'left_behind'", &[]), 0);
}

fn who(client: &mut postgres::Client) -> (String, String) {
    let row = client.query_one("select current_user::text, session_user::text", &[]).unwrap();
    (row.get(0), row.get(1))
}

#[test]
fn it_leaves_no_setting_behind() {
    let database = Database::new();
    let mut dba = open_shop(&database);
    let settings = [
        ("search_path", "shop"),
        ("timezone", "America/Sao_Paulo"),
        ("request.jwt.claims", r#"{"sub":"x"}"#),
        ("shop.own", "1"),
        ("statement_timeout", "1h"),
        ("default_transaction_read_only", "on"),
        ("work_mem", "64kB"),
    ];
    let mut body = String::new();
    for (name, value) in settings {
        body.push_str(&format!("perform set_config('{name}', '{value}', false); "));
    }
    expose_body(
        &mut dba,
        "sets",
        "fails boolean",
        &format!(
            "returns text language plpgsql as $$ begin {body} if fails then raise sqlstate 'PT409'; end if; return current_setting('shop.own'); end $$"
        ),
    );
    let acme = onboard_by_sql(&database, "acme");
    let login = bound_login(&database, &acme, &json!({ "name": "aplicação", "profile": "write" }));
    let mut handle = database.handle();
    let mut client = database.connect(&login);
    let read = |client: &mut postgres::Client| {
        settings.map(|(name, _)| client.query_one("select coalesce(current_setting($1, true), '')", &[&name]).unwrap().get::<_, String>(0))
    };
    let (of_edge, of_client) = (read(&mut handle.client), read(&mut client));
    for fails in [false, true] {
        let answer = handle.call(acme.id, &acme.admin, "tries.sets", &json!({ "fails": fails }));
        assert_eq!(answer.status, if fails { 409 } else { 200 }, "{answer:?}");
        assert_eq!(call(&mut client, "tries.sets", &json!({ "fails": fails })).is_ok(), !fails);
        assert_eq!(read(&mut handle.client), of_edge);
        assert_eq!(read(&mut client), of_client);
    }
    // Within a transaction that goes on, too.
    let mut transaction = client.transaction().unwrap();
    call(&mut transaction, "tries.sets", &json!({ "fails": false })).unwrap();
    transaction.batch_execute("create temporary table still_writable (x int)").unwrap();
}

#[test]
fn it_can_not_speak_for_somebody_else() {
    let database = Database::new();
    let mut dba = open_shop(&database);
    let other = onboard_by_sql(&database, "other");
    expose_body(
        &mut dba,
        "pretends",
        "",
        &format!(
            "returns json language plpgsql as $$ begin \
               perform set_config('request.jwt.claims', '{{\"iss\":\"nebula\",\"tenantId\":\"{0}\",\"sub\":\"{1}\"}}', true); \
               perform set_config('nebula.tenant', '{0}', true); \
               return json_build_object('tenant', nebula.current_tenant(), 'seen', (select count(*) from shop.orders), 'actor', nebula.current_actor() ->> 'tenantId', \
                 'listed', (nebula.call('users.list') -> 'data' -> 0 ->> 'email')); \
             end $$",
            other.id, other.admin_id
        ),
    );
    dba.batch_execute(&format!(
        "set row_security = off; insert into shop.orders (tenant_id, customer_name, amount) values ('{}', 'foreign', 1)",
        other.id
    ))
    .unwrap();
    let acme = onboard_by_sql(&database, "acme");
    let expected = |answer: &Value| {
        let own = acme.id.to_string();
        assert_eq!(
            (answer["tenant"].as_str(), answer["actor"].as_str(), &answer["seen"]),
            (Some(own.as_str()), Some(own.as_str()), &json!(0)),
            "{answer}"
        );
        assert_eq!(answer["listed"], acme.admin_email);
    };
    let mut handle = database.handle();
    expected(&handle.call(acme.id, &acme.admin, "tries.pretends", &json!({})).data(200));
    // In PostgREST's session those claims would count, if the function's word did.
    let claims = nebula_tests::token::claims_of(&acme.admin);
    let mut authenticator = database.connect("authenticator");
    let mut transaction = nebula_tests::sql_caller::as_postgrest(&mut authenticator, &claims);
    expected(&call(&mut transaction, "tries.pretends", &json!({})).unwrap()["data"]);
}

#[test]
fn names_without_a_schema_are_the_functions_own_and_never_the_callers() {
    let database = Database::new();
    let mut dba = open_shop(&database);
    dba.batch_execute(
        "create schema trap; grant usage on schema trap to public; create table trap.orders (customer_name text); grant all on trap.orders to public; \
         insert into trap.orders values ('trap'); create function trap.lower(text) returns text language sql as $$ select 'trap' $$",
    )
    .unwrap();
    expose_body(
        &mut dba,
        "unqualified",
        "",
        "returns text language plpgsql as $$ begin return lower('A') || (select count(*) from orders) || current_setting('search_path'); end $$",
    );
    expose_body(
        &mut dba,
        "own_path",
        "",
        "returns text language sql set search_path = trap, pg_catalog, pg_temp as $$ select count(*)::text from orders $$",
    );
    let acme = onboard_by_sql(&database, "acme");
    let login = bound_login(&database, &acme, &json!({ "name": "aplicação", "profile": "write" }));
    let mut client = database.connect(&login);
    client.batch_execute("set search_path = trap, pg_catalog, public; create temporary table orders (customer_name text); insert into orders values ('trap')").unwrap();
    assert_eq!(call(&mut client, "tries.unqualified", &json!({})).unwrap()["data"], "a0shop, pg_temp");
    assert_eq!(call(&mut client, "tries.own_path", &json!({})).unwrap()["data"], "1");
    let mut handle = database.handle();
    assert_eq!(handle.call(acme.id, &acme.admin, "tries.unqualified", &json!({})).data(200), "a0shop, pg_temp");
}

#[test]
fn deferred_constraints_are_checked_within_the_call() {
    let database = Database::new();
    let mut dba = open_shop(&database);
    dba.batch_execute("create table shop.parents (id int primary key); create table shop.children (parent int references shop.parents deferrable initially deferred); grant all on shop.parents, shop.children to authenticated").unwrap();
    expose_body(&mut dba, "orphan", "", "returns int language sql as $$ insert into shop.children values (1); select 1 $$");
    let acme = onboard_by_sql(&database, "acme");
    database.handle().call(acme.id, &acme.admin, "tries.orphan", &json!({})).refused(409, "CONFLICT");
    assert_eq!(database.number("select count(*) from shop.children", &[]), 0);
}
