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
    n_compared : int
        Trials for whose comparison there has to be time, too: all, or none, where trials are stored without their point
        and some are to simulate.
    given : dict of int to dict
        Trial → its traces, simulated by other processes.
    """

    place: Index
    tasks: tuple[Task, ...]
    again: tuple[Task, ...]
    recorded: tuple[int, ...]
    cost: float
    n_compared: int = 0
    given: Mapping[int, Mapping[str, Any]] = field(default_factory=dict, repr=False)


class SpreadPoints(Iterator[Task | PointTask]):
    """Tasks of points whose trials run on different processes: the trials, then the points whose trials have ended.

    There may be a next task again after there was none.

    Parameters
    ----------
    points : sequence of PointTask
    may_begin : callable
        Whether there is time for a task, and for what has to follow it.
    kept : bool
        Trials are stored when they have ended, before their point is compared; else with its results.
    """

    def __init__(
        self, points: Sequence[PointTask], may_begin: Callable[[Task | PointTask], bool], *, kept: bool
    ) -> None:
        self._points = {point.place: point for point in points}
        self._trials = deque(task for point in points for task in (*point.tasks, *point.again))
        self._ready = deque(point for point in points if not (point.tasks or point.again))
        self._ended: dict[Index, list[Outcome]] = {place: [] for place in self._points}
        self._left: set[Index] = set()
        self._may_begin, self._kept = may_begin, kept

    def __next__(self) -> Task | PointTask:
        while self._ready:
            point = self._ready.popleft()
            if self._may_begin(point):
                return point
            self._leave(point.place)
        while self._trials:
            task = self._trials.popleft()
            if self._may_begin(task):
                return task
            if not self._kept:
                self._leave(_place(task))
        raise StopIteration

    def _leave(self, place: Index) -> None:
        """A point cannot be completed in this run: no other trial of it is begun, its recordings are forgotten."""
        self._left.add(place)
        self._ended[place].clear()
        while self._trials and _place(self._trials[0]) == place:  # the trials of a point come together
            self._trials.popleft()

    def completed(self, outcomes: Sequence[Outcome]) -> list[Outcome]:
        """What can be stored after these outcomes: trials, results of points, and why others are left."""
        found: list[Outcome] = []
        for outcome in outcomes:
            if outcome.compared is not None:
                found += [*self._ended.pop(outcome.compared[0]), outcome]
            elif not outcome.values:
                found.append(outcome)
                if outcome.task is not None and not self._kept:
                    self._leave(_place(outcome.task))
            else:
                found += self._collected(outcome, _place(outcome))
                found += [Outcome(None, stop=True)] if outcome.stop else []
        return found

    def _collected(self, outcome: Outcome, place: Index) -> list[Outcome]:
        point, ended = self._points[place], self._ended[place]
        again = {task.trial.number for task in point.again}
        if outcome.failure is not None and outcome.trial.number in again:
            return [failed_again(outcome)]
        if place in self._left:
            return [Outcome(None, pace=outcome.pace)]
        ended.append(outcome)
        if len(ended) == len(point.tasks) + len(point.again):
            given = {each.trial.number: each.recording for each in ended if each.recording is not None}
            n_compared = len(point.recorded) + len(given)
            self._ready.append(replace(point, tasks=(), again=(), cost=0.0, n_compared=n_compared, given=given))
            waiting = [] if self._kept else [each for each in ended if each.trial.number not in again]
            self._ended[place] = [replace(each, recording=None) for each in waiting]
        return [replace(outcome, recording=None)] if self._kept else [Outcome(None, pace=outcome.pace)]


def _place(of: Task | Outcome) -> Index:
    return of.trial.index[:-1]


def failed_again(outcome: Outcome) -> Outcome:
    """Why a point cannot be compared, one of whose trials that are done has failed."""
    label = outcome.trial.label()
    return Outcome(None, unwritable=f"{label} is done, but fails when simulated again: {outcome.failure}")
