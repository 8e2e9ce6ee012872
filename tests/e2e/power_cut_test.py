#!/usr/bin/python3
"""The plug is pulled: the models dir lies on an ext4 of its own that is shut down under the daemon without a word to its
journal, so that nothing reaches the disk any more, as the ioctl of ext4's own crash tests does it. Then it is mounted again,
and the next daemon must find all that was promised, and nothing that is wrong. PULLAMA_TEST_LONG=1: a hundred cuts."""

import fcntl
import hashlib
import json
import os
import pathlib
import random
import shutil
import struct
import subprocess
import sys
import threading
import time
import unittest

import harness
from blobs import MIB, Blob, Model, small_model
from namespaces import WORD, possible, with_mounts
from registries import ScriptedRegistry
from wire import RpcError, Wire

FS_IOC_SHUTDOWN, NO_LOG_FLUSH = 0x8004587D, 2  # _IOR('X', 125, u32)
PULL_CUTS, QUEUE_CUTS, END_CUTS = (60, 20, 20) if harness.LONG else (6, 2, 2)
RATE = 6 * MIB
LONGEST = 3.0  # seconds of a pull before the cut
# What a journal may do with data whose names it already has; a daemon must not depend on the kind one.
OPTIONS = ("data=ordered", "data=writeback", "data=ordered,nodelalloc", "data=writeback,commit=1")


def tell(text):
    print(text, file=sys.stderr, flush=True)


class Disk:
    """An ext4 in a file, mounted as the models dir where only `inside` sees it: it is gone with its last process."""

    def __init__(self, box, mib, chance):
        self.box, self.chance, self.image = box, chance, box.root / "disk.img"
        box.models.mkdir(mode=0o755)
        with open(self.image, "wb") as file:
            file.truncate(mib * MIB)
        self._tool("mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0", self.image)
        self.holder = box.spawn(*with_mounts("echo up"), "sleep", "100000", stdout=subprocess.PIPE, text=True)
        assert self.holder.stdout.readline() == "up\n", "a mount namespace"
        self.inside = ["nsenter", f"--mount=/proc/{self.holder.pid}/ns/mnt"]
        self.models = pathlib.Path(f"/proc/{self.holder.pid}/root{box.models}")
        self.options = OPTIONS[0]
        self.mount()

    def _tool(self, *command, check=True):
        return subprocess.run([*map(str, command)], env=self.box.environment, check=check, capture_output=True, text=True)

    def _run(self, *command):
        return self._tool(*self.inside, *command, check=False)

    def mount(self):
        done = self._run("mount", "-t", "ext4", "-o", f"loop,{self.options}", self.image, self.box.models)
        if done.returncode != 0:
            raise OSError(f"mount: {done.stderr}")

    def unmount(self):
        def gone():
            return self._run("umount", self.box.models).returncode == 0
        harness.wait_until(gone, f"umount: {self._run('fuser', '-vm', self.box.models).stderr}", limit=30, every=0.1)

    def cut(self):
        fd = os.open(self.models, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.ioctl(fd, FS_IOC_SHUTDOWN, struct.pack("I", NO_LOG_FLUSH))
        finally:
            os.close(fd)

    def boot(self):
        """What a machine does after a power cut: the journal is replayed, and then the file system is as it should be."""
        self.unmount()
        assert "needs_recovery" in self._tool("dumpe2fs", "-h", self.image).stdout, "the file system ended in order: nothing was cut"
        self.mount()
        self.unmount()
        fsck = self._tool("e2fsck", "-f", "-n", self.image, check=False)
        assert fsck.returncode == 0, f"e2fsck: {fsck.stdout}{fsck.stderr}"
        self.options = self.chance.choice(OPTIONS)
        self.mount()
        harness.FIGURES["power cuts"] += 1


def why_not():
    """The word for a machine that cannot do this, or nothing."""
    if not possible():
        return WORD
    box = harness.Sandbox()
    tools = ("mkfs.ext4", "e2fsck", "dumpe2fs", "nsenter")
    missing = [tool for tool in tools if not shutil.which(tool, path=box.environment["PATH"])]
    if missing:
        box.close()
        return "needs " + ", ".join(missing)
    try:
        disk = Disk(box, 16, random.Random(0))
        disk.cut()
        disk.unmount()
    except (OSError, AssertionError, subprocess.CalledProcessError) as error:
        return f"needs loop mounts of ext4 that can be shut down: {error}"
    finally:
        box.close()
    return ""


def parts_of(blob, ranges):
    """(offset, bytes) of what the blob has there."""
    position = 0
    for piece in blob.pieces():
        for begin, end in ranges:
            first, last = max(begin, position), min(end, position + len(piece))
            if first < last:
                yield first, piece[first - position:last - position]
        position += len(piece)


class PowerCutTest(harness.TestCase):
    @classmethod
    def setUpClass(cls):
        word = why_not()
        if word:
            raise unittest.SkipTest(word)

    def setUp(self):
        super().setUp()
        self.seed = int(os.environ.get("PULLAMA_TEST_SEED", "0")) or random.randrange(1, 10**9)
        self.chance = random.Random(self.seed)
        tell(f"\nPULLAMA_TEST_SEED={self.seed}")

    def daemon(self):
        return self.box.daemon(wrap=self.disk.inside)

    def cut_and_boot(self, daemon, *clients):
        """The power goes, and comes back; both programs are gone."""
        self.disk.cut()
        self.box.kill(daemon)
        for client in clients:
            client.communicate(timeout=harness.PATIENCE)
        self.disk.boot()
        self.assert_nothing_wrong()

    def assert_nothing_wrong(self):
        """Of what a crash may leave, nothing may be wrong: each name says what it is."""
        blobs, manifests = self.disk.models / "blobs", self.disk.models / "manifests"
        for path in blobs.iterdir() if blobs.exists() else ():
            if "." not in path.name:
                with open(path, "rb") as file:
                    self.assertEqual("sha256-" + hashlib.file_digest(file, "sha256").hexdigest(), path.name)
        for path in manifests.rglob("*") if manifests.exists() else ():
            if path.is_file() and len(path.relative_to(manifests).parts) == 4:
                content = json.loads(path.read_bytes())
                for layer in [content["config"], *content["layers"]]:
                    blob = blobs / layer["digest"].replace(":", "-")
                    self.assertEqual(blob.stat().st_size, layer["size"], f"{path} is visible without {blob}")
        queue = self.disk.models / ".pullm" / "queue.json"
        if queue.exists():
            json.loads(queue.read_bytes())
        own = self.disk.models / ".pullm"
        self.assertEqual([n for n in os.listdir(own) if "corrupt" in n or "aside" in n] if own.exists() else [], [])

    def assert_claims_are_true(self, blob):
        """The ranges that the checkpoint claims; the file has the blob's bytes there."""
        ranges = harness.covered(harness.read_checkpoint(self.disk.models, blob))
        if ranges:
            with open(self.disk.models / "blobs" / f"sha256-{blob.hex}.partial", "rb") as file:
                for offset, expected in parts_of(blob, ranges):
                    file.seek(offset)
                    self.assertTrue(file.read(len(expected)) == expected,
                                    f"the checkpoint claims bytes that are not there, at {offset} (seed {self.seed})")
        return ranges

    def assert_says_so(self, daemon, client):
        """The disk is gone and the daemon is not: it says what it met, and answers on."""
        out, err = client.communicate(timeout=harness.PATIENCE)
        self.assertIn(client.returncode, (1, 2), out + err)
        self.assertRegex(err.lower(), "input/output error|read-only file system|no space left|cannot write")
        self.assertEqual(err.count("\n"), 1, err)
        with Wire(self.box.socket) as wire:
            [job] = wire.call("job.list")["jobs"]
            self.assertIn(job["state"], ("failed", "waiting_space", "waiting_network"))
            self.assertTrue(job["error"]["message"])
            with self.assertRaises(RpcError):  # accepting more would be a promise that it cannot keep
                wire.call("queue.add", models=["127.0.0.1:1/library/more"], options={"insecure": True})
            wire.call("store.list")
        self.assertIsNone(daemon.poll(), self.box.daemon_log()[-3000:])
        return job["state"], err.strip()

    def test_a_pull_that_loses_power_again_and_again(self):
        size = int((PULL_CUTS + 1) * (LONGEST + 1) * RATE)
        model = Model("library/big", "latest", [Blob(seed=815, size=size)])
        registry = ScriptedRegistry(self.box, {"models": [model.script()], "cdn": {"mode": "redirect"},
                                               "rate": {"total": RATE}})
        blob, ranges, lost, words = model.layers[0], [], [], set()
        self.disk = Disk(self.box, size // MIB + 256, self.chance)
        for number in range(PULL_CUTS):
            began = time.time()
            daemon = self.daemon()
            with Wire(self.box.socket) as wire:
                wire.call("events.subscribe", since=0, trace=True)
                client = self.box.start_pullama("pull", "--insecure", "--no-autostart", "--max-retries", "1",
                                                registry.name(model))
                wire.wait_event(lambda e: e["type"] == "blob.progress" and e["digest"] == blob.digest)
                time.sleep(self.chance.uniform(0.2, LONGEST))
                self.assertIsNone(client.poll(), "the pull was over before the cut")
                told = [e["bytes"] for e in wire.events if e["type"] == "checkpoint.saved" and e["digest"] == blob.digest]
                if number % 2:
                    self.disk.cut()
                    words.add(self.assert_says_so(daemon, client))
            self.cut_and_boot(daemon, client)
            saved_before = harness.total_of(ranges)
            harness.wait_until(lambda: registry.state()["open"] == 0, "the registry has noticed")
            travelled = registry.travelled(blob, since=began)
            self.assertEqual(harness.overlap(ranges, travelled), 0, f"saved bytes travelled again (seed {self.seed})")
            ranges = self.assert_claims_are_true(blob)
            saved = harness.total_of(ranges)
            self.assertGreaterEqual(saved, max([saved_before, *told]), f"what was saved is not (seed {self.seed})")
            lost.append(harness.total_of(travelled) - (saved - saved_before))
        self.assertGreater(saved, 0, "no checkpoint outlived any cut: this says nothing")
        registry.script(rate={"total": 64 * RATE})
        last = time.time()
        daemon = self.daemon()
        self.assert_exit(self.box.pullama("pull", "--insecure", "--no-autostart", registry.name(model)), 0)
        self.assert_stored(registry.host, model, self.disk.models)
        second = registry.travelled(blob, since=last)
        self.assertEqual(harness.overlap(ranges, second), 0, f"{ranges} were there, {second} travelled (seed {self.seed})")
        # Of what was not synced the cut may have left some, and that counts too.
        self.assertLessEqual(harness.total_of(ranges) + harness.total_of(second), blob.size)
        for state, line in sorted(words):
            tell(f"with the disk gone: {state}: {line}")
        tell(f"{PULL_CUTS} power cuts of a pull of {size / MIB:.0f} MiB at {RATE / MIB:.0f} MiB/s: travelled twice, a cut: most "
             f"{max(lost) / MIB:.1f} MiB; {saved / MIB:.0f} MiB were saved at the last")

    def test_what_was_answered_about_the_queue(self):
        self.disk = Disk(self.box, 128, self.chance)
        registry = ScriptedRegistry(self.box, {"models": []})
        number, edits = 0, 0
        before = after = ()  # the names that the queue must have: as last answered, or with the edit under way
        for _ in range(QUEUE_CUTS):
            daemon = self.daemon()
            stop = time.monotonic() + self.chance.uniform(0.5, 2.5)
            with Wire(self.box.socket) as wire:
                ids = {e["model"]: e["id"] for e in wire.call("queue.list")["entries"]}
                self.assertIn(tuple(ids), (before, after), f"the queue is not what was answered (seed {self.seed})")
                before = after = tuple(ids)
                # The plug is pulled beside the edits, not between them.
                plug = threading.Timer(max(0.0, stop - time.monotonic()), self.disk.cut)
                plug.start()
                try:
                    while True:
                        kind = self.chance.choice(("add", "add", "add", "move", "remove")) if before else "add"
                        place, other = (self.chance.randrange(max(1, len(before))) for _ in range(2))
                        chosen, rest = before[place:place + 1], before[:place] + before[place + 1:]
                        if kind == "add":
                            number += 1
                            name = f"{registry.host}/library/m{number}:latest"
                            after = (*before, name)
                            [entry] = wire.call("queue.add", models=[name], options={"insecure": True})["added"]
                            ids[name] = entry["id"]
                        elif kind == "remove":
                            after = rest
                            wire.call("queue.remove", id=ids[chosen[0]])
                        else:
                            after = (*rest[:other], *chosen, *rest[other:])
                            wire.call("queue.move", id=ids[chosen[0]], to=other + 1)
                        before, edits = after, edits + 1
                except RpcError as error:
                    self.assertIn(error.data["exit_code"], (1, 2), error.message)
                    self.assertGreaterEqual(time.monotonic(), stop, f"refused before the cut: {error.message}")
                finally:
                    plug.join()
                self.assertIsNone(daemon.poll())
                wire.call("daemon.info")
            self.box.kill(daemon)
            self.disk.boot()
            self.assert_nothing_wrong()
            entries = json.loads((self.disk.models / ".pullm" / "queue.json").read_text())["entries"]
            self.assertIn(len(entries), (len(before), len(after)), f"seed {self.seed}")
        self.assertGreater(edits, QUEUE_CUTS, "no edit was answered: this says nothing")
        tell(f"{QUEUE_CUTS} power cuts beside edits of the queue, {edits} answered, none lost")

    def test_what_was_said_to_be_complete(self):
        self.disk = Disk(self.box, 512 if harness.LONG else 256, self.chance)
        registry, complete = ScriptedRegistry(self.box, {"models": []}), {}
        number = 0
        for _ in range(END_CUTS):
            daemon = self.daemon()
            plug = threading.Timer(self.chance.uniform(1, 4), self.disk.cut)
            with Wire(self.box.socket) as wire:
                wire.call("events.subscribe")
                while True:
                    number += 1
                    sizes = (self.chance.randrange(1, 400_000), 777)
                    model = small_model(f"library/s{number}", seed=3000 + number, sizes=sizes)
                    registry.script(models=[model.script()])
                    if not plug.is_alive() and not plug.finished.is_set():
                        plug.start()
                    try:
                        job = wire.call("pull.start", model=registry.name(model), options={"insecure": True})["job"]
                    except RpcError:
                        break
                    end = wire.wait_event(lambda e, job=job: e.get("job") == job and e["type"] in (
                        "job.completed", "job.failed", "job.waiting"))
                    if end["type"] != "job.completed":
                        break
                    complete[number] = model
                plug.join()
            self.assertIsNone(daemon.poll(), "the daemon fell with its disk")
            self.box.kill(daemon)
            self.disk.boot()
            self.assert_nothing_wrong()
            for done in complete.values():
                self.assertEqual(self.manifest_path(registry.host, done, self.disk.models).read_bytes(), done.manifest)
                for blob in done.blobs:
                    self.assert_blob(self.disk.models / "blobs" / f"sha256-{blob.hex}", blob)
        self.daemon()
        self.assert_exit(self.box.pullama("pull", "--insecure", "--no-autostart", registry.name(model)), 0)
        self.assert_stored(registry.host, model, self.disk.models)
        self.assertTrue(complete, "no pull was complete before a cut: this says nothing")
        tell(f"{END_CUTS} power cuts beside ends of pulls, {len(complete)} said to be complete, none lost")


if __name__ == "__main__":
    harness.main()
