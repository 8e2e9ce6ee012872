#!/usr/bin/python3
"""Everything that a run writes anywhere, searched for every secret that was handed out in it."""

import base64
import json
import os
import pathlib

import harness
from blobs import small_model
from keys import Key
from registries import ScriptedRegistry
from wire import Wire

PASSWORD = "s3cret-of-mia"


class SecretsTest(harness.TestCase):
    def setUp(self):
        super().setUp()
        self.model = small_model()
        self.outputs = []

    def pull(self, registry, *flags, code=None, modes=("debug", "json")):
        for mode in modes:
            run = self.box.pullama("pull", "--insecure", "--verbose", "--max-retries", "1", "--output", mode, *flags,
                                   registry.name(self.model))
            self.outputs += [run.stdout, run.stderr]
            if code is not None:
                self.assert_exit(run, code)

    def written(self):
        """Log, state, history, process lists, events since the start, history as it is shown."""
        found = [*self.outputs, self.box.daemon_log()]
        for folder, _, names in os.walk(self.box.models / ".pullm"):
            found += [pathlib.Path(folder, n).read_bytes().decode(errors="replace") for n in names]
        found += [self.box.name_of(pid) for pid in self.box.processes()]
        with Wire(self.box.socket) as wire:
            wire.call("events.subscribe", since=0, epoch=wire.call("daemon.info")["epoch"], trace=True)
            found.append(json.dumps([wire.call("job.list"), wire.call("history.list"), wire.events]))
        found.append(self.box.pullama("history").stdout)
        return "\n".join(found)

    def assert_hidden(self, *secrets):
        text = self.written()
        self.assertGreater(len(text), 2000)
        for secret in secrets:
            self.assertNotIn(secret, text)

    def test_tokens_and_signed_urls_of_a_pull_that_goes_wrong_in_many_ways(self):
        self.box.daemon("--log-level", "trace")
        key = Key()
        key.install(self.box.home)
        registry = ScriptedRegistry(self.box, {
            "models": [self.model.script()], "cdn": {"mode": "redirect"},
            "auth": {"mode": "bearer", "token_requires": "signature", "public_key": key.public}})
        for fault in ({"port": "cdn", "status": 403, "body": "<Error><Code>AccessDenied</Code></Error>"},
                      {"port": "cdn", "status": 500, "body": "boom"},
                      {"port": "cdn", "close_after": 0},
                      {"port": "cdn", "reset_before": True},
                      {"port": "cdn", "status": 200, "body": "<html>", "headers": {"Content-Type": "text/html"}},
                      {"port": "cdn", "status": 307, "headers": {"Location": "ftp://h/?X-Amz-Signature=gone"}},
                      {"path": "/blobs/", "status": 307, "headers": {"Location": "http://mia:hidden@127.0.0.1:1/?sig=gone"}},
                      {"path": "/manifests/", "skip": 1, "status": 500, "body": "no"}):
            registry.faults({"times": 0, **fault})
            self.pull(registry)
        registry.faults()
        self.pull(registry, code=0)
        tokens = registry.state()["tokens"]
        self.assertGreater(len(tokens), 0)
        self.assert_hidden(*tokens, "X-Amz-Signature", "X-Amz-Credential", "sig=gone", "mia:hidden",
                           base64.b64encode(key.seed).decode(), key.openssh().splitlines()[2])

    def test_a_registry_that_repeats_our_secrets_in_its_errors(self):
        self.box.daemon("--log-level", "trace")
        basic = base64.b64encode(f"mia:{PASSWORD}".encode()).decode()
        registry = ScriptedRegistry(self.box, {"models": [self.model.script()],
                                               "auth": {"mode": "basic", "user": "mia", "password": PASSWORD}})
        (self.box.home / ".docker").mkdir()
        (self.box.home / ".docker/config.json").write_text(json.dumps({"auths": {registry.host: {"auth": basic}}}))
        for status in (400, 403, 404, 412, 500):
            for mode in ("table", "debug", "json"):
                registry.faults({"path": "/manifests/", "skip": 1, "status": status, "times": 0, "body": json.dumps(
                    {"errors": [{"code": "X", "message": f"you sent Authorization: Basic {basic} ({PASSWORD})"}]})})
                self.pull(registry, modes=[mode])
                self.assertIn("you sent Authorization", self.outputs[-1] + self.outputs[-2])
        registry.faults()
        self.pull(registry, code=0)
        self.assert_hidden(basic, PASSWORD)

    def test_state_is_for_its_owner_only(self):
        registry = ScriptedRegistry(self.box, {"models": [self.model.script()]})
        old = os.umask(0)
        try:
            daemon = self.box.daemon()
        finally:
            os.umask(old)
        process = pathlib.Path(f"/proc/{daemon.pid}")
        self.assertIn("\nUmask:\t0077\n", (process / "status").read_text(), "for what libraries make")
        self.assertRegex((process / "limits").read_text(), r"\nMax core file size +0 +0 ", "keys are in memory")
        self.pull(registry, code=0)
        for name in ("queue.json", "history.db"):
            self.assertEqual((self.box.models / ".pullm" / name).stat().st_mode & 0o077, 0, name)


if __name__ == "__main__":
    harness.main()
