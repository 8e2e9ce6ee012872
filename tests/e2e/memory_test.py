#!/usr/bin/python3
"""What only an optimised build can show: the daemon stays under 64 MiB while it pulls, is listed to and watched."""

import harness
from blobs import MIB, Blob, Model
from registries import ScriptedRegistry
from wire import Wire

LIMIT_KB = 64 * 1024


class MemoryTest(harness.TestCase):
    def peak_kb(self, process):
        with open(f"/proc/{process.pid}/status", encoding="ascii") as file:
            return next(int(line.split()[1]) for line in file if line.startswith("VmHWM"))

    def test_the_daemon_stays_under_64_mib(self):
        model = Model("library/big", "latest", [Blob(seed=77, size=1024 * MIB), Blob(seed=78, size=5 * MIB)])
        registry = ScriptedRegistry(self.box, {"models": [model.script(chunksums=16 * MIB)], "cdn": {"mode": "redirect"}})
        daemon = self.box.daemon()
        watchers = [Wire(self.box.socket, check=False) for _ in range(20)]
        for wire in watchers:
            wire.call("events.subscribe", trace=True)
        self.assert_exit(self.box.pullama("pull", "--insecure", registry.name(model)), 0)
        for wire in watchers:
            wire.close()
        self.assert_exit(self.box.pullama("list"), 0)
        self.assert_exit(self.box.pullama("show", registry.name(model)), 0)
        peak = self.peak_kb(daemon)
        self.assertLess(peak, LIMIT_KB, f"{peak} kB at its peak")
        self.assert_stored(registry.host, model)


if __name__ == "__main__":
    harness.main()
