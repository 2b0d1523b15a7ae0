# shellcheck shell=bash disable=SC2154,SC2164 # count.sh, which sources this, sets what is used here, and -e
# The database's part (sourced by count.sh): a Postgres under callgrind, a session for each path.
home=$(cat "$dir/postgres_home")
cc -O1 -shared -fPIC "-I$("$PGRX_PG_CONFIG_PATH" --includedir-server)" "$parts/counter.c" -o "$home/counter.so"
psql -qX -v tenant="$tenant" -v counter="$home/counter.so" -f "$parts/prepare.sql" >/dev/null
user=$(psql -qXAtc "select id from nebula.user where email = 'p1@bench.test'")

# Events that no worker takes: each call of the path takes a hundred.
stop_worker
psql -qX -c "select count(nebula.emit('bench.noop', '{}', null, '$tenant')) from generate_series(1, 3000)" -c 'vacuum (freeze, analyze)' >/dev/null
stop

# Only the backend counts, and nothing happens by the clock.
as_owner=()
mkdir -p "$home/counts"
if [ "$(id -u)" = 0 ]; then
  as_owner=(runuser -u "$(stat -c %U "$home/postgres")" --)
  chown --reference="$home/postgres" "$home/counts"
fi
(
  cd "$home"
  exec "${as_owner[@]}" "${callgrind[@]}" --instr-atstart=no --callgrind-out-file="$home/counts/backend.%p" --log-file="$home/counts/log" "$NEBULA_PG_BINDIR/postgres" -D "$home/postgres" \
    -c fsync=off -c autovacuum=off -c checkpoint_timeout=1d -c max_wal_size=16GB -c bgwriter_lru_maxpages=0 -c wal_writer_delay=10s >"$dir/postgres-counted.log" 2>&1
) &
server=$!
stop_server() {
  kill -INT "$(head -n 1 "$home/postgres/postmaster.pid")"
  wait $server || true
}
trap stop_server EXIT
for _ in $(seq 100); do "$NEBULA_PG_BINDIR/pg_isready" -q -h 127.0.0.1 -p "$PGPORT" && break; sleep 0.2; done

# As many calls as windows.sql says, or fewer pairs of windows. Under callgrind a statement may take longer than a role's statements may.
path() { # name login n script arguments...
  local name=$1 url=$2 n=$3 script=$4
  shift 4
  wants "$name" || return 0
  counts_calls "$name" "$n"
  cat "$parts/windows.sql" "$parts/paths/$script.sql" >"$dir/path.sql"
  PGOPTIONS='-c statement_timeout=0' "$NEBULA_PG_BINDIR/pgbench" -n -M prepared -c 1 -t $(((2 + 4 * ${pairs:-3}) * n + 1)) -f "$dir/path.sql" -D name="$name" \
    -D number=0 -D window=-1 -D n="$n" -D tenant="$tenant" "$@" "$url" >"$dir/pgbench.log" 2>&1 || { cat "$dir/pgbench.log" >&2; return 1; }
}
asks() { # operation credential members
  echo "{\"operation\":\"$1\",\"requestId\":\"bench-00\",\"credential\":\"$2\",\"ip\":\"203.0.113.7\"${3:-}}"
}
creates() { # key
  echo ",\"idempotencyKey\":\"$1\",\"body\":{\"email\":\"u$1@bench.test\",\"name\":\"Bench User\"}"
}

# Where rows are written, pages fill and split now and then: many calls, so that it evens out.
edge=$NEBULA_DATABASE_URL
bound=postgresql://nebula_bench:bench@127.0.0.1:$PGPORT/$PGDATABASE
path users.create "$edge" 15 handle_each -D "request=$(asks users.create "$token" "$(creates '#')")"
path users.create.replayed "$edge" 6 handle -D "request=$(asks users.create "$token" "$(creates replayed)")"
path users.create.refused "$edge" 15 handle -D "request=$(asks users.create "$reader" "$(creates refused)")"
path users.list "$edge" 3 handle -D "request=$(asks users.list "$token" ',"query":{"limit":"50"}')"
path me.read "$edge" 6 handle -D "request=$(asks me.read "$token")"
members=",\"params\":{\"id\":\"$group\"}"
path groups.permissions "$edge" 15 grant_and_revoke -D "grant=$(asks groups.permissions.grant "$token" "$members,\"body\":{\"permissions\":[{\"action\":\"users.list\"}]}")" \
  -D "revoke=$(asks groups.permissions.revoke "$token" ",\"params\":{\"id\":\"$group\",\"permissionId\":\"#\"}")"
path can "$bound" 40 can
path call.users.read "$bound" 6 call -D "input={\"id\":\"$user\"}"
path insert.1 "$bound" 20 insert_1
pairs=1 path insert.1000 "$bound" 1 insert_1000
path emit "$NEBULA_ADMIN_DATABASE_URL" 15 emit
pairs=1 path emit.1000 "$NEBULA_ADMIN_DATABASE_URL" 1 emit_1000 -D "data=[{}$(printf ', {}%.0s' {2..1000})]"
pairs=1 path claim.100 "$NEBULA_WORKER_DATABASE_URL" 2 claim
# The first calls hand on what no claim took.
path emit.relayed "$NEBULA_ADMIN_DATABASE_URL" 15 emit_and_relay

trap - EXIT
stop_server
cp "$home"/counts/backend.* "$counts"
