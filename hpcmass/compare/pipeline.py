"""From a sweep file to a comparison file, one grid point at a time.

Points are independent, so they are compared in parallel by any `concurrent.futures.Executor`: by default processes
of this machine; an executor over MPI can be passed in as it is. A worker opens the sweep file itself and returns
the statistics of a point, so neither a worker nor the main process ever holds more than one trial's traces.
"""

from __future__ import annotations

import json
import multiprocessing
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final

import h5py
import numpy as np
import yaml

from hpcmass.compare.point import Result, bins_of, compare_point, example_window, lag_samples
from hpcmass.config import CompareParameters, Experiment, MassParameters
from hpcmass.configfile import parse_experiment
from hpcmass.errors import UserError
from hpcmass.mass import Traces, models_named
from hpcmass.store.layout import Coordinate, axis_coordinates, creating, define, reason
from hpcmass.store.provenance import history_line, provenance
from hpcmass.store.reader import SweepFile
from hpcmass.store.schema import (
    COMPARISON_FILETYPE,
    COMPARISON_VARIABLES,
    DONE,
    FAILED,
    NUMBERS,
    PENDING,
    SWEEP_VARIABLES,
)

Point = tuple[int, ...]
Progress = Callable[[int, int], object]
"""Called with (points compared, points in all) after each point."""

IN_FLIGHT: Final = 8
"""Points handed out ahead per worker: enough to keep all busy, few enough that results do not pile up."""


@dataclass(frozen=True)
class ComparisonSummary:
    """What a comparison did.

    Attributes
    ----------
    path : Path
        The comparison file.
    n_points, n_points_compared : int
        Grid points in all, and those with at least one trial that is done.
    n_trials, n_pending, n_failed : int
        Trials compared, and those left out because they are not done yet or failed.
    n_diverged : dict of str to int
        Model → trials in which it ran away.
    """

    path: Path
    n_points: int
    n_points_compared: int
    n_trials: int
    n_pending: int
    n_failed: int
    n_diverged: dict[str, int]


def compare_sweep(
    sweep_path: str | os.PathLike[str],
    output_path: str | os.PathLike[str],
    *,
    jobs: int = 1,
    force: bool = False,
    progress: Progress | None = None,
    mass: MassParameters | None = None,
    compare: CompareParameters | None = None,
    executor: Executor | None = None,
) -> ComparisonSummary:
    """Run the mass models on every trial that is done and write all statistics to a comparison file.

    Parameters
    ----------
    sweep_path, output_path : path
    jobs : int
        Processes on this machine; 1 compares in this process.
    force : bool
        Keep an existing output file under another name instead of refusing to start.
    progress : callable, optional
    mass, compare : parameters, optional
        Settings in place of the sweep's own; the comparison file records them.
    executor : Executor, optional
        Has `jobs` workers that run the points in place of local processes; they must see the sweep file under its
        absolute path. It is left open.

    Raises
    ------
    UserError
        If the sweep cannot be read, the output cannot be written, or a setting does not fit the recordings.
    """
    if jobs < 1:
        raise UserError(f"jobs = {jobs}: give at least one process")
    output = Path(output_path)
    with SweepFile(sweep_path) as sweep, creating(output, force=force) as file:
        experiment = _with_settings(sweep.experiment, mass, compare)
        _define(file, sweep, experiment)
        trials = {point: tuple(sweep.done_trials(point)) for point in np.ndindex(sweep.shape[:-1])}
        tasks = [
            _Task(sweep.path.absolute(), point, numbers, experiment.mass, experiment.compare)
            for point, numbers in trials.items()
            if numbers
        ]
        diverged = np.zeros(len(experiment.mass.models), dtype=np.int64)
        with _executor(min(jobs, len(tasks)), executor) as pool:
            for done, (point, result) in enumerate(_results(tasks, pool, IN_FLIGHT * jobs), start=1):
                _write(file, point, result)
                diverged += np.asarray(result["n_diverged"])
                if progress is not None:
                    progress(done, len(tasks))
        return ComparisonSummary(
            path=output,
            n_points=len(trials),
            n_points_compared=len(tasks),
            n_trials=int((sweep.status == DONE).sum()),
            n_pending=int((sweep.status == PENDING).sum()),
            n_failed=int((sweep.status == FAILED).sum()),
            n_diverged=dict(zip(experiment.mass.models, diverged.tolist(), strict=True)),
        )


def _with_settings(
    experiment: Experiment, mass: MassParameters | None, compare: CompareParameters | None
) -> Experiment:
    """The sweep's experiment with the settings that the comparison uses."""
    if mass is None and compare is None:
        return experiment
    document = json.loads(experiment.model_dump_json(exclude_none=True))
    for name, section in (("mass", mass), ("compare", compare)):
        if section is not None:
            document[name] = json.loads(section.model_dump_json(exclude_none=True))
    return parse_experiment(yaml.safe_dump(document, sort_keys=False))


def _define(file: h5py.File, sweep: SweepFile, experiment: Experiment) -> None:
    """Lay out the comparison file, with all that is known before the first point is compared."""
    network = experiment.network
    models_named(experiment.mass.models, sweep.traces_held)
    lag_samples(network, experiment.compare)
    bins = bins_of(network, experiment.compare)
    copied = (*NUMBERS, "status")
    define(
        file,
        filetype=COMPARISON_FILETYPE,
        axes=tuple(sweep.axes),
        coordinates=[
            *axis_coordinates(sweep.axes),
            Coordinate("trial", sweep.variable("trial"), "1", "trial number"),
            Coordinate("model", experiment.mass.models, "text", "mass model"),
            Coordinate("frequency", bins.frequency, "Hz", "centre of the merged frequency components"),
            Coordinate("window", sweep.time_ms[example_window(network)], "ms", "time in the example window"),
        ],
        variables=[*COMPARISON_VARIABLES.values(), *(SWEEP_VARIABLES[name] for name in copied)],
        attributes={
            "title": experiment.title,
            "config_yaml": experiment.text,
            "config_sha256": sweep.physics_sha256,
            "sweep_uuid": sweep.uuid,
            "sweep_path": os.path.relpath(sweep.path, Path(file.filename).parent),
            "history": history_line(f"compared {sweep.path.absolute()}"),
            **provenance(n_ranks=1, mpi_library="none"),
        },
    )
    file["n_components"][...] = bins.n_components
    numbers = sweep.numbers()
    for name in NUMBERS:
        file[name][...] = numbers[name]
    file["status"][...] = sweep.status


def _write(file: h5py.File, point: Point, result: Result) -> None:
    for name, values in result.items():
        file[name][point] = values


@dataclass(frozen=True)
class _Task:
    """One point for a worker.

    The main process chooses the trials, so that one comparison has one view of a sweep that is still growing.
    """

    sweep: Path
    point: Point
    trials: tuple[int, ...]
    mass: MassParameters
    compare: CompareParameters


def _compare(task: _Task) -> tuple[Point, Result]:
    """Compare one point; runs in a worker."""
    with SweepFile(task.sweep) as sweep:
        values = {name: axis[i] for (name, axis), i in zip(sweep.axes.items(), task.point, strict=True)}
        network = sweep.experiment.network_at(values)
        return task.point, compare_point(
            _Recordings(sweep, task.point, task.trials), sweep.shape[-1], network, task.mass, task.compare
        )


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
def _executor(jobs: int, given: Executor | None) -> Iterator[Executor]:
    if given is not None:
        yield given
        return
    if jobs <= 1:
        yield _Here()
        return
    # Forking a process that runs threads (HDF5, numba, MPI) can deadlock the child.
    pool = ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn"))
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def _results(tasks: Iterable[_Task], pool: Executor, in_flight: int) -> Iterator[tuple[Point, Result]]:
    """Results as they come, with a bounded number of points handed out.

    Raises
    ------
    UserError
        If a worker process was killed.
    """
    waiting = iter(tasks)
    try:
        pending = {pool.submit(_compare, task) for task in islice(waiting, in_flight)}
        while pending:
            done, pending = wait(pending, return_when=FIRST_COMPLETED)
            for future in done:
                yield future.result()
            pending |= {pool.submit(_compare, task) for task in islice(waiting, len(done))}
    except BrokenProcessPool:
        raise UserError("a worker process was killed, perhaps for lack of memory; compare with fewer jobs") from None
