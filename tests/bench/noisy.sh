#!/usr/bin/env bash
# A noisy tenant (docs/performance.md): what others get while one tenant changes rights 50 times a second, beside what they get without, beside as many ordinary
# writes, and beside the four inserts of these alone, without an edge. Called by `make bench-noisy`; TENANTS, USERS, RATE, KINDS, ROUNDS and SECONDS_EACH change its size.
# shellcheck source=lib.sh
source "$(dirname "$0")/lib.sh"
# shellcheck source=tenants.sh
source "$here/tenants.sh"
tenants=${TENANTS:-100}
rate=${RATE:-50}
read -r -a kinds <<<"${KINDS:-write list me}"
start noisy
fill_database tenants "$tenants" "${USERS:-100000}" 0 1
serve_database tenants $((ports + 1))

# The four inserts of a write, of the first tenant, as superuser without triggers.
{ echo "select id as tenant from tenant where slug = 'bench-1' \\gset"; cat "$here/inserts.sql"; } >"$dir/inserts.sql"
inserts() { # seconds
  PGOPTIONS='-c search_path=nebula -c session_replication_role=replica' "$NEBULA_PG_BINDIR/pgbench" -n -M prepared -c 4 -R "$rate" -T "$1" -f "$dir/inserts.sql" \
    "${NEBULA_ADMIN_DATABASE_URL%/*}/tenants" 2>>"$dir/pgbench.log" | sed -n 's/^tps = \([0-9.]*\).*/\1/p'
}

# Writes of the first tenant, over so many connections that slow answers don't lower the rate; prints how many a second there were.
steady() { # kind seconds
  KIND=$1 TOKEN=$(head -n 1 "$dir/tokens") RATE=$rate wrk -t 8 -c 8 -d "$2s" -s "$here/steady.lua" "$url" -- 8 | tee -a "$dir/wrk.log" |
    awk '$1 == "steady" { if ($3 > 0) { print $3 " answers were no success" > "/dev/stderr"; exit 1 } print $2 }'
}

# Others' requests of a kind, while the first tenant does something else for longer.
others() { # kind alone|rights|users|inserts
  local noise="" rps
  case $2 in
    alone) ;;
    inserts) inserts $((seconds + 1)) >"$dir/noise" & noise=$! ;;
    *) steady "$2" $((seconds + 1)) >"$dir/noise" & noise=$! ;;
  esac
  [ -z "$noise" ] || sleep 0.5
  read -r rps _ < <(spread "$url" "$dir/others" "$1" 16 "$seconds")
  sample "$1_$2" "$rps"
  [ -z "$noise" ] || { wait "$noise"; sample "$1_$2_rate" "$(cat "$dir/noise")"; }
}
for round in $(seq 0 "$rounds"); do
  log_in_all tenants "$url" "$tenants" "$dir/tokens"
  tail -n +2 "$dir/tokens" >"$dir/others"
  # The first round only warms up.
  [ "$round" != 1 ] || : >"$dir/samples.tsv"
  for kind in "${kinds[@]}"; do
    # What the last changes of rights have cleared is read again first: by every backend, for every tenant.
    spread "$url" "$dir/others" me 16 4 >/dev/null
    for noise in alone inserts users rights; do others $kind $noise; done
  done
done

declare -A name=([write]="\`POST /v1/users\`" [list]="\`GET /v1/users?limit=50\`" [me]="\`GET /v1/me\`")
for kind in "${kinds[@]}"; do
  result "${name[$kind]} of others, while one tenant changes rights" "${kind}_rights" "without" "${kind}_alone" /s ">= 0.9"
  result "the same, while it creates people instead" "${kind}_users" "without" "${kind}_alone" /s ""
  result "the same, while the four inserts of a write are made as often, without an edge" "${kind}_inserts" "without" "${kind}_alone" /s ""
  # Who is throttled is no noise.
  result "changes of rights meanwhile" "${kind}_rights_rate" "meant" "$rate" /s ">= 0.9"
done
report "A tenant that changes rights $rate times a second, $((tenants - 1)) others, 16 connections"
