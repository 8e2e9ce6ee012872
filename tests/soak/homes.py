"""The two homes of a soak. One daemon lives from the first second to the last and must not grow; the other is killed again
and again. Every worker checks what it did byte for byte; what is wrong goes into the account."""

import collections
import os
import random
import re
import sys
import threading
import time
import traceback

import harness
from blobs import MIB
from neighbours import Neighbours
from wire import Wire
from workers import GONE, Workers, catalogue


class Judge(harness.TestCase):
    """The assertions of a test case, for one home."""

    def __init__(self, box):
        super().__init__()
        self.box = box

    def runTest(self):
        pass


class Home(Workers, Neighbours):
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
