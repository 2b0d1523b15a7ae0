# shellcheck shell=bash disable=SC2154,SC2164 # count.sh, which sources this, sets what is used here, and -e
# The edge's part (sourced by count.sh): an edge under callgrind, one connection, one request after the other. What the database does meanwhile is not counted.
edge_port=$((ports + 9))
sent=0

(
  cd "$dir"
  NEBULA_LISTEN=127.0.0.1:$edge_port TOKIO_WORKER_THREADS=1 exec "${callgrind[@]}" --instr-atstart=no --callgrind-out-file="$counts/edge.%p" \
    --log-file="$dir/edge-valgrind.log" "$NEBULA" serve >"$dir/edge-counted.log" 2>&1
) &
counted_edge=$!
trap 'kill $counted_edge || true; stop' EXIT
for _ in $(seq 100); do curl -sf "http://127.0.0.1:$edge_port/health/ready" >/dev/null && break; sleep 0.2; done
kill -0 $counted_edge || { echo "the edge under callgrind has ended:" >&2; cat "$dir/edge-counted.log" >&2; exit 1; }
tell_edge() { callgrind_control "$@" $counted_edge >"$dir/callgrind_control.log" 2>&1 || { cat "$dir/callgrind_control.log" "$dir/edge-counted.log" >&2; return 1; }; }
tell_edge --instr=on

# So many requests by one connection, each with an idempotency key of its own if there is a body; all must be answered with this status.
edge_requests() { # count status token path body
  local answers at
  for at in $(seq "$1"); do
    sent=$((sent + 1))
    if [ "$at" != 1 ]; then echo next; fi
    printf 'silent\noutput = /dev/null\nwrite-out = "%%{http_code}\\n"\nurl = "http://127.0.0.1:%s%s"\nheader = "Authorization: Bearer %s"\n' "$edge_port" "$4" "$3"
    if [ -n "${5:-}" ]; then
      printf 'header = "Content-Type: application/json"\nheader = "Idempotency-Key: edge-%06d"\ndata = "%s"\n' $sent "${5//#/$(printf %06d $sent)}"
    fi
  done >"$dir/requests"
  # Where curl fails, its codes say so.
  answers=$({ curl -K "$dir/requests" || true; } | sort | uniq -c | awk '{ print $1, $2 }')
  if [ "$answers" != "$1 $2" ]; then echo "answers to $4: $answers" >&2; return 1; fi
}

# A window after the other; callgrind writes each when told to.
edge_path() { # name n status token path body
  local name=$1 n=$2 window
  shift 2
  wants "$name" || return 0
  counts_calls "$name" "$n"
  for window in 0 1 2 3 4 5 6; do
    edge_requests $((window % 2 ? n : 3 * n)) "$@"
    tell_edge "--dump=$name/$window"
  done
}

edge_path edge.me.read 20 200 "$token" /v1/me
edge_path edge.users.list 20 200 "$token" '/v1/users?limit=50'
edge_path edge.users.create 20 201 "$token" /v1/users '{\"email\":\"e#@bench.test\",\"name\":\"Bench User\"}'
# The signature is another's.
edge_path edge.refused 20 401 "${token%????????}AAAAAAAA" /v1/me

trap stop EXIT
kill $counted_edge
wait $counted_edge || true
