#!/usr/bin/env bash
# Runs each path in an edge or a Postgres backend under callgrind, and puts what that counted into a folder, with calls.tsv: how many calls lie between a path's windows.
# PATHS names the paths to run (all), SEPARATE_CALLERS how much of the way to a function its count is kept apart by (not at all).
# shellcheck source-path=SCRIPTDIR source=../lib.sh
source "$(dirname "$0")/../lib.sh"
parts=$here/instructions
counts=$1
mkdir -p "$counts"

stop() { "$NEBULA" down --dir "$dir" --pg-bindir "$NEBULA_PG_BINDIR" >/dev/null; }

# A cluster as old as this run: what is in it decides how much there is to do.
dir=$root/target/bench-instructions
if [ -f "$dir/postgres_home" ]; then
  stop
  rm -rf "$(cat "$dir/postgres_home")/postgres" "$dir"
fi
start instructions

tenant=$(onboard hot 1000000000)
token=$(login hot)
key() { call POST /v1/api-keys "$token" "{\"name\":\"$1\",\"profile\":\"$1\"}" | jq -re .data.secret; } # profile
reader=$(key read-only)
key admin >/dev/null
group=$(call POST /v1/groups "$token" '{"name":"bench"}' | jq -re .data.id)

# Addresses are the same each time where that is allowed: what is hashed by address would be walked in another order otherwise.
callgrind=(valgrind --tool=callgrind)
if setarch "$(uname -m)" -R true 2>/dev/null; then callgrind=(setarch "$(uname -m)" -R "${callgrind[@]}"); fi

if [ -n "${SEPARATE_CALLERS:-}" ]; then callgrind+=("--separate-callers=$SEPARATE_CALLERS"); fi

wants() { [ -z "${PATHS:-}" ] || [[ " $PATHS " == *" $1 "* ]]; } # path
# What callgrind writes is named by path and window: window 0 is what came before, odd ones have n calls, even ones 3 * n.
counts_calls() { printf '%s\t%s\n' "$1" $((2 * $2)) >>"$counts/calls.tsv"; } # path n

if [ -z "${PATHS:-}" ] || [[ "$PATHS" == *edge.* ]]; then
  # shellcheck source-path=SCRIPTDIR source=edge.sh
  source "$parts/edge.sh"
fi
# shellcheck source-path=SCRIPTDIR source=backend.sh
source "$parts/backend.sh"
