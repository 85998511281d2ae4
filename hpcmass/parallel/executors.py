"""Workers for independent tasks: this process, other processes of this machine, or the ranks of an MPI job.

All three are a `concurrent.futures.Executor`, and `batches` feeds any of them: a bounded number of tasks is in flight,
so that neither tasks nor results pile up.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from itertools import islice
from queue import Empty, SimpleQueue
from typing import Any, TypeVar, cast

from hpcmass.errors import UserError
from hpcmass.parallel.communicator import Communicator, communicator
from hpcmass.parallel.processes import Begin, worker_processes

Task = TypeVar("Task")
Result = TypeVar("Result")

WAKE_S = 1.0
"""Longest time (s) that `batches` waits before it yields an empty batch."""


class SerialExecutor(Executor):
    """Runs a task at once in this process, without the cost of starting another one."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


@dataclass(frozen=True)
class Workers:
    """The processes that work.

    Attributes
    ----------
    executor : Executor
    n : int
        Tasks that run at the same time.
    mpi_library : str
        Name of the MPI library; `none` where MPI is not used.
    stop : callable
        Tells the workers to begin no further task, where tasks that wait at a worker cannot be cancelled.
    """

    executor: Executor
    n: int
    mpi_library: str = "none"
    stop: Callable[[], object] = lambda: None

    def in_flight(self, per_worker: int) -> int:
        """Tasks in flight, for so many per worker."""
        return 1 if isinstance(self.executor, SerialExecutor) else per_worker * self.n


THIS_PROCESS = Workers(SerialExecutor(), 1)


@contextmanager
def processes(n: int, begin: Begin | None = None) -> Iterator[Workers]:
    """`n` processes of this machine; 1 means this process.

    Parameters
    ----------
    n : int
    begin : callable, optional
        As for `worker_processes`. It has to handle SIGUSR1, which `Workers.stop` sends.
    """
    if n <= 1:
        yield THIS_PROCESS
        return
    with _one_thread_each(), worker_processes(n, begin) as pool:
        yield Workers(pool, n, stop=partial(pool.tell, signal.SIGUSR1))


@contextmanager
def background_process(begin: Begin) -> Iterator[Executor]:
    """Another process for one task at a time; `begin` as for `worker_processes`."""
    with _one_thread_each(), worker_processes(1, begin) as pool:
        yield pool


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Processes started in the block use one thread for linear algebra: the cores are busy already."""
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    unset = [name for name in names if name not in os.environ]
    os.environ.update(dict.fromkeys(unset, "1"))
    try:
        yield
    finally:
        for name in unset:
            os.environ.pop(name, None)


@contextmanager
def ranks(comm: Communicator) -> Iterator[Workers | None]:
    """All ranks but rank 0, for rank 0; this process alone where there are no others.

    The block runs on every rank. On rank 0 it gets the workers. Another rank works for rank 0 until rank 0 has left
    the block, and then runs it with None.
    """
    if comm.size == 1:
        yield THIS_PROCESS
        return
    from mpi4py.futures import MPICommExecutor

    with MPICommExecutor(comm.comm, root=0) as executor:
        if executor is not None:
            yield Workers(cast("Executor", executor), comm.size - 1, comm.library)
    if not comm.is_root:
        yield None


@contextmanager
def launched_ranks() -> Iterator[Workers | None]:
    """The workers of a command that runs with and without mpiexec: see `ranks`.

    A `UserError` on rank 0 ends all ranks with the exit code for bad input, anything else aborts the job; no rank
    hangs.

    Raises
    ------
    UserError
        If this process is one of many but the MPI library cannot be loaded, or does not see the others.
    """
    comm = communicator()
    comm.require_peers()
    mistake: list[UserError] = []

    def tell() -> None:
        if mistake:
            raise mistake[0]

    with comm.guarded():
        with ranks(comm) as workers:
            if not comm.is_root:
                yield None
            else:
                try:
                    yield workers
                except UserError as error:
                    mistake.append(error)
        comm.on_root(tell)


def batches(
    executor: Executor,
    function: Callable[[Task], Result],
    tasks: Iterable[Task],
    *,
    in_flight: int,
    keep_going: Callable[[], bool] = lambda: True,
) -> Iterator[list[Result]]:
    """Results as they arrive: all tasks that have ended since the last batch.

    Parameters
    ----------
    executor : Executor
    function : callable
        Of one task.
    tasks : iterable
        Advanced when a task can be submitted.
    in_flight : int
        Tasks that are submitted at a time.
    keep_going : callable
        False: no new tasks; those that have not begun are cancelled.

    Yields
    ------
    list
        Empty after a second without results, so that the caller may show progress.
    """
    waiting = iter(tasks)
    running: set[Future[Result]] = set()
    # Finished tasks call back: polling 10⁴ futures would cost more than 10 ms a task.
    ended: SimpleQueue[Future[Result]] = SimpleQueue()
    stopping = False
    try:
        while True:
            if keep_going():
                for task in islice(waiting, in_flight - len(running)):
                    future = executor.submit(function, task)
                    running.add(future)
                    future.add_done_callback(ended.put)
            elif not stopping:
                stopping = True
                running -= {future for future in running if future.cancel()}
            if not running:
                return
            done = list(_announced(ended, running))
            failed = [future for future in done if future.exception() is not None]
            yield [future.result() for future in done if future not in failed]
            for future in failed:  # the other results are stored by now
                future.result()
    finally:
        for future in running:
            future.cancel()


def _announced(ended: SimpleQueue[Future[Result]], running: set[Future[Result]]) -> Iterator[Future[Result]]:
    """Futures that have ended, after waiting for the first; without the cancelled ones."""
    timeout = WAKE_S
    with suppress(Empty):
        while True:
            future = ended.get(timeout=timeout) if timeout else ended.get_nowait()
            timeout = 0.0
            if future in running:
                running.remove(future)
                yield future
