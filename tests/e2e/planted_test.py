#!/usr/bin/python3
"""Links that somebody laid into the models dir: whatever a pull makes of them, the file they lead to stays as it was."""

import os
import unittest

import harness
from blobs import MIB, Blob, Model
from registries import ScriptedRegistry

VICTIM = b"not yours\n" * 1000


class PlantedTest(harness.TestCase):
    def setUp(self):
        super().setUp()
        self.model = Model("library/m", "latest", [Blob(seed=31, size=3 * MIB)])
        self.blob = self.model.layers[0]
        self.registry = ScriptedRegistry(self.box, {"models": [self.model.script()]})
        self.victim = self.box.root / "victim"
        self.box.models.mkdir(mode=0o755)
        self.box.models.chmod(0o755)

    def fresh_victim(self):
        self.victim.unlink(missing_ok=True)
        self.victim.write_bytes(VICTIM)
        self.victim.chmod(0o640)
        return os.stat(self.victim)

    def pull(self):
        return self.box.pullama("pull", "--insecure", "--max-retries", "1", self.registry.name(self.model))

    def assert_unharmed(self, before, run):
        self.assertEqual(self.victim.read_bytes(), VICTIM)
        after = os.stat(self.victim)
        self.assertEqual((after.st_mode, after.st_uid, after.st_ino), (before.st_mode, before.st_uid, before.st_ino))
        if run.returncode == 0:
            self.assert_blob(self.box.blob_path(self.blob), self.blob)
            self.assertFalse(self.box.blob_path(self.blob).is_symlink())
            self.assertNotEqual(self.box.blob_path(self.blob).stat().st_ino, after.st_ino)
        else:
            self.assertNotIn("\x1b", run.stderr)
            self.assertTrue(run.stderr.strip())

    def each(self, link):
        """Pulls once with a link at each name that a pull opens."""
        hexes = self.blob.hex
        names = [f"blobs/sha256-{hexes}.partial", f"blobs/sha256-{hexes}", f"blobs/sha256-{hexes}.lock",
                 f"blobs/sha256-{hexes}-partial", f"blobs/sha256-{hexes}-partial-0", f".pullm/sha256-{hexes}.json",
                 f".pullm/sha256-{hexes}.json.tmp", f".pullm/sha256-{hexes}.unsynced",
                 f".pullm/sha256-{hexes}.unsynced.tmp", f".pullm/keep/sha256-{hexes}",
                 f"manifests/{self.registry.host}/library/m/latest"]
        for name in names:
            with self.subTest(name):
                for folder in ("blobs", "manifests", ".pullm/keep"):
                    (self.box.models / folder).mkdir(parents=True, exist_ok=True)
                before, path = self.fresh_victim(), self.box.models / name
                path.parent.mkdir(parents=True, exist_ok=True)
                link(path)
                daemon = self.box.daemon()
                try:
                    run = self.pull()
                    self.assertEqual(self.box.terminate(daemon), 0)
                    self.assert_unharmed(before, run)
                finally:
                    self.empty_models_dir()

    def empty_models_dir(self):
        for folder, _, files in os.walk(self.box.models):
            for file in files:
                os.unlink(os.path.join(folder, file))

    def test_symlinks(self):
        self.each(lambda path: path.symlink_to(self.victim))

    def test_hard_links(self):
        self.each(lambda path: os.link(self.victim, path))

    def test_symlinks_at_the_daemons_own_files(self):
        for name in ("queue.json.tmp", "queue.json", "history.db", "daemon.lock", "manifests.lock"):
            with self.subTest(name):
                (self.box.models / ".pullm").mkdir(exist_ok=True)
                before = self.fresh_victim()
                (self.box.models / ".pullm" / name).symlink_to(self.victim)
                daemon = self.box.daemon(wait=False)
                harness.wait_until(lambda: daemon.poll() is not None or harness.answers(self.box.socket), "up or gone")
                if daemon.poll() is None:
                    self.pull()
                self.box.terminate(daemon)
                self.assertEqual(self.victim.read_bytes(), VICTIM)
                self.assertEqual(os.stat(self.victim).st_mode, before.st_mode)
                self.empty_models_dir()

    def test_a_folder_below_manifests_that_leads_away(self):
        elsewhere = self.box.root / "elsewhere"
        elsewhere.mkdir()
        (self.box.models / "manifests" / self.registry.host).mkdir(parents=True)
        (self.box.models / "manifests" / self.registry.host / "library").symlink_to(elsewhere)
        self.assert_exit(self.pull(), 1)
        self.assertEqual(os.listdir(elsewhere), [])

    def test_blobs_on_another_disk_by_a_link_of_our_own(self):
        other = self.box.root / "other-disk"
        other.mkdir(mode=0o755)
        other.chmod(0o755)
        (self.box.models / "blobs").symlink_to(other)
        self.assert_exit(self.pull(), 0)
        self.assert_stored(self.registry.host, self.model)
        self.assertTrue((other / f"sha256-{self.blob.hex}").exists())

    @unittest.skipUnless(os.geteuid() == 0, "needs root to make a stranger's link")
    def test_blobs_by_a_strangers_link(self):
        for folder in ("blobs", "manifests"):
            with self.subTest(folder):
                other = self.box.root / f"stranger-{folder}"
                other.mkdir()
                link = self.box.models / folder
                if link.exists():
                    link.rmdir()
                link.symlink_to(other)
                os.lchown(link, 12345, 12345)
                run = self.pull()
                self.assert_error(run, 1, str(link))
                self.assertEqual(os.listdir(other), [])
                link.unlink()


if __name__ == "__main__":
    harness.main()
