#!/usr/bin/python3
"""Waiting, and not waiting: Retry-After, registries that ask for less, requests whose time is over, connections that
crawl."""

import email.utils
import json
import time

import harness
from answers_test import AnswersCase
from blobs import MIB, Blob, Model, small_model


class WaitTest(AnswersCase):
    def waited(self, part):
        times = [e["time"] for e in self.asked(part)]
        return times[1] - times[0]

    def test_retry_after_in_seconds_and_as_a_date(self):
        for status, form in ((429, "seconds"), (503, "date")):
            with self.subTest(status=status, form=form):
                until = int(time.time()) + 6
                value = "3" if form == "seconds" else email.utils.formatdate(until, usegmt=True)
                self.serve({"path": "/manifests/", "status": status, "headers": {"Retry-After": value}},
                           model=small_model(f"library/{form}", seed=status))
                self.assert_fine(self.pull())
                if form == "seconds":
                    self.assertGreater(self.waited("/manifests/"), 2.9)
                else:  # how long that is depends on when the request came
                    self.assertGreaterEqual(self.asked("/manifests/")[1]["time"], until - 0.1)

    def test_without_it_the_wait_is_our_own(self):
        for status in (429, 503):
            with self.subTest(status):
                self.serve({"path": "/manifests/", "status": status}, model=small_model(f"library/own-{status}", seed=status))
                self.assert_fine(self.pull())
                self.assertGreater(self.waited("/manifests/"), 0.3)

    def test_a_registry_that_asks_for_less_gets_fewer_connections(self):
        self.serve({"port": "cdn", "status": 429, "headers": {"Retry-After": "1"}, "times": 4}, model=self.big(32),
                   rate={"total": 16 * MIB})
        self.assert_fine(self.pull())
        refused = [e for e in self.asked(self.model.layers[0].hex, "cdn") if e["status"] == 429]
        self.assertTrue(refused)


class TimeTest(AnswersCase):
    def test_a_request_whose_time_is_over_goes_on_from_its_last_byte_for_nothing(self):
        self.serve(model=self.big(12), rate={"connection": MIB})
        run = self.pull("--timeout", "1s", "--connections", "2", "--max-retries", "1", "--output", "json")
        self.assert_fine(run)
        blob = self.model.layers[0]
        requests = [e for e in self.asked(blob.hex, "cdn")]
        self.assertGreater(len(requests), 6)
        sent = harness.total_of(self.registry.travelled(blob))
        self.assertLess(sent, blob.size * 1.3, "what the sockets held, no more")
        retries = [json.loads(line) for line in run.stdout.splitlines() if '"event":"retry"' in line]
        self.assertFalse([r for r in retries if r.get("BackoffMs", 0) > 0], retries[:3])

    def test_a_time_limit_that_brings_no_byte_counts(self):
        self.serve({"port": "cdn", "delay_ms": 20_000, "times": 0})
        run = self.pull("--timeout", "500ms", "--max-retries", "1")
        self.assert_error(run, 1, f"127.0.0.1:{self.registry.cdn_port}", "not finished within 500 ms")

    def test_a_connection_that_crawls_is_replaced(self):
        blob = Blob(seed=56, size=40 * MIB)
        self.serve({"port": "cdn", "path": blob.hex, "skip": 1, "drip_bytes": 512, "drip_ms": 100, "times": 1},
                   model=Model("library/crawl", "latest", [blob]), rate={"total": 2 * MIB + MIB // 2})
        begin = time.monotonic()
        run = self.pull("--connections", "4", "--output", "json")
        self.assert_fine(run)
        print(f"beside a connection at 5 kB/s: {time.monotonic() - begin:.1f} s", flush=True)
        self.assertLessEqual(harness.total_of(self.registry.travelled(blob)), blob.size * 1.02)
        self.assertIn("slower", run.stdout)


if __name__ == "__main__":
    harness.main()
