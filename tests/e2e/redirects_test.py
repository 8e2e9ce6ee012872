#!/usr/bin/python3
"""Where a registry may send us: a token stays at its origin, a public registry leads nobody inside, and a Location is
used byte for byte or not at all."""

import unittest

import harness
from blobs import MIB, Blob, Model, small_model
from namespaces import WORD, Names, Network, Relay, possible
from registries import Authority, ScriptedRegistry

PUBLIC, OTHER = "8.8.4.4", "9.9.9.9"  # addresses of the world, on a loopback that only the daemon has


class RedirectCase(harness.TestCase):
    def setUp(self):
        super().setUp()
        self.model = small_model()

    def pull(self, *flags, name=None):
        return self.box.pullama("pull", "--max-retries", "1", *flags, name or self.registry.name(self.model))

    def blob_requests(self, port):
        return [e for e in self.registry.log() if e["port"] == port and "/manifests/" not in e["path"]]


@unittest.skipUnless(possible(), WORD)
class InsideTest(RedirectCase):
    """The daemon lives in a network where the registry has a public address; what listens on its loopback is inside."""

    def setUp(self):
        super().setUp()
        names = Names(self.box, [f"{PUBLIC} registry.test", f"{OTHER} cdn.test", "127.0.0.1 inside.test"])
        self.addCleanup(names.close)
        authority = Authority(self.box)
        tls = authority.certificate("all", alt="DNS:registry.test,DNS:cdn.test,DNS:inside.test,IP:127.0.0.1,IP:::1,"
                                               "IP:169.254.169.254,IP:10.1.2.3")
        self.registry = ScriptedRegistry(self.box, {"models": [self.model.script()]}, tls=tls, cdn_tls=tls)
        network = Network(self.box, f"{PUBLIC}/32", f"{OTHER}/32", "169.254.169.254/32", "10.1.2.3/32")
        self.relays = {}
        for address, port, to in ((PUBLIC, 443, self.registry.port), (OTHER, self.registry.cdn_port, self.registry.cdn_port),
                                  ("127.0.0.1", self.registry.cdn_port, self.registry.cdn_port),
                                  ("169.254.169.254", self.registry.cdn_port, self.registry.cdn_port),
                                  ("10.1.2.3", self.registry.cdn_port, self.registry.cdn_port)):
            self.relays[address] = Relay(network.listen(address, port), to)
        self.box.daemon(wrap=[*network.inside, *names.inside], env={"SSL_CERT_FILE": str(authority.ca)})

    def test_a_public_registry_may_lead_to_a_public_cdn_and_nowhere_inside(self):
        name = f"registry.test/{self.model.repository}"
        for host in ("127.0.0.1", "inside.test", "169.254.169.254", "10.1.2.3", "[::1]", "2130706433", "0x7f.1"):
            with self.subTest(host):
                self.registry.script(cdn={"mode": "redirect", "host": host})
                run = self.pull(name=name)
                self.assert_exit(run, 1)
                self.assertFalse(self.manifest_path("registry.test", self.model).exists())
        self.assertEqual({a: r.connections for a, r in self.relays.items() if a not in (PUBLIC, OTHER)},
                         {"127.0.0.1": 0, "169.254.169.254": 0, "10.1.2.3": 0})
        self.assertEqual(self.blob_requests("cdn"), [])
        self.registry.script(cdn={"mode": "redirect", "host": "cdn.test"})
        self.assert_exit(self.pull(name=name), 0)
        self.assert_stored("registry.test", self.model)

    def test_a_manifest_and_a_realm_do_not_lead_inside_either(self):
        name = f"registry.test/{self.model.repository}"
        port = self.registry.cdn_port
        self.registry.faults({"path": "/manifests/", "status": 307, "times": 0,
                              "headers": {"Location": f"https://127.0.0.1:{port}/x"}})
        self.assert_error(self.pull(name=name), 1, "inside is refused")
        self.registry.faults({"path": "/manifests/", "status": 401, "times": 0, "headers": {
            "WWW-Authenticate": f'Bearer realm="https://inside.test:{port}/token",service="x",scope="y"'}})
        self.assert_error(self.pull(name=name), 1, "inside is refused")
        self.assertEqual(self.relays["127.0.0.1"].connections, 0)


class TokenTest(RedirectCase):
    def test_the_token_stays_at_the_registrys_own_port(self):
        for status in (301, 302, 303, 307, 308):
            with self.subTest(status):
                self.model = small_model(f"library/m{status}", seed=status)
                self.registry = ScriptedRegistry(self.box, {
                    "models": [self.model.script()], "auth": {"mode": "bearer"},
                    "cdn": {"mode": "redirect", "status": status, "refuse_authorization": True}})
                self.assert_exit(self.pull("--insecure"), 0)
                self.assert_stored(self.registry.host, self.model)
                self.assertTrue(self.blob_requests("cdn"))
                self.assertFalse([e for e in self.blob_requests("cdn") if e["had_authorization"]])

    def test_a_manifest_that_is_elsewhere_is_asked_for_without_it(self):
        self.registry = ScriptedRegistry(self.box, {"models": [self.model.script()], "auth": {"mode": "bearer"}})
        self.registry.faults({"port": "registry", "path": "/manifests/", "status": 307, "skip": 1,
                              "headers": {"Location": f"http://127.0.0.1:{self.registry.cdn_port}/elsewhere"}})
        self.assert_exit(self.pull("--insecure"), 4)
        seen = [e for e in self.registry.log() if e["port"] == "cdn"]
        self.assertTrue(seen)
        self.assertFalse([e for e in seen if e["had_authorization"]])

    def test_at_most_ten_hops(self):
        # To the chain, along it, and to the bytes.
        for hops, code in ((9, 0), (10, 1)):
            with self.subTest(hops):
                self.model = small_model(f"library/hops{hops}", seed=hops)
                self.registry = ScriptedRegistry(self.box, {"models": [self.model.script()],
                                                            "cdn": {"mode": "chain", "hops": hops}})
                self.assert_exit(self.pull("--insecure"), code)


class LocationTest(RedirectCase):
    def test_percent_escapes_travel_as_they_came(self):
        # Decoded anywhere on the way, the signature would not fit: %2F in the credential, %2B and %3D in the text.
        self.model = Model("library/escapes", "latest", [Blob(seed=12, size=2 * MIB)])
        self.registry = ScriptedRegistry(self.box, {"models": [self.model.script()], "cdn": {"mode": "redirect"}})
        self.assert_exit(self.pull("--insecure"), 0)
        self.assert_stored(self.registry.host, self.model)

    def test_odd_escapes_reach_the_other_side_unchanged(self):
        self.registry = ScriptedRegistry(self.box, {"models": [self.model.script()]})
        path = "/a%2Fb/%2e%2e/c%2Bd+e/%25/%0d%0aX:y/%zz"
        self.registry.faults({"path": "/blobs/", "status": 307, "times": 0,
                              "headers": {"Location": f"http://127.0.0.1:{self.registry.cdn_port}{path}?sig=%2B%0a"}},
                             {"port": "cdn", "status": 404, "times": 0})
        self.assert_exit(self.pull("--insecure"), 1)
        seen = {e["path"] for e in self.blob_requests("cdn")}
        self.assertEqual(seen, {path})

    def test_line_breaks_and_controls_are_refused(self):
        for name, value in {"CR": "/x\rX-Evil: 1", "tab": "/x\ty", "NUL-like": "/x\x01", "DEL": "/x\x7f"}.items():
            with self.subTest(name):
                self.registry = ScriptedRegistry(self.box, {"models": [self.model.script()]})
                self.registry.faults({"path": "/blobs/", "status": 307, "times": 0, "headers": {
                    "Location": f"http://127.0.0.1:{self.registry.cdn_port}{value}"}})
                self.assert_exit(self.pull("--insecure"), 1)
                self.assertEqual(self.blob_requests("cdn"), [])


if __name__ == "__main__":
    harness.main()
