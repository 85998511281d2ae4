"""Points as tasks of a sweep that compares while it simulates."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from hpcmass.store.sweep_file import Index
from hpcmass.sweep.scatter import Outcome, Task


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
        Expected cost of what there has to be time for: all trials, or one, where trials are stored without their point.
    given : dict of int to dict
        Trial → its traces, simulated by other processes.
    """

    place: Index
    tasks: tuple[Task, ...]
    again: tuple[Task, ...]
    recorded: tuple[int, ...]
    cost: float
    given: Mapping[int, Mapping[str, Any]] = field(default_factory=dict, repr=False)


class SpreadPoints(Iterator[Task | PointTask]):
    """Tasks of points whose trials run on different processes: the trials, then the points whose trials have ended.

    There may be a next task again after there was none.

    Parameters
    ----------
    points : sequence of PointTask
    may_begin : callable
        Whether there is time for a task.
    kept : bool
        Trials are stored when they have ended, before their point is compared; else with its results.
    """

    def __init__(self, points: Sequence[PointTask], may_begin: Callable[[Task], bool], *, kept: bool) -> None:
        self._points = {point.place: point for point in points}
        self._trials = deque(task for point in points for task in (*point.tasks, *point.again))
        self._ready = deque(point for point in points if not (point.tasks or point.again))
        self._ended: dict[Index, list[Outcome]] = {place: [] for place in self._points}
        self._may_begin, self._kept = may_begin, kept

    def __next__(self) -> Task | PointTask:
        if self._ready:
            return self._ready.popleft()
        while self._trials:
            task = self._trials.popleft()
            if self._may_begin(task):
                return task
        raise StopIteration

    def completed(self, outcomes: Sequence[Outcome]) -> list[Outcome]:
        """What can be stored after these outcomes: trials, results of points, and why others are left."""
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

    def _collected(self, outcome: Outcome, place: Index) -> list[Outcome]:
        point, ended = self._points[place], self._ended[place]
        again = {task.trial.number for task in point.again}
        if outcome.failure is not None and outcome.trial.number in again:
            return [failed_again(outcome)]
        ended.append(outcome)
        if len(ended) == len(point.tasks) + len(point.again):
            given = {each.trial.number: each.recording for each in ended if each.recording is not None}
            self._ready.append(replace(point, tasks=(), again=(), given=given))
            waiting = [] if self._kept else [each for each in ended if each.trial.number not in again]
            self._ended[place] = [replace(each, recording=None) for each in waiting]
        return [replace(outcome, recording=None)] if self._kept else [Outcome(None, pace=outcome.pace)]


def failed_again(outcome: Outcome) -> Outcome:
    """Why a point cannot be compared, one of whose trials that are done has failed."""
    label = outcome.trial.label()
    return Outcome(None, unwritable=f"{label} is done, but fails when simulated again: {outcome.failure}")
