"""Scratch folders that outlive no run: whoever dies without tidying (SIGKILL by ctest's time limit) leaves a folder that
nobody holds any more, and the next run removes it. A full /dev/shm makes the whole machine crawl."""

import fcntl
import os
import pathlib
import shutil
import tempfile
import time

OWNER = "owner.lock"
_held = []  # the locks of this process, kept until it ends


def folder(prefix, parent=None):
    """A new folder of ours, mode 0700; those of dead owners with the same prefix are removed first."""
    parent = pathlib.Path(parent or tempfile.gettempdir())
    _sweep(prefix, parent)
    path = pathlib.Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
    lock = os.open(path / OWNER, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    _held.append(lock)
    return path


def _sweep(prefix, parent):
    for path in parent.glob(prefix + "*"):
        try:
            found = path.stat()
            # A young one may not have been locked yet.
            if found.st_uid != os.getuid() or time.time() - found.st_mtime < 60:
                continue
            lock = os.open(path / OWNER, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError:
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(path, ignore_errors=True)
        except OSError:
            pass
        finally:
            os.close(lock)
