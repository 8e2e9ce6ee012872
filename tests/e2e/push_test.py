#!/usr/bin/python3
"""Pushes: to Debian's docker-registry, and to one that knows Ollama's ways up. A pull from there into another store shows
that bytes and manifest are the same. PULLAMA_TEST_LONG=1: 2 GiB, killed fifty times."""

import base64
import json
import random
import socket
import time

import harness
from blobs import MIB, Blob, Model, small_model
from namespaces import Relay
from registries import DockerRegistry, TokenService
from upload_registry import UploadRegistry
from wire import Wire

SIZE = (2048 if harness.LONG else 64) * MIB
KILLS = 50 if harness.LONG else 5
CHUNK = 4 * MIB
SECONDS = 60 if harness.LONG else 6  # that a push takes


class PushTestCase(harness.TestCase):
    def install(self, host, model):
        """The model as a pull from `host` would have left it."""
        for folder in (self.box.models, self.box.models / "blobs"):
            folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        for blob in model.blobs:
            with open(self.box.blob_path(blob), "wb") as file:
                for piece in blob.pieces():
                    file.write(piece)
        path = self.manifest_path(host, model)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(model.manifest)

    def push(self, registry, model, *flags):
        """The last event of a push that went well."""
        run = self.box.pullama("push", "--insecure", "--output", "json", registry.name(model), *flags)
        self.assert_exit(run, 0)
        last = json.loads(run.stdout.splitlines()[-1])
        self.assertEqual(last["event"], "push_completed")
        return last

    def assert_pushed(self, registry, model):
        """A pull into an empty store gives the same bytes under the same digest."""
        other = self.box.root / f"other-{len(self.box.children)}"
        run = self.box.pullama("pull", "--insecure", registry.name(model), "--models-dir", other)
        self.assert_exit(run, 0)
        self.assert_stored(registry.host, model, other)
        self.assertFalse(list((self.box.models / ".pullm").glob("upload-*")))

    def ollama(self, way, login=None):
        registry = UploadRegistry(way, login)
        self.addCleanup(registry.close)
        return registry

    def docker_config(self, host, user, password):
        folder = self.box.home / ".docker"
        folder.mkdir(parents=True, exist_ok=True)
        auth = base64.b64encode(f"{user}:{password}".encode()).decode()
        (folder / "config.json").write_text(json.dumps({"auths": {host: {"auth": auth}}}))


class DockerPushTest(PushTestCase):
    def test_a_model_is_pushed_and_comes_back(self):
        registry = DockerRegistry(self.box)
        model = small_model("ns/model", "v1")
        self.install(registry.host, model)
        run = self.box.pullama("push", "--insecure", registry.name(model))
        self.assert_exit(run, 0)
        self.assertIn("pushed", run.stdout)
        self.assert_pushed(registry, model)
        self.assertEqual(self.push(registry, model)["FetchedBytes"], 0)

    def test_a_second_model_that_shares_its_blobs_is_mounted(self):
        registry = DockerRegistry(self.box)
        first = small_model("ns/first")
        second = Model("ns/second", "latest", first.layers, first.config)
        for model in (first, second):
            self.install(registry.host, model)
        self.assertEqual(self.push(registry, first)["FetchedBytes"], first.total)
        self.assertEqual(self.push(registry, second)["FetchedBytes"], 0)
        self.assert_pushed(registry, second)

    def test_htpasswd_with_the_docker_config(self):
        registry = DockerRegistry(self.box, htpasswd=("somebody", "s3cret:word"))
        model = small_model("ns/model")
        self.install(registry.host, model)
        run = self.box.pullama("push", "--insecure", registry.name(model))
        self.assert_error(run, 3, "ns/model", registry.host)
        self.docker_config(registry.host, "somebody", "s3cret:word")
        self.push(registry, model)
        self.assert_pushed(registry, model)

    def test_a_token_service_is_asked_for_pull_and_push(self):
        service = TokenService(self.box)
        self.addCleanup(service.close)
        registry = DockerRegistry(self.box, token=service)
        first, second = small_model("team/first"), small_model("team/second")
        for model in (first, second):
            self.install(registry.host, model)
            self.push(registry, model)
        self.assert_pushed(registry, second)
        scopes = [scope for asked in service.asked for scope in asked["query"].get("scope", [])]
        self.assertIn("repository:team/first:pull,push", scopes)
        self.assertIn("repository:team/first:pull", scopes, "the second model mounts from the first")
        for asked in service.asked:
            self.assertIsNone(asked["authorization"])

    def test_a_model_that_is_not_installed(self):
        run = self.box.pullama("push", "--insecure", "127.0.0.1:1/ns/nobody")
        self.assert_error(run, 4, "nobody")

    def test_sigterm_and_a_new_daemon_lose_no_session(self):
        registry = DockerRegistry(self.box)
        model = Model("ns/big", "latest", [Blob(seed=7, size=24 * MIB)])
        self.install(registry.host, model)
        for _ in range(2):
            daemon = self.box.daemon()
            with Wire(self.box.socket) as wire:
                wire.call("events.subscribe")
                wire.call("push.start", model=registry.name(model),
                          options={"insecure": True, "limit_rate": 8 * MIB, "detached": True})
                wire.wait_event(lambda e: e["type"] == "blob.progress" and e["bytes_done"] > 0)
                time.sleep(0.6)
                begin = time.monotonic()
                self.assertEqual(self.box.terminate(daemon), 0)
                self.assertLess(time.monotonic() - begin, 10)
        daemon = self.box.daemon()
        with Wire(self.box.socket) as wire:
            wire.call("events.subscribe", since=0)
            end = wire.wait_type("job.completed", "job.failed")
            self.assertEqual(end["type"], "job.completed", end)
            self.assertEqual([e for e in wire.events if e["type"] == "blob.restarted"], [])
        self.assert_pushed(registry, model)


class KilledPushTest(PushTestCase):
    """kill -9 at random moments."""

    def killed(self, registry, model, kills, **options):
        """Pushes, kills the daemon `kills` times, lets the last run end; how often a session was lost."""
        seed = random.randrange(1 << 30)
        chance, lost, resumed = random.Random(seed), 0, 0
        print(f"seed {seed}", flush=True)
        options = {"insecure": True, "detached": True, "chunk_size": CHUNK, **options}
        for kill in range(kills):
            daemon = self.box.daemon()
            with Wire(self.box.socket) as wire:
                # From the start on: what was under way goes on as soon as there is a daemon.
                wire.call("events.subscribe", since=0)
                wire.call("push.start", model=registry.name(model), options=options)
                wire.wait_event(lambda e: e["type"] == "blob.progress" and e["direction"] == "up" and e["rate"] > 0)
                time.sleep(chance.uniform(0, 0.8 * SECONDS / kills))
                self.box.kill(daemon)
                lost += sum(e["type"] == "blob.restarted" for e in wire.events)
                resumed += sum(e["type"] == "blob.resumed" for e in wire.events)
                self.assertFalse([e for e in wire.events if e["type"] in ("job.completed", "job.failed")], kill)
        self.box.daemon()
        with Wire(self.box.socket) as wire:
            # What was under way goes on by itself.
            wire.call("events.subscribe", since=0)
            [job] = wire.call("job.list")["jobs"]
            self.assertNotIn(job["state"], ("failed", "cancelled"))
            if job["state"] != "completed":
                end = wire.wait_type("job.completed", "job.failed")
                self.assertEqual(end["type"], "job.completed", end)
            lost += sum(e["type"] == "blob.restarted" for e in wire.events)
            resumed += sum(e["type"] == "blob.resumed" for e in wire.events)
        self.assertGreaterEqual(resumed, kills - 1, "a run that began anew")  # the first may be killed before its first byte
        print(f"{kills} kills, {resumed} runs went on, {lost} sessions lost", flush=True)
        return lost

    def test_where_a_session_can_be_asked_at_most_a_chunk_travels_again(self):
        registry = self.ollama("chunks")
        model = Model("ns/big", "latest", [Blob(seed=42, size=SIZE)])
        self.install(registry.host, model)
        self.assertEqual(self.killed(registry, model, KILLS, limit_rate=SIZE // SECONDS), 0)
        self.assertLessEqual(registry.bytes_sent(), model.total + KILLS * CHUNK)
        self.assert_pushed(registry, model)

    def test_docker_registry(self):
        # Over a line that is thinner than we are: a request is under way nearly always. distribution 2.8 forgets a session
        # of which one answer was not read.
        registry = DockerRegistry(self.box)
        line = Relay(socket.create_server(("127.0.0.1", 0)), registry.port, rate=SIZE // SECONDS)
        self.addCleanup(line.cut)
        registry.host = "127.0.0.1:%d" % line.listener.getsockname()[1]
        model = Model("ns/big", "latest", [Blob(seed=43, size=SIZE)])
        self.install(registry.host, model)
        lost = self.killed(registry, model, KILLS)
        print(f"{line.sent} bytes to the registry, heads of requests among them, for a model of {model.total}", flush=True)
        self.assertEqual(lost, 0)
        self.assertLessEqual(line.sent, model.total + KILLS * CHUNK)
        self.assert_pushed(registry, model)


class OllamaPushTest(PushTestCase):
    def test_parts_and_their_etag(self):
        registry = self.ollama("parts")
        model = small_model("me/model", sizes=(9 * MIB + 17, 70_001))
        self.install(registry.host, model)
        self.push(registry, model, "--chunk-size", "2MiB")
        self.assertEqual(len(registry.etags), len({b.digest for b in model.blobs}))
        for ours, theirs in registry.etags:
            self.assertEqual(ours, theirs)
        self.assertIn("-5", [theirs[-2:] for _, theirs in registry.etags])
        self.assertEqual(registry.bytes_sent(), model.total)
        for request in registry.requests:
            if request["store"]:
                self.assertNotIn("Authorization", request["headers"])
        self.assert_pushed(registry, model)

    def test_an_expired_url_of_a_part(self):
        registry = self.ollama("parts")
        model = Model("me/model", "latest", [Blob(seed=3, size=8 * MIB)])
        self.install(registry.host, model)
        registry.expired = {2 * MIB, 6 * MIB}
        self.push(registry, model, "--chunk-size", "2MiB")
        self.assertFalse(registry.expired)
        self.assert_pushed(registry, model)

    def test_parts_survive_a_kill(self):
        registry = self.ollama("parts")
        model = Model("me/model", "latest", [Blob(seed=4, size=16 * MIB)])
        self.install(registry.host, model)
        daemon = self.box.daemon()
        with Wire(self.box.socket) as wire:
            wire.call("push.start", model=registry.name(model),
                      options={"insecure": True, "limit_rate": 4 * MIB, "chunk_size": MIB, "connections": 2,
                               "detached": True})
            harness.wait_until(lambda: registry.bytes_sent() > 6 * MIB, "six parts")
            self.box.kill(daemon)
        self.push(registry, model, "--chunk-size", "1MiB", "--limit-rate", "100M")
        self.assertLessEqual(registry.bytes_sent(), model.total + 2 * MIB)
        self.assert_pushed(registry, model)

    def test_a_direct_upload(self):
        registry = self.ollama("direct")
        model = small_model("me/model")
        self.install(registry.host, model)
        self.push(registry, model)
        puts = [r for r in registry.requests if r["store"]]
        self.assertEqual(len(puts), len(model.blobs))
        for put in puts:
            self.assertEqual(put["headers"]["X-Amz-Checksum-Sha256"], "c2lnbmVk")
            self.assertEqual(put["headers"]["Host"], registry.store_host)
            self.assertNotIn("Authorization", put["headers"])
            self.assertNotEqual(put["headers"].get("Connection"), "close")
        self.assert_pushed(registry, model)

    def test_a_session_at_another_host_gets_no_authorization(self):
        registry = self.ollama("foreign", ("somebody", "s3cret"))
        self.docker_config(registry.host, "somebody", "s3cret")
        model = small_model("me/model", sizes=(9 * MIB + 17, 70_001))
        self.install(registry.host, model)
        self.push(registry, model)
        sessions = [r for r in registry.requests if r["store"]]
        self.assertIn("PUT", {r["method"] for r in sessions})
        for request in sessions:
            self.assertNotIn("Authorization", request["headers"])
        self.assert_pushed(registry, model)

    def test_429_waits_as_long_as_it_is_told(self):
        registry = self.ollama("chunks")
        model = small_model("me/model")
        self.install(registry.host, model)
        refused = []

        def too_many(method, path):
            if method == "PATCH" and not refused:
                refused.append(time.monotonic())
                return 429, {"Retry-After": "2"}, b""
            return None
        registry.fail = too_many
        self.push(registry, model)
        self.assertGreaterEqual(time.monotonic() - refused[0], 2)
        self.assert_pushed(registry, model)

    def test_what_a_registry_refuses(self):
        def error(status, code, **headers):
            return status, headers, json.dumps({"errors": [{"code": code, "message": code.lower()}]}).encode()
        rows = [
            (("POST", "/uploads/"), error(401, "UNAUTHORIZED"), 3, ["me/model"]),
            (("POST", "/uploads/"), error(403, "DENIED"), 3, ["not authorized to push to me/model", "denied"]),
            (("POST", "/uploads/"), error(404, "NAME_UNKNOWN"), 4, ["name_unknown"]),
            (("PATCH", "/uploads/"), error(413, "TOO_LARGE"), 1, ["413", "--chunk-size"]),
            (("PATCH", "/uploads/"), error(416, "RANGE_INVALID"), 1, ["416", "given up"]),
            (("PATCH", "/uploads/"), error(429, "TOOMANYREQUESTS", **{"Retry-After": "1"}), 1, ["429", "given up"]),
            (("PUT", "/manifests/"), error(403, "DENIED"), 3, ["not authorized"]),
            (("PUT", "/manifests/"), error(413, "TOO_LARGE"), 1, ["413", "4 MiB"]),
            (("POST", "/uploads/"), (202, {"Location": "ftp://elsewhere/x"}, b""), 1, ["refused", "ftp"]),
        ]
        model = small_model("me/model")
        for (method, part), answer, code, words in rows:
            with self.subTest(method=method, status=answer[0], words=words):
                registry = self.ollama("chunks")
                self.install(registry.host, model)
                registry.fail = lambda m, path: answer if m == method and part in path else None
                run = self.box.pullama("push", "--insecure", "--max-retries", "1", registry.name(model))
                self.assert_error(run, code, *words)
                self.assertFalse(registry.manifests)


if __name__ == "__main__":
    harness.main()
