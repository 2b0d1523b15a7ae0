# shellcheck shell=bash
# What the benches of protected tables share (sourced, after lib.sh): a hundred tenants, a login that is bound to one of them, and the processor time of two statements
# in turns.

# Makes them; sets $tenant, whom the login bench_tables is bound to.
tenants_and_login() {
  psql -qX -v ON_ERROR_STOP=1 <<'SQL' >/dev/null 2>>"$dir/psql.log"
-- What an earlier run protected goes with its tables.
drop schema if exists bench_tables cascade;
create schema bench_tables;
grant usage on schema bench_tables to public;
delete from nebula.protected_table;
do $$ begin create role bench_tables login password 'bench'; exception when duplicate_object then null; end $$;
alter role bench_tables password 'bench';
grant nebula_app to bench_tables;
insert into nebula.tenant (slug, name, kind) select 'bench-' || n, 'Bench', 'customer' from generate_series(1, 99) n on conflict do nothing;
-- The bound tenant is number 0.
create view bench_tables.tenant as
  select id, (row_number() over (order by kind desc, slug) - 1)::integer as number from nebula.tenant where kind = 'platform' or slug like 'bench-%' limit 100;
select nebula.bind_role('bench_tables', k.tenant_id, k.name)
from nebula.api_key k join nebula.tenant t on t.id = k.tenant_id and t.kind = 'platform' order by k.created_at limit 1;
SQL
  tenant=$(psql -qXAt -c "select id from nebula.tenant where kind = 'platform'")
  tables_url=postgresql://bench_tables:bench@127.0.0.1:$PGPORT/$PGDATABASE
}

# Two statements in turns, in one session: the processor time that the server counts for the executor, whatever else the machine does. Samples NAME and NAME_beside,
# in milliseconds. Each is an SQL statement, run by the role before it.
pair() { # name role statement role statement [settings]
  { echo "set max_parallel_workers_per_gather = 0; set jit = off; ${6:-} set log_executor_stats = on; set client_min_messages = log;"
    for _ in $(seq "$rounds"); do echo "set session authorization $2; $3; set session authorization $4; $5;"; done
  } | psql -qXAt -v ON_ERROR_STOP=1 2>&1 | tee "$dir/pair.log" | sed -n 's/^!\t\([0-9.]*\) s user, \([0-9.]*\) s system, .*/\1 \2/p' |
    awk -v name="$1" '{ printf "%s%s\t%.3f\n", name, NR % 2 ? "" : "_beside", ($1 + $2) * 1000 }' >>"$dir/samples.tsv"
  [ "$(awk -F '\t' -v name="$1" '$1 == name || $1 == name "_beside"' "$dir/samples.tsv" | wc -l)" = $((2 * rounds)) ] || { cat "$dir/pair.log" >&2; exit 1; }
}
