"""From a sweep file to a comparison file, one grid point at a time."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml

from hpcmass.compare.output import ComparisonFile, prepare
from hpcmass.compare.point import bins_of, lag_samples
from hpcmass.compare.workers import IN_FLIGHT, Task, results, workers
from hpcmass.config import CompareParameters, Experiment, MassParameters
from hpcmass.configfile import parse_experiment
from hpcmass.errors import UserError
from hpcmass.mass import models_named
from hpcmass.processes import require_main_guard
from hpcmass.store.layout import require_directory
from hpcmass.store.lock import SweepLock
from hpcmass.store.provenance import provenance
from hpcmass.store.reader import SweepFile
from hpcmass.store.schema import DONE, FAILED, PENDING
from hpcmass.store.sources import require_current

Progress = Callable[[int, int], object]
"""Called with (points compared, points to compare), both with those of earlier runs: at the start, then after each."""


@dataclass(frozen=True)
class ComparisonSummary:
    """What a comparison holds now.

    Attributes
    ----------
    path : Path
        The comparison file.
    n_points, n_points_compared, n_points_new : int
        Grid points in all, those with at least one trial that is done, those of them compared in this run.
    n_trials, n_pending, n_failed : int
        Trials compared, and those left out because they are not done yet or failed.
    n_diverged : dict of str to int
        Model → trials in which it ran away.
    """

    path: Path
    n_points: int
    n_points_compared: int
    n_points_new: int
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
    mpi_library: str = "none",
) -> ComparisonSummary:
    """Run the mass models on every trial that is done and write all statistics to a comparison file.

    A file that is there and holds the same sweep with the same settings is continued: only points that are missing, or
    have more trials now, are compared.

    Parameters
    ----------
    sweep_path, output_path : path
    jobs : int
        Processes on this machine; 1 compares in this process.
    force : bool
        Keep an existing output file under another name and start anew.
    progress : callable, optional
    mass, compare : parameters, optional
        Settings in place of the sweep's own; the comparison file records them.
    executor : Executor, optional
        Has `jobs` workers that run the points in place of local processes; they must see the sweep file under its
        absolute path. It is left open.
    mpi_library : str
        What the executor communicates through, for the record.

    Raises
    ------
    UserError
        If the sweep cannot be read, the output cannot be written or holds something else, or a setting does not fit
        the recordings.
    """
    if jobs < 1:
        raise UserError(f"jobs = {jobs}: give at least one process")
    if jobs > 1 and executor is None:
        require_main_guard()  # before anything else: the parent holds the lock
    output = Path(output_path)
    require_current(Path(sweep_path))
    with SweepFile(sweep_path) as sweep:
        experiment = _with_settings(sweep.experiment, mass, compare)
        models_named(experiment.mass.models, sweep.traces_held)
        lag_samples(experiment.network, experiment.compare)
        bins_of(experiment.network, experiment.compare)
        require_directory(output)
        lock = SweepLock(output)
        try:
            lock.acquire()
            prepare(output, sweep, experiment, provenance(n_ranks=jobs, mpi_library=mpi_library), force)
            with ComparisonFile(output) as file:
                n_new = _fill(file, sweep, experiment, jobs, executor, progress)
                diverged = file.n_diverged()
        finally:
            lock.release()
        return ComparisonSummary(
            path=output,
            n_points=int(np.prod(sweep.shape[:-1])),
            n_points_compared=int((sweep.status == DONE).any(axis=-1).sum()),
            n_points_new=n_new,
            n_trials=int((sweep.status == DONE).sum()),
            n_pending=int((sweep.status == PENDING).sum()),
            n_failed=int((sweep.status == FAILED).sum()),
            n_diverged=dict(zip(experiment.mass.models, diverged.tolist(), strict=True)),
        )


def _fill(
    file: ComparisonFile,
    sweep: SweepFile,
    experiment: Experiment,
    jobs: int,
    executor: Executor | None,
    progress: Progress | None,
) -> int:
    """Compare the points that the file lacks; returns how many."""
    if file.is_complete(sweep):
        return 0
    trials = {point: tuple(sweep.done_trials(point)) for point in np.ndindex(sweep.shape[:-1])}
    tasks = [
        Task(sweep.path.absolute(), point, numbers, experiment.mass, experiment.compare)
        for point, numbers in trials.items()
        if numbers and len(numbers) != file.n_compared[point]
    ]
    file.begin(sweep, experiment.compare.spike_contrast_min, f"{len(tasks)} of {len(trials)} points to compare")
    total = sum(bool(numbers) for numbers in trials.values())
    before = total - len(tasks)
    if progress is not None and tasks:
        progress(before, total)
    with workers(min(jobs, len(tasks)), executor) as pool:
        for done, (point, result) in enumerate(results(tasks, pool, IN_FLIGHT * jobs), start=before + 1):
            file.write(point, result)
            if progress is not None:
                progress(done, total)
    file.finish(experiment.compare)
    return len(tasks)


def _with_settings(
    experiment: Experiment, mass: MassParameters | None, compare: CompareParameters | None
) -> Experiment:
    """The sweep's experiment with the settings that the comparison uses.

    Where these are the sweep's own, it keeps its text, in which every number has its unit and origin.
    """
    if mass in (None, experiment.mass) and compare in (None, experiment.compare):
        return experiment
    document = json.loads(experiment.model_dump_json(exclude_none=True))
    for name, section in (("mass", mass), ("compare", compare)):
        if section is not None:
            document[name] = json.loads(section.model_dump_json(exclude_none=True))
    return parse_experiment(yaml.safe_dump(document, sort_keys=False))
