"""What a soak did and what was wrong."""

import collections
import threading


class Account:
    """What was done, how often, and what was wrong; from any thread."""

    def __init__(self):
        self.done, self.wrong, self._lock = collections.Counter(), [], threading.Lock()

    def count(self, what, times=1):
        with self._lock:
            self.done[what] += times

    def complain(self, text):
        with self._lock:
            self.wrong.append(text)
        print(f"WRONG: {text}", flush=True)
