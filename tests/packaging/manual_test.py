#!/usr/bin/python3
"""The manual pages and --help say the same: every command and flag of one is in the other; and the pages are well made."""

import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

MAN = pathlib.Path(__file__).resolve().parents[2] / "packaging" / "man"
EXAMPLE = MAN.parent / "pullamad.conf"
WORD = re.compile(r"(?<![\w-])(--[a-z][a-z-]*[a-z])")


def run(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60,
                          env={**os.environ, "LC_ALL": "C.UTF-8", "MANWIDTH": "80", "MAN_KEEP_FORMATTING": ""})


def page(name):
    """The page as a reader sees it, without backspaces."""
    text = run("man", "-P", "cat", "-E", "UTF-8", "-l", str(MAN / name)).stdout
    return re.sub("\x1b\\[[0-9;]*m", "", re.sub(".\x08", "", text)).replace("\u2010", "-").replace("−", "-")


def section(text, name):
    found = re.search(rf"^{name}\n(.*?)(?=^\S|\Z)", text, re.S | re.M)
    assert found, f"there is no section {name}"
    return found.group(1)


def help_rows(text, title):
    """What stands left in the rows of a table of --help."""
    body = text.split(f"\n{title}:\n", 1)[1].split("\n\n", 1)[0]
    return [re.split(r"\s{2,}", line.strip())[0] for line in body.splitlines() if re.match(r"  \S", line)]


class ClientPageTest(unittest.TestCase):
    def setUp(self):
        self.pullama = os.environ["PULLAMA"]
        self.general = run(self.pullama, "help").stdout
        self.page = page("pullama.1")
        self.commands = [re.match(r"[a-z]+(?: [a-z]+)?(?= |$)", row).group() for row in help_rows(self.general, "Commands")]

    def test_every_command_stands_in_the_page_and_the_other_way_round(self):
        rows = [" ".join(row.split()) for row in help_rows(self.general, "Commands")]
        items = [" ".join(line.split()) for line in section(self.page, "COMMANDS").splitlines()
                 if re.match(r"     [a-z]", line)]
        families = {"queue": 2, "daemon": 2}
        names = {" ".join(row.split()[:families.get(row.split()[0], 1)]) for row in rows}
        shown = {" ".join(i.rstrip(",").split()[:families.get(i.split()[0], 1)]).rstrip(",") for i in items}
        self.assertGreater(len(names), 25)
        self.assertEqual(names, shown)

    def test_every_flag_stands_in_the_page_and_the_other_way_round(self):
        flags = set(WORD.findall(self.general)) | {"--version"}
        for row in help_rows(self.general, "Commands"):
            words = row.split()
            command = words[:2] if words[0] in ("queue", "daemon") else words[:1]
            flags |= set(WORD.findall(run(self.pullama, "help", *command).stdout))
        self.assertGreater(len(flags), 25)
        self.assertEqual(flags, set(WORD.findall(section(self.page, "FLAGS"))))

    def test_exit_codes_are_those_of_the_help(self):
        self.assertEqual(set(re.findall(r"\b([0-4]) [a-z]", self.general.split("Exit codes:")[1])),
                         set(re.findall(r"^ +([0-9]) +\S", section(self.page, "EXIT STATUS"), re.M)))


class DaemonPagesTest(unittest.TestCase):
    def setUp(self):
        self.help = run(os.environ["PULLAMAD"], "--help").stdout
        self.keys = {flag.replace("-", "_") for flag in re.findall(r"^ +--([a-z-]+)", self.help.split("\nSettings:\n")[1].split("\n\n")[0], re.M)}

    def test_every_flag_stands_in_the_page_and_the_other_way_round(self):
        flags = set(WORD.findall(self.help.split("\n\nThe same in files")[0]))
        self.assertGreater(len(flags), 15)
        self.assertEqual(flags, set(WORD.findall(section(page("pullamad.8"), "FLAGS"))))

    def test_every_key_stands_in_its_page_and_in_the_example(self):
        self.assertGreater(len(self.keys), 15)
        shown = re.findall(r"^     ([a-z_]+) = ", section(page("pullamad.conf.5"), "KEYS"), re.M)
        self.assertEqual(sorted(self.keys), sorted(shown))
        self.assertEqual(sorted(self.keys), sorted(set(re.findall(r"^#([a-z_]+) = ", EXAMPLE.read_text(), re.M))))

    def test_every_line_of_the_example_can_be_used(self):
        with tempfile.TemporaryDirectory(prefix="pullama-example-") as folder:
            text = re.sub(r"^#(?=[a-z_]+ = )", "", EXAMPLE.read_text(), flags=re.M)
            text = re.sub(r"^(socket_group|models_dir|socket) = .*\n", "", text, flags=re.M)
            path = pathlib.Path(folder, "config/pullama/pullamad.conf")
            path.parent.mkdir(parents=True)
            path.write_text(text)
            daemon = subprocess.run([os.environ["PULLAMAD"], "--on-demand", "--idle-time", "300ms"], timeout=120, text=True,
                                    capture_output=True, env={"HOME": folder, "XDG_CONFIG_HOME": f"{folder}/config",
                                                              "XDG_RUNTIME_DIR": folder, "PATH": "/usr/bin:/bin"})
            self.assertEqual(daemon.returncode, 0, daemon.stderr)
            self.assertNotIn("passed over", daemon.stderr)
            self.assertNotIn(" warning ", daemon.stderr)


class PagesTest(unittest.TestCase):
    def test_no_page_has_a_warning_or_a_line_of_more_than_80_columns(self):
        self.assertTrue(shutil.which("man"), "man is missing; packaging/setup.sh --all installs it")
        pages = sorted(MAN.iterdir())
        self.assertTrue(pages)
        for path in pages:
            with self.subTest(page=path.name):
                run_ = run("man", "--warnings", "-P", "cat", "-E", "UTF-8", "-l", str(path))
                self.assertEqual(run_.stderr, "")
                for line in page(path.name).splitlines():
                    self.assertLessEqual(len(line), 80, line)


if __name__ == "__main__":
    unittest.main(verbosity=2)
