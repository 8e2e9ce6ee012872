#!/usr/bin/python3
"""The queue over kills: ten models, the daemon killed with -9 at twenty random moments, also while it starts. Order and states
survive, each model ends complete, and no byte travels twice that was safe before a kill."""

import json
import os
import random
import time

import harness
from blobs import small_model
from registries import ScriptedRegistry
from wire import Wire

KILLS = 20
MODELS = 10


class QueueTest(harness.TestCase):
    def setUp(self):
        super().setUp()
        self.seed = int(os.environ.get("PULLAMA_TEST_SEED", "0")) or random.randrange(1, 10**9)
        self.random = random.Random(self.seed)

    def queue_file(self):
        return json.loads((self.box.models / ".pullm" / "queue.json").read_text())

    def safe(self, blob):
        """Ranges of the blob that need not travel again, whatever happens."""
        if self.box.blob_path(blob).exists():
            return [(0, blob.size)]
        return harness.covered(self.box.checkpoint(blob))

    def test_twenty_kills_lose_neither_order_nor_states_nor_bytes(self):
        print(f"PULLAMA_TEST_SEED={self.seed}", flush=True)
        models = [small_model(f"library/m{i}", seed=100 + i, sizes=(self.random.randrange(100_000, 900_000), 5_000 + i))
                  for i in range(MODELS)]
        registry = ScriptedRegistry(self.box, {"models": [m.script() for m in models], "rate": {"total": 700_000}})
        names = [registry.name(m) for m in models]
        daemon = self.box.daemon()
        self.assert_exit(self.box.pullama("queue", "add", "--insecure", *names), 0)
        self.assert_exit(self.box.pullama("queue", "start", "-d"), 0)
        ids = [entry["id"] for entry in self.queue_file()["entries"]]
        self.assertEqual(len(ids), MODELS)

        kills_during_work = 0
        runs = [(time.time(), {})]  # of each daemon: when it began, and what was safe by then
        for number in range(KILLS + 1):
            if number < KILLS:
                time.sleep(self.random.choice((self.random.uniform(0, 0.2), self.random.uniform(0, 1.2))))
            else:  # and now to the end
                registry.script(rate={"total": 100_000_000})
                harness.wait_until(lambda: harness.answers(self.box.socket), "the last daemon answers")
                with Wire(self.box.socket) as wire:
                    harness.wait_until(lambda: not [e for e in wire.call("queue.list")["entries"]
                                                    if e["state"] != "completed"], "all are complete")
            with self.subTest(kill=number, seed=self.seed):
                self.box.kill(daemon)
                after = self.queue_file()
                self.assertEqual([entry["id"] for entry in after["entries"]], ids)
                states = [entry["state"] for entry in after["entries"]]
                active = states.count("active")
                self.assertLessEqual(active, 1)
                done = states.count("completed")
                self.assertEqual(states, ["completed"] * done + ["active"] * active + ["queued"] * (MODELS - done - active))
                self.assertEqual(after["paused"], done == MODELS)
                kills_during_work += done < MODELS
                for model, state in zip(models, states):
                    if state == "completed":
                        self.assertEqual(self.manifest_path(registry.host, model).read_bytes(), model.manifest)
            safe = {blob.hex: self.safe(blob) for model in models for blob in model.blobs}
            runs.append((time.time(), safe))
            daemon = self.box.daemon(wait=number == KILLS or self.random.random() < 0.5)
        # Only now has the registry noticed every end, and noted what it had sent.
        log = [entry for entry in registry.log() if entry["method"] == "GET" and entry["sent"]]
        for number, (begin, safe) in enumerate(runs):
            end = runs[number + 1][0] if number + 1 < len(runs) else float("inf")
            for entry in log:
                for name, ranges in safe.items():
                    if begin <= entry["time"] < end and name in entry["path"] and "chunksums" not in entry["path"]:
                        self.assertEqual(harness.overlap(ranges, [(entry["offset"], entry["offset"] + entry["sent"])]), 0,
                                         f"run {number}: {ranges} were there, then {entry} (seed {self.seed})")
        self.assertGreaterEqual(kills_during_work, 10, "the queue was empty too soon for this to say much")
        view = json.loads(self.box.pullama("queue", "list", "--output", "json").stdout)
        self.assertEqual([(e["id"], e["model"], e["state"]) for e in view["entries"]],
                         [(i, n, "completed") for i, n in zip(ids, names)])
        for model in models:
            self.assert_stored(registry.host, model)


if __name__ == "__main__":
    harness.main()
