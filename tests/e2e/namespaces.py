"""Places for a daemon that differ from this machine in one thing: another /etc/hosts and resolver, a read-only folder, a
network of its own. Made with namespaces, so only root can; nothing outside of them changes."""

import ctypes
import os
import random
import select
import shutil
import socket
import struct
import subprocess
import threading
import time

from harness import FIGURES

_CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


def possible():
    """Whether this machine lets us make namespaces and mount in them."""
    if os.geteuid() != 0 or not shutil.which("unshare") or not shutil.which("mount"):
        return False
    probe = ["unshare", "--mount", "--net", "sh", "-c", "mount --bind /etc/hosts /etc/hosts"]
    return subprocess.run(probe, capture_output=True).returncode == 0


WORD = "needs root and namespaces (unshare, mount)"


def with_mounts(*steps):
    """The start of a command whose process sees these mounts and nobody else does; each step is a shell command."""
    script = " && ".join([*steps, 'exec "$@"'])
    return ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh"]


def read_only(*folders):
    FIGURES["folders that take nothing"] += len(folders)
    return with_mounts(*(f"mount --bind '{f}' '{f}' && mount -o remount,bind,ro '{f}'" for f in folders))


class Names:
    """/etc/hosts and /etc/resolv.conf of its own, changeable while the daemon runs, and a name server on loopback that
    answers what `answers` says: {name: [addresses]}, "nxdomain", "servfail" or "silence"; what is not in it is
    `otherwise`."""

    def __init__(self, box, hosts=(), answers=None, otherwise="nxdomain", patience_s=30):
        self._hosts, resolver = box.root / "hosts", box.root / "resolv.conf"
        self.hosts(*hosts)
        self.answers, self.otherwise, self.asked = dict(answers or {}), otherwise, []
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        while True:
            self.address = f"127.{random.randint(1, 254)}.{random.randint(0, 254)}.{random.randint(2, 254)}"
            try:
                self._socket.bind((self.address, 53))
                break
            except OSError:
                continue
        resolver.write_text(f"nameserver {self.address}\noptions timeout:{patience_s} attempts:3\n")
        self.inside = with_mounts(f"mount --bind '{self._hosts}' /etc/hosts", f"mount --bind '{resolver}' /etc/resolv.conf")
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def hosts(self, *lines):
        """Lines of /etc/hosts, "ADDRESS NAME"; localhost is always there."""
        with open(self._hosts, "w", encoding="ascii") as file:  # the same inode: it may be mounted
            file.write("\n".join(["127.0.0.1 localhost", *lines, ""]))

    def close(self):
        self._socket.close()

    def _serve(self):
        while True:
            try:
                query, peer = self._socket.recvfrom(4096)
                reply = self._reply(query)
                if reply:
                    self._socket.sendto(reply, peer)
            except OSError:
                return

    def _reply(self, query):
        labels, at = [], 12
        while query[at]:
            labels.append(query[at + 1:at + 1 + query[at]].decode("latin-1"))
            at += 1 + query[at]
        name, (kind,), question = ".".join(labels).lower(), struct.unpack_from(">H", query, at + 1), query[12:at + 5]
        self.asked.append(name)
        answer = self.answers.get(name, self.otherwise)
        FIGURES["names that did not resolve"] += isinstance(answer, str)
        if answer == "silence":
            return None
        code = {"nxdomain": 3, "servfail": 2}.get(answer, 0) if isinstance(answer, str) else 0
        records = []
        for address in answer if not isinstance(answer, str) else ():
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            if kind == (28 if family == socket.AF_INET6 else 1):
                packed = socket.inet_pton(family, address)
                records.append(struct.pack(">HHHIH", 0xC00C, kind, 1, 1, len(packed)) + packed)
        head = query[:2] + struct.pack(">HHHHH", 0x8180 | code, 1, len(records), 0, 0)
        return head + question + b"".join(records)


class Network:
    """A network with nothing but loopback and the addresses given, each of which looks like a place in the world from
    inside. `listen` makes a socket in it that this process serves from outside."""

    def __init__(self, box, *addresses):
        self.holder = box.spawn("unshare", "--net", "sh", "-c",
                                " && ".join(["ip link set lo up", *(f"ip addr add {a} dev lo" for a in addresses),
                                             "echo up", "exec sleep 1000"]), stdout=subprocess.PIPE, text=True)
        assert self.holder.stdout.readline() == "up\n", "a network namespace"
        self.inside = ["nsenter", f"--net=/proc/{self.holder.pid}/ns/net"]

    def listen(self, address, port):
        made = []

        def make():
            fd = os.open(f"/proc/{self.holder.pid}/ns/net", os.O_RDONLY)
            try:
                if _libc.setns(fd, _CLONE_NEWNET) != 0:
                    raise OSError(ctypes.get_errno(), "setns")
                made.append(socket.create_server((address, port), backlog=128))
            finally:
                os.close(fd)

        thread = threading.Thread(target=make)  # the namespace is this thread's alone, and ends with it
        thread.start()
        thread.join()
        return made[0]


class Relay:
    """Passes connections from a listening socket on to a port of this machine; counts them, and can be cut. `rate`: so
    many bytes a second of a connection go there."""

    def __init__(self, listener, port, rate=0):
        self.listener, self.port, self.rate, self.connections, self.passed, self.sent = listener, port, rate, 0, 0, 0
        self._sockets, self._lock = [], threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                client = self.listener.accept()[0]
                server = socket.create_connection(("127.0.0.1", self.port), timeout=30)
            except OSError:
                return
            self.connections += 1
            with self._lock:
                self._sockets += [client, server]
            threading.Thread(target=self._pass, args=(client, server), daemon=True).start()

    def _pass(self, client, server):
        other = {client: server, server: client}
        try:
            while True:
                for source in select.select(list(other), [], [], 60)[0]:
                    data = source.recv(1 << 16)
                    if not data:
                        return
                    other[source].sendall(data)
                    with self._lock:
                        self.passed += len(data) if source is server else 0
                        self.sent += len(data) if source is client else 0
                    if source is client and self.rate:
                        time.sleep(len(data) / self.rate)
        except (OSError, ValueError):
            pass
        finally:
            client.close()
            server.close()

    def cut(self):
        """No connection any more, and none to be had."""
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        with self._lock:
            for one in self._sockets:
                try:
                    one.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass


class BlackHole:
    """An address that answers no SYN: a listener whose queue is full."""

    def __init__(self, address="127.0.0.1", port=0):
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self._listener = socket.socket(family, socket.SOCK_STREAM)
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind((address, port))
        self._listener.listen(0)
        self.port = self._listener.getsockname()[1]
        self._fillers = []
        for _ in range(4):
            filler = socket.socket(family, socket.SOCK_STREAM)
            filler.setblocking(False)
            filler.connect_ex((address, self.port))
            self._fillers.append(filler)
        FIGURES["black holes"] += 1

    def knocked(self):
        """Whether somebody beside our own fillers waits for an answer (SYN_SENT)."""
        ends = {f.getsockname()[1] for f in self._fillers}
        for table in ("/proc/net/tcp", "/proc/net/tcp6"):
            with open(table, encoding="ascii") as file:
                for line in list(file)[1:]:
                    _, local, remote, state = line.split()[:4]
                    if (state == "02" and int(remote.rsplit(":", 1)[1], 16) == self.port
                            and int(local.rsplit(":", 1)[1], 16) not in ends):
                        return True
        return False

    def close(self):
        for one in [*self._fillers, self._listener]:
            one.close()
