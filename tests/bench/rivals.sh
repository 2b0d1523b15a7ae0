#!/usr/bin/env bash
# Nebula's edge beside the stack that users would pick instead (docs/performance.md): NestJS with Prisma, and NestJS with hand-written SQL, on the same cluster, in
# turns. Called by `make bench-rivals`. SECONDS_EACH, WARM_SECONDS and ROUNDS change how long it takes.
# shellcheck source=lib.sh
source "$(dirname "$0")/lib.sh"
start rivals
apps=$root/target/bench-rivals-js
node=$(echo "$apps"/node_modules/node-linux-*/bin/node)
clients=16
crowd=64
warm_seconds=${WARM_SECONDS:-8}
rivals=(prisma pg)

slug=bench-$(date +%s)
tenant=$(onboard "$slug" 100000000)
listed=$(onboard "$slug-list" 100000000)
# Ten thousand people of one tenant, on both sides.
psql -qX -v ON_ERROR_STOP=1 -v listed="$listed" <<'SQL'
insert into nebula.user (tenant_id, email, name, created_at, updated_at)
select :'listed', 'p' || n || '@bench.test', 'Person ' || n, at, at
from (select n, now() - n * interval '1 minute' as at from generate_series(1, 9999) n) p;
vacuum (analyze) nebula.user;
SQL
psql -qX -f "$here/rivals/schema.sql" >/dev/null

declare -A url pid
stop() {
  for rival in "${rivals[@]}"; do if [ -n "${pid[$rival]:-}" ]; then kill "${pid[$rival]}" || true; fi; done
  "$NEBULA" down --dir "$dir" --pg-bindir "$NEBULA_PG_BINDIR" >/dev/null
}
trap stop EXIT
PUBLIC_KEY="-----BEGIN PUBLIC KEY-----
$(psql -qXAt -c "select encode(public_key, 'base64') from nebula.signing_key where status = 'active'")
-----END PUBLIC KEY-----"
export PUBLIC_KEY
port=$((ports + 11))
for rival in "${rivals[@]}"; do
  port=$((port + 1))
  url[$rival]=http://127.0.0.1:$port
  # A server of its own listens elsewhere, and no process of the stack sees Nebula's secrets.
  env -i PATH="$PATH" NODE_ENV=production RIVAL="$rival" LISTEN_PORT="$port" DATABASE_URL="$NEBULA_ADMIN_DATABASE_URL" PUBLIC_KEY="$PUBLIC_KEY" \
    "$node" "$apps/dist/main.js" >"$dir/$rival.log" 2>&1 &
  pid[$rival]=$!
  for _ in $(seq 100); do curl -s "${url[$rival]}/v1/me" >/dev/null && break; sleep 0.1; done
done
url[nebula]=$NEBULA_URL
sides=(nebula "${rivals[@]}")

# A session of Nebula's counts with the rivals too: they verify the same token.
token_of() { # slug
  local token
  token=$(login "$1")
  psql -qX -c "insert into rivals.session select * from nebula.session on conflict do nothing"
  echo "$token"
}

ask() { # side token method path body key
  curl -s -w ' %{http_code}' -X "$3" "${url[$1]}$4" -H "Authorization: Bearer $2" ${5:+-H 'Content-Type: application/json' -d "$5"} ${6:+-H "Idempotency-Key: $6"}
}
expect() { # what found expected
  [ "$2" = "$3" ] || { echo "$1: $2, expected $3" >&2; exit 1; }
}
# Rows of a side: people, audit rows of their creation, their events, kept answers.
effects() { # side
  if [ "$1" = nebula ]; then
    psql -qXAt -v tenant="$tenant" <<'SQL'
select (select count(*) from nebula.user where tenant_id = :'tenant'), (select count(*) from nebula.audit_log where tenant_id = :'tenant' and action = 'users.create'),
  (select count(*) from nebula.outbox where tenant_id = :'tenant' and type = 'user.created'), (select count(*) from nebula.idempotency_key where tenant_id = :'tenant')
SQL
  else
    psql -qXAt -v tenant="$tenant" <<'SQL'
select (select count(*) from rivals.user where tenant_id = :'tenant'), (select count(*) from rivals.audit_log where action = 'users.create'),
  (select count(*) from rivals.outbox where type = 'user.created'), (select count(*) from rivals.idempotency_key)
SQL
  fi
}

# All sides do the same: one write with all its effects, the same again under its key, the same page, the same person; and they refuse the same.
check() {
  local side token page rows body='{"email":"check-SIDE@bench.test","name":"Bench User"}'
  token=$(token_of "$slug")
  page=$(token_of "$slug-list")
  for side in "${sides[@]}"; do
    rows=$(effects "$side")
    local first again
    first=$(ask "$side" "$token" POST /v1/users "${body/SIDE/$side}" "check-$side-$slug")
    again=$(ask "$side" "$token" POST /v1/users "${body/SIDE/$side}" "check-$side-$slug")
    expect "$side: created" "${first: -3}" 201
    expect "$side: the same answer under the same key" "$again" "$first"
    expect "$side: each effect once" "$(effects "$side")" "$(awk -F '|' -v OFS='|' '{ print $1 + 1, $2 + 1, $3 + 1, $4 + 1 }' <<<"$rows")"
    expect "$side: another request under the same key" "$(ask "$side" "$token" POST /v1/users "${body/SIDE/other}" "check-$side-$slug" | tail -c 3)" 422
    expect "$side: without a token" "$(curl -s -o /dev/null -w '%{http_code}' "${url[$side]}/v1/me")" 401
    expect "$side: a page of 50" "$(ask "$side" "$page" GET '/v1/users?limit=50' | sed 's/ [0-9]*$//' | jq -c '[.data[].id], .meta.hasMore')" \
      "$(ask nebula "$page" GET '/v1/users?limit=50' | sed 's/ [0-9]*$//' | jq -c '[.data[].id], .meta.hasMore')"
    expect "$side: who is calling" "$(ask "$side" "$page" GET /v1/me | sed 's/ [0-9]*$//' | jq -cS '.data.actor, .data.groups, .data.tenant, .data.packages')" \
      "$(ask nebula "$page" GET /v1/me | sed 's/ [0-9]*$//' | jq -cS '.data.actor, .data.groups, .data.tenant, .data.packages')"
    expect "$side: may create users" "$(ask "$side" "$page" GET /v1/me | sed 's/ [0-9]*$//' | jq '.data.actions | any(. == "users.create")')" true
  done
  # What the database says counts at once, whatever the token says.
  psql -qX -c "update rivals.group_permission p set constraints = '{\"maxPerDay\": 0}' from rivals.tool_action a where a.id = p.tool_action_id and a.key = 'users.create'"
  for side in "${rivals[@]}"; do
    expect "$side: without the permission" "$(ask "$side" "$token" POST /v1/users "${body/SIDE/no}" "no-$slug" | tail -c 3)" 403
  done
  psql -qX -c "update rivals.group_permission set constraints = '{}'" -c "update rivals.session set revoked_at = now()"
  for side in "${rivals[@]}"; do expect "$side: after a logout" "$(ask "$side" "$token" GET /v1/me | tail -c 3)" 401; done
  psql -qX -c "update rivals.session set revoked_at = null"
}

# The 99th percentile in milliseconds, with a crowd of clients; every answer must be a success.
wrk_p99_ms() { # side token script path
  TOKEN=$2 wrk --latency --timeout 60s -t 2 -c $crowd -d "${seconds}s" -s "$here/$3" "${url[$1]}$4" | tee -a "$dir/wrk.log" |
    awk '/^ *99%/ { n = $2; ms = n ~ /us$/ ? n / 1000 : n ~ /ms$/ ? n + 0 : n ~ /m$/ ? n * 60000 : n * 1000 }
      /Non-2xx|Socket errors/ { bad = $0 } END { if (bad) { print bad > "/dev/stderr"; exit 1 } print ms }'
}

check
# What is asked for, and of whose tenant: a write and the caller go to a small one, the page to that of ten thousand people.
declare -A script=([write]=post_users.lua [list]=get.lua [me]=get.lua)
declare -A path=([write]=/v1/users [list]='/v1/users?limit=50' [me]=/v1/me)
declare -A whose=([write]=$slug [list]=$slug-list [me]=$slug)
# Node compiles what is hot while it runs: its first seconds are none of its speed.
for side in "${sides[@]}"; do
  for kind in write list me; do
    NEBULA_URL=${url[$side]} seconds=$warm_seconds wrk_rps "$(token_of "${whose[$kind]}")" $clients "${script[$kind]}" "${path[$kind]}" >/dev/null
  done
done
for _ in $(seq "$rounds"); do
  for kind in write list me; do
    for side in "${sides[@]}"; do
      sample "${kind}_$side" "$(NEBULA_URL=${url[$side]} wrk_rps "$(token_of "${whose[$kind]}")" $clients "${script[$kind]}" "${path[$kind]}")"
    done
  done
  # What Postgres itself does of a write in the rivals' tables.
  sample inserts "$(PGOPTIONS='-c search_path=rivals' pgbench_tps "$NEBULA_ADMIN_DATABASE_URL" $clients "$here/inserts.sql" -D tenant="$tenant")"
  for kind in write list me; do
    for side in "${sides[@]}"; do
      sample "${kind}_p99_$side" "$(wrk_p99_ms "$side" "$(token_of "${whose[$kind]}")" "${script[$kind]}" "${path[$kind]}")"
    done
  done
done
prisma="NestJS, Prisma"
sql="NestJS, hand-written SQL"
result "\`POST /v1/users\` with idempotency key" write_nebula "$prisma" write_prisma /s ">= 18"
result "\`POST /v1/users\` with idempotency key" write_nebula "$sql" write_pg /s ">= 6"
result "the four inserts of such a write alone, pgbench" inserts "$prisma" write_prisma /s ""
result "the same" inserts "$sql" write_pg /s ""
result "\`GET /v1/users?limit=50\` of 10,000" list_nebula "$prisma" list_prisma /s ">= 10"
result "\`GET /v1/users?limit=50\` of 10,000" list_nebula "$sql" list_pg /s ""
result "\`GET /v1/me\`" me_nebula "$prisma" me_prisma /s ">= 10"
result "\`GET /v1/me\`" me_nebula "$sql" me_pg /s ""
for what in write:'a write' list:'a page' me:me; do
  name=${what%%:*}_p99
  result "99th percentile of ${what#*:}, $crowd clients" "${name}_nebula" "$prisma" "${name}_prisma" ms "<= 0.1"
  result "99th percentile of ${what#*:}, $crowd clients" "${name}_nebula" "$sql" "${name}_pg" ms ""
done
report "Beside the stack that users would pick instead, $clients clients"
