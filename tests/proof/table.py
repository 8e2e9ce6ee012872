#!/usr/bin/python3
"""Runs the rows of tests/proof.sh and prints their table. Each figure is read from what the tests printed; a row whose tests
print none, or did nothing, has failed."""

import argparse
import collections
import concurrent.futures
import dataclasses
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import textwrap
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
LOGS = ROOT / "build" / "logs"


@dataclasses.dataclass(frozen=True)
class Row:
    name: str
    promise: str
    tests: tuple  # of e2e: files without _test.py; else the words of one command
    kind: str = "e2e"
    quick: bool = True
    has_states: bool = False  # figures without which it proves nothing
    has_faults: bool = True


ROWS = [
    Row("crash", "the power goes at every operation of a pull, an update, an adoption, an edit of the queue, and in the recovery: "
        "promises 1 to 6 and 9", ("crash_test",), "crash", has_states=True),
    Row("power", "the plug is pulled under a real ext4: no claim untrue, nothing answered lost", ("power_cut",), has_states=True),
    Row("kill", "kill -9 of the daemon: what was saved travels once, the end is right byte for byte", ("kill", "survival"),
        has_states=True),
    Row("queue", "kills lose neither the queue's order nor its states", ("queue",), has_states=True),
    Row("push", "a push arrives byte for byte, also over kills; what a registry refuses is told", ("push",), has_states=True),
    Row("space", "disks too small, full, or taking nothing: kept, told, gone on with", ("space",)),
    Row("faults", "resets, short and wrong bodies, 5xx, 429, expired links lose next to nothing", ("faults",)),
    Row("answers", "every answer of the fault table, Retry-After, silent and crawling lines", ("answers", "patience")),
    Row("network", "names that fail and heal, black holes, proxies, mirrors that lie", ("names", "proxies", "mirrors")),
    Row("transfers", "registries, stores and disks that misbehave, on a fake clock inside one process", ("pull_test",), "doctest",
        quick=False, has_faults=False),
    Row("stop", "pause, cancel and SIGTERM wherever a pull can hang", ("stop", "stop_everywhere"), quick=False, has_faults=False),
    Row("store", "rm, cp, clean, verify and update beside transfers; Ollama's own rules accept the store", ("store", "planted"),
        quick=False, has_faults=False),
    Row("attacks", "realms, redirects, secrets, names, certificates, floods: security.md", ("realms", "redirects", "secrets",
        "strangers", "auth", "daemon"), quick=False, has_faults=False),
    Row("seeds", "every parser of outside bytes bears seeds and simple mutations", ("fuzz_seeds",), "seeds", has_faults=False,
        has_states=True),
    Row("fuzz", "every parser of outside bytes bears libFuzzer", ("fuzz/run.sh", "5"), "fuzz", quick=False, has_faults=False,
        has_states=True),
    Row("hardening", "position independent, full RELRO, nothing writable and executable", ("arch/hardening_test.py",), "hardening",
        has_faults=False),
    Row("mutations", "a sync, a check, a lock or a rule that is taken away is noticed", ("mutate/run.py",), "mutations"),
    Row("soak", "all at once for long: no lost or wrong byte, no growth, nothing left behind", ("soak/soak.py",), "soak",
        has_states=True),
]


class Result:
    def __init__(self):
        self.tests, self.states, self.faults, self.skipped, self.words, self.ok = 0, 0, collections.Counter(), 0, [], True

    def fail(self, word):
        self.ok = False
        self.words.append(word)


def number(text):
    return int(text.replace(",", ""))


def read_e2e(output, result):
    found = re.findall(r"^figures: (\{.*\})$", output, re.M)
    if not found:
        result.fail("no figures")
    for figures in map(json.loads, found):
        result.tests += figures["tests"]
        result.skipped += figures["skipped"]
        result.states += figures["states"]
        result.faults.update(figures["faults"])
    for word in sorted(set(re.findall(r"skipped ['\"](.*)['\"]$", output, re.M))):
        result.words.append(word)


def read_doctest(output, result):
    for cases, skipped in re.findall(r"^\[doctest\] test cases: *\d+ \| *(\d+) passed.*?\| *(\d+) skipped", output, re.M):
        result.tests += int(cases)
        result.skipped += int(skipped)


def read_crash(output, result):
    read_doctest(output, result)
    for points, states, _, second in re.findall(
            r"power cut at (\d+) points, (\d+) disk states checked, (\d+) recovered to the end, (\d+) cut again", output):
        result.states += int(states)
        result.faults["power cuts"] += int(points) + int(second)


def read_fuzz(output, result):
    targets = re.findall(r"^[a-z]\S* .*?(\d+) inputs", output, re.M)
    result.tests += len(targets)
    result.states += sum(map(int, targets))
    for total in re.findall(r"^(\d+) targets", output, re.M):
        if int(total) != len(targets):
            result.fail(f"{len(targets)} of {total} targets")
    for word in re.findall(r"^left out: (.*)$", output, re.M):
        result.words.append(word)
        result.skipped += 1


def read_hardening(output, result):
    result.tests += 1


def read_mutations(output, result):
    for mutations, caught in re.findall(r"^(\d+) mutations, (\d+) caught", output, re.M):
        result.tests += int(mutations)
        result.faults["mutations"] += int(mutations)
        result.words.append(f"{caught} caught")
        if mutations != caught:
            result.fail("some survived")


def read_soak(output, result):
    done = {what: number(times) for times, what in re.findall(r"^ *([\d,]+) (\S.*)$", output, re.M)}
    result.tests += sum(done.get(k, 0) for k in ("pulls", "pushes", "entries of the queue completed", "updates"))
    for kind in ("kill -9 of the daemon", "SIGTERM to the daemon"):
        result.states += done.get(kind, 0)
        result.faults["kills"] += done.get(kind, 0)
    result.faults["answers that were spoiled"] += done.get("faults that a registry injected", 0)
    result.words += re.findall(r"^((?:memory at rest|open files at rest): .*)$", output, re.M)


READERS = {"e2e": read_e2e, "doctest": read_doctest, "crash": read_crash, "seeds": read_fuzz, "fuzz": read_fuzz,
           "hardening": read_hardening, "mutations": read_mutations, "soak": read_soak}


class Proof:
    def __init__(self, given):
        self.given, self.build = given, given.build.resolve()
        cache = (self.build / "CMakeCache.txt").read_text()
        sanitize = re.search(r"^PULLAMA_SANITIZE:\w+=(.*)$", cache, re.M)
        python = re.search(r"^PULLAMA_PYTHON:\w+=(.*)$", cache, re.M)
        support = self.build / "tests" / "support"
        self.sanitize, self.python = sanitize[1] if sanitize else "", python[1] if python else sys.executable
        self.environment = {**os.environ, "PULLAMAD": str(self.build / "bin/pullamad"), "PULLAMA": str(self.build / "bin/pullama"),
                            "SCRIPTED_REGISTRY": str(support / "scripted_registry/scripted-registry"),
                            "LINE_PROXY": str(support / "line_proxy/line-proxy"), "PULLAMA_SANITIZE": self.sanitize,
                            "PULLAMA_TEST_SECONDS": "3000", "PYTHONDONTWRITEBYTECODE": "1"}
        if given.quick:
            self.environment.pop("PULLAMA_TEST_LONG", None)
        else:
            self.environment["PULLAMA_TEST_LONG"] = "1"

    def chosen(self):
        """(row, why it is left out)"""
        for row in ROWS:
            why = ""
            if not re.search(self.given.k, row.name):
                continue
            if row.name == "mutations" and not self.given.mutations:
                why = "only with --mutations"
            elif row.name == "soak" and not self.given.soak:
                why = "only with --soak MINUTES"
            elif self.given.quick and not row.quick:
                why = "not with --quick"
            yield row, why

    def program(self, name):
        found = [p for p in (self.build / "tests").rglob(name) if p.is_file() and os.access(p, os.X_OK)]
        if len(found) != 1:
            raise FileNotFoundError(f"{len(found)} programs called {name} in {self.build}")
        return found[0]

    def commands(self, row):
        tests = ROOT / "tests"
        if row.kind == "e2e":
            return [[self.python, tests / "e2e" / f"{topic}_test.py"] for topic in row.tests]
        if row.kind in ("doctest", "crash"):
            return [[self.program(row.tests[0]), "--no-colors"]]
        if row.kind == "seeds":
            return [[self.program(row.tests[0]), tests / "fuzz" / "seeds"]]
        if row.kind == "fuzz":
            return [["bash", tests / row.tests[0], *row.tests[1:]]]
        if row.kind == "hardening":
            return [[self.python, tests / row.tests[0], self.build, *([self.sanitize] if self.sanitize else [])]]
        if row.kind == "soak":
            return [[self.python, tests / row.tests[0], "--minutes", str(self.given.soak)]]
        return [[self.python, tests / row.tests[0]]]

    def run(self, row):
        begin, result, output = time.monotonic(), Result(), ""
        limit = {"mutations": 12 * 3600, "soak": self.given.soak * 60 + 1800}.get(row.kind, 7200)
        try:
            environment = dict(self.environment)
            if row.kind == "soak":
                del environment["PULLAMA_TEST_SECONDS"]  # it knows its own
            for command in self.commands(row):
                done = subprocess.run([str(word) for word in command], cwd=self.build, env=environment, stdin=subprocess.DEVNULL,
                                      stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
                                      timeout=limit)
                output += f"$ {' '.join(map(str, command))}\n{done.stdout}\n"
                if done.returncode != 0:
                    result.fail(f"exit {done.returncode}")
        except (OSError, subprocess.TimeoutExpired) as error:
            result.fail(str(error))
        (LOGS / f"proof-{row.name}.log").write_text(output)
        READERS[row.kind](output, result)
        if not result.tests and not result.skipped:
            result.fail("nothing ran")
        if result.tests and result.ok:
            if row.has_states and not result.states:
                result.fail("no states")
            if row.has_faults and not sum(result.faults.values()):
                result.fail("no faults")
        verdict = "FAILED" if not result.ok else "ok" if result.tests else "skipped"
        print(f"{row.name}: {verdict}, {time.monotonic() - begin:.0f} s", flush=True)
        return row, result, verdict


HEADS, WIDTHS = ("promise", "tests", "states tried", "faults injected", "result"), (42, 18, 12, 28, 24)


def lines_of(cells):
    wrapped = [textwrap.wrap(str(cell), width) or [""] for cell, width in zip(cells, WIDTHS)]
    for i in range(max(map(len, wrapped))):
        yield " | ".join((part[i] if i < len(part) else "").ljust(width) for part, width in zip(wrapped, WIDTHS)).rstrip()


def show(rows):
    rule = "-+-".join("-" * width for width in WIDTHS)
    print()
    for cells in [HEADS, *rows]:
        print(*lines_of(cells), rule, sep="\n")


def cells_of(row, result, verdict):
    names = " ".join(row.tests)
    skipped = f"{result.skipped} skipped" if result.skipped else ""
    faults = ", ".join(f"{times:,} {kind}" for kind, times in sorted(result.faults.items()) if times)
    return (row.promise, f"{names}: {result.tests:,}", f"{result.states:,}" if result.states else "-", faults or "-",
            "; ".join(filter(None, [verdict, skipped, *result.words])))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", type=pathlib.Path, required=True)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--mutations", action="store_true")
    parser.add_argument("--soak", type=float, default=0)
    parser.add_argument("-k", default="")
    given = parser.parse_args()
    if not (given.build / "CMakeCache.txt").exists():
        raise SystemExit(f"proof.sh: {given.build} is no build folder")
    LOGS.mkdir(parents=True, exist_ok=True)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    proof, begin, cells, results = Proof(given), time.monotonic(), {}, []
    rows = list(proof.chosen())
    # Those that measure or build want the machine to themselves.
    alone = {"mutations", "fuzz", "soak"}
    together = [row for row, why in rows if not why and row.name not in alone]
    with concurrent.futures.ThreadPoolExecutor(max_workers=os.cpu_count() or 2) as pool:
        results += pool.map(proof.run, together)
    results += [proof.run(row) for row, why in rows if not why and row.name in alone]
    for row, result, verdict in results:
        cells[row.name] = cells_of(row, result, verdict)
    for row, why in rows:
        if why:
            cells[row.name] = (row.promise, " ".join(row.tests), "", "", f"left out: {why}")
    show([cells[row.name] for row, _ in rows])
    failed = [row.name for row, result, _ in results if not result.ok]
    states, faults = (sum(result.states for _, result, _ in results),
                      sum(sum(result.faults.values()) for _, result, _ in results))
    print(f"\n{len(results)} of {len(rows)} rows run in {(time.monotonic() - begin) / 60:.1f} minutes: "
          f"{sum(result.tests for _, result, _ in results):,} tests, {states:,} states tried, {faults:,} faults injected, "
          + (f"FAILED: {', '.join(failed)}; see {os.path.relpath(LOGS, ROOT)}/proof-*.log" if failed else "nothing failed"))
    return 1 if failed or not results else 0


if __name__ == "__main__":
    sys.exit(main())
