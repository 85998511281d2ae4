"""Processes that share a kernel cache take turns: one compiles a kernel, the others wait and load it.

Compiling all kernels takes 14 s of a processor, loading them half a second. So a job array that starts a hundred tasks
on a node would compile a hundred times.
"""

from __future__ import annotations

import fcntl
import math
import os
import threading
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from hpcmass.messages import logger

LOCK_FILE = ".compiling.lock"
"""One byte of this file is locked for each kernel that is being compiled. It stays empty."""

SECONDS_FILE = "compile-seconds.txt"
"""A line for each kernel that was compiled: processor seconds, its name, the names of the kernels that it calls."""

POLL_S = 0.1
"""Longest time (s) between two attempts to get a lock. A blocking call would not notice a signal or a time limit."""

NOTICE_S = 5.0
"""A process that has waited longer than this (s) says so, once."""

PATIENCE_S = 120.0
"""A process waits no longer than this (s) for one kernel. After that it waits for none, and compiles them itself."""


class WaitStopped(BaseException):
    """Waiting for another process has ended early, as `ending_waits` asks.

    It is no `Exception`, because numba may treat one as an error of the kernel.
    """


_over: list[Callable[[], bool]] = []


@contextmanager
def ending_waits(is_over: Callable[[], bool]) -> Iterator[None]:
    """Within the block, a wait for another process ends when this is true, with `WaitStopped`."""
    _over.append(is_over)
    try:
        yield
    finally:
        _over.pop()


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
        self._waited_s = 0.0
        self._noticed = self._impatient = False

    def acquire(self, name: str) -> None:
        """Wait until no other process compiles the kernel, its process has ended, or `PATIENCE_S` are over.

        Raises
        ------
        WaitStopped
            When the condition of `ending_waits` is true.
        """
        begun = time.monotonic()
        pause_s = POLL_S / 16
        while not self._locked(name) and not self._impatient:
            if any(is_over() for is_over in _over):
                raise WaitStopped
            waited_s = time.monotonic() - begun
            if self._waited_s + waited_s >= NOTICE_S and not self._noticed:
                self._noticed = True
                logger.info("waits for another process that compiles the same kernels")
            if waited_s >= PATIENCE_S:
                self._impatient = True
                logger.warning(
                    "another process has been compiling a kernel for %.0f s; this process does not wait any longer",
                    waited_s,
                )
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, POLL_S)
        self._waited_s += time.monotonic() - begun

    def _locked(self, name: str) -> bool:
        """Lock a kernel if no other process has; also true where there are no locks."""
        with self._thread:
            descriptor = self._opened()
            if descriptor is None:
                return True
            try:
                fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, _place(name))
            except (BlockingIOError, PermissionError):
                return False
            except OSError:
                return True
            return True

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


def add_seconds(directory: Path | None, seconds: float, name: str, calls: Iterable[str] = ()) -> None:
    """Note what compiling a kernel has taken, without the kernels that it calls."""
    if directory is not None:
        with suppress(OSError), open(directory / SECONDS_FILE, "a") as file:
            file.write(" ".join([f"{seconds:.3f}", name, *calls]) + "\n")


def compile_seconds(directory: Path | None, names: Iterable[str] | None = None) -> float:
    """Processor seconds that compiling the kernels of a cache has taken; 0 if unknown.

    Parameters
    ----------
    directory : Path or None
    names : iterable of str, optional
        Only these kernels and those that they call, each as it was compiled last; by default, all that was ever
        compiled. If no line has one of the names, lines without a name count, which older versions have written.
    """
    if directory is None:
        return 0.0
    unnamed, every, last = list[float](), list[float](), dict[str, tuple[float, list[str]]]()
    with suppress(OSError, ValueError):
        for line in (directory / SECONDS_FILE).read_text().splitlines():
            seconds, *entry = line.split() or ["0"]
            every.append(float(seconds))
            if entry:
                last[entry[0]] = float(seconds), entry[1:]
            else:
                unnamed.append(float(seconds))
    if names is None:
        return math.fsum(every)
    needed: set[str] = set()
    waiting = [name for name in names if name in last]
    while waiting:
        name = waiting.pop()
        if name in last and name not in needed:
            needed.add(name)
            waiting += last[name][1]
    return math.fsum(last[name][0] for name in needed) if needed else math.fsum(unnamed)
