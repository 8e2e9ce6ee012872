"""What every end-to-end test stands on: a sandbox with its own home, models dir and socket folder, the real programs of
the build, and the promise that nothing is left behind: every process carries the sandbox's name in its environment, and
one that is still there at the end is a failure. So is any report of a sanitizer."""

import collections
import ctypes
import json
import os
import pathlib
import re
import shutil
import signal
import stat
import subprocess
import sys
import time
import unittest

import scratch

PULLAMAD = os.environ.get("PULLAMAD", "")
PULLAMA = os.environ.get("PULLAMA", "")
SANITIZE = os.environ.get("PULLAMA_SANITIZE", "")
LONG = os.environ.get("PULLAMA_TEST_LONG") == "1"
# Sanitizers slow down, and so does a busy machine: limits are for hangs, not for speed.
PATIENCE = 120
MARKER = "PULLAMA_E2E_SANDBOX"
# daemon/engine/unsynced_checkpoint.h
UNSYNCED_PLACE = (1 << 20) + 4096
# Looked up here: between fork and exec, beside other threads, is no place to look up anything.
_prctl = ctypes.CDLL(None, use_errno=True).prctl
# What this run did to the programs: "states" that a daemon had to find its way out of, each fault by its kind.
FIGURES = collections.Counter()


def _die_with_parent():
    _prctl(1, signal.SIGKILL, 0, 0, 0)


def wait_until(condition, what, limit=PATIENCE, every=0.02):
    """The first true value of condition(); fails with `what` when it never is."""
    end = time.monotonic() + limit
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"waited {limit} s in vain: {what}")
        time.sleep(every)


class Sandbox:
    """Its own little machine: HOME, runtime folder, models dir. Used as a context manager or by TestCase below."""

    def __init__(self):
        self.root = scratch.folder("pullama-e2e-")
        self.home, self.models, self.runtime = self.root / "home", self.root / "models", self.root / "run"
        self.reports = self.root / "sanitizer"
        for folder in (self.home, self.runtime, self.reports):
            folder.mkdir(mode=0o700)
        self.socket = self.runtime / "pullama" / "pullamad.sock"
        self.children = []
        self.at_close = []  # called when all processes have ended and the files are still there
        self.patience = 30  # for processes to end after SIGTERM
        log = f"log_path={self.reports}/report:exitcode=99"
        self.environment = {
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": str(self.home), "XDG_RUNTIME_DIR": str(self.runtime), "LANG": "C.UTF-8", "TERM": "xterm-256color",
            "OLLAMA_MODELS": str(self.models), "TMPDIR": str(self.root), MARKER: str(self.root),
            "ASAN_OPTIONS": f"{log}:detect_leaks=1:strict_string_checks=1:detect_stack_use_after_return=1",
            "UBSAN_OPTIONS": f"{log}:print_stacktrace=1:halt_on_error=1",
            "TSAN_OPTIONS": f"{log}:halt_on_error=0:second_deadlock_stack=1",
        }

    # Programs.

    def spawn(self, *command, env=None, **more):
        """A process of our own session that dies with us."""
        full = {**self.environment, **(env or {})}
        full = {k: v for k, v in full.items() if v is not None}
        process = subprocess.Popen([str(c) for c in command], env=full, cwd=self.root, start_new_session=True,
                                   preexec_fn=_die_with_parent, **more)
        self.children.append(process)
        return process

    def daemon(self, *arguments, env=None, wait=True, socket=None, wrap=()):
        """A pullamad in the foreground, its log in daemon.log; returns once it answers. `wrap`: a command that runs it,
        somewhere else for example, as namespaces.py has them."""
        log = open(self.root / "daemon.log", "ab")
        with log:
            process = self.spawn(*wrap, PULLAMAD, *arguments, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        if wait:
            path = socket or self.socket

            def ready():
                if process.poll() is not None:
                    raise AssertionError(f"pullamad ended with {process.returncode}: {self.daemon_log()}")
                return answers(path)

            wait_until(ready, f"pullamad answers at {path}")
        return process

    def daemon_log(self):
        """Of daemons that we started, and of those that clients did."""
        paths = [self.root / "daemon.log", self.home / ".local/state/pullama/pullamad.log"]
        return "".join(path.read_text(errors="replace") for path in paths if path.exists())

    def pullama(self, *arguments, env=None, timeout=PATIENCE, **more):
        """Runs the client to its end; .returncode, .stdout, .stderr."""
        process = self.start_pullama(*arguments, env=env, **more)
        try:
            out, err = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            self.kill(process)
            out, err = process.communicate()
            raise AssertionError(f"pullama {arguments} did not end in {timeout} s\n{out}\n{err}\n{self.daemon_log()}")
        return subprocess.CompletedProcess(arguments, process.returncode, out, err)

    def start_pullama(self, *arguments, env=None, **more):
        more = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True,
                "errors": "replace", **more}
        return self.spawn(PULLAMA, *arguments, env=env, **more)

    def kill(self, process):
        """kill -9, and gone when this returns."""
        if process.poll() is None:
            os.kill(process.pid, signal.SIGKILL)
            FIGURES["kills"] += 1
            FIGURES["states"] += PULLAMAD in process.args
        process.wait()

    def terminate(self, process, limit=PATIENCE):
        """SIGTERM; its exit code."""
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        return process.wait(limit)

    # The end.

    def processes(self):
        """Everybody alive who carries our name, started by us or by a child."""
        mark = f"{MARKER}={self.root}".encode()
        found = []
        for entry in os.listdir("/proc"):
            if not entry.isdigit() or int(entry) == os.getpid():
                continue
            try:
                environment = pathlib.Path("/proc", entry, "environ").read_bytes()
                state = pathlib.Path("/proc", entry, "stat").read_text().rsplit(")", 1)[1].split()[0]
            except OSError:
                continue
            if mark in environment.split(b"\0") and state != "Z":
                found.append(int(entry))
        return found

    def name_of(self, pid):
        try:
            return pathlib.Path("/proc", str(pid), "cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
        except OSError:
            return "?"

    def close(self):
        """Stops what still runs, politely first; returns what went wrong."""
        wrong = []
        pids = self.processes()
        for pid in pids:
            try:
                os.kill(pid, signal.SIGTERM)
            except ProcessLookupError:
                pass
        for child in self.children:
            try:
                child.wait(self.patience)
            except subprocess.TimeoutExpired:
                wrong.append(f"still running {self.patience} s after SIGTERM: {self.name_of(child.pid)}")
                self.kill(child)
            for pipe in (child.stdin, child.stdout, child.stderr):
                if pipe:
                    pipe.close()
        end = time.monotonic() + self.patience
        while self.processes() and time.monotonic() < end:
            time.sleep(0.02)
        for pid in self.processes():
            wrong.append(f"left behind: {pid} {self.name_of(pid)}")
            os.kill(pid, signal.SIGKILL)
        for last in self.at_close:
            last()
        for report in sorted(self.reports.iterdir()):
            wrong.append(f"sanitizer report {report.name}:\n{report.read_text(errors='replace')[:8000]}")
        shutil.rmtree(self.root, ignore_errors=True)
        return wrong

    # The store.

    def blob_path(self, blob):
        return self.models / "blobs" / f"sha256-{blob.hex}"

    def checkpoint(self, blob):
        """The checkpoint of a blob's download, or None."""
        return read_checkpoint(self.models, blob)

    def kept(self, blob):
        """The ranges of a blob that outlive a kill -9 of the daemon; those of its checkpoint are among them."""
        synced, written = covered(self.checkpoint(blob)), covered(read_unsynced(self.models, blob))
        return written if total_of(written) > total_of(synced) else synced


def read_checkpoint(models, blob):
    try:
        return json.loads((models / ".pullm" / f"sha256-{blob.hex}.json").read_text())
    except FileNotFoundError:
        return None


def read_unsynced(models, blob):
    """The newest record of what was written, synced or not, or None."""
    record = _newest_record(models, blob)
    return record and record[2]


def unsynced_record_bytes(models, blob):
    """What all records of this download had to write, about."""
    record = _newest_record(models, blob)
    return record[0] * record[1] if record else 0


def _newest_record(models, blob):
    """Its sequence, its length, its checkpoint."""
    try:
        text = (models / ".pullm" / f"sha256-{blob.hex}.unsynced").read_bytes()
    except FileNotFoundError:
        return None
    newest = None
    for place in (text[:UNSYNCED_PLACE], text[UNSYNCED_PLACE:]):
        line, _, rest = place.partition(b"\n")
        try:
            head = json.loads(line)
            checkpoint = json.loads(rest[:head["bytes"]])
        except ValueError:
            continue
        if newest is None or head["sequence"] > newest[0]:
            newest = head["sequence"], len(line) + 1 + head["bytes"], checkpoint
    return newest


def covered(checkpoint):
    """Byte ranges [from, to) that a checkpoint (version 2) says need not travel again, merged."""
    if checkpoint is None:
        return []
    assert checkpoint["version"] == 2, checkpoint["version"]
    ranges, position = [], 0
    for chunk in checkpoint["chunks"]:
        assert chunk["start"] == position, f"chunks are not contiguous at {position}: {chunk}"
        position = chunk["end"] + 1
        received = chunk["received"]
        assert 0 <= received <= position - chunk["start"], chunk
        if received:
            ranges.append((chunk["start"], chunk["start"] + received))
    assert position == checkpoint["size"], (position, checkpoint["size"])
    return ranges


def total_of(ranges):
    return sum(b - a for a, b in ranges)


def overlap(these, those):
    """Bytes that are in both lists of ranges."""
    return sum(max(0, min(b, d) - max(a, c)) for a, b in these for c, d in those)


def answers(path):
    from wire import Wire
    try:
        with Wire(path) as wire:
            return wire.call("daemon.info")
    except (OSError, EOFError):
        return None


class TestCase(unittest.TestCase):
    """A test with a sandbox; its end fails when anything was left behind or a sanitizer spoke up."""
    maxDiff = 4000

    def setUp(self):
        self.box = Sandbox()
        self.addCleanup(self._close)

    def _close(self):
        log = self.box.daemon_log()
        failed = any(error for _, error in getattr(self._outcome, "errors", []))
        if failed and log:
            print(f"--- daemon.log of {self.id()}\n{log[-6000:]}---", flush=True)
        wrong = self.box.close()
        if wrong:
            raise AssertionError("\n".join(wrong))

    def assert_exit(self, run, code):
        self.assertEqual(run.returncode, code, f"{run.args}\nstdout: {run.stdout}\nstderr: {run.stderr}\n"
                                               f"{self.box.daemon_log()[-3000:]}")

    def assert_one_line(self, text, *words):
        """One line that has all the words, case aside."""
        self.assertEqual(text.count("\n"), 1, f"not one line: {text!r}")
        for word in words:
            self.assertIn(word.lower(), text.lower())

    def assert_error(self, run, code, *words):
        """The exit code, nothing on stdout, and stderr that names what it should."""
        self.assert_exit(run, code)
        for word in words:
            self.assertIn(word.lower(), run.stderr.lower())
        self.assertNotIn("\x1b", run.stderr)

    def manifest_path(self, host, model, models=None):
        return (models or self.box.models) / "manifests" / host / model.repository / model.tag

    def assert_stored(self, host, model, models=None):
        """The model is there as Ollama expects it, and nothing else is."""
        models = models or self.box.models
        path = self.manifest_path(host, model, models)
        self.assertEqual(path.read_bytes(), model.manifest)
        for blob in model.blobs:
            self.assert_blob(models / "blobs" / f"sha256-{blob.hex}", blob)
        self.assert_tidy(models)

    def assert_blob(self, path, blob):
        with open(path, "rb") as file:
            for piece in blob.pieces():
                self.assertTrue(file.read(len(piece)) == piece, f"{path} has wrong bytes before {file.tell()}")
            self.assertEqual(file.read(1), b"", f"{path} is too long")

    def assert_tidy(self, models=None):
        """Modes and names of a store at rest."""
        models = models or self.box.models
        for name in sorted(os.listdir(models / "blobs")):
            self.assertRegex(name, r"^sha256-[0-9a-f]{64}$")
            self.assertEqual(stat.S_IMODE((models / "blobs" / name).stat().st_mode), 0o644, name)
        for folder, folders, names in os.walk(models / "manifests"):
            self.assertEqual(stat.S_IMODE(os.stat(folder).st_mode), 0o755, folder)
            for name in names:
                path = pathlib.Path(folder, name)
                self.assertEqual(len(path.relative_to(models / "manifests").parts), 4, path)
                self.assertEqual(stat.S_IMODE(path.stat().st_mode), 0o644, path)
        for folder in (models, models / "blobs"):
            self.assertEqual(stat.S_IMODE(folder.stat().st_mode), 0o755, folder)
        # The daemon may be about to replace queue.json.
        usual = re.compile(r"queue\.json|daemon\.lock|manifests\.lock|history\.db(-wal|-shm)?|keep")
        wait_until(lambda: all(usual.fullmatch(n) for n in os.listdir(models / ".pullm")),
                   f"nothing unusual in .pullm: {os.listdir(models / '.pullm')}", limit=10)
        keep = models / ".pullm" / "keep"
        self.assertEqual(os.listdir(keep) if keep.exists() else [], [])

    def assert_nothing_stored(self, models=None):
        """A failed pull left no manifest, no partial, no lock, no checkpoint."""
        models = models or self.box.models
        if not models.exists():
            return
        for folder, folders, names in os.walk(models / "manifests"):
            self.assertEqual(names, [], folder)
        if (models / "blobs").exists():
            self.assertEqual(os.listdir(models / "blobs"), [])
        if (models / ".pullm").exists():
            self.assertEqual([n for n in os.listdir(models / ".pullm") if n.startswith("sha256-")], [])


def main():
    for name, path in (("PULLAMAD", PULLAMAD), ("PULLAMA", PULLAMA)):
        if not os.access(path, os.X_OK):
            raise SystemExit(f"{name} is '{path}', which cannot be run; ctest sets it, by hand: "
                             f"{name}=build/dev/… python3 tests/e2e/…_test.py")
    # ctest ends a test that takes too long with SIGKILL; be earlier, so that everything is cleaned up.
    for number in (signal.SIGALRM, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    signal.alarm(int(os.environ.get("PULLAMA_TEST_SECONDS", "3600")))
    result = unittest.main(verbosity=2, exit=False).result
    faults = {kind: times for kind, times in sorted(FIGURES.items()) if kind != "states"}
    figures = {"tests": result.testsRun - len(result.skipped), "skipped": len(result.skipped), "states": FIGURES["states"],
               "faults": faults}
    print("figures:", json.dumps(figures), file=sys.stderr, flush=True)  # tests/proof reads it
    sys.exit(not result.wasSuccessful())
