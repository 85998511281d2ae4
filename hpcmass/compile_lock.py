"""Processes that share a kernel cache take turns: one compiles a kernel, the others wait and load it.

Compiling all kernels takes 14 s of a processor, loading them half a second. So a job array that starts a hundred tasks
on a node would compile a hundred times.
"""

from __future__ import annotations

import fcntl
import os
import threading
import zlib
from contextlib import suppress
from pathlib import Path

from hpcmass.messages import logger

LOCK_FILE = ".compiling.lock"
"""One byte of this file is locked for each kernel that is being compiled. It stays empty."""

SECONDS_FILE = "compile-seconds.txt"
"""Processor seconds that were spent on compiling, a line for each kernel that was asked for."""


class CompileLock:
    """The right to compile a kernel, among the processes that use a directory.

    The system releases the locks of a process that ends. Where a directory is read-only, or its file system has no
    locks, every process compiles.

    Parameters
    ----------
    directory : Path or None
        The cache; None if kernels are not stored.
    """

    def __init__(self, directory: Path | None) -> None:
        self._directory = directory
        self._descriptor: int | None = None
        self._pid = 0
        self._thread = threading.RLock()

    def acquire(self, name: str) -> None:
        """Wait until no other process compiles the kernel, or its processes have ended."""
        with self._thread:
            descriptor = self._opened()
            if descriptor is None:
                return
            with suppress(OSError):  # no locks here, or two processes that wait for each other
                try:
                    fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, _place(name))
                except (BlockingIOError, PermissionError):
                    logger.debug("another process compiles %s; waiting for it", name)
                    fcntl.lockf(descriptor, fcntl.LOCK_EX, 1, _place(name))

    def release(self, name: str) -> None:
        """Let others compile, or load what was compiled. Without `acquire` nothing happens."""
        with self._thread:
            if self._descriptor is not None and self._pid == os.getpid():
                with suppress(OSError):
                    fcntl.lockf(self._descriptor, fcntl.LOCK_UN, 1, _place(name))

    def _opened(self) -> int | None:
        """The lock file of this process: a forked process does not inherit locks."""
        if self._directory is not None and self._pid != os.getpid():
            self._descriptor, self._pid = None, os.getpid()
            with suppress(OSError):
                flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
                self._descriptor = os.open(self._directory / LOCK_FILE, flags, 0o600)
        return self._descriptor


def _place(name: str) -> int:
    """The byte that stands for a kernel; two kernels with the same byte take turns, too."""
    return zlib.crc32(name.encode()) & 0x3FFFFFFF


def add_seconds(directory: Path | None, seconds: float) -> None:
    """Note what compiling has taken."""
    if directory is not None:
        with suppress(OSError), open(directory / SECONDS_FILE, "a") as file:
            file.write(f"{seconds:.3f}\n")


def compile_seconds(directory: Path | None) -> float:
    """Processor seconds that compiling the kernels of a cache has taken; 0 if unknown."""
    if directory is None:
        return 0.0
    try:
        lines = (directory / SECONDS_FILE).read_text().split()
        return sum(float(line) for line in lines)
    except (OSError, ValueError):
        return 0.0
