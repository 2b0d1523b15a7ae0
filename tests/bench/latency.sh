#!/usr/bin/env bash
# Latency as distributions at fixed rates, open loop (docs/performance.md): a quarter, a half and three quarters of what was measured to be the most. Called by
# `make bench-latency`; PERCENTS, TENANTS, USERS and SECONDS_EACH change its size.
# shellcheck source=lib.sh
source "$(dirname "$0")/lib.sh"
# shellcheck source=tenants.sh
source "$here/tenants.sh"
tenants=${TENANTS:-100}
percents=${PERCENTS:-25 50 75}
connections=128
start latency
fill_database tenants "$tenants" "${USERS:-100000}" 0 1
serve_database tenants $((ports + 1))

log_in_all tenants "$url" "$tenants" "$dir/tokens"
# Every backend reads every tenant's rights once.
for kind in me write list; do spread "$url" "$dir/tokens" $kind 16 4 >/dev/null; done
{
  echo "| request | rate, /s | of the most | 50 %, ms | 99 %, ms | 99.9 %, ms | sent late |"
  echo "|---|---|---|---|---|---|---|"
} >"$dir/result.md"
for kind in write list me; do
  log_in_all tenants "$url" "$tenants" "$dir/tokens"
  read -r most _ < <(spread "$url" "$dir/tokens" $kind 16 "$seconds")
  for percent in $percents; do
    rate=$(awk -v most="$most" -v percent="$percent" 'BEGIN { printf "%.0f", most * percent / 100 }')
    read -r rps p99_ms p50_ms p999_ms late < <(RATE=$rate spread "$url" "$dir/tokens" $kind $connections "$seconds")
    printf '%s\t%s\t%s\t%s\t%s\n' $kind "$rps" "$p50_ms" "$p99_ms" "$p999_ms" >>"$dir/samples.tsv"
    printf '| %s | %.0f | %s %% | %.1f | %.1f | %.1f | %.1f %% |\n' $kind "$rps" "$percent" "$p50_ms" "$p99_ms" "$p999_ms" \
      "$(awk -v late="$late" 'BEGIN { print late * 100 }')" >>"$dir/result.md"
    # A rate that isn't kept is no open loop.
    awk -v rps="$rps" -v rate="$rate" 'BEGIN { exit rps < rate * 0.9 }' || echo "$kind at $percent %: $rps/s instead of $rate/s" >&2
  done
done
cat "$dir/result.md"
python3 "$here/latency_chart.py" "Latency at fixed rates, open loop" "$dir/samples.tsv" "$dir/result.svg"
if [ -n "${DOCS:-}" ]; then mkdir -p "$root/docs/performance" && cp "$dir/result.svg" "$root/docs/performance/latency.svg"; fi
