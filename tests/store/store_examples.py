"""What the tests of the store share: a small experiment, invented values, files of earlier versions, and commands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import h5py
import numpy as np

from hpcmass.config import Experiment
from hpcmass.costs import Part
from hpcmass.grid import Trial
from hpcmass.store.schema import ERROR_LENGTH, NUMBERS, SWEEP_VARIABLES, TRACES
from hpcmass.store.writer import Ended

CONFIG = """\
title: three by two
trials: 2
root_seed: 11
network: {n_neurons: 10, n_external: 5, duration_ms: 4.0, transient_ms: 1.0}
grid:
  p: [0.0, 0.25, 1.0]
  lam: [0.5, 0.8]
"""

SIMULATED = """\
title: simulated in Österreich
trials: 2
root_seed: 7
network: {n_neurons: 20, n_external: 20, duration_ms: 200, transient_ms: 100,
          external_rate_hz: 100, p_ext: 1.0, w_ext: 0.1}
compare: {max_lag_ms: 10.0}
grid:
  p: [0.1, 1.0]
  lam: [0.5, 0.8, 1.0]
"""
"""Small, but every command of hpcmass works on it."""

N_STEPS = 40


def invented(trial: Trial, n_steps: int = N_STEPS) -> dict[str, Any]:
    """What a simulation could have returned: different in every trial and variable, fixed by the seed."""
    random = np.random.default_rng(trial.seed)
    values: dict[str, Any] = {name: random.normal(size=n_steps).astype(np.float32) for name in TRACES}
    for name in NUMBERS:
        whole = SWEEP_VARIABLES[name].dtype.startswith("i")
        values[name] = int(random.integers(2)) if whole else float(random.normal())
    return values | {"wall_s": 1.5, "kernel_s": 1.0}


def ended(done: list[Trial], failed: tuple[Trial, ...] = (), *, rank: int = 1) -> list[Ended]:
    """Trials as a writer takes them."""
    successes = [Ended(trial, invented(trial) | {"rank": rank}) for trial in done]
    failures = [
        Ended(trial, {"rank": rank, "wall_s": 0.5}, f"did not converge at {trial.label()}, λ too large")
        for trial in failed
    ]
    return successes + failures


class Write(Protocol):
    """Writes a sweep file in which some trials have ended."""

    def __call__(
        self,
        path: Path,
        done: list[Trial] = ...,
        failed: tuple[Trial, ...] = ...,
        *,
        rank: int = ...,
        other: Experiment | None = ...,
        part: Part | None = ...,
        uuid: str = ...,
    ) -> Path: ...


def contents(path: Path) -> dict[str, bytes]:
    """Every variable of a file but `rank`, as it lies there."""
    with h5py.File(path, "r", locking=False) as file:
        return {name: dataset[()].tobytes() for name, dataset in file.items() if isinstance(dataset, h5py.Dataset)}


def as_format_1(path: Path, *, virtual: tuple[str, ...] = (), minor: int = 3) -> Path:
    """Turn a sweep file of today into what hpcmass wrote before: format 1.0 to 1.3.

    Texts of bytes instead of arrays of letters, a variable `part`, a chain of configurations, no list of coordinates.
    """
    with h5py.File(path, "r+", locking=False) as file:
        errors = file["error"][()]
        texts = np.ascontiguousarray(errors).view(f"S{ERROR_LENGTH}")[..., 0]
        shape, scales = texts.shape, [dim[0].name for dim in file["status"].dims]
        del file["error"], file["letter"], file.attrs["coordinates"]
        early = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        early.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
        file.create_dataset("error", shape, f"S{ERROR_LENGTH}", dcpl=early)[()] = texts
        part = file.create_dataset("part", shape, "i4", dcpl=h5py.h5p.create(h5py.h5p.DATASET_CREATE))
        if "part" in file.attrs:
            count = int(str(file.attrs["part"]).split("/")[1])
            start, stop = file.attrs["part_trials"]
            flat = np.where(np.arange(texts.size) < start, 1, count)
            flat[start:stop] = int(str(file.attrs["part"]).split("/")[0])
            part[()] = flat.reshape(shape)
            del file.attrs["part_trials"]
        for name in ("error", "part"):
            for dim, scale in zip(file[name].dims, scales, strict=True):
                dim.attach_scale(file[scale])
        file["part"].attrs["units"] = "1"
        file.create_dataset("config_chain", data=np.array(b"v1", "S65536"))
        file.attrs["format_version"] = f"1.{minor}"
        if minor == 0:  # what came with later minor versions
            for name in ("phi_ext", "mean_i_syn", "kernel_s", "n_edges_ext", "config_chain"):
                del file[name]
        if virtual:
            file.attrs["parts"] = list(virtual)
    return path


@dataclass(frozen=True)
class Outcome:
    """How a command ended: its exit code (negative: the signal that ended it) and what it printed."""

    code: int
    out: str
    err: str

    @property
    def sentence(self) -> str:
        """Its standard error, if that was one sentence."""
        lines = self.err.strip().splitlines()
        assert len(lines) == 1, self.err
        assert lines[0].startswith("hpcmass: "), self.err
        return lines[0].removeprefix("hpcmass: ")


class Command(Protocol):
    """Runs one command of hpcmass in a separate process."""

    def __call__(
        self, *arguments: object, cwd: Path, limit: int | None = ..., patches: Mapping[str, object] | None = ...
    ) -> Outcome: ...
