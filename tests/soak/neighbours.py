"""Those around the workers of a soak's home: watchers, people who pause and cancel, a bad line, and kill."""

import os
import signal
import socket
import subprocess
import time

import harness
from wire import RpcError, Wire

SUBSCRIBE = b'{"jsonrpc":"2.0","id":1,"method":"events.subscribe","params":{"trace":true}}\n'


class Neighbours:
    """Of a Home."""

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
