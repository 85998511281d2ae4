"""A worker whose tasks are points: it simulates a point's trials, or reads them, and compares them."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hpcmass.compare.pipeline import compared_at, require_same_code
from hpcmass.compare.point import Result
from hpcmass.compile_lock import WaitStopped, ending_waits
from hpcmass.config import CompareParameters, Experiment, MassParameters
from hpcmass.errors import UserError
from hpcmass.grid import values_at
from hpcmass.mass import Traces
from hpcmass.plugins import Code
from hpcmass.store.schema import TRACES
from hpcmass.store.sweep_file import SweepFile
from hpcmass.store.writer import ParallelTraceWriter
from hpcmass.sweep.limits import Clock, stop_requested
from hpcmass.sweep.points import PointTask, failed_again
from hpcmass.sweep.scatter import Outcome, Task, Worker
from hpcmass.user_code import Failures


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
        return [replace(self.stored(outcome), recording=recording, pace=self.clock.best_pace)]

    def _run_point(self, task: PointTask) -> list[Outcome]:
        """Outcomes of its trials, then its results; if it is left, why, after the trials that are stored without it."""
        if not self.clock.fits(task.cost, task.n_compared):
            return [Outcome(None, dropped=True)]
        ended: list[Outcome] = []
        try:
            with ending_waits(self.clock.is_over):
                last = self._point(task, ended)
        except UserError as error:
            last = Outcome(None, unwritable=str(error))
        except WaitStopped:
            last = Outcome(
                None, dropped=self.clock.is_up(), stop=stop_requested(), pace=self.clock.best_pace,
                comparison_pace=self.clock.best_comparison,
            )  # fmt: skip
        unwritable = [outcome for outcome in ended if outcome.unwritable is not None]
        if unwritable:
            last = replace(last, compared=None)
        if last.compared is not None or self.experiment.traces.allow_comparison:
            return [*ended, last]
        return [*unwritable, last]

    def _point(self, task: PointTask, ended: list[Outcome]) -> Outcome:
        """Its results, or why it is left; `ended` gets the outcomes of its trials."""
        require_same_code(self._about.mass, self._about.compare, self._about.code)
        recordings = self._recorded(task)
        recordings |= {trial: _traces(values) for trial, values in task.given.items()}
        every = (*task.tasks, *task.again)
        for number, one in enumerate(every):
            outcome = self.simulate(one)
            if not outcome.values:
                return replace(outcome, pace=self.clock.best_pace)
            if outcome.failure is None:
                recordings[one.trial.number] = _traces(outcome.values)
            elif number >= len(task.tasks):
                return failed_again(outcome)
            if number < len(task.tasks):
                ended.append(self.stored(outcome))
            if outcome.stop and one is not every[-1]:
                return Outcome(None, stop=True)
        if not self.clock.fits(0.0, len(recordings)):
            return Outcome(None, dropped=True, stop=stop_requested(), pace=self.clock.best_pace)
        failures: Failures = {}
        result, pace = self._compared(task, recordings, failures)
        return Outcome(None, compared=(task.place, result, failures), stop=stop_requested(), comparison_pace=pace)

    def _recorded(self, task: PointTask) -> dict[int, Traces]:
        if not task.recorded:
            return {}
        with SweepFile(self._about.sweep, checked=True) as file:
            return {trial: Traces(**file.traces(task.place, trial)) for trial in task.recorded}

    def _compared(self, task: PointTask, recordings: Mapping[int, Traces], failures: Failures) -> tuple[Result, float]:
        """The results of a point, and the seconds for a trial of it; `WaitStopped` when the time is up before that."""
        values = values_at(self.experiment.axes(), task.place)
        network = self.experiment.network_at(values)
        about, n = self._about, self.experiment.trials
        begun, in_time = time.monotonic(), _InTime(sorted(recordings.items()), self.clock)
        try:
            result = compared_at(values, in_time, n, network, about.mass, about.compare, failures)
        except WaitStopped:
            self.clock.note_comparison(min(len(in_time.seconds), 1), min(in_time.seconds, default=0.0))
            raise
        seconds = time.monotonic() - begun
        self.clock.note_comparison(len(recordings), seconds)
        return result, seconds / max(len(recordings), 1)


class _InTime:
    """Recordings of a point to compare, until the time is up.

    Attributes
    ----------
    seconds : list of float
        What comparing each one has taken.
    """

    def __init__(self, recordings: Sequence[tuple[int, Traces]], clock: Clock) -> None:
        self._recordings, self._clock = recordings, clock
        self.seconds: list[float] = []

    def __iter__(self) -> Iterator[tuple[int, Traces]]:
        for each in self._recordings:
            if self._clock.is_up():
                raise WaitStopped
            begun = time.monotonic()
            yield each
            self.seconds.append(time.monotonic() - begun)


def _traces(values: Mapping[str, Any]) -> Traces:
    return Traces(**{name: values[name] for name in TRACES})
