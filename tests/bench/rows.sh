#!/usr/bin/env bash
# Rows of protected tables (docs/performance.md): search by the start of an e-mail address under row security; inserts that are audited beside inserts that are not
# and beside the classic row trigger. Called by `make bench-rows`; ROWS, INSERTED, ROUNDS and SECONDS_EACH change its size.
# shellcheck source=lib.sh
source "$(dirname "$0")/lib.sh"
# shellcheck source=tables.sh
source "$here/tables.sh"
rows=${ROWS:-1000000}
inserted=${INSERTED:-100000}
start rows
tenants_and_login
psql -qX -v rows="$rows" -f "$here/rows.sql" >/dev/null

# Hundreds of addresses begin so, and a page of them is asked for.
from=p00012 until=p00013
[ "$rows" -ge 1000000 ] || { from=p000012 until=p000013; }
search() { # columns table expression condition
  echo "select $1 from $2 where $4 $3 >= '$from' and $3 < '$until' order by $3 limit 50"
}
prefix() { # name expression
  pair "$1" bench_tables "$(search 'id, email, name' bench_tables.people "$2" "")" \
    postgres "$(search 'id, email, name' bench_tables.people "$2" "tenant_id = '$tenant' and")"
}
prefix prefix 'email collate "C"'
prefix prefix_lower '(lower(email)) collate "C"'
# What GET /v1/users?q= does, whole, beside the rows alone.
request='{"operation":"users.list","requestId":"bench-00","credential":"'$NEBULA_OPERATOR_KEY'","query":{"q":"'$from'"}}'
pair users_search nebula_edge "select status from nebula.handle('$tenant', '$request')" \
  postgres "$(search 'id, email, name' nebula.user '(lower(email)) collate "C"' "tenant_id = '$tenant' and")"

# Milliseconds of one statement that inserts so many rows, commit included; the table is empty before.
bulk_ms() { # table
  psql -qX -c "truncate bench_tables.$1" -c checkpoint
  { printf '\\timing on\n'
    echo "insert into bench_tables.$1 (customer_id, total, note) select n % 1000, n, 'Order ' || n from generate_series(1, $inserted) n;"
  } | psql -qXAt -v ON_ERROR_STOP=1 "$tables_url" | sed -n 's/^Time: \([0-9.]*\) ms.*/\1/p'
}
# Milliseconds of a transaction that inserts one row: one client, one after the other.
single_ms() { # table settings
  echo "insert into bench_tables.$1 (customer_id, total, note) values (1, 10.5, 'One order.');" >"$dir/insert.sql"
  PGOPTIONS=${2:-} pgbench_tps "$tables_url" 1 "$dir/insert.sql" | awk '{ print 1000 / $1 }'
}
no_wait='-c synchronous_commit=off'
tables=(orders orders_unaudited orders_classic)
for _ in $(seq "$rounds"); do
  for table in "${tables[@]}"; do sample "bulk_$table" "$(bulk_ms "$table")"; done
  for table in "${tables[@]}"; do sample "single_$table" "$(single_ms "$table")"; done
  for table in "${tables[@]}"; do sample "quick_$table" "$(single_ms "$table" "$no_wait")"; done
done

beside="the same without row security"
result "prefix of \`email\`, under row security" prefix "$beside" prefix_beside ms "<= 1.5"
result "prefix of \`lower(email)\`, under row security" prefix_lower "$beside" prefix_lower_beside ms "<= 1.5"
result "\`users.list\` with \`q\`, as \`nebula.handle\`" users_search "prefix of \`lower(email)\` without row security" users_search_beside ms ""
beside="the same table without audit"
result "$inserted rows in one statement, audited" bulk_orders "$beside" bulk_orders_unaudited ms "<= 1.9"
result "the same, classic row trigger with \`to_jsonb(new)\`" bulk_orders_classic "$beside" bulk_orders_unaudited ms ""
result "one row and commit, audited" single_orders "$beside" single_orders_unaudited ms "<= 1.6"
result "the same, classic row trigger" single_orders_classic "$beside" single_orders_unaudited ms ""
result "one row, not waiting for the disk, audited" quick_orders "$beside" quick_orders_unaudited ms "<= 1.6"
result "the same, classic row trigger" quick_orders_classic "$beside" quick_orders_unaudited ms ""
report "Rows of protected tables, $rows people, $inserted rows inserted"
