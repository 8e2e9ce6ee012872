"""Small proxies on loopback: HTTP (CONNECT and absolute-form, also over TLS) and SOCKS5. They resolve names by their own
table, so that a name which nobody else knows shows who resolved it."""

import base64
import http.client
import http.server
import select
import socket
import socketserver
import ssl
import struct
import threading
import urllib.parse


def _tunnel(one, two):
    other = {one: two, two: one}
    while True:
        # TLS may hold bytes that select does not see.
        ready = [s for s in other if getattr(s, "pending", lambda: 0)()] or select.select(list(other), [], [], 60)[0]
        if not ready:
            return
        for source in ready:
            data = source.recv(1 << 16)
            if not data:
                return
            other[source].sendall(data)


class _Server(socketserver.ThreadingMixIn, socketserver.TCPServer):
    allow_reuse_address, daemon_threads = True, True

    def handle_error(self, *_):  # connections break here on purpose
        pass


class _Proxy:
    """seen: what was asked for, one dict a request. places: {(host, port): port on loopback}, else the port itself."""

    def __init__(self, handler, places, user, password):
        self.places, self.user, self.password, self.seen = places or {}, user, password, []
        self.server = _Server(("127.0.0.1", 0), type("Handler", (handler,), {"proxy": self}))
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def address(self, scheme, user=True):
        login = f"{urllib.parse.quote(self.user)}:{urllib.parse.quote(self.password, safe='')}@" if user and self.user else ""
        return f"{scheme}://{login}127.0.0.1:{self.port}"

    def connect(self, host, port):
        return socket.create_connection(("127.0.0.1", self.places.get((host, port), port)), timeout=30)

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class _HttpHandler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    proxy = None

    def setup(self):
        if self.proxy.tls:
            self.request = self.proxy.tls.wrap_socket(self.request, server_side=True)
        super().setup()

    def finish(self):
        super().finish()
        self.request.close()

    def log_message(self, *_):
        pass

    def _admitted(self):
        proxy = self.proxy
        proxy.seen.append({"method": self.command, "target": self.path,
                           "login": self.headers.get("Proxy-Authorization"), "user_agent": self.headers.get("User-Agent"),
                           "authorization": self.headers.get("Authorization")})
        expected = "Basic " + base64.b64encode(f"{proxy.user}:{proxy.password}".encode()).decode()
        status = proxy.refuse or (407 if proxy.user and self.headers.get("Proxy-Authorization") != expected else 0)
        if status:
            self.send_response(status)
            self.send_header("Content-Length", "0")
            if status == 407:
                self.send_header("Proxy-Authenticate", 'Basic realm="company"')
            self.end_headers()
        return not status

    def do_CONNECT(self):
        if not self._admitted():
            return
        host, port = self.path.rsplit(":", 1)
        with self.proxy.connect(host.strip("[]"), int(port)) as upstream:
            self.wfile.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            self.wfile.flush()
            self.close_connection = True
            _tunnel(self.connection, upstream)

    def do_GET(self):
        if not self._admitted():
            return
        url = urllib.parse.urlsplit(self.path)
        upstream = http.client.HTTPConnection("127.0.0.1", timeout=30)
        upstream.sock = self.proxy.connect(url.hostname, url.port or 80)
        upstream.putrequest("GET", url.path + (f"?{url.query}" if url.query else ""), skip_host=True,
                            skip_accept_encoding=True)
        for name, value in self.headers.items():
            if not name.lower().startswith("proxy-"):
                upstream.putheader(name, value)
        upstream.endheaders()
        answer = upstream.getresponse()
        self.send_response_only(answer.status)
        for name, value in answer.getheaders():
            self.send_header(name, value)
        self.end_headers()
        while data := answer.read1(1 << 16):
            self.wfile.write(data)
        upstream.close()
        self.close_connection = True


class HttpProxy(_Proxy):
    """refuse: a status for everybody. tls: (certificate, key), then it is an https:// proxy."""

    def __init__(self, places=None, user="", password="", refuse=0, tls=None):
        self.refuse, self.tls = refuse, None
        if tls:
            self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.tls.load_cert_chain(*tls)
        super().__init__(_HttpHandler, places, user, password)


class _SocksHandler(socketserver.StreamRequestHandler):
    proxy = None

    def handle(self):
        proxy, wanted = self.proxy, (2 if self.proxy.user else 0)
        version, count = self.rfile.read(2)
        methods = self.rfile.read(count)
        if version != 5 or wanted not in methods:
            self.wfile.write(b"\x05\xff")
            return
        self.wfile.write(bytes([5, wanted]))
        if wanted == 2:
            _, length = self.rfile.read(2)
            user = self.rfile.read(length).decode()
            password = self.rfile.read(self.rfile.read(1)[0]).decode()
            right = (user, password) == (proxy.user, proxy.password)
            self.wfile.write(bytes([1, 0 if right else 1]))
            if not right:
                return
        _, _, _, kind = self.rfile.read(4)
        host = {1: lambda: socket.inet_ntoa(self.rfile.read(4)),
                3: lambda: self.rfile.read(self.rfile.read(1)[0]).decode(),
                4: lambda: socket.inet_ntop(socket.AF_INET6, self.rfile.read(16))}[kind]()
        port = struct.unpack(">H", self.rfile.read(2))[0]
        proxy.seen.append({"method": "SOCKS", "target": f"{host}:{port}", "name": kind == 3})
        try:
            upstream = proxy.connect(host, port)
        except OSError:
            self.wfile.write(b"\x05\x05\x00\x01" + bytes(6))
            return
        with upstream:
            self.wfile.write(b"\x05\x00\x00\x01" + bytes(6))
            _tunnel(self.connection, upstream)


class SocksProxy(_Proxy):
    def __init__(self, places=None, user="", password=""):
        super().__init__(_SocksHandler, places, user, password)
