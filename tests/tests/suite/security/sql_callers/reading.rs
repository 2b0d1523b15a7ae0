//! To read around the policy: every form of a query, and everything that tells of rows without showing them.

use super::arena::{Arena, Attempt, attempt};

/// What has to come out of the policy's way, for a row to be told of: an error, a notice, a count, a plan, a time.
fn around_the_policy() -> Vec<Attempt> {
    let leak = "create function pg_temp.leak(anyelement) returns boolean language plpgsql cost 0.0000001 as $$ begin raise notice '%', $1; return true; end $$";
    let leaks = "create function pg_temp.same(text, text) returns boolean language plpgsql cost 0.0000001 as $$ begin raise notice '% %', $1, $2; return true; end $$";
    [
        ("everything", vec!["select * from public.orders"]),
        ("table", vec!["table public.orders"]),
        ("only", vec!["select * from only public.parent", "select * from public.child"]),
        ("whole rows", vec!["select o from public.orders o", "select o::text from public.orders o", "select (o).* from public.orders o"]),
        ("system columns", vec!["select ctid, xmin, tableoid::regclass, note from public.orders"]),
        ("by ctid", vec!["select note from public.orders where ctid = '(0,1)'", "select note from public.orders where ctid > '(0,0)'", "select note from public.orders where ctid = any (array['(0,1)', '(0,4)', '(0,5)', '(0,6)']::tid[])"]),
        ("or true", vec!["select note from public.orders where tenant_id = nebula.current_tenant() or true"]),
        ("by the other's id", vec!["select note from public.orders where tenant_id = '{zeta}'", "select note from public.orders where id = '{zetas_order}'"]),
        ("not in", vec!["select note from public.orders where tenant_id not in (select nebula.current_tenant())"]),
        ("except", vec!["select note from public.orders except select note from public.orders where tenant_id = nebula.current_tenant()"]),
        ("union and intersect", vec!["select note from public.orders union all select note from public.line intersect select note from public.orders"]),
        ("self join", vec!["select b.note from public.orders a right join public.orders b on a.tenant_id <> b.tenant_id"]),
        ("full join", vec!["select b.note from public.line a full join public.orders b on false"]),
        ("lateral", vec!["select x.note from generate_series(1, 3) cross join lateral (select note from public.orders) x"]),
        ("recursive", vec!["with recursive r (note, n) as (select note, 1 from public.orders union all select o.note, n + 1 from r, public.orders o where n < 3) select note from r"]),
        ("window", vec!["select string_agg(note, ',') over (), lead(note) over (order by note), first_value(note) over (order by note desc) from public.orders"]),
        ("grouping sets", vec!["select tenant_id, max(note) from public.orders group by grouping sets ((tenant_id), ())"]),
        ("ordered aggregates", vec!["select percentile_disc(0.99) within group (order by note), mode() within group (order by note) from public.orders"]),
        ("distinct on", vec!["select distinct on (tenant_id) note from public.orders"]),
        ("sample", vec!["select note from public.orders tablesample system (100)", "select note from public.orders tablesample bernoulli (100)"]),
        ("a count", vec!["select case when count(*) > 3 then 'kanarien' || 'vogel' end from public.orders", "select case when public.total() > 3 then 'kanarien' || 'vogel' end"]),
        ("exists", vec!["select case when exists (select from public.orders where tenant_id = '{zeta}') then 'kanarien' || 'vogel' end"]),
        ("a maximum", vec!["select case when max(amount) = 999 then 'kanarien' || 'vogel' end from public.orders"]),
        ("a cheap function in the filter", vec![leak, "select note from public.orders where pg_temp.leak(note)"]),
        ("a cheap function before the policy", vec![leak, "select note from public.orders where pg_temp.leak(orders) and tenant_id = '{zeta}'"]),
        ("a cheap function over a view", vec![leak, "select note from public.orders_view where pg_temp.leak(note)"]),
        ("a cheap function in a join", vec![leak, "select a.note from public.orders a join public.line b on pg_temp.leak(b.note)"]),
        ("a cheap function in an index scan", vec![leak, "set enable_seqscan = off", "select note from public.orders where note >= 'k' and pg_temp.leak(note)"]),
        ("a cheap function in order, group and having", vec![leak, "select note from public.orders order by pg_temp.leak(note)", "select 1 from public.orders group by note having pg_temp.leak(note)"]),
        ("a cheap operator", vec![leaks, "create operator pg_temp.<<< (leftarg = text, rightarg = text, function = pg_temp.same)", "select note from public.orders where note operator(pg_temp.<<<) 'x'"]),
        ("a cheap aggregate", vec!["create function pg_temp.acc(text, text) returns text language plpgsql as $$ begin raise notice '%', $2; return $2; end $$", "create aggregate pg_temp.spy(text) (sfunc = pg_temp.acc, stype = text)", "select pg_temp.spy(note) from public.orders", "select pg_temp.spy(note) filter (where tenant_id <> nebula.current_tenant()) from public.orders"]),
        ("a cast that fails", vec!["select * from public.orders where note::integer = 1", "select * from public.orders where tenant_id = '{zeta}' and note::integer = 1"]),
        ("a division that fails", vec!["select case when amount = 999 then 1 / 0 end from public.orders", "select 1 from public.orders where 1 / (amount - 999) > 5"]),
        ("an error with a row in it", vec!["select note::json from public.orders where note like 'k%'", "select xmlparse(document note) from public.orders"]),
        ("a regular expression", vec!["select case when bool_or(note ~ '^k') then 'kanarien' || 'vogel' end from public.orders"]),
        ("explain", vec!["explain (verbose) select note from public.orders", "explain (analyze, buffers) select note from public.orders where tenant_id = '{zeta}'"]),
        ("statistics", vec!["select most_common_vals::text, histogram_bounds::text from pg_stats where tablename in ('orders', 'line', 'event')", "select stavalues1::text from pg_statistic", "select * from pg_stats_ext", "select stxdmcv from pg_statistic_ext_data"]),
        ("what others run", vec!["select query from pg_stat_activity", "select query from extensions.pg_stat_statements", "select query from pg_stat_statements"]),
        ("xml of a table", vec!["select table_to_xml('public.orders', true, false, '')", "select query_to_xml('select note from public.orders', true, false, '')", "select schema_to_xml('public', true, false, '')"]),
        ("xml of everything", vec!["select database_to_xml(true, false, '')", "select schema_to_xml('nebula', true, false, '')"]),
        ("json", vec!["select json_agg(o) from public.orders o", "select to_jsonb(o) from public.orders o", "select jsonb_path_query(to_jsonb(o), '$.*') from public.orders o"]),
        ("copy", vec!["copy public.orders to stdout", "copy (select note from public.orders) to stdout", "copy (select * from public.line) to stdout (format csv, header)"]),
        ("copy to a program", vec!["copy public.orders to program 'cat > /tmp/x'", "copy public.orders to '/tmp/x'"]),
        ("files of the server", vec!["select pg_read_file('PG_VERSION')", "select pg_read_binary_file(pg_relation_filepath('public.orders'))", "select pg_ls_dir('.')", "create extension pageinspect"]),
        ("a partition itself", vec!["select note from public.event_2026", "select note from public.event_rest", "select note from public.event where at = '2030-01-01'"]),
        ("a temporary view", vec!["create temp view v as select note from public.orders", "select note from v"]),
        ("a temporary view with a barrier", vec!["create temp view v with (security_barrier = off) as select * from public.orders", "select note from v"]),
        ("a materialised copy", vec!["create temp table t as select * from public.orders", "select note from t"]),
        ("select into", vec!["select * into temp t from public.orders", "select note from t"]),
        ("a temporary table like it", vec!["create temp table t (like public.orders including all)", "insert into t select * from public.orders", "select note from t"]),
        ("a temporary child", vec!["create temp table t () inherits (public.orders)", "select note from public.orders"]),
        ("a function that Postgres inlines", vec!["create function pg_temp.f() returns setof public.orders language sql stable as 'select * from public.orders'", "select note from pg_temp.f() where tenant_id = '{zeta}'"]),
        ("plpgsql", vec!["do $$ declare r record; begin for r in select note from public.orders loop raise notice '%', r.note; end loop; end $$"]),
        ("plpgsql with execute", vec!["do $$ declare r text; begin execute 'select string_agg(note, '','') from public.orders' into r; raise notice '%', r; end $$"]),
        ("plpgsql with an exception", vec!["do $$ begin perform note::integer from public.orders where tenant_id = '{zeta}'; exception when others then raise notice '%', sqlerrm; end $$"]),
        ("lock rows", vec!["select note from public.orders for update", "select note from public.orders for key share skip locked", "select note from public.orders where tenant_id = '{zeta}' for update nowait"]),
        ("a sequence of ours", vec!["select last_value from nebula.outbox_id_seq", "select * from pg_sequences where schemaname = 'nebula'"]),
        ("row security off", vec!["set row_security = off", "select note from public.orders"]),
        ("constraint exclusion", vec!["set constraint_exclusion = on", "set enable_partition_pruning = off", "select note from public.event where tenant_id = '{zeta}'"]),
        ("plans of every kind", vec!["set enable_seqscan = off", "select note from public.orders where note like 'k%'", "set enable_indexscan = off", "set enable_bitmapscan = off", "select note from public.orders where tenant_id = '{zeta}'"]),
        ("compiled plans", vec!["set jit = on", "set jit_above_cost = 0", "select note from public.orders"]),
        ("jit of a leak", vec![leak, "set jit = on", "set jit_above_cost = 0", "select note from public.orders where pg_temp.leak(note)"]),
        ("a memory of a subquery", vec!["set enable_memoize = on", "select o.note, (select l.note from public.line l where l.order_id = o.id) from public.orders o"]),
        ("full text", vec!["select ts_headline(note, to_tsquery('simple', 'x')) from public.orders", "select * from ts_stat('select to_tsvector(note) from public.orders')"]),
        ("a query within a text", vec!["select * from ts_stat($q$select to_tsvector('simple', note) from public.orders where tenant_id = '{zeta}'$q$)", "select query_to_xml_and_xmlschema('select * from public.orders', true, false, '')"]),
        ("cursor to xml", vec!["declare c cursor for select note from public.orders", "select cursor_to_xml('c', 10, true, false, '')"]),
        ("catalogs", vec!["select prosrc from pg_proc where pronamespace = 'nebula'::regnamespace", "select polqual::text from pg_policy", "select * from pg_shadow", "select * from pg_authid", "select srvoptions from pg_foreign_server", "select umoptions from pg_user_mappings"]),
        ("settings of roles", vec!["select setconfig::text from pg_db_role_setting", "select * from pg_hba_file_rules", "show all"]),
        ("logical decoding", vec!["select pg_create_logical_replication_slot('s', 'test_decoding')", "select data from pg_logical_slot_peek_changes('s', null, null)"]),
        ("notifications", vec!["listen nebula_changed", "select pg_notify('nebula_changed', 'x')", "select pg_listening_channels()"]),
    ]
    .iter()
    .map(|(name, steps)| attempt(name, steps))
    .collect()
}

fn kept() -> Vec<Attempt> {
    [
        ("a cursor", vec!["begin", "declare c scroll cursor for select note from public.orders", "fetch all from c", "fetch backward all from c", "commit"]),
        ("a cursor over a change of claims", vec!["begin", "declare c cursor for select note from public.orders", "select set_config('request.jwt.claims', '{own_claims}', true)", "fetch all from c", "commit"]),
        ("a cursor over a change of role", vec!["begin", "declare c cursor for select note from public.orders", "set local role none", "fetch all from c", "commit"]),
        ("a held cursor", vec!["begin", "declare c cursor with hold for select note from public.orders", "commit", "fetch all from c", "set role none", "fetch all from c"]),
        ("a cursor for update", vec!["begin", "declare c cursor for select * from public.orders for update", "fetch 1 from c", "update public.orders set amount = 2 where current of c", "commit"]),
        ("a prepared statement", vec!["prepare p as select note from public.orders", "execute p", "execute p"]),
        ("a prepared statement over a change of role", vec!["prepare p as select note from public.orders", "execute p", "set role none", "execute p", "set role anon", "execute p"]),
        ("a generic plan over a change of claims", vec!["set plan_cache_mode = force_generic_plan", "prepare p (uuid) as select note from public.orders where tenant_id = $1", "execute p ('{acme}')", "select set_config('request.jwt.claims', '{own_claims}', true), set_config('request.headers', '{headers}', true)", "execute p ('{zeta}')"]),
        ("a plan that plpgsql keeps", vec!["create function pg_temp.f() returns setof text language plpgsql as $$ begin return query select note from public.orders; end $$", "select pg_temp.f()", "set role none", "select pg_temp.f()", "set role anon", "select pg_temp.f()"]),
        ("a plan of before row security", vec!["set row_security = off", "prepare p as select note from public.orders", "set row_security = on", "execute p", "set row_security = off", "execute p"]),
        ("a temporary function over transactions", vec!["create function pg_temp.f() returns setof text language sql as 'select note from public.orders'", "commit", "begin", "select pg_temp.f()", "commit"]),
        ("a temporary table over transactions", vec!["create temp table t on commit preserve rows as select * from public.orders", "commit", "select note from t"]),
        ("two-phase commit", vec!["begin", "select note from public.orders", "prepare transaction 'x'", "rollback prepared 'x'"]),
        ("an exported snapshot", vec!["begin isolation level repeatable read", "select pg_export_snapshot()", "select note from public.orders", "commit"]),
        ("serializable", vec!["begin isolation level serializable", "select note from public.orders", "commit"]),
        ("a savepoint that fails", vec!["begin", "savepoint a", "select 1 / 0", "rollback to a", "select note from public.orders", "commit"]),
        ("a transaction that failed", vec!["begin", "select 1 / 0", "commit", "select note from public.orders"]),
        ("parallel workers", vec!["set max_parallel_workers_per_gather = 4", "set parallel_setup_cost = 0", "set parallel_tuple_cost = 0", "set min_parallel_table_scan_size = 0", "set force_parallel_mode = on", "set debug_parallel_query = on", "select note from public.orders", "select count(*), max(note) from public.orders"]),
        ("a function that lies to be parallel safe", vec!["create function public.who() returns uuid language sql stable parallel safe as 'select nebula.current_tenant()'", "set parallel_setup_cost = 0", "set parallel_tuple_cost = 0", "set min_parallel_table_scan_size = 0", "set force_parallel_mode = on", "set debug_parallel_query = on", "select note from public.orders where public.who() is null or true", "select public.who(), max(note) from public.orders"]),
        ("a background of one's own", vec!["create extension pg_cron", "select cron.schedule('* * * * *', 'select 1')", "select dblink('', 'select note from public.orders')"]),
        ("discard", vec!["discard plans", "select note from public.orders", "discard temp", "discard sequences", "select note from public.orders"]),
    ]
    .iter()
    .map(|(name, steps)| attempt(name, steps))
    .collect()
}

#[test]
fn no_query_sees_another_tenant() {
    let mut arena = Arena::new();
    arena.make_all(&around_the_policy());
    arena.judge("reading", 330);
}

#[test]
fn nothing_that_a_session_keeps_shows_another_tenant() {
    let mut arena = Arena::new();
    arena.make_all(&kept());
    arena.judge("kept plans, cursors, transactions, workers", 100);
}
