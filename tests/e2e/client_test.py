#!/usr/bin/python3
"""The command line: output modes, exit codes, wrong arguments, list, show, jobs, the daemon's start and status."""

import fcntl
import json
import os
import pty
import re
import struct
import termios
import threading

import harness
from blobs import MIB, Blob, Model, small_model
from registries import ScriptedRegistry, free_port


class OutputTest(harness.TestCase):
    def setUp(self):
        super().setUp()
        self.model = small_model(sizes=(2 * MIB, 50_000))
        self.registry = ScriptedRegistry(self.box, {"models": [self.model.script()], "rate": {"total": 2 * MIB}})
        self.name = self.registry.name(self.model)

    def pull(self, *flags, **more):
        return self.box.pullama("pull", "--insecure", *flags, self.name, **more)

    def test_json_is_a_json_object_a_line_and_stderr_is_empty(self):
        run = self.pull("--output", "json")
        self.assert_exit(run, 0)
        self.assertEqual(run.stderr, "")
        events = [json.loads(line) for line in run.stdout.splitlines()]
        kinds = [e["event"] for e in events]
        self.assertEqual([kinds[0], kinds[-1]], ["pull_start", "pull_completed"])
        base = {"Model": f"{self.registry.host}/library/small", "Tag": "latest"}
        for event in events:
            if event["event"] in ("pull_start", "manifest_fetched", "pull_completed"):
                self.assertEqual({k: event[k] for k in base}, base)
        fetched = next(e for e in events if e["event"] == "manifest_fetched")
        self.assertEqual((fetched["BlobCount"], fetched["TotalSize"]), (4, self.model.total))
        progress = [e for e in events if e["event"] == "progress"]
        self.assertTrue(progress)
        for event in progress:
            self.assertLessEqual({"pct", "OverallDone", "OverallTotal", "BytesPerSecond", "ETASeconds"}, set(event))
        done = events[-1]
        self.assertEqual((done["TotalBytes"], done["BlobCount"]), (self.model.total, 4))
        self.assertGreater(done["ElapsedMs"], 0)

    def test_errors_in_json_are_events_on_stdout(self):
        run = self.box.pullama("pull", "--insecure", "--output=json", f"{self.registry.host}/library/none")
        self.assert_exit(run, 4)
        self.assertEqual(run.stderr, "")
        last = json.loads(run.stdout.splitlines()[-1])
        self.assertEqual((last["event"], last["Kind"], last["Tag"]), ("pull_failed", "not_found", "latest"))
        self.assertTrue(last["Message"])

    def test_compact(self):
        run = self.pull("--output", "compact")
        self.assert_exit(run, 0)
        lines = run.stdout.splitlines()
        self.assertEqual(lines[0], f"pulling {self.registry.host}/library/small:latest")
        self.assertRegex(lines[-1], r"^completed 2\.1 MB \S+$")
        self.assertNotIn("\x1b", run.stdout)

    def test_quiet_is_one_line_on_either_side(self):
        run = self.pull("--quiet")
        self.assert_exit(run, 0)
        self.assert_one_line(run.stdout, "small")
        self.assertEqual(run.stderr, "")
        run = self.box.pullama("pull", "--insecure", "--quiet", f"{self.registry.host}/library/none")
        self.assert_exit(run, 4)
        self.assertEqual(run.stdout, "")
        self.assert_one_line(run.stderr, "none")

    def test_debug_shows_every_event_a_line(self):
        run = self.pull("--output", "debug")
        self.assert_exit(run, 0)
        for word in ("manifest.fetched", "blob.started", "blob.verified", "blob.finalized", "manifest.written",
                     "job.completed"):
            self.assertIn(word, run.stdout)

    def test_verbose_shows_what_happens_underneath(self):
        run = self.pull("--verbose")
        self.assert_exit(run, 0)
        self.assertIn("/v2/library/small/manifests/latest", run.stdout)
        self.assertNotIn("/v2/library/small/manifests/latest", self.pull().stdout)

    def test_a_pipe_gets_plain_ascii(self):
        run = self.pull()
        self.assert_exit(run, 0)
        self.assertTrue(run.stdout.isascii(), run.stdout)
        self.assertNotIn("\x1b", run.stdout)
        self.assertNotIn("\r", run.stdout)
        for word in ("pulling", "manifest", "verified", "finalized", "2.1 MB"):
            self.assertIn(word, run.stdout)

    def on_terminal(self, *arguments, width=80, env=None):
        """What a terminal of that width receives, and the exit code."""
        master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, width, 0, 0))
        process = self.box.spawn(harness.PULLAMA, *arguments, stdin=slave, stdout=slave, stderr=slave, env=env)
        os.close(slave)
        received = []

        def read():
            try:
                while piece := os.read(master, 65536):
                    received.append(piece)
            except OSError:
                pass

        reader = threading.Thread(target=read)
        reader.start()
        code = process.wait(harness.PATIENCE)
        reader.join(10)
        os.close(master)
        return b"".join(received).decode("utf-8", errors="replace"), code

    @staticmethod
    def visible(line):
        return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", line)

    def test_a_terminal_shows_frame_bar_and_box_at_any_width(self):
        for number, width in enumerate((20, 40, 80, 300)):
            with self.subTest(width=width):
                model = small_model(f"library/w{width}", seed=50 + number, sizes=(2 * MIB, 1000))
                self.registry.script(models=[model.script()])
                out, code = self.on_terminal("pull", "--insecure", self.registry.name(model), width=width)
                self.assertEqual(code, 0, out)
                self.assertIn("╭", out)
                self.assertIn("╔", out)
                shown = [self.visible(line) for line in re.split(r"[\r\n]+", out)]
                for line in shown:
                    self.assertLessEqual(len(line), width, f"{line!r} wraps")
                figures = [int(m) for line in shown for m in re.findall(r"\b(\d{1,3})%", line)]
                self.assertEqual(figures, sorted(figures), "progress ran backwards")
                # What was hidden is shown again.
                self.assertEqual(out.count("\x1b[?25l") > 0, out.count("\x1b[?25h") > 0)
                if "\x1b[?25l" in out:
                    self.assertGreater(out.rfind("\x1b[?25h"), out.rfind("\x1b[?25l"))

    def test_no_color_in_its_three_forms(self):
        for flags, env in ((["--no-color"], {}), ([], {"NO_COLOR": "1"}), ([], {"TERM": "dumb"})):
            with self.subTest(flags=flags, env=env):
                out, code = self.on_terminal("pull", "--insecure", *flags, self.name, env=env)
                self.assertEqual(code, 0, out)
                self.assertNotRegex(out, r"\x1b\[[0-9;]*m")
                self.assertNotIn("╭", out)

    def test_a_terminal_without_utf8_gets_ascii(self):
        out, code = self.on_terminal("pull", "--insecure", self.name, env={"LANG": "C", "LC_ALL": "C"})
        self.assertEqual(code, 0, out)
        self.assertTrue(out.isascii(), out)

    def test_dry_run_says_what_would_travel_and_changes_nothing(self):
        run = self.box.pullama("pull", "--insecure", "--dry-run", self.name)
        self.assert_exit(run, 0)
        self.assertIn("2.1 MB", run.stdout)
        self.assert_nothing_stored()
        self.assertFalse([e for e in self.registry.log() if "/blobs/" in e["path"]])


class WrongInputTest(harness.TestCase):
    def test_wrong_flags_values_and_names_end_before_anything_is_sent(self):
        # No daemon may be started for any of these.
        cases = [
            (["pull", "--frobnicate", "m"], "--frobnicate"),
            (["pull", "m", "--frobnicate=1"], "--frobnicate"),
            (["pull", "--output", "xml", "m"], "xml"),
            (["pull", "--max-retries", "-1", "m"], "--max-retries"),
            (["pull", "--max-retries", "many", "m"], "many"),
            (["pull", "--chunk-size", "0", "m"], "--chunk-size"),
            (["pull", "--chunk-size", "99999999999999999999", "m"], "--chunk-size"),
            (["pull", "--chunk-size", "12parsecs", "m"], "12parsecs"),
            (["pull", "--timeout", "0", "m"], "--timeout"),
            (["pull", "--timeout", "-5s", "m"], "--timeout"),
            (["pull", "--connections", "0", "m"], "--connections"),
            (["pull", "--connections", "17", "m"], "--connections"),
            (["pull", "--limit-rate", "fast", "m"], "fast"),
            (["pull", "--limit-rate", "-1M", "m"], "--limit-rate"),
            (["pull", "--models-dir"], "--models-dir"),
            (["pull"], "model"),
            (["pull", "m:"], "m:"),
            (["pull", "../../etc/passwd"], "../../etc/passwd"),
            (["pull", "a/b/c/d"], "a/b/c/d"),
            (["pull", "-m"], "-m"),
            (["pull", "n/.."], "n/.."),
            (["pull", "m:" + "t" * 81], "tag"),
            (["pull", "m@sha256:" + "0" * 64], "m@sha256"),
            (["pull", "sp ace"], "sp ace"),
            (["pull", "é"], "name"),
            (["show"], "model"),
            (["show", "m:"], "m:"),
            (["list", "--frobnicate"], "--frobnicate"),
            (["cancel"], ""),
        ]
        for arguments, word in cases:
            with self.subTest(arguments=arguments):
                run = self.box.pullama(*arguments)
                self.assert_exit(run, 1)
                self.assertEqual(run.stdout, "")
                self.assert_one_line(run.stderr, word)
        self.assertFalse(self.box.socket.exists())

    def test_escapes_in_a_name_are_not_echoed_raw(self):
        run = self.box.pullama("pull", "m\x1b[31mred\x07")
        self.assert_exit(run, 1)
        self.assertNotIn("\x1b", run.stderr)
        self.assertNotIn("\x07", run.stderr)

    def test_hosts_that_are_not_there(self):
        self.box.daemon()
        port = free_port()
        run = self.box.pullama("pull", "--insecure", "--max-retries", "1", f"127.0.0.1:{port}/library/m")
        self.assert_error(run, 1, f"127.0.0.1:{port}", "refused")
        run = self.box.pullama("pull", "--max-retries", "1", "no-such-host.invalid/library/m")
        self.assert_error(run, 1, "no-such-host.invalid")
        self.assert_nothing_stored()

    def test_help_and_version_need_no_daemon(self):
        for arguments in (["help"], ["--help"], ["pull", "--help"], ["version"], ["--version"]):
            with self.subTest(arguments=arguments):
                run = self.box.pullama(*arguments)
                self.assert_exit(run, 0)
                self.assertTrue(run.stdout)
                self.assertEqual(run.stderr, "")
        self.assertRegex(self.box.pullama("version").stdout, r"\d+\.\d+\.\d+")
        self.assertFalse(self.box.socket.exists())

    def test_without_autostart_the_error_says_how_to_start_it(self):
        for arguments in (["pull", "m"], ["list"], ["jobs"]):
            with self.subTest(arguments=arguments):
                run = self.box.pullama("--no-autostart", *arguments)
                self.assert_exit(run, 1)
                self.assert_one_line(run.stderr, "pullamad")
        self.assertFalse(self.box.socket.exists())


class CommandsTest(harness.TestCase):
    def setUp(self):
        super().setUp()
        self.model = small_model("library/small", "v1")
        self.registry = ScriptedRegistry(self.box, {"models": [self.model.script()]})
        self.name = self.registry.name(self.model)

    def test_list_and_show(self):
        run = self.box.pullama("list")
        self.assert_exit(run, 0)
        self.assert_exit(self.box.pullama("pull", "--insecure", self.name), 0)
        for command in ("list", "ls"):
            run = self.box.pullama(command)
            self.assert_exit(run, 0)
            head, *rows = run.stdout.splitlines()
            self.assertEqual(head.split(), ["NAME", "ID", "SIZE", "MODIFIED"])
            self.assertEqual(len(rows), 1)
            self.assertEqual(rows[0].split()[:2], [self.name, self.model.digest[7:19]])
        listed = json.loads(self.box.pullama("list", "--output", "json").stdout)
        self.assertIn(self.name, json.dumps(listed))
        run = self.box.pullama("show", self.name)
        self.assert_exit(run, 0)
        for word in ("llama", "3.2B", "Q4_K_M", self.model.digest[7:19]):
            self.assertIn(word, run.stdout)
        self.assertIn(self.model.digest[7:], json.dumps(json.loads(
            self.box.pullama("show", "--output", "json", self.name).stdout)))
        self.assertIn("{{ .Prompt }}", self.box.pullama("show", "--template", self.name).stdout)

    def test_show_of_what_is_not_there_exits_4(self):
        self.assert_error(self.box.pullama("show", "nobody"), 4, "nobody")

    def test_list_survives_a_manifest_that_is_rubbish(self):
        self.assert_exit(self.box.pullama("pull", "--insecure", self.name), 0)
        broken = self.box.models / "manifests" / "registry.ollama.ai" / "library" / "broken"
        broken.mkdir(parents=True)
        (broken / "latest").write_text("{")
        run = self.box.pullama("list")
        self.assert_exit(run, 0)
        self.assertIn(self.name, run.stdout)

    def test_jobs_and_daemon_status(self):
        self.box.daemon()
        self.assert_exit(self.box.pullama("jobs"), 0)
        run = self.box.pullama("daemon", "status")
        self.assert_exit(run, 0)
        for word in (str(self.box.models), str(self.box.socket)):
            self.assertIn(word, run.stdout)
        self.assertIsInstance(json.loads(self.box.pullama("jobs", "--output", "json").stdout), (dict, list))

    def test_autostart_from_nothing_and_daemon_stop(self):
        self.assert_exit(self.box.pullama("pull", "--insecure", "--quiet", self.name), 0)
        pid = harness.answers(self.box.socket)["pid"]
        self.assertIn(pid, self.box.processes())
        self.assertEqual(os.getsid(pid), pid, "its own session leader")
        for descriptor in ("0", "1", "2"):
            self.assertNotIn("pipe:", os.readlink(f"/proc/{pid}/fd/{descriptor}"), "holds the client's files open")
        self.assert_exit(self.box.pullama("daemon", "stop"), 0)
        harness.wait_until(lambda: not self.box.processes() or pid not in self.box.processes(), "the daemon ends")
        run = self.box.pullama("daemon", "status")
        self.assertNotEqual(run.returncode, 0)
        self.assert_exit(self.box.pullama("daemon", "start"), 0)
        self.assertTrue(harness.answers(self.box.socket))

    def test_a_daemon_start_that_fails_is_one_line(self):
        self.box.models.write_text("a file where the models dir should be")
        run = self.box.pullama("pull", "--insecure", self.name)
        self.assert_exit(run, 1)
        self.assertIn(str(self.box.models), run.stderr)

    def test_disk_full_exits_2_before_the_first_byte(self):
        huge = Model("library/huge", "latest", [Blob(seed=1, size=1)])
        manifest = json.loads(huge.manifest)
        manifest["layers"][0]["size"] = 2 ** 50
        self.registry.script(models=[{**huge.script(), "manifest": json.dumps(manifest)}])
        run = self.box.pullama("pull", "--insecure", self.registry.name(huge))
        self.assert_error(run, 2, "pullama clean")
        self.assertFalse([e for e in self.registry.log() if "/blobs/" in e["path"]])
        self.assert_nothing_stored()


if __name__ == "__main__":
    harness.main()
