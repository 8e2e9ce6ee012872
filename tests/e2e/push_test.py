#!/usr/bin/python3
"""Pushes: to Debian's docker-registry, and to the scripted registry with its own ways up."""

import hashlib
import http.client
import json

import harness
from blobs import MIB, Blob, Model, small_model
from registries import DockerRegistry


class PushTestCase(harness.TestCase):
    def install(self, host, model, models=None):
        """The model as a pull from `host` would have left it."""
        models = models or self.box.models
        for folder in (models, models / "blobs"):
            folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        for blob in model.blobs:
            with open(models / "blobs" / f"sha256-{blob.hex}", "wb") as file:
                for piece in blob.pieces():
                    file.write(piece)
        path = self.manifest_path(host, model, models)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(model.manifest)

    def assert_pushed(self, registry, model, *flags):
        """A pull into an empty store gives the same bytes under the same digest."""
        other = self.box.root / f"other-{len(self.box.children)}"
        run = self.box.pullama("pull", registry.name(model), "--models-dir", other, *flags)
        self.assert_exit(run, 0)
        self.assert_stored(registry.host, model, other)


class DockerPushTest(PushTestCase):
    def test_a_model_is_pushed_and_comes_back(self):
        registry = DockerRegistry(self.box)
        model = small_model("ns/model", "v1")
        self.install(registry.host, model)
        run = self.box.pullama("push", "--insecure", registry.name(model))
        self.assert_exit(run, 0)
        self.assertIn("pushed", run.stdout)
        self.assert_pushed(registry, model, "--insecure")
        self.assert_tidy()


if __name__ == "__main__":
    harness.main()
