#!/usr/bin/env bash
# What one backend pays for rights that it has not seen yet, and keeps of those that it has (docs/performance.md): a session that speaks for one person of
# PRINCIPALS tenants after the other, then for another person of each, then for all of them again. Called by `make bench-rights`, which builds and sets NEBULA
# and NEBULA_PG_BINDIR. Reads /proc of the backend, so it runs as root or as who runs Postgres.
# shellcheck source=lib.sh
source "$(dirname "$0")/lib.sh"
start rights
# So many are asked for one by one; the memory is that of all TENANTS.
principals=${PRINCIPALS:-400}
tenants=${TENANTS:-10000}

psql -qX -v ON_ERROR_STOP=1 -v tenants="$tenants" -f "$here/rights_people.sql" >/dev/null
for _ in $(seq "$rounds"); do
  psql -qXAt -v ON_ERROR_STOP=1 -v principals="$principals" -v tenants="$tenants" -v memory="$here/memory.py" -f "$here/rights.sql" \
    "postgresql://authenticator:bench@127.0.0.1:$PGPORT/$PGDATABASE" 2>&1 |
    sed 's/.*NOTICE:  //' | while IFS='|' read -r name value; do sample "$name" "$value"; done
done
apart() { awk -v a="$(of "$1")" -v b="$(of "$2")" 'BEGIN { printf "%.1f", a - b }'; }
result "\`nebula.can\` for a person of a tenant not seen yet" cold "the same, seen" warm µs ""
result "for another person of a tenant that was seen" cold_colleague "the same, seen" warm µs ""
result "$tenants tenants again, in another order, median" again "the same, just seen" warm µs ""
result "private memory of the backend after $tenants tenants" memory_after "12 MiB" 12288 KiB "<= 1"
report "Rights, one backend"
echo
echo "µs to learn a person's rights: $(apart cold warm) with the tenant's, $(apart cold_colleague warm) without; KiB kept of $tenants: $(apart memory_after memory_before)"
