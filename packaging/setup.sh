#!/bin/sh
# Installs what building and testing needs, from the distribution's packages (Debian 12 and its descendants).
# Usage: packaging/setup.sh [--build|--all|--bench|--analysis] [--yes]
#   --build  compiler and libraries only; --all (default) also what the tests use;
#            --bench also the programs that the benchmarks compare with; --analysis also what tests/analysis runs
#   --yes    do not ask before using sudo
# Does nothing, quietly, where everything is there already.
set -eu

build='g++ cmake ninja-build pkg-config git ca-certificates
 libboost-dev libcurl4-openssl-dev nlohmann-json3-dev libsodium-dev libsqlite3-dev libssl-dev
 libxxhash-dev libfmt-dev libspdlog-dev libcli11-dev libexpected-dev'
demo='docker-registry curl python3 openssl'
tests='ccache libcpp-httplib-dev doctest-dev clang-14 libclang-rt-14-dev clang-format-14
 nginx-light apache2-utils python3-jsonschema tmux strace jq procps iproute2 util-linux
 man-db zsh fish lintian systemd openssh-client'
bench='aria2 skopeo wget iptables ethtool'
analysis='clang-tidy-14 cppcheck gcovr valgrind'

what=all ask=yes
for arg in "$@"; do
  case $arg in
    --build) what=build ;;
    --all) what=all ;;
    --bench) what=bench ;;
    --analysis) what=analysis ;;
    --yes) ask=no ;;
    *) echo "setup.sh: unknown argument '$arg'; usage: packaging/setup.sh [--build|--all|--bench|--analysis] [--yes]" >&2; exit 1 ;;
  esac
done
packages="$build $demo"
[ "$what" = build ] || packages="$packages $tests"
[ "$what" = bench ] && packages="$packages $bench"
[ "$what" = analysis ] && packages="$packages $analysis"

if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
  echo "setup.sh: this is no Debian; install the equivalents of: $packages" >&2
  exit 1
fi
missing=
for package in $packages; do
  [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

sudo=
if [ "$(id -u)" != 0 ]; then
  if ! command -v sudo >/dev/null; then
    echo "setup.sh: packages are missing and there is no sudo; as root run: apt-get install --no-install-recommends$missing" >&2
    exit 1
  fi
  sudo=sudo
  if [ "$ask" = yes ]; then
    echo "These packages are missing:$missing"
    printf 'Install them with sudo apt-get? [y/N] '
    read -r answer || answer=
    case $answer in
      y | Y | yes) ;;
      *) echo "setup.sh: not installed, nothing was changed; --yes installs without asking" >&2; exit 1 ;;
    esac
  fi
fi
echo "installing:$missing"
log=$(mktemp)
# Of some packages only the programs are wanted, not the services that they start: a policy says so while we install.
if ! $sudo sh -eu -c '
  policy=/usr/sbin/policy-rc.d
  if [ ! -e "$policy" ]; then
    trap "rm -f $policy" EXIT
    trap "exit 130" INT TERM
    printf "#!/bin/sh\nexit 101\n" >"$policy"
    chmod 755 "$policy"
  fi
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends -o DPkg::Lock::Timeout=120 "$@"
' setup.sh $missing >"$log" 2>&1; then
  tail -20 "$log" >&2
  echo "setup.sh: apt-get failed; its whole output is in $log" >&2
  exit 1
fi
rm -f "$log"
