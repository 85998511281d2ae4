"""Time on the sweep: what the job has left, how long trials take, and when one has hung."""

from __future__ import annotations

import math
import time
from collections import deque
from dataclasses import dataclass

REMEMBERED = 512
"""Trials from which the pace is estimated."""

CAUTIOUS = 0.9
"""Quantile of the paces by which a trial is expected to take: one that would not fit is better not begun."""

CLOSING_S, CLOSING_SHARE = 30.0, 0.02
"""Kept of the time limit for closing and joining files: so much, or so large a share of a short limit."""


@dataclass(frozen=True)
class Limits:
    """What a job is given.

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

    @property
    def end(self) -> float:
        """Time of `time.monotonic` (s) until which trials may run."""
        if self.limits.job_s is None:
            return math.inf
        return self.started + self.limits.job_s - min(CLOSING_S, CLOSING_SHARE * self.limits.job_s)

    def note(self, cost: float, seconds: float) -> None:
        """Remember how long a trial of some expected cost took."""
        if self.limits.job_s is not None and cost > 0:
            self._paces.append(seconds / cost)

    def expected_s(self, cost: float) -> float:
        """How long a trial of that cost takes, on the long side; 0 while nothing is known."""
        if not self._paces:
            return 0.0
        paces = sorted(self._paces)
        return cost * paces[math.floor(CAUTIOUS * (len(paces) - 1))]

    def fits(self, cost: float) -> bool:
        """True if a trial begun now is expected to end in time."""
        return self.limits.job_s is None or time.monotonic() + self.expected_s(cost) <= self.end

    def is_up(self) -> bool:
        """True when the job's time is over."""
        return time.monotonic() >= self.end

    def deadline(self) -> float | None:
        """Time of `time.monotonic` (s) at which a trial begun now is to be given up."""
        end = self.end
        if self.limits.trial_s is not None:
            end = min(end, time.monotonic() + self.limits.trial_s)
        return end if math.isfinite(end) else None
