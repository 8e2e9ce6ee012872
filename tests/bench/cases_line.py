"""Lines that are thin, long or lossy."""

import os
import pathlib
import subprocess

from cases_blob import aria, pairs
from kit import MIB, Server, harness

LINE_PROXY = os.environ.get("LINE_PROXY", "")


def line(bench, server, *flags):
    """The server's address behind a line-proxy."""
    process = bench.box.spawn(LINE_PROXY, "--to", server.port, *flags, stdout=subprocess.PIPE, text=True)
    return f"127.0.0.1:{int(process.stdout.readline())}"


def _contenders(bench, host, ours, more=None):
    blob, daemon = ours.layers[0], bench.daemon()
    url = f"http://{host}/v2/{ours.repository}/blobs/{blob.digest}"
    return {
        "pullama": lambda: bench.pull(daemon, f"{host}/{ours.repository}:{ours.tag}", "--insecure"),
        "aria2c -x16": lambda: aria(bench, url, blob, 16),
        **(more or {}),
    }


def capped(bench):
    """each connection capped at 20 MB/s"""
    ours, _ = pairs(bench, (32 if bench.quick else 2048) * MIB)
    host = line(bench, Server(bench), "--rate", 20_000_000)
    daemon = bench.daemon()
    return _contenders(bench, host, ours, {
        "pullama --connections 16": lambda: bench.pull(daemon, f"{host}/{ours.repository}:{ours.tag}", "--insecure",
                                                       "--connections", "16"),
    }), ours.total


def delay(bench):
    """50 ms delay each way"""
    ours, _ = pairs(bench, (32 if bench.quick else 1024) * MIB)
    host = line(bench, Server(bench), "--delay-ms", 50)
    return _contenders(bench, host, ours), ours.total


class _Namespaces:
    """Two network namespaces with a line between them that loses packets both ways."""

    def __init__(self, name, loss):
        self.a, self.b = f"{name}a", f"{name}b"
        run = lambda *words: subprocess.run(words, check=True, capture_output=True)
        for space in (self.a, self.b):
            run("ip", "netns", "add", space)
            run("ip", "-n", space, "link", "set", "lo", "up")
        run("ip", "-n", self.a, "link", "add", "line", "type", "veth", "peer", "name", "line", "netns", self.b)
        for space, address in ((self.a, "192.0.2.1/24"), (self.b, "192.0.2.2/24")):
            run("ip", "-n", space, "address", "add", address, "dev", "line")
            run("ip", "-n", space, "link", "set", "line", "up")
            # Without segmentation offload a lost packet is a packet, not 64 KiB.
            run("ip", "netns", "exec", space, "ethtool", "-K", "line", "tso", "off", "gso", "off", "gro", "off")
            run("ip", "netns", "exec", space, "iptables", "-A", "INPUT", "-i", "line", "-m", "statistic", "--mode",
                "random", "--probability", str(loss), "-j", "DROP")

    def close(self):
        for space in (self.a, self.b):
            subprocess.run(["ip", "netns", "delete", space], check=False, capture_output=True)


def loss(bench):
    """0.5 % of the packets lost (network namespaces, iptables statistic)"""
    ours, _ = pairs(bench, (16 if bench.quick else 512) * MIB)
    spaces = _Namespaces(f"plm{os.getpid()}", 0.005)
    bench.at_close(spaces.close)
    server = Server(bench, address="192.0.2.1", wrap=("ip", "netns", "exec", spaces.a))
    inside = ("ip", "netns", "exec", spaces.b)
    harness.wait_until(lambda: subprocess.run([*inside, "curl", "-sf", f"http://{server.host}/v2/"], check=False,
                                              capture_output=True).returncode == 0, "nginx listens")
    daemon = bench.daemon(wrap=inside)
    blob = ours.layers[0]
    return {
        "pullama": lambda: bench.pull(daemon, server.name(ours), "--insecure"),
        "aria2c -x16": lambda: aria(bench, server.url(ours, blob), blob, 16, wrap=inside),
        "curl": lambda: bench.run(*inside, "curl", "-sf", "-o", bench.fresh_out() / "blob", server.url(ours, blob))[0],
    }, ours.total


CASES = [capped, delay, loss]
