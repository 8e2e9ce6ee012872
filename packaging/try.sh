#!/usr/bin/env bash
# Shows what Pullama does, on this machine, in a minute or two: builds it, starts a registry on loopback with a sample
# model, pulls, kills the daemon half-way with -9, pulls again and shows that nothing travelled twice. Leaves nothing but
# the build behind.
# Usage: packaging/try.sh [MODEL] [--yes]
#   MODEL  pull this model into the real store instead, for instance llama3.2
#   --yes  do not ask before using sudo to install packages
set -u -o pipefail

usage='usage: packaging/try.sh [MODEL] [--yes]'
model='' yes=''
for argument in "$@"; do
  case $argument in
    --yes) yes=--yes ;;
    -h | --help) sed -n '2,7s/^# \{0,1\}//p' "$0"; exit 0 ;;
    -*) echo "try.sh: unknown argument '$argument'; $usage" >&2; exit 1 ;;
    *) [ -z "$model" ] || { echo "try.sh: one model at most; $usage" >&2; exit 1; }
       model=$argument ;;
  esac
done
cd "$(dirname "$0")/.." || exit 1

if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then bold=$(printf '\033[1m') plain=$(printf '\033[0m'); else bold='' plain=''; fi
say() { printf '%s\n' "$bold▸ $*$plain"; }
fail() { printf 'try.sh: %s\n' "$*" >&2; exit 1; }
bytes() { numfmt --to=si --suffix=B --format=%.1f "$1"; }

packaging/setup.sh --build $yes || exit 1

# The tests need more packages; a build that has them keeps them.
tests=(-DPULLAMA_TESTS=OFF)
grep -qs '^PULLAMA_TESTS:BOOL=ON' build/release/CMakeCache.txt && tests=()
command -v ccache >/dev/null && export CMAKE_CXX_COMPILER_LAUNCHER=ccache
mkdir -p build/logs
say 'building (the first time takes some minutes; build/logs/try-build.log has the details)'
{ cmake --preset release "${tests[@]}" &&
  cmake --build build/release --target pullamad pullama -j "$(nproc 2>/dev/null || echo 2)"; } >build/logs/try-build.log 2>&1 || {
  tail -n 30 build/logs/try-build.log >&2
  fail 'the build failed; build/logs/try-build.log has all of it'
}
pullama=$PWD/build/release/bin/pullama pullamad=$PWD/build/release/bin/pullamad

if [ -n "$model" ]; then
  # A daemon that runs already is somebody's; one that our pull starts goes when we do.
  "$pullama" --no-autostart daemon status >/dev/null 2>&1 && ours=no || ours=yes
  trap : INT TERM # the client handles Ctrl-C: it checkpoints and says how to resume
  "$pullama" pull "$model"
  code=$?
  [ $ours = no ] || "$pullama" --no-autostart daemon stop >/dev/null 2>&1
  exit $code
fi

work=$(mktemp -d "${TMPDIR:-/tmp}/pullama-try.XXXXXX") || exit 1
registry='' daemon='' watcher='' killer=''
# Waits up to ten seconds until the process is gone.
gone() { for _ in $(seq 200); do kill -0 "$1" 2>/dev/null || return 0; sleep 0.05; done; return 1; }
clean_up() {
  trap - EXIT
  trap '' INT TERM
  local pid
  for pid in $killer $watcher $daemon $registry; do kill "$pid" 2>/dev/null; done
  for pid in $killer $watcher $daemon $registry; do gone "$pid"; done
  rm -rf "$work"
}
trap clean_up EXIT
trap 'exit 130' INT TERM

say 'starting a registry on loopback with a sample model of 300 MB'
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
cat >"$work/registry.yml" <<YML
version: 0.1
log: {level: error}
storage: {filesystem: {rootdirectory: $work/registry}}
http: {addr: '127.0.0.1:$port', secret: only-for-this-try}
YML
docker-registry serve "$work/registry.yml" >"$work/registry.log" 2>"$work/registry.err" &
registry=$!
disown "$registry" # the shell need not tell how it ended
url=http://127.0.0.1:$port/v2/library/sample
for _ in $(seq 100); do
  curl -fs "http://127.0.0.1:$port/v2/" >/dev/null && break
  kill -0 $registry 2>/dev/null || { cat "$work/registry.err" >&2; fail 'docker-registry does not start'; }
  sleep 0.1
done

total=300000000
head -c $total /dev/zero | openssl enc -aes-128-ctr -K 00112233445566778899aabbccddeeff -iv 0 2>/dev/null >"$work/weights"
printf '{"model_format":"gguf","model_family":"sample","model_type":"0.3B","file_type":"F16"}' >"$work/config"
digest_of() { sha256sum "$1" | cut -d' ' -f1; }
push() {
  local location
  location=$(curl -fsS -X POST -D - -o /dev/null "$url/blobs/uploads/" | tr -d '\r' | sed -n 's/^[Ll]ocation: //p')
  curl -fsS -o /dev/null -X PUT -H 'Content-Type: application/octet-stream' -T "$1" "$location&digest=sha256:$2"
}
weights=$(digest_of "$work/weights") config=$(digest_of "$work/config")
push "$work/weights" "$weights" && push "$work/config" "$config" || fail 'the sample model could not be pushed'
docker=application/vnd.docker
cat >"$work/manifest" <<JSON
{"schemaVersion":2,"mediaType":"$docker.distribution.manifest.v2+json",
 "config":{"mediaType":"$docker.container.image.v1+json","digest":"sha256:$config","size":$(stat -c %s "$work/config")},
 "layers":[{"mediaType":"application/vnd.ollama.image.model","digest":"sha256:$weights","size":$total}]}
JSON
curl -fsS -o /dev/null -X PUT -H "Content-Type: $docker.distribution.manifest.v2+json" --data-binary "@$work/manifest" \
  "$url/manifests/latest" || fail 'the manifest could not be pushed'
rm "$work/weights"

name=127.0.0.1:$port/library/sample
models=$work/models socket=$work/pullamad.sock
start_daemon() {
  "$pullamad" --socket "$socket" --models-dir "$models" >>"$work/daemon.log" 2>&1 &
  daemon=$!
  disown "$daemon"
  for _ in $(seq 100); do
    [ -S "$socket" ] && "$pullama" --socket "$socket" --no-autostart jobs >/dev/null 2>&1 && return
    kill -0 "$daemon" 2>/dev/null || { cat "$work/daemon.log" >&2; fail 'pullamad does not start'; }
    sleep 0.05
  done
  fail 'pullamad does not answer'
}
pull() { "$pullama" --socket "$socket" --no-autostart --models-dir "$models" pull --insecure "$@" "$name"; }
# Bytes that a checkpoint covers.
covered() {
  python3 - "$models/.pullm/sha256-$weights.json" <<'PY'
import json, sys
try:
    print(sum(chunk["received"] for chunk in json.load(open(sys.argv[1]))["chunks"]))
except (OSError, ValueError, KeyError):
    print(0)
PY
}
# Bytes of the sample's large blob that the registry has sent, by its own access log.
sent() { awk -v blob="$weights" '$0 ~ blob && $6 == "\"GET" { sum += $10 } END { printf "%d\n", sum }' "$work/registry.log"; }

say 'pulling it at 50 MB/s; half-way the daemon gets kill -9'
start_daemon
first=$daemon
(
  while [ "$(covered)" -lt $((total / 2)) ]; do sleep 0.1; done
  kill -9 "$first"
) &
killer=$!
pull --limit-rate 50M
gone "$first" || fail 'the daemon outlived the pull'
wait "$killer"
killer='' daemon=''
[ ! -e "$models/blobs/sha256-$weights" ] || fail 'the pull was over before the kill; this machine is too busy for a demonstration'
before=$(covered)
sleep 0.5 # the registry logs what it was sending
sent_before=$(sent)
say "killed; the checkpoint on disk covers $(bytes "$before") of $(bytes $total)"

say 'pulling again'
start_daemon
# What the daemon tells everybody who subscribes, one JSON line an event.
python3 - "$socket" >"$work/events" <<'PY' &
import json, socket, sys
with socket.socket(socket.AF_UNIX) as peer:
    peer.connect(sys.argv[1])
    peer.sendall(b'{"jsonrpc":"2.0","id":1,"method":"events.subscribe","params":{"since":0}}\n')
    for line in peer.makefile():
        event = json.loads(line).get("params", {})
        if event.get("type") == "blob.resumed":
            print(line, end="", flush=True)
        if event.get("type") in ("job.completed", "job.failed"):
            break
PY
watcher=$!
pull || fail "the second pull failed; the daemon's words: $(tail -n 5 "$work/daemon.log")"
wait "$watcher"
watcher=''
[ "$(sha256sum <"$models/blobs/sha256-$weights" | cut -d' ' -f1)" = "$weights" ] || fail 'the blob has wrong bytes'

say 'what the daemon said, and what the registry logged'
sed 's/^/  /' "$work/events"
[ -s "$work/events" ] || fail 'no blob.resumed was seen'
# A kill leaves more than a power cut would: what was written and not synced yet.
found=$(python3 -c 'import json, sys; print(json.loads(sys.stdin.readline())["params"]["offset"])' <"$work/events")
for _ in $(seq 20); do
  again=$(($(sent) - sent_before))
  [ $((found + again)) -ge $total ] && break
  sleep 0.1
done
printf '  checkpoint covered          %12d bytes\n' "$before"
printf '  found on the disk           %12d bytes\n' "$found"
printf '  registry sent after that    %12d bytes\n' "$again"
printf '  together                    %12d of %d bytes\n' $((found + again)) $total
[ "$found" -ge "$before" ] || fail 'what the checkpoint covered was not believed'
[ $((found + again)) -le $total ] || fail 'bytes travelled twice'

say 'the store, as Ollama would read it too'
"$pullama" --socket "$socket" --no-autostart --models-dir "$models" list || exit 1
say 'done; everything but the build is removed again. For a real model: packaging/try.sh llama3.2'
