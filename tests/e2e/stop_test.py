#!/usr/bin/python3
"""Ends on purpose: SIGTERM to the daemon, Ctrl-C on the client, cancel; and clients that watch, die or come back."""

import json
import os
import signal
import time

import harness
from blobs import MIB, Blob, Model
from registries import ScriptedRegistry
from wire import Wire

SIZE, RATE = 24 * MIB, 6 * MIB


class StopTest(harness.TestCase):
    def setUp(self):
        super().setUp()
        self.model = Model("library/slow", "latest", [Blob(seed=8, size=SIZE)])
        self.blob = self.model.layers[0]
        self.registry = ScriptedRegistry(self.box, {"models": [self.model.script()], "cdn": {"mode": "redirect"},
                                                    "rate": {"total": RATE}})
        self.name = self.registry.name(self.model)

    def start(self, *flags, env=None):
        return self.box.start_pullama("pull", "--insecure", *flags, self.name, env=env)

    def saved(self):
        return harness.total_of(harness.covered(self.box.checkpoint(self.blob)))

    def some_is_there(self):
        harness.wait_until(lambda: self.saved() > 0, "a checkpoint")

    def fast(self):
        self.registry.script(rate={"total": 50 * RATE})

    def finish(self, ranges=(), since=None):
        self.fast()
        self.assert_exit(self.box.pullama("pull", "--insecure", self.name), 0)
        self.assert_stored(self.registry.host, self.model)
        if since is not None:
            self.assertEqual(harness.overlap(ranges, self.registry.travelled(self.blob, since=since)), 0)

    def test_sigterm_checkpoints_and_exits_0_within_two_seconds(self):
        daemon = self.box.daemon()
        client = self.start("--no-autostart")
        self.some_is_there()
        begin = time.monotonic()
        code = self.box.terminate(daemon)
        taken = time.monotonic() - begin
        self.assertEqual(code, 0, self.box.daemon_log())
        self.assertLess(taken, 2.0 if not harness.SANITIZE else 6.0)
        out, err = client.communicate(timeout=harness.PATIENCE)
        self.assertEqual(client.returncode, 1, out + err)
        self.assertIn("go on with: pullama", err)
        ranges, again = harness.covered(self.box.checkpoint(self.blob)), time.time()
        received = sum(e["sent"] for e in self.registry.log() if self.blob.hex in e["path"])
        self.assertGreater(harness.total_of(ranges), 0)
        # What the server handed to the kernel and what we saved differ by the buffers on the way only.
        self.assertLess(received - harness.total_of(ranges), 12 * MIB)
        self.finish(ranges, again)

    def test_ctrl_c_prints_how_to_resume_and_exits_0(self):
        for number in (signal.SIGINT, signal.SIGTERM):
            with self.subTest(number.name):
                self.registry.script(rate={"total": RATE})
                client = self.start()
                before = self.saved()
                harness.wait_until(lambda: self.saved() > before, "progress")
                client.send_signal(number)
                out, err = client.communicate(timeout=harness.PATIENCE)
                self.assertEqual(client.returncode, 0, out + err)
                self.assertRegex(out + err, r"interrupted (—|-) resume with: pullama .*slow")
                self.assertIn("--insecure", out + err)
                lines = [line for line in (out + err).splitlines() if "resume with" in line]
                self.assertEqual(len(lines), 1)
                self.assertFalse(self.box.blob_path(self.blob).exists())
                with Wire(self.box.socket) as wire:
                    states = {job["state"] for job in wire.call("job.list")["jobs"]}
                    self.assertFalse(states & {"active", "queued"}, states)
        ranges, again = harness.covered(self.box.checkpoint(self.blob)), time.time()
        self.assertGreater(harness.total_of(ranges), 0)
        self.finish(ranges, again)

    def test_a_second_signal_exits_1_at_once(self):
        client = self.start()
        self.some_is_there()
        client.send_signal(signal.SIGSTOP)
        client.send_signal(signal.SIGINT)
        client.send_signal(signal.SIGTERM)
        client.send_signal(signal.SIGCONT)
        client.communicate(timeout=harness.PATIENCE)
        self.assertEqual(client.returncode, 1)

    def test_cancel_leaves_a_resumable_partial(self):
        client = self.start()
        self.some_is_there()
        self.assert_exit(self.box.pullama("cancel", self.name), 0)
        out, err = client.communicate(timeout=harness.PATIENCE)
        self.assertEqual(client.returncode, 1, out + err)
        ranges, again = harness.covered(self.box.checkpoint(self.blob)), time.time()
        self.assertGreater(harness.total_of(ranges), 0)
        self.finish(ranges, again)

    def test_two_clients_watch_one_pull_and_see_the_same_end(self):
        first = self.start("--output", "json")
        self.some_is_there()
        second = self.start("--output", "json")
        third = self.box.start_pullama("watch", "--output", "json", self.name)
        with Wire(self.box.socket) as wire:
            jobs = [job for job in wire.call("job.list")["jobs"] if job["state"] == "active"]
            self.assertEqual(len(jobs), 1, "the second joined the first")
        time.sleep(0.5)
        self.fast()
        ends = []
        for client in (first, second, third):
            out, err = client.communicate(timeout=harness.PATIENCE)
            self.assertEqual((client.returncode, err), (0, ""), out)
            events = [json.loads(line) for line in out.splitlines()]
            self.check_progress(events)
            ends.append({k: v for k, v in events[-1].items() if k != "ElapsedMs"})
        self.assertEqual(ends[0]["event"], "pull_completed")
        self.assertEqual(ends[0], ends[1])
        self.assertEqual(ends[0], ends[2])
        self.assert_stored(self.registry.host, self.model)
        self.assertEqual(harness.total_of(self.registry.travelled(self.blob)), SIZE, "fetched once")

    def check_progress(self, events):
        shown = [e for e in events if e["event"] == "progress"]
        self.assertTrue(shown)
        for before, after in zip(shown, shown[1:]):
            self.assertLessEqual(before["OverallDone"], after["OverallDone"])
            self.assertLessEqual(before["pct"], after["pct"])
        for event in shown:
            self.assertLessEqual(event["OverallDone"], event["OverallTotal"])
            self.assertEqual(event["pct"], event["OverallDone"] * 100 // event["OverallTotal"])

    def test_a_killed_client_changes_nothing(self):
        self.box.daemon()
        client = self.start("--output", "json")
        self.some_is_there()
        self.box.kill(client)
        before = self.saved()
        harness.wait_until(lambda: self.saved() > before, "the daemon goes on")
        watcher = self.box.start_pullama("watch", self.name, "--output", "json")
        time.sleep(0.3)
        self.fast()
        out, err = watcher.communicate(timeout=harness.PATIENCE)
        self.assertEqual(watcher.returncode, 0, out + err)
        self.assert_stored(self.registry.host, self.model)

    def test_ctrl_c_while_another_client_watches_stops_nothing(self):
        first = self.start()
        self.some_is_there()
        second = self.start()
        harness.wait_until(lambda: len(self.clients_of_the_job()) >= 1, "the job runs")
        time.sleep(1)
        first.send_signal(signal.SIGINT)
        out, err = first.communicate(timeout=harness.PATIENCE)
        self.assertEqual(first.returncode, 0, out + err)
        self.assertRegex((out + err).lower(), "watch|another|other client|goes on")
        self.fast()
        out, err = second.communicate(timeout=harness.PATIENCE)
        self.assertEqual(second.returncode, 0, out + err)
        self.assert_stored(self.registry.host, self.model)

    def clients_of_the_job(self):
        with Wire(self.box.socket) as wire:
            return [job for job in wire.call("job.list")["jobs"] if job["state"] == "active"]

    def test_detach_returns_at_once_and_the_pull_goes_on(self):
        self.box.daemon()
        run = self.box.pullama("pull", "--insecure", "-d", self.name)
        self.assert_exit(run, 0)
        with Wire(self.box.socket) as wire:
            job = wire.call("job.list")["jobs"][0]
            self.assertIn(job["id"], run.stdout)
        self.fast()
        harness.wait_until(lambda: self.manifest_path(self.registry.host, self.model).exists(), "the manifest")
        self.assert_stored(self.registry.host, self.model)

    def test_a_daemon_that_dies_under_a_client_is_started_again(self):
        client = self.start("--output", "json")
        self.some_is_there()
        with Wire(self.box.socket) as wire:
            pid = wire.call("daemon.info")["pid"]
        self.assertIn(pid, self.box.processes(), "it is ours to kill")
        os.kill(pid, signal.SIGKILL)
        self.fast()
        out, err = client.communicate(timeout=harness.PATIENCE)
        self.assertEqual(client.returncode, 0, out + err)
        self.check_progress([json.loads(line) for line in out.splitlines()])
        self.assert_stored(self.registry.host, self.model)


if __name__ == "__main__":
    harness.main()
