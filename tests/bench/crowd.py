"""Subscribers to a daemon's events, in processes of their own: a crowd, and one healthy reader that takes the time."""

import json
import os
import select
import socket
import time
from datetime import datetime

SUBSCRIBE = b'{"jsonrpc":"2.0","id":1,"method":"events.subscribe","params":{}}\n'


def connect(path):
    peer = socket.socket(socket.AF_UNIX)
    peer.connect(path)
    peer.sendall(SUBSCRIBE)
    return peer


class Child:
    """A process of ours that says `ready`, works until it is told to stop, and then says what it found."""

    def __init__(self, work):
        stop, self._write = os.pipe()
        result, out = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(self._write)
            os.close(result)
            try:
                work(stop, lambda value: os.write(out, json.dumps(value).encode() + b"\n"))
            finally:
                os._exit(0)
        os.close(stop)
        os.close(out)
        self._result = os.fdopen(result, "r")
        assert json.loads(self._result.readline()) == "ready"

    def end(self):
        os.write(self._write, b"x")
        found = json.loads(self._result.readline())
        os.waitpid(self.pid, 0)
        os.close(self._write)
        self._result.close()
        return found


def crowd(path, count):
    """All but one of the subscribers, in one loop; one never reads, one takes a byte a second."""

    def work(stop, say):
        peers, poll = {}, select.epoll()
        for _ in range(count - 2):
            peer = connect(path)
            peer.setblocking(False)
            peers[peer.fileno()] = peer
            poll.register(peer, select.EPOLLIN)
        stopped, slow = connect(path), connect(path)
        slow.setblocking(False)
        poll.register(stop, select.EPOLLIN)
        say("ready")
        buffer, reads, byte_at = bytearray(1 << 16), 0, time.monotonic()
        while True:
            for fd, _ in poll.poll(0.5):
                if fd == stop:
                    say(reads)
                    stopped.close()
                    return
                size = peers[fd].recv_into(buffer)
                reads += 1
                if size == 0:
                    poll.unregister(fd)
            if time.monotonic() - byte_at >= 1:
                byte_at = time.monotonic()
                try:
                    slow.recv(1)
                except BlockingIOError:
                    pass

    return Child(work)


def healthy(path):
    """The last one to come, so the last one that is written to: [type, seconds from its stamp to here] for each event."""

    def work(stop, say):
        peer = connect(path)
        delays, tail = [], b""
        say("ready")
        while True:
            ready, _, _ = select.select([stop, peer], [], [])
            if stop in ready:
                return say(delays)
            *lines, tail = (tail + peer.recv(1 << 16)).split(b"\n")
            now = time.time()
            for line in lines:
                event = json.loads(line).get("params")
                if event:
                    sent = datetime.fromisoformat(event["time"].replace("Z", "+00:00")).timestamp()
                    # The stamp is cut to milliseconds: half of one, in the middle.
                    delays.append([event["type"], max(0.0, now - sent - 0.0005)])

    return Child(work)
