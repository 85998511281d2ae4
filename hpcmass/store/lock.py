"""One writer for one sweep: an operating-system lock, which no crash can leave behind."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Self

from hpcmass.errors import UserError
from hpcmass.messages import logger

PATIENCE_S = 2.0

_NOTE_BYTES = 64

_UNSUPPORTED = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL}
"""Errors of file systems without locks; the sweep then warns and continues without one."""


class SweepLock:
    """The right to write a sweep; while a process has it, a file `.sweep.h5.lock` lies beside the sweep.

    A context manager, too.
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
            If another job still holds it after a short wait: a killed one may be about to exit.
        """
        end = time.monotonic() + PATIENCE_S
        while self._fd is None:
            try:
                fd = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o666)
            except PermissionError:
                raise UserError(f"cannot write {self.path}, which keeps two jobs apart; ask its owner") from None
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
                logger.warning(
                    f"the file system of {self.sweep} has no locks; take care that no other job writes this file"
                )
            if _is_at(fd, self.path):
                self._fd = fd
            else:  # the holder before us removed the file between our open and our lock
                os.close(fd)

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def announce(self, workers: int) -> None:
        """Publish how many processes work for the sweep, for `hpcmass status`."""
        if self._fd is not None:
            with suppress(OSError):  # a full disk is reported by the sweep itself
                os.pwrite(self._fd, json.dumps({"workers": workers}).encode().ljust(_NOTE_BYTES), 0)

    def release(self) -> None:
        """Release it, if this process has it."""
        if self._fd is not None:
            self.path.unlink(missing_ok=True)  # while still holding it
            os.close(self._fd)
            self._fd = None


def lock_path(sweep: Path) -> Path:
    """The lock's file beside a sweep, also for a link to it."""
    real = Path(os.path.realpath(sweep))
    return real.with_name(f".{real.name}.lock")


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


def workers_now(sweep: Path) -> int | None:
    """How many processes work for a sweep that is locked; None if unknown."""
    try:
        return int(json.loads(lock_path(sweep).read_bytes())["workers"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _is_at(fd: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(fd), os.stat(path))
    except FileNotFoundError:
        return False
