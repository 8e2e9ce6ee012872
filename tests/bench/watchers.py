#!/usr/bin/python3
"""What a thousand watchers cost a running pull: rate lost against none, the daemon's memory, and how late events reach a
reader that reads. One of the thousand never reads, one takes a byte a second.

usage: watchers.py [--rounds N] [--subscribers N] [--size BYTES] [--rate BYTES_A_SECOND] [--programs FOLDER]

Rounds without and with watchers take turns; medians are shown. --rate 0 pulls as fast as two cores can, where every cycle of
a watcher's is one that the pull does not get; the readers run on the same machine. Exit 1 when a limit is not kept."""

import argparse
import os
import pathlib
import shutil
import signal
import statistics
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "e2e"))

MAX_LOSS, MAX_RSS_MIB, MAX_DELAY_MS = 0.03, 128, 20


def parse():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--rounds", type=int, default=7)
    options.add_argument("--subscribers", type=int, default=1000)
    options.add_argument("--size", type=int, default=1 << 30)
    options.add_argument("--rate", type=int, default=0)
    options.add_argument("--programs", default=str(HERE.parent.parent / "build/release/bin"))
    return options.parse_args()


ARGUMENTS = parse()
os.environ.setdefault("PULLAMAD", f"{ARGUMENTS.programs}/pullamad")
os.environ.setdefault("PULLAMA", f"{ARGUMENTS.programs}/pullama")

import harness  # noqa: E402
import scratch  # noqa: E402
from blobs import Blob, Model  # noqa: E402
from registries import free_port, listening  # noqa: E402
from wire import Wire  # noqa: E402
from crowd import crowd, healthy  # noqa: E402


class StaticRegistry:
    """nginx over files in memory: it costs next to nothing, so that the pull's own cost is what is seen."""

    def __init__(self, box, model, data):
        self.port = free_port()
        root = data / "www/v2" / model.repository
        (root / "manifests").mkdir(parents=True)
        (root / "blobs").mkdir()
        (root / "manifests" / model.tag).write_bytes(model.manifest)
        for blob in model.blobs:
            with open(root / "blobs" / blob.digest, "wb") as out:
                for piece in blob.pieces():
                    out.write(piece)
        folder = box.root / "nginx"
        folder.mkdir()
        temporary = "".join(f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        (folder / "nginx.conf").write_text(
            f"daemon off; master_process off; user root; pid {folder}/pid; error_log {folder}/error.log warn;\n"
            "events { worker_connections 256; }\n"
            f"http {{ {temporary} access_log off; sendfile on; sendfile_max_chunk 1m; tcp_nopush on;\n"
            f"server {{ listen 127.0.0.1:{self.port}; root {data}/www; default_type application/octet-stream;\n"
            "location = /v2/ { default_type application/json; return 200 '{}'; }\n"
            "location ~ /manifests/ { default_type application/vnd.docker.distribution.manifest.v2+json; } } }\n")
        box.spawn(shutil.which("nginx", path="/usr/sbin:/usr/bin"), "-p", folder, "-c", folder / "nginx.conf",
                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        harness.wait_until(lambda: listening(self.port), "nginx listens")
        self.name = f"127.0.0.1:{self.port}/{model.repository}:{model.tag}"


def status_kib(pid, name):
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith(name))


def pull(box, name):
    """A pull from its first byte to its last; bytes a second."""
    shutil.rmtree(box.models / "manifests", ignore_errors=True)
    shutil.rmtree(box.models / "blobs", ignore_errors=True)
    os.sync()
    with Wire(box.socket) as wire:
        options = {"insecure": True}
        if ARGUMENTS.rate:
            options["limit_rate"] = ARGUMENTS.rate
        begin = time.monotonic()
        job = wire.call("pull.start", model=name, options=options)["job"]
        while True:
            time.sleep(0.02)
            state = wire.call("job.get", job=job)
            if state["state"] != "active":
                assert state["state"] == "completed", state
                return ARGUMENTS.size / (time.monotonic() - begin)


def main():
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # tidies
    box = harness.Sandbox()
    data = scratch.folder("pullama-watchers-", "/dev/shm")
    try:
        model = Model("library/big", "latest", [Blob(seed=7, size=ARGUMENTS.size)])
        registry = StaticRegistry(box, model, data)
        daemon = box.daemon()
        alone, watched, losses, delays, state_delays = [], [], [], [], []
        pull(box, registry.name)  # warm
        for number in range(ARGUMENTS.rounds):
            pair = {}
            # Which comes first changes, so that a drift of the machine cancels out.
            for with_watchers in ((False, True) if number % 2 == 0 else (True, False)):
                path = str(box.socket)
                watchers = [crowd(path, ARGUMENTS.subscribers - 1), healthy(path)] if with_watchers else []
                pair[with_watchers] = pull(box, registry.name)
                found = [watcher.end() for watcher in watchers]
                if found:
                    delays += [delay for _, delay in found[1]]
                    state_delays += [delay for kind, delay in found[1] if kind != "blob.progress"]
            alone.append(pair[False])
            watched.append(pair[True])
            losses.append(1 - pair[True] / pair[False])
            print(f"round {number + 1}: {pair[False] / 1e6:.1f} MB/s alone, {pair[True] / 1e6:.1f} MB/s watched", flush=True)
        rss = status_kib(daemon.pid, "VmHWM") / 1024
        loss = 1 - statistics.median(watched) / statistics.median(alone)
        delay = statistics.median(delays) * 1000
        slowest = sorted(delays)[int(len(delays) * 0.99)] * 1000
        print(f"{ARGUMENTS.subscribers} subscribers, {ARGUMENTS.rounds} rounds of {ARGUMENTS.size / 1e6:.0f} MB, "
              f"load {os.getloadavg()[0]:.2f}")
        print(f"rate      {statistics.median(alone) / 1e6:.1f} MB/s alone, {statistics.median(watched) / 1e6:.1f} MB/s watched: "
              f"{loss * 100:.1f} % lost (median of pairs {statistics.median(losses) * 100:.1f} %; limit {MAX_LOSS * 100:.0f} %)")
        print(f"memory    {rss:.1f} MiB at most (limit {MAX_RSS_MIB})")
        print(f"delay     median {delay:.2f} ms, 99 % {slowest:.2f} ms, state changes "
              f"{statistics.median(state_delays) * 1000:.2f} ms (limit {MAX_DELAY_MS}), {len(delays)} events")
        return 0 if loss < MAX_LOSS and rss < MAX_RSS_MIB and delay < MAX_DELAY_MS else 1
    finally:
        shutil.rmtree(data, ignore_errors=True)
        for line in box.close():
            print(line, file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
