"""Contents of a sweep file, and how to make it unfinished, or of an earlier format."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from hpcmass.store.provenance import history_of
from hpcmass.store.schema import DONE, ERROR_LENGTH, NUMBERS, PENDING, TRACES

Index = tuple[int, ...]


def attribute(path: Path, name: str) -> Any:
    with h5py.File(path, "r", locking=False) as file:
        return file.attrs[name]


def history(path: Path) -> list[str]:
    with h5py.File(path, "r", locking=False) as file:
        return history_of(file)


def states(path: Path) -> Any:
    with h5py.File(path, "r", locking=False) as file:
        return file["status"][()]


def require_same(path: Path, other: Path, but: Sequence[str] = ()) -> None:
    """Compare every variable of two files but some, to the bit."""
    ours, theirs = (_contents(each, but) for each in (path, other))
    assert ours.keys() == theirs.keys()
    assert [name for name in ours if ours[name] != theirs[name]] == []


def _contents(path: Path, but: Sequence[str]) -> dict[str, bytes]:
    with h5py.File(path, "r", locking=False) as file:
        return {
            name: repr(file[name][()].tolist()).encode() if file[name].dtype.kind == "O" else file[name][()].tobytes()
            for name in file
            if name not in but
        }


def science(path: Path) -> dict[str, str]:
    """Hash of the bytes of every scientific dataset."""
    with h5py.File(path, "r", locking=False) as file:
        names = (*TRACES, *NUMBERS, "seed", "status", "p", "lam", "trial", "time")
        return {name: hashlib.sha256(file[name][()].tobytes()).hexdigest() for name in names}


def trials_done(path: Path) -> set[Index]:
    with h5py.File(path, "r", locking=False) as file:
        return {tuple(map(int, i)) for i in np.argwhere(file["status"][()] == DONE)}


def wall_times(path: Path) -> dict[Index, float]:
    """Index of every trial that is done → its wall time, which no second computation repeats."""
    done = trials_done(path)
    with h5py.File(path, "r", locking=False) as file:
        return {index: float(file["wall_s"][index]) for index in done}


def require_true(path: Path, reference: Path) -> set[Index]:
    """Compare all results of every trial that is done with the reference's; returns these trials."""
    done = trials_done(path)
    with h5py.File(path, "r", locking=False) as file, h5py.File(reference, "r", locking=False) as other:
        for index in done:
            for name in (*TRACES, *NUMBERS, "seed"):
                mine, theirs = np.asarray(file[name][index]), np.asarray(other[name][index])
                assert mine.tobytes() == theirs.tobytes(), f"{name} of {index} is not what it should be"
    return done


def make_pending(path: Path, indices: list[Index]) -> None:
    """Bring trials into the state that they had before they were run."""
    with h5py.File(path, "r+", locking=False) as file:
        for index in indices:
            file["status"][index] = PENDING
            file["mean_v"][index] = 0
            file["rate_E"][index] = np.nan


def as_format_1(path: Path) -> None:
    """Make of a sweep file, or of a part, one as version 1.3 of the format has it."""
    with h5py.File(path, "r+", locking=False) as file:
        status, shape = file["status"][()], file["status"].shape
        del file.attrs["coordinates"]
        file.attrs["format_version"] = "1.3"
        file.create_dataset("config_chain", data=np.bytes_(file.attrs["config_yaml"].encode().ljust(1024, b"\0")))
        part = np.zeros(shape, "i4")
        if "part_trials" in file.attrs:  # every trial had the number of its part
            number, count = map(int, file.attrs["part"].split("/"))
            start, stop = file.attrs["part_trials"]
            part[...] = number % count + 1
            part.ravel()[start:stop] = number
            del file.attrs["part_trials"]
        texts = np.ascontiguousarray(file["error"][()]).view(f"S{ERROR_LENGTH}")[..., 0]
        del file["error"], file["letter"]
        for name, values in {"error": texts, "part": part}.items():
            early = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
            early.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
            dataset = file.create_dataset(name, shape, values.dtype, dcpl=early)
            dataset[...] = values
            for i, scale in enumerate(file["status"].dims):
                dataset.dims[i].attach_scale(scale[0])
        assert (file["status"][()] == status).all()
