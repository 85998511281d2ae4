"""How far a sweep is: counts, failures with their reasons, rate and time left; also while it runs."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from hpcmass.costs import point_costs
from hpcmass.store.lock import is_locked, workers_now
from hpcmass.store.parts import part_of, share_of
from hpcmass.store.reader import Path_, axes_of, experiment_of
from hpcmass.store.schema import DONE, FAILED, PENDING
from hpcmass.store.sources import open_all, sources_of, states_of


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
        Wall times of all trials, failed ones included and those taken over from another sweep left out, and what the
        pending ones are expected to take.
    failures : tuple of Failure
    """

    path: str
    title: str
    driver: str
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
    """Look at a sweep without locking anything, from its shards if it has any.

    Raises
    ------
    UserError
        If it is not a readable sweep file.
    """
    path = Path(path)
    sources = sources_of(path) or [path]  # to open what is not there says what is wrong
    with open_all(sources) as files:
        return _status(path, files, own=sources == [path])


def _status(path: Path, files: list[h5py.File], *, own: bool) -> Status:
    first = files[0]
    states = states_of(files)
    part = part_of(first) if len({str(part_of(file)) for file in files}) == 1 else None
    ours = share_of(first) if part else np.ones(states.status.shape, bool)
    status = states.status
    done, pending = status == DONE, (status == PENDING) & ours

    def gather(name: str) -> npt.NDArray[Any]:
        values: npt.NDArray[Any] = first[name][()]
        for i, file in enumerate(files):
            values[states.owner == i] = file[name][()][states.owner == i]
        return values

    axes, numbers = axes_of(first), first["trial"][()]
    errors = gather("error")
    failures = tuple(
        Failure(
            {name: axes[name][i] for name, i in zip(axes, index, strict=False)},
            int(numbers[index[-1]]),
            errors[tuple(index)].decode(errors="replace"),
        )
        for index in np.argwhere(status == FAILED)
    )
    experiment = experiment_of(first)
    all_wall_s = gather("wall_s")
    wall_s = all_wall_s[done]
    rank = gather("rank")
    ours_too = rank >= 0  # and not taken over from another sweep
    sweeps = np.array([str(file.attrs["uuid"]) for file in files])[states.owner]  # the shards of one are one sweep
    at_work = done & ours_too
    workers = workers_now(path) or len(set(zip(sweeps[at_work], rank[at_work].tolist(), strict=True)))
    total_wall_s = float(np.sum(wall_s))
    cost = np.broadcast_to(point_costs(experiment, axes)[..., None], status.shape)
    left_s = total_wall_s * float(cost[pending].sum() / cost[done].sum()) if wall_s.size else math.nan
    return Status(
        path=str(path),
        title=str(first.attrs["title"]),
        driver=str(first.attrs["driver"]) if own else "shards",
        running=is_locked(path),
        part=str(part) if part else None,
        total=int(ours.sum()),
        done=int(done.sum()),
        failed=len(failures),
        pending=int(pending.sum()),
        workers=workers,
        mean_wall_s=total_wall_s / wall_s.size if wall_s.size else math.nan,
        rate_per_hour=3600 * workers * wall_s.size / total_wall_s if total_wall_s and workers else math.nan,
        eta_s=left_s / workers if workers else math.nan,
        core_hours_used=float(np.nansum(all_wall_s[(status != PENDING) & ours_too])) / 3600,
        core_hours_left=left_s / 3600 if pending.any() else 0.0,
        failures=failures,
    )
