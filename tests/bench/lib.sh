# What every bench shares (sourced): a cluster, an edge and a worker of its own under target/bench-NAME, samples, and the table and chart made of them.
# Only ratios mean anything: machines are shared and noisy. So what is compared runs in turns, in one run on one cluster, and the median of the rounds' ratios counts.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
seconds=${SECONDS_EACH:-8}
rounds=${ROUNDS:-3}
# Where a bench's own servers listen, counted from here: below the ports that the system gives to clients, of which a bench leaves thousands in TIME_WAIT.
ports=21000

# Starts Nebula for the bench of this name, until the script ends; sets $dir and what `nebula up` wrote into its env.
start() { # name
  bench=$1
  dir=$root/target/bench-$bench
  mkdir -p "$dir"
  "$NEBULA" up --dir "$dir" --pg-bindir "$NEBULA_PG_BINDIR" >/dev/null
  trap '"$NEBULA" down --dir "$dir" --pg-bindir "$NEBULA_PG_BINDIR" >/dev/null' EXIT
  # shellcheck disable=SC1091
  source "$dir/env"
  : >"$dir/samples.tsv"
  : >"$dir/result.tsv"
}

# Stops the bench's worker, and waits until it is gone.
stop_worker() {
  local pid
  pid=$(cat "$dir/worker.pid")
  if kill "$pid" 2>/dev/null; then while kill -0 "$pid" 2>/dev/null; do sleep 0.1; done; fi
}

# A copy of the database of `nebula up` beside it, with the same signing key, in place of one of that name.
copy_database() { # name
  psql -qX -d postgres -c "drop database if exists $1 with (force)" -c "create database $1" 2>>"$dir/psql.log"
  "$NEBULA_PG_BINDIR/pg_dump" -Fc -d "$NEBULA_ADMIN_DATABASE_URL" | "$NEBULA_PG_BINDIR/pg_restore" -d "${NEBULA_ADMIN_DATABASE_URL%/*}/$1"
}

servers=()
# An edge for a database, as `nebula up` starts it, until the script ends; prints nothing, and sets $url.
serve_edge() { # name port
  (cd "$dir" && NEBULA_DATABASE_URL=${NEBULA_DATABASE_URL%/*}/$1 NEBULA_LISTEN=127.0.0.1:$2 NEBULA_PREPARED_STATEMENTS=true exec "$NEBULA" serve >"$1.edge.log" 2>&1) &
  servers+=($!)
  trap 'kill "${servers[@]}" || true; wait "${servers[@]}" || true; "$NEBULA" down --dir "$dir" --pg-bindir "$NEBULA_PG_BINDIR" >/dev/null' EXIT
  url=http://127.0.0.1:$2
  for _ in $(seq 100); do curl -sf "$url/health/ready" >/dev/null && return; sleep 0.1; done
  echo "the edge of $1 does not become ready; its log is in $dir" >&2
  exit 1
}

call() { # method path token body
  curl -sf -X "$1" "$NEBULA_URL$2" -H "Authorization: Bearer $3" -H 'Content-Type: application/json' ${4:+-d "$4"}
}

# A tenant with so many requests a minute, whose admin has a password; prints its id.
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
    -d "{\"tenant\":\"$1\",\"email\":\"admin@bench.test\",\"password\":\"uma-senha-de-bench\"}" | jq -r .data.accessToken
}

# Transactions a second of a script.
pgbench_tps() { # url clients script arguments...
  local url=$1 clients=$2 script=$3
  shift 3
  "$NEBULA_PG_BINDIR/pgbench" -n -M prepared -c "$clients" -j "$((clients < 2 ? 1 : 2))" -T "$seconds" -f "$script" "$@" "$url" 2>>"$dir/pgbench.log" |
    sed -n 's/^tps = \([0-9.]*\).*/\1/p'
}

# Requests a second of a script of wrk's; every answer must be a success.
wrk_rps() { # token clients script path
  TOKEN=$1 wrk -t 2 -c "$2" -d "${seconds}s" -s "$here/$3" "$NEBULA_URL$4" | tee -a "$dir/wrk.log" |
    awk '/Requests\/sec/ { rps = $2 } /Non-2xx/ { bad = 1 } END { if (bad) { print "answers other than 2xx" > "/dev/stderr"; exit 1 } print rps }'
}

# One measurement of what has this name.
sample() { # name value
  [ -n "$2" ] || { echo "$1: nothing was measured; the logs are in $dir" >&2; exit 1; }
  printf '%s\t%s\n' "$1" "$2" | tee -a "$dir/samples.tsv"
}

# The median of a name's samples.
of() { # name
  awk -F '\t' -v name="$1" '$1 == name { print $2 }' "$dir/samples.tsv" | sort -g | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'
}

# A line of the result: what it is and its samples, what it is divided by and the samples of that, the unit of both, and what the ratio should be (">= 1.1"; "" where there is no aim).
# In place of samples a number. Where both have some, the ratio is the median of the rounds': what a machine does to one sample, it does to the one beside it.
result() { # what samples beside samples unit aim
  printf '%s\t%s\t%s\t%s\t%s\t%s\n' "$@" >>"$dir/result.tsv"
}

# Prints the table, and writes it and a chart beside the samples; the chart for the documentation where DOCS is set.
report() { # title
  python3 "$here/report.py" "$1" "$dir/result.tsv" "$dir/samples.tsv" "$dir/result.svg" | tee "$dir/result.md"
  if [ -n "${DOCS:-}" ]; then mkdir -p "$root/docs/performance" && cp "$dir/result.svg" "$root/docs/performance/$bench.svg"; fi
}
