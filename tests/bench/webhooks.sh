#!/usr/bin/env bash
# Deliveries of webhooks by one worker to a receiver on this machine, beside the same signed requests sent by a plain client over as many connections, which it keeps
# open (docs/performance.md). Called by `make bench-webhooks`. DELIVERIES, CONCURRENCY and ROUNDS change its size.
# shellcheck source=lib.sh
source "$(dirname "$0")/lib.sh"
start webhooks
deliveries=${DELIVERIES:-20000}
# Requests at once, of either side.
concurrency=${CONCURRENCY:-16}
loopback=$root/target/release/examples/loopback
port=$((ports + 13))

processes=()
stop() {
  for process in "${processes[@]}"; do kill "$process" 2>/dev/null || true; done
  "$NEBULA" down --dir "$dir" --pg-bindir "$NEBULA_PG_BINDIR" >/dev/null
}
trap stop EXIT
"$loopback" receive "$port" &
processes+=($!)

# The worker of `nebula up` refuses loopback addresses. One that doesn't is started for each sample, when the events are there.
kill "$(cat "$dir/worker.pid")"
run_worker() {
  (
    cd "$dir"
    NEBULA_ALLOW_LOOPBACK_WEBHOOKS=true NEBULA_WORKER_HOST_CONCURRENCY=$concurrency NEBULA_WORKER_TENANT_CONCURRENCY=$((4 * concurrency)) \
      NEBULA_WORKER_CONCURRENCY=$((4 * concurrency)) exec "$NEBULA" worker >>worker.log 2>&1
  ) &
  worker=$!
  echo "$worker" >"$dir/worker.pid"
  processes+=("$worker")
}

# The setting exists where the library is loaded; a reload reaches the edge's sessions.
psql -qX -v ON_ERROR_STOP=1 -c "load '\$libdir/nebula'" -c "alter system set nebula.allow_loopback_webhooks = on" -c "select pg_reload_conf()" >/dev/null
sleep 1
tenant=$(psql -qXAt -c "select id from nebula.tenant where kind = 'platform'")
psql -qX -c "delete from nebula.outbox" -c "update nebula.webhook_subscription set status = 'suspenso'"
call POST /v1/webhooks "$NEBULA_OPERATOR_KEY" "{\"url\":\"http://127.0.0.1:$port/hook\",\"events\":[\"order.paid\"]}" >/dev/null

# Requests a second between the first and the last that the receiver got; all must have come.
measured() {
  curl -sf "http://127.0.0.1:$port/measured" | awk -v expected="$deliveries" '
    $1 < expected { print $1 " of " expected " requests came" > "/dev/stderr"; exit 1 }
    { printf "%.0f\n", $1 / $2 }'
}

delivered() {
  psql -qX -c "delete from nebula.outbox" -c "delete from nebula.webhook_delivery"
  psql -qX -c "vacuum (analyze) nebula.outbox" -c "vacuum (analyze) nebula.webhook_delivery"
  psql -qXAt -c "select count(nebula.emit('order.paid', '{\"orderId\":\"7d1b6c1e-5f0a-4b5c-9a58-3d6b6a1f2e11\",\"total\":129.9,\"currency\":\"BRL\"}', null, '$tenant')) from generate_series(1, $deliveries)" >/dev/null
  curl -sf "http://127.0.0.1:$port/measured" >/dev/null
  run_worker
  while [ "$(psql -qXAt -c "select count(*) from nebula.outbox_live")" != 0 ]; do sleep 0.2; done
  kill "$worker"
  wait "$worker" || true
  [ "$(psql -qXAt -c "select count(*) from nebula.webhook_delivery where status_code = 200")" = "$deliveries" ] || { echo "not all deliveries are recorded" >&2; return 1; }
  measured
}

sent() { # how
  curl -sf "http://127.0.0.1:$port/body" >"$dir/body.json"
  curl -sf "http://127.0.0.1:$port/measured" >/dev/null
  "$loopback" send "$port" "$deliveries" "$concurrency" "$@" <"$dir/body.json"
  measured
}

for _ in $(seq "$rounds"); do
  sample delivered "$(delivered)"
  sample sent "$(sent)"
  sample sent_once "$(sent once)"
done
result "webhooks delivered by one worker, $concurrency at once" delivered "the same requests by a plain client" sent /s ">= 0.8"
result "the same" delivered "by a client that opens a connection for each" sent_once /s ""
report "Webhooks to a receiver on the same machine"
