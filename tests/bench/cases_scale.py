"""What many of a thing cost: models installed, models queued, watchers of one pull."""

import time

from cases_blob import pairs
from cases_store import installed, put_blob
from crowd import crowd, healthy
from kit import MIB, Blob, Model, Server, harness
from wire import Wire

ADDED_AT_ONCE = 5000  # models in one request: a line on the socket has a limit


def _command(daemon, *words):
    return [harness.PULLAMA, "--socket", daemon.socket, "--models-dir", daemon.models, "--no-autostart", *words]


def _counts(bench):
    return (10, 100) if bench.quick else (10, 100, 1000, 10_000)


def list_models(bench):
    """list with 10 to 10,000 models"""
    contenders = {}
    for count in _counts(bench):
        daemon = bench.daemon()
        model = Model("library/any", "latest", [Blob(seed=400, size=20_000)])
        for blob in model.blobs:
            put_blob(daemon, blob)
        installed(daemon, *(Model(f"library/m{number}", "latest", model.layers) for number in range(count)))

        def listed(daemon=daemon, count=count):
            sample, text = bench.run(*_command(daemon, "list"))
            assert text.count("\n") == count + 1, text[-200:]
            return sample

        contenders[f"pullama list, {count} models"] = listed
    return contenders, 0


def queue_list(bench):
    """queue list with 10 to 10,000 entries"""
    contenders = {}
    for count in _counts(bench):
        daemon = bench.daemon()
        with Wire(daemon.socket, check=False) as wire:
            for begin in range(0, count, ADDED_AT_ONCE):
                names = [f"registry.example/library/m{begin + i}:7b" for i in range(min(ADDED_AT_ONCE, count - begin))]
                wire.call("queue.add", models=names)

        def listed(daemon=daemon, count=count):
            sample, text = bench.run(*_command(daemon, "queue", "list"))
            assert text.count("library/m") == count, text[-200:]
            return sample

        contenders[f"pullama queue list, {count} entries"] = listed
    return contenders, 0


def watchers(bench):
    """one pull watched by none, 1, 100 and 1,000; the readers run on the same cores"""
    ours, _ = pairs(bench, (64 if bench.quick else 2048) * MIB)
    server, daemon = Server(bench), bench.daemon()

    def watched(count):
        path = str(daemon.socket)
        readers = None if count == 0 else healthy(path) if count == 1 else crowd(path, count)
        time.sleep(0.2)
        sample = bench.pull(daemon, server.name(ours), "--insecure")
        if readers:
            readers.end()
        return sample

    contenders = {"pullama, nobody watches": lambda: watched(0)}
    for count in (1, 100) if bench.quick else (1, 100, 1000):
        contenders[f"pullama, watched by {count}"] = lambda count=count: watched(count)
    return contenders, ours.total


CASES = [list_models, queue_list, watchers]
