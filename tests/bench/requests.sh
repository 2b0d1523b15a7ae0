#!/usr/bin/env bash
# Requests through the edge, and `nebula.handle`, beside hand-written statements (docs/performance.md). Called by `make bench`, which builds and sets NEBULA and
# NEBULA_PG_BINDIR. SECONDS_EACH and ROUNDS change how long it takes.
# shellcheck source=lib.sh
source "$(dirname "$0")/lib.sh"
start requests
clients=16

# What a worker does with the events afterwards is measured by jobs.sh: nobody does it with those of the hand-written statements.
stop_worker

slug=bench-$(date +%s)
tenant=$(onboard "$slug" 100000000)
listed=$(onboard "$slug-list" 100000000)
onboard "$slug-limited" 1 >/dev/null
call POST /v1/api-keys "$(login "$slug")" '{"name":"bench","profile":"admin"}' >/dev/null
psql -qX -v tenant="$tenant" -v listed="$listed" -f "$here/prepare.sql" >/dev/null

# `select 1` and the permission check as the same login, which is bound to the tenant.
bench_url=postgresql://nebula_bench:bench@127.0.0.1:$PGPORT/$PGDATABASE

# Beside the check a function that does nothing, with the same marks and grants; both, and `select 1`, also in backends that have asked for a right once.
cc -O2 -shared -fPIC "-I$("$PGRX_PG_CONFIG_PATH" --includedir-server)" "$here/nothing.c" -o "$dir/nothing.so"
psql -qX -v library="$dir/nothing.so" -f "$here/nothing.sql" >/dev/null
for asked in can nothing one; do
  case $asked in can) statement="select nebula.can('users.list');" ;; nothing) statement="select bench.nothing('users.list');" ;; one) statement='select 1;' ;; esac
  printf '%s\n' '\if :asked' "$statement" '\else' "select nebula.can('users.list');" '\set asked 1' '\endif' >"$dir/$asked.sql"
done
in_a_backend() { # script whether it begins as if it had asked
  pgbench_tps "$bench_url" $clients "$dir/$1.sql" -D asked="$2"
}

# Two more edges, each in front of a copy of the database with another `handle`: one that answers at once, and the least that one by hand would do for `me`.
floor() { # name port psql's arguments...
  local name=$1 port=$2
  shift 2
  copy_database "$name"
  psql -qXAt -d "$name" -v ON_ERROR_STOP=1 -f "$here/$name.sql" "$@"
  serve_edge "$name" "$port"
}
floor floor $((ports + 7))
floor floor_by_hand $((ports + 8)) -v tenant="$tenant" -v body="$(call GET /v1/me "$(login "$slug")")"

claim() { cut -d . -f 2 <<<"$1" | tr _- /+ | base64 -d 2>/dev/null | jq -r ".$2"; } # token name
by_hand() { # script
  local token
  token=$(login "$slug")
  pgbench_tps "$NEBULA_ADMIN_DATABASE_URL" $clients "$here/$1" -D tenant="$tenant" -D session="$(claim "$token" sid)" -D jti="$(claim "$token" jti)"
}
# Requests a second of a tenant whose limit is used up: all but the first are refused.
refused_rps() { # script path
  TOKEN=$(login "$slug-limited") wrk -t 2 -c $clients -d "${seconds}s" -s "$here/$1" "$NEBULA_URL$2" | tee -a "$dir/wrk.log" |
    awk '/Requests\/sec/ { rps = $2 } /requests in/ { all = $1 } /Non-2xx/ { bad = $NF } END { if (all - bad > 2) { print "answers with 2xx" > "/dev/stderr"; exit 1 } print rps }'
}

for _ in $(seq "$rounds"); do
  sample write "$(wrk_rps "$(login "$slug")" $clients post_users.lua /v1/users)"
  sample write_by_hand "$(by_hand write_by_hand.sql)"
  sample inserts "$(PGOPTIONS='-c search_path=bench' by_hand inserts.sql)"
  sample handle "$(pgbench_tps "$NEBULA_DATABASE_URL" $clients "$here/handle.sql" -D tenant="$tenant" -D token="$(login "$slug")")"
  sample me "$(wrk_rps "$(login "$slug")" $clients get.lua /v1/me)"
  sample me_by_hand "$(NEBULA_URL=http://127.0.0.1:$((ports + 8)) wrk_rps "$(login "$slug")" $clients get.lua /v1/me)"
  sample me_floor "$(NEBULA_URL=http://127.0.0.1:$((ports + 7)) wrk_rps "$(login "$slug")" $clients get.lua /v1/me)"
  sample list "$(wrk_rps "$(login "$slug-list")" $clients get.lua '/v1/users?limit=50')"
  sample list_by_hand "$(PGOPTIONS='-c search_path=bench_list' pgbench_tps "$NEBULA_ADMIN_DATABASE_URL" $clients "$here/list_by_hand.sql" -D tenant="$listed")"
  sample can "$(pgbench_tps "$bench_url" $clients "$here/can.sql")"
  sample select_1 "$(pgbench_tps "$bench_url" $clients "$here/select_1.sql")"
  for script in can nothing one; do sample ${script}_asked "$(in_a_backend $script 0)"; done
  sample one_new "$(in_a_backend one 1)"
  sample refused "$(refused_rps get.lua /v1/users)"
  sample write_refused "$(refused_rps post_users.lua /v1/users)"
done
result "\`POST /v1/users\` with idempotency key, through the edge" write "one statement with the same checks and effects, pgbench" write_by_hand /s ">= 1.1"
result "the same as \`nebula.handle\`, without HTTP" handle "its four inserts alone, pgbench" inserts /s ">= 0.75"
result "\`GET /v1/me\` through the edge" me "the same edge with an empty \`handle\`" me_floor /s ">= 0.85"
result "the same edge with three look-ups by hand and a constant answer" me_by_hand "the same edge with an empty \`handle\`" me_floor /s ""
result "\`GET /v1/users?limit=50\` of 10,000, through the edge" list "the page as one statement, pgbench" list_by_hand /s ">= 0.6"
result "\`select nebula.can(…)\`" can "\`select 1\`" select_1 /s ">= 0.95"
result "the same, in a backend that has asked before" can_asked "an empty function in C, there" nothing_asked /s ""
result "\`select 1\` in a backend that has asked \`can\` once" one_asked "in one that has not" one_new /s ""
result "a refused \`GET /v1/users\` (429)" refused "an accepted one, a page of 50" list /s ">= 1"
result "a refused \`POST /v1/users\` (429)" write_refused "an accepted one" write /s ">= 1"
report "Requests, 16 clients"
