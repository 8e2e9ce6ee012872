#!/usr/bin/python3
"""The client's way to the daemon and through its troubles, with the real programs: autostart and races for it, a daemon that
dies under a pull, one that holds the models dir elsewhere, signals with and without other watchers, watch, detach."""

import json
import os
import pathlib
import pty
import re
import signal
import stat
import subprocess
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "e2e"))

import harness
from blobs import MIB, small_model
from registries import ScriptedRegistry


class WayTest(harness.TestCase):
    def setUp(self):
        super().setUp()
        self.model = small_model(sizes=(8 * MIB, 50_000))
        self.registry = ScriptedRegistry(self.box, {"models": [self.model.script()], "rate": {"total": 2 * MIB}})
        self.name = self.registry.name(self.model)

    def daemon_pid(self, path=None):
        return harness.answers(path or self.box.socket)["pid"]

    def start_pull(self, *flags, name=None):
        return self.box.start_pullama("pull", "--insecure", *flags, name or self.name)

    def done_bytes(self):
        from wire import Wire
        try:
            with Wire(self.box.socket) as wire:
                return sum(job["bytes_done"] for job in wire.call("job.list")["jobs"] if job["state"] == "active")
        except (OSError, EOFError):
            return 0

    def end(self, process):
        out, err = process.communicate(timeout=harness.PATIENCE)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    # Starting a daemon.

    def test_the_daemon_that_a_client_starts_keeps_nothing_of_it(self):
        extra = os.open("/dev/null", os.O_RDONLY)
        os.set_inheritable(extra, True)
        run = self.box.pullama("list", pass_fds=[extra])
        os.close(extra)
        self.assert_exit(run, 0)
        pid = self.daemon_pid()
        self.assertEqual(os.getsid(pid), pid)
        self.assertEqual(os.getpgid(pid), pid)
        self.assertEqual(os.readlink(f"/proc/{pid}/cwd"), "/")
        self.assertEqual(os.readlink(f"/proc/{pid}/fd/0"), "/dev/null")
        log = self.box.home / ".local/state/pullama/pullamad.log"
        self.assertEqual(os.readlink(f"/proc/{pid}/fd/2"), str(log))
        self.assertEqual(stat.S_IMODE(log.stat().st_mode), 0o600)
        devices = [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")]
        self.assertEqual([d for d in devices if d == "/dev/null"], ["/dev/null"], "only its own standard input")

    def test_clients_that_race_to_start_a_daemon_end_with_one(self):
        clients = [self.box.start_pullama("list", "--output", "json") for _ in range(6)]
        for client in clients:
            run = self.end(client)
            self.assert_exit(run, 0)
            json.loads(run.stdout)
        pid = self.daemon_pid()
        harness.wait_until(lambda: [p for p in self.box.processes() if "pullamad" in self.box.name_of(p)] == [pid],
                           "one daemon is left")

    def test_a_log_that_has_grown_is_set_aside(self):
        log = self.box.home / ".local/state/pullama/pullamad.log"
        log.parent.mkdir(parents=True)
        log.write_bytes(b"x" * (6 * MIB))
        self.assert_exit(self.box.pullama("list"), 0)
        self.assertLess(log.stat().st_size, MIB)
        self.assertEqual((log.parent / "pullamad.log.1").stat().st_size, 6 * MIB)

    def test_socket_and_models_dir_are_passed_on(self):
        other, place = self.box.root / "other", self.box.root / "my.sock"
        run = self.box.pullama("pull", "--insecure", "--quiet", "--socket", "my.sock", "--models-dir=other", self.name)
        self.assert_exit(run, 0)
        self.assertFalse(self.box.socket.exists())
        self.assertEqual(harness.answers(place)["models_dir"], str(other))
        self.assert_stored(self.registry.host, self.model, other)

    # A daemon that dies.

    def test_a_daemon_that_dies_is_started_again_and_the_same_pull_goes_on(self):
        client = self.start_pull("--output", "json")
        harness.wait_until(lambda: self.done_bytes() > 2 * MIB, "a quarter is there")
        before = self.daemon_pid()
        os.kill(before, signal.SIGKILL)
        run = self.end(client)
        self.assert_exit(run, 0)
        self.assertEqual(run.stderr, "")
        self.assertNotEqual(self.daemon_pid(), before)
        events = [json.loads(line) for line in run.stdout.splitlines()]
        kinds = [event["event"] for event in events]
        self.assertEqual((kinds[0], kinds[-1]), ("pull_start", "pull_completed"))
        self.assertEqual(kinds.count("pull_start"), 1)
        shown = [event["OverallDone"] for event in events if event["event"] == "progress"]
        self.assertEqual(shown, sorted(shown), "progress ran backwards")
        self.assert_stored(self.registry.host, self.model)

    def test_without_autostart_a_daemon_that_dies_ends_the_client_with_a_word(self):
        daemon = self.box.daemon()
        client = self.start_pull("--no-autostart")
        harness.wait_until(lambda: self.done_bytes() > MIB, "some of it is there")
        self.box.kill(daemon)
        run = self.end(client)
        self.assert_exit(run, 1)
        self.assertIn("pullama daemon start", run.stderr)
        self.assertIn(self.name, run.stderr)
        self.assertFalse([p for p in self.box.processes() if "pullamad" in self.box.name_of(p)])

    # Another daemon's models dir.

    def test_a_models_dir_held_by_another_daemon_leads_to_that_one(self):
        held = self.box.root / "held"
        self.box.daemon()
        self.box.daemon("--socket", self.box.root / "holder.sock", "--models-dir", held,
                        socket=self.box.root / "holder.sock")
        run = self.box.pullama("pull", "--insecure", "--quiet", "--models-dir", held, self.name)
        self.assert_exit(run, 0)
        self.assert_stored(self.registry.host, self.model, held)
        from wire import Wire
        with Wire(self.box.root / "holder.sock") as wire:
            self.assertEqual([job["state"] for job in wire.call("job.list")["jobs"]], ["completed"])

    # Signals.

    def test_the_first_signal_stops_the_pull_and_says_how_to_resume(self):
        for number in (signal.SIGINT, signal.SIGTERM):
            with self.subTest(number=number):
                client = self.start_pull("--models-dir", self.box.models)
                harness.wait_until(lambda: self.done_bytes() > MIB, "some of it is there")
                client.send_signal(number)
                run = self.end(client)
                self.assert_exit(run, 0)
                self.assertIn(f"interrupted - resume with: pullama {self.name} --insecure --models-dir {self.box.models}",
                              run.stdout)
                self.assertEqual(run.stderr, "")
                from wire import Wire
                with Wire(self.box.socket) as wire:
                    self.assertEqual([j["state"] for j in wire.call("job.list")["jobs"] if j["state"] == "active"], [])
        command = re.search(r"resume with: pullama (.*)", run.stdout)[1].split()
        self.registry.script(rate={"total": 64 * MIB})
        self.assert_exit(self.box.pullama(*command), 0)
        self.assert_stored(self.registry.host, self.model)

    def test_an_interrupted_pull_in_json_is_an_event(self):
        client = self.start_pull("--output", "json")
        harness.wait_until(lambda: self.done_bytes() > MIB, "some of it is there")
        client.send_signal(signal.SIGINT)
        run = self.end(client)
        self.assert_exit(run, 0)
        last = json.loads(run.stdout.splitlines()[-1])
        self.assertEqual((last["event"], last["Tag"]), ("interrupted", "latest"))

    def test_while_somebody_else_watches_the_pull_goes_on(self):
        first = self.start_pull()
        harness.wait_until(lambda: self.done_bytes() > MIB // 2, "some of it is there")
        watcher = self.box.start_pullama("watch", self.name)
        while "manifest" not in watcher.stdout.readline():  # said once it has the snapshot
            pass
        first.send_signal(signal.SIGINT)
        run = self.end(first)
        self.assert_exit(run, 0)
        self.assertIn("interrupted - resume with: pullama", run.stdout)
        self.assertIn("goes on for 1 other client", run.stdout)
        run = self.end(watcher)
        self.assert_exit(run, 0)
        self.assertIn("+ pulled", run.stdout)
        self.assert_stored(self.registry.host, self.model)

    def test_a_client_that_is_killed_changes_nothing(self):
        client = self.start_pull()
        harness.wait_until(lambda: self.done_bytes() > MIB // 2, "some of it is there")
        self.box.kill(client)
        run = self.box.pullama("watch", self.name)
        self.assert_exit(run, 0)
        self.assert_stored(self.registry.host, self.model)

    def test_a_second_signal_ends_the_client_at_once(self):
        client = self.start_pull()
        harness.wait_until(lambda: self.done_bytes() > MIB // 2, "some of it is there")
        daemon = self.daemon_pid()
        os.kill(daemon, signal.SIGSTOP)  # nobody answers the first one
        try:
            client.send_signal(signal.SIGINT)
            harness.wait_until(lambda: "SigPnd" in pathlib.Path(f"/proc/{client.pid}/status").read_text(), "it is told")
            time.sleep(0.3)
            self.assertIsNone(client.poll())
            client.send_signal(signal.SIGINT)
            self.assertEqual(client.wait(5), 1)
        finally:
            os.kill(daemon, signal.SIGCONT)
        client.communicate()

    def test_ctrl_c_on_watch_only_detaches(self):
        client = self.start_pull("-d")
        self.assert_exit(self.end(client), 0)
        watcher = self.box.start_pullama("watch", self.name)
        while "manifest" not in watcher.stdout.readline():
            pass
        watcher.send_signal(signal.SIGINT)
        run = self.end(watcher)
        self.assert_exit(run, 0)
        self.assertIn("detached", run.stdout)
        self.assert_exit(self.box.pullama("watch", self.name), 0)
        self.assert_stored(self.registry.host, self.model)

    def test_one_interruption_that_comes_twice_is_one(self):
        # As timeout(1) sends it: to the child and then to its process group.
        client = self.start_pull()
        harness.wait_until(lambda: self.done_bytes() > MIB // 2, "some of it is there")
        daemon = self.daemon_pid()
        os.kill(daemon, signal.SIGSTOP)
        try:
            client.send_signal(signal.SIGSTOP)
            client.send_signal(signal.SIGINT)
            client.send_signal(signal.SIGCONT)
            harness.wait_until(lambda: not self.is_pending(client), "the first is taken", every=0.001)
            client.send_signal(signal.SIGINT)
            time.sleep(0.2)
            self.assertIsNone(client.poll())
        finally:
            os.kill(daemon, signal.SIGCONT)
        run = self.end(client)
        self.assert_exit(run, 0)
        self.assertIn("interrupted", run.stdout)

    @staticmethod
    def is_pending(process):
        status = pathlib.Path(f"/proc/{process.pid}/status").read_text()
        return int(re.search(r"ShdPnd:\s*(\w+)", status)[1], 16) != 0

    def test_an_interruption_reaches_a_job_in_a_scripts_background(self):
        # A shell without job control starts it with SIGINT ignored.
        client = self.box.spawn("/bin/sh", "-c", 'trap "" INT; exec "$@"', "sh", harness.PULLAMA, "pull", "--insecure",
                                self.name, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        harness.wait_until(lambda: self.done_bytes() > MIB // 2, "some of it is there")
        client.send_signal(signal.SIGINT)
        run = self.end(client)
        self.assert_exit(run, 0)
        self.assertIn("interrupted", run.stdout)

    # Jobs from another shell.

    def test_detach_prints_the_job_and_pause_resume_cancel_find_it(self):
        run = self.box.pullama("pull", "--insecure", "-d", "--quiet", self.name)
        self.assert_exit(run, 0)
        job = run.stdout.strip()
        self.assertIn(job, self.box.pullama("jobs").stdout)
        self.assertIn("paused", self.box.pullama("pause", self.name).stdout)
        self.assertIn("paused", self.box.pullama("jobs").stdout)
        self.assertIn("resumed", self.box.pullama("resume", job).stdout)
        run = self.box.pullama("cancel", job)
        self.assert_exit(run, 0)
        # The flags that the pull had, not those of this command.
        self.assertIn(f"resume with: pullama {self.name} --insecure", run.stdout)
        self.assertEqual(json.loads(self.box.pullama("jobs", "--output", "json").stdout)["jobs"], [])
        self.assertIn("nothing is under way", self.box.pullama("jobs").stdout)
        self.assert_error(self.box.pullama("cancel", "nobody"), 4, "nobody")

    def test_a_watcher_gets_the_exit_code_of_the_end(self):
        missing = f"{self.registry.host}/library/none:latest"
        self.assert_exit(self.box.pullama("pull", "--insecure", "-d", missing), 0)
        run = self.box.pullama("watch", missing)
        self.assert_exit(run, 4)
        self.assert_one_line(run.stderr, "error:", "none")

    def test_watch_on_a_pipe_ends_when_nothing_is_under_way(self):
        self.assert_exit(self.box.pullama("pull", "--insecure", "-d", self.name), 0)
        run = self.box.pullama("watch")
        self.assert_exit(run, 0)
        self.assertIn(f"+ completed {self.name}", run.stdout)
        self.assertTrue(run.stdout.isascii())
        run = self.box.pullama("watch")
        self.assert_exit(run, 0)
        self.assertIn("nothing is under way", run.stdout)

    def test_several_models_come_one_after_the_other_and_the_first_failure_is_the_exit_code(self):
        self.registry.script(rate={"total": 64 * MIB})
        missing = f"{self.registry.host}/library/none"
        run = self.box.pullama("pull", "--insecure", missing, self.name)
        self.assert_exit(run, 4)
        self.assertIn("+ pulled", run.stdout)
        self.assert_stored(self.registry.host, self.model)

    # The queue.

    def test_the_queue_in_the_words_that_people_know(self):
        self.registry.script(rate={"total": 64 * MIB})
        missing = f"{self.registry.host}/library/none:latest"
        run = self.box.pullama("queue", "add", "--insecure", missing, self.name, "mistral:7b")
        self.assertEqual((run.returncode, run.stdout), (0, "added 3 model(s) to queue\n"))
        run = self.box.pullama("queue", "add", "mistral:7b")
        self.assertRegex(run.stdout, r"^added 0 model\(s\) to queue\nskipped mistral:7b - .+\n$")
        run = self.box.pullama("queue", "list")
        self.assertEqual(run.stdout, f"  . 1 {missing} queued\n  . 2 {self.name} queued\n  . 3 mistral:7b queued\n")
        self.assertEqual(self.box.pullama("queue", "move", "2", "1").returncode, 0)
        self.assertEqual(self.box.pullama("queue", "rm", "3").stdout, "removed mistral:7b from queue\n")
        self.assert_error(self.box.pullama("queue", "rm", "3"), 1, "no entry 3")
        run = self.box.pullama("queue", "start")
        self.assert_exit(run, 1)
        lines = run.stdout.splitlines()
        self.assertEqual([line for line in lines if line.startswith("> queue")][:3],
                         [f"> queue [1/2] pulling {self.name}", f"> queue [1/2] + completed {self.name}",
                          f"> queue [2/2] pulling {missing}"])
        self.assertTrue(lines[-1].startswith(f"> queue [2/2] x failed {missing}: "), lines[-1])
        self.assertIn(f"1 of 2 model(s) failed: {missing}", run.stderr)
        self.assert_stored(self.registry.host, self.model)
        self.assertRegex(self.box.pullama("queue", "list").stdout, rf"  x 2 {missing} failed - .+\n")
        self.assertEqual(self.box.pullama("queue", "start", "--quiet").stdout, "queue is empty\n")
        self.assertIn("queued again", self.box.pullama("queue", "retry").stdout)

    def test_a_command_that_starts_no_transfer_says_how_many_wait(self):
        self.assert_exit(self.box.pullama("queue", "add", "--insecure", self.name), 0)
        self.assert_exit(self.box.pullama("daemon", "stop"), 0)
        run = self.box.pullama("list")
        self.assert_exit(run, 0)
        self.assertEqual(run.stderr, "", "nothing was under way")
        self.assert_exit(self.box.pullama("queue", "clear"), 0)
        self.assert_exit(self.end(self.start_pull("--detach")), 0)
        harness.wait_until(lambda: self.done_bytes() > 0, "some of it is there")
        os.kill(self.daemon_pid(), signal.SIGKILL)
        for command in ("list", "jobs"):
            run = self.box.pullama(command)
            self.assert_exit(run, 0)
            self.assert_one_line(run.stderr, "1 transfer waits")

    def test_a_wrong_command_line_of_a_pull_is_told_by_its_events(self):
        for words in (["m", "--chunk-size", "0"], ["pull", "--bogus", "m"], ["a//b"]):
            with self.subTest(words=words):
                run = self.box.pullama(*words, "--output", "json")
                self.assertEqual((run.returncode, run.stderr), (1, ""))
                last = json.loads(run.stdout.splitlines()[-1])
                self.assertEqual((last["event"], last["Kind"]), ("pull_failed", "invalid_argument"))
                self.assertTrue(last["Model"] and last["Message"])
        self.assertFalse(self.box.socket.exists(), "no daemon was started")

    def test_ctrl_c_on_queue_start_lets_the_model_finish_and_leaves_the_rest_paused(self):
        self.assert_exit(self.box.pullama("queue", "add", "--insecure", self.name, "mistral:7b"), 0)
        client = self.box.start_pullama("queue", "start")
        harness.wait_until(lambda: self.done_bytes() > MIB, "some of it is there")
        client.send_signal(signal.SIGINT)
        run = self.end(client)
        self.assert_exit(run, 0)
        self.assertIn(f"+ completed {self.name}", run.stdout)
        self.assertIn("queue stopped - go on with: pullama queue start", run.stdout)
        self.assert_stored(self.registry.host, self.model)
        view = json.loads(self.box.pullama("queue", "list", "--output", "json").stdout)
        self.assertTrue(view["paused"])
        self.assertEqual([entry["state"] for entry in view["entries"]], ["completed", "queued"])

    def test_ctrl_c_on_one_of_two_queue_starts_changes_nothing(self):
        self.assert_exit(self.box.pullama("queue", "add", "--insecure", self.name), 0)
        clients = [self.box.start_pullama("queue", "start") for _ in range(2)]
        for client in clients:
            while "manifest" not in client.stdout.readline():
                pass
        clients[0].send_signal(signal.SIGINT)
        run = self.end(clients[0])
        self.assert_exit(run, 0)
        self.assertIn("goes on for another client", run.stdout)
        self.assert_exit(self.end(clients[1]), 0)
        self.assert_stored(self.registry.host, self.model)

    def test_queue_start_tells_of_what_was_over_at_once(self):
        self.registry.script(rate={"total": 640 * MIB})
        self.assert_exit(self.box.pullama("pull", "--insecure", self.name), 0)
        missing = f"{self.registry.host}/library/none:latest"
        for name, code in ((missing, 1), (self.name, 0)):
            for flags in ([], ["--quiet"], ["--output", "json"]):
                with self.subTest(name=name, flags=flags):
                    self.assert_exit(self.box.pullama("queue", "clear"), 0)
                    self.assert_exit(self.box.pullama("queue", "add", "--insecure", name), 0)
                    run = self.box.pullama("queue", "start", *flags)
                    self.assert_exit(run, code)
                    self.assertNotIn("queue is empty", run.stdout)
                    self.assertTrue(run.stdout or run.stderr)
                    if code:
                        self.assertIn("1 of 1 model(s) failed", run.stdout + run.stderr)

    def test_closed_standard_descriptors_harm_nothing(self):
        for redirection, code, words in ((">&-", 1, "standard output cannot be written"), ("2>&-", 0, ""), ("<&-", 0, "")):
            with self.subTest(redirection=redirection):
                run = subprocess.run(["/bin/sh", "-c", f'"$0" "$@" {redirection}', harness.PULLAMA, "list"],
                                     env=self.box.environment, capture_output=True, text=True, timeout=harness.PATIENCE)
                self.assertEqual(run.returncode, code, run.stderr)
                self.assertIn(words, run.stderr)
                self.assert_exit(self.box.pullama("daemon", "stop"), 0)

    def test_watch_in_json_has_the_names_of_a_pull_and_the_job(self):
        run = self.box.pullama("pull", "--insecure", "-d", "--quiet", self.name)
        job = run.stdout.strip()
        run = self.box.pullama("watch", "--output", "json")
        self.assert_exit(run, 0)
        told = [json.loads(line) for line in run.stdout.splitlines()]
        self.assertEqual(told[0]["event"], "snapshot")
        self.assertEqual({line["Job"] for line in told[1:] if "Job" in line}, {job})
        names = [line["event"] for line in told]
        self.assertIn("progress", names)
        self.assertIn("pull_completed", names)
        self.assertFalse([name for name in names if "." in name])

    def test_output_that_cannot_be_written_is_an_error(self):
        self.assert_exit(self.box.pullama("list"), 0)
        with open("/dev/full", "w", encoding="utf-8") as full:
            client = self.box.spawn(harness.PULLAMA, "list", stdin=subprocess.DEVNULL, stdout=full,
                                    stderr=subprocess.PIPE, text=True)
            _, err = client.communicate(timeout=harness.PATIENCE)
        self.assertEqual(client.returncode, 1)
        self.assert_one_line(err, "standard output")

    def test_the_cursor_comes_back_whatever_ends_the_client(self):
        for number in (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
            with self.subTest(number=number):
                master, slave = pty.openpty()
                client = self.box.spawn(harness.PULLAMA, "pull", "--insecure", self.name, stdin=slave, stdout=slave,
                                        stderr=slave)
                os.close(slave)
                received = []

                def read(master=master, received=received):
                    try:
                        while piece := os.read(master, 65536):
                            received.append(piece)
                    except OSError:
                        pass

                reader = threading.Thread(target=read)
                reader.start()
                harness.wait_until(lambda: self.done_bytes() > 0 and b"%" in b"".join(received), "a bar is drawn")
                client.send_signal(number)
                client.wait(harness.PATIENCE)
                reader.join(10)
                os.close(master)
                text = b"".join(received)
                self.assertGreater(text.rfind(b"\x1b[?25h"), text.rfind(b"\x1b[?25l"))


if __name__ == "__main__":
    harness.main()
