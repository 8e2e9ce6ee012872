#!/usr/bin/python3
"""Does the suite notice? Applies each mutation of mutations.py to a copy of the tree, builds the test that should catch
it, and runs that test, which must pass without the mutation and fail with it. A long mode: not part of the suite.

Usage: tests/mutate/run.py [--list] [NAME…]
The copy and its build lie in build/mutants/. $PULLAMA_BUILD replaces `cmake --build` (for a machine with a queue)."""

import os
import shlex
import shutil
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from mutations import MUTATIONS

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
COPY = os.path.join(ROOT, "build", "mutants")
BUILD = os.path.join(COPY, "build", "dev")
BUILD_COMMAND = shlex.split(os.environ.get("PULLAMA_BUILD", "cmake --build"))
TEST_SECONDS = 600


def copy_tree():
    """What git knows or would take, changed files only, so that a second run builds little."""
    names = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT,
                           check=True, capture_output=True).stdout.decode().split("\0")
    for name in filter(None, names):
        source, target = os.path.join(ROOT, name), os.path.join(COPY, name)
        if not os.path.isfile(source):
            continue
        with open(source, "rb") as file:
            content = file.read()
        if not os.path.exists(target) or open(target, "rb").read() != content:
            os.makedirs(os.path.dirname(target), exist_ok=True)
            shutil.copyfile(source, target)
            shutil.copymode(source, target)


def build(target):
    done = subprocess.run([*BUILD_COMMAND, BUILD, "--target", target], cwd=COPY, capture_output=True, text=True)
    return None if done.returncode == 0 else (done.stdout + done.stderr)[-3000:]


def program(target):
    found = subprocess.run(["find", BUILD, "-name", target, "-type", "f", "-perm", "-u+x"], check=True,
                           capture_output=True, text=True).stdout.split()
    if len(found) != 1:
        raise SystemExit(f"{target}: {len(found)} programs of this name in {BUILD}")
    return found[0]


def run_test(words):
    """(passed, the end of its output)"""
    try:
        done = subprocess.run([program(words[0]), *words[1:]], cwd=BUILD, capture_output=True, text=True,
                              errors="replace", timeout=TEST_SECONDS)
    except subprocess.TimeoutExpired:
        return False, f"did not end within {TEST_SECONDS} s"
    return done.returncode == 0, (done.stdout + done.stderr)[-1500:]


def first_complaint(output):
    lines = [line.strip() for line in output.splitlines() if "ERROR" in line or "promise" in line or "broken" in line]
    return lines[0][:100] if lines else output.strip().splitlines()[-1][:100] if output.strip() else ""


def try_mutation(mutation, sound):
    """A word on how it went; anything but "caught" is a failure."""
    words = shlex.split(mutation.test)
    path = os.path.join(COPY, mutation.path)
    with open(path, encoding="utf-8") as file:
        before = file.read()
    if before.count(mutation.old) != 1:
        return f"does not apply: its text stands {before.count(mutation.old)} times in {mutation.path}", ""
    if mutation.test not in sound:
        problem = build(words[0])
        if problem:
            return "the unchanged test does not build", problem
        sound[mutation.test], output = run_test(words)
        if not sound[mutation.test]:
            return "the test fails without it", output
    try:
        with open(path, "w", encoding="utf-8") as file:
            file.write(before.replace(mutation.old, mutation.new))
        problem = build(words[0])
        if problem:
            return "does not build", problem
        passed, output = run_test(words)
    finally:
        with open(path, "w", encoding="utf-8") as file:
            file.write(before)
    return ("SURVIVED", output) if passed else ("caught", first_complaint(output))


def main():
    names = [a for a in sys.argv[1:] if not a.startswith("-")]
    unknown = set(names) - {m.name for m in MUTATIONS}
    if unknown or set(sys.argv[1:]) - set(names) - {"--list"}:
        print(__doc__)
        return 1
    chosen = [m for m in MUTATIONS if not names or m.name in names]
    if "--list" in sys.argv:
        for mutation in chosen:
            print(f"{mutation.name:34} {mutation.breaks} ({mutation.test})")
        return 0
    copy_tree()
    subprocess.run(["cmake", "--preset", "dev"], cwd=COPY, check=True, stdout=subprocess.DEVNULL)
    sound, missed = {}, []
    for mutation in chosen:
        begin = time.monotonic()
        how, more = try_mutation(mutation, sound)
        print(f"{mutation.name:34} {how:10} by {mutation.test}, {time.monotonic() - begin:.0f} s: {mutation.breaks}",
              flush=True)
        print("    " + more.replace("\n", "\n    "), flush=True)
        if how != "caught":
            missed.append(mutation.name)
    print(f"{len(chosen)} mutations, {len(chosen) - len(missed)} caught" + (": missed " + ", ".join(missed) if missed else ""))
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
