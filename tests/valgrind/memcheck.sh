#!/usr/bin/env bash
# Runs one of each hot call in Postgres backends under valgrind's memcheck, and fails where it finds an error with a frame of nebula.so. Called by `make test-valgrind`.
#
# What this can see: every read or write beyond what Rust, aws-lc or Postgres have from malloc, use of what was freed, and decisions on memory that nobody has written.
# What it can't: Debian's server is not built with USE_VALGRIND, so that palloc's chunks are parts of a block to valgrind. An overrun from one chunk into the next, and the
# use of a chunk after pfree, go unseen until the block itself is freed; so does reading what palloc has recycled.
# shellcheck source-path=SCRIPTDIR source=../bench/lib.sh
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$here/../bench/lib.sh"
own=$root/tests/valgrind
parts=$root/tests/bench/instructions

stop() { "$NEBULA" down --dir "$dir" --pg-bindir "$NEBULA_PG_BINDIR" >/dev/null; }
dir=$root/target/bench-memcheck
if [ -f "$dir/postgres_home" ]; then
  stop
  rm -rf "$(cat "$dir/postgres_home")/postgres" "$dir"
fi
start memcheck
tenant=$(onboard hot 1000000000)
token=$(login hot)
key() { call POST /v1/api-keys "$token" "{\"name\":\"$1\",\"profile\":\"$1\"}" | jq -re .data.secret; } # profile
reader=$(key read-only)
key admin >/dev/null
home=$(cat "$dir/postgres_home")
cc -O1 -shared -fPIC "-I$("$PGRX_PG_CONFIG_PATH" --includedir-server)" "$parts/counter.c" -o "$home/counter.so"
psql -qX -v tenant="$tenant" -v counter="$home/counter.so" -f "$parts/prepare.sql" >/dev/null
stop_worker
stop

as_owner=()
logs=$home/memcheck
rm -rf "$logs" && mkdir -p "$logs"
cp "$own/postgres.supp" "$logs/"
if [ "$(id -u)" = 0 ]; then
  as_owner=(runuser -u "$(stat -c %U "$home/postgres")" --)
  chown -R --reference="$home/postgres" "$logs"
fi
(
  cd "$home"
  exec "${as_owner[@]}" valgrind --tool=memcheck --leak-check=no --num-callers=40 --track-origins=no --suppressions="$logs/postgres.supp" \
    --log-file="$logs/%p.log" "$NEBULA_PG_BINDIR/postgres" -D "$home/postgres" -c fsync=off -c autovacuum=off -c shared_preload_libraries=nebula \
    -c statement_timeout=0 >"$dir/postgres-memcheck.log" 2>&1
) &
server=$!
stop_server() {
  kill -INT "$(head -n 1 "$home/postgres/postmaster.pid")" 2>/dev/null || true
  wait $server || true
}
trap stop_server EXIT
for _ in $(seq 300); do "$NEBULA_PG_BINDIR/pg_isready" -q -h 127.0.0.1 -p "$PGPORT" && break; sleep 0.2; done

export PGOPTIONS='-c statement_timeout=0 -c idle_in_transaction_session_timeout=0'
calls=0
runs() { # url statements: what is refused is a part of it
  calls=$((calls + $(grep -o ';' <<<"$2" | wc -l)))
  "$NEBULA_PG_BINDIR/psql" -qXAt -o /dev/null "$1" <<<"$2" 2>>"$dir/refusals.log" || true
}
sends() { # operation credential members
  echo "select * from nebula.handle('$tenant', \$q\${\"operation\":\"$1\",\"requestId\":\"memcheck\",\"credential\":\"$2\",\"ip\":\"203.0.113.7\"${3:-}}\$q\$::json);"
}
edge=$NEBULA_DATABASE_URL
bound=postgresql://nebula_bench:bench@127.0.0.1:$PGPORT/$PGDATABASE
create=',"idempotencyKey":"m1","body":{"email":"m1@bench.test","name":"M"}'
runs "$edge" "$(sends me.read "$token") $(sends users.list "$token" ',"query":{"limit":"50"}') $(sends users.create "$token" "$create") $(sends users.create "$token" "$create")
  $(sends users.create "$reader" "$create") $(sends me.read "${token%????}AAAA") $(sends me.read nonsense) $(sends groups.create "$token" ',"body":{"name":"g"}')
  $(sends users.create "$token" ',"body":{"email":7}') $(sends audit_logs.list "$token") $(sends webhooks.list "$token") select nebula.edge_state(); select nebula.readiness(); select nebula.openapi();
  select nebula.login_challenge('hot', 'p1@bench.test', '203.0.113.7'); select nebula.password_challenge('$tenant', '$token', '203.0.113.7'); select nebula.flush();
  begin; $(sends me.read "$token") savepoint a; $(sends groups.create "$token" ',"body":{"name":"h"}') rollback to a; $(sends me.read "$token") commit;"
runs "$bound" "select nebula.can('users.read'); select nebula.why('users.read'); select nebula.current_tenant(); select nebula.current_actor(); select nebula.call('users.list', '{\"limit\":50}');
  select nebula.call('users.read', '{\"id\":7}'); insert into public.orders (total, note) select n, 'x' from generate_series(1, 600) n; update public.orders set note = 'y' where total < 500;
  delete from public.orders where total < 20; select count(*) from public.orders; begin; savepoint a; select nebula.call('nothing', '{}'); rollback to a; select nebula.can('x'); commit;"
runs "$NEBULA_ADMIN_DATABASE_URL" "select nebula.emit('bench.noop', '{\"a\":[1,null,\"x\"]}', 'agg', '$tenant') from generate_series(1, 300); select nebula.emit_each('bench.noop', '[{\"n\":1},{\"n\":2}]', '$tenant');
  select count(*) from nebula.doctor(); select count(*) from nebula.metrics(); select nebula.seed(); select nebula.ensure_partitions(2); select count(*) from nebula.prove_isolation();"
runs "$NEBULA_WORKER_DATABASE_URL" "select nebula.may_deliver(); select nebula.relay('w', 100); select count(*) from nebula.claim('w', 50, '1 minute', 10, '{}');
  with c as materialized (select id, attempt from nebula.claim('w', 50, '1 minute')) select nebula.complete('w', array_agg(id), array_agg(attempt)) from c; select nebula.wait_for_work(50); select * from nebula.await_work(50); select count(*) from nebula.metrics();
  select count(*) from nebula.audit_tenants(); select count(*) from nebula.audit_rows('$tenant', 0, null, 100);"
trap - EXIT
stop_server

python3 - "$logs" "$calls" <<'PYTHON'
import pathlib, re, sys

# A backend is forked, and writes into its parent's log: each line begins with its process.
lines = {}
for log in pathlib.Path(sys.argv[1]).glob("*.log"):
    for line in log.read_text(errors="replace").splitlines():
        if found := re.match(r"==(\d+)== ?(.*)", line):
            lines.setdefault(found[1], []).append(found[2])
ours, others, processes = [], 0, len(lines)
for text in lines.values():
    for block in "\n".join(text).split("\n\n"):
        if not re.search(r"^(Invalid|Conditional|Use of uninit|Syscall param|Source and dest|Mismatched|Process terminating|Jump to)", block, re.M):
            continue
        if "nebula.so" in block or "nebula::" in block:
            ours.append(block)
        else:
            others += 1
print(f"memcheck: {sys.argv[2]} statements in {processes} processes, {len(ours)} errors with a frame of nebula.so, {others} without")
for block in ours[:20]:
    print(block, end="\n\n")
sys.exit(bool(ours) or processes < 6)
PYTHON
