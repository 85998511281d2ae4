"""`run --compare` with a time limit and models that are slow: on a clock that only their comparison moves."""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import pytest
from sweep_state import states

from hpcmass.config.file import load_experiment
from hpcmass.grid import trials as all_trials
from hpcmass.store.schema import DONE, comparison_path
from hpcmass.sweep import in_situ, limits, point_worker
from hpcmass.sweep.limits import Clock, Limits
from hpcmass.sweep.points import PointTask, SpreadPoints
from hpcmass.sweep.scatter import Outcome, Tally, Task

Run = Callable[..., Any]

FEW = ("--set", "mass.models=[CFM]", "--set", "trials=3")
TRIAL_S = 2e5
"""Comparing one trial takes as long as this; the trials themselves take milliseconds."""


class Time:
    """In place of the module `time`."""

    def __init__(self) -> None:
        self.begun = self.now = time.monotonic()

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> Time:
    """A comparison takes `TRIAL_S` a trial, on the clock that is given."""
    clock, original = Time(), point_worker.compared_at
    monkeypatch.setattr(limits, "time", clock)
    monkeypatch.setattr(point_worker, "time", clock)

    class Slow:
        def __init__(self, recordings: Any) -> None:
            self.recordings = recordings

        def __iter__(self) -> Iterator[Any]:
            for each in self.recordings:
                yield each
                clock.now += TRIAL_S

    def compared_at(values: Any, recordings: Any, *more: Any) -> Any:
        return original(values, Slow(recordings), *more)

    monkeypatch.setattr(point_worker, "compared_at", compared_at)
    return clock


def n_compared(sweep: Path) -> int:
    with h5py.File(comparison_path(sweep), "r", locking=False) as file:
        return int((file["n_compared"][()] == 3).sum())


@pytest.mark.parametrize("keep", ["all", "none"])
@pytest.mark.parametrize("spread", [False, True], ids=["points", "trials"])
def test_a_point_is_compared_only_if_that_fits(
    spread: bool, keep: str, config: Path, command: Run, tmp_path: Path, slow: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    if spread:
        kept = keep == "all"
        monkeypatch.setattr(in_situ.InSitu, "spread", lambda self, points, fit: SpreadPoints(points, fit, kept=kept))
    path = tmp_path / "sweep.h5"
    words = ("run", config, "-o", path, "--compare", *FEW, "--set", f"traces.keep={keep}", "--time-limit", "1400000s")
    for start, code in enumerate((75, 75, 0), start=1):
        slow.begun = slow.now
        done = command(*words, check=False)
        assert done.returncode == code, done.stderr
        assert slow.now - slow.begun == pytest.approx(6 * TRIAL_S), "a third point would take longer than the limit"
        assert n_compared(path) == 2 * start
        assert (states(path) == DONE).sum() == (18 if keep == "all" else 6 * start)
        if keep == "all" and code:
            assert f"{6 - 2 * start} points are left to compare" in done.stderr


@pytest.mark.parametrize("keep", ["all", "none"])
def test_a_comparison_longer_than_the_limit_is_given_up_and_refused(
    keep: str, config: Path, command: Run, tmp_path: Path, slow: Time
) -> None:
    path = tmp_path / "sweep.h5"
    words = ("run", config, "-o", path, *FEW, "--set", f"traces.keep={keep}")
    if keep == "all":
        command(*words)
    refused = command(*words, "--compare", "--time-limit", "300000s", check=False)
    assert refused.returncode == 2
    assert slow.now - slow.begun == pytest.approx(2 * TRIAL_S), "the third trial is not compared"
    assert "is too short for every point: one takes at least 6 d 22 h, 6 d 22 h of it to compare its trials, and" in (
        refused.stderr
    )
    assert "of the limit are for that; give more time\n" in refused.stderr, "more processes would not help"
    assert command(*words, "--compare", "--time-limit", "4000000s").returncode == 0
    assert n_compared(path) == 6


def test_rank_0_learns_how_long_comparing_takes(config: Path, tmp_path: Path, slow: Time) -> None:
    experiment = load_experiment(config, ["mass.models=[CFM]", "traces.keep=none"])
    about = point_worker.Comparing(tmp_path / "sweep.h5", experiment.mass, experiment.compare, {})
    worker = about.worker(experiment, Clock(Limits(job_s=1e6)), 1, None, False)
    tasks = tuple(Task(trial, 1.0, 2) for trial in all_trials(experiment)[:2])
    outcomes = worker.run(PointTask((0, 0), tasks, (), (), 2.0, 2))
    own, other = Clock(Limits(job_s=1e6)), Clock(Limits(job_s=1e6))
    Tally(own, own_clock=True).store(outcomes, Anything(), Anything())
    assert own.expected_s(0.0, 3) == 0, "the worker has told its clock itself"
    tally = Tally(other)
    tally.store(outcomes, Anything(), Anything())
    assert other.expected_s(0.0, 3) == pytest.approx(3 * TRIAL_S)
    assert tally.may_begin(PointTask((0, 1), (), (), (0, 1), 0.0, 2))
    assert not tally.may_begin(Task(tasks[0].trial, 0.0, 6))
    assert tally.out_of_time
    (left,) = worker.run(PointTask((0, 1), (), (), (0, 1, 2, 3), 0.0, 4))
    assert left.dropped
    (left,) = worker.run(Task(tasks[0].trial, 0.0, 4))
    assert left.dropped, "its point could not be compared behind it"


class Anything:
    """A writer and a progress that do nothing."""

    def __getattr__(self, name: str) -> Any:
        return lambda *arguments: None


# ------------------------------------------------------------------------------------------ trials on several workers


@pytest.fixture
def points(config: Path) -> list[PointTask]:
    """Two points of two trials."""
    tasks = [Task(trial, 1.0, 2) for trial in all_trials(load_experiment(config))[:4]]
    pairs = (tuple(tasks[:2]), tuple(tasks[2:]))
    return [PointTask(pair[0].trial.index[:-1], pair, (), (), 2.0, 2) for pair in pairs]


def ended(task: Any) -> Outcome:
    return Outcome(task, {"wall_s": 1.0}, recording={"mean_v": [1.0]}, pace=3.0)


@pytest.mark.parametrize("at", ["rank 0", "worker"])
@pytest.mark.parametrize("kept", [False, True])
def test_a_point_that_lacks_a_trial_is_left_unless_its_trials_are_kept(
    kept: bool, at: str, points: list[PointTask]
) -> None:
    points[0] = replace(points[0], tasks=(*points[0].tasks, points[0].tasks[1]))
    first, second = points[0].tasks[:2]
    asked: list[Any] = []

    def may_begin(task: Any) -> bool:
        asked.append(task)
        return at == "worker" or len(asked) != 2

    spread = SpreadPoints(points, may_begin, kept=kept)
    assert next(spread) is first
    if at == "worker":
        assert next(spread) is second
        dropped = Outcome(second, dropped=True)
        assert spread.completed([dropped]) == [dropped]
    after = next(spread)
    assert after is (points[0].tasks[2] if kept else points[1].tasks[0])
    found = spread.completed([ended(first)])
    assert [outcome.pace for outcome in found] == [3.0]
    assert bool(found[0].values) is kept, "else it stays pending"
    assert all(outcome.recording is None for outcome in found)
    if not kept:
        assert not spread._ended[points[0].place], "nothing of it stays in memory"
        rest = [after, *spread]
        assert rest == list(points[1].tasks)
        spread.completed([ended(task) for task in rest])
        ready = next(spread)
        assert (ready.place, sorted(ready.given)) == (points[1].place, [0, 1])


@pytest.mark.parametrize("kept", [False, True])
def test_a_point_whose_trials_have_ended_is_compared_only_if_that_fits(kept: bool, points: list[PointTask]) -> None:
    spread = SpreadPoints(points, lambda task: isinstance(task, Task), kept=kept)
    found = spread.completed([ended(next(spread)), ended(next(spread))])
    assert [bool(outcome.values) for outcome in found] == [kept, kept]
    assert list(spread) == list(points[1].tasks), "the others still fit"
    assert not spread._ended[points[0].place]


def test_what_is_ready_needs_time_for_its_comparison_only(points: list[PointTask]) -> None:
    spread = SpreadPoints(points[:1], lambda task: True, kept=False)
    spread.completed([ended(task) for task in spread])
    ready = next(spread)
    assert isinstance(ready, PointTask)
    assert (ready.cost, ready.n_compared) == (0.0, 2)
