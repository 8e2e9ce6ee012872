#!/usr/bin/python3
"""Completion in the shells themselves: an interactive bash and zsh on a terminal of their own, fish's own `complete -C`,
each with the script that `pullama completion SHELL` prints and a daemon with a model and a queue."""

import hashlib
import json
import os
import pty
import select
import shutil
import subprocess
import time

import harness
from harness import PULLAMA, TestCase
from wire import Wire

MODEL = "smallest:latest"


def install(models):
    """A model of one config and one layer, as Ollama lays it out."""
    blobs = models / "blobs"
    blobs.mkdir(parents=True)

    def blob(data):
        digest = hashlib.sha256(data).hexdigest()
        (blobs / f"sha256-{digest}").write_bytes(data)
        return {"digest": f"sha256:{digest}", "size": len(data)}

    manifest = {"schemaVersion": 2, "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
                "config": {"mediaType": "application/vnd.docker.container.image.v1+json", **blob(b"{}")},
                "layers": [{"mediaType": "application/vnd.ollama.image.model", **blob(b"weights")}]}
    path = models / "manifests/registry.ollama.ai/library/smallest/latest"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(manifest))


class Terminal:
    """A program on a pseudo-terminal; what it shows is compared without escape sequences' help."""

    def __init__(self, box, *command):
        self.shown = b""
        self.main, side = pty.openpty()
        env = {**box.environment, "TERM": "dumb", "PATH": f"{os.path.dirname(PULLAMA)}:{box.environment['PATH']}"}
        self.process = subprocess.Popen(command, stdin=side, stdout=side, stderr=side, env=env, cwd=box.root,
                                        start_new_session=True)
        box.children.append(self.process)
        os.close(side)

    def send(self, text):
        os.write(self.main, text.encode())

    def wait_for(self, text, limit=60):
        """Until it has shown the text; what it showed since the last call."""
        end, shown = time.monotonic() + limit, b""
        while text.encode() not in shown:
            left = end - time.monotonic()
            if left <= 0 or not select.select([self.main], [], [], left)[0]:
                raise AssertionError(f"{text!r} was not shown: {shown!r}")
            shown += os.read(self.main, 65536)
        return shown.decode(errors="replace")

    def close(self):
        self.send("\x15exit\n")
        try:
            self.process.wait(20)
        finally:
            os.close(self.main)


class CompletionTest(TestCase):
    def setUp(self):
        super().setUp()
        install(self.box.models)
        self.box.daemon()
        with Wire(self.box.socket) as wire:
            self.entry = wire.call("queue.add", models=["127.0.0.1:9/team/waits:q4"])["added"][0]

    def script(self, shell):
        run = self.box.pullama("completion", shell)
        self.assert_exit(run, 0)
        path = self.box.root / f"completion.{shell}"
        path.write_text(run.stdout)
        return path

    def words(self, *words, **more):
        run = self.box.pullama("__complete", *words, **more)
        self.assert_exit(run, 0)
        self.assertEqual(run.stderr, "")
        return [line.split("\t")[0] for line in run.stdout.splitlines()]

    def test_names_ids_and_places_come_from_the_daemon(self):
        self.assertEqual(self.words("show", ""), [MODEL])
        self.assertEqual(self.words("show", "x"), [])
        self.assertEqual(self.words("cancel", ""), ["127.0.0.1:9/team/waits:q4", self.entry["id"]])
        self.assertEqual(self.words("queue", "rm", ""), ["1"])
        self.assertEqual(self.words("--models-dir", str(self.box.root / "other"), "show", ""), [])

    def test_without_a_daemon_none_is_started_and_commands_are_still_there(self):
        nobody = {"PULLAMA_SOCKET": str(self.box.root / "nobody.sock")}
        self.assertEqual(self.words("show", "", env=nobody), [])
        self.assertEqual(self.words("pus", env=nobody), ["push"])
        self.assertFalse((self.box.root / "nobody.sock").exists())

    def complete_on_terminal(self, *shell):
        terminal = Terminal(self.box, *shell)
        try:
            terminal.send("PS1='rea''dy> '\n")
            terminal.wait_for("ready> ")
            for typed, rest in (("pullama queue sta", "rt"), ("pullama show small", "est:latest"),
                                ("pullama show smallest:l", "atest"), ("pullama cancel 127.0.0.1:9/t", "eam/waits:q4"),
                                ("pullama list --output=js", "on"), ("pullama daemon stop --no-au", "tostart")):
                # How a shell draws is its own affair; what stands on the line, it prints when that is made an echo.
                terminal.send(f"{typed}\t\x01echo '\x05'\n")
                terminal.wait_for(f"{typed}{rest}")
        finally:
            terminal.close()

    def test_bash(self):
        rc = self.box.root / "bashrc"
        rc.write_text(f"source {self.script('bash')}\nbind 'set enable-bracketed-paste off'\n")
        self.complete_on_terminal("bash", "--noprofile", "--rcfile", str(rc), "-i")

    def test_bash_offers_files_where_a_flag_wants_one(self):
        (self.box.root / "certificate.pem").touch()
        script = self.script("bash")
        run = subprocess.run(["bash", "-c", f"source {script}; COMP_LINE='pullama pull --ca-file cert'; "
                              "COMP_POINT=${#COMP_LINE}; _pullama; printf '%s\\n' \"${COMPREPLY[@]}\""],
                             capture_output=True, text=True, timeout=60, cwd=self.box.root,
                             env={**self.box.environment, "PATH": f"{os.path.dirname(PULLAMA)}:/usr/bin:/bin"})
        self.assertEqual(run.stdout, "certificate.pem\n", run.stderr)

    def test_zsh(self):
        if not shutil.which("zsh"):
            self.skipTest("there is no zsh here")
        (self.box.home / ".zshrc").write_text(
            f"autoload -Uz compinit; compinit -u -d {self.box.root}/zcompdump\nsource {self.script('zsh')}\n"
            "unsetopt zle_bracketed_paste 2>/dev/null; bindkey -e; setopt no_prompt_cr no_prompt_sp\n")
        self.complete_on_terminal("zsh", "-d", "-i")

    def test_fish(self):
        if not shutil.which("fish"):
            self.skipTest("there is no fish here")
        script = self.script("fish")
        for typed, words in (("pullama queue sta", ["start"]), ("pullama show small", [MODEL]),
                             ("pullama cancel 127", ["127.0.0.1:9/team/waits:q4"]),
                             ("pullama list --output=js", ["--output=json"])):
            run = subprocess.run(["fish", "--no-config", "-c", f"source {script}; complete -C '{typed}'"], text=True,
                                 capture_output=True, timeout=60, stdin=subprocess.DEVNULL,
                                 env={**self.box.environment, "PATH": f"{os.path.dirname(PULLAMA)}:/usr/bin:/bin"})
            self.assertEqual([line.split("\t")[0] for line in run.stdout.splitlines()], words, run.stderr)


if __name__ == "__main__":
    harness.main()
