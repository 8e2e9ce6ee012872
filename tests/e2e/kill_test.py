#!/usr/bin/python3
"""kill -9 of the daemon at ten points of a throttled pull: the next pull ends with the right bytes, and the server's log
shows that no byte which was there travelled twice, and each other one once. PULLAMA_TEST_LONG=1: 1 GiB over more than 20 s."""

import time

import harness
from blobs import MIB, Blob, Model
from registries import ScriptedRegistry

SIZE = (1024 if harness.LONG else 40) * MIB
RATE = (48 if harness.LONG else 10) * MIB
POINTS = 10


class KillTest(harness.TestCase):
    def setUp(self):
        super().setUp()
        self.model = Model("library/big", "latest", [Blob(seed=42, size=SIZE)])
        self.blob = self.model.layers[0]

    def serve(self, **cdn):
        return ScriptedRegistry(self.box, {"models": [self.model.script()], "cdn": cdn or {"mode": "redirect"},
                                           "rate": {"total": RATE}})

    def interrupted(self, registry, share):
        """Pulls until about `share` is there, kills the daemon; the ranges that are then there, synced or not."""
        daemon = self.box.daemon()
        client = self.box.start_pullama("pull", "--insecure", "--no-autostart", registry.name(self.model))
        begin = time.monotonic()
        harness.wait_until(lambda: [e for e in registry.log() if "/manifests/" in e["path"]], "the pull has begun")
        time.sleep(max(0.0, share * SIZE / RATE - (time.monotonic() - begin)))
        self.assertIsNone(client.poll(), "the pull is over too soon")
        self.box.kill(daemon)
        self.assertFalse(self.box.blob_path(self.blob).exists(), "killed too late")
        client.communicate(timeout=harness.PATIENCE)
        self.assertEqual(client.returncode, 1)
        ranges, synced = self.box.kept(self.blob), harness.covered(self.box.checkpoint(self.blob))
        self.assertEqual(harness.overlap(ranges, synced), harness.total_of(synced), f"{synced} was synced, {ranges} is there")
        return ranges

    def resumed(self, registry, ranges):
        """Pulls again; what travelled meanwhile, held against what need not."""
        again = time.time()
        run = self.box.pullama("pull", "--insecure", registry.name(self.model))
        self.assert_exit(run, 0)
        self.assert_stored(registry.host, self.model)
        second = registry.travelled(self.blob, since=again)
        self.assertEqual(harness.overlap(ranges, second), 0, f"{ranges} was there, {second} travelled")
        # A byte may be under way twice in the second run only if a connection was dropped; here none is.
        self.assertEqual(harness.total_of(second) + harness.total_of(ranges), SIZE, (ranges, second))

    def fresh(self):
        self._close()
        self.box = harness.Sandbox()

    def test_at_ten_points(self):
        for point in range(POINTS):
            share = (point + 0.5) / POINTS
            with self.subTest(share=share):
                registry = self.serve()
                ranges = self.interrupted(registry, share)
                if share * SIZE / RATE > 2.5:
                    self.assertGreater(harness.total_of(ranges), 0, "nothing is there after two and a half seconds")
                registry.script(rate={"total": 8 * RATE})
                self.resumed(registry, ranges)
            self.fresh()

    def test_again_and_again_on_one_pull(self):
        # The same download is killed five times; what was saved only grows.
        registry = self.serve()
        before = 0
        for _ in range(5):
            ranges = self.interrupted(registry, 0.15 if harness.LONG else 0.4)
            self.assertGreaterEqual(harness.total_of(ranges), before)
            before = harness.total_of(ranges)
            if before > 0.6 * SIZE:
                break
        self.resumed(registry, ranges)


if __name__ == "__main__":
    harness.main()
