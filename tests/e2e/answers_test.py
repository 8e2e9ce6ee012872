#!/usr/bin/python3
"""What a registry answers and what is made of it: who is asked again, how often, under which name, and what the user is
told. The rows of the fault table that faults_test.py, which is about bytes, leaves over."""

import json
import re

import harness
from blobs import MIB, Blob, Model, small_model
from registries import ScriptedRegistry


class AnswersCase(harness.TestCase):
    def setUp(self):
        super().setUp()
        self.model = small_model()

    def serve(self, *faults, model=None, cdn=None, **more):
        self.model = model or self.model
        self.registry = ScriptedRegistry(self.box, {"models": [self.model.script()], "faults": list(faults),
                                                    "cdn": {"mode": "redirect", **(cdn or {})}, **more})
        return self.registry

    def pull(self, *flags, name=None):
        return self.box.pullama("pull", "--insecure", *flags, name or self.registry.name(self.model))

    def refusal(self, path, words):
        """401 whatever token comes."""
        scope = f"repository:{self.model.repository}:pull"
        challenge = f'Bearer realm="http://{self.registry.host}/token",service="scripted",scope="{scope}"'
        return {"path": path, "status": 401, "times": 0, "body": json.dumps({"errors": [{"message": words}]}),
                "headers": {"WWW-Authenticate": challenge}}

    def big(self, mib=16):
        self.model = Model("library/big", "latest", [Blob(seed=55, size=mib * MIB)])
        return self.model

    def assert_fine(self, run):
        self.assert_exit(run, 0)
        self.assert_stored(self.registry.host, self.model)

    def asked(self, part, port=None):
        return [e for e in self.registry.log() if part in e["path"] and port in (None, e["port"])]


class ManifestTest(AnswersCase):
    def test_412_is_asked_once_more_under_a_name_that_says_ollama(self):
        self.serve({"path": "/manifests/", "status": 412, "times": 1, "body": "requires a newer version of Ollama"})
        self.assert_fine(self.pull())
        agents = [e["user_agent"] for e in self.asked("/manifests/")]
        self.assertEqual(len(agents), 2)
        self.assertTrue(agents[0].startswith("pullama/"), agents)
        self.assertRegex(agents[1], r"^ollama/0\.32\.0 \([a-z0-9_]+ [a-z]+\) " + re.escape(agents[0].split()[0]) + "$")

    def test_412_twice_shows_the_registrys_words_and_stops(self):
        self.serve({"path": "/manifests/", "status": 412, "times": 0, "body": "this model needs Ollama 9.9"})
        self.assert_error(self.pull(), 1, "this model needs Ollama 9.9")
        self.assertEqual(len(self.asked("/manifests/")), 2)
        self.assert_nothing_stored()

    def test_a_model_that_is_not_there(self):
        self.serve()
        run = self.pull(name=f"{self.registry.host}/library/nothing:v9")
        self.assert_error(run, 4, "library/nothing:v9", "not found", self.registry.host)
        self.assertEqual(len(self.registry.log()), 1)
        self.assert_nothing_stored()

    def test_denied_in_the_registrys_words(self):
        self.serve({"path": "/manifests/", "status": 403, "times": 0,
                    "body": '{"errors":[{"code":"DENIED","message":"members only"}]}'})
        self.assert_error(self.pull(), 3, "members only")
        self.assertEqual(len(self.registry.log()), 1)
        self.assert_nothing_stored()

    def test_401_again_with_a_fresh_token_is_denied(self):
        self.serve(auth={"mode": "bearer"})
        self.registry.faults(self.refusal("/manifests/", "go away"))
        self.assert_error(self.pull(), 3, "go away")
        self.assertEqual(len(self.asked("/manifests/")), 2)
        self.assertEqual(len(self.asked("/token")), 1)

    def test_400_is_final_with_its_words(self):
        self.serve({"path": "/manifests/", "status": 400, "times": 0,
                    "body": '{"error":"The specified tag is not a valid quantization scheme."}'})
        self.assert_error(self.pull(), 1, "not a valid quantization scheme")
        self.assertEqual(len(self.registry.log()), 1)

    def test_what_may_pass_is_tried_as_often_as_was_asked(self):
        for status in (408, 429, 500, 502, 503, 504):
            with self.subTest(status):
                self.serve({"path": "/manifests/", "status": status, "times": 0, "headers": {"Retry-After": "0"},
                            "body": "come back later"})
                self.assert_error(self.pull("--max-retries", "2"), 1, str(status), "come back later", "3 tries")
                # The log has a request once the answer is through, the client may be faster.
                harness.wait_until(lambda: self.registry.state()["open"] == 0, "the registry is done")
                self.assertEqual(len(self.registry.log()), 3)


class TokenTest(AnswersCase):
    def test_one_refresh_serves_all_connections(self):
        self.serve(model=self.big(), cdn={"mode": "direct"}, auth={"mode": "bearer"}, rate={"total": 6 * MIB})
        self.box.daemon()
        client = self.box.start_pullama("pull", "--insecure", "--connections", "8", self.registry.name(self.model))
        harness.wait_until(lambda: self.box.checkpoint(self.model.layers[0]), "a checkpoint")
        before = len(self.asked("/token"))
        self.registry.do("revoke")
        self.registry.do("reset")  # whoever receives keeps what he has, and must ask again
        out, err = client.communicate(timeout=harness.PATIENCE)
        self.assertEqual(client.returncode, 0, out + err)
        self.assert_stored(self.registry.host, self.model)
        refused = [e for e in self.asked("/blobs/") if e["status"] == 401]
        self.assertGreaterEqual(len(refused), 1)
        self.assertEqual(len(self.asked("/token")) - before, 1)

    def test_a_token_that_never_works_for_blobs_ends_as_denied(self):
        self.serve(auth={"mode": "bearer"}, cdn={"mode": "direct"})
        self.registry.faults(self.refusal("/blobs/", "not these"))
        self.assert_error(self.pull(), 3, "not these")
        self.assertLess(len(self.registry.log()), 60)


class BlobTest(AnswersCase):
    def test_a_blob_that_the_registry_lacks_is_named_with_its_host_and_not_tried_again(self):
        self.serve({"path": "/blobs/", "status": 404, "times": 0})
        run = self.pull("--quiet")
        self.assert_error(run, 1, self.registry.host)
        self.assertTrue(any(blob.digest in run.stderr for blob in self.model.blobs), run.stderr)
        for blob in self.model.blobs:
            # A blob of some MiB is asked for over several connections at once.
            most = -(-blob.size // MIB)
            self.assertLessEqual(len(self.asked(blob.hex)), most, "404 at the registry itself is final")

    def test_a_signed_url_that_expires_while_it_is_used(self):
        self.serve({"port": "cdn", "close_after": MIB, "times": 0}, model=self.big(), cdn={"expires_s": 1.5},
                   rate={"total": 4 * MIB})
        self.assert_fine(self.pull())
        self.assertGreater(len(self.asked("/blobs/", "registry")), len(self.model.blobs), "resolved again")

    def test_416_for_ever_is_a_named_protocol_error(self):
        self.serve({"port": "cdn", "status": 416, "times": 0, "headers": {"Content-Range": "bytes */5"}})
        run = self.pull("--max-retries", "1")
        self.assert_error(run, 1, "416", f"127.0.0.1:{self.registry.cdn_port}", "it has 5 bytes where the manifest says")

    def test_a_total_that_is_not_the_manifests_is_a_named_protocol_error(self):
        self.serve({"port": "cdn", "headers": {"Content-Range": "bytes 0-9/10"}, "times": 0}, model=self.big(1))
        self.assert_error(self.pull("--max-retries", "1"), 1, "body from", "a blob of 10 bytes where the manifest says", "sha256:")

    def test_a_page_for_ever_is_a_named_protocol_error(self):
        self.serve({"port": "cdn", "status": 200, "body": "<html>log in</html>", "times": 0,
                    "headers": {"Content-Type": "text/html; charset=utf-8"}})
        self.assert_error(self.pull("--max-retries", "1"), 1, "HTML", f"127.0.0.1:{self.registry.cdn_port}")

    def test_a_compressed_body_for_ever_is_a_named_protocol_error(self):
        self.serve({"port": "cdn", "headers": {"Content-Encoding": "gzip"}, "times": 0})
        self.assert_error(self.pull("--max-retries", "1"), 1, "compressed")

if __name__ == "__main__":
    harness.main()
