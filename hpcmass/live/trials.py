"""How far a sweep is, in one or several files, and whether a job is still writing it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hpcmass.progress import duration, rate, trial_counts
from hpcmass.store.parts import SweepParts
from hpcmass.store.schema import DONE, FAILED, PENDING
from hpcmass.store.status import sweep_status
from hpcmass.text import counted

NOT_REQUESTED = -1
"""In place of a trial's state where the configuration leaves its point out."""


@dataclass(frozen=True)
class SweepProgress:
    """Counts, rate and time left of a sweep.

    Attributes
    ----------
    done, failed, pending : int
        Trials; a trial that is in several files counts once, and only trials that are assigned to the files count.
    running : bool
        A job is writing one of the files, as far as this machine can tell.
    workers : int
        Processes of the jobs that run.
    rate_per_hour, eta_s : float
        Of the jobs that run; NaN if unknown.
    """

    done: int
    failed: int
    pending: int
    running: bool
    workers: int
    rate_per_hour: float
    eta_s: float

    @property
    def total(self) -> int:
        """Trials in all."""
        return self.done + self.failed + self.pending

    @property
    def finished(self) -> bool:
        """True if no trial is pending."""
        return self.pending == 0

    def counts(self) -> str:
        """`37 of 300 trials done, 1 failed, 262 pending`."""
        return trial_counts(self.total, self.done, self.failed, self.pending)

    def pace(self) -> str:
        """`3.2/min on 4 workers, 1 h 20 min left`; empty where no job runs or nothing is done yet."""
        if not self.running or not self.pending or not math.isfinite(self.rate_per_hour):
            return ""
        return f"{rate(self.rate_per_hour / 3600)} on {counted(self.workers, 'worker')}, {duration(self.eta_s)} left"

    def state(self) -> str:
        """`running`, `finished` or `not running`."""
        return "finished" if self.finished else "running" if self.running else "not running"


def progress_of(parts: SweepParts) -> SweepProgress:
    """The progress of a sweep; nothing is locked."""
    found = [sweep_status(path) for path in parts.paths]
    running = [status for status in found if status.running]
    timed = [status for status in running if math.isfinite(status.rate_per_hour)]
    left = [status.eta_s for status in timed if status.pending and math.isfinite(status.eta_s)]
    return SweepProgress(
        done=int((parts.status == DONE).sum()),
        failed=int((parts.status == FAILED).sum()),
        pending=int(((parts.status == PENDING) & parts.assigned).sum()),
        running=bool(running),
        workers=sum(status.workers for status in running),
        rate_per_hour=math.fsum(status.rate_per_hour for status in timed) if timed else math.nan,
        eta_s=max(left) if left else math.nan,
    )


def sweep_note(progress: SweepProgress, compared: int, points: int) -> tuple[str, str]:
    """The state of a sweep for a page: a word, `finished`, `running` or `stopped`, and a sentence."""
    counts = f"{progress.counts()}; {compared} of {points} points compared"
    if progress.finished:
        return "finished", f"The sweep has finished: {counts}."
    if progress.running:
        pace = progress.pace()
        return "running", f"The sweep is running: {counts}{f'; {pace}' if pace else ''}."
    return "stopped", f"No job is writing the sweep now: {counts}. The same command continues it."


@dataclass(frozen=True, eq=False)
class Trials:
    """The trials of a sweep at one moment.

    Attributes
    ----------
    axes : dict of str to tuple of float
    numbers : array of int, (trial,)
    status : array of int8, (axes…, trial)
        `NOT_REQUESTED` at the points that the configuration leaves out.
    rank, owner : array of int, (axes…, trial)
        Rank that ran the trial, and the file that has it, by its place among the files.
    wall_s : array of float, (axes…, trial)
    values : array of float, (axes…, trial)
        The statistic that was asked for, NaN where it is not defined or the trial is not done.
    progress : SweepProgress
    labels : list of str
        A name for each file, `part 3` or the file's.
    """

    axes: dict[str, tuple[float, ...]]
    numbers: npt.NDArray[np.int32]
    status: npt.NDArray[np.int8]
    rank: npt.NDArray[np.int64]
    owner: npt.NDArray[np.int32]
    wall_s: npt.NDArray[np.float64]
    values: npt.NDArray[np.float64]
    progress: SweepProgress
    labels: list[str]


def read_trials(paths: Sequence[Path], statistic: str | None = None) -> Trials:
    """The trials of one or several files of a sweep, with a per-trial number.

    Raises
    ------
    UserError
        If the files are not readable sweeps, or not of one sweep.
    """
    with SweepParts(paths) as parts:
        names = ["rank", "wall_s", *([statistic] if statistic else [])]
        found = parts.gathered(names)
        values = np.full(parts.shape, np.nan)
        if statistic in found:
            stored = found[statistic]
            missing = (parts.status != DONE) | ((stored < 0) if stored.dtype.kind == "i" else np.zeros((), bool))
            values = np.where(missing, np.nan, stored)
        labels = [f"part {part.number}" if (part := parts.file(i).part) else parts.paths[i].name for i in parts.indices]
        return Trials(
            axes=parts.axes,
            numbers=parts.trial_numbers,
            status=np.where(parts.requested, parts.status, np.int8(NOT_REQUESTED)),
            rank=np.asarray(found.get("rank", np.full(parts.shape, -1)), dtype=np.int64),
            owner=parts.owner,
            wall_s=np.asarray(found.get("wall_s", np.full(parts.shape, np.nan)), dtype=np.float64),
            values=values,
            progress=progress_of(parts),
            labels=labels,
        )
