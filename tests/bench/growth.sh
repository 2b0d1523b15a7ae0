#!/usr/bin/env bash
# Growth (docs/performance.md): the same requests, spread over all tenants, on a small database and on a big one, in turns on one cluster. Called by `make bench-growth`.
# SCALE=0.01 makes the big one smaller; WARM_SECONDS is for each side before anything is measured, until every backend has met every tenant; TENANTS_ASKED sends the requests to so many tenants of the big one only. The databases are kept for the next run.
# shellcheck source=lib.sh
source "$(dirname "$0")/lib.sh"
# shellcheck source=tenants.sh
source "$here/tenants.sh"
scale=${SCALE:-1}
warm_seconds=${WARM_SECONDS:-90}
start growth
# As docs/operations/capacity.md has it for a machine of 16 GB: pages of ten thousand tenants are written to all the time, and each counts once between two checkpoints.
for setting in "shared_buffers = '${SHARED_BUFFERS:-4GB}'" "max_wal_size = '16GB'" "checkpoint_timeout = '15min'" "wal_compression = 'lz4'"; do
  psql -qX -c "alter system set $setting"
done
"$NEBULA" down --dir "$dir" --pg-bindir "$NEBULA_PG_BINDIR" >/dev/null
"$NEBULA" up --dir "$dir" --pg-bindir "$NEBULA_PG_BINDIR" >/dev/null
scaled() { awk -v n="$1" -v scale="$scale" -v least="$2" 'BEGIN { n = int(n * scale); print n < least ? least : n }'; }
tenants=$(scaled 10000 100)
asked=${TENANTS_ASKED:-$tenants}
declare -A of_tenants=([small]=100 [big]=$asked)
fill_database small 100 "$(scaled 100000 5000)" 0 1
fill_database big "$tenants" "$(scaled 2000000 20000)" "$(scaled 10000000 0)" "$(scaled 1000000 1)"

# History that no worker has seen is sealed before anything is measured: it would be by the worker's first rounds, for minutes.
for size in small big; do (cd "$dir" && NEBULA_WORKER_DATABASE_URL=${NEBULA_WORKER_DATABASE_URL%/*}/$size "$NEBULA" audit seal >&2); done

serve_database small $((ports + 1)); small=$url
serve_database big $((ports + 2)); big=$url

# What Postgres itself loses by growth: the four inserts of a write alone and the page alone, of a tenant at random, as superuser on the same tables without triggers.
for script in inserts list_by_hand; do
  { printf '%s\n' '\set k random(1, :tenants)' "select id as tenant from tenant where slug = 'bench-' || :k \\gset"; cat "$here/$script.sql"; } >"$dir/$script.sql"
done
by_hand() { # database script
  PGOPTIONS='-c search_path=nebula -c session_replication_role=replica' pgbench_tps "${NEBULA_ADMIN_DATABASE_URL%/*}/$1" 16 "$dir/$2.sql" -D tenants="${of_tenants[$1]}"
}

# Bytes of WAL that the cluster has written so far.
wal() { psql -qXAt -c "select pg_current_wal_insert_lsn() - '0/0'"; }
# Kilobytes of WAL since then, for each of so many a second.
wal_kb_each() { # before rate
  awk -v before="$1" -v after="$(wal)" -v count="$2" -v seconds="$seconds" 'BEGIN { print (after - before) / 1024 / count / seconds }'
}

log_in_both() {
  logged_in=$SECONDS
  for size in small big; do log_in_all $size "${!size}" "${of_tenants[$size]}" "$dir/$size.tokens"; done
  # Each of sixteen backends meets each of ten thousand tenants for the first time, which `bench-rights` measures, and each token, whose signature it checks.
  for size in small big; do
    spread "${!size}" "$dir/$size.tokens" me 16 "$warm_seconds" >/dev/null
    for kind in write list; do spread "${!size}" "$dir/$size.tokens" $kind 16 $(((warm_seconds + 5) / 6)) >/dev/null; done
  done
}
log_in_both
for round in $(seq "$rounds"); do
  # Access tokens are good for a quarter of an hour.
  [ $((SECONDS - logged_in)) -lt 600 ] || log_in_both
  for kind in write list me; do
    for size in small big; do
      before=$(wal)
      read -r rps p99_ms _ < <(spread "${!size}" "$dir/$size.tokens" $kind 16 "$seconds")
      sample "${kind}_$size" "$rps"
      sample "${kind}_${size}_p99_ms" "$p99_ms"
      [ $kind != write ] || sample "wal_${size}" "$(wal_kb_each "$before" "$rps")"
    done
  done
  for size in small big; do
    before=$(wal)
    rps=$(by_hand $size inserts)
    sample inserts_$size "$rps"
    sample inserts_wal_$size "$(wal_kb_each "$before" "$rps")"
    sample page_$size "$(by_hand $size list_by_hand)"
  done
done

declare -A name=([write]="\`POST /v1/users\` with idempotency key" [list]="\`GET /v1/users?limit=50\`" [me]="\`GET /v1/me\`")
for kind in write list me; do
  result "${name[$kind]}, big" "${kind}_big" "small" "${kind}_small" /s ">= 0.9"
  result "${name[$kind]}, big: 99th percentile" "${kind}_big_p99_ms" "small" "${kind}_small_p99_ms" ms "<= 1.5"
done
result "the four inserts of a write alone, pgbench, big" inserts_big "small" inserts_small /s ""
result "the page alone, pgbench, big" page_big "small" page_small /s ""
result "WAL of a write, big" wal_big "small" wal_small KB ""
result "WAL of the four inserts alone, big" inserts_wal_big "small" inserts_wal_small KB ""
report "Growth to $tenants tenants (requests of $asked), 16 connections"
