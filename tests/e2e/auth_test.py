#!/usr/bin/python3
"""Tokens, signatures and keys: who is asked, what is shown to whom, and one clear line when it does not work."""

import harness
from blobs import small_model
from keys import Key
from registries import ScriptedRegistry


class AuthTest(harness.TestCase):
    def setUp(self):
        super().setUp()
        self.model = small_model()

    def serve(self, **auth):
        more = auth.pop("more", {})
        return ScriptedRegistry(self.box, {"models": [self.model.script()], "auth": auth, **more})

    def pull(self, registry, *flags):
        return self.box.pullama("pull", "--insecure", *flags, registry.name(self.model))

    def test_an_anonymous_token_needs_no_key(self):
        registry = self.serve(mode="bearer")
        self.assert_exit(self.pull(registry), 0)
        self.assert_stored(registry.host, self.model)
        first = registry.log()[0]
        self.assertEqual((first["status"], first["had_authorization"]), (401, False), "anonymous first")

    def test_ollamas_signature_with_both_forms_of_key(self):
        for form in ("openssh", "pkcs8"):
            with self.subTest(form):
                key = Key()
                key.install(self.box.home, key.openssh() if form == "openssh" else key.pkcs8)
                registry = self.serve(mode="bearer", token_requires="signature", public_key=key.public)
                self.assert_exit(self.pull(registry), 0)
                self.assert_stored(registry.host, self.model)

    def test_a_token_that_expires_on_the_way_is_renewed(self):
        registry = self.serve(mode="bearer", token_seconds=1, more={"rate": {"total": 1_000_000}})
        self.assert_exit(self.pull(registry), 0)
        self.assert_stored(registry.host, self.model)

    def test_tokens_appear_in_no_output(self):
        key = Key()
        key.install(self.box.home)
        registry = self.serve(mode="bearer", token_requires="signature", public_key=key.public,
                              more={"cdn": {"mode": "redirect"}})
        self.box.daemon("--log-level", "trace")
        for mode in ("debug", "json", "table"):
            run = self.pull(registry, "--verbose", "--output", mode)
            self.assert_exit(run, 0)
            output = run.stdout + run.stderr + self.box.daemon_log()
            for secret in [*registry.state()["tokens"], "X-Amz-Signature", "X-Amz-Credential"]:
                self.assertNotIn(secret, output)

    def test_each_way_a_key_can_be_wrong_has_its_line(self):
        key = Key()
        cases = {
            "missing": (None, "id_ed25519"),
            "garbage": ("no key at all\n", "id_ed25519"),
            "truncated": (key.openssh()[:150], "id_ed25519"),
            "encrypted": (key.openssh(cipher=b"aes256-ctr"), "encrypted"),
            "empty": ("", "id_ed25519"),
        }
        registry = self.serve(mode="bearer", token_requires="signature", public_key=key.public)
        for name, (text, word) in cases.items():
            with self.subTest(name):
                if text is not None:
                    key.install(self.box.home, text)
                run = self.pull(registry)
                self.assert_error(run, 3, word)
        self.assert_nothing_stored()

    def test_an_unknown_key_exits_3_and_names_the_file(self):
        Key().install(self.box.home)
        registry = self.serve(mode="bearer", token_requires="signature", public_key=Key().public)
        self.assert_error(self.pull(registry), 3, "id_ed25519")
        self.assert_nothing_stored()

    def test_403_is_denied_with_the_registrys_words(self):
        registry = self.serve(more={"faults": [{"path": "/manifests/", "status": 403, "times": 0,
                                                "body": '{"errors":[{"code":"DENIED","message":"not for you"}]}'}]})
        self.assert_error(self.pull(registry), 3, "not for you")

    def test_401_without_end_is_bounded(self):
        registry = self.serve(mode="bearer", token_seconds=-1)
        self.assert_exit(self.pull(registry, "--max-retries", "1"), 3)
        self.assertLess(len(registry.log()), 8)

    def test_a_foreign_realm_sees_neither_signature_nor_credentials(self):
        key = Key()
        key.install(self.box.home)
        thief = ScriptedRegistry(self.box, {"auth": {"mode": "bearer"}})
        registry = self.serve(mode="bearer", token_requires="signature", public_key=key.public,
                              realm=f"http://127.0.0.1:{thief.port}/token")
        self.assert_exit(self.pull(registry, "--max-retries", "1"), 3)
        for entry in thief.log():
            self.assertFalse(entry["had_authorization"], entry)


if __name__ == "__main__":
    harness.main()
