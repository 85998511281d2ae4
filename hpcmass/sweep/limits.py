"""Time and signals: the job's time left, how long trials take, when one has hung, and when to stop.

The time loop of a trial checks its deadline after every block of steps, which ends a trial that is merely slow.
An alarm interrupts a blocking call in Python. A call that never returns to Python can only be ended with its process,
and so with the job: the stack goes to the log, the trial stays pending, and nothing that is done is lost.
"""

from __future__ import annotations

import faulthandler
import math
import os
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from hpcmass.errors import EXIT_INTERRUPTED, TrialTimeout
from hpcmass.interrupts import STOPS

REMEMBERED = 512
"""Trials, or points that were compared, from which a pace is estimated."""

CAUTIOUS = 0.9
"""Quantile of the paces that predicts a trial's time: a trial that would not fit is not begun."""

CLOSING_S, CLOSING_SHARE = 30.0, 0.02
"""Part of the time limit that is reserved for closing files: seconds, or a fraction of a short limit."""

ALARM_AFTER_S = 5.0
"""From the deadline to the alarm: the time loop comes first."""

END_AFTER_S = 60.0
"""Time (s) beyond twice its limit after which a trial that does not react is ended with its process."""


@dataclass(frozen=True)
class Limits:
    """Time limits of a job.

    Attributes
    ----------
    job_s : float or None
        From the start of the command to its end (`--time-limit`).
    trial_s : float or None
        For one trial (`--trial-timeout`).
    """

    job_s: float | None = None
    trial_s: float | None = None


class Clock:
    """One process's view of the time; every rank keeps its own.

    Parameters
    ----------
    limits : Limits
    started : float, optional
        Time of `time.monotonic` (s) from which the job's limit counts; now by default.
    """

    def __init__(self, limits: Limits, started: float | None = None) -> None:
        self.limits = limits
        self.started = time.monotonic() if started is None else started
        self._paces: deque[float] = deque(maxlen=REMEMBERED)
        self._comparisons: deque[float] = deque(maxlen=REMEMBERED)

    @property
    def end(self) -> float:
        """Time of `time.monotonic` (s) until which trials may run."""
        if self.limits.job_s is None:
            return math.inf
        return self.started + self.limits.job_s - min(CLOSING_S, CLOSING_SHARE * self.limits.job_s)

    def note(self, cost: float, seconds: float) -> None:
        """Record how long a trial of some expected cost took."""
        if self.limits.job_s is not None and cost > 0:
            self._paces.append(seconds / cost)

    def note_comparison(self, n_trials: int, seconds: float) -> None:
        """Record how long comparing so many trials took: it depends on their length, hardly on their cost."""
        if self.limits.job_s is not None and n_trials > 0:
            self._comparisons.append(seconds / n_trials)

    def expected_s(self, cost: float, n_compared: int = 0) -> float:
        """Conservative time of trials of that cost, and of comparing so many; what is not known yet counts as 0."""
        return cost * _cautious(self._paces) + n_compared * _cautious(self._comparisons)

    @property
    def best_pace(self) -> float:
        """Seconds for a unit of cost, at best; 0 until a second trial was timed: the first one loads the kernels."""
        return min(self._paces) if len(self._paces) > 1 else 0.0

    @property
    def best_comparison(self) -> float:
        """Seconds for a trial that is compared, at best; 0 while that is unknown."""
        return min(self._comparisons, default=0.0)

    def fits(self, cost: float, n_compared: int = 0) -> bool:
        """True if trials of that cost, begun now, and comparing so many, are expected to end in time."""
        return self.limits.job_s is None or time.monotonic() + self.expected_s(cost, n_compared) <= self.end

    def is_up(self) -> bool:
        """True when the job's time is over."""
        return time.monotonic() >= self.end

    def is_over(self) -> bool:
        """True when the job's time is over, or a signal has told this process to stop."""
        return stop_requested() or self.is_up()

    def deadline(self) -> float | None:
        """Time of `time.monotonic` (s) at which a trial begun now is to be given up."""
        end = self.end
        if self.limits.trial_s is not None:
            end = min(end, time.monotonic() + self.limits.trial_s)
        return end if math.isfinite(end) else None


def _cautious(paces: Collection[float]) -> float:
    return sorted(paces)[math.floor(CAUTIOUS * (len(paces) - 1))] if paces else 0.0


@contextmanager
def watched(deadline: float | None, limit_s: float | None) -> Iterator[None]:
    """Interrupt the block when it has not ended long after its deadline.

    Parameters
    ----------
    deadline : float or None
        Time of `time.monotonic` (s); None for no end.
    limit_s : float or None
        Limit of one trial: far beyond it the process ends. None leaves that to the batch system.

    Raises
    ------
    TrialTimeout
        From within the block, at the alarm.
    """
    if deadline is None or threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(number: int, frame: object) -> None:
        raise TrialTimeout("interrupted because it did not react to its deadline")

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        if limit_s is not None:
            faulthandler.dump_traceback_later(2 * limit_s + END_AFTER_S, exit=True, file=sys.__stderr__ or sys.stderr)
        # repeated, because the first may arrive where an exception is swallowed
        signal.setitimer(signal.ITIMER_REAL, max(0.0, deadline - time.monotonic()) + ALARM_AFTER_S, ALARM_AFTER_S)
        yield
    finally:
        try:
            faulthandler.cancel_dump_traceback_later()
            signal.setitimer(signal.ITIMER_REAL, 0)
        finally:  # a late alarm may arrive anywhere above
            signal.setitimer(signal.ITIMER_REAL, 0)
            faulthandler.cancel_dump_traceback_later()
            signal.signal(signal.SIGALRM, before)


_stop = False


def stop_requested() -> bool:
    """Whether a signal has told this process to stop."""
    return _stop


def note_signals(*numbers: signal.Signals) -> dict[signal.Signals, Any]:
    """From now on these signals only set a flag, unless SIGHUP or SIGINT is ignored; returns the handlers before."""

    def note(number: int, frame: object) -> None:
        global _stop
        if number == signal.SIGINT and _stop:
            os._exit(EXIT_INTERRUPTED)
        _stop = True

    global _stop
    _stop = False
    may_be_ignored = (signal.SIGHUP, signal.SIGINT)
    return {
        number: signal.signal(number, note)
        for number in numbers
        if number not in may_be_ignored or signal.getsignal(number) != signal.SIG_IGN
    }


@contextmanager
def stopping_on_signals(*, until_exit: bool = False) -> Iterator[None]:
    """While the block runs, SIGTERM, SIGUSR1 and SIGHUP, unless `nohup` has it ignored, only set a flag.

    Parameters
    ----------
    until_exit : bool
        This is one of several ranks, and the process is about to end after the block. Ctrl-C, which some launchers
        pass to all ranks, only sets the flag, too; pressed again, it ends the rank. After the block all of these are
        ignored: where one rank has ended with another code than 0, as after a stop, mpiexec sends SIGTERM to the ranks
        that are still exiting, and would end with their 143.
    """

    global _stop
    old = note_signals(*STOPS, signal.SIGINT) if until_exit else note_signals(*STOPS)
    try:
        yield
    finally:
        for number, handler in old.items():
            signal.signal(number, signal.SIG_IGN if until_exit else handler)
        _stop = _stop and until_exit
