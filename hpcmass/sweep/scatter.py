"""Scattering: rank 0 distributes the trials (`hpcmass.order`); the other ranks simulate them.

On one machine other processes do so without MPI (`-j`): the first process is rank 0, the others are 1, 2, … With
parallel HDF5 a rank writes the traces of a trial itself, in a thread beside its next trial, and reports the trial with
its next result, when the traces are on the disk. Otherwise the recording travels to rank 0. Either way rank 0 alone
stores numbers and status. A trial's own failure is recorded and the sweep continues; a disk that is full stops it.
SIGTERM or SIGUSR1 on any rank stops the scattering, and the running trials end. Near the job's time limit only trials
that should fit are begun, and what still runs then is dropped.
"""

from __future__ import annotations

import os
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np

from hpcmass.config import Experiment
from hpcmass.costs import point_costs
from hpcmass.errors import LostWorker, TrialFailure, TrialTimeout, UserError
from hpcmass.grid import Trial
from hpcmass.interrupts import STOPS
from hpcmass.order import TASKS_PER_WORKER, point_order
from hpcmass.parallel.communicator import Communicator
from hpcmass.parallel.executors import Workers, batches, processes, ranks
from hpcmass.progress import Progress
from hpcmass.store.kept import kept
from hpcmass.store.schema import TRACES
from hpcmass.store.sweep_file import Index
from hpcmass.store.writer import Ended, ParallelTraceWriter, SweepWriter
from hpcmass.sweep.limits import Clock, note_signals, stop_requested, watched
from hpcmass.sweep.prepare import Prepared
from hpcmass.user_code import Failures

if TYPE_CHECKING:
    from hpcmass.sweep.in_situ import InSitu
    from hpcmass.sweep.points import PointTask


@dataclass(frozen=True, slots=True)
class Task:
    """A trial and its expected cost.

    Attributes
    ----------
    trial : Trial
    cost : float
    n_compared : int
        Trials for whose comparison there has to be time, too: those of its point, where it is stored with the results.
    """

    trial: Trial
    cost: float
    n_compared: int = 0


@dataclass(frozen=True)
class Outcome:
    """What returns to rank 0 from a trial, or from a point.

    Attributes
    ----------
    task : Task or None
        The trial; None where it concerns a whole point.
    values : dict
        Its numbers; its traces, too, unless its rank has written them.
    failure : str or None
        Why it failed.
    unwritable : str or None
        Why its traces could not be written, or the point not compared: it stays as it was.
    dropped : bool
        There was no time for it: it stays as it was.
    stop : bool
        Its rank was told to stop.
    compared : tuple or None
        Place and results of a point, and the errors of models and statistics at it.
    recording : dict or None
        Traces of every step, for the process that compares the point.
    pace : float
        `Clock.best_pace` of its rank, where trials are not stored.
    comparison_pace : float
        Seconds for a trial that was compared; 0 where none was.
    """

    task: Task | None
    values: dict[str, Any] = field(default_factory=dict, repr=False)
    failure: str | None = None
    unwritable: str | None = None
    dropped: bool = False
    stop: bool = False
    compared: tuple[Index, Mapping[str, Any], Failures] | None = field(default=None, repr=False)
    recording: Mapping[str, Any] | None = field(default=None, repr=False)
    pace: float = 0.0
    comparison_pace: float = 0.0

    @property
    def trial(self) -> Trial:
        """The trial that has ended."""
        assert self.task is not None
        return self.task.trial

    @property
    def cost(self) -> float:
        """Expected cost of the trial."""
        return 0.0 if self.task is None else self.task.cost


class Worker:
    """State of a process that works for a sweep.

    Parameters
    ----------
    experiment : Experiment
    clock : Clock
    rank : int
    writer : ParallelTraceWriter or None
        None: recordings travel to rank 0.
    threads : bool
        Traces may be written in a thread.
    """

    def __init__(
        self, experiment: Experiment, clock: Clock, rank: int, writer: ParallelTraceWriter | None, threads: bool
    ) -> None:
        self.experiment, self.clock, self.rank, self.writer = experiment, clock, rank, writer
        self._thread = ThreadPoolExecutor(1) if writer is not None and threads else None
        self._writing: Future[Outcome] | None = None

    def run(self, task: Any) -> list[Outcome]:
        """Do a task, a trial; returns what can be stored now: this one or, where traces are still written, the last."""
        outcome = self.simulate(task)
        if self._thread is None or not outcome.values or outcome.failure is not None:
            return [self.stored(outcome)]
        outcome, last = self._kept(outcome), self.finish()
        self._writing = self._thread.submit(self._write, outcome)
        return last

    def finish(self) -> list[Outcome]:
        """The trial whose traces are being written, when they are on the disk."""
        last = [] if self._writing is None else [self._writing.result()]
        self._writing = None
        return last

    def stored(self, outcome: Outcome) -> Outcome:
        """A trial without the traces that no file keeps, or that this process has written."""
        if not outcome.values or outcome.failure is not None:
            return outcome
        return self._kept(outcome) if self.writer is None else self._write(self._kept(outcome))

    def _kept(self, outcome: Outcome) -> Outcome:
        return replace(outcome, values=kept(outcome.values, outcome.trial.number, self.experiment))

    def _write(self, outcome: Outcome) -> Outcome:
        assert self.writer is not None
        try:
            self.writer.write(outcome.trial, outcome.values)
        except UserError as error:
            return replace(outcome, values={}, unwritable=str(error))
        return replace(outcome, values={name: v for name, v in outcome.values.items() if name not in TRACES})

    def simulate(self, task: Task) -> Outcome:
        """Simulate a trial; without values if there is no time for it, or this process was told to stop."""
        from hpcmass.network import simulate

        trial, limits = task.trial, self.clock.limits
        start = time.perf_counter()
        # it has waited here since it was submitted
        if stop_requested():
            return Outcome(task, stop=True)
        if not self.clock.fits(task.cost, task.n_compared):
            return Outcome(task, dropped=True)
        try:
            network = self.experiment.network_at(trial.values)
            deadline = self.clock.deadline()
            with watched(deadline, limits.trial_s):
                recording = simulate(network, trial.values["p"], trial.values["lam"], trial.seed, deadline=deadline)
        except Exception as error:  # whatever the error is, the other trials continue
            if isinstance(error, TrialTimeout) and self.clock.is_up():
                return Outcome(task, dropped=True, stop=stop_requested())
            message = _message(error)
            if isinstance(error, TrialTimeout) and limits.trial_s is not None:
                message = f"took longer than --trial-timeout, {limits.trial_s:g} s; {message}"
            values = {"rank": self.rank, "wall_s": time.perf_counter() - start}
            return Outcome(task, values, failure=message, stop=stop_requested())
        self.clock.note(task.cost, recording.wall_s)
        return Outcome(task, {**recording.variables(), "rank": self.rank}, stop=stop_requested())


def _message(error: Exception) -> str:
    """Why a trial failed; for an unexpected error, with the place in the source."""
    if isinstance(error, TrialFailure):
        return str(error)
    frames = traceback.extract_tb(error.__traceback__)
    place = f" ({os.path.basename(frames[-1].filename)}:{frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {error}{place}"


MakeWorker = Callable[[int, ParallelTraceWriter | None, bool], Worker]
"""Makes the worker of a process, given its number, its writer of traces, and whether that may use a thread."""

_worker: Worker
"""This process's; tasks arrive by pickle and find it here."""


def _run(task: Any) -> list[Outcome]:
    return _worker.run(task)


def _begin(make: MakeWorker, number: int) -> None:
    """Prepare a process of this machine, which has a number, for its trials: a signal to stop only sets a flag."""
    global _worker
    note_signals(*STOPS)
    _worker = make(number, None, False)


class Tally:
    """Outcomes so far, on rank 0; with `own_clock` the trials run in this process, whose clock knows their times."""

    def __init__(self, clock: Clock, *, own_clock: bool = False) -> None:
        self.done = self.failed = 0
        self.stop = False
        self.out_of_time = False
        self.unwritable: str | None = None
        self._clock, self._own_clock = clock, own_clock
        self._paces: list[float] = []

    @property
    def best_pace(self) -> float:
        """Seconds for a unit of cost, at best, where trials were not stored; 0 while that is unknown."""
        return self._clock.best_pace if self._own_clock else min(self._paces, default=0.0)

    def keep_going(self) -> bool:
        """False once a rank was told to stop or the disk is full."""
        return not (self.stop or stop_requested() or self.unwritable is not None)

    def may_begin(self, task: Task | PointTask) -> bool:
        """True if there is time for a trial, or a point; cheaper ones behind it may still fit."""
        fits = self._clock.fits(task.cost, task.n_compared)
        self.out_of_time = self.out_of_time or not fits
        return fits

    def store(
        self, outcomes: list[Outcome], writer: SweepWriter, progress: Progress, comparison: InSitu | None = None
    ) -> None:
        """Store and count trials that have ended; the results of their points come first."""
        ended = [o for o in outcomes if o.values]
        try:
            for outcome in outcomes:
                if outcome.compared is not None and comparison is not None:
                    for first in comparison.write(*outcome.compared):
                        progress.note(f"{first}; the sweep goes on, leave the code as it is until the end")
            writer.store(Ended(o.trial, o.values, o.failure) for o in ended)
        except UserError as error:
            self.unwritable = str(error)
            ended = []
        for outcome in outcomes:
            self.stop = self.stop or outcome.stop
            self.out_of_time = self.out_of_time or outcome.dropped
            self.unwritable = self.unwritable or outcome.unwritable
            self._paces += [outcome.pace] if outcome.pace else []
            if outcome.comparison_pace and not self._own_clock:
                self._clock.note_comparison(1, outcome.comparison_pace)
        for outcome in ended:
            if outcome.failure is not None:
                self.failed += 1
                progress.note(f"failed: {outcome.trial.label()}: {outcome.failure}")
            else:
                self.done += 1
                if not self._own_clock:
                    self._clock.note(outcome.cost, outcome.values["wall_s"])
            progress.advance(outcome.cost)


def scatter(
    comm: Communicator, prepared: Prepared, queue: list[Trial], clock: Clock, comparison: InSitu | None = None
) -> Tally:
    """Run trials on all ranks and store them; returns when this rank has nothing more to do.

    Queue, comparison and tally are rank 0's; each rank has its own clock.
    """
    global _worker
    tally = Tally(clock, own_clock=comm.size == 1 and prepared.jobs == 1)
    others = comm.without_root() if prepared.driver == "mpio" else None
    writes = prepared.driver == "mpio" and not comm.is_root
    traces = comm.on_all(lambda: ParallelTraceWriter(prepared.output, others) if writes else None)
    make = partial(Worker if prepared.comparing is None else prepared.comparing.worker, prepared.experiment, clock)
    _worker = make(comm.rank, traces, writes and comm.has_threads())
    if comm.is_root:
        n_workers = comm.size - 1 if comm.size > 1 else prepared.jobs
        _hand_out(comm, prepared, in_order(queue, prepared.experiment, n_workers), tally, make, comparison)
    else:
        with ranks(comm):
            comm.gather(_worker.finish())
    comm.on_all(lambda: None if traces is None else traces.close())
    return tally


def _hand_out(
    comm: Communicator,
    prepared: Prepared,
    tasks: list[Task],
    tally: Tally,
    make: MakeWorker,
    comparison: InSitu | None,
) -> None:
    """Rank 0's part of a sweep."""
    before = prepared.total - prepared.missing - prepared.failed
    progress = Progress(
        before + len(tasks),
        "trial",
        work=prepared.cost_done + sum(task.cost for task in tasks),
        before=before,
        work_before=prepared.cost_done,
    )
    every: Iterable[Task | PointTask] = tasks
    spread = None
    if comparison is not None:
        every = points = comparison.tasks(tasks, point_costs(prepared.experiment))
        spread = comparison.spread(points, tally.may_begin)
    with SweepWriter(prepared.output) as writer, progress:
        with _workers(comm, prepared, make) as workers:
            assert workers is not None
            stop = workers.stop

            def keep_going() -> bool:
                if not tally.keep_going():
                    stop()
                    return False
                return True

            fitting = spread or (task for task in every if tally.may_begin(task))
            in_flight = workers.in_flight(TASKS_PER_WORKER)
            for results in batches(workers.executor, _run, fitting, in_flight=in_flight, keep_going=keep_going):
                outcomes = list(chain.from_iterable(results))
                outcomes = outcomes if spread is None else spread.completed(outcomes)
                tally.store(outcomes, writer, progress, comparison)
                progress.tick()
        tally.store(list(chain.from_iterable(comm.gather(_worker.finish()))), writer, progress)
    tally.stop = tally.stop or stop_requested()


@contextmanager
def _workers(comm: Communicator, prepared: Prepared, make: MakeWorker) -> Iterator[Workers | None]:
    """The other ranks, other processes of this machine, or this process alone."""
    if comm.size > 1:
        with ranks(comm) as workers:
            yield workers
        return
    try:
        with processes(prepared.jobs, partial(_begin, make)) as workers:
            yield workers
    except LostWorker as error:
        raise UserError(f"{error}; what is done is kept, the same command continues") from None


def in_order(trials: list[Trial], experiment: Experiment, n_workers: int) -> list[Task]:
    """Trials with their expected cost, as they are to be handed out to so many workers."""
    costs = point_costs(experiment)
    n_trials = np.zeros(costs.shape, np.int64)
    for trial in trials:
        n_trials[trial.index[:-1]] += 1
    order = point_order(costs, n_trials, n_workers)
    place = np.zeros(costs.shape, np.int64)
    place.flat[order] = np.arange(order.size)
    tasks = [Task(trial, float(costs[trial.index[:-1]])) for trial in trials]
    return sorted(tasks, key=lambda task: (place[task.trial.index[:-1]], task.trial.index))
