#!/usr/bin/env bash
# Builds release, installs what it is compared with, runs every case, and writes tests/bench/RESULTS.md and results.svg.
# Usage: tests/bench/run.sh [--quick] [--rounds N] [--case NAME]… [--only WORD]…
#   --quick  small data, one round, nothing written: shows that it runs, not how fast
#   --case   only these cases (more than once: each); what was measured of the others before stays as it is
#   --only   only these contenders; nothing is written then
# As root it also makes network namespaces, for the lossy line; else that case is left out, with a word.
set -eu -o pipefail

cd "$(dirname "$0")/../.."
packaging/setup.sh --bench --yes
if command -v ccache >/dev/null; then export CMAKE_CXX_COMPILER_LAUNCHER=ccache; fi
mkdir -p build/logs
cmake --preset release -DPULLAMA_TESTS=ON >build/logs/release-configure.log
cmake --build build/release --target pullama pullamad scripted-registry line-proxy >build/logs/release-build.log

bin=$PWD/build/release
export PULLAMAD=$bin/bin/pullamad PULLAMA=$bin/bin/pullama PYTHONDONTWRITEBYTECODE=1
export SCRIPTED_REGISTRY=$bin/tests/support/scripted_registry/scripted-registry
export LINE_PROXY=$bin/tests/support/line_proxy/line-proxy
case " $* " in
  *" --quick "* | *" --only "*) exec /usr/bin/python3 tests/bench/bench.py "$@" ;;
esac
/usr/bin/python3 tests/bench/bench.py "$@" --json build/bench.json
/usr/bin/python3 tests/bench/report.py build/bench.json tests/bench
