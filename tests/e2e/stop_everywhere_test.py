#!/usr/bin/python3
"""Pause, resume, cancel and SIGTERM while a pull hangs in each place where one can hang. The limits here only catch
hangs; the seconds are printed."""

import contextlib
import os
import socket
import threading
import time
import unittest

import harness
from blobs import MIB, Blob, Model, small_model
from namespaces import WORD, BlackHole, Names, possible
from registries import ScriptedRegistry
from wire import Wire

LIMIT_S = 10  # two are promised, on a machine that has nothing else to do


class Silent:
    """Accepts and says nothing."""

    def __init__(self):
        self.listener, self.held = socket.create_server(("127.0.0.1", 0)), []
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                self.held.append(self.listener.accept()[0])

    def close(self):
        self.listener.close()
        for one in self.held:
            one.close()


class StopEverywhereTest(harness.TestCase):
    def stop_at(self, place, model, reached, wrap=(), insecure=True, retries=6):
        """`reached(wire)`: waits until the pull hangs there; it is called after each start."""
        daemon = self.box.daemon(wrap=wrap)
        taken, options = {}, {"insecure": insecure, "max_retries": retries}
        with Wire(self.box.socket) as wire:
            wire.call("events.subscribe")

            def timed(what, method, state):
                begin = time.monotonic()
                self.assertEqual(wire.call(method, job=job)["state"], state)
                taken[what] = time.monotonic() - begin

            job = wire.call("pull.start", model=model, options=options)["job"]
            reached(wire)
            timed("pause", "job.pause", "paused")
            resumed = time.monotonic()
            wire.call("job.resume", job=job)
            taken["resume"] = time.monotonic() - resumed
            reached(wire)
            timed("cancel", "job.cancel", "cancelled")
            wire.call("pull.start", model=model, options=options)
            reached(wire)
        begin = time.monotonic()
        code = self.box.terminate(daemon)
        taken["SIGTERM"] = time.monotonic() - begin
        print(f"in {place}: " + ", ".join(f"{what} {seconds:.2f} s" for what, seconds in taken.items()), flush=True)
        self.assertEqual(code, 0, self.box.daemon_log())
        for what, seconds in taken.items():
            self.assertLess(seconds, LIMIT_S, f"{what} in {place}")

    def more_of(self, count):
        """A condition: count() has grown since the last time that it was waited for."""
        last = [count()]

        def reached(_):
            harness.wait_until(lambda: count() > last[0], "the pull gets there")
            time.sleep(0.2)
            last[0] = count()

        return reached

    def next_event(self, kind, condition=lambda _: True):
        seen = []

        def reached(wire):
            event = wire.wait_event(lambda e: e["type"] == kind and condition(e) and e["seq"] not in seen)
            seen.append(event["seq"])

        return reached

    @unittest.skipUnless(possible(), WORD)
    def test_dns(self):
        names = Names(self.box, otherwise="silence")
        self.addCleanup(names.close)
        self.stop_at("DNS", "silent.test/library/m", self.more_of(lambda: len(names.asked)), wrap=names.inside)

    @unittest.skipUnless(possible(), WORD)
    def test_dns_of_the_cdn(self):
        names = Names(self.box, otherwise="silence")
        self.addCleanup(names.close)
        registry = ScriptedRegistry(self.box, {"models": [small_model().script()],
                                               "cdn": {"mode": "redirect", "host": "cdn.test"}})
        self.stop_at("the CDN's DNS", registry.name(small_model()), self.more_of(lambda: len(names.asked)),
                     wrap=names.inside)

    def test_connect(self):
        hole = BlackHole()
        self.addCleanup(hole.close)

        def reached(_):
            harness.wait_until(hole.knocked, "a SYN without an answer")

        self.stop_at("connect", f"127.0.0.1:{hole.port}/library/m", reached)

    def test_tls_handshake(self):
        silent = Silent()
        self.addCleanup(silent.close)
        self.stop_at("the TLS handshake", f"127.0.0.1:{silent.port}/library/m", self.more_of(lambda: len(silent.held)),
                     insecure=False)

    def test_headers(self):
        silent = Silent()
        self.addCleanup(silent.close)
        self.stop_at("headers", f"127.0.0.1:{silent.port}/library/m", self.more_of(lambda: len(silent.held)))

    def scripted(self, *faults, model=None, **more):
        self.model = model or small_model()
        self.registry = ScriptedRegistry(self.box, {"models": [self.model.script()], "faults": list(faults),
                                                    "cdn": {"mode": "redirect"}, **more})
        return self.registry.name(self.model)

    def test_body(self):
        model = Model("library/stalls", "latest", [Blob(seed=4, size=64 * MIB)])
        # Less than the smallest request, so that none ends.
        name = self.scripted({"port": "cdn", "path": model.layers[0].hex, "stall_after": 256 << 10, "stall_s": 600, "times": 0},
                             model=model)
        seen = []

        def reached(wire):
            wire.wait_event(lambda e: e["type"] == "blob.progress" and e["bytes_done"] >= 256 << 10 and e["seq"] not in seen)
            time.sleep(0.5)
            seen.extend(e["seq"] for e in wire.events)

        self.stop_at("a body that stalls", name, reached)

    def test_manifest_body(self):
        name = self.scripted({"path": "/manifests/", "stall_after": 10, "stall_s": 600, "times": 0})
        begun = self.next_event("manifest.fetching")

        def reached(wire):
            begun(wire)
            time.sleep(0.5)

        self.stop_at("a manifest that stalls", name, reached)

    def test_backoff(self):
        name = self.scripted({"path": "/manifests/", "status": 500, "times": 0})
        self.stop_at("back-off", name, self.next_event("retry", lambda e: e["backoff_ms"] > 2500))

    def test_retry_after(self):
        for path, place in (("/manifests/", "Retry-After for the manifest"), ("/data", "Retry-After for a blob")):
            with self.subTest(place):
                name = self.scripted({"path": path, "status": 429, "headers": {"Retry-After": "300"}, "times": 0})
                self.stop_at(place, name, self.next_event("retry", lambda e: e["backoff_ms"] >= 290_000))

    def test_token_service(self):
        name = self.scripted({"path": "/token", "stall_after": 0, "stall_s": 600, "times": 0}, auth={"mode": "bearer"})
        log = self.registry
        begun = self.next_event("manifest.fetching")

        def reached(wire):
            begun(wire)
            harness.wait_until(lambda: any(e["status"] == 401 for e in log.log()), "a challenge")
            time.sleep(0.5)

        self.stop_at("the token service", name, reached)


if __name__ == "__main__":
    harness.main()
