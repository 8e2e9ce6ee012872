#!/usr/bin/python3
"""`pullama key`: what it shows is what ssh-keygen reads and a registry verifies; what it makes overwrites nothing."""

import base64
import json
import os
import stat
import subprocess

import harness
from blobs import small_model
from keys import Key
from registries import ScriptedRegistry


class KeyTest(harness.TestCase):
    def setUp(self):
        super().setUp()
        self.file = self.box.home / ".ollama" / "id_ed25519"
        self.public = self.file.with_name("id_ed25519.pub")

    def shown(self, *words):
        run = self.box.pullama("key", *words)
        self.assert_exit(run, 0)
        line, path, *_ = run.stdout.splitlines()
        self.assertEqual(path, str(self.file))
        return line

    def keygen(self):
        run = subprocess.run(["ssh-keygen", "-y", "-f", str(self.file)], capture_output=True, text=True, timeout=30,
                             stdin=subprocess.DEVNULL)
        self.assertEqual(run.returncode, 0, run.stderr)
        return run.stdout.strip()

    def bytes_there(self):
        return {path.name: path.read_bytes() for path in self.file.parent.glob("id_ed25519*")}

    def test_where_there_is_none_it_says_how_to_make_one(self):
        self.assert_error(self.box.pullama("key"), 3, str(self.file), "pullama key create")
        self.assertEqual(self.bytes_there(), {})

    def test_a_new_one_is_ssh_keygens_and_ollamas(self):
        for mask in (0o022, 0o000, 0o077):
            with self.subTest(mask=oct(mask)):
                before = os.umask(mask)
                try:
                    self.box.daemon()
                finally:
                    os.umask(before)
                line = self.shown("create")
                self.assertEqual(stat.S_IMODE(self.file.stat().st_mode), 0o600)
                self.assertEqual(stat.S_IMODE(self.public.stat().st_mode), 0o644)
                self.assertEqual(self.public.read_text(), line + "\n", "as Ollama writes it, without a comment")
                self.assertEqual(self.keygen(), line)
                self.assertTrue(self.file.read_text().startswith("-----BEGIN OPENSSH PRIVATE KEY-----\n"))
                self.assertEqual(sorted(self.bytes_there()), ["id_ed25519", "id_ed25519.pub"], "no temporary is left")
                model = small_model()
                registry = ScriptedRegistry(self.box, {"models": [model.script()], "auth": {
                    "mode": "bearer", "token_requires": "signature", "public_key": line.split()[1]}})
                self.assert_exit(self.box.pullama("pull", "--insecure", registry.name(model)), 0)
                self.assert_exit(self.box.pullama("daemon", "stop"), 0)
                self.file.unlink()
                self.public.unlink()

    def test_each_is_another(self):
        first = self.shown("create")
        self.file.unlink()
        self.public.unlink()
        self.assertNotEqual(self.shown("create"), first)

    def test_one_that_is_there_is_shown_and_never_overwritten(self):
        key = Key()
        for text in (key.openssh(), key.openssh(line=64), key.pkcs8):
            key.install(self.box.home, text)
            before = self.bytes_there()
            for words in ((), ("create",)):
                self.assertEqual(self.shown(*words), f"ssh-ed25519 {key.public}")
                self.assertEqual(self.bytes_there(), before)

    def test_one_of_ssh_keygen_with_a_comment(self):
        self.file.parent.mkdir(exist_ok=True)
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "mia@home", "-f", str(self.file)], check=True,
                       timeout=30)
        self.assertEqual(self.shown(), " ".join(self.public.read_text().split()[:2]))

    def test_one_that_cannot_be_used_is_left_alone(self):
        key = Key()
        for text, mode, word in ((key.openssh()[:150], 0o600, "cut off"), (key.openssh(), 0o644, "chmod 600"),
                                 (key.openssh(cipher=b"aes256-ctr"), 0o600, "encrypted"), ("", 0o600, "not a private key")):
            key.install(self.box.home, text, mode)
            before = self.bytes_there()
            for words in ((), ("create",)):
                with self.subTest(word, words=words):
                    self.assert_error(self.box.pullama("key", *words), 3, str(self.file), word)
                    self.assertEqual(self.bytes_there(), before)

    def test_a_public_half_alone_and_a_link_to_nowhere_are_left_alone(self):
        self.file.parent.mkdir(exist_ok=True)
        self.public.write_text("ssh-ed25519 AAAA somebody's\n")
        self.assert_error(self.box.pullama("key", "create"), 3, f"{self.public}", "move")
        self.assertEqual(self.bytes_there(), {"id_ed25519.pub": b"ssh-ed25519 AAAA somebody's\n"})
        self.public.unlink()
        self.file.symlink_to("elsewhere")
        run = self.box.pullama("key", "create")
        self.assert_error(run, 3, f"{self.file} is a link to nowhere", "remove the link")
        self.assertEqual(run.stderr.count("id_ed25519"), 1, "one hint is enough")
        self.assertEqual(os.readlink(self.file), "elsewhere")
        self.assertEqual([path.name for path in self.file.parent.glob("*elsewhere*")], [])

    def test_json(self):
        made = json.loads(self.box.pullama("key", "create", "--output", "json").stdout)
        self.assertEqual((made["path"], made["created"]), (str(self.file), True))
        self.assertEqual(made["public_key"], self.keygen())
        self.assertTrue(made["user"])
        again = json.loads(self.box.pullama("key", "--output", "json").stdout)
        self.assertEqual(again, {name: value for name, value in made.items() if name != "created"})

    def test_another_word_is_wrong(self):
        self.assert_error(self.box.pullama("key", "make"), 1, "make")
        self.assertEqual(self.bytes_there(), {})

    def test_the_private_half_is_in_no_output(self):
        self.box.daemon("--log-level", "trace")
        run = self.box.pullama("key", "create", "--output", "debug")
        text = "".join(self.file.read_text().splitlines()[1:-1])
        private, public = base64.b64decode(text), base64.b64decode(self.public.read_text().split()[1])[-32:]
        # The seed lies before the second copy of the public half.
        begin = private.rindex(public) - 32
        seed = text[-(-begin * 8 // 6):(begin + 32) * 8 // 6]
        shown = run.stdout + run.stderr + self.box.daemon_log()
        for part in (seed[i:i + 12] for i in range(0, len(seed) - 11)):
            self.assertNotIn(part, shown)
        self.assertNotIn(private[begin:begin + 32].hex(), shown)


if __name__ == "__main__":
    harness.main()
