"""What the benchmarks stand on: data in memory, nginx in front of it, a daemon with its own home, and runs of commands of
which wall time, CPU seconds and peak memory are known."""

import dataclasses
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "e2e"))
import harness  # noqa: E402
import scratch  # noqa: E402
from blobs import MIB, Blob, Model  # noqa: E402,F401
from registries import Authority, ScriptedRegistry, free_port, listening  # noqa: E402,F401

GIB = 1 << 30
TICKS = os.sysconf("SC_CLK_TCK")
LIMIT_S = 600  # no run takes longer than this, or the case has failed


@dataclasses.dataclass
class Sample:
    seconds: float
    cpu_s: float = 0.0
    rss_kb: int = 0
    sent_bytes: int = 0
    first_byte_s: float = 0.0


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def peak_kb(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmHWM"))


class Bench:
    """One run's world. Data to be served lies in memory (/dev/shm), what is stored on the disk of TMPDIR."""

    def __init__(self, quick):
        self.quick = quick
        self.box = harness.Sandbox()
        self.data = scratch.folder("pullama-bench-", "/dev/shm")
        self.out = self.box.root / "out"
        self.authority = Authority(self.box)
        self._daemons, self._closers = [], []

    def at_close(self, closer):
        self._closers.append(closer)

    def close(self):
        for daemon in self._daemons:
            if daemon.poll() is None:
                self.box.terminate(daemon)
        self.box.close()
        for closer in self._closers:
            closer()
        shutil.rmtree(self.data, ignore_errors=True)

    def fresh_out(self):
        """An empty folder for what a tool stores; what an earlier run left to write back is out of the way."""
        shutil.rmtree(self.out, ignore_errors=True)
        self.out.mkdir()
        os.sync()
        return self.out

    def file(self, blob):
        """The blob's bytes as a file in memory, made once."""
        path = self.data / ("sha256-" + blob.hex)
        if not path.exists():
            with open(path, "wb") as out:
                for piece in blob.pieces():
                    out.write(piece)
        return path

    def publish(self, model):
        """The model as a static tree that nginx serves as a registry."""
        root = self.data / "www/v2" / model.repository
        (root / "manifests").mkdir(parents=True, exist_ok=True)
        (root / "blobs").mkdir(parents=True, exist_ok=True)
        for reference in (model.tag, model.digest):
            (root / "manifests" / reference).write_bytes(model.manifest)
        for blob in model.blobs:
            target = root / "blobs" / blob.digest
            if not target.exists():
                os.link(self.file(blob), target)

    def daemon(self, *arguments, env=None, wrap=()):
        """A daemon of its own home and store; .socket to speak to it."""
        home = pathlib.Path(tempfile.mkdtemp(prefix="daemon-", dir=self.box.root))
        socket, models = home / "sock", home / "models"
        process = self.box.daemon("--socket", socket, "--models-dir", models, *arguments, env=env, socket=socket, wrap=wrap)
        process.socket, process.models = socket, models
        self._daemons.append(process)
        return process

    def stop(self, daemon):
        self.box.terminate(daemon)
        shutil.rmtree(daemon.models, ignore_errors=True)

    def run(self, *command, env=None, shell=False, check=True):
        """A command and all its children: wall, CPU, and the largest resident set of one of them."""
        full = {**self.box.environment, **(env or {})}
        words = ["bash", "-o", "pipefail", "-c", command[0]] if shell else [str(word) for word in command]
        begin = time.monotonic()
        process = subprocess.Popen(words, env=full, cwd=self.box.root, stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True)
        output = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.monotonic() - begin
        if check and process.returncode != 0:
            raise AssertionError(f"{words} ended with {process.returncode}: {output.decode(errors='replace')[-2000:]}")
        return Sample(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss), output.decode(errors="replace")

    def pull(self, daemon, name, *flags, remove=True):
        """`pullama pull` to its end with a daemon that runs; CPU and memory are client's and daemon's."""
        if remove:
            shutil.rmtree(daemon.models / "manifests", ignore_errors=True)
            shutil.rmtree(daemon.models / "blobs", ignore_errors=True)
            os.sync()
        before = cpu_seconds(daemon.pid)
        with open(f"/proc/{daemon.pid}/clear_refs", "w", encoding="ascii") as file:
            file.write("5")
        sample, _ = self.run(harness.PULLAMA, "--socket", daemon.socket, "--models-dir", daemon.models, "--no-autostart",
                             "pull", "--quiet", *flags, name)
        sample.cpu_s += cpu_seconds(daemon.pid) - before
        sample.rss_kb = peak_kb(daemon.pid)
        return sample


class Server:
    """nginx that serves what Bench.publish() made: sendfile from memory, so that it costs next to nothing."""

    def __init__(self, bench, tls=None, limit_rate=None, address="127.0.0.1", wrap=()):
        self.port = free_port()
        self.host = f"{address}:{self.port}"
        self.scheme = "https" if tls else "http"
        folder = bench.box.root / f"nginx-{self.port}"
        folder.mkdir()
        self.log_path = folder / "access.log"
        temporary = "".join(f"    {kind}_temp_path {folder}/{kind};\n"
                            for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        secure = f"    ssl_certificate {tls[0]};\n    ssl_certificate_key {tls[1]};\n" if tls else ""
        rate = f"        limit_rate {limit_rate};\n" if limit_rate else ""
        (folder / "nginx.conf").write_text(f"""
daemon off;
master_process off;
user root;
pid {folder}/nginx.pid;
error_log {folder}/error.log warn;
events {{ worker_connections 1024; }}
http {{
{temporary}{secure}
    log_format ranges escape=json '{{"time":$msec,"path":"$uri","range":"$http_range","status":$status,'
        '"sent":$body_bytes_sent,"seconds":$request_time}}';
    access_log {self.log_path} ranges;
    sendfile on;
    sendfile_max_chunk 1m;
    tcp_nopush on;
    keepalive_requests 100000;
    server {{
        listen {self.host}{" ssl" if tls else ""};
        root {bench.data}/www;
        default_type application/octet-stream;
{rate}
        location = /v2/ {{ default_type application/json; return 200 '{{}}'; }}
        location ~ /manifests/ {{ default_type application/vnd.docker.distribution.manifest.v2+json; }}
    }}
}}
""")
        nginx = shutil.which("nginx", path="/usr/sbin:/usr/bin")
        self.process = bench.box.spawn(*wrap, nginx, "-p", folder, "-c", folder / "nginx.conf",
                                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        if not wrap:
            harness.wait_until(lambda: listening(self.port), "nginx listens")

    def name(self, model):
        return f"{self.host}/{model.repository}:{model.tag}"

    def log(self):
        with open(self.log_path, encoding="utf-8") as file:
            return [json.loads(line) for line in file]

    def url(self, model, blob):
        return f"{self.scheme}://{self.host}/v2/{model.repository}/blobs/{blob.digest}"
