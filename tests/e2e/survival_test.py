#!/usr/bin/python3
"""What users suffer from most, on the real programs: kills at random moments of a pull over eight connections, a line that
breaks at every megabyte, connections that fall silent. Prints the figures. PULLAMA_TEST_LONG=1: 200 kills of 2 GiB, 1,000
resets, 40 s of silence."""

import random
import statistics
import sys
import time

import harness
from blobs import MIB, Blob, Model
from registries import ScriptedRegistry
from wire import Wire

MB = 1_000_000


def tell(text):
    print(text, file=sys.stderr, flush=True)


class SurvivalTest(harness.TestCase):
    def serve(self, size, seed=4711, **parts):
        model = Model("library/big", "latest", [Blob(seed=seed, size=size)])
        return model, ScriptedRegistry(self.box, {"models": [model.script()], "cdn": {"mode": "redirect"}, **parts})

    def test_kills_at_random_moments_over_eight_connections(self):
        kills, size, rate = (200, 2048 * MIB, 8 * MIB) if harness.LONG else (8, 48 * MIB, 6 * MIB)
        model, registry = self.serve(size, rate={"total": rate})
        blob, seed = model.layers[0], time.time_ns() % 1_000_000
        moments = random.Random(seed)
        tell(f"\nseed {seed}")
        twice, sent_before, there_before, synced_before = [], 0, 0, 0
        while len(twice) < kills:
            daemon = self.box.daemon()
            client = self.box.start_pullama("pull", "--insecure", "--no-autostart", "--connections", "8",
                                            registry.name(model))
            time.sleep(moments.uniform(0.05, 2.5 if harness.LONG else 1.6))
            self.assertIsNone(client.poll(), "the pull was over before the last kill")
            self.box.kill(daemon)
            client.communicate(timeout=harness.PATIENCE)
            # The server logs a request when it ends; without a daemon all of them have.
            harness.wait_until(lambda: registry.state()["open"] == 0, "the registry has noticed")
            synced, ranges = harness.covered(self.box.checkpoint(blob)), self.box.kept(blob)
            travelled = registry.travelled(blob)
            self.assertGreaterEqual(harness.overlap(synced, ranges), synced_before, "a checkpoint forgot bytes")
            there, sent = harness.total_of(ranges), harness.total_of(travelled)
            # Sent in this run and not kept: what will travel again.
            twice.append((sent - sent_before) - (there - there_before))
            sent_before, there_before, synced_before = sent, there, harness.total_of(synced)
        registry.script(rate={"total": 64 * rate})
        last = time.time()
        self.assert_exit(self.box.pullama("pull", "--insecure", registry.name(model)), 0)
        self.assert_stored(registry.host, model)
        self.assertEqual(harness.overlap(ranges, registry.travelled(blob, since=last)), 0, "what was there travelled again")
        seconds = [lost / rate for lost in twice]
        tell(f"{kills} kills of {size / MIB:.0f} MiB at {rate / MB:.1f} MB/s over 8 connections: travelled twice, a kill: "
             f"median {statistics.median(twice) / MB:.2f} MB, most {max(twice) / MB:.2f} MB; in seconds of transfer: "
             f"median {statistics.median(seconds):.2f}, most {max(seconds):.2f}; {kills} kills, {len(twice)} resumed")
        tell("each, in MB: " + " ".join(f"{lost / MB:.1f}" for lost in twice))

    def test_a_reset_after_every_megabyte(self):
        resets = 1000 if harness.LONG else 60
        model, registry = self.serve(resets * MB, faults=[{"port": "cdn", "reset_after": MB, "times": 0}])
        blob = model.layers[0]
        self.assert_exit(self.box.pullama("pull", "--insecure", registry.name(model), timeout=900), 0)
        self.assert_stored(registry.host, model)
        cut = [entry for entry in registry.log() if blob.hex in entry["path"] and entry["end"] == "reset"]
        served = harness.total_of(registry.travelled(blob))
        tell(f"\n{len(cut)} resets: served {served / blob.size:.4f} of the size")
        self.assertGreaterEqual(len(cut), resets // 2, "the line did not break")
        self.assertLessEqual(served, 1.02 * blob.size)

    def test_fifteen_of_sixteen_connections_fall_silent(self):
        size, silence, rate = (1500 * MIB, 40, 24 * MIB) if harness.LONG else (48 * MIB, 4, 24 * MIB)
        model, registry = self.serve(size, rate={"total": rate}, faults=[
            {"port": "cdn", "skip": 1, "stall_after": 256 << 10, "stall_s": silence, "times": 15}])
        blob, figures = model.layers[0], []
        self.box.daemon()
        with Wire(self.box.socket, check=False) as wire:
            wire.call("events.subscribe")
            client = self.box.start_pullama("pull", "--insecure", "--connections", "16", registry.name(model))
            _, errors = client.communicate(timeout=600)
            self.assertEqual(client.returncode, 0, errors)
            figures = [event["job_bytes_done"] for event in wire.events if event["type"] == "blob.progress"]
        self.assert_stored(registry.host, model)
        silent = [entry for entry in registry.log() if entry["end"] in ("stalled", "gone") and blob.hex in entry["path"]]
        served = harness.total_of(registry.travelled(blob))
        tell(f"\n{len(silent)} connections silent: served {served / size:.4f} of the size, {len(figures)} figures shown")
        self.assertEqual(figures, sorted(figures), "shown progress ran backwards")
        self.assertLessEqual(served, 1.02 * size)
        if harness.LONG:
            self.assertGreaterEqual(len(silent), 15)


if __name__ == "__main__":
    harness.main()
