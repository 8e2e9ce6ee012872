#!/usr/bin/env bash
# The package as a new user meets it: made, installed with apt in a fresh Debian root, the socket waited on by
# systemd-socket-activate, a pull through it from a registry on loopback, removed again; nothing is left but what was
# pulled. Says each step. Needs root, debootstrap (or PULLAMA_FRESH_ROOT, a Debian root that is copied) and the network
# that apt needs; part of the long tests only.
# Usage: install_test.sh BUILD SCRIPTED_REGISTRY, BUILD the folder of the preset `release`
set -eu -o pipefail

build=${1:?usage: install_test.sh BUILD SCRIPTED_REGISTRY}
registry=${2:?usage: install_test.sh BUILD SCRIPTED_REGISTRY}
if [ "${PULLAMA_TEST_LONG:-}" != 1 ]; then echo 'skipped: only with --long'; exit 77; fi
if [ "$(id -u)" != 0 ]; then echo 'skipped: needs root'; exit 77; fi

cd "$(dirname "$0")/../.."
if [ ! -e "$build/bin/pullamad" ]; then
  { cmake --preset release && cmake --build "$build" --target pullamad pullama; } >"$build.log" 2>&1 || { tail -20 "$build.log"; exit 1; }
fi
(cd "$build" && cpack -G DEB) >"$build.log" 2>&1 || { tail -20 "$build.log"; exit 1; }
package=$(ls -t "$build"/pullama_*.deb | head -1)
if command -v lintian >/dev/null; then lintian --fail-on error "$package"; fi

work=$(mktemp -d "${TMPDIR:-/tmp}/pullama-install.XXXXXX")
root=$work/root
children=()
clean_up() {
  trap - EXIT
  for pid in "${children[@]}"; do kill "$pid" 2>/dev/null || true; wait "$pid" 2>/dev/null || true; done
  for folder in proc dev; do umount -l "$root/$folder" 2>/dev/null || true; done
  rm -rf --one-file-system "$work"
}
trap clean_up EXIT
say() { printf '▸ %s\n' "$*"; }
fail() { printf 'FAILED: %s\n' "$*" >&2; exit 1; }
inside() { env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive chroot "$root" "$@"; }
# Every file but those of dpkg's, apt's and the system's own bookkeeping.
census() {
  (cd "$root" && find . -xdev \( -path ./proc -o -path ./dev -o -path ./tmp -o -path ./run -o -path ./var/lib/dpkg \
    -o -path ./var/cache -o -path ./var/log -o -path ./var/lib/apt \) -prune -o -print) | LC_ALL=C sort
}

say 'a fresh Debian 12'
if [ -n "${PULLAMA_FRESH_ROOT:-}" ]; then
  mkdir "$root"
  tar -C "$PULLAMA_FRESH_ROOT" --one-file-system --exclude=./work --exclude=./proc/* --exclude=./dev/* -cf - . | tar -C "$root" -xf -
else
  debootstrap --variant=minbase bookworm "$root" >"$work/debootstrap.log" 2>&1 || { tail -5 "$work/debootstrap.log"; fail debootstrap; }
fi
mkdir -p "$root/proc" "$root/dev"
mount --bind /proc "$root/proc"
mount --bind /dev "$root/dev"
cp /etc/resolv.conf "$root/etc/resolv.conf"
[ ! -e /etc/apt/apt.conf.d ] || cp -rn /etc/apt/apt.conf.d/. "$root/etc/apt/apt.conf.d/" 2>/dev/null || true
inside apt-get update -qq >"$work/apt.log" 2>&1 || { tail -5 "$work/apt.log"; fail 'apt-get update'; }
# What the package needs is there before, so that what it leaves itself can be told apart.
cp "$package" "$root/tmp/pullama.deb"
needs=$({ dpkg-deb -f "$package" Depends; dpkg-deb -f "$package" Recommends; } | tr ',' '\n' | sed 's/(.*//; s/|.*//; s/ //g')
inside apt-get install -y -qq --no-install-recommends systemd $needs >>"$work/apt.log" 2>&1 || { tail -5 "$work/apt.log"; fail 'apt-get install'; }
inside useradd -m -u 1234 ada
before=$(census)
accounts=$(inside getent passwd; inside getent group)

say "apt install ./$(basename "$package")"
inside apt-get install -y -qq /tmp/pullama.deb >>"$work/apt.log" 2>&1 || { tail -20 "$work/apt.log"; fail 'apt-get install of the package'; }
for path in usr/bin/pullama usr/bin/pullamad lib/systemd/user/pullamad.socket lib/systemd/system/pullamad.socket \
  usr/share/man/man1/pullama.1.gz usr/share/bash-completion/completions/pullama usr/share/doc/pullama/copyright; do
  [ -e "$root/$path" ] || fail "$path is not installed"
done
inside getent group pullama >/dev/null || fail 'there is no group pullama'
begin=$(date +%s%N)
version=$(inside pullama version)
say "$version, in $((($(date +%s%N) - begin) / 1000000)) ms with chroot"
[ "${version#pullama }" = "$(dpkg-deb -f "$package" Version | sed 's/-.*//')" ] || fail 'the version is not the package'"'"'s'

say 'a registry on loopback with a model'
cat >"$work/script.json" <<'JSON'
{"models": [{"name": "ns/m:latest", "config": {"text": "{}"}, "layers": [{"seed": 7, "size": 3000000}]}]}
JSON
"$registry" --script "$work/script.json" --log "$work/access.log" >"$work/registry.out" &
children+=($!)
for _ in $(seq 100); do [ -s "$work/registry.out" ] && break; sleep 0.1; done
port=$(sed -n 's/.*"registry":\([0-9]*\).*/\1/p' "$work/registry.out")
[ -n "$port" ] || fail 'the registry does not start'

say 'the socket, waited on as the service manager would; nothing runs yet'
mkdir -p "$root/run/user/1234/pullama"
chown -R 1234:1234 "$root/run/user/1234"
socket=/run/user/1234/pullama/pullamad.sock
as_ada() { inside setpriv --reuid 1234 --regid 1234 --clear-groups env HOME=/home/ada XDG_RUNTIME_DIR=/run/user/1234 "$@"; }
as_ada systemd-socket-activate -l "$socket" -E HOME -E XDG_RUNTIME_DIR -E PATH /usr/bin/pullamad >"$work/daemon.log" 2>&1 &
children+=($!)
for _ in $(seq 100); do [ -S "$root$socket" ] && break; sleep 0.1; done
[ -S "$root$socket" ] || { cat "$work/daemon.log"; fail 'there is no socket'; }
! grep -q 'listens on' "$work/daemon.log" || fail 'the daemon runs before anybody asked'

say "pullama 127.0.0.1:$port/ns/m --insecure"
as_ada pullama --no-autostart --insecure "127.0.0.1:$port/ns/m" || { cat "$work/daemon.log"; fail 'the pull'; }
grep -q "listens on $socket" "$work/daemon.log" || { cat "$work/daemon.log"; fail 'the daemon did not take the socket'; }
as_ada pullama --no-autostart list
as_ada pullama --no-autostart list | grep -q "ns/m:latest" || fail 'the model is not there'
as_ada pullama --no-autostart daemon stop

say 'apt remove pullama'
inside apt-get remove -y -qq pullama >>"$work/apt.log" 2>&1 || { tail -20 "$work/apt.log"; fail 'apt-get remove'; }
after=$(census)
left=$(LC_ALL=C comm -13 <(printf '%s\n' "$before") <(printf '%s\n' "$after") | grep -v -e '^\./home/ada/\.ollama' -e '^\./etc/[a-z]*-$' || true)
[ -z "$left" ] || { head -40 <<<"$left"; fail 'something is left'; }
[ "$accounts" = "$(inside getent passwd; inside getent group)" ] || fail 'a user or a group is left'
[ -s "$root/home/ada/.ollama/models/manifests/127.0.0.1:$port/ns/m/latest" ] || fail 'what was pulled is gone'
say 'nothing is left but what was pulled'
