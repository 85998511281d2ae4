"""What a worker reports and what rank 0 counts, without ranks: a worker's writer and the clock are the test's own."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sweep_state import trials_done

from hpcmass.config import Experiment
from hpcmass.config.file import load_experiment
from hpcmass.costs import point_costs
from hpcmass.errors import UserError
from hpcmass.grid import Trial, trials
from hpcmass.order import point_order
from hpcmass.progress import Progress
from hpcmass.store.schema import TRACES
from hpcmass.store.status import sweep_status
from hpcmass.store.writer import SweepWriter, create_sweep_file
from hpcmass.sweep import limits
from hpcmass.sweep.limits import Clock, Limits
from hpcmass.sweep.scatter import Outcome, Tally, Task, Worker, in_order

Run = Callable[..., Any]


@pytest.fixture
def experiment(config: Path) -> Experiment:
    return load_experiment(config)


@pytest.fixture
def tasks(experiment: Experiment) -> list[Task]:
    return in_order(trials(experiment), experiment, 2)


class Writer:
    """Takes traces, or refuses those of some trials."""

    def __init__(self, refused: tuple[Trial, ...] = ()) -> None:
        self.refused = refused
        self.written: list[Trial] = []

    def write(self, trial: Trial, values: dict[str, Any]) -> None:
        assert all(np.isfinite(values[name]).all() for name in TRACES)
        if trial in self.refused:
            raise UserError(f"cannot write {trial.label()}")
        self.written.append(trial)


def test_the_trials_of_a_point_come_together_in_the_file_s_order(uneven_config: Path) -> None:
    experiment = load_experiment(uneven_config)
    listed = trials(experiment)
    costs = point_costs(experiment)
    tasks = in_order(listed[::-1], experiment, 3)
    assert sorted((task.trial for task in tasks), key=listed.index) == listed
    assert all(task.cost == costs[task.trial.index[:-1]] for task in tasks)
    places = [task.trial.index for task in tasks]
    order = point_order(costs, np.full(costs.shape, 2), 3)
    expected = [tuple(int(i) for i in np.unravel_index(k, costs.shape)) for k in order]
    assert places == [(*point, number) for point in expected for number in range(2)]


def test_what_is_left_of_a_point_comes_in_the_same_way(uneven_config: Path) -> None:
    experiment = load_experiment(uneven_config)
    left = trials(experiment)[1::2]  # the second trial of each point
    tasks = in_order(left, experiment, 3)
    order = point_order(point_costs(experiment), np.ones(point_costs(experiment).shape, int), 3)
    assert [left.index(task.trial) for task in tasks] == order.tolist()


def test_without_a_writer_a_recording_is_reported_at_once(experiment: Experiment, tasks: list[Task]) -> None:
    worker = Worker(experiment, Clock(Limits()), 3, None, threads=False)
    (outcome,) = worker.run(tasks[0])
    assert set(TRACES) <= outcome.values.keys()
    assert outcome.values["rank"] == 3
    assert worker.finish() == []


def test_with_one_that_may_not_use_threads_the_numbers_are(experiment: Experiment, tasks: list[Task]) -> None:
    writer = Writer()
    worker = Worker(experiment, Clock(Limits()), 3, writer, threads=False)  # type: ignore[arg-type]
    (outcome,) = worker.run(tasks[0])
    assert not set(TRACES) & outcome.values.keys()
    assert {"rate_E", "rank", "wall_s"} <= outcome.values.keys()
    assert writer.written == [tasks[0].trial]
    assert worker.finish() == []


def test_in_a_thread_a_trial_is_reported_with_the_next_and_the_last_at_the_end(
    experiment: Experiment, tasks: list[Task]
) -> None:
    writer = Writer()
    worker = Worker(experiment, Clock(Limits()), 3, writer, threads=True)  # type: ignore[arg-type]
    reports = [worker.run(task) for task in tasks[:3]]
    assert [[outcome.task for outcome in report] for report in reports] == [[], [tasks[0]], [tasks[1]]]
    (last,) = worker.finish()
    assert last.task == tasks[2]
    assert not set(TRACES) & last.values.keys()
    assert writer.written == [task.trial for task in tasks[:3]]
    assert worker.finish() == [], "once"


@pytest.mark.parametrize("threads", [False, True])
def test_traces_that_are_refused_are_no_result(experiment: Experiment, tasks: list[Task], threads: bool) -> None:
    writer = Writer(refused=(tasks[0].trial,))
    worker = Worker(experiment, Clock(Limits()), 3, writer, threads=threads)  # type: ignore[arg-type]
    first, second = [*worker.run(tasks[0]), *worker.run(tasks[1]), *worker.finish()]
    assert first.unwritable == f"cannot write {tasks[0].trial.label()}"
    assert not first.values
    assert second.unwritable is None
    assert second.values


def test_a_failed_trial_is_reported_at_once_with_its_time_and_rank(
    experiment: Experiment, tasks: list[Task], monkeypatch: pytest.MonkeyPatch
) -> None:
    import hpcmass.network

    def broken(*args: object, **options: object) -> None:
        raise ValueError("a bug")

    monkeypatch.setattr(hpcmass.network, "simulate", broken)
    worker = Worker(experiment, Clock(Limits()), 3, Writer(), threads=True)  # type: ignore[arg-type]
    (outcome,) = worker.run(tasks[0])
    assert outcome.failure is not None
    assert outcome.failure.startswith("ValueError: a bug (test_scatter.py:")
    assert outcome.values.keys() == {"rank", "wall_s"}
    assert worker.finish() == []


def test_a_trial_without_time_is_dropped_and_not_run(experiment: Experiment, tasks: list[Task]) -> None:
    worker = Worker(experiment, Clock(Limits(job_s=10.0), started=-1e9), 3, None, threads=False)
    (outcome,) = worker.run(tasks[0])
    assert (outcome.dropped, outcome.values, outcome.failure) == (True, {}, None)


# ------------------------------------------------------------------------------------------ on rank 0


def test_a_stop_or_a_full_disk_ends_the_handing_out(monkeypatch: pytest.MonkeyPatch) -> None:
    tally = Tally(Clock(Limits()))
    assert tally.keep_going()
    tally.unwritable = "the disk is full"
    assert not tally.keep_going()
    tally = Tally(Clock(Limits()))
    tally.stop = True
    assert not tally.keep_going()
    tally = Tally(Clock(Limits()))
    monkeypatch.setattr(limits, "_stop", True)
    assert not tally.keep_going()


def test_cheaper_trials_may_still_fit_and_the_time_is_noted_as_short(tasks: list[Task]) -> None:
    clock = Clock(Limits(job_s=1e6))
    clock.note(1.0, 1.0)
    tally = Tally(clock)
    cheap, dear = Task(tasks[0].trial, 1e3), Task(tasks[1].trial, 1e9)
    assert tally.may_begin(cheap)
    assert not tally.out_of_time
    assert not tally.may_begin(dear)
    assert tally.may_begin(cheap)
    assert tally.out_of_time


def test_outcomes_are_stored_counted_and_remembered(experiment: Experiment, tasks: list[Task], tmp_path: Path) -> None:
    path = tmp_path / "sweep.h5"
    create_sweep_file(path, experiment, driver="gather", provenance={"uuid": "1", "date": "2026"})
    worker = Worker(experiment, Clock(Limits()), 2, None, threads=False)
    done = worker.run(tasks[0]) + worker.run(tasks[1])
    clock = Clock(Limits(job_s=1e9))
    tally, printed = Tally(clock), io.StringIO()
    outcomes = [
        *done,
        Outcome(tasks[2], {"rank": 1, "wall_s": 0.5}, failure="it exploded"),
        Outcome(tasks[3], dropped=True),
        Outcome(tasks[4], unwritable="the disk is full"),
        Outcome(tasks[5], unwritable="and another"),
    ]
    with SweepWriter(path) as writer, Progress(12, "trial", work=1.0, stream=printed) as progress:
        tally.store([], writer, progress)
        tally.store(outcomes, writer, progress)
        assert progress.done == 3
    assert (tally.done, tally.failed, tally.stop, tally.out_of_time) == (2, 1, False, True)
    assert tally.unwritable == "the disk is full", "the first reason is the one to print"
    assert trials_done(path) == {tasks[0].trial.index, tasks[1].trial.index}
    status = sweep_status(path)
    assert (status.failed, status.pending) == (1, 9)
    assert "it exploded" in printed.getvalue()
    assert clock.expected_s(tasks[0].cost) > 0, "rank 0 learns from the workers how long trials take"


def test_a_batch_that_rank_0_cannot_store_counts_for_nothing(
    experiment: Experiment, tasks: list[Task], tmp_path: Path
) -> None:
    path = tmp_path / "sweep.h5"
    create_sweep_file(path, experiment, driver="gather", provenance={"uuid": "1", "date": "2026"})
    outcomes = Worker(experiment, Clock(Limits()), 2, None, threads=False).run(tasks[0])
    tally = Tally(Clock(Limits()))
    with SweepWriter(path) as writer, Progress(12, "trial", stream=io.StringIO()) as progress:
        writer.close()  # the system refuses a descriptor that is closed
        tally.store(outcomes, writer, progress)
        assert progress.done == 0
    assert tally.unwritable is not None
    assert "free some space" in tally.unwritable
    assert tally.done == 0
    assert not trials_done(path)
