"""The two homes of a soak and what is done in them. One daemon lives from the first second to the last and must not grow; the
other is killed again and again. Every worker checks what it did byte for byte; what is wrong goes into `wrong`."""

import collections
import http.client
import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback

import harness
from blobs import MIB, Blob, Model
from wire import RpcError, Wire

SUBSCRIBE = b'{"jsonrpc":"2.0","id":1,"method":"events.subscribe","params":{"trace":true}}\n'
# What a client, a command or a connection may end with where daemons are killed.
GONE = (OSError, EOFError, RpcError)


class Judge(harness.TestCase):
    """The assertions of a test case, for one home."""

    def __init__(self, box):
        super().__init__()
        self.box = box

    def runTest(self):
        pass


def catalogue():
    """(models, second versions of some): small and large ones, some of which share layers."""
    shared = [Blob(seed=9000, size=2 * MIB + 11), Blob(seed=9001, size=300_007)]
    models, moved = [], {}
    for i in range(12):
        size = (5 * MIB + 333 * i, 900_000 + 77 * i, 64_000 + i, 3 * MIB + i)[i % 4]
        layers = [Blob(seed=9100 + i, size=size), shared[i % 2],
                  Blob(text=f"{{{{ .Prompt }}}} {i % 3}", media_type="application/vnd.ollama.image.template")]
        models.append(Model(f"library/soak{i}", "latest", layers))
        if i % 4 == 1:
            moved[i] = Model(f"library/soak{i}", "latest", [Blob(seed=9200 + i, size=size + 5), *layers[1:]])
    return models, moved


class Account:
    """What was done, how often, and what was wrong; from any thread."""

    def __init__(self):
        self.done, self.wrong, self._lock = collections.Counter(), [], threading.Lock()

    def count(self, what, times=1):
        with self._lock:
            self.done[what] += times

    def complain(self, text):
        with self._lock:
            self.wrong.append(text)
        print(f"WRONG: {text}", flush=True)


class Home:
    """A sandbox, its workers and its watchers. `mortal`: its daemon is killed, and what fails with it is tried again."""

    def __init__(self, name, mortal, registry_of, uploads, account, seed):
        self.name, self.mortal, self.uploads, self.account = name, mortal, uploads, account
        self.box = harness.Sandbox()
        # What ASan keeps of freed memory would look like growth.
        self.box.environment["ASAN_OPTIONS"] += ":quarantine_size_mb=4:thread_local_quarantine_size_kb=64"
        self.judge, self.chance = Judge(self.box), random.Random(f"{seed} {name}")
        self.registry = registry_of(self.box)
        self.models, self.moved = catalogue()
        self.registry.script(models=[m.script(chunksums=MIB) if i % 3 == 2 else m.script() for i, m in enumerate(self.models)])
        self.locks = [threading.Lock() for _ in self.models]
        self.queue_lock, self.pushes = threading.Lock(), 0
        self.end, self.open_gate = threading.Event(), threading.Event()
        self.open_gate.set()
        self.busy, self.busy_lock = 0, threading.Condition()
        self.threads, self.daemon = [], None
        # Also a short soak has had what matters most.
        self.first, self.killed = collections.deque((self.queue, self.push, self.pull)), False

    # Threads.

    def start(self, workers=3, watchers=2):
        if not self.mortal:
            self.daemon = self.box.daemon()
        bodies = [self.work] * workers + [self.watch] * watchers + [self.interrupt, self.spoil]
        for body in bodies + ([self.killer] if self.mortal else []):
            thread = threading.Thread(target=self._again_and_again, args=(body, self.chance.random()), daemon=True)
            self.threads.append(thread)
            thread.start()

    def _again_and_again(self, body, seed):
        chance = random.Random(seed)
        while not self.end.is_set():
            self.open_gate.wait()
            with self.busy_lock:
                self.busy += 1
            try:
                body(chance)
            except GONE as error:
                if not self.mortal:
                    self.account.complain(f"{self.name}: {body.__name__}: {error!r}; {self.state_of_daemon()}")
                time.sleep(0.2)
            except Exception as error:  # whatever it is, it is a finding
                self.account.complain(f"{self.name}: {body.__name__}: {type(error).__name__}: {error}")
                time.sleep(0.5)
            finally:
                with self.busy_lock:
                    self.busy -= 1
                    self.busy_lock.notify_all()

    def state_of_daemon(self):
        return f"daemon: {self.daemon.poll() if self.daemon else '?'}"

    def hush(self, limit=300):
        """Nobody does anything any more, nothing runs: returns when it is so."""
        self.open_gate.clear()
        with self.busy_lock:
            assert self.busy_lock.wait_for(lambda: self.busy == 0, limit), f"{self.name}: a worker hangs"
        with Wire(self.box.socket, check=False) as wire:
            harness.wait_until(lambda: not [j for j in wire.call("job.list")["jobs"] if j["state"] not in (
                "completed", "failed", "cancelled", "queued")], f"{self.name}: no job runs", limit=limit)

    def stop(self, limit=450):
        self.end.set()
        self.open_gate.set()
        for thread in self.threads:
            thread.join(limit)
            if thread.is_alive():
                self.account.complain(f"{self.name}: a worker did not end: {''.join(traceback.format_stack(sys._current_frames()[thread.ident])[-3:])}")

    # What workers do.

    def work(self, chance):
        try:
            operation = self.first.popleft()
        except IndexError:
            operation = None
        if operation is not None:
            return operation(chance)
        operation = chance.choices((self.pull, self.update, self.remove, self.queue, self.push, self.verify, self.look, self.clean),
                                   (8, 2, 3, 3, 4, 1, 2, 1))[0]
        operation(chance)

    def run(self, *arguments, ok=(0,), timeout=180):
        """A command; where daemons live it must end well."""
        run = self.box.pullama(*arguments, timeout=timeout)
        self._forget()
        if not self.mortal and run.returncode not in ok:
            self.account.complain(f"{self.name}: pullama {' '.join(map(str, arguments))}: exit {run.returncode}: {run.stderr.strip()}")
        return run

    def _forget(self):
        # Of thousands of clients that have ended nothing needs to be kept.
        self.box.children[:] = [c for c in self.box.children if c.poll() is None or c is self.daemon]

    def _take(self, chance, count=1):
        """Models that nobody else works with, locked: their numbers."""
        taken = []
        for i in chance.sample(range(len(self.models)), len(self.models)):
            if len(taken) < count and self.locks[i].acquire(blocking=False):
                taken.append(i)
        return taken

    def _release(self, taken):
        for i in taken:
            self.locks[i].release()

    def assert_right(self, i, host=None, repository=None):
        """The model's manifest and blobs, byte for byte."""
        model = self.models[i]
        path = self.box.models / "manifests" / (host or self.registry.host) / (repository or model.repository) / model.tag
        self.judge.assertEqual(path.read_bytes(), model.manifest)
        for blob in model.blobs:
            self.judge.assert_blob(self.box.blob_path(blob), blob)
            self.account.count("bytes checked", blob.size)

    def ensure(self, i, chance, disturb=False):
        """Pulls until the model is there, with what a user may do to a pull on the way."""
        name = self.registry.name(self.models[i])
        for attempt in range(40):
            flags = ["--max-retries", "30"]
            if disturb and chance.random() < 0.3:
                flags += ["--connections", str(chance.randint(1, 8))]
            if disturb and chance.random() < 0.2:
                flags += ["--limit-rate", "4M"]
            if disturb and attempt < 2 and chance.random() < 0.25:
                self.run("pull", "--insecure", "-d", *flags, name)
                self.account.count("detached pulls")
                time.sleep(chance.uniform(0, 1))
            client = self.box.start_pullama("pull", "--insecure", *flags, name)
            if disturb and attempt < 2 and chance.random() < 0.25:
                time.sleep(chance.uniform(0, 1.5))
                client.send_signal(chance.choice((signal.SIGKILL, signal.SIGINT, signal.SIGHUP)))
                self.account.count("clients ended in a pull")
            try:
                out, err = client.communicate(timeout=300)
            except subprocess.TimeoutExpired:
                self.box.kill(client)
                raise AssertionError(f"a pull of {name} does not end; {self.state_of_daemon()}") from None
            self._forget()
            if client.returncode == 0 and self._installed(i):
                self.account.count("pulls")
                return
            self.account.count("pulls that were interrupted")
            time.sleep(0.1)
        raise AssertionError(f"{name} cannot be pulled: {out} {err}")

    def _installed(self, i):
        # Ctrl-C ends with 0 too.
        try:
            return self.judge.manifest_path(self.registry.host, self.models[i]).read_bytes() == self.models[i].manifest
        except FileNotFoundError:
            return False

    def pull(self, chance):
        for i in (taken := self._take(chance)):
            try:
                self.ensure(i, chance, disturb=True)
                self.assert_right(i)
            finally:
                self._release(taken)

    def update(self, chance):
        """A tag moves to the model's other version."""
        for i in (taken := self._take(chance)):
            try:
                if i in self.moved:
                    self.models[i], self.moved[i] = self.moved[i], self.models[i]
                    self.registry.script(models=[self.models[i].script()])
                    self.run("update", "--insecure", self.registry.name(self.models[i]), ok=(0, 1, 4))
                    self.ensure(i, chance)
                    self.assert_right(i)
                    self.account.count("updates")
            finally:
                self._release(taken)

    def remove(self, chance):
        for i in (taken := self._take(chance)):
            try:
                path = self.judge.manifest_path(self.registry.host, self.models[i])
                if path.exists() and self.run("rm", self.registry.name(self.models[i])).returncode == 0:
                    self.judge.assertFalse(path.exists(), "removed and still there")
                    self.account.count("rm")
            finally:
                self._release(taken)

    def queue(self, chance):
        """Adds, moves, removes, starts; each answered addition must end complete, over all kills."""
        if not self.queue_lock.acquire(blocking=False):
            return
        taken = self._take(chance, 4)
        try:
            if len(taken) < 2:
                return
            names, added, entries = [self.registry.name(self.models[i]) for i in taken], set(), {}
            for i, name in zip(taken, names):
                if chance.random() < 0.7 and self._installed(i):
                    self.run("rm", name)
            deadline = time.monotonic() + 400
            while True:
                try:
                    with Wire(self.box.socket, check=False) as wire:
                        if not added:
                            wire.call("queue.add", models=names, options={"insecure": True, "max_retries": 30})
                            self.account.count("queue edits")
                            # Also those of an addition whose answer a kill took away.
                            added = {e["id"] for e in wire.call("queue.list")["entries"] if e["model"] in names}
                            time.sleep(chance.uniform(0, 0.3))
                            wire.call("queue.move", id=min(added), to=1)
                            self.account.count("queue edits")
                        wire.call("queue.start")
                        entries = {e["id"]: e for e in wire.call("queue.list")["entries"]}
                        lost = added - set(entries)
                        self.judge.assertFalse(lost, f"answered entries of the queue are gone: {lost}")
                        for n in added:
                            if entries[n]["state"] == "failed":
                                wire.call("queue.retry", id=n)
                        # What somebody cancelled stays so.
                        if all(entries[n]["state"] in ("completed", "cancelled") for n in added):
                            break
                except GONE:
                    if not self.mortal and self.daemon.poll() is not None:
                        raise
                    if self.mortal:
                        self.run("list")  # a client starts a daemon
                self.judge.assertLess(time.monotonic(), deadline, f"the queue does not end: {added} of {entries}")
                time.sleep(0.3)
            for i in taken:
                self.ensure(i, chance)  # where it was skipped, or cancelled before it was in
                self.assert_right(i)
            self.account.count("entries of the queue completed", sum(entries[n]["state"] == "completed" for n in added))
            for n in added:
                with Wire(self.box.socket, check=False) as wire:
                    wire.call("queue.remove", id=n)
                self.account.count("queue edits")
        finally:
            self._release(taken)
            self.queue_lock.release()

    def push(self, chance):
        """A copy under a name of its own goes up; what the registry then has is compared."""
        for i in (taken := self._take(chance)):
            target = chance.choice(self.uploads)
            self.pushes += 1
            repository = f"soak/{self.name}{self.pushes}-{chance.randrange(1 << 30)}"
            name = f"{target.host}/{repository}:latest"
            try:
                self.ensure(i, chance)
                for attempt in range(40):
                    if not (self.box.models / "manifests" / target.host / repository / "latest").exists():
                        if self.run("cp", self.registry.name(self.models[i]), name).returncode != 0:
                            continue
                        self.account.count("cp")
                    flags = ["--limit-rate", "4M"] if chance.random() < 0.4 else []
                    if self.run("push", "--insecure", "--max-retries", "30", *flags, name, ok=(0, 1), timeout=300).returncode == 0:
                        break
                    self.account.count("pushes that were interrupted")
                else:
                    raise AssertionError(f"{name} cannot be pushed")
                self.assert_arrived(target, repository, self.models[i])
                self.account.count("pushes")
                for _ in range(40):
                    self.run("rm", name, ok=(0,))
                    if not (self.box.models / "manifests" / target.host / repository).exists():
                        break
            finally:
                self._release(taken)

    def assert_arrived(self, target, repository, model):
        connection = http.client.HTTPConnection(target.host, timeout=60)
        try:
            def get(path):
                connection.request("GET", f"/v2/{repository}/{path}",
                                   headers={"Accept": "application/vnd.docker.distribution.manifest.v2+json"})
                answer = connection.getresponse()
                body = answer.read()
                self.judge.assertEqual(answer.status, 200, f"{repository}/{path}: {body[:200]}")
                return body
            self.judge.assertEqual(get("manifests/latest"), model.manifest)
            for blob in model.blobs:
                self.judge.assertTrue(get(f"blobs/{blob.digest}") == b"".join(blob.pieces()), f"{repository}: {blob.digest}")
                self.account.count("bytes checked", blob.size)
        finally:
            connection.close()
        if hasattr(target, "blobs"):  # a registry in our memory
            with target.lock:
                target.requests.clear()
                for key in [k for k in target.blobs if k[0] == repository]:
                    del target.blobs[key]
                for key in list(target.sessions)[:-100]:  # of pushes that were killed; a live one would begin anew
                    del target.sessions[key]

    def verify(self, chance):
        for i in (taken := self._take(chance)):
            try:
                self.ensure(i, chance)
                run = self.run("verify", "--insecure", self.registry.name(self.models[i]))
                # A daemon that was killed is no finding; damage is.
                self.judge.assertNotRegex(run.stdout + run.stderr, "(?i)damaged|corrupt|mismatch|wrong bytes")
                self.account.count("verify")
            finally:
                self._release(taken)

    def look(self, chance):
        self.run(*chance.choice((["list"], ["jobs"], ["queue", "list"], ["history"], ["daemon", "status"],
                                 ["limit", "200M"], ["limit", "off"], ["outdated", "--insecure"])), ok=(0, 1))
        self.account.count("looks")

    def clean(self, chance):
        self.run("clean", *(["--unreferenced", "--yes"] if chance.random() < 0.5 else []))
        self.account.count("clean")

    # Those around them.

    def watch(self, chance):
        """Comes, perhaps reads, and goes."""
        kind = chance.choice(("reads", "reads", "checks", "stalls", "client"))
        self.account.count("watchers")
        if kind == "client":
            client = self.box.start_pullama("watch", "--output", chance.choice(("json", "compact", "debug")),
                                            stdout=subprocess.DEVNULL)
            time.sleep(chance.uniform(0, 3))
            client.send_signal(chance.choice((signal.SIGKILL, signal.SIGINT)))
            client.communicate(timeout=60)
            return
        if kind == "stalls":
            peers = [socket.socket(socket.AF_UNIX) for _ in range(chance.randint(1, 8))]
            try:
                for peer in peers:
                    peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                    peer.connect(str(self.box.socket))
                    peer.sendall(SUBSCRIBE)
                self.end.wait(chance.uniform(0, 4))
            finally:
                for peer in peers:
                    peer.close()
            return
        with Wire(self.box.socket, check=kind == "checks") as wire:
            wire.call("events.subscribe", trace=chance.random() < 0.3, since=0)
            self.end.wait(chance.uniform(0, 3))
            self.judge.assertTrue(self.mortal or not wire.closed, "a watcher that reads was thrown out")

    def interrupt(self, chance):
        """Somebody pauses and cancels what others started."""
        self.end.wait(chance.uniform(0.5, 3))
        with Wire(self.box.socket, check=False) as wire:
            jobs = [j for j in wire.call("job.list")["jobs"] if j["state"] == "active" and j["kind"] in ("pull", "push")]
            if not jobs:
                return
            job = chance.choice(jobs)["id"]
            if chance.random() < 0.3:
                wire.call("job.cancel", job=job)
                self.account.count("cancels")
                return
            try:
                wire.call("job.pause", job=job)
                self.account.count("pauses")
            except (OSError, EOFError):  # it may have been accepted all the same, and would hold for ever
                if not self.mortal:
                    raise
        self.end.wait(chance.uniform(0, 1))
        for _ in range(600):  # whatever daemon is there by now
            try:
                with Wire(self.box.socket, check=False) as wire:
                    return wire.call("job.resume", job=job)
            except RpcError as error:
                if error.data.get("kind") == "not_found":
                    return  # finished and forgotten
            except (OSError, EOFError):
                if self.mortal and self.end.is_set():
                    self.run("list")  # the last worker: a client starts a daemon
            time.sleep(0.2)
        raise AssertionError(f"no daemon to resume {job}")

    def spoil(self, chance):
        """The registry and its line misbehave, a few requests at a time."""
        self.end.wait(chance.uniform(0.5, 2))
        rows = [{"port": "cdn", "reset_after": chance.randrange(2_000_000)}, {"port": "cdn", "close_after": chance.randrange(900_000)},
                {"port": "cdn", "status": 503}, {"port": "registry", "status": 502}, {"port": "cdn", "ignore_range": True},
                {"port": "registry", "status": 429, "headers": {"Retry-After": "1"}}, {"reset_before": True}, {"close_before": True},
                {"port": "cdn", "stall_after": chance.randrange(100_000), "stall_s": 3}, {"port": "cdn", "status": 403},
                {"port": "cdn", "flip": [chance.randrange(60_000)]}, {"delay_ms": 400}, {"port": "cdn", "rate": 200_000},
                {"port": "registry", "path": "/blobs/", "status": 404}]
        self.registry.faults(*({"times": chance.randint(1, 3), **row} for row in chance.sample(rows, 3)))
        if chance.random() < 0.15:
            self.registry.do(chance.choice(("expire", "reset")))

    def killer(self, chance):
        """The end of the mortal daemon, at any moment, and sometimes a new one."""
        self.end.wait(chance.choice((chance.uniform(0, 1), chance.uniform(0, 8))))
        info = harness.answers(self.box.socket)
        if info is None:
            if chance.random() < 0.3:
                started = self.box.daemon(wait=False)  # two at a time: one of them finds the folder locked
                try:
                    code = started.wait(0.5)
                    self.judge.assertIn(code, (0, 1))
                except subprocess.TimeoutExpired:
                    self.account.count("daemons started by hand")
            return
        how = chance.choice((signal.SIGKILL, signal.SIGKILL, signal.SIGTERM)) if self.killed else signal.SIGKILL
        self.killed = True
        try:
            os.kill(info["pid"], how)
        except ProcessLookupError:
            return
        self.account.count("kill -9 of the daemon" if how == signal.SIGKILL else "SIGTERM to the daemon")

    # The end.

    def finish(self):
        """Everything is fetched once more, and everything that is there is right."""
        chance = random.Random(1)
        self.registry.faults()
        for i in range(len(self.models)):
            self.ensure(i, chance)
            self.assert_right(i)
        self.judge.assert_exit(self.box.pullama("clean", "--unreferenced", "--yes"), 0)
        for i in range(len(self.models)):
            self.assert_right(i)
        self.judge.assert_exit(self.box.pullama("verify", timeout=300), 0)
        self.judge.assert_tidy()
        odd = [n for n in os.listdir(self.box.models / ".pullm") if re.search(r"corrupt|aside|upload-", n)]
        self.judge.assertEqual(odd, [])
        injected = sum(entry["fault"] for entry in self.registry.log())
        self.account.count("faults that a registry injected", injected)

    def leave(self):
        if self.daemon is not None:
            if self.daemon.poll() is not None:
                self.account.complain(f"{self.name}: the daemon ended with {self.daemon.returncode}\n{self.box.daemon_log()[-3000:]}")
            elif (code := self.box.terminate(self.daemon)) != 0:
                self.account.complain(f"{self.name}: the daemon answered SIGTERM with {code}")
        for line in re.findall(r".*\[critical\].*", self.box.daemon_log()):
            self.account.complain(f"{self.name}: {line}")
        for line in self.box.close():
            self.account.complain(f"{self.name}: {line}")
