# shellcheck shell=bash
# What the benches with many tenants share (sourced, after lib.sh): databases full of them, an edge and a worker for each, logins, and requests of them all.

# An empty database beside the one of `nebula up`, with the same signing key; nothing happens where it is there with this comment. Returns whether it was made.
fresh_database() { # name comment
  local name=$1
  [ "$(psql -qXAt -d postgres -c "select shobj_description(oid, 'pg_database') from pg_database where datname = '$name'")" != "$2" ] || return 1
  copy_database "$name"
}

# So many tenants, with so much of everything, in a database of its own; kept for the next run. A bench that was stopped on the way leaves none.
fill_database() { # name tenants users audit_rows answers
  if fresh_database "$1" "$*"; then
    echo "filling $1: $2 tenants, $3 people, $4 audit rows, $5 kept answers" >&2
    psql -qX -d "$1" -v tenants="$2" -v users="$3" -v audit_rows="$4" -v answers="$5" -f "$here/tenants.sql" >/dev/null
    psql -qX -d "$1" -c 'select nebula.adopt_here()' >/dev/null
    psql -qX -d postgres -c "comment on database $1 is '$*'" -c checkpoint
  fi
}

# An edge and a worker for a database, as `nebula up` starts them, until the script ends; prints nothing, and sets $url.
serve_database() { # name port
  serve_edge "$1" "$2"
  (cd "$dir" && NEBULA_WORKER_DATABASE_URL=${NEBULA_WORKER_DATABASE_URL%/*}/$1 exec "$NEBULA" worker >"$1.worker.log" 2>&1) &
  servers+=($!)
}

# Access tokens of the first so many tenants' administrators, into a file. They are good for a quarter of an hour.
log_in_all() { # database url logins file
  psql -qX -d "$1" -v logins="$3" -f "$here/sessions.sql" | python3 "$here/tokens.py" nbr_ "$2" >"$4"
}

# Requests of all tenants of a file at random, by so many connections; prints requests a second, the percentiles 99, 50 and 99.9 in milliseconds, and the part that was sent
# late. With RATE as many a second as it says, whatever the answers do.
spread() { # url file kind connections seconds
  KIND=$3 TOKENS=$2 wrk -t 2 -c "$4" -d "$5s" -s "$here/spread.lua" "$1" | tee -a "$dir/wrk.log" |
    awk '$1 == "spread" { if ($6 > 0) { print $6 " answers were no success" > "/dev/stderr"; exit 1 } print $2, $3, $4, $5, $7; found = 1 } END { exit !found }'
}
