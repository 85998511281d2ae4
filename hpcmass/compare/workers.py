"""The points of a comparison, handed to whoever computes them: this process, others of this machine, or ranks.

Points are independent, so any `concurrent.futures.Executor` will do. A worker opens the sweep file itself and returns
the statistics of a point, so nobody ever holds more than one trial's traces.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final

from hpcmass.compare.point import Result, compare_point
from hpcmass.config import CompareParameters, MassParameters
from hpcmass.errors import UserError
from hpcmass.mass import Traces
from hpcmass.processes import worker_processes
from hpcmass.store.layout import reason
from hpcmass.store.reader import SweepFile

Point = tuple[int, ...]

IN_FLIGHT: Final = 4
"""Points handed out ahead per worker: enough to keep all busy, few enough that results do not pile up."""


@dataclass(frozen=True)
class Task:
    """One point for a worker.

    The main process chooses the trials, so that one comparison has one view of a sweep that is still growing.
    """

    sweep: Path
    point: Point
    trials: tuple[int, ...]
    mass: MassParameters
    compare: CompareParameters


@dataclass(frozen=True)
class _Recordings:
    """Number and traces of each trial of a point, read when it is its turn, as often as asked for."""

    sweep: SweepFile
    point: Point
    trials: tuple[int, ...]

    def __iter__(self) -> Iterator[tuple[int, Traces]]:
        for trial in self.trials:
            try:
                traces = Traces(**self.sweep.traces(self.point, trial))
            except OSError as error:
                where = f"trial {trial} at {self.point} in {self.sweep.path}"
                raise UserError(f"cannot read {where}: {reason(error)}") from error
            yield trial, traces


def run_task(task: Task) -> tuple[Point, Result]:
    """Compare one point, in a worker."""
    with SweepFile(task.sweep, checked=True) as sweep:
        values = {name: axis[i] for (name, axis), i in zip(sweep.axes.items(), task.point, strict=True)}
        recordings = _Recordings(sweep, task.point, task.trials)
        network = sweep.experiment.network_at(values)
        return task.point, compare_point(recordings, sweep.shape[-1], network, task.mass, task.compare)


class _Here(Executor):
    """Runs a task where it is submitted: for one process, without the cost of starting another."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


@contextmanager
def workers(jobs: int, given: Executor | None) -> Iterator[Executor]:
    """`given`, or else so many processes of this machine, 1 being this one."""
    if given is not None:
        yield given
        return
    if jobs <= 1:
        yield _Here()
        return
    with _one_thread_each(), worker_processes(jobs) as pool:
        yield pool


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Processes started in the block get one thread for linear algebra: the cores are taken already."""
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    unset = [name for name in names if name not in os.environ]
    os.environ.update(dict.fromkeys(unset, "1"))
    try:
        yield
    finally:
        for name in unset:
            os.environ.pop(name, None)


def results(tasks: Iterable[Task], pool: Executor, in_flight: int) -> Iterator[tuple[Point, Result]]:
    """Results as they come, with at most `in_flight` points handed out."""
    waiting = iter(tasks)
    pending: set[Future[tuple[Point, Result]]] = set()
    try:
        while True:
            for task in islice(waiting, in_flight - len(pending)):
                pending.add(pool.submit(run_task, task))
            if not pending:
                return
            done, pending = wait(pending, return_when=FIRST_COMPLETED)
            for future in done:
                yield future.result()
    finally:
        for future in pending:
            future.cancel()
