#!/usr/bin/env bash
# What the policies of a protected table cost (docs/performance.md): one tenant's rows of a million of a hundred tenants, beside a literal without row security;
# and a scan of all rows, by tenant_for beside current_tenant. Called by `make bench-protect`; ROWS and ROUNDS change its size.
# shellcheck source=lib.sh
source "$(dirname "$0")/lib.sh"
# shellcheck source=tables.sh
source "$here/tables.sh"
rows=${ROWS:-1000000}
rounds=${ROUNDS:-30}
start protect
tenants_and_login

psql -qX -v ON_ERROR_STOP=1 -v rows="$rows" <<'SQL' >/dev/null
create table bench_tables.orders as
  select n as id, t.id as tenant_id, n % 1000 as total, md5(n::text) as filler
  from generate_series(1, :rows) n
  join bench_tables.tenant t on t.number = n % 100;
create index theirs on bench_tables.orders (tenant_id);
create table bench_tables.unbound as select * from bench_tables.orders;
grant select on bench_tables.unbound to bench_tables;
select nebula.protect('bench_tables.orders', package => 'platform', grant_to => '{nebula_app}');
vacuum (freeze, analyze) bench_tables.orders;
vacuum (freeze, analyze) bench_tables.unbound;
SQL

mine="from bench_tables.orders"
literal="from bench_tables.orders where tenant_id = '$tenant'"
all="from bench_tables.unbound where tenant_id"
scan="set enable_indexscan = off; set enable_bitmapscan = off; set enable_indexonlyscan = off;"
pair count bench_tables "select count(*) $mine" postgres "select count(*) $literal"
pair sum bench_tables "select sum(total) $mine" postgres "select sum(total) $literal"
pair scan bench_tables "select count(*) $mine" postgres "select count(*) $literal" "$scan"
pair tenant_for bench_tables "select count(*) $all = nebula.tenant_for('orders.read')" bench_tables "select count(*) $all = nebula.current_tenant()" "$scan"

beside="a literal, no row security"
result "protected: count(*) from the index alone" count "$beside" count_beside ms "<= 1.1"
result "protected: sum(total) by the index" sum "$beside" sum_beside ms "<= 1.1"
result "protected: a scan of all rows" scan "$beside" scan_beside ms ""
result "a scan by \`tenant_for\`" tenant_for "by \`current_tenant\`" tenant_for_beside ms "<= 1"
report "A protected table, $rows rows of 100 tenants, those of one"
