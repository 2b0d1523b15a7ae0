#!/usr/bin/env bash
# Private memory of a process in KiB. Not smaps_rollup: it counts what only this process has touched of Postgres' shared buffers.
set -euo pipefail
awk '/^[0-9a-f]+-[0-9a-f]+ / { is_private = $2 ~ /p$/ } /^Private/ && is_private { kib += $2 } END { print kib }' "/proc/$1/smaps"
