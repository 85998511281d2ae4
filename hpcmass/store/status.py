"""Progress of a sweep: counts, failures with their reasons, rate and time left; also while it runs."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from hpcmass.costs import point_costs
from hpcmass.grid import places
from hpcmass.store.lock import is_locked, workers_now
from hpcmass.store.opening import Path_
from hpcmass.store.schema import DONE, FAILED, PENDING
from hpcmass.store.sweep_file import SweepFile

_point_costs = lru_cache(maxsize=1)(point_costs)
"""Parts by the thousand carry the same experiment."""


@dataclass(frozen=True)
class Failure:
    """A failed trial: its grid values, its number, why."""

    values: dict[str, float]
    trial: int
    message: str


@dataclass(frozen=True)
class Status:
    """State of a sweep.

    Attributes
    ----------
    path, title, driver : str
    physics_sha256 : str
        Files with the same value are of one sweep, or may share trials.
    running : bool
        A job is writing it now, as far as this machine can tell.
    part : str or None
        `i/n` for a part of a job array; its trials alone are counted.
    total, done, failed, pending : int
        Trials.
    workers : int
        Processes that work now; while it does not run, ranks that have finished trials.
    mean_wall_s : float
        Mean wall time of the trials that are done.
    rate_per_hour : float
        Trials an hour, from the wall times and the number of workers.
    eta_s : float
        Expected time for the pending trials, by their expected cost.
    core_hours_used, core_hours_left : float
        Wall times of all trials, failed ones included and those copied from another sweep left out, and what the
        pending ones are expected to take.
    failures : tuple of Failure
    """

    path: str
    title: str
    driver: str
    physics_sha256: str
    running: bool
    part: str | None
    total: int
    done: int
    failed: int
    pending: int
    workers: int
    mean_wall_s: float
    rate_per_hour: float
    eta_s: float
    core_hours_used: float
    core_hours_left: float
    failures: tuple[Failure, ...]

    def as_dict(self) -> dict[str, Any]:
        """For JSON: undefined numbers are null."""
        plain = dataclasses.asdict(self)
        return {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in plain.items()}


def sweep_status(path: Path_) -> Status:
    """The state of a sweep, without locking anything.

    Raises
    ------
    UserError
        If it is not a readable sweep file.
    """
    path = Path(path)
    with SweepFile(path) as file:
        part = file.part
        done = file.status == DONE
        failed = file.status == FAILED
        pending = (file.status == PENDING) & file.assigned
        wall_s, rank = file.variable("wall_s"), file.variable("rank")
        here = rank >= 0  # and not copied from another sweep
        failures = tuple(
            Failure(file.values_at(index), int(file.trial_numbers[index[-1]]), file.error(index))
            for index in places(failed)
        )
        cost = np.broadcast_to(_point_costs(file.experiment)[..., None], file.shape)
        done_wall_s = wall_s[done]
        total_wall_s = float(np.sum(done_wall_s))
        running = is_locked(path)
        workers = (running and workers_now(path)) or len(set(rank[done & here].tolist()))
        left_s = total_wall_s * float(cost[pending].sum() / cost[done].sum()) if done.any() else math.nan
        pace = 3600 * workers * done_wall_s.size / total_wall_s if total_wall_s and workers else math.nan
        return Status(
            path=str(path),
            title=file.title,
            driver=file.driver,
            physics_sha256=file.physics_sha256,
            running=running,
            part=str(part) if part else None,
            total=int(file.assigned.sum()),
            done=int(done.sum()),
            failed=len(failures),
            pending=int(pending.sum()),
            workers=workers,
            mean_wall_s=total_wall_s / done_wall_s.size if done_wall_s.size else math.nan,
            rate_per_hour=pace,
            eta_s=left_s / workers if workers else math.nan,
            core_hours_used=float(np.nansum(wall_s[(done | failed) & here])) / 3600,
            core_hours_left=left_s / 3600 if pending.any() else 0.0,
            failures=failures,
        )
