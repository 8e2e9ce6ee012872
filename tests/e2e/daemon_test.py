#!/usr/bin/python3
"""The daemon as a program and as a neighbour: its command line, its socket, a second one, hostile peers."""

import fcntl
import json
import os
import shutil
import signal
import socket
import stat
import subprocess

import harness
import schemas
from blobs import small_model
from registries import ScriptedRegistry
from wire import RpcError, Wire


class DaemonTest(harness.TestCase):
    def test_the_socket_is_private_and_gone_after_the_end(self):
        daemon = self.box.daemon()
        self.assertEqual(stat.S_IMODE(self.box.socket.stat().st_mode), 0o600)
        self.assertEqual(stat.S_IMODE(self.box.socket.parent.stat().st_mode), 0o700)
        self.assertEqual(self.box.terminate(daemon), 0)
        self.assertFalse(self.box.socket.exists())

    def test_a_second_daemon_on_a_live_socket_exits_1(self):
        self.box.daemon()
        second = self.box.spawn(harness.PULLAMAD, "--models-dir", self.box.root / "other", stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True)
        out, err = second.communicate(timeout=harness.PATIENCE)
        self.assertEqual(second.returncode, 1, err)
        self.assert_one_line(err, str(self.box.socket))
        self.assertTrue(harness.answers(self.box.socket), "the first one still answers")

    def test_a_second_daemon_on_the_same_models_dir_names_the_first(self):
        self.box.daemon()
        elsewhere = self.box.root / "second.sock"
        second = self.box.spawn(harness.PULLAMAD, "--socket", elsewhere, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True)
        # It may go and say so, or stay and answer `locked`; never may it touch the store.
        try:
            out, err = second.communicate(timeout=2 if not harness.SANITIZE else 6)
            self.assertEqual(second.returncode, 1)
            self.assertIn(str(self.box.socket), err)
        except subprocess.TimeoutExpired:
            with Wire(elsewhere) as wire, self.assertRaises(RpcError) as caught:
                wire.call("pull.start", model="m", models_dir=str(self.box.models))
            self.assertEqual(caught.exception.data["kind"], "locked")
            self.assertIn(str(self.box.socket), json.dumps(caught.exception.data) + caught.exception.message)
            self.box.terminate(second)

    def test_a_stale_socket_is_taken_over(self):
        self.box.kill(self.box.daemon())
        self.assertTrue(self.box.socket.exists(), "kill -9 leaves it")
        self.box.daemon()
        self.assertTrue(harness.answers(self.box.socket))

    def test_wrong_flags_exit_1_with_a_line(self):
        for arguments in (["--frobnicate"], ["--log-level", "loud"], ["--socket"], ["extra"], ["--models-dir", ""]):
            with self.subTest(arguments=arguments):
                daemon = self.box.spawn(harness.PULLAMAD, *arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                        text=True)
                out, err = daemon.communicate(timeout=harness.PATIENCE)
                self.assertEqual(daemon.returncode, 1, err)
                self.assert_one_line(err, arguments[0].lstrip("-"))
                self.assertEqual(out, "")

    def test_a_state_folder_that_somebody_removed_is_made_and_locked_again(self):
        model = small_model()
        registry = ScriptedRegistry(self.box, {"models": [model.script()]})
        self.box.daemon()
        shutil.rmtree(self.box.models / ".pullm")
        self.assert_exit(self.box.pullama("pull", "--insecure", registry.name(model)), 0)
        second = self.box.spawn(harness.PULLAMAD, "--socket", self.box.root / "other.sock", stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True)
        _, err = second.communicate(timeout=harness.PATIENCE)
        self.assertEqual(second.returncode, 1)
        self.assertIn(str(self.box.socket), err)

    def test_who_sees_a_daemon_hang_up_can_start_the_next(self):
        for _ in range(10):
            daemon = self.box.daemon()
            with socket.socket(socket.AF_UNIX) as line:
                line.settimeout(harness.PATIENCE)
                line.connect(str(self.box.socket))
                line.sendall(b'{"jsonrpc":"2.0","id":1,"method":"daemon.info"}\n')
                self.assertTrue(line.recv(65536))
                daemon.send_signal(signal.SIGTERM)
                while line.recv(65536):
                    pass
                lock = open(self.box.models / ".pullm" / "daemon.lock", "rb")
                with lock:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self.assertEqual(daemon.wait(harness.PATIENCE), 0)

    def test_a_models_dir_that_cannot_be_made_is_no_missing_model(self):
        self.assert_error(self.box.pullama("pull", "--models-dir", "/proc/nothing/here", "m"), 1, "/proc")

    def test_a_socket_folder_that_is_a_symlink_is_refused(self):
        outside = self.box.root / "outside"
        outside.mkdir(mode=0o700)
        (self.box.runtime / "pullama").symlink_to(outside)
        daemon = self.box.spawn(harness.PULLAMAD, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        out, err = daemon.communicate(timeout=harness.PATIENCE)
        self.assertEqual(daemon.returncode, 1, err)
        self.assertEqual(os.listdir(outside), [])

    def test_on_demand_takes_its_socket_from_the_environment(self):
        path = self.box.root / "own.sock"
        self.box.daemon("--on-demand", env={"PULLAMA_SOCKET": str(path)}, socket=path)
        run = self.box.pullama("--no-autostart", "jobs", env={"PULLAMA_SOCKET": str(path)})
        self.assert_exit(run, 0)
        self.assert_exit(self.box.pullama("--no-autostart", "--socket", path, "jobs"), 0)

    def hand_over(self, **environment):
        """A daemon that was handed a socket, as a service manager does it."""
        listener = socket.socket(socket.AF_UNIX)
        path = self.box.root / "given.sock"
        listener.bind(str(path))
        listener.listen(8)

        def hand_over():
            os.dup2(listener.fileno(), 3)
            os.set_inheritable(3, True)

        # LISTEN_PID must be the daemon's own: a shell sets it and becomes the daemon.
        command = ["/bin/sh", "-c", 'LISTEN_PID=$$ LISTEN_FDS=1 exec "$0"', harness.PULLAMAD]
        with open(self.box.root / "daemon.log", "ab") as log:
            process = subprocess.Popen(command, env={**self.box.environment, **environment}, preexec_fn=hand_over, close_fds=False,
                                       stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        self.box.children.append(process)
        listener.close()
        return process, path

    def test_socket_activation(self):
        # The path that it does not need cannot be in its way.
        process, path = self.hand_over(XDG_RUNTIME_DIR="/run/" + "x" * 200)
        info = harness.wait_until(lambda: harness.answers(path), "it answers on the socket that it was given")
        self.assertEqual(info["pid"], process.pid)
        self.assertEqual(self.box.terminate(process), 0)
        self.assertTrue(path.exists(), "the socket is the service manager's")

    def test_a_socket_that_is_named_comes_before_one_that_is_handed_over(self):
        own = self.box.root / "own.sock"
        process, path = self.hand_over(PULLAMA_SOCKET=str(own))
        info = harness.wait_until(lambda: harness.answers(own), "it answers on the socket that was named")
        self.assertEqual((info["pid"], info["socket"]), (process.pid, str(own)))
        self.assertEqual(self.box.terminate(process), 0)

    def test_another_uid_is_refused(self):
        if os.getuid() != 0:
            self.assertNotEqual(os.getuid(), 0)  # only root can become somebody else; the peer check has a unit test
            return
        self.box.daemon()
        # Opened wide so that only the kernel's word about the peer is left to refuse by.
        for path in (self.box.root, self.box.runtime, self.box.socket.parent):
            path.chmod(0o755)
        self.box.socket.chmod(0o666)
        code = ("import socket,sys\ns=socket.socket(socket.AF_UNIX)\ns.settimeout(20)\n"
                "s.connect(sys.argv[1])\n"
                "try:\n s.sendall(b'{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"daemon.info\"}\\n')\n"
                " data=s.recv(65536)\nexcept OSError: data=b''\nsys.stdout.write(repr(data))\n")
        run = subprocess.run(["/usr/bin/python3", "-c", code, str(self.box.socket)], user=65534, group=65534,
                             extra_groups=[], capture_output=True, text=True, timeout=60)
        self.assertNotIn("models_dir", run.stdout, run.stderr)
        self.assertNotIn("result", run.stdout)
        self.assertTrue(harness.answers(self.box.socket))


    def test_a_limit_on_threads_fails_jobs_and_never_ends_the_daemon(self):
        if os.getuid() != 0:
            self.assertNotEqual(os.getuid(), 0)  # root has no such limit, and only root can become somebody who has
            return
        user = 200_000 + os.getpid() % 100_000  # nobody's, so that nothing else counts
        silent = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.addCleanup(silent.close)
        for folder in (self.box.root, self.box.home, self.box.runtime, self.box.reports):
            os.chown(folder, user, user)
        wrap = ("setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", "prlimit", "--nproc=60")
        daemon = self.box.daemon(wrap=wrap)
        with Wire(self.box.socket) as wire:
            for number in range(80):
                wire.call("pull.start", model=f"127.0.0.1:{silent.getsockname()[1]}/library/m{number}",
                          options={"insecure": True})
            failed = harness.wait_until(lambda: [j for j in wire.call("job.list")["jobs"] if j["state"] == "failed"],
                                        "some find no thread")
            self.assertIn("thread", failed[0]["error"]["message"])
            self.assertIsNone(daemon.poll(), "it lives")
            for job in wire.call("job.list")["jobs"]:
                if job["state"] not in ("failed", "cancelled"):
                    wire.call("job.cancel", job=job["id"])
        self.assertEqual(self.box.terminate(daemon), 0)


class ProtocolTest(harness.TestCase):
    def setUp(self):
        super().setUp()
        self.box.daemon()

    def raw(self):
        wire = Wire(self.box.socket)
        self.addCleanup(wire.close)
        return wire

    def test_there_are_schemas_to_hold_every_line_against(self):
        self.assertTrue(schemas.FOLDER.is_dir())
        self.assertGreater(len(list(schemas.FOLDER.rglob("*.json"))), 20)

    def test_faults_of_form_get_their_code_and_the_connection_lives(self):
        wire = self.raw()
        cases = [
            (b"{nonsense\n", -32700, None), (b"[]\n", -32600, None),
            (b'[{"jsonrpc":"2.0","id":1,"method":"daemon.info"}]\n', -32600, None),
            (b'{"jsonrpc":"2.0","id":7}\n', -32600, 7), (b'{"jsonrpc":"1.0","id":7,"method":"daemon.info"}\n', -32600, 7),
            (b'{"jsonrpc":"2.0","id":8,"method":"no.such"}\n', -32601, 8),
            (b'{"jsonrpc":"2.0","id":"x","method":"job.get","params":{"job":5}}\n', -32602, "x"),
            (b'{"jsonrpc":"2.0","id":9,"method":"pull.start","params":[1]}\n', -32602, 9),
            (b"true\n", -32600, None), (b'"text"\n', -32600, None),
        ]
        for line, code, number in cases:
            with self.subTest(line=line):
                wire.send(line)
                reply = wire.reply()
                self.assertEqual((reply["error"]["code"], reply["id"]), (code, number), reply)
        self.assertEqual(wire.call("daemon.info")["protocol"], 1)

    def test_faults_that_close_the_connection(self):
        cases = {
            "a line of more than 1 MiB": b'{"x":"' + b"a" * (1 << 20) + b'"}\n',
            "no UTF-8": b'{"jsonrpc":"2.0","id":1,"method":"\xff\xfe"}\n',
            "nested too deep": b"[" * 40 + b"]" * 40 + b"\n",
        }
        for name, data in cases.items():
            with self.subTest(name):
                wire = self.raw()
                try:
                    wire.send(data)
                except OSError:
                    pass  # it may close before it has read all
                reply = wire.reply()
                self.assertEqual((reply["error"]["code"], reply["id"]), (-32700, None))
                with self.assertRaises(EOFError):
                    wire.reply()
        self.assertTrue(harness.answers(self.box.socket))

    def test_a_line_in_pieces_and_several_in_one(self):
        wire = self.raw()
        line = b'{"jsonrpc":"2.0","id":%d,"method":"daemon.info"}\n'
        for i in range(len(line % 1)):
            wire.send((line % 1)[i:i + 1])
        self.assertEqual(wire.reply()["id"], 1)
        wire.send(b"".join(line % i for i in range(2, 30)))
        self.assertEqual([wire.reply()["id"] for _ in range(2, 30)], list(range(2, 30)))

    def test_a_web_page_gets_nothing(self):
        with socket.socket(socket.AF_UNIX) as peer:
            peer.connect(str(self.box.socket))
            peer.settimeout(30)
            peer.sendall(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\n\r\n"
                         b'{"jsonrpc":"2.0","id":1,"method":"daemon.shutdown"}\n')
            received = b""
            try:
                while piece := peer.recv(65536):
                    received += piece
            except ConnectionError:
                pass
        self.assertNotIn(b"result", received)
        self.assertTrue(harness.answers(self.box.socket), "it was not shut down")

    def test_many_silent_and_half_finished_peers(self):
        peers = []
        try:
            for number in range(300):
                peer = socket.socket(socket.AF_UNIX)
                peer.settimeout(30)
                peer.connect(str(self.box.socket))
                if number % 2:
                    peer.sendall(b'{"jsonrpc":"2.0","id":1,')
                peers.append(peer)
            self.assertTrue(harness.answers(self.box.socket))
        finally:
            for peer in peers:
                peer.close()

    def test_methods_of_later_versions_answer_and_do_not_break(self):
        wire = self.raw()
        for method in ("limits.get", "queue.list", "history.list", "store.list", "job.list", "daemon.info"):
            try:
                self.assertIsInstance(wire.call(method), dict, method)
            except RpcError as error:
                self.assertEqual((error.code, error.data["kind"]), (-32000, "unsupported"), method)

    def test_errors_carry_kind_exit_code_and_hint(self):
        wire = self.raw()
        with self.assertRaises(RpcError) as caught:
            wire.call("store.show", model="nobody")
        error = caught.exception
        self.assertEqual((error.code, error.data["kind"], error.data["exit_code"]), (-32000, "not_found", 4))
        self.assertIn("hint", error.data)
        for method, params in (("pull.start", {"model": "../x"}), ("pull.start", {"model": ""})):
            with self.assertRaises(RpcError) as caught:
                wire.call(method, **params)
            self.assertIn((caught.exception.code, caught.exception.data.get("kind")),
                          [(-32000, "invalid_argument"), (-32602, "invalid_argument")])

    def test_one_store_by_two_paths_is_one_job(self):
        (self.box.root / "store").mkdir()
        (self.box.root / "link").symlink_to(self.box.root / "store")
        silent = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(silent.close)
        wire, jobs = self.raw(), []
        for folder in ("link", "store"):
            jobs.append(wire.call("pull.start", model=f"127.0.0.1:{silent.getsockname()[1]}/library/m",
                                  options={"insecure": True}, models_dir=str(self.box.root / folder)))
        self.assertEqual([j["joined"] for j in jobs], [False, True])
        self.assertEqual(wire.call("job.cancel", job=jobs[0]["job"])["state"], "cancelled")

    def test_paths_that_cannot_be_are_the_asker_s_mistake(self):
        wire = self.raw()
        for path in ("/dev/null", "/dev/null/x", "/tmp/" + "x" * 300):
            with self.assertRaises(RpcError) as caught:
                wire.call("pull.start", model="m", models_dir=path)
            self.assertEqual(caught.exception.data["kind"], "invalid_argument", path)
        pipe = self.box.root / "pipe"
        os.mkfifo(pipe)
        with self.assertRaises(RpcError) as caught:
            wire.call("pull.start", model="m", options={"dry_run": True, "ca_file": str(pipe)})
        self.assertEqual(caught.exception.data["kind"], "invalid_argument")
        with self.assertRaises(RpcError) as caught:
            wire.call("queue.add", models=[f"m{i}" for i in range(50_000)], options={"ca_file": "/" + "x" * 4000})
        self.assertEqual(caught.exception.data["kind"], "invalid_argument")
        self.assertEqual(wire.call("queue.list")["entries"], [])

    def test_a_large_request_does_not_cost_the_watchers_their_connection(self):
        watcher, wire = Wire(self.box.socket, check=False), self.raw()  # 16,000 lines are too many to check each
        self.addCleanup(watcher.close)
        seq = watcher.call("events.subscribe")["seq"]
        count = 8_000
        self.assertEqual(len(wire.call("queue.add", models=[f"m{i}" for i in range(count)])["added"]), count)
        wire.call("queue.clear")
        wanted = 2 * count + 2
        harness.wait_until(lambda: len(watcher.events) >= wanted or watcher.closed, "all of it arrives")
        self.assertEqual([e["seq"] for e in watcher.events], list(range(seq + 1, seq + 1 + wanted)))

    def test_shutdown_over_the_socket(self):
        wire = self.raw()
        wire.call("daemon.shutdown")
        harness.wait_until(lambda: self.box.children[0].poll() is not None, "the daemon ends")
        self.assertEqual(self.box.children[0].returncode, 0)


class EventsTest(harness.TestCase):
    def setUp(self):
        super().setUp()
        self.model = small_model(sizes=(2_000_000, 1000))
        self.registry = ScriptedRegistry(self.box, {"models": [self.model.script()], "rate": {"total": 2_000_000},
                                                    "cdn": {"mode": "redirect"}})
        self.box.daemon()
        self.name = self.registry.name(self.model)

    def start(self, wire):
        return wire.call("pull.start", model=self.name, options={"insecure": True})

    def test_every_state_change_once_in_order_from_first_to_last(self):
        with Wire(self.box.socket) as wire:
            begin = wire.call("events.subscribe")
            job = self.start(wire)["job"]
            wire.wait_type("job.completed", "job.failed")
            states = [e for e in wire.events if e["type"] != "blob.progress"]
            self.assertEqual([e["seq"] for e in states], list(range(begin["seq"] + 1, begin["seq"] + 1 + len(states))))
            for before, after in zip(wire.events, wire.events[1:]):
                self.assertLessEqual(before["seq"], after["seq"])
            types = [e["type"] for e in states if e.get("job") == job]
            for expected in ("job.started", "manifest.fetching", "manifest.fetched", "blob.started", "blob.verified",
                             "blob.finalized", "manifest.written", "job.completed"):
                self.assertIn(expected, types)
            order = [types.index(t) for t in ("job.started", "manifest.fetched", "blob.started", "manifest.written",
                                              "job.completed")]
            self.assertEqual(order, sorted(order))
            done = [e["job_bytes_done"] for e in wire.events if e["type"] == "blob.progress"]
            self.assertEqual(done, sorted(done), "shown progress never falls")
            self.assertEqual(wire.call("job.get", job=job)["state"], "completed")

    def test_since_replays_what_was_missed(self):
        with Wire(self.box.socket) as wire:
            begin = wire.call("events.subscribe")
            self.start(wire)
            wire.wait_type("job.completed", "job.failed")
            whole = [e for e in wire.events if e["type"] != "blob.progress"]
        middle = begin["seq"] + len(whole) // 2
        with Wire(self.box.socket) as wire:
            reply = wire.call("events.subscribe", since=middle)
            self.assertFalse(reply["gap"])
            missing = [e for e in whole if e["seq"] > middle]
            harness.wait_until(lambda: len(wire.events) >= len(missing), "the replay")
            self.assertEqual([(e["seq"], e["type"]) for e in wire.events],
                             [(e["seq"], e["type"]) for e in missing])
        with Wire(self.box.socket) as wire:
            reply = wire.call("events.subscribe", since=10 ** 9)
            self.assertTrue(reply["gap"])
            self.assertIn("snapshot", reply)

    def test_trace_comes_only_when_asked_for(self):
        with Wire(self.box.socket) as plain, Wire(self.box.socket) as traced:
            plain.call("events.subscribe")
            traced.call("events.subscribe", trace=True)
            self.start(plain)
            for wire in (plain, traced):
                wire.wait_type("job.completed", "job.failed")
            kinds = {e["type"] for e in traced.events} - {e["type"] for e in plain.events}
            self.assertIn("http.request", kinds)
            for event in traced.events:
                if event["type"] == "http.request":
                    self.assertNotIn("?", event["path"])
                    self.assertNotIn("seq", event)

    def test_filters_by_type_and_unsubscribe(self):
        with Wire(self.box.socket) as wire:
            wire.call("events.subscribe", types=["job.completed"])
            self.start(wire)
            wire.wait_type("job.completed")
            self.assertEqual({e["type"] for e in wire.events}, {"job.completed"})
            wire.call("events.unsubscribe")

    def test_a_reader_that_stops_reading_does_not_slow_the_pull(self):
        stuck = [socket.socket(socket.AF_UNIX) for _ in range(20)]
        try:
            for peer in stuck:
                peer.connect(str(self.box.socket))
                peer.sendall(b'{"jsonrpc":"2.0","id":1,"method":"events.subscribe","params":{"trace":true}}\n')
            with Wire(self.box.socket) as wire:
                wire.call("events.subscribe")
                self.start(wire)
                self.assertEqual(wire.wait_type("job.completed", "job.failed")["type"], "job.completed")
        finally:
            for peer in stuck:
                peer.close()

    def test_two_starts_of_one_model_are_one_job(self):
        with Wire(self.box.socket) as wire:
            first, second = self.start(wire), self.start(wire)
            self.assertEqual(first["job"], second["job"])
            self.assertTrue(second["joined"])


if __name__ == "__main__":
    harness.main()
