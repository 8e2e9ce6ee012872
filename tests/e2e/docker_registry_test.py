#!/usr/bin/python3
"""The real thing: Debian's docker-registry, filled with plain HTTP requests, then pulled from in every way that it knows
to protect itself, and behind nginx, whose access log nobody here has written."""

import base64
import json
import os
import time

import harness
from blobs import MIB, Blob, Model, small_model
from registries import Authority, DockerRegistry, Nginx, TokenService


class DockerRegistryTest(harness.TestCase):
    def pull_and_check(self, registry, model, *flags, env=None):
        digest = registry.push(model)
        self.assertEqual(digest, model.digest)
        self.assert_exit(self.box.pullama("pull", *flags, registry.name(model), env=env), 0)
        self.assert_stored(registry.host, model)

    def docker_config(self, host, user, password, folder=None):
        folder = folder or self.box.home / ".docker"
        folder.mkdir(parents=True)
        auth = base64.b64encode(f"{user}:{password}".encode()).decode()
        (folder / "config.json").write_text(json.dumps({"auths": {host: {"auth": auth}}}))

    def test_http(self):
        self.pull_and_check(DockerRegistry(self.box), small_model("ns/model", "v1"), "--insecure")

    def test_https_with_a_private_ca(self):
        authority = Authority(self.box)
        registry = DockerRegistry(self.box, tls=authority.certificate())
        self.pull_and_check(registry, small_model(), "--ca-file", authority.ca)

    def test_htpasswd_with_the_docker_config(self):
        registry = DockerRegistry(self.box, htpasswd=("somebody", "s3cret:word"))
        self.docker_config(registry.host, "somebody", "s3cret:word")
        self.pull_and_check(registry, small_model(), "--insecure")

    def test_htpasswd_without_or_with_a_wrong_password(self):
        registry = DockerRegistry(self.box, htpasswd=("somebody", "s3cret"))
        model = small_model()
        registry.push(model)
        self.assert_error(self.box.pullama("pull", "--insecure", registry.name(model)), 3, registry.host)
        self.docker_config(registry.host, "somebody", "wrong")
        self.assert_error(self.box.pullama("pull", "--insecure", registry.name(model)), 3)
        self.assert_nothing_stored()

    def test_a_token_service(self):
        service = TokenService(self.box)
        self.addCleanup(service.close)
        registry = DockerRegistry(self.box, token=service)
        # The realm is on another port: an anonymous token is asked for, and nothing of ours is shown there.
        self.pull_and_check(registry, small_model("team/model"), "--insecure")
        self.assertTrue(service.asked)
        for asked in service.asked:
            self.assertIsNone(asked["authorization"])

    def test_no_such_model(self):
        registry = DockerRegistry(self.box)
        run = self.box.pullama("pull", "--insecure", f"{registry.host}/library/nobody:latest")
        self.assert_error(run, 4, "nobody")
        self.assert_nothing_stored()

    def test_kill_behind_nginx_and_its_log_shows_that_nothing_travelled_twice(self):
        size = (512 if harness.LONG else 48) * MIB
        registry = DockerRegistry(self.box)
        model = Model("library/big", "latest", [Blob(seed=99, size=size)])
        registry.push(model)
        # The limit is a request's, its first second is free, and there may be sixteen at once.
        front = Nginx(self.box, registry.host, rate="1m" if harness.LONG else "512k")
        daemon = self.box.daemon()
        client = self.box.start_pullama("pull", "--insecure", "--no-autostart", front.name(model))
        blob = model.layers[0]
        saved = harness.wait_until(
            lambda: (c := self.box.checkpoint(blob)) and harness.total_of(harness.covered(c)) > size // 4 and c,
            "a checkpoint of a quarter")
        self.box.kill(daemon)
        self.assertTrue(saved)
        client.communicate(timeout=harness.PATIENCE)
        self.assertEqual(client.returncode, 1)
        ranges = harness.covered(self.box.checkpoint(blob))
        again = time.time()
        self.assert_exit(self.box.pullama("pull", "--insecure", front.name(model)), 0)
        self.assert_stored(front.host, model)
        second = harness.wait_until(lambda: front.travelled(blob, since=again), "nginx has logged")
        self.assertEqual(harness.overlap(ranges, second), 0, (ranges, second))


if __name__ == "__main__":
    harness.main()
