"""What a pull costs besides its bytes: many small blobs, the end, a resume, a model that is there already."""

import json
import os
import pathlib
import re
import shutil
import subprocess
import time

from cases_blob import DOCKER_LAYER, pairs
from cases_line import line
from kit import GIB, MIB, Blob, Model, Sample, ScriptedRegistry, Server, harness


def small_blobs(bench):
    """1,000 small blobs of 64 KiB in one model"""
    count = 50 if bench.quick else 1000
    ours = Model("library/many", "latest", [Blob(seed=9000 + i, size=64 << 10) for i in range(count)])
    docker = Model("library/many-layers", "latest",
                   [Blob(seed=9000 + i, size=64 << 10, media_type=DOCKER_LAYER) for i in range(count)])
    bench.publish(ours)
    bench.publish(docker)
    server, daemon = Server(bench), bench.daemon()
    return {
        "pullama": lambda: bench.pull(daemon, server.name(ours), "--insecure"),
        "skopeo copy": lambda: bench.run("skopeo", "--insecure-policy", "copy", "-q", "--src-tls-verify=false",
                                         f"docker://{server.name(docker)}", f"dir:{bench.fresh_out()}")[0],
    }, ours.total


def last_byte_to_name(bench):
    """last byte to final name, 0.5 to 8 GiB"""
    server, daemon = Server(bench), bench.daemon()
    contenders = {}
    for halves in (1, 4, 16):
        size = halves * (16 * MIB if bench.quick else GIB // 2)
        ours = Model(f"library/size{halves}", "latest", [Blob(seed=50 + halves, size=size)])
        bench.publish(ours)

        def finish(ours=ours):
            blob = ours.layers[0]
            sample = bench.pull(daemon, server.name(ours), "--insecure")
            last = max(entry["time"] for entry in server.log() if blob.hex in entry["path"])
            # A rename changes ctime: the moment at which the final name was there.
            named = os.stat(daemon.models / "blobs" / f"sha256-{blob.hex}").st_ctime
            return Sample(max(0.0, named - last), sample.cpu_s, sample.rss_kb)

        text = f"{size / GIB:g} GiB"
        contenders[f"pullama {text}"] = finish
        contenders[f"sha256sum of {text}"] = lambda file=bench.file(ours.layers[0]): bench.run("sha256sum", file)[0]
        contenders[f"openssl dgst of {text}"] = lambda file=bench.file(ours.layers[0]): bench.run(
            "openssl", "dgst", "-sha256", file)[0]
    return contenders, 0


def resume(bench):
    """resume at 90 % after kill -9: seconds to the first byte again, bytes that travelled twice"""
    ours, _ = pairs(bench, (64 if bench.quick else 256) * MIB)
    blob, server = ours.layers[0], Server(bench)
    host = line(bench, server, "--rate", 12_000_000)
    enough, url = (0.5 if bench.quick else 0.9) * blob.size, f"http://{host}/v2/{ours.repository}/blobs/{blob.digest}"

    def second_run(begin, had):
        """What the server saw since `begin`, and how much of it was there when the first run was killed."""
        time.sleep(0.3)  # nginx writes its log when a request has ended
        later = [e for e in server.log() if blob.hex in e["path"] and e["time"] - e["seconds"] >= begin - 0.001]
        first = min(e["time"] - e["seconds"] for e in later) - begin
        return Sample(first, sent_bytes=max(0, had + sum(e["sent"] for e in later) - blob.size))

    def tool(command):
        path = bench.fresh_out() / "blob"
        process = bench.box.spawn(*command(path), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        on_disk = lambda: path.stat().st_blocks * 512 if path.exists() else 0
        harness.wait_until(lambda: on_disk() >= enough, "nine tenths are there", every=0.005)
        bench.box.kill(process)
        time.sleep(1)  # what was under way in the line is gone
        had, begin = on_disk(), time.time()
        bench.run(*command(path))
        return second_run(begin, had)

    def ours_again():
        daemon = bench.daemon()
        client = bench.box.start_pullama("--socket", daemon.socket, "--models-dir", daemon.models, "pull", "--insecure",
                                         "--quiet", "--no-autostart", f"{host}/{ours.repository}:{ours.tag}")

        # What it has written into files: the blob, records of what is not synced, and a few kilobytes of other state.
        written = lambda: int(re.search(r"^wchar: (\d+)$", pathlib.Path(f"/proc/{daemon.pid}/io").read_text(), re.M)[1])
        harness.wait_until(lambda: written() >= enough, "nine tenths are there", every=0.005)
        had = written()
        bench.box.kill(daemon)
        had -= harness.unsynced_record_bytes(daemon.models, blob)
        client.communicate(timeout=30)
        time.sleep(1)
        begin = time.time()  # the daemon goes on with what it had as soon as it is there
        again = bench.box.daemon("--socket", daemon.socket, "--models-dir", daemon.models, socket=daemon.socket)
        again.socket, again.models = daemon.socket, daemon.models
        bench.pull(again, f"{host}/{ours.repository}:{ours.tag}", "--insecure", remove=False)
        sample = second_run(begin, had)
        bench.stop(again)
        return sample

    return {
        "pullama": ours_again,
        "aria2c -c -x16": lambda: tool(lambda path: ["aria2c", "-q", "--no-conf", "-c", "-x16", "-s16", "-k1M",
                                                     "--file-allocation=none", "-d", path.parent, "-o", path.name, url]),
        "curl -C -": lambda: tool(lambda path: ["curl", "-sf", "-C", "-", "-o", path, url]),
    }, blob.size


def first_request(bench):
    """resume of a half-done partial: seconds from the command to the first request"""
    contenders = {}
    for gib in (1, 10):
        size = gib * (16 * MIB if bench.quick else GIB)
        model = Model(f"library/half{gib}", "latest", [Blob(seed=60 + gib, size=size)])
        blob = model.layers[0]

        def again(model=model, blob=blob):
            registry = ScriptedRegistry(bench.box, {"models": [model.script()], "rate": {"total": blob.size // 4}})
            daemon = bench.daemon()
            call = ["--socket", daemon.socket, "--models-dir", daemon.models]
            pull = [*call, "pull", "--insecure", "--quiet", "--no-autostart", registry.name(model)]
            client = bench.box.start_pullama(*pull)

            def half():
                jobs = json.loads(bench.box.pullama(*call, "jobs", "--output", "json").stdout)["jobs"]
                return bool(jobs) and jobs[0].get("bytes_done", 0) >= blob.size // 2

            harness.wait_until(half, "half of it is there", every=0.01)
            bench.box.kill(daemon)
            client.communicate(timeout=30)
            time.sleep(1)
            restarted = bench.box.daemon(*call, socket=daemon.socket)
            begin = time.time()
            client = bench.box.start_pullama(*pull)
            harness.wait_until(lambda: registry.log(begin), "the first request has ended", every=0.01)
            later = harness.wait_until(lambda: [e for e in registry.log(begin) if blob.hex in e["path"]],
                                       "the first range has ended", every=0.01)
            first = min(entry["time"] for entry in later) - begin
            bench.box.kill(restarted)
            client.communicate(timeout=30)
            bench.box.terminate(registry.process)
            shutil.rmtree(daemon.models)
            return Sample(first)

        contenders[f"pullama {size / GIB:g} GiB"] = again
    return contenders, 0


def already_there(bench):
    """pull of what is already there"""
    ours, docker = pairs(bench, (64 if bench.quick else 2048) * MIB)
    server, daemon = Server(bench), bench.daemon()
    bench.pull(daemon, server.name(ours), "--insecure")
    manifest = f"http://{server.host}/v2/{ours.repository}/manifests/{ours.tag}"
    blobs = " ".join(f"{daemon.models}/blobs/sha256-{blob.hex}" for blob in ours.blobs)
    return {
        "pullama": lambda: bench.pull(daemon, server.name(ours), "--insecure", remove=False),
        "curl of the manifest, stat of the blobs": lambda: bench.run(
            f"curl -sf -o /dev/null {manifest} && stat {blobs} >/dev/null", shell=True)[0],
        "skopeo copy": lambda: bench.run("skopeo", "--insecure-policy", "copy", "-q", "--src-tls-verify=false",
                                         f"docker://{server.name(docker)}", f"dir:{bench.fresh_out()}")[0],
    }, ours.total


CASES = [small_blobs, last_byte_to_name, resume, first_request, already_there]
