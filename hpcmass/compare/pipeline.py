"""From a sweep file to a comparison file, one grid point at a time."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any

import numpy as np

from hpcmass.compare.comparison_file import (
    ComparisonFile,
    OutdatedComparison,
    Point,
    comparison_of,
    prepare,
    require_same_contents,
)
from hpcmass.compare.contents import Contents, contents_of, own_code
from hpcmass.compare.own import STATISTICS, StatisticError
from hpcmass.compare.point import Recordings, Result, compare_point
from hpcmass.compare.results import POINTS_AT_ONCE, Results
from hpcmass.compiled import open_cache, require_compiler
from hpcmass.config import CompareParameters, MassParameters, NetworkParameters
from hpcmass.errors import UserError
from hpcmass.mass import Traces
from hpcmass.mass.contract import ModelError
from hpcmass.mass.registry import MODELS
from hpcmass.parallel.executors import Workers, batches, processes
from hpcmass.parallel.processes import require_main_guard
from hpcmass.plugins import Code, changed_sources
from hpcmass.store.files import real_path, require_output, same_file
from hpcmass.store.lock import SweepLock
from hpcmass.store.parts import SweepParts
from hpcmass.store.provenance import provenance
from hpcmass.store.schema import DONE, FAILED, PENDING
from hpcmass.store.sweep_file import SweepFile
from hpcmass.user_code import Errors, Failures

IN_FLIGHT = 4
"""Points in flight per worker: enough to keep all busy, few enough that results do not pile up."""

Progress = Callable[[int, int], object]
"""Called with (points compared, points to compare), both with those of earlier runs: at the start, then after each."""


@dataclass(frozen=True)
class ComparisonSummary:
    """State of a comparison.

    Attributes
    ----------
    path : Path
        The comparison file.
    n_points, n_points_compared, n_points_new : int
        Requested grid points, those with at least one trial that is done, those of them compared in this run; where a
        parameter is scanned, each of its values counts.
    n_trials, n_pending, n_failed : int
        Trials compared, and those left out because they are not done yet or failed.
    n_values : int
        Values of the scanned parameter; 1 without one.
    n_diverged : dict of str to int
        Model → trials in which it diverged or failed, at all values of the scanned parameter together.
    n_points_failed : int
        Points at which a model or a statistic has failed, where the comparison is made during the run.
    failures : dict of str to int
        `the mass model NAME` or `the statistic NAME` → points at which it has failed in this run.
    """

    path: Path
    n_points: int
    n_points_compared: int
    n_points_new: int
    n_trials: int
    n_pending: int
    n_failed: int
    n_values: int
    n_diverged: dict[str, int]
    n_points_failed: int
    failures: Mapping[str, int]


@dataclass(frozen=True)
class Task:
    """One point for a worker.

    The main process chooses the trials, so that one comparison sees one state of a sweep that is still growing.

    Attributes
    ----------
    place, point : tuple of int
        In the comparison, and in the sweep; they differ where a parameter is scanned.
    trials : tuple of (Path, int)
        The file that has a trial, and the trial's index at the point.
    mass, compare : parameters
    code : dict
        From `own_code` of the main process.
    """

    place: Point
    point: Point
    trials: tuple[tuple[Path, int], ...]
    mass: MassParameters
    compare: CompareParameters
    code: Code


@dataclass(frozen=True)
class _Recordings:
    """Index and traces of each trial of a point, read when needed, as often as requested."""

    task: Task

    def __iter__(self) -> Iterator[tuple[int, Traces]]:
        for path, trial in self.task.trials:
            with SweepFile(path, checked=True) as file:
                traces = Traces(**file.traces(self.task.point, trial))
            yield trial, traces


def run_task(task: Task) -> tuple[Point, Result]:
    """Compare one point, in a worker.

    Raises
    ------
    UserError
        If the sweep cannot be read, or a model fails; if this process has other code of a model than the one that asks.
    """
    require_same_code(task.mass, task.compare, task.code)
    with SweepFile(task.trials[0][0], checked=True) as file:
        values, n_trials = file.values_at(task.point), file.shape[-1]
        network = file.experiment.network_at(values)
    return task.place, compared_at(values, _Recordings(task), n_trials, network, task.mass, task.compare)


def compared_at(
    values: Mapping[str, float],
    recordings: Recordings,
    n_trials: int,
    network: NetworkParameters,
    mass: MassParameters,
    compare: CompareParameters,
    failures: Failures | None = None,
) -> Result:
    """`compare_point`; errors of models and statistics, also in `failures`, say at which point.

    `values`: axis name → value.
    """
    where = ", ".join(f"{name} = {value:g}" for name, value in values.items())
    errors: Errors | None = None if failures is None else {}
    try:
        result = compare_point(recordings, n_trials, network, mass, compare, errors)
    except (ModelError, StatisticError) as error:
        raise UserError(f"at {where}: {error}") from error
    if failures is not None and errors:
        failures.update({what: f"at {where}: {error.what}" for what, error in errors.items()})
    return result


def require_same_code(mass: MassParameters, compare: CompareParameters, code: Code) -> None:
    """Refuse to compare with own code that is not what the main process recorded."""
    listed = [(MODELS, name) for name in mass.models] + [(STATISTICS, name) for name in compare.statistics]
    for registry, name in listed:
        if name in code and name not in registry.names():
            raise UserError(
                f"a worker process does not know the {registry.kind} {name}, which the main process registered for "
                f"itself; put it into a file and name it FILE.py:{name}, or compare with one job"
            )
    for name in changed_sources(own_code(mass, compare), code):
        raise UserError(
            f"the code of {name} is not what it was when the comparison started; leave it as it is until the "
            "end, and start the same command again"
        )


def compare_sweep(
    sweep: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    output_path: str | os.PathLike[str],
    *,
    jobs: int = 1,
    force: bool = False,
    progress: Progress = lambda done, total: None,
    models: Sequence[str] | None = None,
    statistics: Sequence[str] | None = None,
    scan: Mapping[str, Any] | None = None,
    mass: MassParameters | None = None,
    compare: CompareParameters | None = None,
    workers: Workers | None = None,
    keep_going: Callable[[], bool] | None = None,
) -> ComparisonSummary:
    """Run the mass models on every trial that is done and write all statistics to a comparison file.

    A comparison file of the same sweep with the same settings is continued: only points that are missing, or have more
    trials now, are compared.

    Parameters
    ----------
    sweep : path or sequence of paths
        A sweep file, or several files of one sweep such as the parts of a job array.
    output_path : path
    jobs : int
        Processes on this machine; 1 compares in this process.
    force : bool
        Back up an existing output file and start over.
    progress : callable, optional
    models : sequence of str, optional
        Mass models in place of the sweep's own, each a name or `FILE.py:NAME`.
    statistics : sequence of str, optional
        Own statistics in place of the sweep's, likewise.
    scan : mapping of str to sequence of float, optional
        A parameter of the mass models and its values, `{"tau_s_ms": [2, 5, 10]}`, or one that a model declares,
        `{"WC.gain": {"linspace": [1, 5, 9]}}`: the comparison has one more axis.
    mass, compare : parameters, optional
        Settings in place of the sweep's own; the comparison file records them.
    workers : Workers, optional
        Run the points in place of `jobs` local processes; they must see the sweep under its absolute path.
    keep_going : callable, optional
        Asked before each point but the first; once it says False, no point is begun, and the next call continues. Such
        calls write no history.

    Raises
    ------
    UserError
        If the sweep cannot be read, the output cannot be written or holds something else, a setting does not fit the
        recordings, or `NUMBA_DISABLE_JIT` is set.
    """
    if jobs < 1:
        raise UserError(f"jobs = {jobs}: give at least one process")
    paths = [Path(sweep)] if isinstance(sweep, str | os.PathLike) else [Path(path) for path in sweep]
    if not paths:
        raise UserError("there is no sweep to compare; give at least one file")
    if jobs > 1 and workers is None:
        require_main_guard()  # before anything else: the parent process has the lock
    require_compiler()
    output = real_path(Path(output_path))
    require_output(output, paths)
    with SweepParts(paths) as parts:
        contents = contents_of(parts, mass=mass, compare=compare, models=models, statistics=statistics, scan=scan)
        made = _made_before(parts, contents)
        if len(parts.paths) > 1 and any(same_file(output, path) for path in made.values()):
            raise UserError(f"{output} is the comparison of one part; give another -o")
        for path, comparison in made.items():
            if force and same_file(output, comparison):
                raise UserError(
                    f"{output} is the only comparison that {path.name} can have, because the sweep does not keep every "
                    "step of every trial; leave out --force"
                )
        settings = contents.experiment.compare
        n_points = int(parts.requested[..., 0].sum()) * contents.n_values
        n_ready = int((parts.status == DONE).any(axis=-1).sum()) * contents.n_values
        n, library = (workers.n, workers.mpi_library) if workers else (jobs, "none")
        with SweepLock(output):
            prepare(output, parts, contents, provenance(n_ranks=n, mpi_library=library), force)
            with ComparisonFile(output, scanned=contents.scan is not None) as file:
                complete = file.is_complete(parts)
                tasks, n_new = [] if complete else _tasks(file, parts, contents), 0
                if not complete:
                    open_cache("mass")  # before the workers do: only this process warns about its problems
                    what = f"{len(tasks)} of {n_points} points to compare" if keep_going is None else None
                    file.begin(parts, settings.spike_contrast_min, what)
                    left, n_new = _copy_made(file, tasks, made)
                    with processes(min(jobs, len(left))) if workers is None else nullcontext(workers) as pool:
                        n_new += _fill(file, left, n_ready - len(left), pool, progress, keep_going)
                    file.finish(settings)
                n_trials = int((parts.status == DONE).sum())
                return summary_of(file, parts, contents, n_ready - len(tasks) + n_new, n_new, n_trials)


def _made_before(parts: SweepParts, contents: Contents) -> dict[Path, Path]:
    """Files that do not keep what a comparison needs → the comparison that was made of each during its run.

    Raises
    ------
    UserError
        If there is none, or not of the same settings.
    """
    made: dict[Path, Path] = {}
    for i in parts.indices:
        file = parts.file(i)
        if file.experiment.traces.allow_comparison:
            continue
        path = comparison_of(file)
        try:
            if path is None or not path.exists():
                raise UserError(f"{path} is not there" if path else "it was not compared during the run either")
            with SweepParts([file.path]) as alone:
                require_same_contents(path, alone, contents)
        except UserError as error:
            why = f"{path} {error.why}" if isinstance(error, OutdatedComparison) else error
            if isinstance(error, OutdatedComparison) and error.other_code:
                why = f"{why}; to compare anew, move it away and start the run again, which simulates all trials again"
            raise UserError(
                f"{file.path} does not keep every step of every trial ({file.experiment.traces.text()}), so that its "
                f"only comparison is the one of the run; {why}"
            ) from None
        made[file.path.absolute()] = path
    return made


def _copy_made(file: ComparisonFile, tasks: Sequence[Task], made: Mapping[Path, Path]) -> tuple[list[Task], int]:
    """Copy what was compared during the runs; returns the other tasks, and how many are copied."""
    left: list[Task] = []
    copied = 0
    of_sweep: dict[Path, list[Task]] = {}
    for task in tasks:
        sweep = next((path for path, _ in task.trials if path in made), None)
        (left if sweep is None else of_sweep.setdefault(sweep, [])).append(task)
    for sweep, its_tasks in of_sweep.items():
        with Results(made[sweep]) as results:
            for first in range(0, len(its_tasks), POINTS_AT_ONCE):
                copied += _copy_block(file, its_tasks[first : first + POINTS_AT_ONCE], results, sweep, made[sweep])
    return left, copied


def _copy_block(file: ComparisonFile, tasks: Sequence[Task], results: Results, sweep: Path, path: Path) -> int:
    """Copy the results of some points from a comparison, `path`; returns how many could be copied."""
    states, n_compared = results.states([task.point for task in tasks])
    ready = []
    for task, state, n in zip(tasks, states.tolist(), n_compared.tolist(), strict=True):
        if n < len(task.trials):
            raise UserError(f"{path} lacks trials of {sweep} that are done; start the command again that ran it")
        if n == len(task.trials):  # else its trials are being marked as done
            ready.append((task, state))
    file.write_block(
        [task.place for task, _ in ready], results.at([task.point for task, _ in ready]), [state for _, state in ready]
    )
    return len(ready)


def summary_of(
    file: ComparisonFile,
    parts: SweepParts,
    contents: Contents,
    n_compared: int,
    n_new: int,
    n_trials: int,
    failures: Mapping[str, int] | None = None,
) -> ComparisonSummary:
    """The state of a comparison of these files: how many points are compared, how many of them now, and trials."""
    status = parts.status
    return ComparisonSummary(
        path=file.path,
        n_points=int(parts.requested[..., 0].sum()) * contents.n_values,
        n_points_compared=n_compared,
        n_points_new=n_new,
        n_trials=n_trials,
        n_pending=int(((status == PENDING) & parts.requested).sum()),
        n_failed=int((status == FAILED).sum()),
        n_values=contents.n_values,
        n_diverged=dict(zip(contents.experiment.mass.labels, file.n_diverged().tolist(), strict=True)),
        n_points_failed=file.n_failed(),
        failures=failures or {},
    )


def _tasks(file: ComparisonFile, parts: SweepParts, contents: Contents) -> list[Task]:
    """The points that the comparison lacks; those that have no results yet come first."""
    masses = contents.masses()
    absolute = [path.absolute() for path in parts.paths]
    tasks = []
    for point in np.ndindex(parts.shape[:-1]):
        done = parts.done_trials(point)
        trials = tuple((absolute[parts.owner[(*point, trial)]], trial) for trial in done)
        for place, mass in zip(file.places(point), masses, strict=True):
            if done and len(done) != file.n_compared[place]:
                tasks.append(Task(place, point, trials, mass, contents.experiment.compare, contents.code))
    return sorted(tasks, key=lambda task: bool(file.n_compared[task.place]))


def _fill(
    file: ComparisonFile,
    tasks: list[Task],
    before: int,
    workers: Workers,
    progress: Progress,
    keep_going: Callable[[], bool] | None,
) -> int:
    """Compare the points and store them; returns how many there was time for."""
    done, total = before, before + len(tasks)
    if tasks:
        progress(before, total)
    wanted = tasks if keep_going is None else takewhile(lambda task: task is tasks[0] or keep_going(), tasks)
    for results in batches(workers.executor, run_task, wanted, in_flight=workers.in_flight(IN_FLIGHT)):
        for point, result in results:
            file.write(point, result)
            done += 1
            progress(done, total)
    return done - before
