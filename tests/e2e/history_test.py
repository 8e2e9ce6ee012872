#!/usr/bin/python3
"""What remains of a transfer: the history, the user's command at its end, the daemon's configuration and log. And what a
client says to a daemon of another version."""

import json
import os
import pathlib
import signal
import socket
import subprocess
import threading
import time

import harness
from blobs import MIB, small_model
from registries import ScriptedRegistry
from wire import Wire


class PullCase(harness.TestCase):
    def setUp(self):
        super().setUp()
        self.model = small_model(sizes=(3 * MIB, 50_000))
        self.registry = ScriptedRegistry(self.box, {"models": [self.model.script()]})
        self.name = self.registry.name(self.model)
        self.missing = f"{self.registry.host}/library/none:latest"


class HistoryTest(PullCase):
    def history(self):
        return json.loads(self.box.pullama("history", "--output", "json").stdout)["transfers"]

    def test_each_end_is_in_the_history_with_its_figures(self):
        self.registry.script(rate={"total": 2 * MIB})
        client = self.box.start_pullama("pull", "--insecure", self.name)
        with Wire(harness.wait_until(lambda: self.box.socket.exists() and self.box.socket, "the daemon is there")) as wire:
            wire.call("events.subscribe")
            wire.wait_event(lambda e: e["type"] == "blob.progress" and e["job_bytes_done"] > MIB)
        client.send_signal(signal.SIGINT)
        client.communicate(timeout=harness.PATIENCE)
        self.registry.script(rate={"total": 64 * MIB})
        self.assert_exit(self.box.pullama("pull", "--insecure", self.name), 0)
        self.assert_exit(self.box.pullama("pull", "--insecure", self.missing), 4)
        failed, completed, cancelled = self.history()
        self.assertEqual([e["state"] for e in (failed, completed, cancelled)], ["failed", "completed", "cancelled"])
        self.assertEqual(len({e["job"] for e in (failed, completed, cancelled)}), 3)
        self.assertTrue(all(e["job"] for e in (failed, completed, cancelled)))
        self.assertIn("none", failed["error"]["message"])
        self.assertEqual(failed["error"]["kind"], "not_found")
        self.assertEqual(completed["total_bytes"], self.model.total)
        self.assertGreater(completed["saved_bytes"], 0)
        both = completed["fetched_bytes"] + completed["saved_bytes"]
        self.assertLessEqual(both, self.model.total)
        self.assertGreaterEqual(both, self.model.layers[0].size)  # what was whole by then counts as neither
        self.assertGreater(cancelled["fetched_bytes"], MIB // 2)
        self.assertGreater(cancelled["rate"], 0)
        self.assertEqual([e["kind"] for e in (failed, completed, cancelled)], ["pull"] * 3)
        run = self.box.pullama("history")
        self.assert_exit(run, 0)
        lines = run.stdout.splitlines()
        self.assertEqual(len(lines), 4)
        for word in ("MODEL", "STATE", "SIZE", "FETCHED", "SAVED", "RATE", "RETRIES"):
            self.assertIn(word, lines[0])
        self.assertEqual(len(self.box.pullama("history", "--limit", "1").stdout.splitlines()), 2)
        self.assertIn("none", self.box.pullama("history", self.missing).stdout)

    def test_a_damaged_or_missing_database_keeps_nothing_back(self):
        database = self.box.models / ".pullm" / "history.db"
        daemon = self.box.daemon()
        self.assert_exit(self.box.pullama("pull", "--insecure", self.name), 0)
        self.assertEqual(len(self.history()), 1)
        self.box.kill(daemon)
        for path in database.parent.glob("history.db-*"):
            path.unlink()  # what has not been taken over from there would mend it
        database.write_bytes(os.urandom(8192))
        daemon = self.box.daemon()
        self.assertIn("history", self.box.daemon_log())
        self.assert_exit(self.box.pullama("pull", "--insecure", self.name), 0)
        self.assertEqual(len(self.history()), 1, "made anew")
        self.box.kill(daemon)
        for path in database.parent.glob("history.db*"):
            path.unlink()
        database.mkdir()  # not even that
        (database / "in the way").write_text("x")
        self.box.daemon()
        self.assert_exit(self.box.pullama("pull", "--insecure", self.name), 0)
        self.assert_exit(self.box.pullama("history"), 0)


class FinishedTest(PullCase):
    """on_finished, from the user's configuration."""

    def configure(self, *lines):
        path = self.box.home / ".config" / "pullama" / "pullamad.conf"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(lines) + "\n")
        return path

    def test_the_command_runs_after_success_and_failure_without_a_shell(self):
        out = self.box.root / "out"
        script = self.box.root / "note it"
        script.write_text('#!/bin/sh\necho "$# $1|$PULLAMA_MODEL|$PULLAMA_RESULT|$PULLAMA_KIND|$PULLAMA_ERROR" '
                          f'>>"{out}"\nexec ls /proc/self/fd >>"{out}.fd"\n')
        script.chmod(0o755)
        self.configure("# what to do afterwards", f"on_finished = '{script}' \"a $HOME; b\"", "no_such_key = 1")
        daemon = self.box.daemon()
        self.assertIn("pullamad.conf:3: there is no key \"no_such_key\"", self.box.daemon_log())
        before = len(os.listdir(f"/proc/{daemon.pid}/fd"))
        self.assert_exit(self.box.pullama("pull", "--insecure", self.name), 0)
        self.assert_exit(self.box.pullama("pull", "--insecure", self.missing), 4)
        harness.wait_until(lambda: out.exists() and out.read_text().count("\n") == 2, "both ends are noted")
        first, second = out.read_text().splitlines()
        self.assertEqual(first, f"1 a $HOME; b|{self.name}|completed|pull|")
        self.assertRegex(second, rf"^1 a \$HOME; b\|{self.missing}\|failed\|pull\|.+")
        # The last is the folder that ls reads.
        self.assertEqual(set((self.box.root / "out.fd").read_text().split()), {"0", "1", "2", "3"})
        self.assert_no_child(daemon)
        harness.wait_until(lambda: len(os.listdir(f"/proc/{daemon.pid}/fd")) <= before + 4, "no descriptor is left open")

    def assert_no_child(self, daemon):
        harness.wait_until(lambda: not [p for p in os.listdir("/proc") if p.isdigit() and self.parent(p) == daemon.pid],
                           "its children are reaped", limit=30)

    @staticmethod
    def parent(pid):
        try:
            return int(pathlib.Path("/proc", pid, "stat").read_text().rsplit(")", 1)[1].split()[1])
        except (OSError, IndexError):
            return 0

    def test_a_command_that_hangs_holds_nothing_up_and_is_ended(self):
        mark = self.box.root / "mark"
        self.configure(f"on_finished = /bin/sh -c 'trap \"\" TERM; echo $$ >>{mark}; sleep 600'", "on_finished_limit = 3s")
        daemon = self.box.daemon()
        begin = time.monotonic()
        self.assert_exit(self.box.pullama("pull", "--insecure", self.name), 0)
        self.assert_exit(self.box.pullama("pull", "--insecure", self.name), 0)
        self.assertLess(time.monotonic() - begin, 60)
        harness.wait_until(lambda: "on_finished" in self.box.daemon_log() and "was ended after 3 s" in self.box.daemon_log(),
                           "the first is ended")
        harness.wait_until(lambda: mark.exists() and mark.read_text().count("\n") == 2, "the second has its turn")
        self.assertEqual(self.box.terminate(daemon), 0, "the end of the daemon does not wait for it")
        for pid in map(int, mark.read_text().split()):
            harness.wait_until(lambda pid=pid: not pathlib.Path("/proc", str(pid)).exists(), "it is gone")

    def test_flags_go_before_variables_before_files(self):
        outs = [self.box.root / name for name in ("flag", "variable", "file")]
        self.configure(f"on_finished = touch {outs[2]}")
        for arguments, env, expected in ((["--on-finished", f"touch {outs[0]}"], {"PULLAMA_ON_FINISHED": f"touch {outs[1]}"}, 0),
                                         ([], {"PULLAMA_ON_FINISHED": f"touch {outs[1]}"}, 1), ([], {}, 2)):
            with self.subTest(expected=expected):
                daemon = self.box.daemon(*arguments, env=env)
                self.assert_exit(self.box.pullama("pull", "--insecure", self.name), 0)
                harness.wait_until(outs[expected].exists, "the command ran")
                self.assertEqual([out.exists() for out in outs].count(True), 1)
                outs[expected].unlink()
                self.box.terminate(daemon)

    def test_a_wrong_flag_keeps_the_daemon_from_starting_a_wrong_file_does_not(self):
        daemon = self.box.spawn(harness.PULLAMAD, "--on-finished-limit", "0s", stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True)
        out, err = daemon.communicate(timeout=harness.PATIENCE)
        self.assertEqual((daemon.returncode, out), (1, ""))
        self.assert_one_line(err, "--on-finished-limit")
        path = self.configure("on_finished_limit = 0s", "on_finished = 'open")
        path.chmod(0o666)
        self.box.daemon()
        self.assertIn("can be written by others", self.box.daemon_log())


class LogoutTest(PullCase):
    def detached(self, user):
        run = self.box.pullama("pull", "-d", "--insecure", self.name, env={"USER": user})
        self.assert_exit(run, 0)
        return run.stderr

    def test_where_a_logout_ends_the_service_that_is_said_once(self):
        self.assertNotIn("linger", self.detached("nobody-of-this-name"))  # no service that a logout could end
        wants = self.box.home / ".config/systemd/user/sockets.target.wants"
        wants.mkdir(parents=True)
        (wants / "pullamad.socket").symlink_to("/usr/lib/systemd/user/pullamad.socket")
        self.assertNotIn("linger", self.detached(""))
        self.assertIn("loginctl enable-linger", self.detached("nobody-of-this-name"))
        self.assertNotIn("linger", self.detached("nobody-of-this-name"))


class OnDemandTest(harness.TestCase):
    def test_an_idle_daemon_leaves(self):
        daemon = self.box.daemon("--on-demand", "--idle-time", "1s")
        self.assertEqual(daemon.wait(harness.PATIENCE), 0)
        self.assertFalse(self.box.socket.exists())

    def test_a_daemon_with_a_client_or_work_is_not_idle(self):
        daemon = self.box.daemon("--on-demand", "--idle-time", "1s")
        with Wire(self.box.socket) as wire:
            time.sleep(2.5)
            self.assertIsNone(daemon.poll())
            self.assertGreaterEqual(wire.call("daemon.info")["uptime_s"], 2)
        self.assertEqual(daemon.wait(harness.PATIENCE), 0)


class OtherVersionTest(harness.TestCase):
    """A stand-in that says of itself what another daemon would."""

    def serve(self, **info):
        self.box.socket.parent.mkdir(mode=0o700)
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(self.box.socket))
        listener.listen(8)
        answers = {"daemon.info": {"version": "0.1.9", "protocol": 1, "epoch": "e", "seq": 0, "pid": 4711, "uptime_s": 1,
                                   "models_dir": "/m", "socket": str(self.box.socket), "rate": 0.0,
                                   "jobs": dict.fromkeys(("queued", "active", "waiting_network", "waiting_space", "paused",
                                                          "completed", "failed", "cancelled"), 0),
                                   "limits": {"rate": 0, "connections": 0, "parallel_models": 1}, **info},
                   "queue.list": {"paused": True, "entries": []}}

        def talk(peer):
            with peer, peer.makefile("rb") as lines:
                for line in lines:
                    request = json.loads(line)
                    reply = {"jsonrpc": "2.0", "id": request["id"], "result": answers.get(request["method"], {})}
                    peer.sendall(json.dumps(reply).encode() + b"\n")

        def serve():
            try:
                while True:
                    threading.Thread(target=talk, args=(listener.accept()[0],), daemon=True).start()
            except OSError:
                pass

        threading.Thread(target=serve, daemon=True).start()
        self.addCleanup(lambda: (listener.shutdown(socket.SHUT_RDWR), listener.close()))

    def test_an_older_daemon_works_and_is_named(self):
        self.serve()
        run = self.box.pullama("queue", "list")
        self.assertEqual((run.returncode, run.stdout), (0, "queue is empty\n"))
        self.assert_one_line(run.stderr, "4711", "0.1.9", "pullama daemon stop")
        run = self.box.pullama("queue", "list", "--output", "json")
        self.assertEqual(run.stderr, "")
        self.assertIn("0.1.9", self.box.pullama("daemon", "status").stdout)

    def test_a_newer_daemon_means_that_the_client_is_to_be_replaced(self):
        self.serve(version="99.0")
        run = self.box.pullama("queue", "list")
        self.assertEqual(run.returncode, 0)
        self.assert_one_line(run.stderr, "99.0", "the older one")

    def test_another_protocol_is_an_error_that_says_what_to_restart(self):
        self.serve(protocol=0)
        for command in (["queue", "list"], ["pull", "m"], ["watch"]):
            with self.subTest(command=command):
                run = self.box.pullama(*command)
                self.assert_exit(run, 1)
                self.assert_one_line(run.stderr, "4711", "0.1.9", "protocol 0", "pullama daemon stop")
                self.assertEqual(run.stdout, "")


if __name__ == "__main__":
    harness.main()
