#!/usr/bin/python3
"""The units: what systemd-analyze says of them without a systemd, and that README repeats its figure."""

import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
UNITS = ROOT / "systemd"


class UnitsTest(unittest.TestCase):
    def setUp(self):
        if not shutil.which("systemd-analyze"):
            self.skipTest("there is no systemd-analyze here")

    def exposure(self, unit):
        run = subprocess.run(["systemd-analyze", "security", "--offline=true", "--no-pager", str(unit)], timeout=60,
                             capture_output=True, text=True, env={"LC_ALL": "C.UTF-8", "PATH": "/usr/bin:/bin"})
        found = re.search(r"Overall exposure level for [\w.]+: ([0-9.]+)", run.stdout)
        self.assertTrue(found, run.stdout + run.stderr)
        return float(found.group(1))

    def test_the_system_unit_is_hardened_as_readme_says(self):
        figure = self.exposure(UNITS / "system" / "pullamad.service")
        self.assertLess(figure, 2.0)
        self.assertIn(f"exposure {figure}", (ROOT / "README.md").read_text())

    def test_no_unit_has_a_word_that_systemd_does_not_know(self):
        with tempfile.TemporaryDirectory(prefix="pullama-units-") as folder:
            for kind in ("system", "user"):
                target = pathlib.Path(folder, kind)
                target.mkdir()
                for unit in (UNITS / kind).glob("pullamad.*"):
                    # The program need not be installed here.
                    text = unit.read_text().replace("/usr/bin/pullamad", "/bin/true")
                    (target / unit.name).write_text(re.sub(r"^Documentation=.*\n", "", text, flags=re.M))
                units = sorted(str(path) for path in target.iterdir())
                run = subprocess.run(["systemd-analyze", "verify", f"--{kind}", "--recursive-errors=no", *units],
                                     capture_output=True, text=True, timeout=60,
                                     env={"XDG_RUNTIME_DIR": folder, "PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"})
                self.assertNotIn("pullamad", run.stderr)


if __name__ == "__main__":
    unittest.main(verbosity=2)
