//! What can't be exposed, each with a reason and, where there is one, a way out.

use nebula_tests::{
    Database,
    exposed::{expose, open_shop, try_expose},
    sql_caller::SqlRefusal,
};
use postgres::Client;

fn refusal(dba: &mut Client, sql: &str) -> (String, String, String) {
    let error = dba.batch_execute(sql).expect_err(sql);
    let error = error.as_db_error().unwrap();
    (error.code().code().to_owned(), error.message().to_owned(), error.hint().unwrap_or_default().to_owned())
}

#[test]
fn functions_that_rights_do_not_bind_are_refused() {
    let database = Database::new();
    let mut dba = open_shop(&database);
    dba.batch_execute(
        "create function shop.definer(x int) returns int language sql security definer as 'select 1'; \
         create procedure shop.proc(x int) language sql as 'select 1'; \
         create aggregate shop.agg(int) (sfunc = int4pl, stype = int); \
         create function shop.trig() returns trigger language plpgsql as 'begin return null; end'; \
         create function shop.evt() returns event_trigger language plpgsql as 'begin end'; \
         create function shop.poly(x anyelement) returns anyelement language sql as 'select x'; \
         create function shop.rec() returns record language sql as 'select 1, 2'; \
         create function shop.recs() returns setof record language sql as 'select 1, 2'; \
         create function shop.unnamed(int) returns int language sql as 'select 1'; \
         create function shop.half_named(a int, int) returns int language sql as 'select 1'; \
         create function shop.range(x int4range) returns int language sql as 'select 1'; \
         create function shop.class(x regclass) returns int language sql as 'select 1'; \
         create function shop.gives_xml() returns xml language sql as 'select null::xml'; \
         create function shop.twins(p_a_b int, a_b int) returns int language sql as 'select 1'; \
         create function shop.twin_columns() returns table (a_b int, \"aB\" int) language sql as 'select 1, 2'; \
         create function shop.sets_role() returns int language sql set role = 'postgres' as 'select 1'; \
         create function shop.sets_rls() returns int language sql set row_security = off as 'select 1'; \
         create function shop.internal_one(x float8) returns float8 language internal as 'dsqrt'; \
         create function pg_temp.fleeting() returns int language sql as 'select 1'; \
         create schema closed; create function closed.hidden() returns int language sql as 'select 1'; create type closed.kind as enum ('a'); \
         create function shop.takes_hidden(x closed.kind) returns int language sql as 'select 1'; \
         create domain shop.compound as shop.orders; create function shop.takes_compound(x shop.compound) returns int language sql as 'select 1'",
    )
    .unwrap();
    for (function, says) in [
        ("shop.definer(int)", "security definer"),
        ("shop.agg(int)", "aggregate"),
        ("shop.trig()", "trigger"),
        ("shop.evt()", "event_trigger"),
        ("shop.poly(anyelement)", "anyelement"),
        ("shop.rec()", "columns are not known"),
        ("shop.recs()", "columns are not known"),
        ("shop.unnamed(int)", "argument 1"),
        ("shop.half_named(int,int)", "argument 2"),
        ("shop.range(int4range)", "int4range"),
        ("shop.class(regclass)", "regclass"),
        ("shop.gives_xml()", "xml"),
        ("shop.twins(int,int)", "both aB"),
        ("shop.twin_columns()", "both aB"),
        ("shop.sets_role()", "role"),
        ("shop.sets_rls()", "row_security"),
        ("shop.internal_one(float8)", "internal"),
        ("pg_temp.fleeting()", "schema of the system"),
        ("pg_catalog.lower(text)", "schema of the system"),
        ("nebula.version()", "schema of the system"),
        ("closed.hidden()", "may not look into the schema closed"),
        ("shop.takes_hidden(closed.kind)", "may not look into the schema closed"),
        ("shop.takes_compound(shop.compound)", "compound"),
    ] {
        let (state, message, _) = refusal(&mut dba, &format!("select nebula.expose('{function}', 'tries.one', 'POST', '/v1/tries')"));
        assert_eq!(state, "42809", "{function}: {message}");
        assert!(message.contains(says), "{function}: {message}");
    }
    let (state, message, _) =
        refusal(&mut dba, "select nebula.expose((select oid from pg_proc where proname = 'proc'), 'tries.one', 'POST', '/v1/tries')");
    assert!(state == "42809" && message.contains("procedure"), "{message}");
    let (.., hint) = refusal(&mut dba, "select nebula.expose('shop.definer(int)', 'tries.one', 'POST', '/v1/tries')");
    assert_eq!(hint, "alter function shop.definer(integer) security invoker;");
    let (.., hint) = refusal(&mut dba, "select nebula.expose('closed.hidden()', 'tries.one', 'POST', '/v1/tries')");
    assert_eq!(hint, "grant usage on schema closed to authenticated;");
    assert_eq!(database.number("select count(*) from nebula.operation", &[]), 0);
    assert_eq!(database.number("select count(*) from nebula.tool_action where key = 'tries.one'", &[]), 0);
    // A definer function whose owner is who it runs as anyway.
    dba.batch_execute("grant create on schema shop to authenticated; alter function shop.definer(int) owner to authenticated; revoke create on schema shop from authenticated").unwrap();
    expose(&mut dba, "shop.definer(int)", "tries.one", "POST", "/v1/tries", "");
}

#[test]
fn functions_of_extensions_are_refused() {
    let database = Database::new();
    let mut dba = open_shop(&database);
    dba.batch_execute("alter extension nebula add function shop.list_orders()").unwrap();
    let (state, message, hint) = refusal(&mut dba, "select nebula.expose('shop.list_orders()', 'orders.list', 'GET', '/v1/orders')");
    assert_eq!((state.as_str(), message.contains("extension"), hint.is_empty()), ("42809", true, false));
    dba.batch_execute("alter extension nebula drop function shop.list_orders()").unwrap();
}

#[test]
fn a_strong_role_runs_nothing() {
    let database = Database::new();
    let mut dba = open_shop(&database);
    // Roles are the cluster's: what is tried here is rolled back.
    let mut transaction = dba.transaction().unwrap();
    for makes_strong in [
        "alter role authenticated bypassrls",
        "alter role authenticated superuser",
        "grant nebula_owner to authenticated",
        "grant postgres to authenticated",
    ] {
        let mut savepoint = transaction.transaction().unwrap();
        savepoint.batch_execute(makes_strong).unwrap();
        let refused = savepoint.execute("select nebula.expose('shop.list_orders()', 'orders.list', 'GET', '/v1/orders')", &[]).unwrap_err();
        assert!(refused.as_db_error().unwrap().message().contains("more rights"), "{refused:?}");
        savepoint.rollback().unwrap();
    }
}

#[test]
fn routes_and_actions_of_nebula_are_never_taken() {
    let database = Database::new();
    let mut dba = open_shop(&database);
    for (action, path) in [
        ("users.create", "/v1/orders"),
        ("users.promote", "/v1/orders"),
        ("tenants.act_as", "/v1/orders"),
        ("auth.login", "/v1/orders"),
        ("orders.create", "/v1/users"),
        ("orders.create", "/v1/users/{x}"),
        ("orders.create", "/v1/users/{x}/orders"),
        ("orders.create", "/v2/users"),
        ("orders.create", "/v1/auth/login"),
        ("orders.create", "/v1/auth/sso"),
        ("orders.create", "/v1/Users"),
        ("orders.create", "/v1/openapi.json"),
        ("orders.create", "/v1/me/orders"),
        ("orders.create", "/v1/catalog/orders"),
    ] {
        let refused: SqlRefusal = try_expose(&mut dba, "shop.create_order(text,numeric,text)", action, "POST", path, "").unwrap_err();
        assert_eq!(refused.state, "42710", "{action} {path}: {refused:?}");
    }
}

#[test]
fn routes_that_the_edge_could_not_tell_apart_are_refused() {
    let database = Database::new();
    let mut dba = open_shop(&database);
    dba.batch_execute("create function shop.by_name(name text) returns int language sql as 'select 1'; create function shop.by_id(id text) returns int language sql as 'select 1'").unwrap();
    expose(&mut dba, "shop.by_id(text)", "things.read", "GET", "/v1/things/{id}", "");
    expose(&mut dba, "shop.by_id(text)", "things.delete", "DELETE", "/v1/things/{id}", "");
    expose(&mut dba, "shop.by_name(text)", "things.open", "GET", "/v1/things/open", "");
    for (action, method, path) in
        [("things.find", "GET", "/v1/things/{name}"), ("things.put", "PUT", "/v1/things/{name}"), ("things.get", "GET", "/v1/things/open")]
    {
        let refused = try_expose(&mut dba, "shop.by_name(text)", action, method, path, "").unwrap_err();
        assert_eq!(refused.state, "42710", "{refused:?}");
    }
    // Taken away, it is free.
    dba.batch_execute("select nebula.unexpose('things.read'), nebula.unexpose('things.delete')").unwrap();
    expose(&mut dba, "shop.by_name(text)", "things.find", "GET", "/v1/things/{name}", "");
}

#[test]
fn what_is_wrong_with_the_arguments_is_said() {
    let database = Database::new();
    let mut dba = open_shop(&database);
    dba.batch_execute("create function shop.nothing() returns void language sql as 'select'; create function shop.listed(ids int[]) returns int language sql as 'select 1'").unwrap();
    let list = "'shop.list_orders()'";
    for (call, says) in [
        (format!("{list}, 'orders', 'GET', '/v1/orders'"), "no action key"),
        (format!("{list}, 'Orders.list', 'GET', '/v1/orders'"), "no action key"),
        (format!("{list}, 'orders.list''; drop', 'GET', '/v1/orders'"), "no action key"),
        (format!("{list}, 'orders.list.v2', 'GET', '/v1/orders'"), "end in a version"),
        (format!("{list}, 'orders.list', 'get', '/v1/orders'"), "no method"),
        (format!("{list}, 'orders.list', 'HEAD', '/v1/orders'"), "no method"),
        (format!("{list}, 'orders.list', 'GET', '/orders'"), "version"),
        (format!("{list}, 'orders.list', 'GET', '/v1/orders/../x'"), "segment"),
        (format!("{list}, 'orders.list', 'GET', '/v1/orders/{{*rest}}'"), "parameter"),
        (format!("{list}, 'orders.list', 'GET', '/v1/orders/{{id}}'"), "no argument for {id}"),
        (format!("{list}, 'orders.list', 'GET', '/v1/orders', kind => 'write'"), "GET only reads"),
        (format!("{list}, 'orders.list', 'GET', '/v1/orders', kind => 'execute'"), "no kind"),
        (format!("{list}, 'orders.list', 'GET', '/v1/orders', success => 204"), "success"),
        (format!("{list}, 'orders.list', 'GET', '/v1/orders', success => 404"), "success"),
        ("'shop.nothing()', 'orders.list', 'POST', '/v1/orders', success => 200".to_owned(), "success"),
        (format!("{list}, 'orders.list', 'GET', '/v1/orders', per_minute => 0"), "per_minute"),
        (format!("{list}, 'orders.list', 'GET', '/v1/orders', per_month => -1"), "per_month"),
        (format!("{list}, 'orders.list', 'GET', '/v1/orders', max_rows => 100001"), "max_rows"),
        (format!("{list}, 'orders.list', 'GET', '/v1/orders', event => 'orders.listed'"), "event"),
        (format!("{list}, 'orders.list', 'POST', '/v1/orders', event => 'user.created'"), "event"),
        (format!("{list}, 'orders.list', 'POST', '/v1/orders', event => 'Not One'"), "event"),
        (format!("{list}, 'orders.list', 'GET', '/v1/orders', sunset_at => now()"), "deprecated_at"),
        (format!("{list}, 'orders.list', 'GET', '/v1/orders', deprecated_at => now(), sunset_at => now() - interval '1 day'"), "before"),
        (format!("{list}, 'orders.list', 'GET', '/v1/orders', package => 'none.such'"), "no package"),
        (format!("{list}, 'orders.list', 'GET', '/v1/orders', tool => 'Not One'"), "no key of a tool"),
        (format!("{list}, 'orders.list', 'GET', '/v1/orders', summary_en => E'two\\nlines'"), "summary"),
        ("'shop.listed(int[])', 'orders.list', 'GET', '/v1/orders/{ids}'".to_owned(), "can''t stand in a path"),
        ("null, 'orders.list', 'GET', '/v1/orders'".to_owned(), "function is null"),
        (format!("{list}, null, 'GET', '/v1/orders'"), "action is null"),
    ] {
        let (state, message, _) = refusal(&mut dba, &format!("select nebula.expose({call})"));
        assert!(state == "22023" || state == "22004", "{call}: {state} {message}");
        assert!(message.contains(&says.replace("''", "'")), "{call}: {message}");
    }
    // One action, one kind.
    expose(&mut dba, "shop.list_orders()", "orders.list", "GET", "/v1/orders", "");
    let (_, message, _) = refusal(&mut dba, "select nebula.expose('shop.list_orders()', 'orders.list', 'POST', '/v2/orders')");
    assert!(message.contains("kind read"), "{message}");
    let (_, message, _) =
        refusal(&mut dba, "select nebula.expose('shop.list_orders()', 'orders.list', 'GET', '/v1/orders', tool => 'other')");
    assert!(message.contains("of the tool orders"), "{message}");
    let (_, message, _) = refusal(&mut dba, "select nebula.unexpose()");
    assert!(message.contains("name an action"), "{message}");
}

#[test]
fn hostile_names_are_quoted() {
    let database = Database::new();
    let mut dba = open_shop(&database);
    dba.batch_execute(
        "create schema \"sch'e\"\"ma; x\"; grant usage on schema \"sch'e\"\"ma; x\" to authenticated; \
         create type \"sch'e\"\"ma; x\".\"t(y,p\" as enum ('a'', b', '\"'); \
         create function \"sch'e\"\"ma; x\".\"f(un'c\"\"; --\"(\"ar'g\"\";\" \"sch'e\"\"ma; x\".\"t(y,p\", \"p_ção\" text default 'a''b') \
           returns table (\"col'u\"\"mn\" text) language sql as $$ select \"ar'g\"\";\" || \"p_ção\" $$",
    )
    .unwrap();
    let signature: String = dba.query_one("select oid::regprocedure::text from pg_proc where proname ~ '^f.un'", &[]).unwrap().get(0);
    expose(&mut dba, &signature, "hostile.names", "POST", "/v1/hostile", "");
    let acme = nebula_tests::onboard_by_sql(&database, "acme");
    let mut handle = database.handle();
    let answer = acme.does(&mut handle, "hostile.names", &serde_json::json!({ "ar'g\";": "a', b", "ção": "é" }), 200);
    assert_eq!(answer, serde_json::json!([{ "col'u\"mn": "a', bé" }]));
    dba.batch_execute("select nebula.unexpose('hostile.names')").unwrap();
}
