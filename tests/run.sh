#!/usr/bin/env bash
# Installs what is missing, builds, and runs the test suite: all of it under ASan+UBSan, then what has threads under TSan.
# Says what it does in few lines; everything else goes to build/logs/.
# Usage: tests/run.sh [--quick] [--full] [--long] [-k REGEX]
#   --quick   ASan+UBSan only
#   --full    under TSan everything, and what only an optimised build can show (memory)
#   --long    the long forms: kill -9 at ten points of a full 1 GiB pull, more crash points, longer fuzzing
#   -k REGEX  only the tests whose name matches
# Needs no terminal. Run again, it builds and installs only what changed.
set -u -o pipefail

cd "$(dirname "$0")/.." || exit 1
presets='dev tsan' full=no
filter=()
while [ $# -gt 0 ]; do
  case $1 in
    --quick) presets=dev ;;
    --full) presets='dev tsan release' full=yes ;;
    --long) export PULLAMA_TEST_LONG=1 ;;
    -k) [ $# -ge 2 ] || { echo "run.sh: -k needs a regular expression" >&2; exit 1; }
        filter=(-R "$2"); shift ;;
    -h|--help) sed -n '2,10s/^# \{0,1\}//p' "$0"; exit 0 ;;
    *) echo "run.sh: unknown argument '$1'; usage: tests/run.sh [--quick] [--full] [--long] [-k REGEX]" >&2; exit 1 ;;
  esac
  shift
done

logs=build/logs
mkdir -p "$logs"
jobs=$(nproc 2>/dev/null || echo 2)
started=$SECONDS
failed=()
summaries=()

say() { printf '%s\n' "$*"; }
# step TITLE LOG COMMAND…: quiet when it works, the end of its output when it does not.
step() {
  local title=$1 log=$2 begin=$SECONDS
  shift 2
  if "$@" >"$log" 2>&1 </dev/null; then
    say "$title: ok, $((SECONDS - begin)) s"
  else
    say "$title: FAILED; the end of $log:"
    tail -n 40 "$log"
    return 1
  fi
}

# setup.sh asks before sudo where there is somebody to ask.
yes=--yes
if [ "$(id -u)" != 0 ] && [ -t 0 ] && [ -z "${CI:-}" ]; then yes=; fi
packaging/setup.sh --all $yes || exit 1

if command -v ccache >/dev/null; then
  export CMAKE_CXX_COMPILER_LAUNCHER=ccache
  # What one checkout compiled, another need not.
  export CCACHE_BASEDIR=${CCACHE_BASEDIR:-$PWD} CCACHE_NOHASHDIR=1
fi
# TSan of GCC 12 does not know the address layouts of kernels with much randomisation.
personality=()
if setarch "$(uname -m)" -R true 2>/dev/null; then personality=(setarch "$(uname -m)" -R); fi

# tests NAME: the labels that a preset runs. Release only runs what the sanitizers would falsify.
run_tests() {
  local preset=$1 log=$logs/$1-test.log selection=() begin=$SECONDS
  [ "$preset" = release ] && selection=(-L release)
  [ "$preset" = tsan ] && [ $full = no ] && selection=(-L threads)
  "${personality[@]}" ctest --test-dir "build/$preset" -j "$jobs" --output-on-failure --no-tests=error \
    "${selection[@]}" "${filter[@]}" >"$log" 2>&1 </dev/null
  local code=$?
  if [ ${#filter[@]} -gt 0 ] && grep -q '^No tests were found' "$log"; then
    say "$preset: no test of that name here"
    return 0
  fi
  if [ $code -eq 0 ]; then
    say "$preset: tests passed, $((SECONDS - begin)) s"
  else
    say "$preset: TESTS FAILED; from $log:"
    grep -E '^ *[0-9]+/[0-9]+ Test .*(Failed|Timeout|Exception|Not Run)' "$log" | head -40
    sed -n '/The following tests FAILED/,$p' "$log"
    say "--- the output of the failed tests (the whole of it is in $log)"
    grep -v -E '^ *(Start|[0-9]+/[0-9]+ Test .* Passed)' "$log" | head -300
    failed+=("tests under $preset")
  fi
  summaries+=("$preset: $(grep -E '^[0-9]+% tests passed' "$log" | tail -1)")
}

for preset in $presets; do
  targets=(--target all)
  [ "$preset" = tsan ] && [ $full = no ] && targets=(--target threaded_tests)
  if step "$preset: configure" "$logs/$preset-configure.log" cmake --preset "$preset" -DPULLAMA_TESTS=ON &&
    step "$preset: build" "$logs/$preset-build.log" cmake --build "build/$preset" -j "$jobs" "${targets[@]}"; then
    run_tests "$preset"
  else
    failed+=("build of $preset")
  fi
done

say ""
say "all in $((SECONDS - started)) s"
for summary in "${summaries[@]}"; do
  say "${summary%%:*}:"
  say "${summary#*: }"
done
if [ ${#failed[@]} -gt 0 ]; then
  printf 'FAILED: %s\n' "${failed[@]}"
  exit 1
fi
