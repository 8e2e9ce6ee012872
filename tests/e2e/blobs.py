"""Blobs made from a seed: the same bytes that tests/support/scripted_registry/content.h describes, and models of them."""

import functools
import hashlib
import json

MIB = 1 << 20


@functools.lru_cache(maxsize=64)
def _block(seed):
    return hashlib.shake_128(f"pullama-blob:{seed}".encode()).digest(MIB)


class Blob:
    """Read in pieces; `size` bytes made from `seed`, or a text."""

    def __init__(self, seed=None, size=0, text=None, media_type="application/vnd.ollama.image.model"):
        self.seed, self.media_type = seed, media_type
        self.text = text.encode() if isinstance(text, str) else text
        self.size = size if text is None else len(self.text)

    def pieces(self):
        if self.text is not None:
            yield self.text
            return
        block = _block(self.seed)
        for number in range((self.size + MIB - 1) // MIB):
            piece = number.to_bytes(8, "little") + block[8:]
            yield piece[: self.size - number * MIB]

    @functools.cached_property
    def digest(self):
        total = hashlib.sha256()
        for piece in self.pieces():
            total.update(piece)
        return "sha256:" + total.hexdigest()

    @property
    def hex(self):
        return self.digest[7:]

    def script(self, **more):
        """As the scripted registry wants it."""
        if self.text is not None:
            return {"text": self.text.decode(), "mediaType": self.media_type, **more}
        return {"seed": self.seed, "size": self.size, "mediaType": self.media_type, **more}


class Model:
    """A config, layers, and the manifest's bytes, made once so that its digest is known before anybody serves it."""

    def __init__(self, repository, tag, layers, config=None):
        self.repository, self.tag, self.layers = repository, tag, layers
        self.config = config or Blob(text=json.dumps({
            "model_format": "gguf", "model_family": "llama", "model_type": "3.2B", "file_type": "Q4_K_M",
            "name": f"{repository}:{tag}"}), media_type="application/vnd.docker.container.image.v1+json")

    @property
    def blobs(self):
        return [*self.layers, self.config]

    @property
    def total(self):
        return sum({b.digest: b.size for b in self.blobs}.values())

    @functools.cached_property
    def manifest(self):
        # Spaces, order and an unknown member show whether the bytes are kept as they came.
        return json.dumps({
            "schemaVersion": 2, "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
            "config": {"mediaType": self.config.media_type, "digest": self.config.digest, "size": self.config.size},
            "layers": [{"mediaType": b.media_type, "digest": b.digest, "size": b.size, "name": "kept"}
                       for b in self.layers]}, indent=1).encode()

    @property
    def digest(self):
        return "sha256:" + hashlib.sha256(self.manifest).hexdigest()

    def script(self, **layer_extras):
        return {"name": f"{self.repository}:{self.tag}", "manifest": self.manifest.decode(),
                "config": self.config.script(), "layers": [b.script(**layer_extras) for b in self.layers]}


def small_model(repository="library/small", tag="latest", seed=1, sizes=(3 * MIB + 17, 70_001)):
    """Two layers made from seeds and a template."""
    layers = [Blob(seed=seed * 1000 + i, size=size) for i, size in enumerate(sizes)]
    layers.append(Blob(text="{{ .Prompt }}", media_type="application/vnd.ollama.image.template"))
    return Model(repository, tag, layers)
