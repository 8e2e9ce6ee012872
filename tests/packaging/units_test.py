#!/usr/bin/python3
"""The units, as systemd itself reads them; none needs to run for that."""

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

    def test_no_unit_has_a_word_that_systemd_does_not_know(self):
        with tempfile.TemporaryDirectory(prefix="pullama-units-") as folder:
            for kind in ("user",):
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
