"""What is installed: the list of a large store, and verification against openssl."""

import os
import shutil

from kit import GIB, MIB, Blob, Model, cpu_seconds, harness


def installed(daemon, *models):
    """Put there without a pull; the weights are hard links or copies of the served files."""
    for model in models:
        path = daemon.models / "manifests/registry.ollama.ai" / model.repository / model.tag
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(model.manifest)


def put_blob(daemon, blob, source=None):
    (daemon.models / "blobs").mkdir(parents=True, exist_ok=True)
    path = daemon.models / "blobs" / f"sha256-{blob.hex}"
    if path.exists():
        return path
    if source:
        shutil.copyfile(source, path)
    else:
        path.write_bytes(b"".join(blob.pieces()))
    return path


def list_models(bench):
    """list of 1,000 models with a warm cache"""
    count = 50 if bench.quick else 1000
    daemon = bench.daemon()
    shared = [Blob(seed=400 + i, size=20_000) for i in range(3)]
    for number in range(count):
        model = Model(f"library/m{number}", "latest", shared)
        for blob in model.blobs:
            put_blob(daemon, blob)
        installed(daemon, model)
    command = [harness.PULLAMA, "--socket", daemon.socket, "--models-dir", daemon.models, "--no-autostart"]
    rows = bench.run(*command, "list")[1].count("\n")
    assert rows == count + 1, rows
    tree = f"find {daemon.models}/manifests -type f -print0 | xargs -0 cat | sha256sum"
    return {
        "pullama": lambda: bench.run(*command, "list")[0],
        "pullama daemon status (no store)": lambda: bench.run(*command, "daemon", "status")[0],
        "find, cat and one sha256sum": lambda: bench.run(tree, shell=True)[0],
    }, 0


def verify(bench):
    """verify of 4 GiB on all cores, warm cache"""
    cores = os.cpu_count() or 1
    # As many parts as divide evenly, so that both have all cores to the end.
    size = (16 * MIB if bench.quick else GIB // 2)
    blobs = [Blob(seed=300 + i, size=size) for i in range(8)]
    model = Model("library/weights", "latest", blobs)
    daemon = bench.daemon()
    paths = [str(put_blob(daemon, blob, bench.file(blob))) for blob in blobs]
    for blob in blobs:
        bench.file(blob).unlink()
    put_blob(daemon, model.config)
    installed(daemon, model)
    command = [harness.PULLAMA, "--socket", daemon.socket, "--models-dir", daemon.models, "--no-autostart", "verify"]
    dgst = f"printf '%s\\0' {' '.join(paths)} | xargs -0 -n1 -P{cores} openssl dgst -sha256 >/dev/null"

    def ours():
        before = cpu_seconds(daemon.pid)
        sample, _ = bench.run(*command, "--quiet")
        sample.cpu_s += cpu_seconds(daemon.pid) - before
        return sample

    return {
        "pullama": ours,
        f"openssl dgst -sha256, {cores} at a time": lambda: bench.run(dgst, shell=True)[0],
    }, size * len(blobs)


CASES = [list_models, verify]
