"""Servers for the tests, all on loopback, all gone with their sandbox: the scripted registry, Debian's docker-registry,
nginx, a token service, and a private certificate authority."""

import base64
import http.client
import http.server
import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import threading
import time
import urllib.parse

from harness import FIGURES, wait_until

SCRIPTED = os.environ.get("SCRIPTED_REGISTRY", "")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def listening(port):
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


class ScriptedRegistry:
    """tests/support/scripted_registry; `scripted-registry --help` describes the script."""

    def __init__(self, box, script, tls=None, cdn_tls=None):
        number = len(box.children)
        path = box.root / f"script-{number}.json"
        path.write_text(json.dumps(script))
        self.log_path = box.root / f"access-{number}.log"
        arguments = ["--script", path, "--log", self.log_path]
        if tls:
            arguments += ["--cert", tls[0], "--key", tls[1]]
        if cdn_tls:
            arguments += ["--cdn-cert", cdn_tls[0], "--cdn-key", cdn_tls[1]]
        # Its server runs inside cpp-httplib's shared library, which is not instrumented: TSan cannot see its locks.
        self.process = box.spawn(SCRIPTED, *arguments, env={"TSAN_OPTIONS": "report_bugs=0"}, stdout=subprocess.PIPE,
                                 text=True)
        line = self.process.stdout.readline()
        if not line:
            raise AssertionError("the scripted registry did not start")
        self.ready = json.loads(line)
        self.port, self.cdn_port, self.control_port = self.ready["registry"], self.ready["cdn"], self.ready["control"]
        self.host = f"127.0.0.1:{self.port}"
        box.at_close.append(self._count_faults)

    def _count_faults(self):
        FIGURES["answers that were spoiled"] += sum(entry["fault"] for entry in self.log())

    def name(self, model):
        return f"{self.host}/{model.repository}:{model.tag}"

    def _control(self, method, path, body=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.control_port, timeout=30)
        connection.request(method, "/_control/" + path, body=None if body is None else json.dumps(body))
        answer = connection.getresponse()
        content = json.loads(answer.read())
        connection.close()
        assert answer.status == 200, content
        return content

    def script(self, **parts):
        return self._control("POST", "script", parts)

    def faults(self, *faults):
        """Replaces the list of faults."""
        return self._control("POST", "script", {"faults": list(faults)})

    def state(self):
        return self._control("GET", "state")

    def do(self, verb):
        return self._control("POST", verb, {})

    def log(self, since=0.0):
        """Requests that began at or after the time and are finished."""
        if not self.log_path.exists():
            return []
        with open(self.log_path, encoding="utf-8") as file:
            return [entry for entry in map(json.loads, file) if entry["time"] >= since]

    def travelled(self, blob, since=0.0):
        """Byte ranges [from, to) of the blob that were sent."""
        return [(entry["offset"], entry["offset"] + entry["sent"]) for entry in self.log(since)
                if blob.hex in entry["path"] and entry["method"] == "GET" and entry["status"] in (200, 206)
                and "chunksums" not in entry["path"] and entry["sent"]]


class Authority:
    """A private CA made with openssl."""

    def __init__(self, box, name="ca"):
        self.folder = box.root / name
        self.folder.mkdir()
        self.ca, self.ca_key = self.folder / "ca.pem", self.folder / "ca.key"
        self._openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30",
                      "-subj", "/CN=Test CA", "-keyout", self.ca_key, "-out", self.ca)

    def _openssl(self, *arguments):
        subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)

    def certificate(self, name="server", alt="IP:127.0.0.1,DNS:localhost", days="20", start=None):
        """(certificate, key) for the names, signed by this CA."""
        key, request, out = (self.folder / f"{name}.{kind}" for kind in ("key", "csr", "pem"))
        extensions = self.folder / f"{name}.ext"
        extensions.write_text(f"subjectAltName={alt}\nextendedKeyUsage=serverAuth\n")
        self._openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", f"/CN={name}",
                      "-keyout", key, "-out", request)
        self._openssl("x509", "-req", "-in", request, "-CA", self.ca, "-CAkey", self.ca_key, "-CAcreateserial",
                      "-days", days, "-extfile", extensions, "-out", out)
        return out, key


class DockerRegistry:
    """Debian's docker-registry with a filesystem storage."""

    def __init__(self, box, tls=None, htpasswd=None, token=None):
        self.box, self.port = box, free_port()
        self.host = f"127.0.0.1:{self.port}"
        self.tls, self.htpasswd, self.token = tls, htpasswd, token
        self.root = box.root / f"docker-{self.port}"
        config = [
            "version: 0.1", "log: {level: warn, accesslog: {disabled: true}}",
            f"storage: {{filesystem: {{rootdirectory: {self.root}}}, delete: {{enabled: true}}}}",
            f"http: {{addr: '{self.host}', secret: only-for-tests"
            + (f", tls: {{certificate: {tls[0]}, key: {tls[1]}}}" if tls else "") + "}"]
        if htpasswd:
            lines = subprocess.run(["htpasswd", "-Bbn", *htpasswd], check=True, capture_output=True, text=True).stdout
            (box.root / f"htpasswd-{self.port}").write_text(lines)
            config.append(f"auth: {{htpasswd: {{realm: test, path: {box.root}/htpasswd-{self.port}}}}}")
        if token:
            config.append(f"auth: {{token: {{realm: '{token.realm}', service: {token.service}, issuer: {token.issuer}, "
                          f"rootcertbundle: {token.certificate}}}}}")
        path = box.root / f"docker-{self.port}.yml"
        path.write_text("\n".join(config) + "\n")
        with open(box.root / f"docker-{self.port}.log", "ab") as log:
            self.process = box.spawn("/usr/bin/docker-registry", "serve", path, stdout=log, stderr=log)
        wait_until(lambda: listening(self.port), "docker-registry listens")

    def name(self, model):
        return f"{self.host}/{model.repository}:{model.tag}"

    def _request(self, connection, method, path, body=None, headers=None, expect=(200, 201, 202)):
        headers = dict(headers or {})
        if self.htpasswd:
            headers["Authorization"] = "Basic " + base64.b64encode(":".join(self.htpasswd).encode()).decode()
        if self.token:
            repository = re.match(r"/v2/(.+)/(?:blobs|manifests)/", path)[1]
            headers["Authorization"] = "Bearer " + self.token.make(repository, "push,pull")
        connection.request(method, path, body=body, headers=headers)
        answer = connection.getresponse()
        content = answer.read()
        if answer.status not in expect:
            raise AssertionError(f"{method} {path}: {answer.status} {content[:300]}")
        return answer

    def push(self, model):
        """With plain HTTP requests: POST and PUT a blob, PUT the manifest. Returns the digest that the registry says."""
        context = ssl._create_unverified_context() if self.tls else None
        connection = (http.client.HTTPSConnection("127.0.0.1", self.port, timeout=60, context=context) if self.tls
                      else http.client.HTTPConnection("127.0.0.1", self.port, timeout=60))
        base = f"/v2/{model.repository}"
        for blob in model.blobs:
            answer = self._request(connection, "POST", f"{base}/blobs/uploads/", headers={"Content-Length": "0"})
            where = urllib.parse.urlsplit(answer.getheader("Location"))
            path = f"{where.path}?{where.query}&digest={urllib.parse.quote(blob.digest)}"
            self._put(connection, path, model.repository, blob)
        answer = self._request(connection, "PUT", f"{base}/manifests/{model.tag}", body=model.manifest,
                               headers={"Content-Type": "application/vnd.docker.distribution.manifest.v2+json"})
        connection.close()
        return answer.getheader("Docker-Content-Digest")

    def _put(self, connection, path, repository, blob):
        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(blob.size)}
        if self.htpasswd:
            headers["Authorization"] = "Basic " + base64.b64encode(":".join(self.htpasswd).encode()).decode()
        if self.token:
            headers["Authorization"] = "Bearer " + self.token.make(repository, "push,pull")
        connection.request("PUT", path, body=blob.pieces(), headers=headers)
        answer = connection.getresponse()
        content = answer.read()
        assert answer.status == 201, (answer.status, content[:300])


class TokenService:
    """Docker's token protocol: JSON Web Tokens signed with RS256, the certificate in x5c."""
    service, issuer = "test-registry", "test-issuer"

    def __init__(self, box, users=None):
        self.certificate, self.key = box.root / "token.pem", box.root / "token.key"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj", "/CN=tokens",
                        "-keyout", str(self.key), "-out", str(self.certificate)], check=True, capture_output=True)
        self.users, self.asked, self.given = users or {}, [], []
        service = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_GET(self):
                service._answer(self)

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.realm = f"http://127.0.0.1:{self.server.server_port}/token"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def _answer(self, request):
        query = urllib.parse.parse_qs(urllib.parse.urlsplit(request.path).query)
        self.asked.append({"query": query, "authorization": request.headers.get("Authorization")})
        scopes = [re.fullmatch(r"repository:(.*):([a-z,]+)", scope) for scope in query.get("scope", [])]
        body, status = b'{"details":"no such scope"}', 400
        if query.get("service") == [self.service] and scopes and all(scopes):
            body, status = json.dumps({"token": self.make_for(match.groups() for match in scopes)}).encode(), 200
        request.send_response(status)
        request.send_header("Content-Type", "application/json")
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)

    def make(self, repository, actions):
        return self.make_for([(repository, actions)])

    def make_for(self, scopes):
        def part(data):
            return base64.urlsafe_b64encode(data if isinstance(data, bytes) else json.dumps(data).encode()).rstrip(b"=")

        der = ssl.PEM_cert_to_DER_cert(self.certificate.read_text())
        now = int(time.time())
        signed = part({"typ": "JWT", "alg": "RS256", "x5c": [base64.b64encode(der).decode()]}) + b"." + part({
            "iss": self.issuer, "sub": "", "aud": self.service, "exp": now + 300, "nbf": now - 10, "iat": now,
            "jti": os.urandom(8).hex(),
            "access": [{"type": "repository", "name": repository, "actions": actions.split(",")}
                       for repository, actions in scopes]})
        signature = subprocess.run(["openssl", "dgst", "-sha256", "-sign", str(self.key)], input=signed, check=True,
                                   capture_output=True).stdout
        token = (signed + b"." + part(signature)).decode()
        self.given.append(token)
        return token


class Nginx:
    """In front of another registry: limits the rate, writes an access log that was not written by us."""

    def __init__(self, box, upstream, rate, tls=None):
        self.port = free_port()
        self.host = f"127.0.0.1:{self.port}"
        self.folder = box.root / f"nginx-{self.port}"
        self.folder.mkdir()
        self.log_path = self.folder / "access.log"
        temporary = "".join(f"    {kind}_temp_path {self.folder}/{kind};\n"
                            for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        secure = f"    ssl_certificate {tls[0]};\n    ssl_certificate_key {tls[1]};\n" if tls else ""
        (self.folder / "nginx.conf").write_text(f"""
daemon off;
master_process off;
pid {self.folder}/nginx.pid;
error_log {self.folder}/error.log warn;
events {{ worker_connections 256; }}
http {{
{temporary}{secure}
    log_format ranges escape=json '{{"time":$msec,"method":"$request_method","path":"$uri","range":"$http_range",'
        '"status":$status,"sent":$body_bytes_sent,"seconds":$request_time}}';
    access_log {self.log_path} ranges;
    proxy_buffering on;
    proxy_max_temp_file_size 0;
    server {{
        listen {self.host}{" ssl" if tls else ""};
        location / {{
            proxy_pass http://{upstream};
            proxy_set_header Host $http_host;
            limit_rate {rate};
        }}
    }}
}}
""")
        self.process = box.spawn(shutil.which("nginx", path="/usr/sbin:/usr/bin"), "-p", self.folder, "-c",
                                 self.folder / "nginx.conf", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until(lambda: listening(self.port), "nginx listens")

    def name(self, model):
        return f"{self.host}/{model.repository}:{model.tag}"

    def travelled(self, blob, since=0.0):
        """[from, to) of the finished requests; nginx logs a request when it ends."""
        found = []
        if not self.log_path.exists():
            return found
        with open(self.log_path, encoding="utf-8") as file:
            for entry in map(json.loads, file):
                if entry["time"] - entry["seconds"] < since or blob.hex not in entry["path"] or entry["status"] not in (200, 206):
                    continue
                start = int(re.match(r"bytes=(\d+)", entry["range"])[1]) if entry["status"] == 206 else 0
                if entry["sent"] and entry["method"] == "GET":
                    found.append((start, start + entry["sent"]))
        return found
