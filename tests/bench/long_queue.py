#!/usr/bin/python3
"""A queue of 10,000 entries: what one more costs, listing it, and a daemon's start with it. Wall time of the whole commands.

usage: long_queue.py [--rounds N] [--entries N] [--programs FOLDER]

Exit 1 when a limit is not kept."""

import argparse
import json
import os
import pathlib
import statistics
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "e2e"))

LIMITS_MS = {"queue add": 30, "queue list": 100, "start, empty": 50, "start, full": 200, "pullama list": None}


def parse():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--rounds", type=int, default=21)
    options.add_argument("--entries", type=int, default=10_000)
    options.add_argument("--programs", default=str(HERE.parent.parent / "build/release/bin"))
    return options.parse_args()


ARGUMENTS = parse()
os.environ.setdefault("PULLAMAD", f"{ARGUMENTS.programs}/pullamad")
os.environ.setdefault("PULLAMA", f"{ARGUMENTS.programs}/pullama")

import harness  # noqa: E402
from wire import Wire  # noqa: E402


def timed(action):
    begin = time.perf_counter()
    value = action()
    return (time.perf_counter() - begin) * 1000, value


def start(box):
    """Until it answers its first request."""
    import socket

    def run():
        daemon = box.daemon(wait=False)
        while True:
            try:
                with socket.socket(socket.AF_UNIX) as peer:
                    peer.connect(str(box.socket))
                    peer.sendall(b'{"jsonrpc":"2.0","id":1,"method":"daemon.info"}\n')
                    if peer.recv(100):
                        return daemon
            except OSError:
                time.sleep(0.0005)

    return timed(run)


def main():
    box = harness.Sandbox()
    times = {name: [] for name in LIMITS_MS}

    def command(name, *arguments):
        taken, run = timed(lambda: box.pullama(*arguments))
        assert run.returncode == 0, run.stderr
        times[name].append(taken)
        return run.stdout

    try:
        for _ in range(ARGUMENTS.rounds):
            taken, daemon = start(box)
            times["start, empty"].append(taken)
            box.terminate(daemon)
        daemon = box.daemon()
        with Wire(box.socket, check=False) as wire:
            for begin in range(0, ARGUMENTS.entries, 5000):
                count = min(5000, ARGUMENTS.entries - begin)
                added = wire.call("queue.add", models=[f"registry.example/library/model-{begin + i}:7b" for i in range(count)])
                assert len(added["added"]) == count
        for number in range(ARGUMENTS.rounds):
            command("queue add", "queue", "add", f"one-more-{number}")
            listed = command("queue list", "queue", "list")
            assert listed.count("\n") == ARGUMENTS.entries + number + 1
            command("pullama list", "list")
        for _ in range(ARGUMENTS.rounds):
            box.terminate(daemon)
            taken, daemon = start(box)
            times["start, full"].append(taken)
        assert len(json.loads(box.pullama("queue", "list", "--output", "json").stdout)["entries"]) == \
            ARGUMENTS.entries + ARGUMENTS.rounds
        kept = True
        print(f"{ARGUMENTS.entries} entries, {ARGUMENTS.rounds} rounds, load {os.getloadavg()[0]:.2f}")
        for name, values in times.items():
            limit, middle = LIMITS_MS[name], statistics.median(values)
            kept = kept and (limit is None or middle < limit)
            print(f"{name:<14}median {middle:6.1f} ms, least {min(values):6.1f}, most {max(values):6.1f}"
                  + (f" (limit {limit})" if limit else ""))
        return 0 if kept else 1
    finally:
        for line in box.close():
            print(line, file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
