"""Processes of this machine that work for this one: they end when it ends, for whatever reason, and ignore Ctrl-C."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from typing import ParamSpec, TypeVar

from hpcmass.errors import UserError
from hpcmass.interrupts import held_back
from hpcmass.streams import guard

P = ParamSpec("P")
T = TypeVar("T")

EXIT_REIMPORTED = 79
"""Exit code of a worker that reached the call that started it."""


class _Pool(ProcessPoolExecutor):
    """A process pool that can end its processes."""

    def __init__(self, count: int) -> None:
        self.others = set(multiprocessing.active_children())
        self.processes: set[BaseProcess] = set()
        # forking a process that runs threads (HDF5, numba, MPI) can deadlock the child
        super().__init__(count, mp_context=multiprocessing.get_context("spawn"), initializer=_begin)

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        with held_back():  # this starts processes until there are enough
            future = super().submit(fn, *args, **kwargs)
            self.processes |= set(multiprocessing.active_children()) - self.others
        return future

    def end(self) -> None:
        """End the processes, whatever they do: their results are not needed any more."""
        for process in self.processes:
            process.terminate()


@contextmanager
def worker_processes(count: int) -> Iterator[ProcessPoolExecutor]:
    """A pool of `count` processes; if the block ends with an error or Ctrl-C they end at once.

    Raises
    ------
    UserError
        If one of them was killed or could not start.
    """
    require_main_guard()
    pool = _Pool(count)
    try:
        yield pool
    except BrokenProcessPool:
        pool.shutdown()
        raise UserError(_why(process.exitcode for process in pool.processes)) from None
    except BaseException:
        pool.end()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


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


def _begin() -> None:
    """Set up a worker: its standard streams never fail, and it ends with its parent."""
    guard()
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
