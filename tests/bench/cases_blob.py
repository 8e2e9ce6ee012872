"""One large blob from nginx on loopback, verified on the disk."""

from kit import GIB, MIB, Blob, Model, Server

DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"


def pairs(bench, size, seed=7):
    """The same blob as an Ollama model and, for skopeo, as a Docker image."""
    ours = Model("library/big", "latest", [Blob(seed=seed, size=size)])
    docker = Model("library/image", "latest", [Blob(seed=seed, size=size, media_type=DOCKER_LAYER)])
    bench.publish(ours)
    bench.publish(docker)
    return ours, docker


def aria(bench, url, blob, connections, *more, wrap=()):
    out = bench.fresh_out()
    return bench.run(*wrap, "aria2c", "-q", "--no-conf", f"-x{connections}", f"-s{connections}", "-k1M",
                     "--file-allocation=none", f"--checksum=sha-256={blob.hex}", *more, "-d", out, "-o", "blob", url)[0]


def _blob_contenders(bench, server, ours, docker, secure):
    blob = ours.layers[0]
    url, size = server.url(ours, blob), blob.size
    ca = bench.authority.ca
    daemon = bench.daemon(env={"SSL_CERT_FILE": str(ca)})
    certificates = bench.box.root / "certs.d"
    certificates.mkdir(exist_ok=True)
    (certificates / "ca.crt").write_bytes(ca.read_bytes())
    curl = f"curl -sf --cacert {ca}"

    def then(command):
        out = bench.fresh_out() / "blob"
        return bench.run(f"{curl} -o {out} '{url}' && {command} {out} | grep -q {blob.hex}", shell=True)[0]

    def tee():
        out = bench.fresh_out() / "blob"
        return bench.run(f"{curl} '{url}' | tee {out} | openssl dgst -sha256 | grep -q {blob.hex}", shell=True)[0]

    def wget():
        out = bench.fresh_out() / "blob"
        return bench.run(f"wget -q --ca-certificate={ca} -O {out} '{url}' && sha256sum {out} | grep -q {blob.hex}",
                         shell=True)[0]

    def skopeo():
        tls = ["--src-cert-dir", certificates] if secure else ["--src-tls-verify=false"]
        return bench.run("skopeo", "--insecure-policy", "copy", "-q", *tls,
                         f"docker://{server.name(docker)}", f"dir:{bench.fresh_out()}")[0]

    flags = [] if secure else ["--insecure"]
    aria_ca = [f"--ca-certificate={ca}"] if secure else []
    contenders = {
        "pullama": lambda: bench.pull(daemon, server.name(ours), *flags),
        "curl, then openssl dgst": lambda: then("openssl dgst -sha256"),
        "curl | tee | openssl dgst": tee,
        "curl, then sha256sum": lambda: then("sha256sum"),
        "aria2c -x1": lambda: aria(bench, url, blob, 1, *aria_ca),
        "aria2c -x16": lambda: aria(bench, url, blob, 16, *aria_ca),
        "wget, then sha256sum": wget,
        "skopeo copy": skopeo,
    }
    return contenders, size


def http(bench):
    """2 GiB blob, http loopback, verified on disk"""
    size = 64 * MIB if bench.quick else 2 * GIB
    ours, docker = pairs(bench, size)
    server = Server(bench)
    contenders, size = _blob_contenders(bench, server, ours, docker, False)
    blob = ours.layers[0]
    source, url = bench.file(blob), server.url(ours, blob)

    def write_and_sync():
        return bench.run("dd", "if=/dev/zero", f"of={bench.fresh_out()}/zeros", "bs=1M", f"count={size // MIB}",
                         "conv=fsync", "status=none")[0]

    contenders["limit: receive into memory"] = lambda: bench.run("curl", "-sf", "-o", "/dev/null", url)[0]
    contenders["limit: SHA-256 from memory"] = lambda: bench.run("openssl", "dgst", "-sha256", source)[0]
    contenders["limit: write and sync"] = write_and_sync
    return contenders, size


def https(bench):
    """the same over https"""
    size = 64 * MIB if bench.quick else 2 * GIB
    ours, docker = pairs(bench, size)
    server = Server(bench, tls=bench.authority.certificate())
    return _blob_contenders(bench, server, ours, docker, True)


CASES = [http, https]
