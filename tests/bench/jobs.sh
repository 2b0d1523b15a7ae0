#!/usr/bin/env bash
# The outbox beside graphile-worker and pg-boss (docs/performance.md): the same cluster, the same run, in turns. Called by `make bench-jobs`.
# JOBS, ROUNDS, RATE and SECONDS_EACH change how long it takes.
# shellcheck source=lib.sh
source "$(dirname "$0")/lib.sh"
start jobs
jobs=${JOBS:-50000}
rate=${RATE:-200}
emitters=10
# Who claims and completes at the same time.
claimers=${CLAIMERS:-4}
batch=100
js=$root/target/bench-js
node=$(echo "$js"/node_modules/node-linux-*/bin/node)

psql -qX -c 'drop database if exists queues with (force)' -c 'create database queues' 2>/dev/null
QUEUES_URL=${NEBULA_ADMIN_DATABASE_URL%/*}/queues
export QUEUES_URL
# Their own statements, as scripts for pgbench.
"$node" "$js/statements.mjs" "$dir" "$jobs" $batch
psql -qX -d queues -f "$here/jobs/bare.sql" 2>/dev/null
psql -qX -v ON_ERROR_STOP=1 -f "$here/jobs/hand.sql" 2>/dev/null
cp "$here"/jobs/bare_*.sql "$here"/jobs/hand_*.sql "$dir/"
for script in emit bulk claim; do cp "$here/jobs/$script.sql" "$dir/nebula_$script.sql"; done
tenant=$(psql -qXAt -c "select id from nebula.tenant limit 1")
queues=(nebula graphile boss bare hand)

is_beside_nebula() { [ "$1" = nebula ] || [ "$1" = hand ]; } # in the same database
query() { psql -qXAt -d "$(is_beside_nebula "$1" && echo "$PGDATABASE" || echo queues)" -c "$2"; } # queue statement
declare -A table=([nebula]=nebula.outbox_live [graphile]=graphile_worker._private_jobs [boss]=pgboss.job_common [bare]=bare [hand]=hand.live)
declare -A waiting=([nebula]=true [graphile]=true [boss]="state < 'active'" [bare]=true [hand]=true)
# Nebula's history refuses to be truncated; so nobody's is.
empty() { # queue
  local name=${table[$1]}
  [ "$1" != nebula ] || name="nebula.outbox"
  query "$1" "delete from $name"
  query "$1" "vacuum $name"
  [ "$1" != hand ] || { query hand "delete from hand.done"; query hand "vacuum hand.done"; }
}

# The worker of `nebula up` would take what is measured; so one is started where one is wanted.
start_worker() {
  (cd "$dir" && exec "$NEBULA" worker >>worker.log 2>&1) &
  echo $! >"$dir/worker.pid"
}
stop_worker

# Seconds that so many transactions of a script took, by so many clients together.
pgbench_seconds() { # queue script clients transactions
  local url=$QUEUES_URL
  ! is_beside_nebula "$1" || url=$NEBULA_ADMIN_DATABASE_URL
  # What the worker does is done as its login.
  [ "$1 $2" != "nebula claim" ] || url=$NEBULA_WORKER_DATABASE_URL
  "$NEBULA_PG_BINDIR/pgbench" -n -M prepared -c "$3" -j "$(($3 < 2 ? 1 : 2))" -t "$(($4 / $3))" -f "$dir/$1_$2.sql" -D tenant="$tenant" -D jobs="$jobs" "$url" 2>>"$dir/pgbench.log" |
    awk '/^number of transactions actually processed/ { split($NF, n, "/"); all = n[1] } /^tps/ { print all / $3 }'
}

# Jobs a second, each emitted in a transaction of its own.
emits() { # queue
  local url=$QUEUES_URL
  ! is_beside_nebula "$1" || url=$NEBULA_ADMIN_DATABASE_URL
  empty "$1"
  pgbench_tps "$url" $emitters "$dir/$1_emit.sql" -D tenant="$tenant" -D type=bench.noop
}

# Jobs a second, all emitted by one statement.
bulk() { # queue
  empty "$1"
  local took
  took=$(pgbench_seconds "$1" bulk 1 1)
  [ "$(query "$1" "select count(*) from ${table[$1]} where ${waiting[$1]}")" = "$jobs" ] || { echo "$1: not all were emitted" >&2; return 1; }
  awk -v jobs="$jobs" -v took="$took" 'BEGIN { printf "%.0f\n", jobs / took }'
}

# Jobs a second, claimed and completed in batches; of those that the bulk left.
claims() { # queue
  local took left
  query "$1" "vacuum (analyze) ${table[$1]}"
  took=$(pgbench_seconds "$1" claim "$claimers" $((jobs / batch)))
  left=$(query "$1" "select count(*) from ${table[$1]} where ${waiting[$1]}")
  awk -v jobs="$jobs" -v left="$left" -v took="$took" 'BEGIN { printf "%.0f\n", (jobs - left) / took }'
}

until_empty() { while [ "$(query nebula "select count(*) from nebula.outbox_live")" != 0 ]; do sleep 0.2; done; }

# So many committed events that no webhook wants, done by one worker that runs: jobs a second between the first and the last that was finished.
nebula_worker() {
  empty nebula
  start_worker
  query nebula "select count(nebula.emit('bench.noop', '{}', null, '$tenant')) from generate_series(1, $jobs)" >/dev/null
  until_empty
  query nebula "select round((count(*) / extract(epoch from max(finished_at) - min(finished_at)))::numeric) from nebula.outbox_finished where type = 'bench.noop'"
  stop_worker
}

# Milliseconds from before the commit until after the first attempt, the 99th of a hundred. The tenant has a webhook, for other events: without one nobody would wait for these.
nebula_latency() {
  empty nebula
  query nebula "insert into nebula.webhook_subscription (tenant_id, url, events, secret_sealed, secret_key_version) values ('$tenant', 'https://bench.test/', '{bench.other}', '\\x00', 1)" >/dev/null
  start_worker
  "$NEBULA_PG_BINDIR/pgbench" -n -M prepared -c 4 -j 1 -R "$rate" -T "$seconds" -D tenant="$tenant" -D type=bench.tick -f "$dir/nebula_emit.sql" "$NEBULA_ADMIN_DATABASE_URL" >/dev/null 2>&1
  until_empty
  query nebula "select round((percentile_cont(0.99) within group (order by extract(epoch from finished_at - created_at)) * 1000)::numeric, 1) from nebula.outbox_finished where type = 'bench.tick'"
  query nebula "delete from nebula.webhook_subscription where tenant_id = '$tenant'" >/dev/null
  stop_worker
}

for _ in $(seq "$rounds"); do
  for queue in "${queues[@]}"; do sample "${queue}_emits" "$(emits "$queue")"; done
  for queue in "${queues[@]}"; do
    sample "${queue}_bulk" "$(bulk "$queue")"
    sample "${queue}_claims" "$(claims "$queue")"
    empty "$queue"
  done
  sample nebula_worker "$(nebula_worker)"
  sample graphile_worker "$("$node" "$js/graphile.mjs" throughput "$jobs")"
  sample boss_worker "$("$node" "$js/boss.mjs" throughput "$jobs")"
  sample nebula_p99_ms "$(nebula_latency)"
  sample graphile_p99_ms "$("$node" "$js/graphile.mjs" latency "$rate" "$seconds")"
  sample boss_p99_ms "$("$node" "$js/boss.mjs" latency "$rate" "$seconds")"
done

# Beside the better one of the two.
beside_better() { # what name aim
  local better=graphile-worker samples=graphile_$2
  if awk -v a="$(of "boss_$2")" -v b="$(of "graphile_$2")" 'BEGIN { exit !(a > b) }'; then better=pg-boss samples=boss_$2; fi
  result "$1" "nebula_$2" "$better" "$samples" /s "$3"
}
beside_better "single emits, $emitters clients" emits ">= 2"
beside_better "bulk emits, $jobs by one statement" bulk ">= 2"
beside_better "claim and complete in batches of $batch, $claimers clients" claims ">= 1.5"
beside_better "one worker, $jobs no-op jobs waiting" worker ">= 1"
for name in emits bulk claims; do
  result "the same: $name" "nebula_$name" "the same rows by hand" "hand_$name" /s ""
  result "the same" "nebula_$name" "a bare table" "bare_$name" /s ""
done
result "from the commit to the first attempt at $rate/s, 99th percentile" nebula_p99_ms "what is asked for" 50 ms "<= 1"
result "the same" nebula_p99_ms graphile-worker graphile_p99_ms ms ""
result "the same" nebula_p99_ms pg-boss boss_p99_ms ms ""
report "The outbox"
