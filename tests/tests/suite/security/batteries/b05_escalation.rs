//! B5. The threat: somebody who may create objects before the extension is installed, or beside it, so that its script adopts them or its definer functions run them
//! (CVE-2022-2625, CVE-2023-39417, CVE-2018-1058). Every name of the product is prepared before; every function and operator of pg_catalog is shadowed after.

use super::b10_bad_input::{calls, functions};
use nebula_tests::{Battery, Database, World, battery, routes, world::sell_notes};
use postgres::Client;
use std::collections::BTreeMap;

/// An empty database beside the template's, and an attacker who may create in it.
struct Empty {
    name: String,
    attacker: String,
    superuser: Client,
}

impl Empty {
    fn new(database: &Database) -> Self {
        let (name, attacker) = (format!("{}_empty", database.name), format!("{}_attacker", database.name));
        let mut postgres = database.superuser();
        postgres.batch_execute(&format!("create database {name} template template0")).unwrap();
        postgres.batch_execute(&format!("create role {attacker} login")).unwrap();
        let superuser = database.installation.cluster.connect(database.installation.cluster.superuser, &name);
        Self { name, attacker, superuser }
    }

    /// Prepares, installs, takes it back: what of the attacker's is in the schema by the end, or with what the installation is refused.
    fn install_after(&mut self, prepare: &str) -> Result<Vec<String>, String> {
        self.superuser.batch_execute("begin").unwrap();
        self.superuser.batch_execute(prepare).unwrap_or_else(|error| panic!("{prepare}: {error:?}"));
        let done = self.superuser.batch_execute("reset role; create extension nebula");
        let found = match done {
            Ok(()) => {
                let sql = "select o from ( \
                    select 'owned by the attacker: ' || p.oid::regprocedure as o from pg_proc p where p.pronamespace = 'nebula'::regnamespace and p.proowner::regrole::text = $1 \
                    union all select 'owned by the attacker: ' || c.oid::regclass from pg_class c where c.relnamespace = 'nebula'::regnamespace and c.relowner::regrole::text = $1 \
                    union all select 'owned by the attacker: type ' || t.typname from pg_type t where t.typnamespace = 'nebula'::regnamespace and t.typowner::regrole::text = $1 \
                    union all select 'the schema is the attacker''s' from pg_namespace where nspname = 'nebula' and nspowner::regrole::text = $1 \
                    union all select 'the attacker may create or grant in the schema' where has_schema_privilege($1, 'nebula', 'create') \
                    union all select 'the attacker may execute ' || p.oid::regprocedure from pg_proc p where p.pronamespace = 'nebula'::regnamespace and has_function_privilege($1, p.oid, 'execute') \
                    union all select 'no member of the extension: ' || p.oid::regprocedure from pg_proc p where p.pronamespace = 'nebula'::regnamespace \
                      and not exists (select from pg_depend d where d.objid = p.oid and d.deptype = 'e')) found";
                Ok(self.superuser.query(sql, &[&self.attacker]).unwrap().iter().map(|row| row.get(0)).collect())
            }
            Err(error) => Err(error.code().map_or_else(|| error.to_string(), |code| code.code().to_owned())),
        };
        self.superuser.batch_execute("rollback").unwrap();
        found
    }
}

#[test]
fn nothing_that_was_prepared_before_the_installation_is_adopted_or_run() {
    let database = Database::new();
    let mut battery = Battery::begin("B5 before", &database);
    let mut empty = Empty::new(&database);
    let attacker = empty.attacker.clone();
    let control = empty.install_after("select 1");
    assert_eq!(control, Ok(Vec::new()), "the control");
    let owned = format!("create schema nebula authorization {attacker}");
    let lent = format!("create schema nebula; grant usage, create on schema nebula to {attacker}; set local role {attacker}");
    let mut prepared = vec![owned, lent.clone()];
    for kind in [
        "create type nebula.status as enum ('ativo')",
        "create type nebula.status as (a integer)",
        "create domain nebula.status as text",
        "create table nebula.tenant (id uuid)",
        "create view nebula.user as select 1 as id",
        "create sequence nebula.task",
        "create materialized view nebula.api_key as select 1 as id",
        "create operator nebula.= (leftarg = uuid, rightarg = uuid, function = uuid_eq)",
        "create aggregate nebula.can(text) (sfunc = textcat, stype = text)",
        "create collation nebula.c from \"C\"",
        "create table nebula.\"quoted \"\"name\" (x integer)",
    ] {
        prepared.push(format!("{lent}; {kind}"));
    }
    // Each function by its own signature, in a language that would run.
    let signatures = database.texts(
        "select format('create function %s returns %s language plpgsql as $f$ begin raise exception ''SHADOW''; end $f$', \
           p.oid::regprocedure, format_type(p.prorettype, null)) \
         from pg_proc p where p.pronamespace = 'nebula'::regnamespace and not p.proretset order by 1",
        &[],
    );
    prepared.extend(signatures.iter().step_by(battery::scaled(12, 1)).map(|create| format!("{lent}; {create}")));
    // Beside the schema: what the script would find if it looked in its path, or what a default would give away.
    prepared.push(format!("alter default privileges grant execute on functions to {attacker}"));
    prepared.push(format!(
        "alter default privileges grant all on tables to {attacker}; alter default privileges grant all on schemas to {attacker}"
    ));
    prepared.push("create function public.format(text, text) returns text language plpgsql as $f$ begin raise exception 'SHADOW'; end $f$; set local search_path = public, pg_catalog".to_owned());
    for prepare in &prepared {
        let found = empty.install_after(prepare);
        battery.case(found.as_ref().map_or_else(|state| !state.starts_with("XX"), Vec::is_empty), || format!("{prepare}: {found:?}"));
    }
    drop(empty.superuser);
    let mut superuser = database.superuser();
    superuser.batch_execute(&format!("drop database {}", empty.name)).unwrap();
    superuser.batch_execute(&format!("drop role {attacker}")).unwrap();
    battery.end(20, &[]);
}

/// Functions and operators of pg_catalog, over the types that the product uses, as an attacker would place them before it in a search path.
const SHADOWS: &str = r#"
do $$
declare
  f record;
begin
  for f in
    select p.proname, pg_get_function_identity_arguments(p.oid) as arguments, format_type(p.prorettype, null) as result, p.proretset
    from pg_proc p
    where p.pronamespace = 'pg_catalog'::regnamespace and p.prokind = 'f' and p.provariadic = 0 and p.pronargs between 0 and 3
      and p.proallargtypes is null
      and not exists (select from unnest(p.proargtypes::oid[]) a where a::regtype::text not in
        ('text', 'uuid', 'json', 'jsonb', 'integer', 'bigint', 'boolean', 'timestamp with time zone', 'bytea', 'name', 'oid', 'interval', 'anyelement', 'inet', 'smallint'))
      and p.prorettype::regtype::text in ('text', 'uuid', 'json', 'jsonb', 'integer', 'bigint', 'boolean', 'timestamp with time zone', 'bytea', 'name', 'void', 'interval', 'inet')
  loop
    begin
      execute format('create function public.%I(%s) returns %s%s language plpgsql as $f$ begin raise exception ''SHADOW %s''; end $f$',
        f.proname, f.arguments, case when f.proretset then 'setof ' else '' end, f.result, replace(f.proname, '''', ''));
    exception when others then null;
    end;
  end loop;
  for f in
    select o.oprname, o.oprleft::regtype::text as l, o.oprright::regtype::text as r, p.proname
    from pg_operator o join pg_proc p on p.oid = o.oprcode
    where o.oprnamespace = 'pg_catalog'::regnamespace and o.oprleft <> 0
      and exists (select from pg_proc s where s.pronamespace = 'public'::regnamespace and s.proname = p.proname and s.proargtypes = p.proargtypes)
  loop
    begin
      execute format('create operator public.%s (leftarg = %s, rightarg = %s, function = public.%I)', f.oprname, f.l, f.r, f.proname);
    exception when others then null;
    end;
  end loop;
end
$$
"#;

/// Every function by plain values, and how it ended.
fn outcomes(client: &mut Client, database: &Database) -> BTreeMap<String, String> {
    let mut outcomes = BTreeMap::new();
    for function in functions(database) {
        let sql = calls(&function).remove(0);
        let outcome = client.batch_execute(&format!("begin; {sql}; rollback"));
        let told = outcome.err().map_or_else(
            || "done".to_owned(),
            |error| {
                error.as_db_error().map_or_else(
                    || error.to_string(),
                    |error| format!("{} {}", error.code().code(), if error.message().contains("SHADOW") { error.message() } else { "" }),
                )
            },
        );
        client.batch_execute("rollback").unwrap();
        outcomes.insert(sql, told);
    }
    outcomes
}

#[test]
fn no_shadowed_function_or_operator_is_run_by_any_function() {
    let database = Database::new();
    let mut handle = database.handle();
    let mut battery = Battery::begin("B5 shadows", &database);
    sell_notes(&database, &mut handle);
    let acme = World::of_customer(&database, &mut handle, "acme");
    database.raise_limits(acme.tenant);
    let mut routes = routes(&database).into_iter().filter(|route| route.scope == "tenant").collect::<Vec<_>>();
    routes.sort_by_key(nebula_tests::Route::turn);
    let mut superuser = database.superuser();
    superuser.batch_execute("set statement_timeout = '2s'; set lock_timeout = '1s'").unwrap();
    let before = outcomes(&mut superuser, &database);
    let tried = |handle: &mut nebula_tests::Handle, route: &nebula_tests::Route| {
        acme.tries(handle, &acme.founder, route, &acme.input(&route.operation))
    };
    let plain = routes.iter().map(|route| tried(&mut handle, route).status).collect::<Vec<_>>();
    superuser.batch_execute(SHADOWS).unwrap();
    let shadows =
        database.number("select count(*) from pg_proc where pronamespace = 'public'::regnamespace and prosrc like '%SHADOW%'", &[]);
    let operators = database.number("select count(*) from pg_operator where oprnamespace = 'public'::regnamespace", &[]);
    assert!(shadows > 500 && operators > 100, "{shadows} functions, {operators} operators");
    superuser.batch_execute("set search_path = public, pg_catalog").unwrap();
    for (sql, told) in outcomes(&mut superuser, &database) {
        // What DBAs call as themselves (protect, expose, doctor) pins its path, too.
        battery.case(before[&sql] == told, || format!("{sql:.200}: before {}, with shadows {told}", before[&sql]));
    }
    let mut fresh = database.handle();
    for mut session in [handle, std::mem::replace(&mut fresh, database.handle())] {
        session.client.batch_execute("set search_path = public, pg_catalog").unwrap();
        for (route, plain) in routes.iter().zip(&plain) {
            let status = tried(&mut session, route).status;
            battery.case(status == *plain, || format!("{}: {status} with shadows, {plain} without", route.operation));
        }
    }
    println!("B5 shadows: {shadows} functions, {operators} operators");
    battery.end(200, &[]);
}
