#!/usr/bin/python3
"""Names and addresses: a family that swallows everything, names that move while a pull runs, resolvers that fail and heal;
and errors that say how far it came and to whom."""

import socket
import threading
import time
import unittest

import harness
from blobs import MIB, Blob, Model, small_model
from namespaces import WORD, BlackHole, Names, Relay, possible
from registries import Authority, ScriptedRegistry, free_port
from wire import Wire


@unittest.skipUnless(possible(), WORD)
class NamesTest(harness.TestCase):
    def names(self, *hosts, **more):
        names = Names(self.box, hosts, **more)
        self.addCleanup(names.close)
        return names

    def serve(self, model, cdn_host="127.0.0.1", **more):
        self.model = model
        self.registry = ScriptedRegistry(self.box, {"models": [model.script()], **more,
                                                    "cdn": {"mode": "redirect", "host": cdn_host}})
        return self.registry

    def pull(self, host, *flags):
        return self.box.pullama("pull", "--insecure", *flags, f"{host}:{self.registry.port}/{self.model.repository}")

    def test_an_address_that_swallows_everything_costs_a_moment(self):
        # Happy Eyeballs: the first address gets a head start, then the other family is tried beside it.
        names = self.names("::1 both.test", "127.0.0.1 both.test")
        registry = self.serve(small_model(), cdn_host="both.test")
        for port in (registry.port, registry.cdn_port):
            self.addCleanup(BlackHole("::1", port).close)
        self.box.daemon(wrap=names.inside)
        begin = time.monotonic()
        self.assert_exit(self.pull("both.test"), 0)
        taken = time.monotonic() - begin
        print(f"a pull beside an IPv6 black hole took {taken:.2f} s", flush=True)
        self.assertLess(taken, 25, "no connection waited for its time-out")
        self.assert_stored(f"both.test:{registry.port}", self.model)

    def test_a_name_that_moves_between_two_tries_is_asked_for_again(self):
        names = self.names("127.0.0.2 moving.test")
        registry = self.serve(small_model())
        self.box.daemon(wrap=names.inside)
        with Wire(self.box.socket) as wire:
            wire.call("events.subscribe")
            wire.call("pull.start", model=f"moving.test:{registry.port}/{self.model.repository}",
                      options={"insecure": True, "max_retries": "unlimited"})
            retry = wire.wait_type("retry")
            self.assertIn("connect to moving.test", retry["reason"])
            names.hosts("127.0.0.1 moving.test")
            wire.wait_type("job.completed")
        self.assert_stored(f"moving.test:{registry.port}", self.model)

    def test_a_cdn_that_moves_in_the_middle_is_found_at_its_new_place(self):
        names = self.names("127.0.0.2 cdn.test")
        model = Model("library/moving", "latest", [Blob(seed=91, size=24 * MIB)])
        registry = self.serve(model, cdn_host="cdn.test", rate={"total": 12 * MIB})
        relay = Relay(socket.create_server(("127.0.0.2", registry.cdn_port)), registry.cdn_port)
        self.box.daemon(wrap=names.inside)
        client = self.box.start_pullama("pull", "--insecure", registry.name(model))
        harness.wait_until(lambda: relay.passed > 4 * MIB, "bytes by the old place")
        names.hosts("127.0.0.1 cdn.test")
        relay.cut()
        out, err = client.communicate(timeout=harness.PATIENCE)
        self.assertEqual(client.returncode, 0, out + err)
        self.assert_stored(registry.host, model)
        self.assertLess(harness.total_of(registry.travelled(model.layers[0])), 24 * MIB + 16 * MIB)

    def test_a_resolver_that_fails_and_heals(self):
        names = self.names()
        registry = self.serve(small_model())
        self.box.daemon(wrap=names.inside)
        for word in ("nxdomain", "servfail"):
            names.answers["healing.test"], names.asked = word, []
            run = self.pull("healing.test", "--max-retries", "1")
            self.assert_error(run, 1, "resolve healing.test")
            self.assertGreater(names.asked.count("healing.test"), 1, "asked again at the retry")
        self.assert_exit(self.pull("healing.test", "--max-retries", "1", "-d"), 0)
        with Wire(self.box.socket) as wire:
            wire.call("events.subscribe")
            harness.wait_until(lambda: "waiting_network" in {j["state"] for j in wire.call("job.list")["jobs"]},
                               "the job waits for the network")
            names.answers["healing.test"] = ["127.0.0.1"]
            wire.wait_type("job.completed")
        self.assert_stored(f"healing.test:{registry.port}", self.model)

    def test_only_the_cdns_name_is_unknown(self):
        names = self.names(answers={"cdn.test": "nxdomain"})
        self.serve(small_model(), cdn_host="cdn.test")
        self.box.daemon(wrap=names.inside)
        run = self.pull("127.0.0.1", "--max-retries", "1")
        self.assert_error(run, 1, "resolve cdn.test", "sha256:")
        self.assertTrue(names.asked)

    def test_a_resolver_that_never_answers_ends_with_a_word(self):
        names = self.names(otherwise="silence", patience_s=1)
        self.serve(small_model())
        self.box.daemon(wrap=names.inside)
        run = self.pull("silent.test", "--max-retries", "1")
        self.assert_error(run, 1, "resolve silent.test")


class StageTest(harness.TestCase):
    """The error names host and stage. Without --max-retries 1 it would say so a little later."""

    def pull(self, host, *flags):
        return self.box.pullama("pull", "--max-retries", "1", *flags, f"{host}/library/m")

    def raw(self, serve):
        """A listener that handles each connection with serve(connection); its address."""
        listener = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(listener.close)

        def run():
            while True:
                try:
                    connection = listener.accept()[0]
                except OSError:
                    return
                with connection:
                    serve(connection)

        threading.Thread(target=run, daemon=True).start()
        return f"127.0.0.1:{listener.getsockname()[1]}"

    def test_connect(self):
        address = f"127.0.0.1:{free_port()}"
        self.assert_error(self.pull(address), 1, f"connect to {address}", "refused")

    def test_tls(self):
        address = self.raw(lambda connection: connection.recv(100))
        self.assert_error(self.pull(address), 1, f"TLS handshake with {address}")

    def test_headers(self):
        address = self.raw(lambda connection: connection.recv(10_000))
        self.assert_error(self.pull(address, "--insecure"), 1, f"headers from {address}")

    def test_not_http(self):
        address = self.raw(lambda connection: (connection.recv(10_000), connection.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")))
        self.assert_error(self.pull(address, "--insecure"), 1, f"headers from {address}")

    def test_body(self):
        model = small_model()
        registry = ScriptedRegistry(self.box, {"models": [model.script()], "cdn": {"mode": "redirect"}, "faults": [
            {"port": "cdn", "close_after": 0, "times": 0}]})
        run = self.box.pullama("pull", "--max-retries", "1", "--insecure", registry.name(model))
        self.assert_error(run, 1, f"body from 127.0.0.1:{registry.cdn_port}", "sha256:")


if __name__ == "__main__":
    harness.main()
