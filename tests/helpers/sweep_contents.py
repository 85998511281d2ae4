"""Contents of a sweep file, read by h5py alone."""

from __future__ import annotations

import hashlib
from pathlib import Path

import h5py
import numpy as np

from hpcmass.store.provenance import history_of
from hpcmass.store.schema import DONE, NUMBERS, TRACES


def fingerprint(path: Path) -> dict[str, str]:
    """Name → hash of the bytes of every scientific dataset."""
    with h5py.File(path, "r", locking=False) as file:
        names = (*TRACES, *NUMBERS, "seed", "status", "p", "lam", "trial", "time")
        return {name: hashlib.sha256(file[name][()].tobytes()).hexdigest() for name in names}


def n_done(path: Path) -> int:
    """Trials marked done; 0 while there is no file."""
    if not path.exists():
        return 0
    with h5py.File(path, "r", locking=False) as file:
        return int((file["status"][()] == DONE).sum())


def history(path: Path) -> list[str]:
    """The lines of the file's history."""
    with h5py.File(path, "r", locking=False) as file:
        return history_of(file)


def times_of_trials(path: Path) -> dict[tuple[int, ...], float]:
    """Index of every trial that is done → its wall time, which no second computation repeats."""
    with h5py.File(path, "r", locking=False) as file:
        return {tuple(i): float(file["wall_s"][tuple(i)]) for i in np.argwhere(file["status"][()] == DONE)}
