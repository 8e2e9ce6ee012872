#!/usr/bin/python3
"""The daemon's settings: what is in effect and where it came from, without secrets; read again at SIGHUP; heard by what goes
out into the network; and what a service manager hears."""

import signal
import socket

import harness
from blobs import MIB, Blob, Model
from proxies import HttpProxy
from registries import Authority, DockerRegistry
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

    def test_a_limit_that_was_set_says_so(self):
        self.configure("limit_rate = 5M")
        self.box.daemon()
        self.assert_exit(self.box.pullama("limit", "800k"), 0)
        self.assertEqual(self.settings()["limit_rate"], ("800.0 kB/s", "limits.set"))


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
