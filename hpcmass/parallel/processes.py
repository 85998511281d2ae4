"""Processes of this machine that work for this one: they end when it ends, for whatever reason, and ignore Ctrl-C."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, InvalidStateError, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from hpcmass.errors import LostWorker
from hpcmass.interrupts import STOPS, blocked, held_back
from hpcmass.streams import guard

if TYPE_CHECKING:
    from multiprocessing.sharedctypes import Synchronized

P = ParamSpec("P")
T = TypeVar("T")

Begin = Callable[[int], object]
"""Sets up a process, given its number (1, 2, …); the signals of `STOPS` are blocked meanwhile."""

EXIT_REIMPORTED = 79
"""Exit code of a worker that reached the call that started it."""

WATCH_S = 0.5
"""Time (s) between two checks that every process is alive."""


class _Answer(Future[T]):
    """A future that may be cancelled while its pool breaks: Python 3.11 prints a traceback for that."""

    def set_exception(self, exception: BaseException | None) -> None:
        with suppress(InvalidStateError):
            super().set_exception(exception)


class Pool(ProcessPoolExecutor):
    """A process pool that can end its processes.

    Parameters
    ----------
    count : int
    begin : callable, optional
    """

    def __init__(self, count: int, begin: Begin | None = None) -> None:
        self._others = set(multiprocessing.active_children())
        self._started: frozenset[BaseProcess] = frozenset()
        self._lost: list[BaseProcess] | None = None
        self._lock, self._closing = threading.Lock(), threading.Event()
        # forking a process that runs threads (HDF5, numba, MPI) can deadlock the child
        context = multiprocessing.get_context("spawn")
        with blocked(*STOPS):  # a signal to all processes of a job leaves Python's resource tracker alone
            super().__init__(count, context, initializer=_begin, initargs=(begin, context.Value("i", 0)))
        self._results: Any = self._result_queue
        threading.Thread(target=self._watch, daemon=True).start()

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        with held_back(), blocked(*STOPS):  # this starts processes until there are enough
            future = super().submit(fn, *args, **kwargs)
            future.__class__ = _Answer
            self._started |= set(multiprocessing.active_children()) - self._others
        return future

    def tell(self, number: signal.Signals) -> None:
        """Send a signal to every process that runs."""
        lost = set(self._ended())
        for process in self._started - lost:
            if process.pid is not None:
                with suppress(ProcessLookupError):
                    os.kill(process.pid, number)

    def end(self) -> list[BaseProcess]:
        """Kill the processes, whatever they do: they write nothing. Returns those that had already ended."""
        with self._lock:
            if self._lost is None:
                self._lost = self._ended()
                for process in self._started:
                    process.kill()
                # nothing can write now, so a thread that waits for the rest of a result sees the end of the pipe
                self._results._writer.close()
            return self._lost

    def close(self) -> None:
        """Wait for the processes to end."""
        self._closing.set()
        self.shutdown(cancel_futures=True)

    def _ended(self) -> list[BaseProcess]:
        found = wait([process.sentinel for process in self._started], timeout=0)
        return [process for process in self._started if process.sentinel in found]

    def _watch(self) -> None:
        """End all when one has died: if it died while it sent a result, the pool would wait for the rest for ever."""
        while not self._closing.wait(WATCH_S):
            if self._ended() and not self._closing.is_set():
                self.end()
                return


@contextmanager
def worker_processes(count: int, begin: Begin | None = None) -> Iterator[Pool]:
    """A pool of `count` processes; if the block ends with an error or Ctrl-C they end at once.

    Parameters
    ----------
    count : int
    begin : callable, optional
        Called in every process before its first task; a function of a module, or a `functools.partial` of one.

    Raises
    ------
    LostWorker
        If one of them was killed or could not start.
    """
    require_main_guard()
    pool = Pool(count, begin)
    try:
        yield pool
    except BrokenProcessPool:
        lost = pool.end()
        pool.close()
        raise LostWorker(_why(process.exitcode for process in lost)) from None
    except BaseException:
        pool.end()
        raise
    finally:
        pool.close()


def require_main_guard() -> None:
    """End a worker that imports its parent's script and reaches the call that started it.

    The parent recognises the exit code and prints the error.
    """
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        raise SystemExit(EXIT_REIMPORTED)


def _why(exit_codes: Iterator[int | None]) -> str:
    """Why a pool is broken."""
    # the others were terminated after the first had died
    code = next((code for code in exit_codes if code not in (None, 0, -signal.SIGTERM)), -signal.SIGTERM)
    if code == EXIT_REIMPORTED:
        return (
            "a worker process imports the script that starts it, and reached the same call there; put that call "
            'under `if __name__ == "__main__":`, or ask for one process'
        )
    if code == -signal.SIGKILL:
        return "a worker process was killed, perhaps for lack of memory; ask for fewer processes (-j)"
    if code is not None and code < 0:
        return f"a worker process was ended by {signal.Signals(-code).name}; start the same command again"
    return f"a worker process ended with exit code {code}, its message is above; try with one process (-j 1)"


def _begin(begin: Begin | None, number: Synchronized[int]) -> None:
    """Set up a worker: its standard streams never fail, and it ends with its parent."""
    guard()
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if begin is not None:
        with number.get_lock():
            number.value += 1
            mine = number.value
        begin(mine)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPS)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
