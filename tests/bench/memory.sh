#!/usr/bin/env bash
# Memory (docs/performance.md): of the edge while many connections are open that have all been served, and of one backend after it has seen the rights of many tenants,
# stage by stage and part by part. Called by `make bench-memory`; TENANTS and CONNECTIONS make it smaller.
# shellcheck source=lib.sh
source "$(dirname "$0")/lib.sh"
# shellcheck source=tenants.sh
source "$here/tenants.sh"
tenants=${TENANTS:-10000}
connections=${CONNECTIONS:-256}
start memory
fill_database tenants "$tenants" "$((2 * tenants))" 0 1
serve_database tenants $((ports + 1))
edge=${servers[0]}
: >"$dir/parts.tsv"

# The parts of a process' memory, under the name of a stage.
parts() { # stage pid
  python3 "$here/memory.py" "$2" | sed "s/^/$1\t/" >>"$dir/parts.tsv"
}
sockets() { # pid
  find "/proc/$1/fd" -lname 'socket:*' | wc -l
}
# MiB of a stage's part.
mib_of() { # stage part
  awk -F '\t' -v stage="$1" -v part="$2" '$1 == stage && $2 == part { print $3 / 1024 }' "$dir/parts.tsv"
}

# ---- The edge: every connection asks again and again, and pages of people are the largest answers there are.
parts "edge, started" "$edge"
log_in_all tenants "$url" "$tenants" "$dir/tenants.tokens"
# What the edge holds at the end of a load, while every connection is open.
loaded() { # kind stage
  spread "$url" "$dir/tenants.tokens" "$1" "$connections" "$seconds" >"$dir/spread.txt" &
  local load=$! last=""
  while kill -0 $load 2>/dev/null; do
    [ "$(sockets "$edge")" -lt "$connections" ] || last=$(python3 "$here/memory.py" "$edge")
    sleep 0.1
  done
  wait $load
  [ -n "$last" ] || { echo "never were $connections connections open" >&2; exit 1; }
  awk -v stage="$2" '{ print stage "\t" $0 }' <<<"$last" >>"$dir/parts.tsv"
}
for kind in me write list; do
  loaded $kind "edge, $connections connections, $kind"
done
# A password's key is derived in 19 MiB, by several requests at the same time.
slug=bench-login-$(date +%s)
NEBULA_URL=$url onboard "$slug" 100000000 >/dev/null
logins=()
for _ in $(seq 8); do NEBULA_URL=$url login "$slug" >/dev/null & logins+=($!); done
wait "${logins[@]}"
loaded list "edge, $connections connections, after logins"

# ---- A backend of the edge's login: one session, as the edge uses its own.
psql -qX -d tenants -c "grant select on pg_backend_memory_contexts to nebula_edge" -c "grant execute on function pg_get_backend_memory_contexts() to nebula_edge" >/dev/null
psql -qX -d tenants -v keys="$tenants" -f "$here/api_keys.sql" >"$dir/api_keys.tsv"
python3 "$here/tokens.py" nbk_ <"$dir/api_keys.tsv" >"$dir/api_keys"
# Statements that ask so many lines of a file for one operation; what is gathered is written as often as the edge does it.
asks() { # file from to operation
  sed -n "$2,$3p" "$1" | awk -v operation="$4" -v query="$([ "$4" = me.read ] || echo ',"query":{"limit":"5"}')" '
    function hyphens(t) { return substr(t, 1, 8) "-" substr(t, 9, 4) "-" substr(t, 13, 4) "-" substr(t, 17, 4) "-" substr(t, 21) }
    { tenant = /^nbk_/ ? hyphens(substr($0, 5, 32)) : $2
      printf "execute ask(\047%s\047, \047{\"operation\":\"%s\",\"requestId\":\"bench-00\",\"credential\":\"%s\"%s}\047);\n", tenant, operation, $1, query }
    NR % 1000 == 0 { print "select 200 from nebula.flush();" }'
}
stage() { # name
  cat <<SQL
\\setenv STAGE '$1'
\\! python3 "\$BENCH/memory.py" "\$BACKEND" | sed "s/^/\$STAGE\\t/" >>"\$PARTS"
select '$1' || e'\\tcontexts\\t' || sum(total_bytes) / 1024 from pg_backend_memory_contexts
union all select '$1' || e'\\tcontext ' || name || e'\\t' || sum(total_bytes) / 1024 from pg_backend_memory_contexts group by name having sum(total_bytes) > 65536 \\g |cat >>"\$PARTS"
SQL
}
# A person's token names its tenant in its claims.
head -n 5000 "$dir/tenants.tokens" | jq -Rr '. + " " + (split(".")[1] | gsub("-"; "+") | gsub("_"; "/") | @base64d | fromjson | .tenantId)' >"$dir/people"
{
  printf '%s\n' 'set statement_timeout = 0;' 'select pg_backend_pid() as pid \gset' '\setenv BACKEND :pid'
  stage "backend, connected"
  # shellcheck disable=SC2016
  echo 'prepare ask (uuid, json) as select status from nebula.handle($1, $2);'
  asks "$dir/api_keys" 1 1 me.read
  stage "backend, me of 1 tenant"
  asks "$dir/api_keys" 1 20 users.list
  stage "backend, lists of 20 tenants"
  asks "$dir/api_keys" 21 500 users.list
  stage "backend, lists of 500 tenants"
  asks "$dir/api_keys" 501 2000 users.list
  stage "backend, lists of 2,000 tenants"
  asks "$dir/api_keys" 2001 "$tenants" users.list
  stage "backend, lists of $tenants tenants"
  asks "$dir/people" 1 5000 users.list
  stage "backend, and of 5,000 people"
} >"$dir/backend.sql"
PARTS=$dir/parts.tsv BENCH=$here psql -qXAt -v ON_ERROR_STOP=1 "${NEBULA_DATABASE_URL%/*}/tenants" -f "$dir/backend.sql" | sort | uniq -c >"$dir/statuses"
awk '$2 != 200 { exit 1 }' "$dir/statuses" || { cat "$dir/statuses" >&2; exit 1; }

# What each stage holds, MiB; below it the contexts of Postgres' that are larger than 64 KiB, at the end.
awk -F '\t' '
  !($1 in seen) { seen[$1] = 1; stages[++n] = $1 }
  { kib[$1, $2] = $3 }
  END {
    split("resident private allocated contexts library server_and_rest shared_memory", part, " ")
    printf "| stage, MiB |"; for (i = 1; i <= 7; i++) printf " %s |", part[i]; print ""
    print "|---|---|---|---|---|---|---|---|"
    for (s = 1; s <= n; s++) {
      printf "| %s |", stages[s]
      for (i = 1; i <= 7; i++) printf " %s |", (stages[s], part[i]) in kib ? sprintf("%.1f", kib[stages[s], part[i]] / 1024) : ""
      print ""
    }
  }' "$dir/parts.tsv" | tee "$dir/parts.md"
awk -F '\t' -v last="backend, and of 5,000 people" '$1 == last && $2 ~ /^context / { printf "%s: %.1f MiB\n", substr($2, 9), $3 / 1024 }' "$dir/parts.tsv" | sort -t : -k 2 -gr | head -n 8
limit="the most it should be"
for kind in me write list; do
  result "the edge, resident, $connections connections served ($kind)" "$(mib_of "edge, $connections connections, $kind" resident)" "$limit" 40 MiB "<= 1"
done
result "the same after eight logins at the same time" "$(mib_of "edge, $connections connections, after logins" resident)" "$limit" 40 MiB "<= 1"
result "a backend, private, rights of $tenants tenants seen" "$(mib_of "backend, lists of $tenants tenants" private)" "$limit" 12 MiB "<= 1"
result "the same and tokens of 5,000 people" "$(mib_of "backend, and of 5,000 people" private)" "$limit" 12 MiB "<= 1"
report "Memory"
