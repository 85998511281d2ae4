"""Scattering: rank 0 hands out the trials, the costliest first; every rank simulates and writes its own.

Only small records return to rank 0. One process alone does everything itself. A trial's own failure is recorded and
the sweep goes on; a disk that is full stops it. SIGTERM or SIGUSR1 on any rank stops the scattering, and the running
trials end. Near the job's time limit only trials that should fit are begun, and what still runs then is dropped.
"""

from __future__ import annotations

import itertools
import os
import signal
import time
import traceback
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any

from hpcmass.config import Experiment
from hpcmass.errors import EXIT_INTERRUPTED, TrialFailure, TrialTimeout, UserError
from hpcmass.grid import Trial, point_costs
from hpcmass.progress import Progress
from hpcmass.store.writer import SlabWriter
from hpcmass.sweep.clock import Clock, Limits
from hpcmass.sweep.mpi import World
from hpcmass.sweep.watchdog import watched

TASKS_PER_WORKER = 2
"""Trials handed to the executor at a time: one runs, one waits, the other 10⁵ stay unpickled."""


@dataclass(frozen=True)
class Outcome:
    """What returns to rank 0 from a trial.

    Attributes
    ----------
    trial : str
        Label for messages.
    cost : float
        Its expected cost.
    failure : str or None
        Why it failed.
    unwritable : str or None
        Why it could not be stored.
    stop : bool
        This rank was told to stop.
    dropped : bool
        There was no time for it: it stays as it was.
    seconds : float
        How long it took.
    """

    trial: str
    cost: float
    failure: str | None = None
    unwritable: str | None = None
    stop: bool = False
    dropped: bool = False
    seconds: float = 0.0


class _ThisRank:
    """What this process holds while the sweep runs; tasks arrive by pickle and find it here."""

    experiment: Experiment
    writer: SlabWriter | None = None
    number: int = 0
    clock: Clock = Clock(Limits())
    stop: bool = False


class Tally:
    """Outcomes so far, on rank 0."""

    def __init__(self) -> None:
        self.done = self.failed = 0
        self.stop = False
        self.out_of_time = False
        self.unwritable: str | None = None

    def add(self, outcome: Outcome, progress: Progress) -> None:
        if outcome.stop:
            self.stop = True
        if outcome.dropped:
            self.out_of_time = True
            return
        if outcome.unwritable is not None:
            self.unwritable = outcome.unwritable
        elif outcome.failure is not None:
            self.failed += 1
            progress.note(f"failed: {outcome.trial}: {outcome.failure}")
        else:
            self.done += 1
            _ThisRank.clock.note(outcome.cost, outcome.seconds)
        progress.advance(outcome.cost)

    @property
    def go_on(self) -> bool:
        return not (self.stop or _ThisRank.stop or self.unwritable is not None)

    def may_begin(self, cost: float) -> bool:
        """True if there is time for a trial of that cost; cheaper ones behind it may still fit."""
        if _ThisRank.clock.fits(cost):
            return True
        self.out_of_time = True
        return False


def scatter(
    here: World, experiment: Experiment, writer: SlabWriter | None, queue: list[Trial], tally: Tally, clock: Clock
) -> None:
    """Run the trials on all ranks; returns when this rank has nothing more to do.

    Parameters
    ----------
    here : World
    experiment : Experiment
    writer : SlabWriter or None
        This rank's; None on a master that writes nothing.
    queue : list of Trial
        On rank 0; empty elsewhere.
    tally : Tally
        Counts the outcomes, on rank 0.
    clock : Clock
        This rank's.
    """
    _ThisRank.experiment, _ThisRank.writer, _ThisRank.number = experiment, writer, here.rank
    _ThisRank.clock = clock
    try:
        if here.size == 1:
            with _progress(queue, experiment) as (costed, progress):
                for trial, cost in costed:
                    if not tally.go_on:
                        break
                    if tally.may_begin(cost):
                        tally.add(_run_trial(trial, cost), progress)
        else:
            from mpi4py.futures import MPICommExecutor

            with MPICommExecutor(here.comm, root=0) as executor:
                if executor is not None:
                    with _progress(queue, experiment) as (costed, progress):
                        _feed(executor, costed, tally, progress, at_a_time=TASKS_PER_WORKER * (here.size - 1))
        tally.stop = tally.stop or _ThisRank.stop
    finally:
        _ThisRank.writer = None


@contextmanager
def _progress(queue: list[Trial], experiment: Experiment) -> Iterator[tuple[list[tuple[Trial, float]], Progress]]:
    costed = costliest_first(queue, experiment)
    with Progress(len(costed), "trial", work=sum(cost for _, cost in costed)) as progress:
        yield costed, progress


def _feed(
    executor: Any, costed: list[tuple[Trial, float]], tally: Tally, progress: Progress, *, at_a_time: int
) -> None:
    rest = (pair for pair in costed if tally.may_begin(pair[1]))
    running: set[Future[Outcome]] = set()
    # finished trials announce themselves: asking 10⁴ futures which of them is done would cost more than 10 ms a trial
    ended: SimpleQueue[Future[Outcome]] = SimpleQueue()
    stopping = False
    while True:
        if tally.go_on:
            for trial, cost in itertools.islice(rest, at_a_time - len(running)):
                future = executor.submit(_run_trial, trial, cost)
                running.add(future)
                future.add_done_callback(ended.put)
        elif not stopping:
            stopping = True
            running -= {future for future in running if future.cancel()}
        if not running:
            return
        with suppress(Empty):
            future = ended.get(timeout=1.0)
            if future in running:  # and not one that was taken back
                running.remove(future)
                tally.add(future.result(), progress)
        progress.tick()


def costliest_first(trials: list[Trial], experiment: Experiment) -> list[tuple[Trial, float]]:
    """Trials with their expected cost, the largest first, so that no rank is left with a long one at the end."""
    costs = point_costs(experiment)
    costed = [(trial, float(costs[trial.index[:-1]])) for trial in trials]
    return sorted(costed, key=lambda pair: (-pair[1], pair[0].index))


def _run_trial(trial: Trial, cost: float) -> Outcome:
    """Simulate and store one trial, on whatever rank this is."""
    from hpcmass.network import simulate

    writer, clock = _ThisRank.writer, _ThisRank.clock
    assert writer is not None
    start = time.perf_counter()
    label = trial.label()
    if not clock.fits(cost):  # it has waited here since it was handed out
        return Outcome(label, cost, dropped=True, stop=_ThisRank.stop)
    try:
        try:
            network = _ThisRank.experiment.network_at(trial.values)
            deadline = clock.deadline()
            with watched(deadline, clock.limits.trial_s):
                recording = simulate(network, trial.values["p"], trial.values["lam"], trial.seed, deadline=deadline)
        except Exception as error:  # whatever it is, the other trials are worth having
            if isinstance(error, TrialTimeout) and clock.is_up():
                return Outcome(label, cost, dropped=True, stop=_ThisRank.stop)
            message = _message(error)
            if isinstance(error, TrialTimeout) and clock.limits.trial_s is not None:
                message = f"took longer than --trial-timeout, {clock.limits.trial_s:g} s; {message}"
            writer.fail(trial, message, rank=_ThisRank.number, wall_s=time.perf_counter() - start)
            return Outcome(label, cost, failure=message, stop=_ThisRank.stop)
        writer.write(trial, recording.variables(), rank=_ThisRank.number)
    except UserError as error:
        return Outcome(label, cost, unwritable=str(error), stop=_ThisRank.stop)
    seconds = time.perf_counter() - start
    if _ThisRank.number != 0:  # rank 0 hears of it from the outcome
        clock.note(cost, seconds)
    return Outcome(label, cost, stop=_ThisRank.stop, seconds=seconds)


def _message(error: Exception) -> str:
    """Why a trial failed; for what nobody foresaw, with the place in the source."""
    if isinstance(error, TrialFailure):
        return str(error)
    frames = traceback.extract_tb(error.__traceback__)
    place = f" ({os.path.basename(frames[-1].filename)}:{frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {error}{place}"


@contextmanager
def told_to_stop(*, to_the_end: bool = False) -> Iterator[None]:
    """While the block runs, SIGTERM, SIGUSR1 and SIGHUP, unless `nohup` has it ignored, only set a flag.

    Parameters
    ----------
    to_the_end : bool
        This is one of several ranks, and the process is about to end after the block. Ctrl-C, which some launchers
        pass to all ranks, only sets the flag, too; pressed again, it ends the rank. After the block all of these are
        ignored: where one rank has ended with another code than 0, as after a stop, mpiexec sends SIGTERM to those
        that are slower to leave, and would end with their 143.
    """

    def note(number: int, frame: object) -> None:
        if number == signal.SIGINT and _ThisRank.stop:
            os._exit(EXIT_INTERRUPTED)
        _ThisRank.stop = True

    _ThisRank.stop = False
    numbers = [signal.SIGTERM, signal.SIGUSR1]
    may_be_ignored = [signal.SIGHUP, signal.SIGINT] if to_the_end else [signal.SIGHUP]
    numbers += [number for number in may_be_ignored if signal.getsignal(number) != signal.SIG_IGN]
    old = {number: signal.signal(number, note) for number in numbers}
    try:
        yield
    finally:
        for number, handler in old.items():
            signal.signal(number, signal.SIG_IGN if to_the_end else handler)
