#!/usr/bin/python3
"""Disks that are too small, fill up on the way, or take nothing at all: said before the first byte where it can be known,
kept and gone on with where it cannot."""

import os
import pathlib
import subprocess
import time
import unittest

import harness
from blobs import MIB, Blob, Model
from namespaces import WORD, possible, read_only, with_mounts
from registries import ScriptedRegistry
from wire import Wire


class SmallDisk:
    """A tmpfs of so many MiB as the models dir, which only its daemon sees; from here through /proc."""

    def __init__(self, box, mib):
        self.box = box
        box.models.mkdir(mode=0o755)
        harness.FIGURES["disks too small"] += 1
        self.inside = with_mounts(f"mount -t tmpfs -o size={mib}m,mode=755 none '{box.models}'")

    def start(self, *flags):
        self.daemon = self.box.daemon(*flags, wrap=self.inside)
        self.models = pathlib.Path(f"/proc/{self.daemon.pid}/root{self.box.models}")
        return self.daemon

    def resize(self, mib):
        subprocess.run(["nsenter", f"--mount=/proc/{self.daemon.pid}/ns/mnt", "mount", "-o", f"remount,size={mib}m",
                        "none", str(self.box.models)], check=True, capture_output=True)

    def checkpoint(self, blob):
        return harness.read_checkpoint(self.models, blob)

    def fill(self):
        """Another program takes all that is left; its file."""
        path = self.models / "filler"
        with open(path, "wb", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(1 << 16))
            except OSError:
                pass
        return path


class SpaceCase(harness.TestCase):
    def serve(self, mib, **more):
        self.model = Model("library/big", "latest", [Blob(seed=77, size=mib * MIB)])
        self.blob = self.model.layers[0]
        self.registry = ScriptedRegistry(self.box, {"models": [self.model.script()], "cdn": {"mode": "redirect"}, **more})
        return self.registry.name(self.model)

    def jobs(self):
        with Wire(self.box.socket) as wire:
            return wire.call("job.list")["jobs"]

    def assert_waits_for_space(self):
        states = [job["state"] for job in self.jobs()]
        self.assertEqual(states, ["waiting_space"])

    def assert_goes_on_by_itself(self, disk):
        begin = time.monotonic()
        harness.wait_until(lambda: self.jobs()[0]["state"] == "completed", "the job goes on once there is room")
        print(f"completed {time.monotonic() - begin:.1f} s after there was room", flush=True)
        self.assert_stored(self.registry.host, self.model, models=disk.models)


@unittest.skipUnless(possible(), WORD)
class DiskFullTest(SpaceCase):
    def test_too_small_is_known_before_the_first_byte(self):
        name, disk = self.serve(40), SmallDisk(self.box, 80)
        disk.start()
        run = self.box.pullama("pull", "--insecure", name)
        self.assert_error(run, 2, "needs 41.9 MB", "83.8 MB is free", "try `pullama clean`")
        self.assertEqual(run.stderr.count("pullama clean"), 1)
        self.assertEqual(self.registry.travelled(self.blob), [])
        self.assert_waits_for_space()
        disk.resize(200)
        self.assert_goes_on_by_itself(disk)

    def test_json_says_disk_full_and_nothing_on_stderr(self):
        name, disk = self.serve(40), SmallDisk(self.box, 80)
        disk.start()
        run = self.box.pullama("pull", "--insecure", "--output", "json", name)
        self.assert_exit(run, 2)
        self.assertIn('"disk_full"', run.stdout.splitlines()[-1])
        self.assertEqual(run.stderr, "")

    def test_a_disk_that_is_full_on_the_way_keeps_what_it_has(self):
        name, disk = self.serve(48, rate={"total": 12 * MIB}), SmallDisk(self.box, 32)
        disk.start()
        run = self.box.pullama("pull", "--insecure", "--force", name)
        self.assert_error(run, 2, "no space left", "try `pullama clean`")
        self.assert_waits_for_space()
        saved = harness.covered(disk.checkpoint(self.blob))
        self.assertGreater(harness.total_of(saved), 8 * MIB)
        self.assertFalse([n for n in os.listdir(disk.models / ".pullm") if n.endswith(".tmp")])
        again = time.time()
        disk.resize(200)
        self.assert_goes_on_by_itself(disk)
        self.assertEqual(harness.overlap(saved, self.registry.travelled(self.blob, since=again)), 0)

    def test_a_checkpoint_that_finds_no_room_leaves_the_old_one(self):
        name, disk = self.serve(64, rate={"total": 12 * MIB}), SmallDisk(self.box, 160)
        disk.start()
        client = self.box.start_pullama("pull", "--insecure", name)
        harness.wait_until(lambda: disk.checkpoint(self.blob), "a checkpoint")
        filler = disk.fill()
        out, err = client.communicate(timeout=harness.PATIENCE)
        self.assertEqual(client.returncode, 2, out + err)
        self.assertIn("try `pullama clean`", err)
        saved = harness.covered(disk.checkpoint(self.blob))
        self.assertGreater(harness.total_of(saved), 0)
        self.assertFalse([n for n in os.listdir(disk.models / ".pullm") if n.endswith(".tmp")])
        self.assert_waits_for_space()
        time.sleep(1)  # nobody tidies up faster than a daemon looks at its disk
        again = time.time()
        filler.unlink()
        self.assert_goes_on_by_itself(disk)
        self.assertEqual(harness.overlap(saved, self.registry.travelled(self.blob, since=again)), 0)

    def test_the_queue_goes_on_with_what_fits(self):
        small = Model("library/fits", "latest", [Blob(seed=78, size=MIB)])
        name, disk = self.serve(40), SmallDisk(self.box, 80)
        self.registry.script(models=[self.model.script(), small.script()])
        disk.start()
        self.assert_exit(self.box.pullama("queue", "add", "--insecure", name, self.registry.name(small)), 0)
        self.assert_exit(self.box.pullama("queue", "start", "-d"), 0)
        path = self.manifest_path(self.registry.host, small, models=disk.models)
        harness.wait_until(path.exists, "the small model is there")
        states = {job["model"].split("/")[-1]: job["state"] for job in self.jobs()}
        self.assertEqual(states["big:latest"], "waiting_space")


class ReadOnlyTest(SpaceCase):
    def test_nothing_is_fetched_into_a_folder_that_takes_nothing(self):
        for folder in ("manifests", "blobs", ".pullm"):
            with self.subTest(folder):
                name, path = self.serve(1), self.box.models / folder
                path.mkdir(parents=True, exist_ok=True)
                before = sorted(os.listdir(path))
                if folder == ".pullm" and os.geteuid() == 0 and not possible():
                    continue
                inside = ()
                if os.geteuid() == 0:
                    if not possible():
                        self.skipTest(WORD)
                    inside = read_only(path)
                else:
                    harness.FIGURES["folders that take nothing"] += 1
                    path.chmod(0o555)
                    self.addCleanup(path.chmod, 0o755)
                daemon = self.box.daemon(wrap=inside)
                # Also where it is the daemon's own folder that takes nothing.
                self.assert_exit(self.box.pullama("list"), 0)
                run = self.box.pullama("pull", "--insecure", name)
                self.assert_error(run, 1, str(path))
                self.assertFalse([e for e in self.registry.log() if "/blobs/" in e["path"] or e["port"] == "cdn"])
                self.assertEqual(self.box.terminate(daemon), 0)
                self.assertEqual(sorted(os.listdir(path)), before)


if __name__ == "__main__":
    harness.main()
