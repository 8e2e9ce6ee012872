#!/usr/bin/python3
"""Does the suite notice? Applies each mutation of mutations.py to a copy of the tree, builds the test that should catch
it, and runs that test, which must pass without the mutation and fail with it. At the end a table; exit code 1 when a
mutation survives or does not apply. A long mode: not part of the suite.

Usage: tests/mutate/run.py [--list] [NAME…]
The copy and its build lie in build/mutants/. $PULLAMA_BUILD replaces `cmake --build` (for a machine with a queue)."""

import fcntl
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from mutations import MUTATIONS

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
COPY = os.path.join(ROOT, "build", "mutants")
BUILD = os.path.join(COPY, "build", "dev")
BUILD_COMMAND = shlex.split(os.environ.get("PULLAMA_BUILD", "cmake --build"))
# What each test of the programs is given, by the variable that tests/e2e/harness.py reads.
PROGRAMS = {"PULLAMAD": "pullamad", "PULLAMA": "pullama", "SCRIPTED_REGISTRY": "scripted-registry"}
SOUND_SECONDS = 600
# A mutant may hang, or eat memory without end: neither may harm the machine. So many seconds, and thrice what the sound
# test took.
MUTANT_SECONDS = 120
MUTANT_MEGABYTES = 4096


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


def is_script(words):
    return words[0].endswith(".py")


def build(words):
    """None, or the end of what the build said."""
    targets = PROGRAMS.values() if is_script(words) else words[:1]
    done = subprocess.run([*BUILD_COMMAND, BUILD, "--target", *targets], cwd=COPY, capture_output=True, text=True)
    return None if done.returncode == 0 else (done.stdout + done.stderr)[-3000:]


def program(target):
    found = subprocess.run(["find", BUILD, "-name", target, "-type", "f", "-perm", "-u+x"], check=True,
                           capture_output=True, text=True).stdout.split()
    if len(found) != 1:
        raise SystemExit(f"{target}: {len(found)} programs of this name in {BUILD}")
    return found[0]


def run_test(words, seconds):
    """(True, False, or None where it did not end; what it said)"""
    environment = dict(os.environ, ASAN_OPTIONS=f"hard_rss_limit_mb={MUTANT_MEGABYTES}")
    if is_script(words):
        command = [sys.executable, os.path.join(COPY, "tests", words[0]), *words[1:]]
        environment.update({name: program(target) for name, target in PROGRAMS.items()})
        environment.update(PULLAMA_SANITIZE="address,undefined", PULLAMA_TEST_SECONDS=str(seconds - 20),
                           PYTHONDONTWRITEBYTECODE="1")
    else:
        command = [program(words[0]), *words[1:], "--abort-after=1"]
    test = subprocess.Popen(command, cwd=BUILD, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, text=True, errors="replace", start_new_session=True)
    try:
        said, _ = test.communicate(timeout=seconds)
        return test.returncode == 0, said
    except subprocess.TimeoutExpired:
        return None, f"did not end within {seconds:.0f} s"
    finally:
        if test.poll() is None:
            os.killpg(test.pid, signal.SIGKILL)
            test.communicate()


def who_complains(said):
    """The case of a test program, or the method of a script, that failed first; else the last words."""
    case = re.search(r"^TEST CASE:\s+(.+)$", said, re.MULTILINE)
    method = re.search(r"^(?:FAIL|ERROR): (\S+)", said, re.MULTILINE)
    if case or method:
        return (case or method).group(1)
    return (said.strip().splitlines() or ["nothing"])[-1]


def try_mutation(mutation, sound):
    """How it went, and more on that; anything but "caught" is a failure."""
    words = shlex.split(mutation.test)
    path = os.path.join(COPY, mutation.path)
    with open(path, encoding="utf-8") as file:
        before = file.read()
    if before.count(mutation.old) != 1:
        return "does not apply", f"its text stands {before.count(mutation.old)} times in {mutation.path}"
    if mutation.test not in sound:
        problem = build(words)
        if problem:
            return "the unchanged test does not build", problem
        begin = time.monotonic()
        passed, said = run_test(words, SOUND_SECONDS)
        sound[mutation.test] = time.monotonic() - begin if passed else None
        if not passed:
            return "fails without it", said[-3000:]
        if not is_script(words) and re.search(r"test cases:\s+0 \|", said):
            sound[mutation.test] = None
            return "has no such case", said
    if sound[mutation.test] is None:
        return "fails without it", "as said above"
    try:
        with open(path, "w", encoding="utf-8") as file:
            file.write(before.replace(mutation.old, mutation.new))
        problem = build(words)
        if problem:
            return "does not build", problem
        passed, said = run_test(words, int(MUTANT_SECONDS + 3 * sound[mutation.test]))
    finally:
        with open(path, "w", encoding="utf-8") as file:
            file.write(before)
    if passed is None and not mutation.may_hang:
        return "hangs", said
    return ("SURVIVED", said[-1500:]) if passed else ("caught", who_complains(said))


def print_table(rows):
    rows = [("mutation", "what is taken away", "test", "result", "s"), *rows]
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    rows.insert(1, tuple("-" * width for width in widths))
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip())


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
    os.makedirs(COPY, exist_ok=True)
    alone = os.open(COPY, os.O_RDONLY)
    try:
        fcntl.flock(alone, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print(f"another run works in {COPY}")
        return 1
    copy_tree()
    subprocess.run(["cmake", "--preset", "dev"], cwd=COPY, check=True, stdout=subprocess.DEVNULL)
    sound, missed, rows = {}, [], []
    # Also where it was started in the background: the table of what was tried is worth having.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    for mutation in chosen:
        begin = time.monotonic()
        try:
            how, more = try_mutation(mutation, sound)
        except KeyboardInterrupt:
            how, more = "interrupted", "this one and what comes after it"
        seconds = f"{time.monotonic() - begin:.0f}"
        print(f"{mutation.name}: {how}, {seconds} s: " + more.replace("\n", "\n    "), flush=True)
        rows.append((mutation.name, mutation.breaks, mutation.test, how, seconds))
        if how != "caught":
            missed.append(mutation.name)
        if how == "interrupted":
            break
    print()
    print_table(rows)
    end = "; missed: " + ", ".join(missed) if missed else ""
    print(f"{len(chosen)} mutations, {len(rows)} tried, {len(rows) - len(missed)} caught{end}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
