"""A sweep that compares while it simulates: a task is a point, and one process does its trials and compares them.

Where there are few points for the workers, the trials are tasks of their own: their recordings travel to rank 0, which
gives those of a point to the next worker to compare.

The results of a point are in the comparison file before its trials are marked as done in the sweep file. So a trial
that is done is compared, and a point that was interrupted is done again, with the same results.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hpcmass.compare.comparison_file import ComparisonFile, Point
from hpcmass.compare.comparison_file import prepare as prepare_comparison
from hpcmass.compare.contents import Contents, contents_of
from hpcmass.compare.own import statistics_of
from hpcmass.compare.pipeline import ComparisonSummary, compared_at, require_same_code, summary_of
from hpcmass.compare.point import Result
from hpcmass.compare.settings import require_settings
from hpcmass.compiled import open_cache
from hpcmass.config import CompareParameters, Experiment, MassParameters
from hpcmass.errors import UserError
from hpcmass.grid import Trial, places, values_at
from hpcmass.mass import Traces
from hpcmass.mass.registry import declared_models
from hpcmass.order import spreads
from hpcmass.plugins import Code
from hpcmass.store.files import require_output
from hpcmass.store.lock import SweepLock
from hpcmass.store.parts import SweepParts
from hpcmass.store.provenance import provenance
from hpcmass.store.schema import DONE, TRACES, comparison_path
from hpcmass.store.sweep_file import SweepFile
from hpcmass.store.writer import ParallelTraceWriter
from hpcmass.sweep.limits import Clock, stop_requested
from hpcmass.sweep.scatter import Outcome, Task, Worker


@dataclass(frozen=True)
class PointTask:
    """What is to be done at one point.

    Attributes
    ----------
    place : tuple of int
        One index per axis.
    tasks : tuple of Task
        Trials to simulate.
    again : tuple of Task
        Trials that are done, to simulate once more for their traces, which are not in the file.
    recorded : tuple of int
        Trials that are done and have their traces in the file.
    cost : float
    given : dict of int to dict
        Trial → its traces, simulated by other processes.
    """

    place: Point
    tasks: tuple[Task, ...]
    again: tuple[Task, ...]
    recorded: tuple[int, ...]
    cost: float
    given: Mapping[int, Mapping[str, Any]] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class Comparing:
    """What every process of a comparing sweep needs to know.

    Attributes
    ----------
    sweep : Path
    mass, compare : parameters
    code : dict
        From `own_code` of the main process.
    """

    sweep: Path
    mass: MassParameters
    compare: CompareParameters
    code: Code

    def worker(
        self, experiment: Experiment, clock: Clock, rank: int, writer: ParallelTraceWriter | None, threads: bool
    ) -> ComparingWorker:
        """A process's worker; parameters as of `Worker`."""
        return ComparingWorker(self, experiment, clock, rank, writer)


class ComparingWorker(Worker):
    """A worker whose tasks are points, or the trials of points that other processes compare."""

    def __init__(
        self, about: Comparing, experiment: Experiment, clock: Clock, rank: int, writer: ParallelTraceWriter | None
    ) -> None:
        super().__init__(experiment, clock, rank, writer, threads=False)
        self._about = about

    def run(self, task: PointTask | Task) -> list[Outcome]:
        """Do a point, or simulate a trial for another process, which gets its recording."""
        if isinstance(task, PointTask):
            return self._run_point(task)
        outcome = self.simulate(task)
        if not outcome.values or outcome.failure is not None:
            return [outcome]
        recording = {name: outcome.values[name] for name in TRACES}
        return [replace(self.stored(outcome), recording=recording)]

    def _run_point(self, task: PointTask) -> list[Outcome]:
        """Outcomes of its trials, then its results; or one outcome, if it is left."""
        every = (*task.tasks, *task.again)
        if every and not self.clock.fits(task.cost):
            return [Outcome(None, dropped=True)]
        try:
            require_same_code(self._about.mass, self._about.compare, self._about.code)
            ended, recordings = [], self._recorded(task)
            recordings |= {trial: _traces(values) for trial, values in task.given.items()}
            for number, one in enumerate(every):
                outcome = self.simulate(one)
                if not outcome.values:
                    return [outcome]
                if outcome.failure is None:
                    recordings[one.trial.number] = _traces(outcome.values)
                elif number >= len(task.tasks):
                    return [_failed_again(outcome)]
                if outcome.stop and one is not every[-1]:
                    return [Outcome(None, stop=True)]
                if number < len(task.tasks):
                    ended.append(self.stored(outcome))
            result = self._compared(task, recordings)
        except UserError as error:
            return [Outcome(None, unwritable=str(error))]
        unwritable = [outcome for outcome in ended if outcome.unwritable is not None]
        return unwritable or [*ended, Outcome(None, compared=(task.place, result), stop=stop_requested())]

    def _recorded(self, task: PointTask) -> dict[int, Traces]:
        if not task.recorded:
            return {}
        with SweepFile(self._about.sweep, checked=True) as file:
            return {trial: Traces(**file.traces(task.place, trial)) for trial in task.recorded}

    def _compared(self, task: PointTask, recordings: Mapping[int, Traces]) -> Result:
        values = values_at(self.experiment.axes(), task.place)
        network = self.experiment.network_at(values)
        mass, compare = self._about.mass, self._about.compare
        return compared_at(values, sorted(recordings.items()), self.experiment.trials, network, mass, compare)


def _traces(values: Mapping[str, Any]) -> Traces:
    return Traces(**{name: values[name] for name in TRACES})


def require_comparable(experiment: Experiment) -> None:
    """Refuse models, statistics and settings that no comparison of this experiment can compute.

    Raises
    ------
    UserError
    """
    declared_models(experiment.mass, TRACES, experiment.trials)
    statistics_of(experiment.compare)
    require_settings(experiment.network, experiment.compare)


class SpreadPoints(Iterator["Task | PointTask"]):
    """Tasks of points whose trials run on different processes: the trials, then the points whose trials have ended.

    There may be a next task again after there was none.

    Parameters
    ----------
    points : sequence of PointTask
    may_begin : callable
        Whether there is time for a task.
    """

    def __init__(self, points: Sequence[PointTask], may_begin: Callable[[Task], bool]) -> None:
        self._points = {point.place: point for point in points}
        self._trials = deque(task for point in points for task in (*point.tasks, *point.again))
        self._ready = deque(point for point in points if not (point.tasks or point.again))
        self._ended: dict[Point, list[Outcome]] = {place: [] for place in self._points}
        self._may_begin = may_begin

    def __next__(self) -> Task | PointTask:
        if self._ready:
            return self._ready.popleft()
        while self._trials:
            task = self._trials.popleft()
            if self._may_begin(task):
                return task
        raise StopIteration

    def completed(self, outcomes: Sequence[Outcome]) -> list[Outcome]:
        """What can be stored after these outcomes: points with their trials, and why others are left."""
        found: list[Outcome] = []
        for outcome in outcomes:
            if outcome.compared is not None:
                found += [*self._ended.pop(outcome.compared[0]), outcome]
            elif not outcome.values:
                found.append(outcome)
            else:
                found += self._collected(outcome, outcome.trial.index[:-1])
                found += [Outcome(None, stop=True)] if outcome.stop else []
        return found

    def _collected(self, outcome: Outcome, place: Point) -> list[Outcome]:
        point, ended = self._points[place], self._ended[place]
        again = {task.trial.number for task in point.again}
        if outcome.failure is not None and outcome.trial.number in again:
            return [_failed_again(outcome)]
        ended.append(outcome)
        if len(ended) == len(point.tasks) + len(point.again):
            given = {each.trial.number: each.recording for each in ended if each.recording is not None}
            self._ready.append(replace(point, tasks=(), again=(), given=given))
            self._ended[place] = [replace(each, recording=None) for each in ended if each.trial.number not in again]
        return []


def _failed_again(outcome: Outcome) -> Outcome:
    label = outcome.trial.label()
    return Outcome(None, unwritable=f"{label} is done, but fails when simulated again: {outcome.failure}")


class InSitu:
    """The comparison of a sweep that runs, on rank 0.

    Parameters
    ----------
    sweep : Path
        Its file is there already, and locked.
    queue : sequence of Trial
        Trials that the sweep lacks.
    n_workers, n_ranks : int
        Processes that simulate; all processes.
    mpi_library : str
    force : bool
        Back up an existing comparison and start over.
    """

    def __init__(
        self, sweep: Path, queue: Sequence[Trial], *, n_workers: int, n_ranks: int, mpi_library: str, force: bool
    ) -> None:
        self._n_workers = n_workers
        self.sweep, self.path = sweep, comparison_path(sweep)
        require_output(self.path, [sweep])
        self._lock = SweepLock(self.path)
        self._lock.acquire()
        try:
            self._begin(queue, provenance(n_ranks=n_ranks, mpi_library=mpi_library), force)
        except BaseException:
            self.close()
            raise

    def _begin(self, queue: Sequence[Trial], origin: Mapping[str, Any], force: bool) -> None:
        with SweepParts([self.sweep]) as parts:
            self.contents: Contents = contents_of(parts)
            only = None if parts.assigned.all() else np.asarray(parts.assigned.any(axis=-1))
            prepare_comparison(self.path, parts, self.contents, origin, force, only=only)
            open_cache("mass")  # before the workers do: only this process warns about its problems
            with ComparisonFile(self.path) as file:
                self._points = _points_left(parts, file, queue)
                self._complete = file.is_complete(parts)
                if self._points:
                    n_points = int(parts.requested[..., 0].sum())
                    what = f"{len(self._points)} of {n_points} points to compare, during the run"
                    file.begin(parts, self.contents.experiment.compare.spike_contrast_min, what)
        self.n_new = 0
        self._file = ComparisonFile(self.path)

    @property
    def n_left(self) -> int:
        """Points that are not compared with all of their trials."""
        return len(self._points)

    def spread(self, points: Sequence[PointTask], may_begin: Callable[[Task], bool]) -> SpreadPoints | None:
        """The trials of these points as tasks of their own, if there are few points for the workers."""
        return SpreadPoints(points, may_begin) if spreads(len(points), self._n_workers) else None

    @property
    def about(self) -> Comparing:
        """For the workers."""
        experiment = self.contents.experiment
        return Comparing(self.sweep, experiment.mass, experiment.compare, self.contents.code)

    def tasks(self, queue: Sequence[Task], costs: npt.NDArray[np.float64]) -> list[PointTask]:
        """The points to do, in the order in which their first trials stand in the queue; then those without trials.

        Parameters
        ----------
        queue : sequence of Task
            The trials that the sweep lacks.
        costs : array of float, (axes…)
            Expected cost of a trial at each point.
        """
        lacking: dict[Point, list[Task]] = {}
        for task in queue:
            lacking.setdefault(task.trial.index[:-1], []).append(task)
        return [
            self._task(place, lacking.get(place, []), float(costs[place]))
            for place in [*lacking, *(place for place in self._points if place not in lacking)]
        ]

    def _task(self, place: Point, lacking: Sequence[Task], cost: float) -> PointTask:
        done = self._points[place]
        tasks = tuple(sorted(lacking, key=lambda task: task.trial.index))
        kept = self.contents.experiment.traces.allow_comparison
        again = () if kept else tuple(Task(trial, cost) for trial in done)
        recorded = tuple(trial.number for trial in done) if kept else ()
        return PointTask(place, tasks, again, recorded, cost * len(tasks + again))

    def write(self, place: Point, result: Mapping[str, Any]) -> None:
        """Store the results of one point; of one whose trials have all failed there are none.

        Raises
        ------
        UserError
            If the disk refuses it.
        """
        if result["n_compared"]:
            self._file.write(place, result)
            self.n_new += 1

    def finish(self) -> ComparisonSummary:
        """Copy the sweep's numbers, and compute what depends on the whole map."""
        compare = self.contents.experiment.compare
        with SweepParts([self.sweep]) as parts, ComparisonFile(self.path) as file:
            if self.n_new or not self._complete:
                file.begin(parts, compare.spike_contrast_min, None)
                file.finish(compare)
            n_compared = int((parts.status == DONE).any(axis=-1).sum())
            return summary_of(file, parts, self.contents, n_compared, self.n_new)

    def close(self) -> None:
        """Close the file, and let others write it."""
        if hasattr(self, "_file"):
            self._file.close()
        self._lock.release()


def _points_left(parts: SweepParts, file: ComparisonFile, queue: Sequence[Trial]) -> dict[Point, list[Trial]]:
    """Points that lack a trial, or that are not compared with all trials that are done → these trials."""
    n_done = np.sum(parts.status == DONE, axis=-1)
    left = n_done != file.n_compared
    for trial in queue:
        left[trial.index[:-1]] = True
    only = parts.file(0)
    return {place: [only.trial((*place, k)) for k in parts.done_trials(place)] for place in places(left)}
