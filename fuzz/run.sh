#!/usr/bin/env bash
# ./dev fuzz SECONDS: every fuzz target, SECONDS in all, from its committed seeds and whatever earlier
# runs here have found. Fails on the first crash and says how to repeat it.
#
#   fuzz/run.sh SECONDS [TARGET]…     the targets must be built: ./dev build asan
set -euo pipefail
cd "$(dirname "$0")/.."

total=${1:?"usage: fuzz/run.sh SECONDS [TARGET]…"}
shift
programs=build/asan/fuzz
targets=("$@")
if [ ${#targets[@]} -eq 0 ]; then
  for program in "$programs"/fuzz_*; do
    [ -f "$program" ] && [ -x "$program" ] && targets+=("${program##*/fuzz_}")
  done
fi
[ ${#targets[@]} -gt 0 ] || { echo "fuzz: nothing is built in $programs" >&2; exit 1; }
each=$((total / ${#targets[@]}))
[ "$each" -ge 1 ] || each=1

# Without it a crash has addresses instead of names.
symbolizer=$(command -v llvm-symbolizer-19 || command -v llvm-symbolizer || true)
[ -z "$symbolizer" ] || export ASAN_SYMBOLIZER_PATH=$symbolizer

failed=0
printf '%-14s %12s %9s %7s %9s\n' target executions per-s edges corpus
for target in "${targets[@]}"; do
  found=build/fuzz/corpus/$target
  crashes=build/fuzz/crashes/$target
  log=build/fuzz/$target.log
  mkdir -p "$found" "$crashes"
  options=(-max_total_time="$each" -max_len=4096 -timeout=5 -rss_limit_mb=1024 -print_final_stats=1
    -artifact_prefix="$crashes/")
  [ -f "fuzz/$target.dict" ] && options+=(-dict="fuzz/$target.dict")
  seeds=()
  [ -d "fuzz/corpus/$target" ] && seeds+=("fuzz/corpus/$target")
  result=0
  "$programs/fuzz_$target" "${options[@]}" "$found" "${seeds[@]}" >"$log" 2>&1 || result=$?
  awk -v target="$target" '
    /cov: / { for (i = 1; i < NF; i++) { if ($i == "cov:") edges = $(i + 1)
                                         if ($i == "corp:") corpus = $(i + 1) } }
    /stat::number_of_executed_units/ { executions = $2 }
    /stat::average_exec_per_sec/ { rate = $2 }
    END { printf "%-14s %12s %9s %7s %9s\n", target, executions, rate, edges, corpus }' "$log"
  if [ "$result" -ne 0 ]; then
    failed=1
    tail -n 40 "$log"
    input=$(find "$crashes" -type f -newer "$programs/fuzz_$target" -printf '%T@ %p\n' | sort -n | tail -n 1 | cut -d' ' -f2-)
    echo "FAILED $target. To repeat: $programs/fuzz_$target ${input:-(no input was kept; see $log)}"
  fi
done
exit "$failed"
