"""A reader of the models dir that follows Ollama's own rules to the letter (its glob, its stat, its digests, what its list
and show open, what its server deletes at start), to see the store as Ollama would."""

import glob
import hashlib
import json
import os
import re
import stat
import time

_PART = {
    "host": re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:-]{0,349}"),
    "namespace": re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,79}"),
    "model": re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,79}"),
}
_DIGEST = re.compile(r"sha256[:-][0-9a-fA-F]{64}")
_IMAGE = "application/vnd.ollama.image."


class Broken(Exception):
    """Ollama would fail, or would not show what should be shown."""


class OllamaStore:
    def __init__(self, models):
        self.models = str(models)

    def blob_path(self, digest):
        if not _DIGEST.fullmatch(digest):
            raise Broken(f"invalid digest format: {digest}")
        return os.path.join(self.models, "blobs", digest.replace(":", "-", 1))

    def manifests(self):
        """{name: manifest's path} by globbing manifests/*/*/*/*; a match that cannot be looked at fails the listing."""
        found = {}
        # Go's filepath.Glob lets * match a leading dot.
        pattern = os.path.join(glob.escape(self.models), "manifests/*/*/*/*")
        for path in glob.glob(pattern, include_hidden=True):
            if not stat.S_ISREG(os.stat(path).st_mode):
                continue
            parts = path[len(self.models) + len("/manifests/"):].split("/")
            rules = (_PART["host"], _PART["namespace"], _PART["model"], _PART["model"])
            if not all(rule.fullmatch(part) for rule, part in zip(rules, parts)):
                raise Broken(f"no name of a model, pruning would be off: {path}")
            found[self._display(*parts)] = path
        return found

    @staticmethod
    def _display(host, namespace, model, tag):
        if host != "registry.ollama.ai":
            return f"{host}/{namespace}/{model}:{tag}"
        return f"{model}:{tag}" if namespace == "library" else f"{namespace}/{model}:{tag}"

    def list(self):
        """What `ollama list` shows, newest first: (name, id, size). Models whose config or template is missing vanish there,
        which is an error here."""
        rows = []
        for name, path in self.manifests().items():
            with open(path, "rb") as file:
                raw = file.read()
            manifest = json.loads(raw)
            size = sum(layer["size"] for layer in manifest["layers"]) + manifest.get("config", {}).get("size", 0)
            if manifest.get("config", {}).get("digest"):
                with open(self.blob_path(manifest["config"]["digest"]), "rb") as file:
                    json.loads(file.read())
            for layer in manifest["layers"]:
                if layer["mediaType"] in (_IMAGE + "template", _IMAGE + "prompt"):
                    with open(self.blob_path(layer["digest"]), encoding="utf-8") as file:
                        file.read()
            rows.append((os.stat(path).st_mtime_ns, name, hashlib.sha256(raw).hexdigest()[:12], size))
        return [row[1:] for row in sorted(rows, key=lambda row: (-row[0], row[1]))]

    def digests(self):
        """Everything that the manifests name."""
        named = set()
        for path in self.manifests().values():
            with open(path, "rb") as file:
                manifest = json.load(file)
            named |= {layer["digest"] for layer in manifest["layers"]}
            if manifest.get("config", {}).get("digest"):
                named.add(manifest["config"]["digest"])
        return named

    def check_blobs(self):
        """Each named blob is there, whole, under a name whose digest it has, readable by anybody."""
        for digest in self.digests():
            path = self.blob_path(digest)
            with open(path, "rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
            if f"sha256:{found}" != digest:
                raise Broken(f"digest mismatch, file must be downloaded again: {path}")
            if stat.S_IMODE(os.stat(path).st_mode) != 0o644:
                raise Broken(f"mode of {path}")

    def serve_deletes(self, now=None):
        """Names in blobs/ that `ollama serve` would delete at its start, an hour from now."""
        now = now or time.time() + 3601
        named, gone = self.digests(), []
        for name in os.listdir(os.path.join(self.models, "blobs")):
            path = os.path.join(self.models, "blobs", name)
            if os.path.isdir(path) or now - os.stat(path).st_mtime < 3600:
                continue
            digest = name.replace("-", ":", 1)
            if not _DIGEST.fullmatch(digest) or digest not in named:
                gone.append(name)
        return gone
