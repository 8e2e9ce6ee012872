#!/usr/bin/python3
"""Pulls that go well: http, https with a private CA, direct answers, redirects, chunksums; and what then lies on disk."""

import hashlib
import json
import os

import harness
from blobs import Blob, Model, small_model, MIB
from registries import Authority, ScriptedRegistry


class PullTest(harness.TestCase):
    def test_over_http_leaves_exactly_the_model(self):
        model = small_model()
        registry = ScriptedRegistry(self.box, {"models": [model.script()]})
        self.box.daemon()
        run = self.box.pullama("pull", "--insecure", registry.name(model))
        self.assert_exit(run, 0)
        self.assert_stored(registry.host, model)
        stored = self.manifest_path(registry.host, model).read_bytes()
        served = registry.state()["models"]["library/small:latest"]["digest"]
        self.assertEqual("sha256:" + hashlib.sha256(stored).hexdigest(), served)
        for entry in registry.log():
            self.assertFalse(entry["had_authorization"], entry)
            self.assertEqual(entry["accept_encoding"].lower(), "identity", entry)
        for blob in model.blobs:
            sent = registry.travelled(blob)
            self.assertEqual(harness.total_of(sent), blob.size, "each byte once")

    def test_a_second_pull_fetches_no_blob(self):
        model = small_model()
        registry = ScriptedRegistry(self.box, {"models": [model.script()]})
        self.box.daemon()
        self.assert_exit(self.box.pullama("pull", "--insecure", registry.name(model)), 0)
        before = len(registry.log())
        run = self.box.pullama("pull", "--insecure", "--output", "json", registry.name(model))
        self.assert_exit(run, 0)
        self.assertEqual([e["path"] for e in registry.log()[before:]], ["/v2/library/small/manifests/latest"])
        done = [json.loads(line) for line in run.stdout.splitlines()][-1]
        self.assertEqual(done["event"], "pull_completed")
        self.assert_stored(registry.host, model)

    def test_the_short_form_without_pull_and_flags_behind_the_model(self):
        model = small_model()
        registry = ScriptedRegistry(self.box, {"models": [model.script()]})
        self.assert_exit(self.box.pullama(registry.name(model), "--insecure", "--quiet"), 0)
        self.assert_stored(registry.host, model)

    def test_into_another_models_dir(self):
        model = small_model()
        registry = ScriptedRegistry(self.box, {"models": [model.script()]})
        self.box.daemon()
        other = self.box.root / "other"
        self.assert_exit(self.box.pullama("pull", "--insecure", f"--models-dir={other}", registry.name(model)), 0)
        self.assert_stored(registry.host, model, models=other)
        self.assertFalse((self.box.models / "manifests").exists() and os.listdir(self.box.models / "manifests"))

    def test_whatever_the_umask_the_modes_are_ollamas(self):
        model = small_model()
        registry = ScriptedRegistry(self.box, {"models": [model.script()]})
        old = os.umask(0o077)
        try:
            self.assert_exit(self.box.pullama("pull", "--insecure", registry.name(model)), 0)
        finally:
            os.umask(old)
        self.assert_stored(registry.host, model)

    def test_redirects_to_a_host_that_refuses_authorization(self):
        # A token is needed at the registry, and must not reach the CDN, which answers 400 to it.
        for mode in ("redirect", "relative", "chain"):
            with self.subTest(mode):
                model = small_model(f"library/{mode}", seed=len(mode))
                registry = ScriptedRegistry(self.box, {"models": [model.script()], "auth": {"mode": "bearer"},
                                                       # A relative one stays on the host that the token is for.
                                                       "cdn": {"mode": mode, "hops": 3,
                                                               "refuse_authorization": mode != "relative"}})
                self.assert_exit(self.box.pullama("pull", "--insecure", registry.name(model)), 0)
                self.assert_stored(registry.host, model)
                for entry in registry.log():
                    if entry["port"] == "cdn":
                        self.assertEqual((entry["had_authorization"], entry["status"] in (200, 206, 302)),
                                         (False, True), entry)

    def test_chunksums_are_used_and_their_bytes_travel_once(self):
        model = Model("library/chunked", "latest", [Blob(seed=5, size=65 * MIB + 5)])
        registry = ScriptedRegistry(self.box, {"models": [model.script(chunksums=8 * MIB)], "cdn": {"mode": "redirect"}})
        self.assert_exit(self.box.pullama("pull", "--insecure", registry.name(model)), 0)
        self.assert_stored(registry.host, model)
        self.assertTrue([e for e in registry.log() if "/chunksums/" in e["path"] and e["status"] == 200])
        self.assertEqual(harness.total_of(registry.travelled(model.layers[0])), model.layers[0].size)

    def test_an_empty_blob_and_one_digest_twice(self):
        empty, twice = Blob(text=""), Blob(seed=7, size=100_000)
        model = Model("library/odd", "v1.0", [empty, twice, Blob(seed=7, size=100_000)])
        registry = ScriptedRegistry(self.box, {"models": [model.script()]})
        run = self.box.pullama("pull", "--insecure", "--output", "json", registry.name(model))
        self.assert_exit(run, 0)
        self.assert_stored(registry.host, model)
        events = [json.loads(line) for line in run.stdout.splitlines()]
        fetched = next(e for e in events if e["event"] == "manifest_fetched")
        self.assertEqual((fetched["BlobCount"], fetched["TotalSize"]), (3, model.total))

    def test_several_models_in_one_command(self):
        models = [small_model(f"library/m{i}", seed=i) for i in (1, 2, 3)]
        registry = ScriptedRegistry(self.box, {"models": [m.script() for m in models]})
        self.assert_exit(self.box.pullama("pull", "--insecure", *map(registry.name, models)), 0)
        for model in models:
            self.assert_stored(registry.host, model)

    def test_the_case_of_a_name_is_kept_and_an_existing_one_is_found(self):
        model = small_model("library/small")
        mixed = Model("Library/Small", "latest", model.layers, model.config)
        registry = ScriptedRegistry(self.box, {"models": [mixed.script(), model.script()]})
        self.assert_exit(self.box.pullama("pull", "--insecure", registry.name(mixed)), 0)
        self.assertEqual(self.manifest_path(registry.host, mixed).read_bytes(), mixed.manifest)
        self.assert_exit(self.box.pullama("pull", "--insecure", registry.name(model)), 0)
        found = [os.path.relpath(os.path.join(f, n), self.box.models / "manifests")
                 for f, _, names in os.walk(self.box.models / "manifests") for n in names]
        self.assertEqual(found, [f"{registry.host}/Library/Small/latest"])


class TlsTest(harness.TestCase):
    def setUp(self):
        super().setUp()
        self.authority = Authority(self.box)
        self.model = small_model()
        self.script = {"models": [self.model.script()]}

    def serve(self, tls, **more):
        return ScriptedRegistry(self.box, {**self.script, **more}, tls=tls)

    def test_a_private_ca_by_flag(self):
        registry = self.serve(self.authority.certificate())
        run = self.box.pullama("pull", "--ca-file", self.authority.ca, registry.name(self.model))
        self.assert_exit(run, 0)
        self.assert_stored(registry.host, self.model)

    def test_a_private_ca_by_a_relative_path(self):
        # The client stands elsewhere than the daemon.
        registry = self.serve(self.authority.certificate())
        self.box.daemon()
        relative = os.path.relpath(self.authority.ca, self.box.root)
        self.assert_exit(self.box.pullama("pull", "--ca-file", relative, registry.name(self.model)), 0)

    def test_a_private_ca_by_environment(self):
        registry = self.serve(self.authority.certificate())
        self.box.daemon(env={"SSL_CERT_FILE": str(self.authority.ca)})
        self.assert_exit(self.box.pullama("pull", registry.name(self.model)), 0)
        self.assert_stored(registry.host, self.model)

    def test_a_redirect_to_a_second_tls_host(self):
        registry = ScriptedRegistry(self.box, {**self.script, "cdn": {"mode": "redirect", "host": "localhost"}},
                                    tls=self.authority.certificate(), cdn_tls=self.authority.certificate("cdn"))
        self.assert_exit(self.box.pullama("pull", "--ca-file", self.authority.ca, registry.name(self.model)), 0)
        self.assert_stored(registry.host, self.model)

    def test_bad_certificates_are_refused_and_named(self):
        stranger = Authority(self.box, "stranger")
        cases = {
            "nobody's": (stranger.certificate(), []),
            "another host's": (self.authority.certificate("other", alt="DNS:example.org"),
                               ["--ca-file", self.authority.ca]),
            "expired": (self.authority.certificate("old", days="-1"), ["--ca-file", self.authority.ca]),
        }
        self.box.daemon()
        for name, (tls, flags) in cases.items():
            with self.subTest(name):
                registry = self.serve(tls)
                run = self.box.pullama("pull", "--max-retries", "1", *flags, registry.name(self.model))
                self.assert_error(run, 1, "certificate", registry.host)
                self.assertEqual(registry.log(), [])
        self.assert_nothing_stored()

    def test_from_https_never_down_to_http(self):
        registry = self.serve(self.authority.certificate(), cdn={"mode": "redirect"})
        run = self.box.pullama("pull", "--max-retries", "1", "--ca-file", self.authority.ca, registry.name(self.model))
        self.assert_error(run, 1, "http")
        self.assertFalse([e for e in registry.log() if e["port"] == "cdn"])
        self.assertFalse(self.manifest_path(registry.host, self.model).exists())

    def test_http_needs_insecure(self):
        registry = ScriptedRegistry(self.box, self.script)
        run = self.box.pullama("pull", "--max-retries", "1", registry.name(self.model))
        self.assert_error(run, 1, "--insecure")
        self.assertEqual(registry.log(), [])
        self.assert_nothing_stored()

    def test_a_ca_file_that_is_not_one(self):
        registry = self.serve(self.authority.certificate())
        empty = self.box.root / "no-ca.pem"
        empty.write_text("nothing\n")
        for path in (empty, self.box.root / "missing.pem"):
            with self.subTest(path.name):
                run = self.box.pullama("pull", "--max-retries", "1", "--ca-file", path, registry.name(self.model))
                self.assert_error(run, 1, path.name)


if __name__ == "__main__":
    harness.main()
