"""Ed25519 keys in the two forms that a daemon must read."""

import base64
import os
import struct
import subprocess


def _string(data):
    return struct.pack(">I", len(data)) + data


class Key:
    def __init__(self):
        pem = subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519"], check=True, capture_output=True).stdout
        der = subprocess.run(["openssl", "pkey", "-pubout", "-outform", "DER"], input=pem, check=True,
                             capture_output=True).stdout
        self.pkcs8 = pem.decode()
        self.seed = base64.b64decode("".join(self.pkcs8.splitlines()[1:-1]))[-32:]
        self.raw_public = der[-32:]
        self.public = base64.b64encode(_string(b"ssh-ed25519") + _string(self.raw_public)).decode()

    def openssh(self, cipher=b"none", line=70):
        blob = _string(b"ssh-ed25519") + _string(self.raw_public)
        check = os.urandom(4)
        private = check * 2 + blob + _string(self.seed + self.raw_public) + _string(b"")
        private += bytes(range(1, 8 - len(private) % 8 + 1)) if len(private) % 8 else b""
        data = (b"openssh-key-v1\0" + _string(cipher) + _string(b"none") + _string(b"") + struct.pack(">I", 1)
                + _string(blob) + _string(private))
        text = base64.b64encode(data).decode()
        lines = [text[i:i + line] for i in range(0, len(text), line)]
        return "\n".join(["-----BEGIN OPENSSH PRIVATE KEY-----", *lines, "-----END OPENSSH PRIVATE KEY-----", ""])

    def install(self, home, text=None, mode=0o600):
        folder = home / ".ollama"
        folder.mkdir(mode=0o700, exist_ok=True)
        path = folder / "id_ed25519"
        path.write_text(self.openssh() if text is None else text)
        path.chmod(mode)
        (folder / "id_ed25519.pub").write_text(f"ssh-ed25519 {self.public}\n")
