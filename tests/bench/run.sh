#!/usr/bin/env bash
# Measures the first numbers (docs/performance.md). Everything runs on one cluster in one run; only ratios mean anything.
# Called by `make bench`, which builds and sets NEBULA and NEBULA_PG_BINDIR. SECONDS_EACH and ROUNDS change how long it takes.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
dir=$root/target/bench
seconds=${SECONDS_EACH:-8}
rounds=${ROUNDS:-3}
clients=16

mkdir -p "$dir"
"$NEBULA" up --dir "$dir" --pg-bindir "$NEBULA_PG_BINDIR" >/dev/null
trap '"$NEBULA" down --dir "$dir" --pg-bindir "$NEBULA_PG_BINDIR" >/dev/null' EXIT
# shellcheck disable=SC1091
source "$dir/env"

call() { # method path token body
  curl -sf -X "$1" "$NEBULA_URL$2" -H "Authorization: Bearer $3" -H 'Content-Type: application/json' ${4:+-d "$4"}
}

# A tenant with these requests a minute; its id.
onboard() { # slug limit
  local answer tenant
  answer=$(call POST /v1/tenants "$NEBULA_OPERATOR_KEY" \
    "{\"slug\":\"$1\",\"name\":\"Bench\",\"packageKey\":\"base\",\"adminUser\":{\"email\":\"admin@bench.test\",\"name\":\"Admin\"}}")
  tenant=$(jq -r .data.tenant.id <<<"$answer")
  curl -sf -X POST "$NEBULA_URL/v1/auth/password" -H 'Content-Type: application/json' \
    -d "{\"token\":\"$(jq -r .data.invite.token <<<"$answer")\",\"password\":\"uma-senha-de-bench\"}"
  curl -sf -X PUT "$NEBULA_URL/v1/config" -H "X-Api-Key: $NEBULA_OPERATOR_KEY" -H "X-Tenant-Id: $tenant" -H 'Content-Type: application/json' \
    -d "{\"flags\":{},\"limits\":{\"read\":{\"perMinute\":$2},\"write\":{\"perMinute\":$2},\"auth\":{\"perMinute\":1000}}}" >/dev/null
  echo "$tenant"
}
login() { # slug
  curl -sf -X POST "$NEBULA_URL/v1/auth/login" -H 'Content-Type: application/json' \
    -d "{\"tenant\":\"${1:-$slug}\",\"email\":\"admin@bench.test\",\"password\":\"uma-senha-de-bench\"}" | jq -r .data.accessToken
}
slug=bench-$(date +%s)
tenant=$(onboard "$slug" 100000000)
onboard "$slug-limited" 1 >/dev/null
token=$(login)
call POST /v1/api-keys "$token" '{"name":"bench","profile":"admin"}' >/dev/null
psql -qX -v tenant="$tenant" -f "$here/prepare.sql"

# `select 1` and the permission check as the same login, which is bound to the tenant.
bench_url=postgresql://nebula_bench:bench@127.0.0.1:$PGPORT/$PGDATABASE

pgbench_tps() { # script url
  "$NEBULA_PG_BINDIR/pgbench" -n -M prepared -c $clients -j 2 -T "$seconds" -f "$1" -D tenant="$tenant" -D token="$(login)" "$2" 2>/dev/null |
    sed -n 's/^tps = \([0-9.]*\).*/\1/p'
}

wrk_rps() { # script path
  TOKEN=$(login) wrk -t 2 -c $clients -d "${seconds}s" -s "$here/$1" "$NEBULA_URL$2" | tee -a "$dir/wrk.log" |
    awk '/Requests\/sec/ { rps = $2 } /Non-2xx/ { bad = 1 } END { if (bad) { print "answers other than 2xx" > "/dev/stderr"; exit 1 } print rps }'
}

refused_rps() { # script path, of a tenant whose limit is used up
  TOKEN=$(login "$slug-limited") wrk -t 2 -c $clients -d "${seconds}s" -s "$here/$1" "$NEBULA_URL$2" | tee -a "$dir/wrk.log" |
    awk '/Requests\/sec/ { rps = $2 } /requests in/ { all = $1 } /Non-2xx/ { bad = $NF } END { if (all - bad > 2) { print "answers with 2xx" > "/dev/stderr"; exit 1 } print rps }'
}

median() { sort -g | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }

: >"$dir/samples.tsv"
for round in $(seq "$rounds"); do
  for pair in \
    "write_nebula wrk_rps post_users.lua /v1/users" \
    "write_by_hand pgbench_tps $here/write_by_hand.sql $NEBULA_ADMIN_DATABASE_URL" \
    "handle pgbench_tps $here/handle.sql $NEBULA_DATABASE_URL" \
    "me_nebula wrk_rps get.lua /v1/me" \
    "list_nebula wrk_rps get.lua /v1/users" \
    "refused_nebula refused_rps get.lua /v1/users" \
    "write_refused_nebula refused_rps post_users.lua /v1/users" \
    "ready_nebula wrk_rps get.lua /health/ready" \
    "can pgbench_tps $here/can.sql $bench_url" \
    "select_1 pgbench_tps $here/select_1.sql $bench_url"; do
    read -r name command arguments <<<"$pair"
    # shellcheck disable=SC2086
    printf '%s\t%s\t%s\n' "$round" "$name" "$($command $arguments)" | tee -a "$dir/samples.tsv"
  done
done

of() { awk -v name="$1" '$2 == name { print $3 }' "$dir/samples.tsv" | median; }
ratio() { awk -v a="$1" -v b="$2" 'BEGIN { printf "%.2f", a / b }'; }
{
  echo "| what | per second | beside | per second | time ratio | aim |"
  echo "|---|---|---|---|---|---|"
  echo "| \`POST /v1/users\` with idempotency key, through the edge | $(of write_nebula) | the same effects as one hand-written statement, pgbench | $(of write_by_hand) | $(ratio "$(of write_by_hand)" "$(of write_nebula)") | ≤ 1.5 |"
  echo "| the same request as \`nebula.handle\`, without HTTP | $(of handle) | the same statement | $(of write_by_hand) | $(ratio "$(of write_by_hand)" "$(of handle)") | – |"
  echo "| \`GET /v1/me\` through the edge | $(of me_nebula) | one trivial query through the same edge (\`/health/ready\`) | $(of ready_nebula) | $(ratio "$(of ready_nebula)" "$(of me_nebula)") | – |"
  echo "| a refused \`GET /v1/users\` (429) | $(of refused_nebula) | an accepted one, a page of 50 | $(of list_nebula) | $(ratio "$(of list_nebula)" "$(of refused_nebula)") | < 1 |"
  echo "| a refused \`POST /v1/users\` (429) | $(of write_refused_nebula) | an accepted one | $(of write_nebula) | $(ratio "$(of write_nebula)" "$(of write_refused_nebula)") | < 1 |"
  echo "| \`select nebula.can(…)\` | $(of can) | \`select 1\` | $(of select_1) | $(ratio "$(of select_1)" "$(of can)") | ≤ 1.2 |"
} | tee "$dir/result.md"
