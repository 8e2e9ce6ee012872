#!/usr/bin/python3
"""`pullama doctor` in surroundings that are broken in one thing each: what it says, the remedy, the exit code, and that it
ends. registry.ollama.ai is a registry on loopback that a proxy, or a hosts file, leads to."""

import email.utils
import json
import socket
import time
import unittest

import harness
from keys import Key
from namespaces import WORD, Names, possible, read_only, with_mounts
from proxies import HttpProxy
from registries import Authority, ScriptedRegistry, free_port
from wire import Wire

OLLAMA = "registry.ollama.ai"


def date(ahead_s=0):
    return email.utils.formatdate(time.time() + ahead_s, usegmt=True)


class DoctorCase(harness.TestCase):
    def setUp(self):
        super().setUp()
        self.authority = Authority(self.box)

    def registry(self, tls=True, **fault):
        """What answers as registry.ollama.ai would; `fault` changes its answer."""
        fault = {"path": "/v2/", "times": 0, "status": 200, "headers": {"Date": date()}, "body": "{}", **fault}
        certificate = self.authority.certificate("ollama", alt=f"DNS:{OLLAMA},IP:127.0.0.1") if tls else None
        return ScriptedRegistry(self.box, {"faults": [fault]}, tls=certificate)

    def behind_proxy(self, registry, **more):
        """Flags and variables of a daemon for which the registry is registry.ollama.ai."""
        proxy = HttpProxy(places={(OLLAMA, 443): registry.port}, **more)
        self.addCleanup(proxy.close)
        return {"HTTPS_PROXY": proxy.address("http"), "SSL_CERT_FILE": str(self.authority.ca)}

    def doctor(self, *words, limit=harness.PATIENCE):
        run = self.box.pullama("doctor", *words, "--output", "json", timeout=limit)
        self.assertEqual(run.stderr, "")
        document = json.loads(run.stdout)
        self.assertEqual(run.returncode, 0 if document["ok"] else 1)
        self.assertEqual(document["ok"], all(c["status"] != "failed" for c in document["checks"]))
        for check in document["checks"]:
            self.assertIn(check["status"], ("ok", "warning", "failed", "skipped"))
            self.assertTrue(check["message"])
            if check["status"] in ("failed", "warning"):
                self.assertTrue(check["hint"], check)
        return {c["check"]: c for c in document["checks"]}

    def assert_check(self, checks, name, status, *words):
        self.assertEqual(checks[name]["status"], status, json.dumps(checks, indent=1))
        for word in words:
            self.assertIn(word, checks[name]["message"] + " " + checks[name]["hint"])

    def assert_failed(self, checks, *names):
        self.assertEqual({n for n, c in checks.items() if c["status"] == "failed"}, set(names), json.dumps(checks, indent=1))


class NetworkTest(DoctorCase):
    def test_where_all_is_well_it_says_so_and_exits_0(self):
        Key().install(self.box.home)
        self.box.daemon(env=self.behind_proxy(self.registry()))
        checks = self.doctor()
        self.assert_failed(checks)
        for name in ("version", "config", "socket", "store", "permissions", "hard_links", "prune", "key", "proxy", "tls",
                     "registry", "clock"):
            self.assert_check(checks, name, "ok")
        run = self.box.pullama("doctor")
        self.assert_exit(run, 0)
        self.assertIn("clock", run.stdout)
        self.assertEqual(sorted(p.name for p in (self.box.models / "blobs").iterdir()), [])
        self.assertEqual(sorted(p.name for p in (self.box.models / "manifests").iterdir()), [])
        self.assert_nothing_stored()

    def test_a_clock_that_is_off(self):
        for ahead, status, words in ((750, "warning", ("12m", "behind", OLLAMA)), (-7200, "failed", ("2h", "ahead of")),
                                     (20, "ok", ())):
            with self.subTest(ahead=ahead):
                self.box.daemon(env=self.behind_proxy(self.registry(headers={"Date": date(ahead)})))
                checks = self.doctor()
                self.assert_check(checks, "clock", status, *words)
                if status != "ok":
                    self.assertIn("timedatectl", checks["clock"]["hint"])
                self.assert_failed(checks, *(["clock"] if status == "failed" else []))
                self.assert_exit(self.box.pullama("daemon", "stop"), 0)

    def test_a_registry_that_says_no_time_or_a_wrong_one(self):
        for headers in ({}, {"Date": "yesterday"}):
            self.box.daemon(env=self.behind_proxy(self.registry(headers=headers, drop_headers=["Date"])))
            self.assert_check(self.doctor(), "clock", "skipped")
            self.assert_exit(self.box.pullama("daemon", "stop"), 0)

    def test_a_proxy_that_is_not_there(self):
        place = f"http://mia:hush@127.0.0.1:{free_port()}"
        self.box.daemon(env={"HTTPS_PROXY": place})
        checks = self.doctor()
        self.assert_failed(checks, "proxy")
        self.assert_check(checks, "proxy", "failed", "refused", "$HTTPS_PROXY", place.replace("mia:hush@", ""))
        for name in ("registry", "tls", "clock"):
            self.assert_check(checks, name, "skipped")
        run = self.box.pullama("doctor")
        self.assert_exit(run, 1)
        self.assertIn("1 check failed", run.stdout + run.stderr)
        self.assertNotIn("hush", json.dumps(checks) + run.stdout + run.stderr + self.box.daemon_log())

    def test_a_proxy_that_wants_another_login(self):
        registry = self.registry()
        proxy = HttpProxy(places={(OLLAMA, 443): registry.port}, user="mia", password="right")
        self.addCleanup(proxy.close)
        self.box.daemon(env={"HTTPS_PROXY": f"http://mia:hush@127.0.0.1:{proxy.port}"})
        checks = self.doctor()
        self.assertEqual(checks["proxy"]["status"], "failed", checks)
        self.assertIn("407", checks["proxy"]["message"])
        self.assertNotIn("hush", json.dumps(checks))

    def test_a_ca_that_is_not_theirs_or_no_certificate_at_all(self):
        registry = self.registry()
        other = Authority(self.box, "other")
        garbage = self.box.root / "garbage.pem"
        garbage.write_text("no certificate")
        for ca in (other.ca, garbage, self.box.root / "missing.pem"):
            with self.subTest(ca=ca.name):
                self.box.daemon(env={**self.behind_proxy(registry), "SSL_CERT_FILE": str(ca)})
                checks = self.doctor()
                self.assert_failed(checks, "tls")
                self.assert_check(checks, "tls", "failed", "$SSL_CERT_FILE", "ca_file")
                self.assert_exit(self.box.pullama("daemon", "stop"), 0)

    def test_something_else_answers_instead_of_tls(self):
        self.box.daemon(env=self.behind_proxy(self.registry(tls=False)))
        checks = self.doctor()
        self.assert_failed(checks, "tls")

    def test_a_registry_that_is_down(self):
        self.box.daemon(env=self.behind_proxy(self.registry(status=503)))
        self.assert_check(self.doctor(), "registry", "warning", "503")

    def test_one_that_takes_the_connection_and_never_answers(self):
        with socket.socket() as silent:
            silent.bind(("127.0.0.1", 0))
            silent.listen(16)
            self.box.daemon()
            begun = time.monotonic()
            checks = self.doctor("--insecure", f"127.0.0.1:{silent.getsockname()[1]}/library/m")
            self.assertLess(time.monotonic() - begun, 60)
            self.assert_check(checks, "ipv4", "ok")
            self.assert_failed(checks, "registry")

    def test_the_registries_of_models_over_http_and_with_a_ca_of_their_own(self):
        plain, secure = self.registry(tls=False), self.registry()
        self.box.daemon()
        checks = self.doctor("--insecure", f"{plain.host}/library/m")
        self.assert_failed(checks)
        self.assert_check(checks, "registry", "ok", plain.host)
        self.assertNotIn("tls", checks)
        checks = self.doctor("--ca-file", str(self.authority.ca), f"{secure.host}/library/m")
        self.assert_failed(checks)
        self.assert_check(checks, "tls", "ok", secure.host)
        self.assert_failed(self.doctor(f"{secure.host}/library/m"), "tls")

    def test_a_mirror_is_asked_too(self):
        with_proxy = self.behind_proxy(self.registry())
        port = free_port()
        self.box.daemon("--mirror", f"{OLLAMA} http://127.0.0.1:{port}", env=with_proxy)
        checks = self.doctor()
        self.assert_check(checks, "ipv4", "failed", f"127.0.0.1 port {port}", "refused")

    def test_a_mirror_that_is_no_registry(self):
        with_proxy = self.behind_proxy(self.registry())
        login = {"WWW-Authenticate": 'Basic realm="cache"', "Date": date()}
        for fault, status, word in (({"status": 404}, "warning", "--mirror"), ({}, "ok", ""),
                                    ({"status": 302, "headers": {"Location": "http://login/"}}, "warning", "302"),
                                    ({"headers": {"Content-Type": "text/html"}}, "warning", "no registry's answer"),
                                    ({"status": 401, "headers": login}, "warning", "docker login"),
                                    ({"status": 401, "headers": {"WWW-Authenticate": 'Bearer realm="http://a/"'}}, "ok", "")):
            with self.subTest(fault=fault):
                mirror = self.registry(tls=False, **fault)
                self.box.daemon("--mirror", f"{OLLAMA} http://{mirror.host}", env=with_proxy)
                checks = self.doctor()
                self.assert_check(checks, "registry", status, mirror.host, word)
                self.assert_failed(checks)
                self.assert_exit(self.box.pullama("daemon", "stop"), 0)

    def test_hints_of_tls_name_what_was_asked_with(self):
        secure = self.registry()
        plain = self.registry(tls=False)
        other = Authority(self.box, "other")
        self.box.daemon()
        checks = self.doctor("--ca-file", str(other.ca), f"{secure.host}/library/m")
        self.assert_check(checks, "tls", "failed", "--ca-file")
        self.assertNotIn("the system", checks["tls"]["hint"])
        checks = self.doctor(f"{plain.host}/library/m")
        self.assert_check(checks, "tls", "failed", "does not speak TLS")
        self.assertNotIn("CA", checks["tls"]["hint"])
        for name in ("registry", "clock"):
            self.assert_check(checks, name, "skipped")

    def test_a_cancelled_job_ends_and_so_does_the_daemon(self):
        with socket.socket() as silent:
            silent.bind(("127.0.0.1", 0))
            silent.listen(16)
            name = f"127.0.0.1:{silent.getsockname()[1]}/library/m"
            daemon = self.box.daemon()
            with Wire(self.box.socket) as wire:
                wire.call("events.subscribe")
                job = wire.call("daemon.doctor", models=[name], options={"insecure": True})["job"]
                wire.wait_event(lambda e: e["type"] == "doctor.check" and e["check"] == "ipv4")
                begun = time.monotonic()
                self.assertEqual(wire.call("job.cancel", job=job)["state"], "cancelled")
                self.assertLess(time.monotonic() - begun, 5)
                wire.call("daemon.doctor", models=[name], options={"insecure": True})
                begun = time.monotonic()
                self.assertEqual(self.box.terminate(daemon), 0)
                self.assertLess(time.monotonic() - begun, 5)

    def test_a_word_that_is_no_model(self):
        self.assert_error(self.box.pullama("doctor", "no/such/thing/at/all/m"), 1, "no/such/thing")


class StoreTest(DoctorCase):
    """The network is a proxy that is not there: only the store is looked at."""

    def checks(self, *words):
        checks = self.doctor(*words)
        return {n: c for n, c in checks.items() if n not in ("proxy", "registry")}

    def daemon(self, *arguments, **more):
        return self.box.daemon(*arguments, env={"HTTPS_PROXY": "http://127.0.0.1:9"}, **more)

    def test_keys(self):
        self.daemon()
        self.assert_check(self.checks(), "key", "skipped", "pullama key create")
        key = Key()
        for mode, text, status, word in ((0o600, None, "ok", "id_ed25519"), (0o644, None, "failed", "chmod 600"),
                                         (0o640, None, "warning", "chmod 600"),
                                         (0o600, key.openssh(cipher=b"aes256-ctr"), "failed", "ssh-keygen -p")):
            key.install(self.box.home, text, mode)
            checks = self.checks()
            self.assert_check(checks, "key", status, word)
            self.assert_failed(checks, *(["key"] if status == "failed" else []))

    def test_lines_of_the_configuration_that_are_passed_over(self):
        path = self.box.home / ".config/pullama/pullamad.conf"
        path.parent.mkdir(parents=True)
        path.write_text("limit_rat = 5M\n")
        self.daemon()
        self.assert_check(self.checks(), "config", "warning", f"{path}:1", "limit_rat")
        self.assert_exit(self.box.pullama("daemon", "stop"), 0)
        path.write_text("no_proxy = 10.0.0.0/99\n")
        self.daemon()
        self.assert_check(self.checks(), "config", "warning", f"{path}:1", "10.0.0.0/99")

    def test_a_socket_that_somebody_removed_or_opened(self):
        self.daemon()
        with Wire(self.box.socket) as wire:
            wire.call("events.subscribe")
            self.box.socket.chmod(0o666)
            wire.call("daemon.doctor")
            found = wire.wait_event(lambda e: e["type"] == "doctor.check" and e["check"] == "socket")
            self.assertEqual(found["status"], "warning", found)
            self.assertIn("strangers are refused", found["message"])
            wire.wait_event(lambda e: e["type"] == "job.completed")
            self.box.socket.unlink()
            seen = len(wire.events)
            wire.call("daemon.doctor")
            harness.wait_until(lambda: any(e["type"] == "job.completed" for e in wire.events[seen:]), "the job ends")
            found = [e for e in wire.events[seen:] if e["type"] == "doctor.check" and e["check"] == "socket"]
            self.assertEqual([e["status"] for e in found], ["failed"])

    def test_a_models_dir_that_is_not_there_is_not_made(self):
        self.daemon()
        folder = self.box.root / "nowhere"
        checks = self.checks("--models-dir", str(folder))
        self.assert_check(checks, "store", "failed", str(folder))
        self.assert_failed(checks, "store")
        for name in ("permissions", "hard_links", "prune", "space"):
            self.assert_check(checks, name, "skipped")
        self.assertFalse(folder.exists())

    def test_a_models_dir_of_another_daemon(self):
        self.daemon()
        other = self.box.root / "other"
        path = self.box.root / "other.sock"
        self.box.daemon("--models-dir", str(other), "--socket", str(path), socket=path)
        with Wire(self.box.socket) as wire:
            wire.call("events.subscribe")
            wire.call("daemon.doctor", models_dir=str(other))
            found = wire.wait_event(lambda e: e["type"] == "doctor.check" and e["check"] == "store")
            self.assertEqual(found["status"], "failed", found)
            self.assertIn(str(path), found["message"] + found["hint"])

    @unittest.skipUnless(possible(), WORD)
    def test_a_tree_that_takes_nothing(self):
        for folder in ("", "blobs", "manifests"):
            with self.subTest(folder=folder or "all of it"):
                for name in ("blobs", "manifests"):
                    (self.box.models / name).mkdir(parents=True, exist_ok=True)
                self.daemon(wrap=read_only(self.box.models / folder))
                checks = self.checks()
                name = "permissions" if folder else "store"
                self.assert_failed(checks, name)
                self.assertIn(str(self.box.models / folder), checks[name]["message"])
                self.assert_exit(self.box.pullama("daemon", "stop"), 0)

    @unittest.skipUnless(possible(), WORD)
    def test_blobs_on_another_disk_have_no_links_and_ollamas_prune_matters(self):
        blobs = self.box.models / "blobs"
        blobs.mkdir(parents=True)
        inside = with_mounts(f"mount -t tmpfs -o size=200m,mode=755 none '{blobs}'")
        self.daemon(wrap=inside)
        checks = self.checks()
        self.assert_failed(checks)
        self.assert_check(checks, "hard_links", "warning")
        self.assert_check(checks, "prune", "warning", "OLLAMA_NOPRUNE=1")
        self.assert_check(checks, "space", "warning", "pullama clean")
        self.assert_exit(self.box.pullama("daemon", "stop"), 0)
        self.box.daemon(env={"HTTPS_PROXY": "http://127.0.0.1:9", "OLLAMA_NOPRUNE": "1"}, wrap=inside)
        self.assert_check(self.checks(), "prune", "ok", "$OLLAMA_NOPRUNE")

    @unittest.skipUnless(possible(), WORD)
    def test_a_disk_that_is_full(self):
        blobs = self.box.models / "blobs"
        blobs.mkdir(parents=True)
        self.daemon(wrap=with_mounts(f"mount -t tmpfs -o size=32m,mode=755 none '{blobs}'"))
        self.assert_check(self.checks(), "space", "failed", "full", "pullama clean")


@unittest.skipUnless(possible(), WORD)
class NamesTest(DoctorCase):
    def names(self, **more):
        names = Names(self.box, **more)
        self.addCleanup(names.close)
        return names

    def test_a_name_that_nobody_knows(self):
        self.box.daemon(wrap=self.names().inside)
        checks = self.doctor()
        self.assert_failed(checks, "dns")
        self.assert_check(checks, "dns", "failed", OLLAMA, "resolv.conf")
        for name in ("ipv4", "ipv6", "registry", "tls", "clock"):
            self.assert_check(checks, name, "skipped")
        self.assertNotIn("connect", checks)

    def test_a_resolver_that_never_answers_has_a_limit(self):
        daemon = self.box.daemon(wrap=self.names(otherwise="silence").inside)
        begun = time.monotonic()
        checks = self.doctor()
        self.assertLess(time.monotonic() - begun, 60)
        self.assert_failed(checks, "dns")
        begun = time.monotonic()
        self.assertEqual(self.box.terminate(daemon), 0)
        self.assertLess(time.monotonic() - begun, 5, "nobody waits for what hangs")

    def test_one_family_that_takes_nothing(self):
        self.box.daemon(wrap=self.names(hosts=["127.0.0.1 two.example", "::1 two.example"]).inside)
        registry = self.registry(tls=False)
        checks = self.doctor("--insecure", f"two.example:{registry.port}/library/m")
        self.assert_check(checks, "ipv4", "ok")
        self.assert_failed(checks)
        self.assertIn(checks["ipv6"]["status"], ("warning", "skipped"))
        self.assertIn("::1", checks["ipv6"]["message"])


if __name__ == "__main__":
    harness.main()
