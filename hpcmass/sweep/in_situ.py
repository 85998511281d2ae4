"""A sweep that compares while it simulates: a task is a point, and one process does its trials and compares them.

Where there are few points for the workers, the trials are tasks of their own: their recordings travel to rank 0, which
gives those of a point to the next worker to compare.

The results of a point are in the comparison file before its trials are marked as done in the sweep file. So a trial
that is done is compared, and a point that was interrupted is done again, with the same results. The exception is a
sweep that keeps all traces: when it is stopped, trials of points that are not complete are marked as done, too, and the
next start reads them from the file.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hpcmass.compare.comparison_file import ComparisonFile, OutdatedComparison, Point
from hpcmass.compare.comparison_file import prepare as prepare_comparison
from hpcmass.compare.contents import Contents, contents_of
from hpcmass.compare.own import statistics_of
from hpcmass.compare.pipeline import ComparisonSummary, summary_of
from hpcmass.compare.rehearsal import require_working
from hpcmass.compare.settings import require_settings
from hpcmass.compile_lock import WaitStopped, ending_waits
from hpcmass.compiled import open_cache
from hpcmass.config import Experiment
from hpcmass.errors import UserError
from hpcmass.grid import Trial, places
from hpcmass.mass.registry import declared_models
from hpcmass.order import POINTS_PER_WORKER, spreads
from hpcmass.progress import duration
from hpcmass.store.parts import SweepParts
from hpcmass.store.provenance import provenance
from hpcmass.store.schema import DONE, FAILED, TRACES, comparison_path
from hpcmass.sweep.limits import Clock
from hpcmass.sweep.point_worker import Comparing
from hpcmass.sweep.points import PointTask, SpreadPoints
from hpcmass.sweep.reuse_compared import copy_compared
from hpcmass.sweep.scatter import Task
from hpcmass.user_code import Failures


def require_comparable(experiment: Experiment, clock: Clock, *, new: bool) -> None:
    """Refuse models, statistics and settings that no comparison of this experiment can compute.

    If there is no comparison yet (`new`), own models and statistics are tried, too.

    Raises
    ------
    UserError
    """
    declared_models(experiment.mass, TRACES, experiment.trials)
    statistics_of(experiment.compare)
    require_settings(experiment.network, experiment.compare)
    if new:
        with suppress(WaitStopped), ending_waits(clock.is_over):
            require_working(experiment, clock.is_over)


class InSitu:
    """The comparison of a sweep that runs, on rank 0.

    Parameters
    ----------
    sweep : Path
        Its file is there already; it and its comparison are locked.
    queue : sequence of Trial
        Trials that the sweep lacks.
    n_workers, n_ranks : int
        Processes that simulate; all processes.
    mpi_library : str
    force : bool
        Back up an existing comparison and start over.
    clock : Clock
        When it is over, no more points are copied.
    reuse : sequence of Path
        Earlier sweeps from which to copy points with their comparison.

    Attributes
    ----------
    queue : list of Trial
        Trials that the sweep still lacks.
    """

    def __init__(
        self,
        sweep: Path,
        queue: Sequence[Trial],
        *,
        n_workers: int,
        n_ranks: int,
        mpi_library: str,
        force: bool,
        clock: Clock,
        reuse: Sequence[Path] = (),
    ) -> None:
        self._n_workers = n_workers
        self.sweep, self.path = sweep, comparison_path(sweep)
        self._prepare(provenance(n_ranks=n_ranks, mpi_library=mpi_library), force)
        self.queue = list(queue)
        for old in reuse:
            self.queue = copy_compared(old, sweep, self.path, self.contents.experiment, self.queue, clock)
        self._begin()

    def _prepare(self, origin: Mapping[str, Any], force: bool) -> None:
        with SweepParts([self.sweep]) as parts:
            self.contents: Contents = contents_of(parts)
            self._kept = self.contents.experiment.traces.allow_comparison
            only = None if parts.assigned.all() else np.asarray(parts.assigned.any(axis=-1))
            try:
                prepare_comparison(self.path, parts, self.contents, origin, force, only=only)
            except OutdatedComparison as outdated:
                how = self._how_to_compare_anew()
                if outdated.other_sweep:
                    how = "move it away (it may belong to a backup of the sweep) and start the same command again"
                raise UserError(f"{self.path} {outdated.why}; {how}") from None

    def _begin(self) -> None:
        open_cache("mass")  # before the workers do: only this process warns about its problems
        with SweepParts([self.sweep]) as parts, ComparisonFile(self.path) as file:
            self._points = _points_left(parts, file, self.queue)
            self._complete = file.is_complete(parts)
            if self._points:
                n_points = int(parts.requested[..., 0].sum())
                what = f"{len(self._points)} of {n_points} points to compare, during the run"
                file.begin(parts, self.contents.experiment.compare.spike_contrast_min, what)
        self._left, self.n_new = set(self._points), 0
        self._needed: list[tuple[float, int]] = []
        self._failures: Counter[str] = Counter()
        self._file = ComparisonFile(self.path)

    def _how_to_compare_anew(self) -> str:
        trials = "takes the trials that are done from the sweep"
        if not self._kept:
            why = f"the sweep does not keep them ({self.contents.experiment.traces.text()})"
            trials = f"simulates the trials that are done once more, because {why}"
        return f"to compare all points anew, move it away and start the same command again, which {trials}"

    @property
    def n_left(self) -> int:
        """Points that are not compared with all of their trials yet."""
        return len(self._left)

    def spread(self, points: Sequence[PointTask], may_begin: Callable[[Task | PointTask], bool]) -> SpreadPoints | None:
        """The trials of these points as tasks of their own, if there are few points for the workers."""
        return SpreadPoints(points, may_begin, kept=self._kept) if spreads(len(points), self._n_workers) else None

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
        points = [
            self._task(place, lacking.get(place, []), float(costs[place]))
            for place in [*lacking, *(place for place in self._points if place not in lacking)]
        ]
        at_a_time = self._n_workers if spreads(len(points), self._n_workers) else 1
        self._needed = [
            (float(costs[point.place]) * math.ceil(len(point.tasks + point.again) / at_a_time), point.n_compared)
            for point in points
        ]
        return points

    def _task(self, place: Point, lacking: Sequence[Task], cost: float) -> PointTask:
        done = self._points[place]
        tasks = tuple(sorted(lacking, key=lambda task: task.trial.index))
        if self._kept:
            recorded = tuple(trial.number for trial in done)
            return PointTask(place, tasks, (), recorded, cost * min(len(tasks), 1), 0 if tasks else len(recorded))
        n = len(tasks) + len(done)
        tasks = tuple(replace(task, n_compared=n) for task in tasks)
        again = tuple(Task(trial, cost, n) for trial in done)
        return PointTask(place, tasks, again, (), cost * n, n)

    def write(self, place: Point, result: Mapping[str, Any], failures: Failures) -> list[str]:
        """Store the results of one point; of one whose trials have all failed there are none.

        Returns
        -------
        list of str
            Errors of models and statistics that have not failed before in this run.

        Raises
        ------
        UserError
            If the disk refuses it.
        """
        if result["n_compared"]:
            self._file.write(place, result, FAILED if failures else DONE)
            self.n_new += 1
        self._left.discard(place)
        first = [error for what, error in failures.items() if what not in self._failures]
        self._failures.update(failures.keys())
        return first

    def require_time(self, clock: Clock, best_pace: float) -> None:
        """Refuse a time limit that is too short for every point at the best pace of trials and comparison so far.

        Raises
        ------
        UserError
        """
        best, available = clock.best_comparison, clock.end - clock.started
        times = [(best_pace * cost, best * n_compared) for cost, n_compared in self._needed]
        trials_s, compare_s = min(times, key=sum, default=(0.0, 0.0))
        if trials_s + compare_s > available:
            how = f", {duration(compare_s)} of it to compare its trials" if compare_s else ""
            n_workers = max(self._n_workers, len(self._points) // POINTS_PER_WORKER) + 1
            other = (
                f", or at least {n_workers} processes that simulate, which then share the trials of a point, or keep "
                "all traces in a new sweep (traces.keep = all), so that trials are stored one by one"
            )
            if self._kept or compare_s > available:
                other = ""
            raise UserError(
                f"--time-limit is too short for every point: one takes at least {duration(trials_s + compare_s)}{how}, "
                f"and {duration(available)} of the limit are for that; give more time{other}"
            )

    def finish(self) -> ComparisonSummary:
        """Copy the sweep's numbers, and compute what depends on the whole map."""
        compare = self.contents.experiment.compare
        with SweepParts([self.sweep]) as parts, ComparisonFile(self.path) as file:
            if self.n_new or not self._complete:
                file.begin(parts, compare.spike_contrast_min, None)
                file.finish(compare)
            n_compared, n_trials = int((file.n_compared > 0).sum()), int(file.n_compared.sum())
            return summary_of(file, parts, self.contents, n_compared, self.n_new, n_trials, self._failures)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _points_left(parts: SweepParts, file: ComparisonFile, queue: Sequence[Trial]) -> dict[Point, list[Trial]]:
    """Points that lack a trial, or that are not compared with all trials that are done → these trials."""
    n_done = np.sum(parts.status == DONE, axis=-1)
    left = n_done != file.n_compared
    for trial in queue:
        left[trial.index[:-1]] = True
    only = parts.file(0)
    return {place: [only.trial((*place, k)) for k in parts.done_trials(place)] for place in places(left)}
