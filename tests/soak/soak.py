#!/usr/bin/python3
"""Everything at once for a long time: pulls, pushes, edits of the queue, rm, cp, clean, verify, watchers that come, stall and go,
a registry that misbehaves; one daemon that is killed all the time, one that lives. Every byte that was pulled or pushed is
compared; the daemon that lives must not grow. Only loopback. Exit code 1 when anything is lost, wrong, growing or left behind.

usage: soak.py [--minutes M] [--seed N] [--every SECONDS] [--idle-every SECONDS]

PULLAMAD, PULLAMA and SCRIPTED_REGISTRY name the programs. Under three minutes growth is shown and not judged. With ASan the
figures are ASan's too: judge growth on a release build."""

import argparse
import os
import pathlib
import random
import signal
import statistics
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "e2e"))

import harness  # noqa: E402
from account import Account  # noqa: E402
from homes import Home  # noqa: E402
from registries import DockerRegistry, ScriptedRegistry  # noqa: E402
from upload_registry import UploadRegistry  # noqa: E402

GROWTH, SLACK_KB = 1.10, 4 * 1024
JUDGED_FROM = 3  # minutes


class Figures:
    """Memory and open files of a daemon over time."""

    def __init__(self, pid):
        self.pid, self.rss, self.idle = pid, [], []

    def rss_kb(self):
        with open(f"/proc/{self.pid}/status", encoding="ascii") as file:
            return next(int(line.split()[1]) for line in file if line.startswith("VmRSS"))

    def files(self):
        """What each open descriptor is, without the numbers of sockets."""
        found = []
        for name in os.listdir(f"/proc/{self.pid}/fd"):
            try:
                target = os.readlink(f"/proc/{self.pid}/fd/{name}")
            except OSError:
                continue
            found.append("socket" if target.startswith("socket:") else "pipe" if target.startswith("pipe:") else target)
        return sorted(found)

    def sample(self):
        self.rss.append((self.rss_kb(), len(self.files())))

    def at_rest(self):
        """With nothing to do: what is open a moment later too."""
        files = self.files()
        for _ in range(40):
            time.sleep(0.5)
            again = self.files()
            if len(again) == len(files) and (not self.idle or len(again) <= len(self.idle[0][1])):
                break
            files = again
        self.idle.append((self.rss_kb(), self.files()))

    def quarters(self, series):
        count = len(series)
        return statistics.median(series[count // 4:max(count // 2, count // 4 + 1)]), statistics.median(series[3 * count // 4:])

    def verdict(self):
        """Lines to show, and what is too much."""
        shown, wrong = [], []
        for title, series in (("under load", [kb for kb, _ in self.rss]), ("at rest", [kb for kb, _ in self.idle])):
            if len(series) < 4:
                continue
            early, late = self.quarters(series)
            shown.append(f"memory {title}: median {early / 1024:.1f} MiB in the second quarter, {late / 1024:.1f} MiB in the last, "
                         f"{len(series)} figures")
            if late > early * GROWTH + SLACK_KB:
                wrong.append(f"memory {title} grew from {early:.0f} to {late:.0f} kB: {series}")
        counts = [len(files) for _, files in self.idle]
        if counts:
            shown.append(f"open files at rest: {counts[0]} first, {counts[-1]} last, at most {max(counts)}; under load up to "
                         f"{max((fds for _, fds in self.rss), default=0)}")
        for number, (_, files) in enumerate(self.idle):
            if len(files) != counts[0]:
                more = sorted(set(files) ^ set(self.idle[0][1])) or sorted(files)
                wrong.append(f"open files at rest point {number}: {len(files)}, at the first {counts[0]}: {more[:20]}")
        return shown, wrong


def options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--seed", type=int, default=int(os.environ.get("PULLAMA_TEST_SEED", "0")))
    parser.add_argument("--every", type=float, default=2, help="seconds between two figures")
    parser.add_argument("--idle-every", type=float, help="seconds between two points of rest")
    given = parser.parse_args()
    given.seed = given.seed or random.randrange(1, 10**9)
    given.idle_every = given.idle_every or min(60, max(8, given.minutes * 60 / 20))
    return given


def registry_of(box):
    return ScriptedRegistry(box, {"models": [], "cdn": {"mode": "redirect"}, "rate": {"connection": 3_000_000}})


def spoiled(account, seed):
    """Now and then a registry refuses a part of a push for no reason."""
    chance = random.Random(seed)

    def fail(method, path):
        if method in ("POST", "PATCH", "PUT") and chance.random() < 0.03:
            account.count("faults that a registry injected")
            return chance.choice(((503, {}, b""), (500, {}, b""), (429, {"Retry-After": "1"}, b"")))
        return None
    return fail


def soak(given, account):
    """Runs; the figures of the daemon that lived."""
    servers, homes, figures = harness.Sandbox(), [], None
    uploads = [UploadRegistry("chunks"), UploadRegistry("parts")]
    for number, registry in enumerate(uploads):
        registry.fail = spoiled(account, given.seed + number)
    try:
        if os.access("/usr/bin/docker-registry", os.X_OK):
            uploads.append(DockerRegistry(servers))
        for name, mortal in (("living", False), ("mortal", True)):
            homes.append(Home(name, mortal, registry_of, uploads, account, given.seed))
        for home in homes:
            home.start()
        living, begin = homes[0], time.monotonic()
        figures, next_idle = Figures(living.daemon.pid), given.idle_every
        while (now := time.monotonic() - begin) < given.minutes * 60 and living.daemon.poll() is None:
            if now >= next_idle:
                living.hush()
                figures.at_rest()
                print(f"{now / 60:5.1f} min: at rest {figures.idle[-1][0] / 1024:.1f} MiB, {len(figures.idle[-1][1])} files; so far "
                      + ", ".join(f"{account.done[k]} {k}" for k in ("pulls", "pushes", "kill -9 of the daemon")), flush=True)
                living.open_gate.set()
                next_idle = time.monotonic() - begin + given.idle_every
            figures.sample()
            time.sleep(given.every)
        for home in homes:
            home.stop()
        for home in homes:
            home.finish()
    except (AssertionError, OSError, EOFError, KeyboardInterrupt) as error:
        account.complain(f"{type(error).__name__}: {error}")
    finally:
        for home in homes:
            home.stop(limit=60)
        for home in homes:
            home.leave()
        for registry in uploads[:2]:
            registry.close()
        for line in servers.close():
            account.complain(line)
    return figures


def main():
    given = options()
    for name in ("PULLAMAD", "PULLAMA", "SCRIPTED_REGISTRY"):
        if not os.access(os.environ.get(name, ""), os.X_OK):
            raise SystemExit(f"{name} is '{os.environ.get(name, '')}', which cannot be run")
    # A hang is a finding as well, and leaves nothing behind either.
    signal.signal(signal.SIGALRM, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    signal.alarm(int(os.environ.get("PULLAMA_TEST_SECONDS", "0")) or int(given.minutes * 60 + 900))
    print(f"seed {given.seed}, {given.minutes} minutes", flush=True)
    account = Account()
    begin = time.monotonic()
    figures = soak(given, account)
    shown, grown = figures.verdict() if figures else ([], [])
    if given.minutes >= JUDGED_FROM:
        for line in grown:
            account.complain(line)
    else:
        shown += [f"not judged in so short a time: {line}" for line in grown]
    for need in ("pulls", "pushes", "entries of the queue completed", "kill -9 of the daemon", "watchers", "faults that a registry injected"):
        if account.done[need] == 0:
            account.complain(f"no {need}: this says nothing")
    print(f"\n{(time.monotonic() - begin) / 60:.1f} minutes, seed {given.seed}")
    for what, times in sorted(account.done.items()):
        print(f"{times:14,} {what}")
    print("\n".join(shown))
    print(f"soak: {len(account.wrong)} wrong" + "".join(f"\n  {line[:300]}" for line in account.wrong))
    return 1 if account.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
