#!/usr/bin/python3
"""What is installed: list, show, rm, cp, clean, as people see it and as Ollama would find it."""

import json
import os
import random
import re
import shutil
import signal
import stat
import time

import harness
from blobs import Blob, Model, small_model, MIB
from ollama_store import OllamaStore
from registries import ScriptedRegistry
from wire import RpcError, Wire


class StoreCase(harness.TestCase):
    def serve(self, *models, **more):
        registry = ScriptedRegistry(self.box, {"models": [model.script() for model in models], **more})
        self.box.daemon()
        return registry

    def pull(self, registry, *models):
        for model in models:
            self.assert_exit(self.box.pullama("pull", "--insecure", "--quiet", registry.name(model)), 0)

    def json(self, *arguments, code=0):
        run = self.box.pullama(*arguments, "--output", "json")
        self.assert_exit(run, code)
        self.assertEqual(run.stderr, "")
        return json.loads(run.stdout)

    def blob_names(self):
        return sorted(os.listdir(self.box.models / "blobs"))

    def names_of(self, *blobs):
        return sorted({f"sha256-{blob.hex}" for blob in blobs})

    def all_files(self):
        """But the queue's file, which the daemon may be writing at any time."""
        return sorted(str(path.relative_to(self.box.models)) for path in self.box.models.rglob("*")
                      if not path.is_dir() and not path.name.startswith("queue.json"))


def two_models():
    """They share their largest layer."""
    a = small_model("library/a", seed=1)
    b = Model("library/b", "latest", [a.layers[0], Blob(seed=99, size=50_000)])
    return a, b


class ListTest(StoreCase):
    def test_ollama_finds_what_we_made_and_sees_the_same(self):
        a, b = two_models()
        registry = self.serve(a, b)
        self.pull(registry, a, b)
        self.assert_exit(self.box.pullama("cp", registry.name(a), "mine:7B"), 0)
        store = OllamaStore(self.box.models)
        store.check_blobs()
        self.assertEqual(store.serve_deletes(), [])
        theirs = store.list()
        self.assertEqual({row[0] for row in theirs}, {registry.name(a), registry.name(b), "mine:7B"})
        ours = [(m["model"], m["digest"][7:19], m["size"]) for m in self.json("list")["models"]]
        self.assertEqual(ours, theirs)
        lines = self.box.pullama("ls").stdout.splitlines()
        self.assertEqual(lines[0].split(), ["NAME", "ID", "SIZE", "MODIFIED"])
        self.assertEqual([tuple(line.split()[:2]) for line in lines[1:]], [row[:2] for row in theirs])
        for line in lines[1:]:
            self.assertRegex(line, r"\d(\.\d)? (B|kB|MB) +(\d+ \w+|About a minute|Less than a second|1 second) ago$")

    def test_a_broken_manifest_is_listed_as_broken_and_hides_nothing(self):
        a, b = two_models()
        registry = self.serve(a, b)
        self.pull(registry, a, b)
        self.manifest_path(registry.host, a).write_bytes(b.manifest[:100])
        rows = {m["model"]: m for m in self.json("list")["models"]}
        self.assertEqual(set(rows), {registry.name(a), registry.name(b)})
        self.assertIsNone(rows[registry.name(b)]["broken"])
        self.assertIsNotNone(rows[registry.name(a)]["broken"])
        line = next(line for line in self.box.pullama("list").stdout.splitlines() if line.startswith(registry.name(a)))
        self.assertIn("broken", line)

    def test_several_models_dirs_side_by_side(self):
        a, b = two_models()
        registry = self.serve(a, b)
        other = self.box.root / "other"
        self.pull(registry, a)
        self.assert_exit(self.box.pullama("pull", "--insecure", "--models-dir", other, registry.name(b)), 0)
        self.assertEqual([m["model"] for m in self.json("list")["models"]], [registry.name(a)])
        self.assertEqual([m["model"] for m in self.json("list", "--models-dir", other)["models"]], [registry.name(b)])
        self.assert_exit(self.box.pullama("rm", registry.name(b)), 4)
        self.assert_exit(self.box.pullama("rm", "--models-dir", other, registry.name(b)), 0)
        self.assert_exit(self.box.pullama("clean", "--models-dir", other), 0)
        self.assertEqual(os.listdir(other / "blobs"), [])
        self.assert_stored(registry.host, a)
        for arguments in (["list"], ["rm", "m"], ["clean"], ["cp", "m", "n"]):
            missing = self.box.root / "missing"
            self.assert_error(self.box.pullama(*arguments, "--models-dir", missing), 1, str(missing))
            self.assertFalse(missing.exists())


class RemoveTest(StoreCase):
    def test_shared_blobs_stay_until_the_last_model_goes(self):
        a, b = two_models()
        registry = self.serve(a, b)
        self.pull(registry, a, b)
        before = self.all_files()
        plan = self.json("rm", "--dry-run", registry.name(a))
        self.assertEqual(self.all_files(), before)
        done = self.json("rm", registry.name(a))
        self.assertEqual(done, plan)
        own = [blob for blob in a.blobs if blob.digest not in {other.digest for other in b.blobs}]
        self.assertEqual(done["removed"], [registry.name(a)])
        self.assertEqual({x["digest"]: x["size"] for x in done["blobs"]}, {blob.digest: blob.size for blob in own})
        self.assertEqual(done["freed_bytes"], sum(blob.size for blob in own))
        self.assertEqual(done["shared_blobs"], 1)
        self.assert_stored(registry.host, b)
        self.assertEqual(self.blob_names(), self.names_of(*b.blobs))
        self.assertFalse(self.manifest_path(registry.host, a).parent.exists())
        run = self.box.pullama("rm", registry.name(b))
        self.assert_exit(run, 0)
        self.assertIn(registry.name(b), run.stdout)
        self.assertEqual(self.blob_names(), [])
        self.assertEqual(os.listdir(self.box.models / "manifests"), [])

    def test_what_is_not_there_exits_4_and_removes_nothing(self):
        a, _ = two_models()
        registry = self.serve(a)
        self.pull(registry, a)
        self.assert_error(self.box.pullama("rm", registry.name(a), "nothere"), 4, "nothere:latest")
        self.assert_stored(registry.host, a)

    def test_a_manifest_that_cannot_be_parsed_aborts_and_is_named(self):
        a, b = two_models()
        registry = self.serve(a, b)
        self.pull(registry, a, b)
        path = self.manifest_path(registry.host, b)
        path.write_bytes(b'{"schemaVersion":2')
        before = self.all_files()
        self.assert_error(self.box.pullama("rm", registry.name(a)), 1, str(path))
        self.assert_error(self.box.pullama("clean", "--unreferenced", "--yes"), 1, str(path))
        self.assertEqual(self.all_files(), before)
        self.assert_exit(self.box.pullama("rm", registry.name(b)), 0)
        self.assert_exit(self.box.pullama("rm", registry.name(a)), 0)

    def test_a_copy_keeps_the_blobs(self):
        a, _ = two_models()
        registry = self.serve(a)
        self.pull(registry, a)
        self.assert_error(self.box.pullama("cp", "nothere", "b"), 4, "nothere")
        self.assert_exit(self.box.pullama("cp", registry.name(a), "copy"), 0)
        path = self.box.models / "manifests/registry.ollama.ai/library/copy/latest"
        self.assertEqual(path.read_bytes(), a.manifest)
        self.assertEqual(stat.S_IMODE(path.stat().st_mode), 0o644)
        self.assert_exit(self.box.pullama("rm", registry.name(a)), 0)
        self.assertEqual(self.blob_names(), self.names_of(*a.blobs))
        self.assertEqual([m["model"] for m in self.json("list")["models"]], ["copy:latest"])


class CleanTest(StoreCase):
    def interrupted(self, registry, model, rate="3M"):
        """A pull that a Ctrl-C ended in the middle."""
        process = self.box.start_pullama("pull", "--insecure", "--limit-rate", rate, registry.name(model))
        harness.wait_until(lambda: harness.total_of(harness.covered(self.box.checkpoint(model.layers[0]))) > 0,
                           "a checkpoint with bytes")
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=harness.PATIENCE)
        self.assertEqual(process.returncode, 0)

    def test_what_a_cancelled_pull_left_goes_and_nothing_else(self):
        a, big = small_model("library/a"), small_model("library/big", seed=7, sizes=(12 * MIB, 1000))
        registry = self.serve(a, big)
        self.pull(registry, a)
        self.interrupted(registry, big)
        before = set(self.all_files())
        plan = self.json("clean", "--dry-run")
        self.assertEqual(set(self.all_files()), before)
        done = self.json("clean")
        self.assertEqual(done, plan)
        self.assertEqual(before - set(self.all_files()), {file["path"] for file in done["removed"]})
        self.assertGreaterEqual(done["freed_bytes"], big.layers[0].size)
        for name in self.all_files():
            self.assertFalse(re.search(r"\.partial$|\.lock$|keep/|sha256-.*json", name) and "manifests.lock" not in name
                             and "daemon.lock" not in name, name)
        again = self.json("clean")
        self.assertEqual((again["removed"], again["freed_bytes"]), ([], 0))
        # Small blobs of the pull that was given up are final and named by nothing: they go when asked for.
        self.assertTrue(set(self.blob_names()) >= set(self.names_of(*a.blobs)))
        self.assert_error(self.box.pullama("clean", "--unreferenced"), 1, "--yes")
        self.assert_exit(self.box.pullama("clean", "--unreferenced", "--yes"), 0)
        self.assert_stored(registry.host, a)
        self.assertEqual(self.blob_names(), self.names_of(*a.blobs))

    def test_what_had_failed_before_it_was_cancelled_goes_too(self):
        big = small_model("library/big", seed=7, sizes=(12 * MIB, 1000))
        registry = self.serve(big, faults=[{"path": "/manifests/", "status": 500, "times": 2}])
        self.assert_error(self.box.pullama("pull", "--insecure", "--max-retries", "1", registry.name(big)), 1, "500")
        self.interrupted(registry, big)
        self.assertGreaterEqual(self.json("clean")["freed_bytes"], big.layers[0].size)

    def test_what_is_queued_or_paused_stays_unless_told_otherwise(self):
        big = small_model("library/big", seed=7, sizes=(12 * MIB, 1000))
        registry = self.serve(big)
        self.interrupted(registry, big)
        self.assert_exit(self.box.pullama("queue", "add", "--insecure", "--limit-rate", "3M", registry.name(big)), 0)
        covered = harness.total_of(harness.covered(self.box.checkpoint(big.layers[0])))
        self.assertEqual(self.json("clean")["removed"], [])
        with Wire(self.box.socket) as wire:
            job = wire.call("queue.list")["entries"][0]["id"]
            wire.call("queue.start")
            wire.call("events.subscribe")
            wire.call("job.pause", job=job)
        done = self.json("clean")
        self.assertEqual(done["removed"], [])
        self.assertEqual(done["unfinished_models"], [registry.name(big)])
        self.assertGreaterEqual(done["unfinished_bytes"], big.layers[0].size)
        self.assertGreaterEqual(harness.total_of(harness.covered(self.box.checkpoint(big.layers[0]))), covered)
        self.assertEqual(self.box.pullama("queue", "list").stdout.count("\n"), 1)
        done = self.json("clean", "--yes", "--queue")
        self.assertEqual(done["queue_entries"], 1)
        self.assertGreaterEqual(done["freed_bytes"], big.layers[0].size)
        self.assertIsNone(self.box.checkpoint(big.layers[0]))
        self.assertEqual(self.json("queue", "list")["entries"], [])

    def test_after_a_kill_what_goes_on_is_still_known(self):
        big = small_model("library/big", seed=7, sizes=(12 * MIB, 1000))
        registry = ScriptedRegistry(self.box, {"models": [big.script()]})
        daemon = self.box.daemon()
        run = self.box.pullama("pull", "-d", "--insecure", "--limit-rate", "3M", registry.name(big))
        self.assert_exit(run, 0)
        harness.wait_until(lambda: harness.total_of(harness.covered(self.box.checkpoint(big.layers[0]))) > 0, "a checkpoint")
        self.box.kill(daemon)
        # On demand it sleeps until somebody wants it to go on.
        self.box.daemon("--on-demand")
        self.assertEqual(self.json("clean", "--unreferenced", "--yes")["removed"], [])
        self.assertIsNotNone(self.box.checkpoint(big.layers[0]))

    def test_rm_and_clean_beside_running_pulls(self):
        shared = Blob(seed=5, size=2 * MIB)
        a = Model("library/a", "latest", [shared])
        b = Model("library/b", "latest", [Blob(seed=6, size=4 * MIB), shared, Blob(seed=8, size=3000)])
        registry = self.serve(a, b)
        random.seed(20261122)
        for number in range(8):
            self.pull(registry, a)
            at = time.time()
            process = self.box.start_pullama("pull", "--insecure", "--limit-rate", "20M", registry.name(b))
            moment = random.randrange(1, 4 * MIB)
            harness.wait_until(lambda: process.poll() is not None or (self.box.checkpoint(b.layers[0]) is not None)
                               or harness.total_of(registry.travelled(b.layers[0], at)) > moment, "the pull is under way")
            self.assert_exit(self.box.pullama("rm", registry.name(a)), 0)
            self.assert_exit(self.box.pullama("clean", "--unreferenced", "--yes"), 0)
            process.communicate(timeout=harness.PATIENCE)
            self.assertEqual(process.returncode, 0, number)
            self.assert_stored(registry.host, b)
            self.assertEqual(registry.travelled(shared, at), [], "what was there is not fetched again")
            self.assert_exit(self.box.pullama("rm", registry.name(b)), 0)
            self.assertEqual(self.blob_names(), [])


class ReadOnlyTest(StoreCase):
    NOBODY = 65534

    def test_a_store_that_may_only_be_read_lists_and_says_why_the_rest_fails(self):
        if os.geteuid() != 0 or not shutil.which("setpriv"):
            self.skipTest("needs root, to be somebody else")
        a, _ = two_models()
        registry = self.serve(a)
        self.pull(registry, a)
        with Wire(self.box.socket) as wire:
            wire.call("daemon.shutdown")
        harness.wait_until(lambda: not harness.answers(self.box.socket), "the daemon is gone")
        os.chmod(self.box.root, 0o711)
        for folder in (self.box.home, self.box.runtime, self.box.runtime / "pullama", self.box.reports):
            os.chown(folder, self.NOBODY, self.NOBODY)
        environment = {"OLLAMA_MODELS": None}
        command = ["setpriv", f"--reuid={self.NOBODY}", f"--regid={self.NOBODY}", "--clear-groups"]
        log = open(self.box.root / "daemon.log", "ab")
        with log:
            self.box.spawn(*command, harness.PULLAMAD, env=environment, stdout=log, stderr=log)
        harness.wait_until(lambda: harness.answers(self.box.socket), "the other user's daemon answers")

        def as_nobody(*arguments):
            process = self.box.spawn(*command, harness.PULLAMA, *arguments, "--models-dir", str(self.box.models),
                                     env=environment, stdout=-1, stderr=-1, text=True)
            out, err = process.communicate(timeout=harness.PATIENCE)
            return harness.subprocess.CompletedProcess(arguments, process.returncode, out, err)

        before = self.all_files()
        listed = as_nobody("list")
        self.assert_exit(listed, 0)
        self.assertIn(registry.name(a), listed.stdout)
        self.assert_exit(as_nobody("show", registry.name(a)), 0)
        self.assert_exit(as_nobody("rm", "--dry-run", registry.name(a)), 0)
        self.assert_exit(as_nobody("clean", "--dry-run"), 0)
        self.assert_exit(as_nobody("verify"), 0)
        self.assert_exit(as_nobody("outdated", "--insecure"), 0)
        self.assert_exit(as_nobody("pull", "--dry-run", "--insecure", registry.name(a)), 0)
        for arguments in (["rm", registry.name(a)], ["cp", registry.name(a), "b"], ["clean"],
                          ["pull", "--insecure", registry.name(a)]):
            run = as_nobody(*arguments)
            self.assert_error(run, 1, str(self.box.models), "permission denied")
            self.assertEqual(run.stderr.count("\n"), 1, run.stderr)
        self.assertEqual(self.all_files(), before)


class WireTest(StoreCase):
    def test_changes_are_told_to_who_listens_and_wrong_names_are_refused(self):
        a, b = two_models()
        registry = self.serve(a, b)
        self.pull(registry, a, b)
        with Wire(self.box.socket) as wire:
            wire.call("events.subscribe", types=["store.changed"])
            wire.call("store.copy", source=registry.name(a), destination="mine")
            event = wire.wait_event(lambda e: e["change"] == "copied")
            self.assertEqual(event["models"], ["mine:latest"])
            wire.call("store.remove", model="mine", dry_run=True)
            wire.call("store.remove", models=["mine"])
            event = wire.wait_event(lambda e: e["change"] == "removed")
            self.assertEqual((event["models"], event["models_dir"]), (["mine:latest"], str(self.box.models)))
            self.assertEqual(len([e for e in wire.events if e["change"] == "removed"]), 1)
            for params in ({"models": ["a/../b"]}, {"models": []}, {"models": ["m"], "models_dir": "relative"}):
                with self.assertRaises(RpcError) as refused:
                    wire.call("store.remove", **params)
                self.assertEqual(refused.exception.data["kind"], "invalid_argument")


def flip(path, offset):
    """One bit, with the times as they were."""
    times = path.stat()
    with open(path, "r+b") as file:
        file.seek(offset)
        byte = file.read(1)
        file.seek(offset)
        file.write(bytes([byte[0] ^ 1]))
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


class VerifyTest(StoreCase):
    def test_one_flipped_bit_is_found_and_one_chunk_mends_it(self):
        big = small_model("library/big", seed=7, sizes=(9 * MIB, 1000))
        registry = self.serve(big)
        self.assert_exit(self.box.pullama("pull", "--insecure", "--chunk-size", "1MiB", "--quiet", registry.name(big)), 0)
        self.assert_exit(self.box.pullama("verify"), 0)
        clean = self.json("verify")
        self.assertEqual((clean["ok"], clean["findings"], clean["blobs"]), (True, [], len(big.blobs)))
        blob = big.layers[0]
        flip(self.box.blob_path(blob), 5 * MIB + 7)
        found = self.json("verify", registry.name(big), code=1)
        self.assertFalse(found["ok"])
        finding, = found["findings"]
        self.assertEqual((finding["finding"], finding["digest"], finding["models"], finding["repaired"]),
                         ("damaged", blob.digest, [registry.name(big)], False))
        run = self.box.pullama("verify")
        self.assert_exit(run, 1)
        self.assertIn("damaged", run.stdout)
        self.assertIn("--repair", run.stderr)
        at = time.time()
        mended = self.json("verify", "--repair", "--insecure")
        self.assertTrue(mended["findings"][0]["repaired"])
        sent = registry.travelled(blob, at)
        self.assertTrue(0 < harness.total_of(sent) <= MIB, sent)
        self.assert_stored(registry.host, big)
        self.assert_exit(self.box.pullama("verify", "--quiet"), 0)

    def test_every_kind_of_damage_is_told(self):
        a, b = small_model("library/a", seed=1), small_model("library/b", seed=2)
        registry = self.serve(a, b)
        self.pull(registry, a, b)
        flip(self.box.blob_path(a.layers[0]), 10)
        self.box.blob_path(a.layers[1]).unlink()
        os.truncate(self.box.blob_path(b.layers[0]), 1000)
        orphan = self.box.models / "blobs" / ("sha256-" + "0" * 64)
        orphan.write_bytes(b"nobody's")
        broken = self.box.models / "manifests/h/n/m/t"
        broken.parent.mkdir(parents=True)
        broken.write_bytes(b"nonsense")
        kinds = sorted(f["finding"] for f in self.json("verify", code=1)["findings"])
        self.assertEqual(kinds, ["broken_manifest", "damaged", "missing", "wrong_size"])
        broken.unlink()
        found = self.json("verify", "--repair", "--insecure", code=1)["findings"]
        self.assertEqual({f["finding"] for f in found if not f["repaired"]}, {"unreferenced"})
        self.assert_exit(self.box.pullama("clean", "--unreferenced", "--yes"), 0)
        self.assert_exit(self.box.pullama("verify"), 0)
        shutil.rmtree(self.box.models / "manifests/h")
        self.assert_stored(registry.host, a)
        self.assert_stored(registry.host, b)

    def test_it_can_be_watched_joined_and_cancelled(self):
        big = Model("library/big", "latest", [Blob(seed=7, size=300 * MIB)])
        registry = self.serve(big)
        self.pull(registry, big)
        with Wire(self.box.socket) as wire:
            wire.call("events.subscribe")
            job = wire.call("store.verify")["job"]
            again = wire.call("store.verify")
            wire.wait_event(lambda e: e["type"] == "blob.verifying" and e["job"] == job)
            if again["joined"]:
                self.assertEqual(again["job"], job)
            wire.wait_event(lambda e: e["type"] == "blob.progress" and e["job"] == job)
            self.assertEqual(wire.call("job.get", job=job)["kind"], "verify")
            self.assertIn(job, [j["id"] for j in wire.call("job.list")["jobs"]])
            state = wire.call("job.cancel", job=job)["state"]
            self.assertIn(state, ("cancelled", "completed"))
            wire.wait_event(lambda e: e["type"] == f"job.{state}" and e["job"] == job)
            with self.assertRaises(RpcError) as refused:
                wire.call("job.pause", job=wire.call("store.verify")["job"])
            self.assertEqual(refused.exception.data["kind"], "unsupported")
        self.assert_error(self.box.pullama("verify", "nothere"), 4, "nothere")


class UpdateTest(StoreCase):
    def moved(self, model, seed):
        """The same tag with another first layer."""
        return Model(model.repository, model.tag, [Blob(seed=seed, size=400_000), *model.layers[1:]], model.config)

    def test_what_changed_is_told_fetched_and_the_rest_dropped(self):
        a, b = small_model("library/a", seed=1), small_model("library/b", seed=2)
        registry = self.serve(a, b)
        self.pull(registry, a, b)
        self.assert_exit(self.box.pullama("cp", registry.name(b), f"{registry.host}/library/own"), 0)
        self.assertEqual({m["state"] for m in self.json("outdated", "--insecure")["models"]}, {"current", "gone"})
        new = self.moved(a, 77)
        registry.script(models=[new.script()])
        at = time.time()
        rows = {m["model"]: m for m in self.json("outdated", "--insecure")["models"]}
        self.assertEqual([entry["path"] for entry in registry.log(at) if "/blobs/" in entry["path"]], [])
        row = rows[registry.name(a)]
        self.assertEqual((row["state"], row["local"], row["remote"], row["travel_bytes"]),
                         ("outdated", a.digest, new.digest, 400_000))
        self.assertEqual(row["changed"], [{"digest": new.layers[0].digest, "size": 400_000, "present_bytes": 0}])
        self.assertEqual(rows[registry.name(b)]["state"], "current")
        table = self.box.pullama("outdated", "--insecure", registry.name(a)).stdout
        self.assertRegex(table, r"outdated +1 +400\.0 kB")
        self.assert_exit(self.box.pullama("update", "--insecure", "--all"), 0)
        self.assertEqual(self.manifest_path(registry.host, new).read_bytes(), new.manifest)
        self.assertFalse(self.box.blob_path(a.layers[0]).exists(), "only the old manifest named it")
        self.assertEqual(self.blob_names(), self.names_of(*new.blobs, *b.blobs))
        OllamaStore(self.box.models).check_blobs()
        sent = [registry.travelled(blob, at) for blob in new.blobs]
        self.assertEqual([harness.total_of(each) for each in sent], [400_000] + [0] * (len(sent) - 1))
        self.assertEqual({m["state"] for m in self.json("outdated", "--insecure")["models"]}, {"current", "gone"})
        history = self.json("history")["transfers"]
        self.assertEqual((history[0]["model"], history[0]["fetched_bytes"]), (registry.name(a), 400_000))
        self.assert_error(self.box.pullama("update", "--insecure", f"{registry.host}/library/own"), 4, "own")
        self.assert_error(self.box.pullama("update", "nothere"), 4, "nothere")

    def test_a_pull_of_a_moved_tag_drops_what_nothing_needs_unless_told_not_to(self):
        a = small_model("library/a", seed=1)
        for number, (variable, stays) in enumerate(((None, False), ("1", True))):
            registry = ScriptedRegistry(self.box, {"models": [a.script()]})
            daemon = self.box.daemon(env={"OLLAMA_NOPRUNE": variable})
            self.pull(registry, a)
            new = self.moved(a, 80 + number)
            registry.script(models=[new.script()])
            self.assert_exit(self.box.pullama("pull", "--insecure", registry.name(a)), 0)
            self.assertEqual(self.box.blob_path(a.layers[0]).exists(), stays)
            self.assertEqual(self.manifest_path(registry.host, new).read_bytes(), new.manifest)
            self.assertEqual(self.box.terminate(daemon), 0)
            shutil.rmtree(self.box.models)


class DryRunTest(StoreCase):
    def test_what_would_travel_what_is_cached_what_the_disk_lacks(self):
        a, b = two_models()
        registry = self.serve(a, b)
        self.pull(registry, a)
        before = self.all_files()
        plan = self.json("pull", "--insecure", "--dry-run", registry.name(b))
        self.assertEqual(self.all_files(), before)
        shared = a.layers[0]
        rest = [blob for blob in b.blobs if blob.digest != shared.digest]
        self.assertEqual({x["Digest"]: (x["Size"], x["PresentBytes"]) for x in plan["Blobs"]},
                         {shared.digest: (shared.size, shared.size), **{x.digest: (x.size, 0) for x in rest}})
        self.assertEqual((plan["TotalSize"], plan["TravelBytes"], plan["LackingBytes"]),
                         (b.total, sum(x.size for x in rest), 0))
        self.assertEqual(plan["NeededBytes"], plan["TravelBytes"] + 64 * MIB)
        new = self.box.root / "not" / "there"
        plan = self.json("pull", "--insecure", "--dry-run", "--models-dir", new, registry.name(b))
        self.assertEqual(plan["TravelBytes"], b.total)
        self.assertFalse(new.parent.exists())
        huge = Model("library/huge", "latest", [Blob(seed=1, size=1 << 50)])
        huge.layers[0].__dict__["digest"] = "sha256:" + "1" * 64
        registry.script(models=[{**a.script(), "name": "library/huge:latest", "manifest": huge.manifest.decode()}])
        plan = self.json("pull", "--insecure", "--dry-run", registry.name(huge))
        self.assertEqual(plan["LackingBytes"], plan["NeededBytes"] - plan["FreeBytes"])
        self.assertGreater(plan["LackingBytes"], 1 << 49)
        run = self.box.pullama("pull", "--insecure", "--dry-run", registry.name(huge))
        self.assertRegex(run.stdout, r"disk: .* free, .* needed, lacks 1.1 PB")
        self.assert_error(self.box.pullama("pull", "--insecure", "--dry-run", f"{registry.host}/no/no"), 4)


class ShowTest(StoreCase):
    def test_what_the_config_and_the_weights_say(self):
        def text(value):
            return len(value).to_bytes(8, "little") + value.encode()

        weights = b"GGUF" + b"\3\0\0\0" + (0).to_bytes(8, "little") + (3).to_bytes(8, "little")
        weights += text("general.architecture") + b"\x08\0\0\0" + text("llama")
        weights += text("llama.context_length") + b"\x04\0\0\0" + (8192).to_bytes(4, "little")
        weights += text("llama.embedding_length") + b"\x04\0\0\0" + (3072).to_bytes(4, "little")
        image = "application/vnd.ollama.image."
        layers = [Blob(text=weights.decode(), media_type=image + "model"),
                  Blob(text="{{ .System }}{{ .Tools }}", media_type=image + "template"),
                  Blob(text="You are.", media_type=image + "system"),
                  Blob(text='{"stop":["a","b"],"temperature":0.5}', media_type=image + "params"),
                  Blob(text="MIT License", media_type=image + "license")]
        a, b = Model("library/a", "latest", layers), Model("library/b", "latest", layers[:1])
        registry = self.serve(a, b)
        self.pull(registry, a, b)
        shown = self.box.pullama("show", registry.name(a)).stdout
        for line in (r"Family: +llama", r"Parameters: +3\.2B", r"Quantization: +Q4_K_M", r"Architecture: +llama",
                     r"Context length: +8192", r"Embedding length: +3072", r"Capabilities: +completion, tools",
                     f"{layers[0].hex[:12]} .*{re.escape(registry.name(b))}"):
            self.assertRegex(shown, line)
        whole = self.json("show", registry.name(a))
        self.assertEqual((whole["architecture"], whole["context_length"], whole["embedding_length"]), ("llama", 8192, 3072))
        self.assertEqual(whole["capabilities"], ["completion", "tools"])
        self.assertEqual(whole["digest"], a.digest)
        for flag, words in (("--license", "MIT License"), ("--template", "{{ .System }}"), ("--system", "You are."),
                            ("--parameters", "stop"), ("--layers", layers[0].hex[:12])):
            run = self.box.pullama("show", registry.name(a), flag)
            self.assert_exit(run, 0)
            self.assertIn(words, run.stdout)
            self.assertNotIn("Architecture", run.stdout)
        self.assert_error(self.box.pullama("show", "nothere"), 4, "nothere")
        # Weights that are no GGUF lose the details and nothing else.
        self.box.blob_path(layers[0]).write_bytes(os.urandom(len(weights)))
        run = self.box.pullama("show", registry.name(a))
        self.assert_exit(run, 0)
        self.assertNotIn("Architecture", run.stdout)


if __name__ == "__main__":
    harness.main()
