#!/usr/bin/python3
"""Lines that break and registries that lie: what is temporary is survived with next to nothing lost, what is not ends
with one clear line and nothing half-done on disk."""

import json
import os
import unittest

import harness
from blobs import MIB, Blob, Model, small_model
from registries import ScriptedRegistry

SIZE = 8 * MIB


class FaultsTest(harness.TestCase):
    """The daemon runs on; each case is a model of its own."""

    def setUp(self):
        super().setUp()
        self.registry = ScriptedRegistry(self.box, {})
        self.box.daemon()
        self.number = 0

    def pull(self, *faults, cdn=None, flags=(), layer=None, manifest=None, auth=None):
        """A new model of one blob, pulled with these faults; the run, the model and when it began."""
        self.number += 1
        self.model = Model(f"library/m{self.number}", "latest", [layer or Blob(seed=700 + self.number, size=SIZE)])
        self.blob = self.model.layers[0]
        script = self.model.script()
        if manifest is not None:
            script["manifest"] = manifest
        before = len(self.registry.log())
        self.registry.script(models=[script], cdn={"mode": "redirect", **(cdn or {})}, faults=list(faults),
                             auth=auth or {})
        run = self.box.pullama("pull", "--insecure", *flags, self.registry.name(self.model))
        self.log = self.registry.log()[before:]
        return run

    def assert_fine(self, run):
        self.assert_exit(run, 0)
        self.assert_stored(self.registry.host, self.model)

    def assert_names_a_blob(self, run):
        self.assertTrue([b for b in self.model.blobs if b.hex[:12] in run.stderr.splitlines()[-1]], run.stderr)

    def sent(self):
        return harness.total_of(self.registry.travelled(self.blob))

    def test_a_reset_every_megabyte_costs_next_to_nothing(self):
        run = self.pull({"port": "cdn", "reset_after": MIB, "times": 0}, flags=["--max-retries", "2"])
        self.assert_fine(run)
        # A reset connection loses at most what its socket still held.
        self.assertLessEqual(self.sent(), SIZE * 1.05)

    def test_short_bodies_are_continued(self):
        run = self.pull({"port": "cdn", "close_after": MIB // 2, "times": 5})
        self.assert_fine(run)
        self.assertEqual(self.sent(), SIZE)

    def test_server_errors_and_rate_limits_pass(self):
        for status in (500, 502, 503, 429, 408):
            with self.subTest(status=status):
                self.assert_fine(self.pull({"port": "cdn", "status": status, "headers": {"Retry-After": "0"}, "times": 2}))

    def test_retry_after_is_obeyed(self):
        blob = Blob(seed=600, size=SIZE)
        run = self.pull({"port": "cdn", "path": blob.hex, "status": 429, "headers": {"Retry-After": "3"}},
                        layer=blob, flags=["--connections", "1"])
        self.assert_fine(run)
        times = [e["time"] for e in self.log if e["port"] == "cdn" and self.blob.hex in e["path"]]
        self.assertGreaterEqual(times[1] - times[0], 2.9)

    def test_server_errors_on_the_manifest_pass_too(self):
        self.assert_fine(self.pull({"path": "/manifests/", "status": 503, "headers": {"Retry-After": "0"}, "times": 2}))

    def test_expired_links_are_renewed(self):
        for status, body in ((403, "<Error><Code>AccessDenied</Code></Error>"), (401, ""), (404, ""), (410, ""),
                             (400, '<?xml version="1.0"?><Error><Code>ExpiredToken</Code></Error>')):
            with self.subTest(status=status):
                self.assert_fine(self.pull({"port": "cdn", "status": status, "body": body, "times": 2}))

    def test_links_that_live_a_second(self):
        run = self.pull({"port": "cdn", "close_after": MIB, "times": 0, "rate": 2 * MIB}, cdn={"expires_s": 1.0})
        self.assert_fine(run)

    def test_links_refused_for_ever_fail_with_digest_and_host(self):
        run = self.pull({"port": "cdn", "status": 403, "times": 0}, flags=["--max-retries", "1"])
        self.assert_error(run, 1, "127.0.0.1")
        self.assert_names_a_blob(run)
        self.assertLess(len(self.log), 150)

    def test_a_blob_that_is_missing_fails_with_its_digest(self):
        run = self.pull({"port": "registry", "path": "/blobs/", "status": 404, "times": 0})
        self.assert_error(run, 1)
        self.assert_names_a_blob(run)
        self.assertFalse(self.manifest_path(self.registry.host, self.model).exists())

    def test_200_where_206_was_asked(self):
        self.assert_fine(self.pull({"port": "cdn", "ignore_range": True, "times": 0}))

    def test_200_after_an_interruption_skips_what_is_there(self):
        self.assert_fine(self.pull({"port": "cdn", "close_after": 3 * MIB, "times": 1},
                                   {"port": "cdn", "ignore_range": True, "times": 0}))

    def test_a_body_without_length_or_in_chunks(self):
        self.assert_fine(self.pull({"port": "cdn", "no_length": True, "times": 0}))
        self.assert_fine(self.pull({"port": "cdn", "chunked": True, "times": 0}))

    def test_a_body_longer_than_asked_is_read_no_further(self):
        self.assert_fine(self.pull({"port": "cdn", "extra_bytes": 1000, "times": 1}))
        self.assertEqual(self.box.blob_path(self.blob).stat().st_size, SIZE)

    def test_wrong_content_ranges_are_not_believed(self):
        for value in ("bytes 5-100/8388608", f"bytes 0-{SIZE - 1}/99", "bytes 0-", "nonsense", "", "bytes */*"):
            with self.subTest(value=value):
                run = self.pull({"port": "cdn", "headers": {"Content-Range": value}, "times": 1})
                self.assert_fine(run)

    def test_other_bytes_than_the_range_says_are_found_by_the_digest(self):
        run = self.pull({"port": "cdn", "shift": -MIB, "range_from": 4 * MIB, "times": 0},
                        {"port": "cdn", "close_after": 4 * MIB, "times": 1})
        self.assertIn(run.returncode, (0, 1))
        if run.returncode == 0:
            self.assert_stored(self.registry.host, self.model)
        else:
            self.assertFalse(self.manifest_path(self.registry.host, self.model).exists())

    def test_a_flipped_bit_is_fetched_again(self):
        self.assert_fine(self.pull({"port": "cdn", "flip": [SIZE // 2], "times": 1}))

    def test_wrong_bytes_for_ever_fail_as_corrupt_and_leave_nothing(self):
        run = self.pull({"port": "cdn", "flip": [12345], "times": 0}, flags=["--output", "json"])
        self.assert_exit(run, 1)
        self.assertEqual(json.loads(run.stdout.splitlines()[-1])["Kind"], "corrupt")
        self.assertLessEqual(self.sent(), 3 * SIZE, "two whole downloads more, then it fails")
        self.assertFalse(self.manifest_path(self.registry.host, self.model).exists())
        for folder in ("blobs", ".pullm", ".pullm/keep"):
            left = [n for n in os.listdir(self.box.models / folder) if self.blob.hex in n and not n.endswith(".lock")]
            self.assertEqual(left, [], folder)

    def test_a_page_where_the_blob_should_be(self):
        self.assert_fine(self.pull({"port": "cdn", "status": 200, "body": "<html>log in</html>", "times": 1,
                                    "headers": {"Content-Type": "text/html"}}))

    def test_compressed_answers_are_refused(self):
        run = self.pull({"port": "cdn", "headers": {"Content-Encoding": "gzip"}, "times": 1})
        self.assert_fine(run)

    def test_redirects_that_must_not_be_followed(self):
        cases = {
            "a loop": {"status": 307, "headers": {"Location": "/v2/library/m/blobs/loop"}},
            "no location": {"status": 307},
            "another scheme": {"status": 307, "headers": {"Location": "ftp://127.0.0.1/x"}},
            "a password in it": {"status": 307, "headers": {"Location": "http://u:p@127.0.0.1:1/x"}},
            "a line break in it": {"status": 307, "headers": {"Location": "http://127.0.0.1:1/\rX: y"}},
            "100 kB of it": {"status": 307, "headers": {"Location": "http://127.0.0.1:1/" + "a" * 100_000}},
        }
        for name, fault in cases.items():
            with self.subTest(name):
                run = self.pull({"path": "/blobs/", "times": 0, **fault}, flags=["--max-retries", "1"])
                self.assert_exit(run, 1)
                self.assertLess(len(self.log), 60)
                self.assertFalse(self.manifest_path(self.registry.host, self.model).exists())

    def test_header_bombs_end_with_an_error(self):
        run = self.pull({"path": "/manifests/", "header_bomb": 10 * MIB, "times": 0}, flags=["--max-retries", "1"])
        self.assert_exit(run, 1)

    def test_manifests_that_are_none(self):
        good = {"mediaType": "application/vnd.ollama.image.model", "digest": "sha256:" + "a" * 64, "size": 5}

        def with_layer(**changes):
            return json.dumps({"schemaVersion": 2, "layers": [{**good, **changes}]})

        cases = {
            "html": "<html></html>",
            "not closed": "{",
            "an array": "[]",
            "nothing in it": '{"schemaVersion":2,"layers":[]}',
            "an index": '{"schemaVersion":2,"manifests":[],"layers":[' + json.dumps(good) + "]}",
            "schema 1": '{"schemaVersion":1,"layers":[' + json.dumps(good) + "]}",
            "errors with 200": '{"errors":[{"code":"X","message":"no"}]}',
            "a path as digest": with_layer(digest="sha256:../../../../etc/passwd"),
            "63 hex": with_layer(digest="sha256:" + "a" * 63),
            "upper case": with_layer(digest="sha256:" + "A" * 64),
            "sha512": with_layer(digest="sha512:" + "a" * 128),
            "negative": with_layer(size=-1),
            "a fraction": with_layer(size=1.5),
            "text": with_layer(size="5"),
            "null": with_layer(size=None),
            "2^63": with_layer(size=2 ** 63),
            "two sizes": json.dumps({"schemaVersion": 2, "layers": [good, {**good, "size": 6}]}),
            "an overflow": json.dumps({"schemaVersion": 2, "layers": [
                {**good, "digest": f"sha256:{i:064x}", "size": 2 ** 53 - 1} for i in range(4000)]}),
            "nested": '{"schemaVersion":2,"layers":' + "[" * 5000 + "]" * 5000 + "}",
            "too many layers": json.dumps({"schemaVersion": 2, "layers": [good] * 9000}),
        }
        for name, text in cases.items():
            with self.subTest(name):
                run = self.pull(manifest=text, flags=["--max-retries", "1"])
                self.assert_exit(run, 1)
                self.assertEqual(len(run.stderr.strip().splitlines()), 1, run.stderr)
                self.assertFalse([e for e in self.log if "/blobs/" in e["path"]])
        self.assert_nothing_stored()

    def test_a_manifest_that_is_not_what_its_digest_says(self):
        run = self.pull({"path": "/manifests/", "headers": {"Docker-Content-Digest": "sha256:" + "b" * 64}, "times": 0},
                        flags=["--max-retries", "1"])
        self.assert_exit(run, 1)
        self.assert_nothing_stored()

    def test_an_endless_manifest(self):
        run = self.pull({"path": "/manifests/", "endless_body": 1 << 30, "times": 0}, flags=["--max-retries", "1"])
        self.assert_exit(run, 1)
        self.assertLess(self.log[0]["sent"], 64 * MIB)

    def test_words_of_the_registry_are_shown_without_their_escapes(self):
        run = self.pull({"path": "/manifests/", "status": 412, "times": 0,
                         "body": "requires a newer version of Ollama\x1b[31m\x07"})
        self.assert_error(run, 1, "requires a newer version of ollama")
        self.assertNotIn("\x07", run.stderr)
        agents = [e["user_agent"] for e in self.log if "/manifests/" in e["path"]]
        self.assertEqual(len(agents), 2, "once more under a name that says Ollama")
        self.assertIn("ollama/", agents[1])

    def test_urls_in_layers_are_ignored(self):
        model = small_model("library/urls", seed=61)
        manifest = json.loads(model.manifest)
        manifest["layers"][0]["urls"] = [f"http://127.0.0.1:{self.registry.cdn_port}/elsewhere"]
        self.registry.script(models=[{**model.script(), "manifest": json.dumps(manifest)}], cdn={"mode": "direct"})
        self.assert_exit(self.box.pullama("pull", "--insecure", self.registry.name(model)), 0)
        self.assertFalse([e for e in self.registry.log() if "elsewhere" in e["path"]])

    @unittest.skipUnless(harness.LONG, "30 s of silence; tests/run.sh --long")
    def test_silence_is_broken_off(self):
        self.assert_fine(self.pull({"port": "cdn", "stall_after": MIB, "stall_s": 600, "times": 1}))
        self.assertLessEqual(self.sent(), SIZE * 1.02)


class BadChunksumsTest(harness.TestCase):
    def pull(self, text, *faults, **extras):
        model = Model("library/chunky", "latest", [Blob(seed=31, size=65 * MIB)])
        extras = extras or {"chunksums_text": text}
        registry = ScriptedRegistry(self.box, {"models": [model.script(**extras)], "faults": list(faults),
                                               "cdn": {"mode": "redirect"}})
        self.assert_exit(self.box.pullama("pull", "--insecure", registry.name(model)), 0)
        self.assert_stored(registry.host, model)
        return registry, model.layers[0]

    def test_rubbish_is_ignored(self):
        registry, blob = self.pull("sha256:zz 0-5\nnonsense\n")
        self.assertEqual(harness.total_of(registry.travelled(blob)), blob.size)

    def test_only_the_damaged_chunk_travels_again(self):
        registry, blob = self.pull(None, {"port": "cdn", "path": "/data", "flip": [20 * MIB + 7], "times": 1},
                                   chunksums=4 * MIB)
        extra = harness.total_of(registry.travelled(blob)) - blob.size
        self.assertGreaterEqual(extra, 0)
        self.assertLessEqual(extra, 8 * MIB)


if __name__ == "__main__":
    harness.main()
