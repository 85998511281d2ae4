"""One writer for one sweep: an operating-system lock, which no crash can leave behind."""

from __future__ import annotations

import errno
import fcntl
import os
import time
from pathlib import Path

from hpcmass.errors import UserError

PATIENCE_S = 2.0

_UNSUPPORTED = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL}
"""Said by file systems without locks; the sweep goes on without one then."""


class SweepLock:
    """The right to write a sweep; while it is held there is a file `.sweep.h5.lock` beside the sweep.

    Parameters
    ----------
    sweep : Path
    """

    def __init__(self, sweep: Path) -> None:
        self.sweep = sweep
        self.path = lock_path(sweep)
        self._fd: int | None = None

    def acquire(self) -> None:
        """Take it.

        Raises
        ------
        UserError
            If another job holds it, and still does after a moment: one that was killed may be about to vanish.
        """
        end = time.monotonic() + PATIENCE_S
        while self._fd is None:
            fd = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o666)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(fd)
                if time.monotonic() > end:
                    raise UserError(
                        f"another job is writing {self.sweep}; wait until it ends, or give another -o"
                    ) from None
                time.sleep(0.05)
                continue
            except OSError as error:
                if error.errno not in _UNSUPPORTED:
                    os.close(fd)
                    raise
            if _is_at(fd, self.path):
                self._fd = fd
            else:  # the holder before us removed the file between our open and our lock
                os.close(fd)

    def release(self) -> None:
        """Give it back, if it is held."""
        if self._fd is not None:
            self.path.unlink(missing_ok=True)  # while still holding it
            os.close(self._fd)
            self._fd = None


def lock_path(sweep: Path) -> Path:
    """The lock's file beside a sweep."""
    return sweep.with_name(f".{sweep.name}.lock")


def is_locked(sweep: Path) -> bool:
    """True while a job is writing the sweep (as far as this machine can tell)."""
    try:
        fd = os.open(lock_path(sweep), os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        os.close(fd)
    return False


def _is_at(fd: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(fd), os.stat(path))
    except FileNotFoundError:
        return False
