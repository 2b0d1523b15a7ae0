#!/usr/bin/env bash
# Instructions of one call of each hot path (docs/performance.md). Unlike times they repeat, on a busy machine too. Called by `make bench-instructions`, which builds and
# sets NEBULA and NEBULA_PG_BINDIR.
#   instructions.sh            beside baseline.tsv; fails where a path has changed
#   instructions.sh baseline   writes baseline.tsv
# Each of ROUNDS is a cluster of its own, and the median of them counts.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
counts=$root/target/bench-instructions-counts

rm -rf "$counts"
for round in $(seq "${ROUNDS:-1}"); do
  "$here/instructions/count.sh" "$counts/$round"
done

# What counts depend on besides the sources. (And on CARGO_INCREMENTAL, which must not be set: what is inlined differs.)
environment() {
  echo "compiler: $(cd "$root" && rustc --version)"
  echo "Postgres: $("$NEBULA_PG_BINDIR/postgres" --version)"
  echo "libc: $(getconf GNU_LIBC_VERSION)"
  echo "valgrind: $(valgrind --version)"
  echo "processor: $(uname -m)$(grep -qw avx2 /proc/cpuinfo && echo " with AVX2")"
}
options=()
if [ "${1:-}" = baseline ]; then options+=(--write); fi
environment | python3 "$here/instructions/compare.py" "$counts" "$here/instructions/baseline.tsv" "${options[@]}"
