#!/usr/bin/env bash
# One command runs the lot and prints a table: promise, tests, states tried, faults injected, result.
# Usage: tests/proof.sh [--quick] [--mutations] [--soak MINUTES] [--build DIR] [--no-build] [-k REGEX]
#   --quick         what takes under ten minutes; else also the long forms, the attacks, fuzzing (with clang)
#   --mutations     takes away syncs, checks and locks, one by one, and looks whether a test notices (hours)
#   --soak MINUTES  everything at once for so long
#   --build DIR     the build to try (build/dev), which is built first, --no-build: as it is
#   -k REGEX        only the rows whose name matches
# The output of each row is in build/logs/proof-NAME.log. Exit code 1 when a row fails.
set -u -o pipefail

root=$(cd "$(dirname "$0")/.." && pwd) || exit 1
build=$root/build/dev make=yes
rows=()
usage() { sed -n '2,9s/^# \{0,1\}//p' "$root/tests/proof.sh"; }
while [ $# -gt 0 ]; do
  case $1 in
    --quick|--mutations) rows+=("$1") ;;
    --soak|-k) [ $# -ge 2 ] || { echo "proof.sh: $1 needs a value" >&2; exit 1; }
               rows+=("$1" "$2"); shift ;;
    --build) [ $# -ge 2 ] || { echo "proof.sh: --build needs a folder" >&2; exit 1; }
             build=$(realpath -m "$2"); shift ;;
    --no-build) make=no ;;
    -h|--help) usage; exit 0 ;;
    *) echo "proof.sh: unknown argument '$1'" >&2; usage >&2; exit 1 ;;
  esac
  shift
done
mkdir -p "$root/build/logs"
if [ $make = yes ]; then
  log=$root/build/logs/proof-build.log
  if ! { { [ -e "$build/CMakeCache.txt" ] || cmake --preset dev -S "$root" -B "$build" -DPULLAMA_TESTS=ON; } && cmake --build "$build" \
      -j "$(nproc 2>/dev/null || echo 2)"; } >"$log" 2>&1 </dev/null; then
    echo "the build failed; the end of $log:"
    tail -n 30 "$log"
    exit 1
  fi
fi
exec python3 "$root/tests/proof/table.py" --build "$build" "${rows[@]}"
