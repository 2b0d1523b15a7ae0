#!/usr/bin/env bash
# What the policies of a protected table cost (docs/performance.md): one tenant's rows of a million of a hundred tenants, beside a literal without row security;
# and a scan of all rows, by tenant_for beside current_tenant. Called by `make bench-protect`; ROWS and ROUNDS change its size.
set -euo pipefail

root=$(cd "$(dirname "$0")/../.." && pwd)
dir=$root/target/bench-protect
rows=${ROWS:-1000000}
rounds=${ROUNDS:-30}

mkdir -p "$dir"
"$NEBULA" up --dir "$dir" --pg-bindir "$NEBULA_PG_BINDIR" >/dev/null
trap '"$NEBULA" down --dir "$dir" --pg-bindir "$NEBULA_PG_BINDIR" >/dev/null' EXIT
# shellcheck disable=SC1091
source "$dir/env"

psql -qX -v ON_ERROR_STOP=1 -v rows="$rows" <<'SQL' >/dev/null
do $$ begin create role bench_protect login; exception when duplicate_object then null; end $$;
grant nebula_app to bench_protect;
drop table if exists public.orders cascade;
delete from nebula.protected_table;
select id as platform from nebula.tenant where kind = 'platform' \gset
insert into nebula.tenant (slug, name, kind) select 'bench-' || n, 'Bench', 'customer' from generate_series(1, 99) n on conflict do nothing;
create table public.orders as
  select n as id, t.id as tenant_id, n % 1000 as total, md5(n::text) as filler
  from generate_series(1, :rows) n
  join (select id, row_number() over (order by kind desc, slug) - 1 as number from nebula.tenant where kind = 'platform' or slug like 'bench-%' limit 100) t
    on t.number = n % 100;
create index theirs on public.orders (tenant_id);
select nebula.protect('public.orders', package => 'platform', grant_to => '{nebula_app}');
vacuum (freeze, analyze) public.orders;
select nebula.bind_role('bench_protect', k.tenant_id, k.name) from nebula.api_key k where k.tenant_id = :'platform' order by created_at limit 1;
SQL
platform=$(psql -qXAt -c "select id from nebula.tenant where kind = 'platform'")

# The least processor time of the rounds, in milliseconds, as the server counts it for the executor: whatever else the machine does.
psql -qX -c "alter role bench_protect set log_executor_stats = on; alter role current_user set log_executor_stats = on"
least() { # user, settings, statement
  { echo "set max_parallel_workers_per_gather = 0; set jit = off; $2 set client_min_messages = log;"
    for _ in $(seq "$rounds"); do echo "$3;"; done
  } | PGUSER=$1 psql -qXAt 2>&1 | sed -n 's/^!\t\([0-9.]*\) s user, \([0-9.]*\) s system, .*/\1 \2/p' \
    | awk '{ print ($1 + $2) * 1000 }' | awk '$1 > 0' | sort -g | head -n 1
}
ratio() { awk -v a="$1" -v b="$2" 'BEGIN { printf "%.2f", a / b }'; }

count="select count(*) from public.orders"
protected=$(least bench_protect "" "$count")
literal=$(least postgres "" "$count where tenant_id = '$platform'")
sum="select sum(total) from public.orders"
read_protected=$(least bench_protect "" "$sum")
read_literal=$(least postgres "" "$sum where tenant_id = '$platform'")
scan="set enable_indexscan = off; set enable_bitmapscan = off; set enable_indexonlyscan = off;"
scan_protected=$(least bench_protect "$scan" "$count")
scan_literal=$(least postgres "$scan" "$count where tenant_id = '$platform'")
# One function alone, as a filter of a table that no policy binds.
psql -qX -c "drop table if exists public.unbound; create table public.unbound as select * from public.orders; grant select on public.unbound to bench_protect; analyze public.unbound"
scan_tenant_for=$(least bench_protect "$scan" "select count(*) from public.unbound where tenant_id = nebula.tenant_for('orders.read')")
scan_current_tenant=$(least bench_protect "$scan" "select count(*) from public.unbound where tenant_id = nebula.current_tenant()")
{
  echo "| $rows rows of 100 tenants, those of one, ms of processor | | beside | | ratio |"
  echo "|---|---|---|---|---|"
  echo "| protected, count(*) from the index alone | $protected | a literal, row security off | $literal | $(ratio "$protected" "$literal") |"
  echo "| the same with a column of the rows, sum(total) | $read_protected | a literal, row security off | $read_literal | $(ratio "$read_protected" "$read_literal") |"
  echo "| protected, scan of all rows | $scan_protected | a literal, row security off | $scan_literal | $(ratio "$scan_protected" "$scan_literal") |"
  echo "| scan by \`tenant_for\` | $scan_tenant_for | scan by \`current_tenant\` | $scan_current_tenant | $(ratio "$scan_tenant_for" "$scan_current_tenant") |"
} | tee "$dir/result.md"
