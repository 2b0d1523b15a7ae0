#!/usr/bin/env bash
# Measures the outbox beside graphile-worker (docs/performance.md): the same cluster, the same run, in turns. Called by `make bench-jobs`.
# JOBS, ROUNDS, RATE and SECONDS_EACH change how long it takes.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
dir=$root/target/bench-jobs
jobs=${JOBS:-50000}
rounds=${ROUNDS:-3}
rate=${RATE:-200}
seconds=${SECONDS_EACH:-20}

mkdir -p "$dir"
"$NEBULA" up --dir "$dir" --pg-bindir "$NEBULA_PG_BINDIR" >/dev/null
trap '"$NEBULA" down --dir "$dir" --pg-bindir "$NEBULA_PG_BINDIR" >/dev/null' EXIT
# shellcheck disable=SC1091
source "$dir/env"
psql -qX -c 'drop database if exists graphile' -c 'create database graphile'
export GRAPHILE_URL=postgresql://postgres@127.0.0.1:$PGPORT/graphile
GRAPHILE_URL=${NEBULA_ADMIN_DATABASE_URL%/*}/graphile
tenant=$(psql -qXAt -c "select id from nebula.tenant limit 1")

# So many committed events that no webhook wants, done by the worker that runs: jobs a second between the first and the last that was finished.
nebula_throughput() {
  psql -qXAt <<SQL
delete from nebula.outbox_finished;
select count(nebula.emit('bench.noop', '{}', null, '$tenant')) from generate_series(1, $jobs) \g /dev/null
SQL
  while [ "$(psql -qXAt -c "select count(*) from nebula.outbox_live")" != 0 ]; do sleep 0.2; done
  psql -qXAt -c "select round((count(*) / extract(epoch from max(finished_at) - min(finished_at)))::numeric) from nebula.outbox_finished where type = 'bench.noop'"
}

# Milliseconds from before the commit until after the first attempt, the 99th of a hundred.
nebula_latency() {
  psql -qXAt -c "delete from nebula.outbox_finished where type = 'bench.tick'"
  "$NEBULA_PG_BINDIR/pgbench" -n -M prepared -c 4 -j 1 -R "$rate" -T "$seconds" -D tenant="$tenant" -f "$here/emit.sql" "$NEBULA_ADMIN_DATABASE_URL" >/dev/null 2>&1
  while [ "$(psql -qXAt -c "select count(*) from nebula.outbox_live")" != 0 ]; do sleep 0.2; done
  psql -qXAt -c "select round((percentile_cont(0.99) within group (order by extract(epoch from finished_at - created_at)) * 1000)::numeric, 1) from nebula.outbox_finished where type = 'bench.tick'"
}

: >"$dir/samples.tsv"
sample() { printf '%s\t%s\n' "$1" "$2" | tee -a "$dir/samples.tsv"; }
for _ in $(seq "$rounds"); do
  sample nebula_jobs "$(nebula_throughput)"
  sample graphile_jobs "$(node "$root/target/bench-js/graphile.mjs" throughput "$jobs")"
  sample nebula_p99_ms "$(nebula_latency)"
  sample graphile_p99_ms "$(node "$root/target/bench-js/graphile.mjs" latency "$rate" "$seconds")"
done
median() { awk -v name="$1" '$1 == name { print $2 }' "$dir/samples.tsv" | sort -g | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }
{
  echo "| what | Nebula | graphile-worker | ratio | aim |"
  echo "|---|---|---|---|---|"
  echo "| no-op jobs a second, one worker process, $jobs waiting | $(median nebula_jobs) | $(median graphile_jobs) | $(awk -v a="$(median nebula_jobs)" -v b="$(median graphile_jobs)" 'BEGIN { printf "%.2f", a / b }') | ≥ 1 |"
  echo "| ms from commit to the first attempt at $rate/s, 99th percentile | $(median nebula_p99_ms) | $(median graphile_p99_ms) | – | < 50 |"
} | tee "$dir/result.md"
