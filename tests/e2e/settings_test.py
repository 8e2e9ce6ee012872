#!/usr/bin/python3
"""The daemon's settings: what is in effect and where it came from, without secrets; read again at SIGHUP; heard by what goes
out into the network; and what a service manager hears."""

import json
import signal
import socket
import subprocess

import harness
from blobs import MIB, Blob, Model, small_model
from proxies import HttpProxy
from registries import Authority, DockerRegistry, ScriptedRegistry
from wire import Wire

HIDDEN = "registry.hidden.example"  # only a proxy knows where it is


class SettingsCase(harness.TestCase):
    def setUp(self):
        super().setUp()
        self.file = self.box.home / ".config" / "pullama" / "pullamad.conf"

    def configure(self, *lines):
        self.file.parent.mkdir(parents=True, exist_ok=True)
        self.file.write_text("\n".join([*lines, ""]))

    def told(self):
        with Wire(self.box.socket) as wire:
            return wire.call("daemon.info")

    def settings(self):
        return {s["key"]: (s["value"], s["from"]) for s in self.told()["settings"]}


class InEffectTest(SettingsCase):
    def test_each_setting_says_where_it_came_from_and_secrets_are_hidden(self):
        self.configure("# a comment", "limit_rate = 5M", "on_finished = /bin/true --token hushhush", "limit_rat = 6M",
                       "https_proxy = http://file.example:1", "connections = 17")
        self.box.daemon("--parallel-models", "3",
                        env={"HTTPS_PROXY": "http://mia:hush@proxy.example:3128", "PULLAMA_IDLE_TIME": "90s"})
        settings = self.settings()
        self.assertEqual(settings["limit_rate"], ("5.0 MB/s", f"{self.file}:2"))
        self.assertEqual(settings["parallel_models"], ("3", "--parallel-models"))
        self.assertEqual(settings["models_dir"], (str(self.box.models), "$OLLAMA_MODELS"))
        self.assertEqual(settings["https_proxy"], ("http://proxy.example:3128", "$HTTPS_PROXY"))
        self.assertEqual(settings["idle_time"], ("1m30s", "$PULLAMA_IDLE_TIME"))
        self.assertEqual(settings["connections"], ("auto", "default"))
        self.assertEqual(settings["on_finished"], ("/bin/true …", f"{self.file}:3"))
        self.assertEqual(settings["socket"], (str(self.box.socket), "default"))
        run = self.box.pullama("daemon", "status")
        self.assert_exit(run, 0)
        for word in ("5.0 MB/s", f"{self.file}:2", "$HTTPS_PROXY", f"{self.file}:4", "limit_rat", f"{self.file}:6"):
            self.assertIn(word, run.stdout)
        for word in ("hush", "mia"):
            self.assertNotIn(word, run.stdout + self.box.daemon_log())

    def test_a_limit_of_the_configuration_ends_with_it_and_one_that_was_set_stays(self):
        def limits():
            told = {key: self.settings()[key] for key in ("limit_rate", "connections", "parallel_models")}
            return list(told.values())

        self.configure("limit_rate = 3M", "connections = 2")
        daemon = self.box.daemon("--parallel-models", "4")
        self.assertEqual(limits(), [("3.0 MB/s", f"{self.file}:1"), ("2", f"{self.file}:2"), ("4", "--parallel-models")])
        self.assertEqual(self.box.terminate(daemon), 0)
        self.file.unlink()
        daemon = self.box.daemon()
        self.assertEqual(limits(), [("off", "default"), ("auto", "default"), ("1", "default")])
        self.assert_exit(self.box.pullama("limit", "800k"), 0)
        self.assertEqual(self.box.terminate(daemon), 0)
        self.box.daemon()
        self.assertEqual(limits(), [("800.0 kB/s", "limits.set"), ("auto", "default"), ("1", "default")])

    def test_an_unknown_group_in_a_file_keeps_nobody_from_starting(self):
        self.configure("socket_group = no-such-group-anywhere")
        self.box.daemon()
        self.assertEqual(self.settings()["socket_group"], ("", "default"))
        self.assertTrue(any(f"{self.file}:1: socket_group" in warning for warning in self.told()["warnings"]))
        refused = self.box.spawn(harness.PULLAMAD, "--socket-group", "no-such-group-anywhere", "--models-dir",
                                 self.box.root / "other", "--socket", self.box.root / "s", stdout=subprocess.PIPE,
                                 stderr=subprocess.PIPE)
        refused.communicate(timeout=harness.PATIENCE)
        self.assertEqual(refused.returncode, 1)

    def test_a_limit_that_was_set_says_so(self):
        self.configure("limit_rate = 5M")
        self.box.daemon()
        self.assert_exit(self.box.pullama("limit", "800k"), 0)
        self.assertEqual(self.settings()["limit_rate"], ("800.0 kB/s", "limits.set"))


class ModelsDirTest(SettingsCase):
    def setUp(self):
        super().setUp()
        self.model = small_model(sizes=(50_000,))
        self.registry = ScriptedRegistry(self.box, {"models": [self.model.script()]})
        self.theirs = self.box.root / "theirs"
        for folder in (self.box.models, self.box.root / "here", self.box.home / ".ollama/models"):
            folder.mkdir(parents=True)

    def listed(self, *flags, env=None):
        run = self.box.pullama("list", "--output", "json", *flags, env=env)
        self.assert_exit(run, 0)
        return json.loads(run.stdout)["models_dir"]

    def test_the_file_s_is_where_a_pull_goes_that_names_none(self):
        self.configure(f"models_dir = {self.theirs}")
        nothing_said = {"OLLAMA_MODELS": None}
        name = self.registry.name(self.model)
        self.assert_exit(self.box.pullama("pull", "--insecure", name, env=nothing_said), 0)
        self.assert_stored(self.registry.host, self.model, self.theirs)
        self.assert_nothing_stored(self.box.home / ".ollama/models")
        self.assertEqual(self.listed(env=nothing_said), str(self.theirs))
        self.assertEqual(self.listed(), str(self.box.models))
        self.assertEqual(self.listed("--models-dir", "here", env=nothing_said), str(self.box.root / "here"))
        run = self.box.pullama("__complete", "show", "", env=nothing_said)
        self.assertIn(self.model.repository, run.stdout)

    def test_a_daemon_that_listens_elsewhere_by_its_file_is_explained(self):
        self.configure(f"socket = {self.box.root}/elsewhere.sock")
        run = self.box.pullama("list")
        self.assert_error(run, 1, str(self.box.socket), "after 30 seconds", "pullamad.conf", "$PULLAMA_SOCKET")
        told = {"PULLAMA_SOCKET": f"{self.box.root}/elsewhere.sock"}
        self.assert_exit(self.box.pullama("list", env=told), 0)

    def test_a_flag_of_the_one_who_started_the_daemon_binds_nobody_else(self):
        self.box.daemon("--models-dir", self.theirs)
        self.assertEqual(self.listed(env={"OLLAMA_MODELS": None}), str(self.box.home / ".ollama/models"))


class HangupTest(SettingsCase):
    def test_new_values_come_into_effect_and_what_cannot_change_is_named(self):
        self.configure("limit_rate = 5M")
        daemon = self.box.daemon()
        self.configure("limit_rate = 7M", "http_proxy = http://new.example:1", f"socket = {self.box.root}/other.sock",
                       "nothing = 1")
        daemon.send_signal(signal.SIGHUP)
        harness.wait_until(lambda: self.settings()["limit_rate"][0] == "7.0 MB/s", "the limit is read again")
        told = self.told()
        self.assertEqual(told["network"]["http_proxy"], "http://new.example:1")
        self.assertEqual(told["limits"]["rate"], 7_000_000)
        self.assertEqual(self.settings()["socket"][0], str(self.box.socket))
        self.assertTrue(any("socket" in warning and "started again" in warning for warning in told["warnings"]), told)
        self.assertTrue(any(f"{self.file}:4" in warning for warning in told["warnings"]), told)

    def test_what_cannot_be_used_changes_nothing(self):
        lines = ["user_agent = good/1", "http_proxy = http://good.example:1", "idle_time = 90s"]
        self.configure(*lines)
        daemon = self.box.daemon()
        before = self.settings()

        def warned(word):
            daemon.send_signal(signal.SIGHUP)
            return harness.wait_until(lambda: any(word in warning for warning in self.told().get("warnings", [])), word)

        self.configure("user_agent = good/1", "idle_time = soon", "http_proxy = http://good.example:1")
        warned(f"{self.file}:2: idle_time")
        self.assertEqual({key: value for key, (value, _) in self.settings().items()},
                         {key: value for key, (value, _) in before.items()})
        self.configure(*lines)
        self.file.chmod(0o666)
        warned("can be written by others")
        self.file.unlink()
        self.file.mkdir()
        warned("is no file")
        self.assertEqual({key: value for key, (value, _) in self.settings().items()},
                         {key: value for key, (value, _) in before.items()})
        self.file.rmdir()
        daemon.send_signal(signal.SIGHUP)
        harness.wait_until(lambda: self.settings()["idle_time"] == ("10m0s", "default"), "a file that is gone says nothing")
        self.assertIn("what it said before stays", self.box.daemon_log())

    def test_a_limit_that_was_set_meanwhile_stays(self):
        self.configure("limit_rate = 5M")
        daemon = self.box.daemon()
        self.assert_exit(self.box.pullama("limit", "800k"), 0)
        self.configure("limit_rate = 5M", "user_agent = other/1")
        daemon.send_signal(signal.SIGHUP)
        harness.wait_until(lambda: self.settings()["user_agent"][0] == "other/1", "the file is read again")
        self.assertEqual(self.told()["limits"]["rate"], 800_000)

    def test_many_at_once_end_nothing(self):
        daemon = self.box.daemon()
        for _ in range(200):
            daemon.send_signal(signal.SIGHUP)
        self.assertTrue(self.told())
        self.assertIsNone(daemon.poll())


class HangingTest(SettingsCase):
    def test_a_daemon_that_hangs_is_named_with_the_remedy(self):
        daemon = self.box.daemon()
        daemon.send_signal(signal.SIGSTOP)
        self.addCleanup(daemon.send_signal, signal.SIGCONT)
        words = (f"pid {daemon.pid}", str(self.box.socket), "does not answer", f"kill -KILL {daemon.pid}")
        commands = (("daemon", "status"), ("daemon", "start"), ("daemon", "stop"), ("list",))
        runs = [self.box.start_pullama(*command) for command in commands]
        asked = [self.box.start_pullama("doctor", *flags) for flags in ((), ("--output", "json"))]
        for run in runs:
            out, err = run.communicate(timeout=harness.PATIENCE)
            self.assertEqual((run.returncode, out), (1, ""), err)
            self.assert_one_line(err, *words)
            self.assertNotIn("not running", err)
        told = [run.communicate(timeout=harness.PATIENCE) for run in asked]
        self.assertEqual([run.returncode for run in asked], [1, 1], told)
        for word in ("daemon", *words):
            self.assertIn(word, told[0][0] + told[0][1])
        document = json.loads(told[1][0])
        self.assertFalse(document["ok"])
        self.assertEqual([(c["check"], c["status"]) for c in document["checks"]], [("daemon", "failed")])
        self.assertIn(f"kill -KILL {daemon.pid}", document["checks"][0]["hint"])


class ServiceManagerTest(SettingsCase):
    def test_it_hears_that_the_daemon_is_ready_alive_and_going(self):
        path = self.box.root / "notify"
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
            listener.bind(str(path))
            listener.settimeout(harness.PATIENCE)
            daemon = self.box.daemon(env={"NOTIFY_SOCKET": str(path), "WATCHDOG_USEC": "400000"})
            heard = [listener.recv(4096).decode() for _ in range(4)]
            self.assertIn("READY=1", heard[0])
            self.assertEqual(heard[1:], ["WATCHDOG=1"] * 3)
            daemon.send_signal(signal.SIGTERM)
            self.assertEqual(daemon.wait(harness.PATIENCE), 0)
            listener.settimeout(1)
            last = ""
            while "STOPPING" not in last:
                last = listener.recv(4096).decode()

    def test_one_that_wants_nothing_hears_no_watchdog(self):
        path = self.box.root / "notify"
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
            listener.bind(str(path))
            listener.settimeout(harness.PATIENCE)
            self.box.daemon(env={"NOTIFY_SOCKET": str(path), "WATCHDOG_USEC": "200000", "WATCHDOG_PID": "1"})
            self.assertIn("READY=1", listener.recv(4096).decode())
            listener.settimeout(1)
            with self.assertRaises(TimeoutError):
                listener.recv(4096)


class NetworkTest(SettingsCase):
    def test_a_push_goes_by_the_proxy_and_the_ca_of_the_file(self):
        authority = Authority(self.box)
        registry = DockerRegistry(self.box, tls=authority.certificate("site", alt=f"IP:127.0.0.1,DNS:{HIDDEN}"))
        proxy = HttpProxy(places={(HIDDEN, registry.port): registry.port})
        self.addCleanup(proxy.close)
        model = Model("library/big", "latest", [Blob(seed=7, size=24 * MIB)])
        source = DockerRegistry(self.box)
        source.push(model)
        self.configure(f"https_proxy = {proxy.address('http')}", f"ca_file = {authority.ca}")
        self.box.daemon()
        self.assert_exit(self.box.pullama("pull", "--insecure", source.name(model)), 0)
        name = f"{HIDDEN}:{registry.port}/library/big:latest"
        self.assert_exit(self.box.pullama("cp", source.name(model), name), 0)
        self.assert_exit(self.box.pullama("push", "--chunk-size", "4MiB", "--max-retries", "1", name), 0)
        self.assertTrue(proxy.seen)
        self.assertEqual({(s["method"], s["target"]) for s in proxy.seen}, {("CONNECT", f"{HIDDEN}:{registry.port}")})
        self.assert_exit(self.box.pullama("pull", "--models-dir", str(self.box.root / "again"), name), 0)


if __name__ == "__main__":
    harness.main()
