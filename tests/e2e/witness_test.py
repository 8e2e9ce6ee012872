#!/usr/bin/python3
"""The witnesses themselves: the scripted registry sends and logs what it says, and the harness notices what it should."""

import base64
import http.client
import subprocess
import time
import unittest
import urllib.parse

import harness
from blobs import MIB, small_model
from keys import Key
from registries import ScriptedRegistry


def get(port, target, headers=None, method="GET"):
    """(status, headers, body as far as it came)."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request(method, target, headers=headers or {})
    answer = connection.getresponse()
    body = b""
    try:
        while piece := answer.read(65536):
            body += piece
    except http.client.IncompleteRead as short:
        body += short.partial
    except ConnectionResetError:
        pass
    connection.close()
    return answer.status, answer.headers, body


class RegistryTest(unittest.TestCase):
    def setUp(self):
        self.box = harness.Sandbox()
        self.addCleanup(lambda: self.assertEqual(self.box.close(), []))
        self.model = small_model()
        self.blob = self.model.layers[0]
        self.bytes = b"".join(self.blob.pieces())

    def serve(self, **more):
        return ScriptedRegistry(self.box, {"models": [self.model.script()], **more})

    def blob_target(self):
        return f"/v2/library/small/blobs/{self.blob.digest}"

    def test_both_languages_make_the_same_bytes(self):
        registry = self.serve()
        self.assertEqual(registry.ready["models"]["library/small:latest"]["digest"], self.model.digest)
        status, _, body = get(registry.port, self.blob_target())
        self.assertEqual((status, body), (200, self.bytes))
        status, headers, body = get(registry.port, self.blob_target(), {"Range": "bytes=1048570-1048590"})
        self.assertEqual((status, body), (206, self.bytes[1048570:1048591]))
        self.assertEqual(headers["Content-Range"], f"bytes 1048570-1048590/{self.blob.size}")
        status, headers, _ = get(registry.port, self.blob_target(), {"Range": f"bytes={self.blob.size}-"})
        self.assertEqual((status, headers["Content-Range"]), (416, f"bytes */{self.blob.size}"))

    def test_faults_strike_where_they_should_and_the_log_says_so(self):
        registry = self.serve(faults=[{"reset_after": 1000}, {"close_after": 2000}, {"flip": [7]}, {"extra_bytes": 3},
                                      {"ignore_range": True}, {"shift": 5}])
        lengths, bodies = [], []
        for number in range(6):
            status, _, body = get(registry.port, self.blob_target(), {"Range": "bytes=0-99999"})
            # A line is written after the answer's last byte: the next request's could come before it.
            harness.wait_until(lambda: len(registry.log()) > number, "its line in the log")
            lengths.append((status, len(body)))
            bodies.append(body)
        self.assertEqual(lengths[1:], [(206, 2000), (206, 100000), (206, 100003), (200, self.blob.size), (206, 100000)])
        # A reset may overtake what is still under way, but never by adding to it.
        self.assertLessEqual(lengths[0][1], 1000)
        self.assertEqual(bodies[2][7] ^ 1, self.bytes[7])
        self.assertEqual(bodies[5], self.bytes[5:100005])
        log = registry.log()
        self.assertEqual([e["end"] for e in log], ["reset", "closed", "whole", "whole", "whole", "whole"])
        self.assertEqual([e["sent"] for e in log], [1000, 2000, 100000, 100003, self.blob.size, 100000])

    def test_signed_urls_expire_and_bear_no_change(self):
        registry = self.serve(cdn={"mode": "redirect"})
        _, headers, _ = get(registry.port, self.blob_target())
        where = urllib.parse.urlsplit(headers["Location"])
        target = f"{where.path}?{where.query}"
        self.assertEqual(get(where.port, target)[2], self.bytes)
        self.assertEqual(get(where.port, target.replace("%2B", "+"))[0], 403)
        self.assertEqual(get(where.port, target, {"Authorization": "Bearer x"})[0], 400)
        registry.do("expire")
        self.assertEqual(get(where.port, target)[0], 403)

    def test_tokens_are_given_for_a_true_signature_only(self):
        key = Key()
        registry = self.serve(auth={"mode": "bearer", "token_requires": "signature", "public_key": key.public})
        self.assertEqual(get(registry.port, self.blob_target())[0], 401)
        pem = self.box.root / "key.pem"
        pem.write_text(key.pkcs8)
        text = self.box.root / "text"

        def ask(nonce, sign_for):
            target = f"/token?nonce={nonce}&scope=repository%3Alibrary%2Fsmall%3Apull&service=scripted&ts={int(time.time())}"
            empty = base64.b64encode(b"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855").decode()
            text.write_text(f"GET,http://127.0.0.1:{registry.port}{target if sign_for is None else sign_for},{empty}")
            signature = subprocess.run(["openssl", "pkeyutl", "-sign", "-inkey", pem, "-rawin", "-in", text], check=True,
                                       capture_output=True).stdout
            return get(registry.port, target,
                       {"Authorization": f"{key.public}:{base64.b64encode(signature).decode()}"})[0]

        self.assertEqual(ask("n" * 22, None), 200)
        self.assertEqual(ask("n" * 22, None), 401, "a nonce counts once")
        self.assertEqual(ask("m" * 22, "/token"), 401)

    def test_a_limited_rate_is_kept_over_all_connections(self):
        registry = self.serve(rate={"total": 3 * MIB})
        begin = time.monotonic()
        get(registry.port, self.blob_target())
        self.assertGreater(time.monotonic() - begin, 0.8)


class HarnessTest(unittest.TestCase):
    def test_a_process_that_stays_is_noticed_and_ended(self):
        box = harness.Sandbox()
        # It leaves our session and ignores SIGTERM, as a daemon that hangs would.
        stubborn = box.spawn("/bin/sh", "-c", "(trap '' TERM; exec setsid sleep 300) &")
        stubborn.wait()
        harness.wait_until(lambda: box.processes(), "it runs")
        pid = box.processes()[0]
        box.patience = 1
        wrong = box.close()
        self.assertEqual(len(wrong), 1, wrong)
        self.assertIn("left behind", wrong[0])
        harness.wait_until(lambda: pid not in box.processes(), "it ends")
        self.assertFalse(box.root.exists())

    def test_ranges(self):
        self.assertEqual(harness.overlap([(0, 10), (20, 30)], [(5, 25)]), 10)
        self.assertEqual(harness.overlap([(0, 10)], [(10, 20)]), 0)
        good = {"version": 2, "size": 100, "chunks": [{"start": 0, "end": 49, "received": 50},
                                                      {"start": 50, "end": 99, "received": 7}]}
        self.assertEqual(harness.covered(good), [(0, 50), (50, 57)])
        for change in ({"size": 101}, {"chunks": [{"start": 1, "end": 99, "received": 0}]},
                       {"chunks": [{"start": 0, "end": 99, "received": 101}]}, {"version": 1}):
            with self.assertRaises(AssertionError):
                harness.covered({**good, **change})


if __name__ == "__main__":
    harness.main()
