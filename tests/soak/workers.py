"""What the workers of a soak's home do: commands and queue edits, each checked byte for byte."""

import http.client
import signal
import subprocess
import time

import harness
from blobs import MIB, Blob, Model
from wire import RpcError, Wire

# What a client, a command or a connection may end with where daemons are killed.
GONE = (OSError, EOFError, RpcError)


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


def tries(limit_s=400):
    """0, 1, … until it is too late: how many fit into a time is the machine's and the killer's matter."""
    end = time.monotonic() + limit_s
    attempt = 0
    while time.monotonic() < end:
        yield attempt
        attempt += 1


class Workers:
    """Of a Home."""

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
        for attempt in tries():
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
        raise AssertionError(f"{name} cannot be pulled, {attempt + 1} times: {out} {err}")

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
                for attempt in tries():
                    if not (self.box.models / "manifests" / target.host / repository / "latest").exists():
                        run = self.run("cp", self.registry.name(self.models[i]), name)
                        if run.returncode != 0:
                            continue
                        self.account.count("cp")
                    flags = ["--limit-rate", "4M"] if chance.random() < 0.4 else []
                    run = self.run("push", "--insecure", "--max-retries", "30", *flags, name, ok=(0, 1), timeout=300)
                    if run.returncode == 0:
                        break
                    self.account.count("pushes that were interrupted")
                else:
                    raise AssertionError(f"{name} cannot be pushed, {attempt + 1} times: {run.stderr}")
                self.assert_arrived(target, repository, self.models[i])
                self.account.count("pushes")
                for _ in tries():
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
