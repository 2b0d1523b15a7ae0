#!/usr/bin/env bash
# tests/fuzz/run.sh build | run SECONDS [TARGET…] | grow: builds the targets, runs each for so long, takes what it has learnt into the committed corpus.
# On stable Rust: coverage comes from LLVM's own pass, and no sanitizer is asked for, which only nightly can be (docs/decisions/0037-fuzzing.md).
set -euo pipefail
cd "$(dirname "$0")/../.."

version=0.13.1
tool=target/tools/cargo-fuzz-$version
programs=target/fuzz/$(rustc -vV | sed -n 's/^host: //p')/release
learnt=target/fuzz-corpus
# Nothing that a parser reads is longer than it says itself, and what takes longer than 5 s or more than 1 GiB is a finding.
limits=(-max_len=16384 -timeout=5 -rss_limit_mb=1024 -print_final_stats=1)

build() {
  [ -x $tool/bin/cargo-fuzz ] || cargo install --quiet --locked --root $tool cargo-fuzz --version $version
  PATH=$PWD/$tool/bin:$PATH cargo fuzz build --fuzz-dir tests/fuzz --sanitizer none --no-cfg-fuzzing --release --debug-assertions \
    --codegen-units 16 --features engine --target-dir target/fuzz
}

run() {
  local seconds=$1 target status=0
  shift
  for target in "$@"; do
    mkdir -p "$learnt/$target" "tests/fuzz/artifacts/$target" target/fuzz-logs
    # One huge allocation ends the process at once, before the limit above is looked at.
    if (ulimit -v 4194304; exec "$programs/$target" "${limits[@]}" -max_total_time="$seconds" -artifact_prefix="tests/fuzz/artifacts/$target/" \
      "$learnt/$target" "tests/fuzz/corpus/$target") >"target/fuzz-logs/$target" 2>&1; then
      told=holds
    else
      told="FAILED: tests/fuzz/artifacts/$target, target/fuzz-logs/$target"
      status=1
    fi
    awk -v target="$target" -v told="$told" '
      { for (i = 1; i < NF; i++) if ($i == "cov:") { last = $(i + 1); if (first == "") first = last } }
      $1 == "stat::number_of_executed_units:" { runs = $2 }
      $1 == "stat::peak_rss_mb:" { memory = $2 }
      END { printf "%-16s %10d executions, %5d edges covered by the corpus, %5d at the end, %4d MB: %s\n", target, runs, first, last, memory, told }
    ' "target/fuzz-logs/$target"
  done
  return $status
}

# Only what covers something new is taken, the smallest first.
grow() {
  local target
  for target in "$@"; do
    "$programs/$target" -merge=1 -max_len=2048 "tests/fuzz/corpus/$target" "$learnt/$target" >"target/fuzz-logs/$target.merge" 2>&1
  done
}

all=$(sed -n 's/^name = "\(.*\)"/\1/p' tests/fuzz/Cargo.toml | tail -n +2)
case ${1:-} in
  build) build ;;
  run) seconds=$2; shift 2; [ $# -gt 0 ] || set -- $all; run "$seconds" "$@" ;;
  grow) shift; [ $# -gt 0 ] || set -- $all; grow "$@" ;;
  *) sed -n '2p' "$0" >&2; exit 2 ;;
esac
