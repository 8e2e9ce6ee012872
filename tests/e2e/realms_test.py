#!/usr/bin/python3
"""Token services that are not the registry's own: who is asked at all, and what they get to see."""

import base64
import json
import threading

import http.server
import ssl

import harness
from blobs import small_model
from keys import Key
from registries import Authority, ScriptedRegistry


class TokenHost:
    """Answers every request with a token, or a redirect; writes down what it was shown."""

    def __init__(self, tls, redirect=None):
        host = self
        self.seen, self.redirect = [], redirect

        class Handler(http.server.BaseHTTPRequestHandler):
            def log_message(self, *_):
                pass

            def do_GET(self):
                host.seen.append({"path": self.path, "authorization": self.headers.get("Authorization")})
                body = json.dumps({"token": "from-elsewhere"}).encode()
                self.send_response(302 if host.redirect else 200)
                if host.redirect:
                    self.send_header("Location", host.redirect)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*tls)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.port = self.server.server_port
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class RealmTest(harness.TestCase):
    """The registry is https://127.0.0.1; localhost is a foreign host to it. Key and credentials are there to be stolen."""

    def setUp(self):
        super().setUp()
        self.model, self.key = small_model(), Key()
        self.key.install(self.box.home)
        authority = Authority(self.box)
        self.tls = authority.certificate("all")
        self.registry = ScriptedRegistry(self.box, {"models": [self.model.script()]}, tls=self.tls)
        (self.box.home / ".docker").mkdir()
        (self.box.home / ".docker/config.json").write_text(json.dumps({"auths": {self.registry.host: {
            "auth": base64.b64encode(b"mia:hush").decode()}}}))
        self.box.daemon("--log-level", "trace", env={"SSL_CERT_FILE": str(authority.ca)})

    def host(self, **more):
        host = TokenHost(**{"tls": self.tls, **more})
        self.addCleanup(host.close)
        return host

    def pull(self, realm):
        self.registry.script(auth={"mode": "bearer", "realm": realm})
        return self.box.pullama("pull", "--max-retries", "1", self.registry.name(self.model))

    def test_a_foreign_https_realm_is_asked_without_anything_of_ours(self):
        thief = self.host()
        run = self.pull(f"https://localhost:{thief.port}/token")
        self.assert_exit(run, 3)
        self.assertTrue(thief.seen, "an anonymous token may be asked for")
        self.assertEqual({s["authorization"] for s in thief.seen}, {None})
        self.assertFalse([s for s in thief.seen if "account" in s["path"] or "mia" in s["path"]])

    def test_realms_that_are_not_asked_at_all(self):
        plain, thief = self.host(tls=None), self.host()
        for name, realm in {
                "http for an https registry": f"http://127.0.0.1:{plain.port}/token",
                "a login in the URL": f"https://mia:hush@localhost:{thief.port}/token",
                "another scheme": "file:///etc/passwd",
                "no URL": "token",
                "a line break": f"https://localhost:{thief.port}/to ken",
                "the metadata service": "http://169.254.169.254/latest/meta-data"}.items():
            with self.subTest(name):
                run = self.pull(realm)
                self.assertIn(run.returncode, (1, 3), run.stderr)
                self.assertEqual(run.stderr.strip().count("\n"), 0, run.stderr)
                self.assertNotIn("hush", run.stderr)
        self.assertEqual(plain.seen + thief.seen, [])

    def test_a_realm_that_leads_on_is_not_followed(self):
        thief = self.host()
        own = self.host(redirect=f"https://localhost:{thief.port}/stolen")
        run = self.pull(f"https://127.0.0.1:{own.port}/token")
        self.assert_exit(run, 3)
        self.assertTrue(own.seen)
        self.assertEqual(thief.seen, [])

    def test_what_a_foreign_realm_gives_is_for_this_registry_only(self):
        thief = self.host()
        self.pull(f"https://localhost:{thief.port}/token")
        other = ScriptedRegistry(self.box, {"models": [self.model.script()]}, tls=self.tls)
        self.assert_exit(self.box.pullama("pull", "--max-retries", "1", other.name(self.model)), 0)
        self.assertFalse([e for e in other.log() if e["had_authorization"]])


if __name__ == "__main__":
    harness.main()
