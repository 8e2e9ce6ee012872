#!/usr/bin/env bash
# Fuzzes every parser of outside bytes with libFuzzer, for SECONDS each (default 5); needs clang.
# Usage: tests/fuzz/run.sh [SECONDS] [TARGET…]
# What it learns is kept in build/fuzz/corpus/; what makes a parser fall, in build/fuzz/found/, and then this exits 1.
set -u -o pipefail
cd "$(dirname "$0")/../.." || exit 1

seconds=5
case ${1:-} in
  -h|--help) sed -n '2,4s/^# \{0,1\}//p' "$0"; exit 0 ;;
  [0-9]*) seconds=$1; shift ;;
esac
if ! command -v clang++-14 >/dev/null; then
  echo "left out: there is no clang++-14 here (packaging/setup.sh --all installs it)"
  exit 0
fi
mkdir -p build/logs build/fuzz/found
log=build/logs/fuzz-build.log
if ! { cmake --preset fuzz && cmake --build build/fuzz --target pullama_fuzz; } >"$log" 2>&1; then
  echo "the fuzz targets do not build; the end of $log:"
  tail -n 30 "$log"
  exit 1
fi
fuzzer=$PWD/build/fuzz/tests/fuzz/pullama_fuzz
targets=("$@")
if [ ${#targets[@]} -eq 0 ]; then
  for folder in tests/fuzz/seeds/*/; do targets+=("$(basename "$folder")"); done
fi
failed=()
for target in "${targets[@]}"; do
  mkdir -p "build/fuzz/corpus/$target"
  log=build/logs/fuzz-$target.log
  if FUZZ_TARGET=$target "$fuzzer" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=1024 -max_len=65536 -print_final_stats=1 \
      -artifact_prefix="build/fuzz/found/$target-" "build/fuzz/corpus/$target" "tests/fuzz/seeds/$target" >"$log" 2>&1 </dev/null; then
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
    coverage=$(grep -o 'cov: [0-9]*' "$log" | tail -1)
    printf '%-20s %9s inputs, %s\n' "$target" "${runs:-?}" "${coverage:-cov: ?}"
  else
    printf '%-20s FELL; the end of %s:\n' "$target" "$log"
    tail -n 40 "$log"
    failed+=("$target")
  fi
done
if [ ${#failed[@]} -gt 0 ]; then
  echo "fell: ${failed[*]}; inputs in build/fuzz/found/"
  exit 1
fi
echo "${#targets[@]} targets, none fell"
