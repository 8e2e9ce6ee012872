#!/usr/bin/python3
"""Mirrors: the cache of a fleet is asked first, the origin for what it has not, and digests decide. The cache is Debian's
docker-registry, or one that misbehaves by script."""

import socket

import harness
from blobs import MIB, Blob, Model, small_model
from registries import DockerRegistry, ScriptedRegistry, free_port


class MirrorTest(harness.TestCase):
    def setUp(self):
        super().setUp()
        self.model = small_model()
        self.origin = ScriptedRegistry(self.box, {"models": [self.model.script()]})

    def daemon(self, *mirrors):
        """Mirrors of the origin, in their order."""
        flags = [word for mirror in mirrors for word in ("--mirror", f"{self.origin.host} http://{mirror}")]
        return self.box.daemon(*flags)

    def pull(self, model=None, *flags):
        return self.box.pullama("pull", "--insecure", *flags, self.origin.name(model or self.model))

    def test_many_machines_take_it_from_the_cache_and_the_origin_hears_nothing(self):
        cache = DockerRegistry(self.box)
        cache.push(self.model)
        self.daemon(cache.host)
        self.assert_exit(self.pull(), 0)
        self.assert_stored(self.origin.host, self.model)
        for number in (1, 2):
            folder = self.box.root / f"machine-{number}"
            self.assert_exit(self.pull(None, "--models-dir", str(folder)), 0)
            self.assert_stored(self.origin.host, self.model, folder)
        self.assertEqual(self.origin.log(), [])

    def test_what_the_cache_has_not_comes_from_the_origin(self):
        cache = DockerRegistry(self.box)
        self.daemon(cache.host)
        self.assert_exit(self.pull(), 0)
        self.assert_stored(self.origin.host, self.model)
        self.assertTrue(self.origin.log())

    def test_a_cache_that_is_away_costs_nothing_but_a_moment(self):
        self.daemon(f"127.0.0.1:{free_port()}")
        self.assert_exit(self.pull(None, "--max-retries", "1"), 0)
        self.assert_stored(self.origin.host, self.model)

    def test_the_second_of_two_caches(self):
        cache = DockerRegistry(self.box)
        cache.push(self.model)
        self.daemon(f"127.0.0.1:{free_port()}", cache.host)
        self.assert_exit(self.pull(), 0)
        self.assert_stored(self.origin.host, self.model)
        self.assertEqual(self.origin.log(), [])

    def test_wrong_bytes_of_the_cache_are_replaced_by_the_origins(self):
        blob = self.model.layers[0]
        cache = ScriptedRegistry(self.box, {"models": [self.model.script()],
                                            "faults": [{"path": blob.hex, "flip": [MIB], "times": 0}]})
        self.daemon(cache.host)
        self.assert_exit(self.pull(), 0)
        self.assert_stored(self.origin.host, self.model)
        self.assertTrue(cache.travelled(blob), "the cache was asked first")
        self.assertTrue(self.origin.travelled(blob))
        self.assertFalse(any(self.origin.travelled(other) for other in self.model.blobs if other is not blob))

    def test_a_cache_that_breaks_off_keeps_what_it_gave(self):
        model = Model("library/big", "latest", [Blob(seed=5, size=16 * MIB)])
        blob = model.layers[0]
        self.origin.script(models=[model.script()])
        cache = ScriptedRegistry(self.box, {"models": [model.script()],
                                            "faults": [{"path": blob.hex, "reset_after": 600_000, "times": 0}]})
        self.daemon(cache.host)
        self.assert_exit(self.pull(model), 0)
        self.assert_stored(self.origin.host, model)
        came = harness.total_of(self.origin.travelled(blob))
        self.assertTrue(0 < came < 16 * MIB, came)

    def silent(self, **fault):
        return ScriptedRegistry(self.box, {"models": [self.model.script()],
                                           "faults": [{"path": "/blobs/", "times": 0, "stall_s": 600, **fault}]})

    def test_a_cache_that_never_sends_a_blob(self):
        for fault in ({"stall_after": 0}, {"delay_ms": 600_000}):
            with self.subTest(fault=fault):
                cache = self.silent(**fault)
                self.daemon(cache.host)
                self.assert_exit(self.pull(None, "--max-retries", "1"), 0)
                self.assert_stored(self.origin.host, self.model)
                self.assertTrue(cache.log() or self.origin.travelled(self.model.layers[0]))
                self.assert_exit(self.box.pullama("rm", self.origin.name(self.model)), 0)
                self.assert_exit(self.box.pullama("daemon", "stop"), 0)

    def test_a_cache_that_falls_silent_within_a_blob(self):
        blob = self.model.layers[0]
        cache = self.silent(path=blob.hex, stall_after=600_000)
        self.daemon(cache.host)
        self.assert_exit(self.pull(None, "--max-retries", "1"), 0)
        self.assert_stored(self.origin.host, self.model)
        came = harness.total_of(self.origin.travelled(blob))
        self.assertTrue(0 < came < blob.size, "what the cache gave is kept")

    def test_a_cache_that_takes_connections_and_never_answers(self):
        with socket.socket() as silent:
            silent.bind(("127.0.0.1", 0))
            silent.listen(16)
            self.daemon(f"127.0.0.1:{silent.getsockname()[1]}")
            self.assert_exit(self.pull(None, "--max-retries", "1"), 0)
        self.assert_stored(self.origin.host, self.model)

    def test_a_cache_whose_manifest_names_what_nobody_has(self):
        other = small_model(seed=2)
        cache = ScriptedRegistry(self.box, {"models": [other.script()],
                                            "faults": [{"path": "/blobs/", "status": 404, "body": "{}", "times": 0}]})
        self.daemon(cache.host)
        self.assert_exit(self.pull(), 0)
        self.assert_stored(self.origin.host, self.model)
        self.origin.faults({"path": "/manifests/", "status": 404, "body": "{}", "times": 0})
        run = self.pull(None, "--models-dir", str(self.box.root / "other"))
        self.assertNotEqual(run.returncode, 0)
        self.assertIn(f"the manifest is that of the mirror {cache.host}", run.stdout + run.stderr)

    def test_what_is_pushed_goes_to_the_origin(self):
        cache, origin = DockerRegistry(self.box), DockerRegistry(self.box)
        self.origin = origin
        origin.push(self.model)
        self.daemon(cache.host)
        self.assert_exit(self.pull(), 0)
        name = f"{origin.host}/library/other:latest"
        self.assert_exit(self.box.pullama("cp", origin.name(self.model), name), 0)
        self.assert_exit(self.box.pullama("push", "--insecure", name), 0)
        self.assert_exit(self.box.pullama("pull", "--insecure", "--models-dir", str(self.box.root / "again"), name), 0)
        self.assertFalse((cache.root / "docker/registry/v2/repositories/library/other").exists())


if __name__ == "__main__":
    harness.main()
