#!/usr/bin/python3
"""Two terminals, as a new user has them: one watches and pauses what the other started. Real terminals (tmux); the screens that
they showed stand here as they were captured, with figures that differ from run to run made still."""

import re
import shutil
import subprocess
import unicodedata

import harness
from blobs import MIB, small_model
from registries import ScriptedRegistry


PATIENCE = 30
WIDE = ("[", "B/s", "eta", "conn")  # what a row has where there is room for it


class Terminal:
    """A tmux server of our own with one window."""

    def __init__(self, box, name, columns=80, rows=20, **env):
        self.box, self.socket = box, box.root / f"tmux-{name}"
        full = {**box.environment, "SHELL": "/bin/bash", "TERM": "xterm-256color", **env}
        full["PATH"] = f"{harness.PULLAMA.rsplit('/', 1)[0]}:{full['PATH']}"
        (box.root / "bashrc").write_text("PS1='$ '\n")
        self.columns, self.rows = columns, rows
        self._env = full
        self.tmux("new-session", "-d", "-x", str(columns), "-y", str(rows),
                  f"/bin/bash --noprofile --rcfile {box.root}/bashrc")
        self.tmux("set-option", "-g", "status", "off")
        self.tmux("resize-window", "-x", str(columns), "-y", str(rows))
        self.wait(lambda screen: screen == "$", "a prompt")

    def tmux(self, *arguments):
        run = subprocess.run(["tmux", "-u", "-S", str(self.socket), "-f", "/dev/null", *arguments], env=self._env,
                             capture_output=True, text=True, timeout=60)
        if run.returncode != 0:
            raise AssertionError(f"tmux {arguments}: {run.stderr}")
        return run.stdout

    def type(self, text, enter=True):
        self.tmux("send-keys", "-l", text)
        if enter:
            self.tmux("send-keys", "Enter")

    def key(self, name):
        self.tmux("send-keys", name)

    def resize(self, columns, rows):
        self.columns, self.rows = columns, rows
        self.tmux("resize-window", "-x", str(columns), "-y", str(rows))

    def screen(self):
        """What one sees, without blanks at the ends."""
        return "\n".join(line.rstrip() for line in self.tmux("capture-pane", "-p").splitlines()).rstrip()

    def clear(self):
        self.tmux("send-keys", "C-l")
        self.wait(lambda screen: screen in ("$", ""), "an empty screen")

    def wait(self, condition, what):
        last = ""

        def good():
            nonlocal last
            last = self.screen()
            return condition(last)

        try:
            harness.wait_until(good, what, limit=PATIENCE, every=0.05)
        except AssertionError as error:
            raise AssertionError(f"{error}\n--- the screen was\n{last}\n---") from None
        return last

    def close(self):
        subprocess.run(["tmux", "-S", str(self.socket), "kill-server"], env=self._env, capture_output=True, timeout=60,
                       check=False)


def still(screen, registry):
    """The same screen whatever the port, the rate and the moment: figures become 9, bars become =."""
    screen = screen.replace(registry.host, "registry.test:5000")
    screen = re.sub(r"…\S*(/library/\S+) *", r"…\1 ", screen)  # a name that was cut
    screen = re.sub(r"^total +", "total ", screen, flags=re.M)
    screen = re.sub(r"\[[█▉▊▋▌▍▎▏░#.]+\]", "[====]", screen)
    screen = re.sub(r" +(?=\d+%)", " ", screen)
    screen = re.sub(r"\b\d+%", "9%", screen)
    screen = re.sub(r" +(?=[\d.]+ [kMG]?B\b)", " ", screen)
    screen = re.sub(r"[\d.]+ [kMG]?B\b", "9 MB", screen)
    screen = re.sub(r" *· +eta [\dhms]+", " · eta 9s", screen)
    screen = re.sub(r" *· +\d+ conn", " · 9 conn", screen)
    screen = re.sub(r"\(\d[\dhms]*\)", "(9s)", screen)
    screen = re.sub(r"\bj\d+\b", "j1", screen)
    screen = re.sub(r"elapsed [\dhms]+", "elapsed 9s", screen)
    screen = re.sub(r"\(\d+/\d+ chunks\)", "(9/9 chunks)", screen)
    # The frame's right side stands where the figures' widths put it; blobs come to their ends in any order.
    screen = re.sub(r" +([│║])$", r" \1", screen, flags=re.M)
    screen = re.sub(r"([╭╔╰╚╠][─═].*?)[─═]+([╮╗╯╝╣])$", r"\1\2", screen, flags=re.M)
    lines = [line.rstrip() for line in screen.splitlines()
             if not re.search(r"^│ . (downloading|verified|finalized|cached|resumed \w{12}) ", line)]
    return "\n".join(lines)


def cells(line):
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in line)


class WatchTest(harness.TestCase):
    def setUp(self):
        super().setUp()
        self.assertTrue(shutil.which("tmux"), "packaging/setup.sh installs tmux")
        self.models = [small_model(f"library/{name}", seed=i, sizes=(12 * MIB, 50_000))
                       for i, name in enumerate(("one", "two", "three"))]
        self.registry = ScriptedRegistry(self.box, {"models": [m.script() for m in self.models], "rate": {"total": MIB}})
        self.names = [f"{self.registry.host}/library/{name}" for name in ("one", "two", "three")]

    def terminal(self, name, *size, **env):
        terminal = Terminal(self.box, name, *size, **env)
        self.addCleanup(terminal.close)
        return terminal

    def assert_still(self, screen, expected):
        self.assertEqual(still(screen, self.registry), expected.strip("\n"), f"the screen was\n{screen}")

    def assert_fits(self, terminal, screen):
        for line in screen.splitlines():
            self.assertLessEqual(cells(line), terminal.columns)
        self.assertLessEqual(len(screen.splitlines()), terminal.rows)

    def test_one_terminal_pauses_what_the_other_started(self):
        first, second = self.terminal("first"), self.terminal("second")
        first.type(f"pullama --insecure {self.names[0]}")
        first.wait(lambda s: "MB/s" in s, "the pull shows its rate")
        second.type("pullama watch")
        screen = second.wait(lambda s: re.search(r"eta \d+s · +\d+ conn", s), "the other terminal shows it too")
        self.assert_still(screen, SEEN_FROM_ELSEWHERE)
        second.key("C-c")
        second.wait(lambda s: s.endswith("$"), "the prompt")
        self.assert_still(second.screen(), LEFT_AGAIN)
        second.clear()

        second.type(f"pullama pause {self.names[0]}")
        second.wait(lambda s: "paused" in s.split("\n", 1)[-1] and s.endswith("$"), "it is paused")
        self.assert_still(second.screen(), PAUSED_BY_SECOND)
        screen = first.wait(lambda s: "paused" in s, "the first one sees it")
        self.assert_still(screen, PAUSED_SEEN_BY_FIRST)
        second.clear()
        second.type("pullama watch")
        self.assert_still(second.wait(lambda s: "paused" in s, "the live screen says so"), PAUSED_IN_WATCH)
        second.key("C-c")
        second.wait(lambda s: s.endswith("$"), "the prompt")
        second.clear()

        self.registry.script(rate={"total": 64 * MIB})
        second.type(f"pullama resume {self.names[0]}")
        screen = first.wait(lambda s: s.endswith("$"), "the pull ends")
        self.assert_still(screen, COMPLETED_IN_FIRST)
        self.assert_stored(self.registry.host, self.models[0])

    def test_the_queue_from_one_terminal_live_in_the_other(self):
        first, second = self.terminal("first"), self.terminal("second", 110, 12)
        first.type(f"pullama queue add --insecure {' '.join(self.names)}")
        first.wait(lambda s: s.endswith("$") and "added" in s, "they are added")
        second.type("pullama watch")
        self.assert_still(second.wait(lambda s: "stopped" in s, "what is queued"), QUEUE_STOPPED)
        first.type("pullama queue start -d")
        screen = second.wait(lambda s: len(re.findall(r"B/s · +eta \S+ · +\d+ conn$", s, re.M)) == 2, "the first model and the total")
        self.assert_still(screen, QUEUE_RUNS)
        first.clear()
        first.type(f"pullama pull --insecure -d {self.names[2]}")
        screen = second.wait(lambda s: len(re.findall(r"B/s · +eta \S+ · +\d+ conn$", s, re.M)) == 3, "two at once and the total")
        self.assert_still(screen, QUEUE_AND_A_PULL)
        self.registry.script(rate={"total": 64 * MIB})
        screen = second.wait(lambda s: s.count("completed") == 3 and "nothing is under way" in s, "the end of all")
        self.assertNotIn("%", screen)
        self.assert_fits(second, screen)
        second.key("C-c")
        screen = second.wait(lambda s: s.endswith("$"), "the prompt")
        self.assertNotIn("nothing is under way", screen)

    def test_every_width_follows_the_resize_without_a_wrap(self):
        self.registry.script(rate={"total": 200_000})
        terminal = self.terminal("wide", 300, 20)
        self.box.pullama("pull", "--insecure", "-d", self.names[0], self.names[1])
        self.box.pullama("queue", "add", "--insecure", self.names[2])
        terminal.type("pullama watch")
        terminal.wait(lambda s: "conn" in s, "the live screen")
        for columns in (300, 200, 100, 79, 60, 41, 30, 20, 24, 37, 80, 299):
            with self.subTest(columns=columns):
                terminal.resize(columns, 20)

                def drawn(screen, columns=columns):
                    # Our lines of this width, the lowest on the screen: two transfers, a total, a queued one, a remark.
                    lines = screen.splitlines()[-5:]
                    return (len(lines) == 5 and [bool(re.search(r"\d%", line)) for line in lines] == [True] * 3 + [False] * 2
                            and lines[2].startswith("total") and lines[3].startswith("  · 1") and
                            lines[4].startswith("  the queue is") and max(map(cells, lines)) <= columns
                            and (columns < 100 or all(word in line for line in lines[:3] for word in WIDE)))

                screen = terminal.wait(drawn, f"redrawn at {columns}")
                self.assertEqual(screen.count("total"), 1, f"a rest of the old screen:\n{screen}")
        # Less high than there are lines.
        terminal.resize(80, 4)
        terminal.wait(lambda s: re.search(r"… \d more$", s), "what does not fit is counted")

    def test_without_the_means_it_is_plain_lines(self):
        self.registry.script(rate={"total": 24 * MIB})
        for number, (name, command) in enumerate((("no-color", "pullama watch --no-color"), ("dumb", "TERM=dumb pullama watch"),
                                                  ("no-utf8", "LC_ALL=C pullama watch"), ("pipe", "pullama watch | cat"))):
            with self.subTest(name):
                model = small_model(f"library/plain{number}", seed=10 + number, sizes=(12 * MIB, 50_000))
                self.registry.script(models=[model.script()])
                self.assert_exit(self.box.pullama("queue", "add", "--insecure", self.registry.name(model)), 0)
                self.assert_exit(self.box.pullama("queue", "start", "-d"), 0)
                terminal = self.terminal(name, 70, 24)
                terminal.type(f"{command}; echo over: $?")
                screen = terminal.wait(lambda s: "over: 0" in s, "it ends with the work")
                self.assertTrue(screen.isascii(), screen)
                self.assertRegex(screen, r"\+ completed |nothing is under way")
                self.assert_fits(terminal, screen)


SEEN_FROM_ELSEWHERE = """
$ pullama watch
…/library/one:latest [====] 9% · 9 MB/s · eta 9s · 9 conn
"""
LEFT_AGAIN = """
$ pullama watch
detached — what is under way goes on in the daemon
$
"""
PAUSED_BY_SECOND = """
$ pullama pause registry.test:5000/library/one
paused registry.test:5000/library/one:latest
$
"""
PAUSED_SEEN_BY_FIRST = """
$ pullama --insecure registry.test:5000/library/one
╭─ pulling registry.test:5000/library/one:latest ╮
│ ✓ manifest · 4 blobs · 9 MB │
│ · paused │
│ [====] 9% 9 MB/9 MB │
"""
PAUSED_IN_WATCH = """
$ pullama watch
registry.test:5000/library/one:latest paused 9%
"""
COMPLETED_IN_FIRST = """
│ ▸ resumed │
│ ✓ manifest · 4 blobs · 9 MB │
│ ✓ manifest written │
│ [====] 9% 9 MB/9 MB │
╰─╯
╔═╗
║ ✓ pulled registry.test:5000/library/one:latest ║
╠═╣
║ size 9 MB ║
║ blobs 4 ║
║ elapsed 9s ║
║ avg rate 9 MB/s ║
╚═╝
$
"""
QUEUE_STOPPED = """
$ pullama watch
  · 1 registry.test:5000/library/one:latest queued
  · 2 registry.test:5000/library/two:latest queued
  · 3 registry.test:5000/library/three:latest queued
  the queue is stopped; start it with: pullama queue start
"""
QUEUE_RUNS = """
$ pullama watch
…/library/one:latest [====] 9% 9 MB/9 MB · 9 MB/s · eta 9s · 9 conn
total [====] 9% 9 MB/9 MB · 9 MB/s · eta 9s · 9 conn
  · 2 registry.test:5000/library/two:latest queued
  · 3 registry.test:5000/library/three:latest queued
"""
QUEUE_AND_A_PULL = """
$ pullama watch
…/library/one:latest [====] 9% 9 MB/9 MB · 9 MB/s · eta 9s · 9 conn
…/library/three:latest [====] 9% 9 MB/9 MB · 9 MB/s · eta 9s · 9 conn
total [====] 9% 9 MB/9 MB · 9 MB/s · eta 9s · 9 conn
  · 2 registry.test:5000/library/two:latest queued
"""


if __name__ == "__main__":
    harness.main()
