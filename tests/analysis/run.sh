#!/usr/bin/env bash
# Reads the sources with clang-tidy and cppcheck, runs the unit tests under valgrind, and measures what the tests cover.
# Usage: tests/analysis/run.sh [--tidy] [--cppcheck] [--valgrind] [--coverage] [-j N] [-k REGEX]
#   without one of the first four, all of them
#   -j N      at most so many at a time; the number of processors unless told
#   -k REGEX  --tidy: only the sources whose path matches; --valgrind: only the programs whose name does
# Installs what is missing. Exits 1 on any finding; the logs are in build/logs/. What is off, and why: README.md here.
set -u -o pipefail

cd "$(dirname "$0")/../.." || exit 1
usage='usage: tests/analysis/run.sh [--tidy] [--cppcheck] [--valgrind] [--coverage] [-j N] [-k REGEX]'
steps='' jobs=$(nproc 2>/dev/null || echo 2) pattern=.
while [ $# -gt 0 ]; do
  case $1 in
    --tidy|--cppcheck|--valgrind|--coverage) steps="$steps ${1#--}" ;;
    -j) [ $# -ge 2 ] || { echo "run.sh: -j needs a number" >&2; exit 1; }
        jobs=$2; shift ;;
    -k) [ $# -ge 2 ] || { echo "run.sh: -k needs a regular expression" >&2; exit 1; }
        pattern=$2; shift ;;
    -h|--help) sed -n '2,7s/^# \{0,1\}//p' "$0"; exit 0 ;;
    *) echo "run.sh: unknown argument '$1'; $usage" >&2; exit 1 ;;
  esac
  shift
done
[ -n "$steps" ] || steps='cppcheck tidy valgrind coverage'

yes=--yes
if [ "$(id -u)" != 0 ] && [ -t 0 ] && [ -z "${CI:-}" ]; then yes=; fi
packaging/setup.sh --analysis $yes || exit 1
if command -v ccache >/dev/null; then export CMAKE_CXX_COMPILER_LAUNCHER=ccache; fi
logs=$PWD/build/logs
mkdir -p "$logs"
failed=()
sources=(common proto daemon client)

# quietly TITLE LOG COMMAND…: nothing when it works, the end of its output when it does not.
quietly() {
  local title=$1 log=$2
  shift 2
  "$@" >"$log" 2>&1 </dev/null && return 0
  echo "$title: FAILED; the end of $log:"
  tail -n 40 "$log"
  return 1
}

run_cppcheck() {
  local log=$logs/cppcheck.log code=0
  # In one process: several do not tell of includes that are missing. One configuration, Linux's. "information" is there
  # for the suppressions that nothing needs any more.
  cppcheck -q --std=c++20 --library=posix -I . -D__linux__ -D_FILE_OFFSET_BITS=64 --inline-suppr \
    --enable=warning,performance,portability,style,information --suppressions-list=tests/analysis/cppcheck.txt \
    --template='{file}:{line}: {severity} {id}: {message}' --error-exitcode=1 "${sources[@]}" >"$log" 2>&1 </dev/null || code=1
  echo "cppcheck: $(find "${sources[@]}" -name '*.cpp' | wc -l) sources, $(grep -c . "$log") findings"
  cat "$log"
  return $code
}

run_tidy() {
  local out=build/clang-tidy list=build/clang-tidy/sources code=0
  rm -rf "$out"
  mkdir -p "$out"
  quietly "clang-tidy: configure" "$logs/coverage-configure.log" cmake --preset coverage -DPULLAMA_TESTS=ON || return 1
  find "${sources[@]}" -name '*.cpp' | grep -E -- "$pattern" | sort >"$list"
  [ -s "$list" ] || { echo "clang-tidy: no source of that name"; return 1; }
  # GCC's own warning flags are in the list of commands.
  xargs -P "$jobs" -I {} sh -c '
    log=$1/$(echo "$2" | tr / _)
    clang-tidy-14 --quiet -p build/coverage --warnings-as-errors="*" --extra-arg=-Wno-unknown-warning-option "$2" \
      >"$log.log" 2>"$log.errors" </dev/null || { cat "$log.errors" >>"$log.log"; exit 1; }' sh "$out" {} <"$list" || code=1
  # A header's finding comes once for every source that includes it.
  cat "$out"/*.log | grep -E '^[^ ].*(warning|error): ' | sort -u >"$logs/clang-tidy.log"
  echo "clang-tidy: $(wc -l <"$list") sources, $(wc -l <"$logs/clang-tidy.log") findings"
  cat "$logs/clang-tidy.log"
  if [ $code -ne 0 ] && ! [ -s "$logs/clang-tidy.log" ]; then tail -n 20 "$out"/*.log; fi
  return $code
}

run_valgrind() {
  local code=0 names program name log clean=0 all=0
  # valgrind's posix_spawn says that a program was started that is not there: it forks where the system shares memory.
  local unfit='a program that is not there is said'
  quietly "valgrind: configure" "$logs/release-configure.log" cmake --preset release -DPULLAMA_TESTS=ON || return 1
  # A test program's target has the name of the test; what else is labelled so is a script.
  cmake --build build/release --target help >"$logs/release-targets.log" || return 1
  names=$(ctest --test-dir build/release -N -L '^unit$' | sed -n 's/^ *Test *#[0-9]*: //p' | grep -E -- "$pattern" |
    while read -r name; do if grep -q "^$name: phony" "$logs/release-targets.log"; then echo "$name"; fi; done)
  [ -n "$names" ] || { echo "valgrind: no test program of that name"; return 1; }
  quietly "valgrind: build" "$logs/release-build.log" cmake --build build/release -j "$jobs" --target $names || return 1
  for name in $names; do
    program=$(find build/release/tests -name "$name" -type f -perm -u+x)
    log=$logs/valgrind-$name.log
    all=$((all + 1))
    # What is "still reachable" at the end are the libraries' tables. A wait in a test may take longer here, none for ever.
    if timeout -k 10 "${PULLAMA_VALGRIND_SECONDS:-1800}" valgrind --quiet --error-exitcode=99 --leak-check=full \
        --show-leak-kinds=definite,possible --errors-for-leak-kinds=definite,possible --num-callers=30 \
        --suppressions=tests/analysis/valgrind.supp "$program" "--test-case-exclude=$unfit" >"$log" 2>&1 </dev/null; then
      clean=$((clean + 1))
    else
      echo "valgrind: $name FAILED ($?); the end of $log:"
      tail -n 40 "$log"
      code=1
    fi
  done
  echo "valgrind: $clean of $all unit test programs without a finding"
  return $code
}

run_coverage() {
  local code=0 log=$logs/coverage-test.log
  quietly "coverage: configure" "$logs/coverage-configure.log" cmake --preset coverage -DPULLAMA_TESTS=ON || return 1
  quietly "coverage: build" "$logs/coverage-build.log" cmake --build build/coverage -j "$jobs" || return 1
  find build/coverage -name '*.gcda' -delete
  # Daemons run as other users in some tests and count too. What a kill -9 ends is not counted.
  find build/coverage -type d -exec chmod a+rwx {} +
  # Without what measures memory: that wants an optimised build. Where another user's process cannot count, it is not to
  # say so in the place of its own words.
  if ! GCOV_ERROR_FILE=/dev/null ctest --test-dir build/coverage -j "$jobs" --output-on-failure --no-tests=error \
      -L 'unit|component|crash|e2e' -LE release >"$log" 2>&1 </dev/null; then
    echo "coverage: TESTS FAILED, the figures are what the others cover; from $log:"
    sed -n '/The following tests FAILED/,$p' "$log"
    code=1
  fi
  rm -rf build/coverage/report
  mkdir -p build/coverage/report
  quietly "coverage: gcovr" "$logs/gcovr.log" gcovr -j "$jobs" --root . --object-directory build/coverage \
    --filter 'daemon/(engine|store|registry|rpc)/' --exclude-throw-branches --exclude-unreachable-branches \
    --json-summary build/coverage/report/summary.json --html-details build/coverage/report/index.html || return 1
  /usr/bin/python3 tests/analysis/coverage_table.py build/coverage/report/summary.json engine store registry rpc || return 1
  echo "each line: build/coverage/report/index.html"
  return $code
}

for step in $steps; do
  begin=$SECONDS
  "run_$step" || failed+=("$step")
  echo "$step: $((SECONDS - begin)) s"
done
if [ ${#failed[@]} -gt 0 ]; then
  echo "FAILED: ${failed[*]}"
  exit 1
fi
