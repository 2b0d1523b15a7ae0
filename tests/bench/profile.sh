#!/usr/bin/env bash
# Where the instructions of a path go (docs/performance.md): tables and flame graphs under target/bench-profile/. PATHS names other paths than a write, a page and `me`. Called by
# `make bench-profile`, which builds and sets NEBULA and NEBULA_PG_BINDIR.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
out=$(cd "$here/../.." && pwd)/target/bench-profile

rm -rf "$out"
# Each function's cost is kept apart by the whole way to it.
PATHS=${PATHS:-users.create users.list me.read} SEPARATE_CALLERS=${SEPARATE_CALLERS:-200} "$here/instructions/count.sh" "$out/counts"
python3 "$here/instructions/profile.py" "$out/counts" "$out"
