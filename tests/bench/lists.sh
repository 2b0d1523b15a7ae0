#!/usr/bin/env bash
# A list of ten million rows: what its first and its last page cost, for each sort (docs/performance.md). Called by `make bench-lists`; ROWS makes it smaller.
# It needs some 6 GB of disk and some minutes, and is no part of `make bench`.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
dir=$root/target/bench-lists
rows=${ROWS:-10000000}

mkdir -p "$dir"
"$NEBULA" up --dir "$dir" --pg-bindir "$NEBULA_PG_BINDIR" >/dev/null
trap '"$NEBULA" down --dir "$dir" --pg-bindir "$NEBULA_PG_BINDIR" >/dev/null' EXIT
# shellcheck disable=SC1091
source "$dir/env"

# The rows of the far end come first: a cursor after the first of them is one into the last page once the others are there.
psql -qX -v ON_ERROR_STOP=1 <<'SQL'
select id as tenant from nebula.tenant where kind = 'platform' \gset
alter table nebula.user disable trigger all;
insert into nebula.user (tenant_id, email, name, created_at, updated_at)
select :'tenant', 'z' || to_char(n, '00000') || '@lists.example', 'z' || to_char(n, '00000'), now() + n * interval '1 day', now() + n * interval '1 day'
from generate_series(1, 60) n;
SQL
columns="created_at updated_at name email"
declare -A cursor
for column in $columns; do
  cursor[$column]=$(curl -sf -H "X-Api-Key: $NEBULA_OPERATOR_KEY" "$NEBULA_URL/v1/users?limit=5&sort=$column:asc" | jq -r .meta.nextCursor)
done

psql -qX -v ON_ERROR_STOP=1 -v rows="$rows" <<'SQL'
set synchronous_commit = off;
set maintenance_work_mem = '1GB';
select id as tenant from nebula.tenant where kind = 'platform' \gset
-- Rows that nobody made through the product: no audit of them, and indexes made afterwards.
alter table nebula.user disable trigger all;
create temporary table dropped as
  select indexdef from pg_indexes where schemaname = 'nebula' and tablename = 'user' and indexname not in ('pk_user');
do $$ declare name text; begin
  for name in select indexname from pg_indexes where schemaname = 'nebula' and tablename = 'user' and indexname <> 'pk_user' loop
    execute format('drop index nebula.%I', name);
  end loop;
end $$;
insert into nebula.user (tenant_id, email, name, created_at, updated_at)
select :'tenant', 'p' || n || '@lists.example', 'Pessoa ' || md5(n::text), now() - n * interval '1 second', now() - (n * 7919 % :rows) * interval '1 second'
from generate_series(1, :rows - (select count(*) from nebula.user where tenant_id = :'tenant')) n;
do $$ declare definition text; begin
  for definition in select indexdef from dropped loop
    execute definition;
  end loop;
end $$;
alter table nebula.user enable trigger all;
vacuum analyze nebula.user;
SQL

# The time of the fastest of twenty, in milliseconds: what the page costs, without what else the machine does.
fastest() { # url
  for _ in $(seq 20); do
    curl -s -o /dev/null -w '%{time_total}\n' -H "X-Api-Key: $NEBULA_OPERATOR_KEY" "$1"
  done | sort -g | awk 'NR == 1 { printf "%.2f", $1 * 1000 }'
}
{
  echo "| sort, $rows rows | first page, ms | last page, ms | ratio |"
  echo "|---|---|---|---|"
  for column in $columns; do
    first=$(fastest "$NEBULA_URL/v1/users?limit=50&sort=$column:asc")
    last=$(fastest "$NEBULA_URL/v1/users?limit=50&sort=$column:asc&cursor=${cursor[$column]}")
    echo "| \`$column\` | $first | $last | $(awk -v a="$last" -v b="$first" 'BEGIN { printf "%.2f", a / b }') |"
  done
} | tee "$dir/result.md"
