"""Trials of an earlier sweep taken over into a larger one: same values, same seed, same physics, the same bytes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import h5py
import numpy as np

from hpcmass.axes import canonical
from hpcmass.config import Experiment
from hpcmass.errors import UserError
from hpcmass.grid import Trial
from hpcmass.nearest import missing_file
from hpcmass.store.identity import require_same_physics
from hpcmass.store.reader import axes_of
from hpcmass.store.schema import DONE, SWEEP_VARIABLES
from hpcmass.store.sources import open_all, sources_of, states_of
from hpcmass.store.writer import SlabWriter

BATCH_BYTES = 2**26
"""Most that is held in memory at a time."""

NOT_TAKEN = ("status", "seed", "part", "error")
"""What the new file has of its own, or the writer sets."""

TAKEN_OVER = -1
"""Rank of trials that were not computed here."""

WHAT_TO_DO = "leave out --reuse, or give another file"


def require_reusable(old: Path, experiment: Experiment) -> None:
    """Refuse an earlier sweep whose trials are none of the experiment's.

    Raises
    ------
    UserError
        If its physics differ or it lacks variables of today's format.
    """
    sources = sources_of(old)
    if not sources:
        raise UserError(f"there is no file {old} to reuse; {missing_file(old)}")
    with open_all(sources) as files:
        for file in files:
            require_same_physics(file, experiment, WHAT_TO_DO)
            lacking = [v.name for v in SWEEP_VARIABLES.values() if v.name not in file and v.role != "bookkeeping"]
            if lacking:
                raise UserError(f"{old} was written by an older version and lacks {', '.join(lacking)}; {WHAT_TO_DO}")


def take_over(old: Path, target: Path, trials: Sequence[Trial]) -> list[Trial]:
    """Copy from an earlier sweep what it has of some trials.

    Parameters
    ----------
    old : Path
        A sweep that `require_reusable` accepts.
    target : Path
        A sweep file that is there, not packed.
    trials : sequence of Trial
        Those wanted, with their places in `target`.

    Returns
    -------
    list of Trial
        Those copied.

    Raises
    ------
    UserError
        If a seed differs although the values are the same, or `target` cannot be written.
    """
    with open_all(sources_of(old)) as files, SlabWriter(target) as writer:
        states = states_of(files)
        axes = {name: {canonical(v): i for i, v in enumerate(values)} for name, values in axes_of(files[0]).items()}
        numbers = {int(n): i for i, n in enumerate(files[0]["trial"][()])}
        found: list[tuple[Trial, tuple[int, ...]]] = []
        for trial in trials:
            place = [axes[name].get(canonical(trial.values[name])) for name in axes] + [numbers.get(trial.number)]
            index = tuple(i for i in place if i is not None)
            if len(index) == len(place) and states.status[index] == DONE:
                found.append((trial, index))
        names = [name for name in SWEEP_VARIABLES if name not in NOT_TAKEN and name in files[0]]
        at_once = max(1, BATCH_BYTES // _trial_bytes(files[0], names))
        for begin in range(0, len(found), at_once):
            writer.write_many(
                [
                    (trial, _recorded(files[states.owner[index]], index, trial, names))
                    for trial, index in found[begin : begin + at_once]
                ]
            )
    return [trial for trial, _ in found]


def _recorded(
    file: h5py.File, index: tuple[int, ...], trial: Trial, names: Sequence[str]
) -> dict[str, np.ndarray[tuple[int, ...], np.dtype[np.generic]]]:
    if tuple(file["seed"][index].tolist()) != trial.seed:
        raise UserError(f"{file.filename} has another seed for {trial.label()}; {WHAT_TO_DO}")
    return {name: file[name][index] for name in names if name in file} | {"rank": np.int32(TAKEN_OVER)}


def _trial_bytes(file: h5py.File, names: Sequence[str]) -> int:
    per_time = sum(file[name].dtype.itemsize for name in names if SWEEP_VARIABLES[name].role == "trace")
    return int(per_time * len(file["time"]) + 1)
