"""One large blob up, to Debian's docker-registry, which is new for each run."""

import os
import shutil

import harness
from kit import GIB, MIB, Blob, Model, cpu_seconds, peak_kb
from registries import DockerRegistry

DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"

# POST for a session, one PUT of the whole body, the config, the manifest: as few requests as it can be done with.
CURL = r"""
set -e
place() { curl -sf -X POST -D - -o /dev/null "$base/blobs/uploads/" | tr -d '\r' | sed -n 's/^Location: //p'; }
put() { curl -sf -o /dev/null -T "$1" -H 'Content-Type: application/octet-stream' "$(place)&digest=sha256:$2"; }
put "$blob" "$hex"
put "$config" "$config_hex"
curl -sf -o /dev/null -T "$manifest" -H 'Content-Type: %s' "$base/manifests/latest"
""" % DOCKER_MANIFEST


def push(bench):
    """2 GiB blob pushed to docker-registry, http loopback"""
    size = 64 * MIB if bench.quick else 2 * GIB
    model = Model("library/big", "latest", [Blob(seed=7, size=size)])
    image = Model("library/image", "latest", [Blob(seed=7, size=size, media_type=DOCKER_LAYER)])
    layer, config = model.layers[0], model.config
    daemon = bench.daemon()
    blobs = daemon.models / "blobs"
    blobs.mkdir(parents=True, exist_ok=True)
    for blob in model.blobs:
        shutil.copyfile(bench.file(blob), blobs / f"sha256-{blob.hex}")
    # The same file for all: skopeo's folder has a second name of it.
    folder = bench.box.root / "image"
    folder.mkdir()
    (folder / "version").write_text("Directory Transport Version: 1.1\n")
    (folder / "manifest.json").write_bytes(image.manifest)
    os.link(blobs / f"sha256-{layer.hex}", folder / layer.hex)
    (folder / image.config.hex).write_bytes(bench.file(image.config).read_bytes())
    manifest = bench.box.root / "manifest.json"
    manifest.write_bytes(model.manifest)

    def fresh():
        os.sync()
        return DockerRegistry(bench.box)

    def done(registry, repository):
        path = registry.root / f"docker/registry/v2/repositories/{repository}/_manifests/tags/latest/current/link"
        assert path.exists(), f"{path} is missing"
        bench.box.kill(registry.process)
        shutil.rmtree(registry.root)

    def ours():
        registry = fresh()
        place = daemon.models / "manifests" / registry.host / "library/big"
        place.mkdir(parents=True)
        (place / "latest").write_bytes(model.manifest)
        before = cpu_seconds(daemon.pid)
        with open(f"/proc/{daemon.pid}/clear_refs", "w", encoding="ascii") as file:
            file.write("5")
        sample, _ = bench.run(harness.PULLAMA, "--socket", daemon.socket, "--models-dir", daemon.models,
                              "--no-autostart", "push", "--quiet", "--insecure", registry.name(model))
        sample.cpu_s += cpu_seconds(daemon.pid) - before
        sample.rss_kb = peak_kb(daemon.pid)
        shutil.rmtree(daemon.models / "manifests" / registry.host)
        done(registry, model.repository)
        return sample

    def curl():
        registry = fresh()
        sample, _ = bench.run(CURL, shell=True, env={
            "base": f"http://{registry.host}/v2/library/curl", "blob": str(blobs / f"sha256-{layer.hex}"),
            "hex": layer.hex, "config": str(bench.file(config)), "config_hex": config.hex, "manifest": str(manifest)})
        done(registry, "library/curl")
        return sample

    def skopeo():
        registry = fresh()
        sample, _ = bench.run("skopeo", "--insecure-policy", "copy", "-q", "--dest-tls-verify=false", f"dir:{folder}",
                              f"docker://{registry.name(image)}")
        done(registry, image.repository)
        return sample

    return {"pullama": ours, "curl, one PUT, digest known": curl, "skopeo copy": skopeo}, size


CASES = [push]
