"""The local socket protocol, spoken by hand, so that the tests do not lean on the client. Every line that arrives is
checked against the JSON Schemas of proto/."""

import json
import os
import pathlib
import queue
import socket
import threading
import time

import schemas


class RpcError(Exception):
    def __init__(self, error):
        super().__init__(error.get("message"))
        self.code, self.message, self.data = error["code"], error["message"], error.get("data", {})


class Wire:
    """One connection; a thread reads, so events pile up in `events` while nobody looks."""

    def __init__(self, path, check=True):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(60)
        try:
            self.socket.connect(str(path))
        except OSError:
            self.socket.close()
            raise
        self.socket.settimeout(None)
        self.events, self.lines, self.faults = [], [], []
        self._replies, self._methods, self._number, self._check = queue.Queue(), {}, 0, check
        self._changed = threading.Condition()
        self.closed = False
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _read(self):
        buffer = b""
        try:
            while piece := self.socket.recv(1 << 16):
                buffer += piece
                while (at := buffer.find(b"\n")) >= 0:
                    line, buffer = buffer[:at], buffer[at + 1:]
                    self._take(line)
        except OSError:
            pass
        with self._changed:
            self.closed = True
            self._changed.notify_all()
        self._replies.put(None)

    def _take(self, line):
        message = json.loads(line)
        if self._check:
            fault = schemas.fault_of(message, self._methods.get(message.get("id")))
            if fault:
                self.faults.append(f"{fault} in {line[:2000]!r}")
        with self._changed:
            self.lines.append(line)
            if message.get("method") == "event":
                self.events.append(message["params"])
            else:
                self._replies.put(message)
            self._changed.notify_all()

    def send(self, data):
        self.socket.sendall(data)

    def call(self, method, **params):
        """The result; RpcError where the daemon says no, EOFError where it went away."""
        self._number += 1
        self._methods[self._number] = method
        request = {"jsonrpc": "2.0", "id": self._number, "method": method}
        if params:
            request["params"] = params
        self.send(json.dumps(request).encode() + b"\n")
        reply = self.reply()
        assert reply["id"] == self._number, reply
        if "error" in reply:
            raise RpcError(reply["error"])
        return reply["result"]

    def reply(self, limit=60):
        """The next reply of any id."""
        message = self._replies.get(timeout=limit)
        if message is None:
            raise EOFError("the daemon closed the connection")
        return message

    def wait_event(self, condition, limit=120):
        """The first event, from the first that ever arrived, for which condition(event) is true."""
        end = time.monotonic() + limit
        with self._changed:
            seen = 0
            while True:
                for event in self.events[seen:]:
                    if condition(event):
                        return event
                seen = len(self.events)
                left = end - time.monotonic()
                if self.closed or left <= 0:
                    raise AssertionError(f"no such event; {'closed, ' if self.closed else ''}last: {self.events[-3:]}")
                self._changed.wait(left)

    def wait_type(self, *types, limit=120):
        return self.wait_event(lambda event: event["type"] in types, limit)

    def close(self):
        try:
            self.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self._thread.join(10)
        self.socket.close()
        if self.faults:
            raise AssertionError("against the schema: " + "\n".join(self.faults[:5]))
