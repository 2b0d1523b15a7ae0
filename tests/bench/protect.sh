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

psql -qX -c "drop table if exists public.unbound; create table public.unbound as select * from public.orders; grant select on public.unbound to bench_protect" -c "vacuum (freeze, analyze) public.unbound"

# Two statements in turns, in one session: the processor time that the server counts for the executor, whatever else the machine does. Prints the least of each in
# milliseconds, and the median of the rounds' ratios.
pair() { # name, statement of the tenant's login, what it is beside, whose, its statement, settings
  { echo "set max_parallel_workers_per_gather = 0; set jit = off; $6 set log_executor_stats = on; set client_min_messages = log;"
    for _ in $(seq "$rounds"); do echo "set session authorization bench_protect; $2; set session authorization $4; $5;"; done
  } | psql -qXAt 2>&1 | sed -n 's/^!\t\([0-9.]*\) s user, \([0-9.]*\) s system, .*/\1 \2/p' \
    | awk -v name="$1" -v beside="$3" '
      { time = ($1 + $2) * 1000; if (NR % 2) { mine = time; if (!least || time < least) least = time } else { ratios[++n] = mine / time; if (!other || time < other) other = time } }
      END { for (i = 1; i <= n; i++) for (j = i + 1; j <= n; j++) if (ratios[j] < ratios[i]) { t = ratios[i]; ratios[i] = ratios[j]; ratios[j] = t }
        printf "| %s | %.2f | %s | %.2f | %.2f |\n", name, least, beside, other, ratios[int((n + 1) / 2)] }'
}
mine="from public.orders"
literal="from public.orders where tenant_id = '$platform'"
scan="set enable_indexscan = off; set enable_bitmapscan = off; set enable_indexonlyscan = off;"
{
  echo "| $rows rows of 100 tenants, those of one | ms | beside | ms | ratio |"
  echo "|---|---|---|---|---|"
  pair "protected: count(*) from the index alone" "select count(*) $mine" "a literal, no row security" postgres "select count(*) $literal" ""
  pair "protected: sum(total) by the index" "select sum(total) $mine" "a literal, no row security" postgres "select sum(total) $literal" ""
  pair "protected: a scan of all rows" "select count(*) $mine" "a literal, no row security" postgres "select count(*) $literal" "$scan"
  pair "a scan by \`tenant_for\`" "select count(*) from public.unbound where tenant_id = nebula.tenant_for('orders.read')" \
    "by \`current_tenant\`" bench_protect "select count(*) from public.unbound where tenant_id = nebula.current_tenant()" "$scan"
} | tee "$dir/result.md"
