#!/usr/bin/python3
"""Pulls through proxies, as the daemon's environment names them: HTTP, HTTPS, SOCKS5; with a login that nobody else gets
to see; and hosts that go without."""

import os
import pathlib

import harness
from blobs import Blob, Model, small_model
from proxies import HttpProxy, SocksProxy
from registries import Authority, ScriptedRegistry, free_port

PASSWORD = "hush/p@ss:w0rd"
HIDDEN = "registry.hidden.example"  # only a proxy knows where it is


class ProxyCase(harness.TestCase):
    def setUp(self):
        super().setUp()
        self.model = small_model()
        self.script = {"models": [self.model.script()], "cdn": {"mode": "redirect"}}

    def proxy(self, kind=HttpProxy, **more):
        proxy = kind(**more)
        self.addCleanup(proxy.close)
        return proxy

    def plain(self, host=None):
        """A registry over http, and its CDN under the same name."""
        script = {**self.script, "cdn": {"mode": "redirect", **({"host": host} if host else {})}}
        self.registry = ScriptedRegistry(self.box, script)
        self.host = f"{host or '127.0.0.1'}:{self.registry.port}"
        return f"{self.host}/{self.model.repository}"

    def secure(self, host="127.0.0.1", authority=None):
        self.authority = authority or Authority(self.box)
        tls = self.authority.certificate("site", alt=f"IP:127.0.0.1,DNS:{HIDDEN}")
        self.registry = ScriptedRegistry(self.box, {**self.script, "cdn": {"mode": "redirect", "host": host}}, tls=tls,
                                         cdn_tls=tls)
        self.host = f"{host}:{self.registry.port}"
        return f"{self.host}/{self.model.repository}"

    def pull(self, name, *flags):
        return self.box.pullama("pull", "--max-retries", "1", *flags, name)

    def everything_written(self):
        """All that a daemon wrote anywhere, and what `ps` shows of it."""
        found = [self.box.daemon_log().encode()]
        for folder, _, names in os.walk(self.box.models / ".pullm"):
            found += [pathlib.Path(folder, name).read_bytes() for name in names]
        for pid in self.box.processes():
            found.append(self.box.name_of(pid).encode())
        return b"\n".join(found).decode(errors="replace")


class ProxyTest(ProxyCase):
    def test_http_goes_to_the_proxy_with_the_whole_url(self):
        proxy = self.proxy()
        for variable in ("http_proxy", "HTTP_PROXY", "ALL_PROXY", "all_proxy"):
            with self.subTest(variable):
                self.model = small_model(f"library/{variable.lower()}", seed=len(proxy.seen) + 1)
                self.script["models"] = [self.model.script()]
                name = self.plain(HIDDEN)
                daemon = self.box.daemon(env={variable: proxy.address("http")})
                before = len(proxy.seen)
                self.assert_exit(self.pull(name, "--insecure"), 0)
                self.assert_stored(self.host, self.model)
                seen = proxy.seen[before:]
                self.assertEqual({s["method"] for s in seen}, {"GET"})
                self.assertTrue(seen[0]["target"].startswith(f"http://{HIDDEN}:{self.registry.port}/v2/"), seen[0])
                self.assertEqual(self.box.terminate(daemon), 0)

    def test_https_goes_through_a_tunnel_that_sees_names_and_nothing_else(self):
        for number, variable in enumerate(("https_proxy", "HTTPS_PROXY", "ALL_PROXY")):
            with self.subTest(variable):
                self.model = small_model(f"library/tunnel{number}", seed=20 + number)
                self.script["models"] = [self.model.script()]
                authority = Authority(self.box, f"ca{number}")
                proxy, name = self.proxy(), self.secure(HIDDEN, authority)
                self.registry.script(auth={"mode": "bearer", "realm": f"https://{self.host}/token"})
                daemon = self.box.daemon(env={variable: proxy.address("http"), "SSL_CERT_FILE": str(authority.ca)})
                self.assert_exit(self.pull(name), 0)
                self.assert_stored(self.host, self.model)
                self.assertEqual({s["method"] for s in proxy.seen}, {"CONNECT"})
                self.assertEqual({s["target"] for s in proxy.seen},
                                 {f"{HIDDEN}:{self.registry.port}", f"{HIDDEN}:{self.registry.cdn_port}"})
                self.assertEqual({s["authorization"] for s in proxy.seen}, {None}, "the token is for the registry")
                self.assertEqual(self.box.terminate(daemon), 0)

    def test_a_login_reaches_the_proxy_and_no_other_place(self):
        proxy, name = self.proxy(user="mia", password=PASSWORD), self.secure()
        self.box.daemon("--log-level", "trace", env={"HTTPS_PROXY": proxy.address("http"),
                                                     "SSL_CERT_FILE": str(self.authority.ca)})
        outputs = []
        for mode in ("debug", "json"):
            run = self.pull(name, "--verbose", "--output", mode)
            self.assert_exit(run, 0)
            outputs += [run.stdout, run.stderr]
        self.assertTrue(proxy.seen and all(s["login"] for s in proxy.seen), proxy.seen)
        status = self.box.pullama("daemon", "status")
        text = "".join([*outputs, status.stdout, status.stderr, self.everything_written()])
        for secret in (PASSWORD, "hush", proxy.seen[0]["login"].split()[1]):
            self.assertNotIn(secret, text)

    def test_a_wrong_login_is_named_at_once_without_the_password(self):
        proxy, name = self.proxy(user="mia", password="right"), self.secure()
        self.box.daemon("--log-level", "trace",
                        env={"HTTPS_PROXY": f"http://mia:hushhush@127.0.0.1:{proxy.port}",
                             "SSL_CERT_FILE": str(self.authority.ca)})
        run = self.pull(name)
        self.assert_error(run, 1, "proxy", f"127.0.0.1:{proxy.port}", "407")
        self.assertEqual(len(proxy.seen), 1, "a login does not become right by asking again")
        self.assertNotIn("hushhush", run.stdout + run.stderr + self.everything_written())
        self.assertEqual(self.registry.log(), [])

    def test_a_wrong_login_for_plain_http_is_the_proxys_word_and_not_the_registrys(self):
        proxy, name = self.proxy(user="mia", password="right"), self.plain()
        self.box.daemon(env={"HTTP_PROXY": f"http://127.0.0.1:{proxy.port}"})
        run = self.pull(name, "--insecure")
        self.assert_error(run, 1, "proxy", f"127.0.0.1:{proxy.port}", "407")
        self.assertEqual(len(proxy.seen), 1)

    def test_a_proxy_that_is_not_there_is_named(self):
        name, port = self.secure(), free_port()
        self.box.daemon(env={"HTTPS_PROXY": f"http://mia:hushhush@127.0.0.1:{port}",
                             "SSL_CERT_FILE": str(self.authority.ca)})
        run = self.pull(name)
        self.assert_error(run, 1, "proxy", f"127.0.0.1:{port}", "refused")
        self.assertNotIn("hushhush", run.stderr)

    def test_a_proxy_whose_name_nobody_knows_is_named(self):
        name = self.secure()
        self.box.daemon(env={"HTTPS_PROXY": "http://proxy.nowhere.invalid:3128", "SSL_CERT_FILE": str(self.authority.ca)})
        run = self.pull(name)
        self.assert_error(run, 1, "resolve", "proxy.nowhere.invalid")

    def test_a_proxy_over_tls_with_a_ca_of_its_own(self):
        company = Authority(self.box, "company")
        proxy, name = self.proxy(tls=company.certificate("proxy"), user="mia", password=PASSWORD), self.secure(HIDDEN, company)
        stranger = Authority(self.box, "stranger")
        for ca, code in ((stranger, 1), (company, 0)):
            daemon = self.box.daemon(env={"HTTPS_PROXY": proxy.address("https"), "SSL_CERT_FILE": str(ca.ca)})
            run = self.pull(name)
            self.assert_exit(run, code)
            if code:
                self.assert_error(run, 1, "certificate", f"127.0.0.1:{proxy.port}")
                self.assertEqual(proxy.seen, [], "no login for whom we do not know")
            self.assertEqual(self.box.terminate(daemon), 0)
        self.assert_stored(self.host, self.model)

    def test_a_proxy_that_cannot_reach_the_registry_is_tried_again(self):
        proxy, name = self.proxy(refuse=503), self.secure()
        self.box.daemon(env={"HTTPS_PROXY": proxy.address("http"), "SSL_CERT_FILE": str(self.authority.ca)})
        run = self.pull(name)
        self.assert_error(run, 1, "proxy", "503")
        self.assertEqual(len(proxy.seen), 2)


class DifferenceTest(ProxyCase):
    """Transfers go by the daemon's environment; a shell that has another one is told so."""

    def test_status_shows_what_is_in_effect_without_the_login(self):
        proxy = self.proxy(user="mia", password=PASSWORD)
        self.box.daemon(env={"https_proxy": proxy.address("http"), "NO_PROXY": ".corp", "SSL_CERT_DIR": "/etc/ssl/certs"})
        run = self.box.pullama("daemon", "status")
        self.assert_exit(run, 0)
        for word in (f"http://127.0.0.1:{proxy.port}", ".corp", "/etc/ssl/certs", "http proxy  none"):
            self.assertIn(word, run.stdout)
        self.assertNotIn("hush", run.stdout)
        self.assertNotIn("mia", run.stdout)

    def test_an_error_says_that_the_shell_has_another_proxy(self):
        name = f"127.0.0.1:{free_port()}/library/m"
        self.box.daemon()
        there = {"HTTPS_PROXY": "http://mia:hush@proxy.corp:3128"}
        run = self.box.pullama("pull", "--max-retries", "1", name, env=there)
        self.assert_error(run, 1, "the daemon goes by HTTPS_PROXY=none, this shell by HTTPS_PROXY=http://proxy.corp:3128",
                          "restart the daemon")
        self.assertNotIn("hush", run.stderr)
        run = self.box.pullama("pull", "--max-retries", "1", name)
        self.assertNotIn("PROXY", run.stderr)


class SocksTest(ProxyCase):
    def test_the_proxy_resolves_where_socks5h_says_so(self):
        proxy, name = self.proxy(SocksProxy, user="mia", password=PASSWORD), self.secure(HIDDEN)
        self.box.daemon("--log-level", "trace", env={"ALL_PROXY": proxy.address("socks5h"),
                                                     "SSL_CERT_FILE": str(self.authority.ca)})
        run = self.pull(name, "--output", "debug")
        self.assert_exit(run, 0)
        self.assert_stored(self.host, self.model)
        self.assertTrue(proxy.seen and all(s["name"] for s in proxy.seen), proxy.seen)
        self.assertNotIn("hush", run.stdout + run.stderr + self.everything_written())

    def test_socks5_resolves_here_and_takes_plain_http_too(self):
        proxy, name = self.proxy(SocksProxy), self.plain("localhost")
        self.box.daemon(env={"all_proxy": proxy.address("socks5")})
        self.assert_exit(self.pull(name, "--insecure"), 0)
        self.assert_stored(self.host, self.model)
        self.assertTrue(proxy.seen and not any(s["name"] for s in proxy.seen), proxy.seen)

    def test_a_wrong_login_is_named(self):
        proxy, name = self.proxy(SocksProxy, user="mia", password="right"), self.secure()
        self.box.daemon(env={"ALL_PROXY": f"socks5h://mia:hushhush@127.0.0.1:{proxy.port}",
                             "SSL_CERT_FILE": str(self.authority.ca)})
        run = self.pull(name)
        self.assert_error(run, 1, "proxy", f"127.0.0.1:{proxy.port}")
        self.assertNotIn("hushhush", run.stderr + self.everything_written())


class NoProxyTest(ProxyCase):
    def test_hosts_in_no_proxy_are_asked_directly_in_each_form(self):
        proxy = self.proxy()
        forms = {"no_proxy": "example.org, 127.0.0.1", "NO_PROXY": "127.0.0.0/8", "No": "*"}
        for number, (variable, value) in enumerate(forms.items()):
            with self.subTest(value):
                self.model = small_model(f"library/direct{number}", seed=40 + number)
                self.script["models"] = [self.model.script()]
                name = self.plain()
                variable = variable if variable != "No" else "no_proxy"
                daemon = self.box.daemon(env={"http_proxy": proxy.address("http"), variable: value})
                self.assert_exit(self.pull(name, "--insecure"), 0)
                self.assert_stored(self.host, self.model)
                self.assertEqual(self.box.terminate(daemon), 0)
        self.assertEqual(proxy.seen, [])

    def test_only_the_cdn_goes_through_the_proxy(self):
        proxy = self.proxy()
        self.registry = ScriptedRegistry(self.box, {**self.script, "cdn": {"mode": "redirect", "host": "localhost"}})
        self.box.daemon(env={"http_proxy": proxy.address("http"), "no_proxy": f"127.0.0.1:{self.registry.port}"})
        self.assert_exit(self.pull(self.registry.name(self.model), "--insecure"), 0)
        self.assertTrue(proxy.seen)
        for seen in proxy.seen:
            self.assertTrue(seen["target"].startswith(f"http://localhost:{self.registry.cdn_port}/"), seen)


if __name__ == "__main__":
    harness.main()
