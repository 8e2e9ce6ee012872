#!/usr/bin/python3
"""Registries that would do something to a terminal, or speak a TLS of long ago."""

import json
import socket
import ssl
import threading
import warnings

import harness
from blobs import small_model
from registries import Authority, ScriptedRegistry


class EscapesTest(harness.TestCase):
    EVIL = "\x1b]0;owned\x07\x1b[2J\x9b31m\r\nerror: all is well\u202e"

    def assert_harmless(self, text):
        for bad in ("\x1b", "\x07", "\r", "\x9b", "\u202e"):
            self.assertNotIn(bad, text)

    def test_wherever_a_registry_puts_them_they_are_shown_escaped(self):
        model = small_model()
        places = {
            "a manifest's refusal": {"path": "/manifests/", "status": 404, "body": self.EVIL},
            "a JSON error": {"path": "/manifests/", "status": 403,
                             "body": json.dumps({"errors": [{"code": self.EVIL, "message": self.EVIL}]})},
            "S3's XML": {"port": "cdn", "status": 403, "body": f"<Error><Message>{self.EVIL}</Message></Error>"},
            "a challenge": {"path": "/manifests/", "status": 401, "headers": {
                "WWW-Authenticate": 'Bearer realm="https://x\x1b[2J/",service="y"'}},
            "a redirect": {"path": "/blobs/", "status": 307, "headers": {"Location": "http://h\x1b[2J/"}},
            "a scheme": {"path": "/blobs/", "status": 307, "headers": {"Location": "x\x1by://h/"}},
            "a Content-Range": {"port": "cdn", "headers": {"Content-Range": "bytes \x1b[2J"}},
        }
        for name, fault in places.items():
            with self.subTest(name):
                registry = ScriptedRegistry(self.box, {"models": [model.script()], "cdn": {"mode": "redirect"},
                                                       "faults": [{"times": 0, **fault}]})
                for mode in ("table", "json", "debug"):
                    run = self.box.pullama("pull", "--insecure", "--max-retries", "1", "--output", mode,
                                           registry.name(model))
                    self.assertNotEqual(run.returncode, 0)
                    self.assert_harmless(run.stdout + run.stderr)
        self.assert_harmless(self.box.daemon_log().replace("\r\n", ""))


class OldTlsTest(harness.TestCase):
    def test_tls_1_0_and_1_1_are_refused_by_name(self):
        authority = Authority(self.box)
        certificate, key = authority.certificate()
        for version in (ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1):
            with self.subTest(version.name):
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                context.set_ciphers("ALL:@SECLEVEL=0")
                context.load_cert_chain(certificate, key)
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", DeprecationWarning)
                    context.minimum_version = context.maximum_version = version
                listener, tries = socket.create_server(("127.0.0.1", 0)), []

                def serve():
                    while True:
                        try:
                            connection = listener.accept()[0]
                            tries.append(1)
                            context.wrap_socket(connection, server_side=True).close()
                        except ssl.SSLError:
                            connection.close()
                        except OSError:
                            return

                threading.Thread(target=serve, daemon=True).start()
                host = f"127.0.0.1:{listener.getsockname()[1]}"
                run = self.box.pullama("pull", "--ca-file", authority.ca, f"{host}/library/m")
                self.assert_error(run, 1, host, "no TLS 1.2 or newer")
                self.assertEqual(len(tries), 1, "that does not change by trying again")
                listener.close()


if __name__ == "__main__":
    harness.main()
