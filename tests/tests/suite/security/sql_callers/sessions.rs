//! What outlives a request on a pooled connection, and what a login keeps: nothing that speaks for anybody.

use super::arena::{Arena, Attacker};
use nebula_tests::{
    supabase::{Presented, request},
    token::with,
};
use postgres::Client;
use serde_json::json;

const WHO: &str = "select nebula.current_tenant()::text";

fn who(client: &mut impl postgres::GenericClient) -> Option<String> {
    client.query_one(WHO, &[]).unwrap().get(0)
}

/// The same connection as the next request finds it, without having said anything.
fn bare(client: &mut Client) -> Option<String> {
    let mut transaction = client.transaction().unwrap();
    transaction.batch_execute("set local role anon").unwrap();
    who(&mut transaction)
}

#[test]
fn a_request_leaves_nothing_behind_however_it_ends() {
    for trust in ["claims", "token"] {
        let arena = Arena::new();
        arena.supabase.dba().query_one("select nebula.set_postgrest_trust($1)", &[&trust]).unwrap();
        let acme = Some(arena.acme.id.to_string());
        let presented = Presented::token(&arena.token);
        let mut pooled = arena.supabase.postgrest();
        for end in ["commit", "rollback", "error", "cancel", "savepoint", "error in a savepoint", "chain"] {
            let mut transaction = request(&mut pooled, &presented, false);
            assert_eq!(who(&mut transaction), acme, "{trust}, {end}");
            match end {
                "commit" => transaction.commit().unwrap(),
                "rollback" => transaction.rollback().unwrap(),
                "error" => {
                    transaction.batch_execute("select 1 / 0").unwrap_err();
                    transaction.rollback().unwrap();
                }
                "cancel" => {
                    transaction.batch_execute("set local statement_timeout = 20; select pg_sleep(5)").unwrap_err();
                    transaction.rollback().unwrap();
                }
                "savepoint" => {
                    transaction.batch_execute("savepoint a; select set_config('request.jwt.claims', '{}', true)").unwrap();
                    assert_eq!(who(&mut transaction), None, "{trust}");
                    transaction.batch_execute("rollback to a").unwrap();
                    assert_eq!(who(&mut transaction), acme, "{trust}");
                    transaction.batch_execute("release a").unwrap();
                    transaction.commit().unwrap();
                }
                "error in a savepoint" => {
                    transaction.batch_execute("savepoint a").unwrap();
                    transaction.batch_execute("select 1 / 0").unwrap_err();
                    transaction.batch_execute("rollback to a").unwrap();
                    assert_eq!(who(&mut transaction), acme, "{trust}");
                    transaction.commit().unwrap();
                }
                _ => {
                    transaction.batch_execute("commit and chain").unwrap();
                    transaction.batch_execute("set local role anon").unwrap();
                    assert_eq!(who(&mut transaction), None, "{trust}");
                    transaction.commit().unwrap();
                }
            }
            assert_eq!(bare(&mut pooled), None, "{trust}, after {end}");
        }
    }
}

#[test]
fn what_one_request_sets_for_the_session_speaks_for_nobody_in_the_next() {
    let arena = Arena::new();
    let presented = Presented::token(&arena.token);
    let mut pooled = arena.supabase.postgrest();
    // A query that sets what outlives its transaction: the next request says its own, and is believed that alone.
    let mut transaction = request(&mut pooled, &presented, false);
    transaction
        .execute(
            "select set_config('request.jwt.claims', $1, false), set_config('request.headers', $2, false)",
            &[&presented.claims.to_string(), &presented.headers.to_string()],
        )
        .unwrap();
    transaction.commit().unwrap();
    let mut next = request(&mut pooled, &Presented::anon(), false);
    assert_eq!(who(&mut next), None);
    let rows = next.query("select note from public.orders", &[]).unwrap();
    assert!(rows.is_empty());
}

#[test]
fn settings_that_a_login_begins_with_speak_for_nobody() {
    let arena = Arena::new();
    // Settings of roles are everybody's to read, in this cluster as in any.
    let forged = arena.forged_claims.to_string().replace('\'', "''").replace(super::arena::CANARY, "zoe");
    for (attacker, login, expected) in
        [(Attacker::Bound, &arena.bound, Some(arena.acme.id.to_string())), (Attacker::Stranger, &arena.stranger, None)]
    {
        // What it may store for itself, and what only somebody stronger may.
        let (mut own, _) = arena.session(attacker);
        own.batch_execute("alter role current_user set row_security = off; alter role current_user set search_path = public, nebula")
            .unwrap();
        arena
            .supabase
            .database
            .execute(&format!("alter role {login} set request.jwt.claims = '{forged}'; alter role {login} set nebula.tenant = 'x'"));
        let (mut next, _) = arena.session(attacker);
        assert_eq!(who(&mut next), expected, "{attacker:?}");
        let notes = next.query("select note from public.orders where note like 'k%'", &[]);
        assert!(notes.is_err() || notes.unwrap().is_empty(), "{attacker:?}");
    }
}

/// Supabase's service role bypasses row security, and its holder is trusted with every tenant. It is outside of what is promised, and the product's tables are closed to
/// it all the same.
#[test]
fn who_may_become_the_service_role_sees_the_applications_tables_and_none_of_ours() {
    let arena = Arena::new();
    let mut pooled = arena.supabase.postgrest();
    pooled.batch_execute("set role service_role").unwrap();
    let mut superuser = arena.supabase.database.superuser();
    superuser.batch_execute("grant select on public.orders to service_role").unwrap();
    let seen: i64 = pooled.query_one("select count(*) from public.orders", &[]).unwrap().get(0);
    assert_eq!(seen, 6);
    for sql in [
        "select from nebula.user",
        "select nebula.call('users.list')",
        "select nebula.why('users.list')",
        "insert into nebula.role_binding default values",
    ] {
        assert_eq!(pooled.batch_execute(sql).unwrap_err().code().unwrap().code(), "42501", "{sql}");
    }
    assert_eq!(who(&mut pooled), None);
}

#[test]
fn a_kept_plan_answers_each_caller_with_their_own() {
    let mut arena = Arena::new();
    let zoe = nebula_tests::token::claims_of(&arena.forged);
    let zoes = arena.supabase.sign(&with(&zoe, &json!({})));
    let people = [(Presented::token(&arena.token), "acme 1"), (Presented::token(&zoes), "kanarienvogel 1")];
    for mode in ["force_generic_plan", "force_custom_plan", "auto"] {
        let mut pooled = arena.supabase.postgrest();
        // Named, as PostgREST prepares them, and by plpgsql and SQL functions.
        let statement = {
            let mut transaction = request(&mut pooled, &people[0].0, true);
            transaction
                .batch_execute(
                    "create or replace function pg_temp.f() returns text language plpgsql stable as $$ begin return (select min(note) from public.orders); end $$",
                )
                .unwrap_err();
            drop(transaction);
            let mut transaction = request(&mut pooled, &people[0].0, false);
            transaction.batch_execute(&format!("set local plan_cache_mode = {mode}")).unwrap();
            let statement = transaction.prepare("select min(note) from public.orders").unwrap();
            transaction.commit().unwrap();
            statement
        };
        for round in 0..8 {
            for (presented, note) in &people {
                let mut transaction = request(&mut pooled, presented, true);
                transaction.batch_execute(&format!("set local plan_cache_mode = {mode}")).unwrap();
                let seen: Option<String> = transaction.query_one(&statement, &[]).unwrap().get(0);
                assert_eq!(seen.as_deref(), Some(*note), "{mode}, round {round}");
            }
            let mut transaction = request(&mut pooled, &Presented::anon(), true);
            let seen: Option<String> = transaction.query_one(&statement, &[]).unwrap().get(0);
            assert_eq!(seen, None, "{mode}, round {round}");
        }
    }
}

#[test]
fn parallel_workers_know_nobody_and_show_nothing() {
    let arena = Arena::new();
    arena.supabase.database.execute(
        "create function public.lies() returns uuid language sql stable parallel safe as 'select nebula.current_tenant()'; \
         grant execute on function public.lies() to nebula_app",
    );
    let (mut client, _) = arena.session(Attacker::Bound);
    let version: i32 = client.query_one("select current_setting('server_version_num')::integer", &[]).unwrap().get(0);
    let forced = if version >= 160_000 { "debug_parallel_query" } else { "force_parallel_mode" };
    client
        .batch_execute(&format!(
            "set {forced} = on; set max_parallel_workers_per_gather = 4; set parallel_setup_cost = 0; set parallel_tuple_cost = 0; \
             set min_parallel_table_scan_size = 0"
        ))
        .unwrap();
    // The policy keeps the scan in the leader: its function is parallel restricted.
    let notes = client.query("select note from public.orders order by note", &[]).unwrap();
    assert_eq!(notes.iter().map(|row| row.get(0)).collect::<Vec<String>>(), ["acme 1", "acme 2", "acme 3"]);
    // A worker that is lied into asking finds the binding by itself, or nobody; never somebody else.
    let seen: Option<String> = client.query_one("select public.lies()::text", &[]).unwrap().get(0);
    assert!(seen.is_none() || seen == Some(arena.acme.id.to_string()), "{seen:?}");
}
