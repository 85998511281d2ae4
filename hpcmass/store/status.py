"""How far a sweep is: counts, failures with their reasons, rate and time left; also while it runs."""

from __future__ import annotations

import dataclasses
import math
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from hpcmass.grid import point_costs
from hpcmass.store.lock import is_locked
from hpcmass.store.merge import shard_paths, states_of
from hpcmass.store.reader import Path_, axes_of, experiment_of, open_hdf5
from hpcmass.store.schema import DONE, FAILED, PENDING, SWEEP_FILETYPE


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
    total, done, failed, pending : int
        Trials.
    workers : int
        Ranks that have finished trials.
    mean_wall_s : float
        Mean wall time of the trials that are done.
    rate_per_hour : float
        Trials an hour, from the wall times and the number of workers.
    eta_s : float
        Expected time for the trials that are not done, by their expected cost.
    failures : tuple of Failure
    """

    path: str
    title: str
    driver: str
    running: bool
    total: int
    done: int
    failed: int
    pending: int
    workers: int
    mean_wall_s: float
    rate_per_hour: float
    eta_s: float
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
    with ExitStack() as stack:
        if path.exists():
            stack.enter_context(open_hdf5(path, SWEEP_FILETYPE))  # which knows of shards that should be there
        files = [stack.enter_context(open_hdf5(p, SWEEP_FILETYPE)) for p in shard_paths(path) or [path]]
        return _status(path, files)


def _status(path: Path, files: list[h5py.File]) -> Status:
    first = files[0]
    states = states_of(files)
    status = states.status
    done = status == DONE

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
    wall_s = gather("wall_s")[done]
    workers = len(np.unique(gather("rank")[done]))
    total_wall_s = float(np.sum(wall_s))
    cost = np.broadcast_to(point_costs(experiment, axes)[..., None], status.shape)
    rest = float(cost[~done].sum() / cost[done].sum()) if workers else math.nan
    return Status(
        path=str(path),
        title=str(first.attrs["title"]),
        driver="shards" if shard_paths(path) else str(first.attrs["driver"]),
        running=is_locked(path),
        total=status.size,
        done=int(done.sum()),
        failed=len(failures),
        pending=int((status == PENDING).sum()),
        workers=workers,
        mean_wall_s=total_wall_s / wall_s.size if wall_s.size else math.nan,
        rate_per_hour=3600 * workers * wall_s.size / total_wall_s if total_wall_s else math.nan,
        eta_s=rest * total_wall_s / workers if workers else math.nan,
        failures=failures,
    )
