//! `nebula.prove_isolation()`: what is open is found, what is closed is tried and held, and nothing of it stays.

use nebula_tests::{
    Database,
    cluster::nebula_program,
    shop::{PROTECT, Shop},
};
use postgres::Client;
use serde_json::Value;
use std::{collections::BTreeSet, process::Command};

struct Attempt {
    role: String,
    object: String,
    attempt: String,
    leaked: Option<bool>,
    evidence: String,
}

fn prove(client: &mut Client, arguments: &str) -> Vec<Attempt> {
    let sql = format!("select role, object, attempt, leaked, evidence from nebula.prove_isolation({arguments})");
    let read = |row: &postgres::Row| Attempt {
        role: row.get(0),
        object: row.get(1),
        attempt: row.get(2),
        leaked: row.get(3),
        evidence: row.get(4),
    };
    client.query(&sql, &[]).unwrap_or_else(|error| panic!("{sql}: {error:?}")).iter().map(read).collect()
}

/// What leaked, as `object: attempt`, whoever tried it.
fn leaks(attempts: &[Attempt]) -> BTreeSet<String> {
    let leaked = attempts.iter().filter(|attempt| attempt.leaked == Some(true));
    leaked.map(|attempt| format!("{}: {}", attempt.object, attempt.attempt)).collect()
}

fn told(attempts: &[Attempt]) -> String {
    let line = |a: &Attempt| format!("{:?} {}: {}: {}: {}", a.leaked, a.role, a.object, a.attempt, a.evidence);
    attempts.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// A database with a table of tenants' rows that is safe, by hand: keys carry the tenant, nothing is unique across tenants.
fn with_orders() -> Database {
    let database = Database::new();
    database.execute(
        "create schema app; grant usage on schema app to authenticated, nebula_app, anon; \
         create table app.orders (id uuid not null default gen_random_uuid(), tenant_id uuid not null default nebula.current_tenant() references nebula.tenant, \
           state text not null check (state in ('open', 'paid')), total numeric not null, email text check (email ~ '@'), primary key (tenant_id, id)); \
         create table app.lines (id bigint generated always as identity, tenant_id uuid not null default nebula.current_tenant() references nebula.tenant, \
           order_id uuid not null, note varchar(8), primary key (tenant_id, id), foreign key (tenant_id, order_id) references app.orders); \
         do $$ declare t text; begin foreach t in array array['orders', 'lines'] loop \
           execute format('alter table app.%I enable row level security; alter table app.%1$I force row level security; \
             create policy tenant_isolation on app.%1$I using (tenant_id = nebula.current_tenant()) with check (tenant_id = nebula.current_tenant()); \
             grant select, insert, update, delete on app.%1$I to authenticated, nebula_app', t); \
         end loop; end $$",
    );
    database
}

#[test]
fn a_safe_table_is_tried_in_every_way_and_holds() {
    let database = with_orders();
    let attempts = prove(&mut database.superuser(), "");
    assert!(leaks(&attempts).is_empty(), "{}", told(&attempts));
    // Nothing of a table was left out: its rows could be made, closed lists, checks and references included.
    for table in ["app.orders", "app.lines"] {
        for role in ["authenticated", "nebula_app"] {
            let mine = attempts.iter().filter(|a| a.object == table && a.role == role).collect::<Vec<_>>();
            let tried = mine.iter().filter(|a| a.leaked == Some(false)).map(|a| a.attempt.as_str()).collect::<BTreeSet<_>>();
            for attempt in [
                "read rows of others",
                "read a row that is known",
                "copy it out as XML",
                "update",
                "update returning",
                "take a row over",
                "give a row away",
                "delete",
                "merge",
                "insert",
                "insert on conflict",
                "explain",
                "read statistics",
                "truncate",
                "references",
                "trigger",
            ] {
                assert!(tried.contains(attempt), "{role} {table} {attempt}: {}", told(&attempts));
            }
            assert!(mine.iter().all(|a| a.leaked.is_some()), "{}", told(&attempts));
        }
        assert!(attempts.iter().any(|a| a.object == table && a.role == "anon" && a.evidence == "no privilege"));
        assert!(
            attempts
                .iter()
                .any(|a| a.object == table && a.role == "authenticated, nobody" && a.attempt == "insert" && a.leaked == Some(false))
        );
    }
    assert!(
        attempts.iter().any(|a| a.attempt == "reference a row by lines_tenant_id_order_id_fkey" && a.leaked == Some(false)),
        "{}",
        told(&attempts)
    );
    // The product's own: tables, and operations over them.
    assert!(attempts.iter().filter(|a| a.object.starts_with("nebula.") && a.leaked == Some(false)).count() > 100);
    let seen = |object: &str, role: &str| attempts.iter().any(|a| a.object == object && a.role == role && a.leaked == Some(false));
    for operation in ["operation users.list", "operation users.read, user", "operation users.anonymize, user", "operation audit.list"] {
        assert!(seen(operation, "nebula_app"), "{operation}: {}", told(&attempts));
    }
}

/// That the canaries themselves get in: else everything would hold because nothing works.
#[test]
fn a_canary_may_do_with_its_own_what_it_may_not_with_the_others() {
    let shop = Shop::protected();
    // A function that tells who asks, as what it sees: had the canary no rights, the policies of protected tables would hide its own row.
    shop.database.execute(
        "create function public.own() returns setof text language sql stable set search_path = pg_catalog, pg_temp as \
           'select count(*) || '' of '' || coalesce(nebula.current_tenant()::text, ''nobody'') from public.orders'; \
         grant usage on schema public to nebula_app; grant select on public.orders to nebula_app; \
         create table public.heard (line text); grant insert on public.heard to nebula_app, authenticated; \
         create function public.tell() returns void language plpgsql set search_path = pg_catalog, pg_temp as \
           'begin raise log ''the canary sees %'', (select string_agg(o, '','') from public.own() o); end'",
    );
    let attempts = prove(&mut shop.database.superuser(), "schemas => '{public}', call_volatile => true");
    let log = shop.database.installation.cluster.log();
    let seen = log.lines().filter_map(|line| line.split("the canary sees ").nth(1)).collect::<BTreeSet<_>>();
    assert!(seen.iter().any(|line| line.starts_with("1 of ") && !line.ends_with("nobody")), "{seen:?} {}", told(&attempts));
    assert!(seen.contains("0 of nobody"), "{seen:?}");
}

#[test]
fn nothing_of_a_run_stays() {
    let database = with_orders();
    let everything = |database: &Database| {
        let mut counts = database.row_counts();
        for table in ["app.orders", "app.lines"] {
            counts.insert(table.to_owned(), database.number(&format!("select count(*) from {table}"), &[]));
        }
        let sequences = database.texts("select format('%s %s', sequencename, last_value) from pg_sequences order by 1", &[]);
        (counts, sequences)
    };
    let before = everything(&database);
    let mut listener = database.superuser();
    listener.batch_execute("listen nebula_changed").unwrap();
    assert!(prove(&mut database.superuser(), "").len() > 100);
    assert_eq!(everything(&database), before);
    listener.batch_execute("select 1").unwrap();
    assert!(listener.notifications().is_empty());
    // Nor where the caller commits what is around it.
    let mut session = database.superuser();
    session.batch_execute("begin").unwrap();
    prove(&mut session, "schemas => '{app}'");
    session.batch_execute("commit").unwrap();
    assert_eq!(everything(&database), before);
}

#[test]
fn what_is_open_is_found() {
    let database = with_orders();
    let mut superuser = database.superuser();
    let mut leaks_of = |breaks: &str, mends: &str| {
        database.execute(breaks);
        let attempts = prove(&mut superuser, "schemas => '{app}'");
        database.execute(mends);
        (leaks(&attempts), told(&attempts))
    };
    let cases = [
        (
            "alter table app.orders disable row level security",
            "alter table app.orders enable row level security",
            vec![
                "app.orders: read rows of others",
                "app.orders: read a row that is known",
                "app.orders: copy it out as XML",
                "app.orders: update",
                "app.orders: update returning",
                "app.orders: take a row over",
                "app.orders: give a row away",
                "app.orders: merge",
                "app.orders: insert",
                "app.orders: insert on conflict",
            ],
        ),
        (
            "create policy open on app.orders using (true)",
            "drop policy open on app.orders",
            vec!["app.orders: read rows of others", "app.orders: take a row over", "app.orders: insert"],
        ),
        (
            "create policy open on app.lines for delete using (true); create policy seen on app.lines for select using (true)",
            "drop policy open on app.lines; drop policy seen on app.lines",
            vec!["app.lines: delete", "app.lines: read a row that is known"],
        ),
        ("create policy given on app.lines for insert with check (true)", "drop policy given on app.lines", vec!["app.lines: insert"]),
        (
            "create view app.everything as select * from app.orders; grant select on app.everything to authenticated",
            "drop view app.everything",
            vec!["view app.everything: read"],
        ),
        (
            "create view app.totals as select count(*) as n, sum(total) as total from app.orders; grant select on app.totals to nebula_app",
            "drop view app.totals",
            vec!["view app.totals: read"],
        ),
        (
            "create function app.total() returns bigint language sql stable security definer set search_path = pg_catalog, pg_temp as 'select count(*) from app.orders'",
            "drop function app.total",
            vec!["function app.total(): read"],
        ),
        (
            "create function app.of_tenant(wanted uuid) returns setof app.orders language sql stable security definer set search_path = pg_catalog, pg_temp \
               as 'select * from app.orders where tenant_id = wanted'",
            "drop function app.of_tenant",
            vec!["function app.of_tenant(uuid): read"],
        ),
        ("grant truncate on app.orders to authenticated", "revoke truncate on app.orders from authenticated", vec!["app.orders: truncate"]),
        (
            "alter table app.orders add constraint uq_orders_email unique (email)",
            "alter table app.orders drop constraint uq_orders_email",
            vec!["app.orders: learn of a value by app.uq_orders_email"],
        ),
        (
            "alter table app.orders add constraint uq_orders_id unique (id); alter table app.lines add column other uuid constraint fk_lines_other references app.orders (id); \
               alter table app.lines alter column other set not null",
            "alter table app.lines drop column other; alter table app.orders drop constraint uq_orders_id",
            vec!["app.lines: reference a row by fk_lines_other"],
        ),
    ];
    for (breaks, mends, wanted) in cases {
        let (found, all) = leaks_of(breaks, mends);
        for wanted in wanted {
            assert!(found.contains(wanted), "{breaks}: {wanted} is not in {found:?}\n{all}");
        }
    }
    let (found, all) = leaks_of("select 1", "select 1");
    assert!(found.is_empty(), "{all}");
}

#[test]
fn a_protected_table_holds_and_its_floor_stands_under_an_open_policy() {
    let shop = Shop::new();
    shop.database.execute(PROTECT);
    let mut superuser = shop.database.superuser();
    let attempts = prove(&mut superuser, "schemas => '{public}'");
    let of_orders = leaks(&attempts).into_iter().filter(|leak| leak.starts_with("public.orders:")).collect::<Vec<_>>();
    // Its primary key counts through all tenants: the one thing that protect can't change, and tells of.
    assert_eq!(of_orders, ["public.orders: learn of a value by public.orders_pkey"], "{}", told(&attempts));
    // The table that nobody protected is told as it is.
    assert!(!attempts.iter().any(|a| a.object == "public.customers" && a.leaked.is_none() && a.role == "owner"), "{}", told(&attempts));
    shop.database.execute("create policy open on public.orders using (true) with check (true)");
    let attempts = prove(&mut superuser, "schemas => '{public}'");
    assert!(!leaks(&attempts).contains("public.orders: read rows of others"), "{}", told(&attempts));
    // Under the logins that are bound to tenants as well.
    assert!(
        attempts
            .iter()
            .any(|a| a.role == shop.acme_login && a.object == "public.orders" && a.attempt == "update" && a.leaked == Some(false)),
        "{}",
        told(&attempts)
    );
}

#[test]
fn what_can_not_be_tried_is_told() {
    let database = with_orders();
    database.execute(
        "create table app.odd (tenant_id uuid not null, shape point not null, constraint ck_odd check (shape <@ box '((5,5),(6,6))')); grant select on app.odd to authenticated; \
         create function app.loud() returns void language plpgsql set search_path = pg_catalog, pg_temp as 'begin perform pg_notify(''x'', ''y''); end'; \
         create function app.with_point(p point) returns integer language sql stable set search_path = pg_catalog, pg_temp as 'select 1'; \
         create function app.changing() returns double precision language sql stable set search_path = pg_catalog, pg_temp as 'select random()'",
    );
    let attempts = prove(&mut database.superuser(), "schemas => '{app}'");
    let untried = |object: &str, attempt: &str, why: &str| {
        let found = attempts.iter().any(|a| {
            a.object == object
                && a.attempt == attempt
                && a.leaked.is_none()
                && a.evidence.starts_with("not tried: ")
                && a.evidence.contains(why)
        });
        assert!(found, "{object}: {attempt}: {why}\n{}", told(&attempts));
    };
    untried("app.odd", "make rows", "23502");
    untried("app.odd", "read a row that is known", "has no row there");
    untried("function app.loud()", "read", "volatile");
    untried("function app.with_point(point)", "read", "no value is known");
    untried("function app.changing()", "read", "differently each time");
    // What needs no row is tried all the same.
    assert!(
        attempts
            .iter()
            .any(|a| a.object == "app.odd" && a.attempt == "read rows of others" && a.role == "authenticated" && a.leaked == Some(false))
    );
    let late = prove(&mut database.superuser(), "schemas => '{app}', time_limit => '0 seconds'");
    assert!(late.iter().any(|a| a.evidence == "not tried: the time limit is over"), "{}", told(&late));
    assert!(leaks(&late).is_empty());
}

#[test]
fn nobody_becomes_a_tenant_by_way_of_the_prover() {
    let database = with_orders();
    let mut superuser = database.superuser();
    let refused = |client: &mut Client, sql: &str| {
        let error = client.batch_execute(sql).expect_err(sql);
        error.code().unwrap().code().to_owned()
    };
    // Outside of a run there are no canaries, for a superuser neither.
    for who in ["a", "b", "nobody", "acme"] {
        assert_eq!(
            refused(&mut superuser, &format!("select nebula.prover_attempt('{who}', 'authenticated', 'keep', 'select 1')")),
            "42501"
        );
    }
    // A run can't be committed by calling its parts.
    assert_eq!(
        refused(&mut superuser, r#"select nebula.run_prover('{"schemas": ["app"], "call_volatile": false, "time_limit": "1 minute"}')"#),
        "2D000"
    );
    assert_eq!(database.number("select count(*) from nebula.tenant where slug like 'canary-%'", &[]), 0);
    for role in ["nebula_edge", "nebula_worker", "authenticator"] {
        let mut session = database.connect(role);
        for call in [
            "nebula.prove_isolation()",
            "nebula.run_prover('{}')",
            "nebula.prover_attempt('a', 'authenticated', 'keep', 'select 1')",
            "nebula.take_proof()",
        ] {
            assert_eq!(refused(&mut session, &format!("select {call}")), "42501", "{role} {call}");
        }
    }
}

/// A trigger of the application runs while a canary's row is made, as the table's owner, who may be a DBA that is no superuser: nothing is to be had by that.
#[test]
fn code_that_runs_within_an_attempt_begins_no_other_one() {
    let database = with_orders();
    database.execute(
        "create table app.heard (tenant_id uuid not null, state text); grant all on app.heard to public; \
         create function app.greedy() returns trigger language plpgsql set search_path = pg_catalog, pg_temp as $$ begin \
           begin perform nebula.prover_attempt('b', 'postgres', 'keep', 'select 1'); raise warning 'it could'; \
           exception when insufficient_privilege then raise log 'an attempt within an attempt was refused'; end; \
           return new; end $$; \
         create trigger greedy before insert on app.orders for each row execute function app.greedy()",
    );
    prove(&mut database.superuser(), "schemas => '{app}'");
    let log = database.installation.cluster.log();
    assert!(log.contains("an attempt within an attempt was refused"));
    assert!(!log.contains("it could"));
}

fn nebula_prove(database: &Database, arguments: &[&str]) -> (i32, String) {
    let mut command = Command::new(nebula_program());
    command.env_clear().env("NEBULA_ADMIN_DATABASE_URL", database.url("postgres")).arg("prove-isolation").args(arguments);
    let output = command.output().unwrap();
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap())
}

#[test]
fn the_command_ends_with_three_where_something_leaks() {
    let database = with_orders();
    let (code, text) = nebula_prove(&database, &["--schema", "app"]);
    assert_eq!(code, 0, "{text}");
    assert!(text.lines().last().unwrap().starts_with("0 leaked, "), "{text}");
    // Operations that write need an input: told, and by --strict an end with 3.
    assert_eq!(nebula_prove(&database, &["--schema", "app", "--strict"]).0, 3);
    database.execute("alter table app.orders disable row level security");
    let (code, text) = nebula_prove(&database, &["--schema", "app"]);
    assert_eq!(code, 3, "{text}");
    assert!(text.contains("LEAKED    authenticated: app.orders: read rows of others: "), "{text}");
    let (code, json) = nebula_prove(&database, &["--schema", "app", "--json"]);
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!((code, json[0]["leaked"].as_bool()), (3, Some(true)));
}
