"""Looks at a sweep file that several tests take."""

from pathlib import Path

import h5py
import numpy as np

from hpcmass.store.provenance import history_of
from hpcmass.store.schema import DONE


def history(path: Path) -> list[str]:
    with h5py.File(path, "r", locking=False) as file:
        return history_of(file)


def times_of_trials(path: Path) -> dict[tuple[int, ...], float]:
    """Index of every trial that is done → its wall time, which no second computation repeats."""
    with h5py.File(path, "r", locking=False) as file:
        return {tuple(i): float(file["wall_s"][tuple(i)]) for i in np.argwhere(file["status"][()] == DONE)}
