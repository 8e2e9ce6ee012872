"""A registry that takes pushes in the ways that Debian's does not: Ollama's redirected parts and direct upload, and OCI
sessions that can be asked for their offset after a broken request. Python's standard library only, so that its hashes
are not ours. It keeps every request, and counts every byte of a body as it arrives."""

import base64
import hashlib
import http.server
import json
import re
import secrets
import threading
import time
import urllib.parse

from harness import FIGURES

PIECE = 1 << 16


class UploadRegistry:
    """way: "chunks", "parts", "direct", or "foreign": chunks, the session at another host. That one, the object store, is a
    port of its own, and refuses Authorization. `login` (user, password): the registry itself wants it."""

    def __init__(self, way="chunks", login=None):
        self.way, self.login, self.lock = way, login, threading.Lock()
        self.blobs, self.manifests, self.sessions, self.requests = {}, {}, {}, []
        self.expired, self.etags, self.arrived = set(), [], 0
        self.fail = None  # function(method, path) -> (status, headers, body) or None
        registry = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1  # an answer is one write

            def log_message(self, *_):
                pass

            def handle_expect_100(self):
                # A final answer instead of "go on" saves the body.
                if registry.way == "parts" and self.command == "PATCH":
                    return True
                return super().handle_expect_100()

            def handle_one_request(self):
                try:
                    super().handle_one_request()
                except (ConnectionError, TimeoutError):
                    self.close_connection = True

            def do_any(self):
                registry._serve(self)
            do_GET = do_HEAD = do_POST = do_PATCH = do_PUT = do_DELETE = do_any

        def serve():
            server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
            server.daemon_threads = True
            threading.Thread(target=server.serve_forever, daemon=True).start()
            return server
        self.front, self.store = serve(), serve()
        self.host = f"127.0.0.1:{self.front.server_port}"
        self.store_host = f"127.0.0.1:{self.store.server_port}"

    def close(self):
        for server in (self.front, self.store):
            server.shutdown()
            server.server_close()

    def name(self, model):
        return f"{self.host}/{model.repository}:{model.tag}"

    def of(self, method, part=""):
        with self.lock:
            return [r for r in self.requests if r["method"] == method and part in r["path"]]

    def bytes_sent(self):
        with self.lock:
            return self.arrived

    # One request.

    def _serve(self, request):
        url = urllib.parse.urlsplit(request.path)
        entry = {"time": time.time(), "method": request.command, "path": url.path, "headers": dict(request.headers),
                 "store": request.server is self.store, "query": dict(urllib.parse.parse_qsl(url.query))}
        with self.lock:
            self.requests.append(entry)
        failure = self.fail and self.fail(request.command, url.path)
        if failure:
            FIGURES["answers that were spoiled"] += 1
            answer = failure
            request.close_connection = True
        elif self.login and not entry["store"] and request.headers.get("Authorization") != self._basic():
            request.close_connection = True
            answer = (401, {"WWW-Authenticate": 'Basic realm="test"'}, b"")
        elif entry["store"] and "Authorization" in request.headers:
            request.close_connection = True
            answer = self._error(400, "NOT_FOR_ME")
        elif entry["store"] and not url.path.startswith("/v2/"):
            answer = self._store(request, url, entry)
        else:
            answer = self._registry(request, url.path, entry)
        status, headers, body = answer
        entry["status"] = status
        request.send_response(status)
        for name, value in headers.items():
            request.send_header(name, value)
        request.send_header("Content-Length", str(len(body)))
        if request.close_connection:
            request.send_header("Connection", "close")
        request.end_headers()
        if request.command != "HEAD":
            request.wfile.write(body)

    def _basic(self):
        return "Basic " + base64.b64encode(":".join(self.login).encode()).decode()

    def _body(self, request, take):
        """Hands on piece by piece what arrives; raises when the peer goes away in the middle."""
        left = int(request.headers.get("Content-Length", 0))
        while left:
            piece = request.rfile.read1(min(left, PIECE))
            if not piece:
                raise ConnectionError("the body broke off")
            left -= len(piece)
            with self.lock:
                self.arrived += len(piece)
            take(piece)

    @staticmethod
    def _error(status, code):
        return status, {"Content-Type": "application/json"}, json.dumps({"errors": [{"code": code, "message": code}]}).encode()

    def _registry(self, request, path, entry):
        if match := re.fullmatch(r"/v2/(.+)/manifests/([^/]+)", path):
            return self._manifest(request, match[1] + ":" + match[2])
        if match := re.fullmatch(r"/v2/(.+)/blobs/uploads/(.*)", path):
            return self._upload(request, match[1], match[2], entry)
        if match := re.fullmatch(r"/v2/(.+)/blobs/(sha256:[0-9a-f]{64})", path):
            content = self.blobs.get((match[1], match[2]))
            if content is None:
                return self._error(404, "BLOB_UNKNOWN")
            if ranged := re.fullmatch(r"bytes=(\d+)-(\d+)", request.headers.get("Range", "")):
                first, last = int(ranged[1]), min(int(ranged[2]), len(content) - 1)
                return 206, {"Content-Range": f"bytes {first}-{last}/{len(content)}"}, content[first:last + 1]
            return 200, {}, content
        return self._error(404, "UNSUPPORTED")

    def _manifest(self, request, name):
        if request.command == "PUT":
            parts = []
            self._body(request, parts.append)
            raw = b"".join(parts)
            with self.lock:
                self.arrived -= len(raw)  # blobs are counted
            repository = name.rsplit(":", 1)[0]
            content = json.loads(raw)
            for layer in [content["config"], *content["layers"]]:
                if (repository, layer["digest"]) not in self.blobs:
                    return self._error(400, "MANIFEST_BLOB_UNKNOWN")
            self.manifests[name] = raw
            return 201, {"Docker-Content-Digest": "sha256:" + hashlib.sha256(raw).hexdigest()}, b""
        raw = self.manifests.get(name)
        return (200, {}, raw) if raw else self._error(404, "MANIFEST_UNKNOWN")

    def _location(self, repository, number):
        # Escapes and quotes of all kinds: whoever decodes a Location breaks it.
        where = f"http://{self.store_host}" if self.way == "foreign" else ""
        return f"{where}/v2/{repository}/blobs/uploads/{number}?_state=a%2Fb%2Bz%3D"

    def _upload(self, request, repository, number, entry):
        session = self.sessions.get(number)
        if request.command == "POST":
            source = (entry["query"].get("from"), entry["query"].get("mount"))
            if source in self.blobs:
                self.blobs[repository, source[1]] = self.blobs[source]
                return 201, {}, b""
            number = secrets.token_hex(8)
            self.sessions[number] = {"data": bytearray(), "parts": {}, "announced": 0, "lock": threading.Lock()}
            headers = {"Location": self._location(repository, number)}
            if self.way == "direct" and request.headers.get("X-Redirect-Uploads") == "2":
                headers |= {"X-Direct-Upload-URL": self._presigned(number, 0),
                            "X-Signed-Header-X-Amz-Checksum-Sha256": "c2lnbmVk", "X-Signed-Header-Host": "evil.test",
                            "X-Signed-Header-Authorization": "Bearer stolen", "X-Signed-Header-Connection": "close"}
            return 202, headers, b""
        if session is None:
            request.close_connection = True
            return self._error(404, "BLOB_UPLOAD_UNKNOWN")
        if entry["query"].get("_state") != "a/b+z=":
            return self._error(404, "BLOB_UPLOAD_INVALID")
        place = {"Location": self._location(repository, number)}
        if request.command == "GET":
            with session["lock"]:
                return 204, {**place, "Range": f"0-{max(len(session['data']) - 1, 0)}"}, b""
        if request.command == "PATCH":
            first, last = map(int, re.fullmatch(r"(\d+)-(\d+)", request.headers["Content-Range"]).groups())
            if self.way == "parts" and request.headers.get("X-Redirect-Uploads") == "1":
                request.close_connection = True  # the body stays where it is
                if first > session["announced"]:
                    return self._error(416, "RANGE_INVALID")
                session["announced"] = max(session["announced"], last + 1)
                return 307, {"Docker-Upload-Location": place["Location"], "Location": self._presigned(number, first)}, b""
            with session["lock"]:
                if first != len(session["data"]):
                    request.close_connection = True
                    return self._error(416, "RANGE_INVALID")
                self._body(request, session["data"].extend)
                return 202, {**place, "Range": f"0-{len(session['data']) - 1}"}, b""
        if request.command == "PUT":
            return self._finish(repository, number, session, entry["query"])
        self.sessions.pop(number)
        return 204, {}, b""

    def _finish(self, repository, number, session, query):
        self.sessions.pop(number)
        parts = [session["parts"][offset] for offset in sorted(session["parts"])]
        data = bytes(session["data"]) + b"".join(parts)
        if self.way == "parts" and parts:
            # As S3 makes it, by its own description: MD5 over the parts' binary MD5s, and their count.
            etag = hashlib.md5(b"".join(hashlib.md5(p).digest() for p in parts)).hexdigest() + f"-{len(parts)}"
            self.etags.append((query.get("etag"), etag))
            if query.get("etag") != etag:
                return self._error(400, "ETAG_INVALID")
        if "sha256:" + hashlib.sha256(data).hexdigest() != query["digest"]:
            return self._error(400, "DIGEST_INVALID")
        self.blobs[repository, query["digest"]] = data
        return 201, {"Docker-Content-Digest": query["digest"]}, b""

    def _presigned(self, number, offset):
        return f"http://{self.store_host}/bucket/{number}/{offset}?X-Amz-Signature={secrets.token_hex(16)}&odd=a%2Bz%3D"

    def _store(self, request, url, entry):
        def refuse(code):
            request.close_connection = True
            return 403, {"Content-Type": "application/xml"}, f"<Error><Code>{code}</Code></Error>".encode()
        _, _, number, offset = url.path.split("/")
        if request.headers.get("Authorization") or "odd=a%2Bz%3D" not in url.query:
            return refuse("SignatureDoesNotMatch")
        if int(offset) in self.expired:
            self.expired.discard(int(offset))
            FIGURES["answers that were spoiled"] += 1
            return refuse("ExpiredToken")
        data = bytearray()
        self._body(request, data.extend)
        session = self.sessions.get(number)
        if session is None:
            return refuse("NoSuchUpload")
        session["parts"][int(offset)] = bytes(data)
        return 200, {"ETag": '"' + hashlib.md5(data).hexdigest() + '"'}, b""
