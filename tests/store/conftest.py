"""A small experiment, invented values for its trials, and files that hold them."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from hpcmass.config import Experiment
from hpcmass.config.file import parse_experiment
from hpcmass.grid import Trial, trials
from hpcmass.store.provenance import provenance
from hpcmass.store.schema import NUMBERS, SWEEP_VARIABLES, TRACES
from hpcmass.store.writer import SlabWriter, create_sweep_file

CONFIG = """\
title: three by two
trials: 2
root_seed: 11
network: {n_neurons: 10, n_external: 5, duration_ms: 4.0, transient_ms: 1.0}
grid:
  p: [0.0, 0.25, 1.0]
  lam: [0.5, 0.8]
"""

Values = dict[str, npt.NDArray[np.float32] | float | int]
Write = Callable[..., Path]


@pytest.fixture
def experiment() -> Experiment:
    return parse_experiment(CONFIG)


@pytest.fixture
def all_trials(experiment: Experiment) -> list[Trial]:
    return trials(experiment)


def invented(trial: Trial, n_steps: int = 40) -> Values:
    """What a simulation could have returned: different in every trial and variable, fixed by the seed."""
    random = np.random.default_rng(trial.seed)
    values: Values = {name: random.normal(size=n_steps).astype(np.float32) for name in TRACES}
    for name in NUMBERS:
        whole = SWEEP_VARIABLES[name].dtype.startswith("i")
        values[name] = int(random.integers(2)) if whole else float(random.normal())
    return values | {"wall_s": 1.5, "kernel_s": 1.0}


@pytest.fixture
def invent() -> Callable[[Trial], Values]:
    return invented


@pytest.fixture
def write_sweep(experiment: Experiment) -> Write:
    """Give `write_sweep(path, done, failed=(), **how)`: a sweep file in which some trials have ended."""

    def write(
        path: Path, done: list[Trial], failed: tuple[Trial, ...] = (), *, rank: int = 1, other: Experiment | None = None
    ) -> Path:
        identity = {"uuid": "0f", **provenance(n_ranks=1, mpi_library="none")}
        create_sweep_file(path, other or experiment, driver="serial", provenance=identity)
        with SlabWriter(path) as writer:
            for trial in done:
                writer.write(trial, invented(trial), rank=rank)
            for trial in failed:
                writer.fail(trial, f"did not like {trial.label()}", rank=rank, wall_s=0.5)
        return path

    return write


@pytest.fixture
def shards(tmp_path: Path, write_sweep: Write, all_trials: list[Trial]) -> Path:
    """The shards of a `sweep.h5`: trials 0-2 and 8 in the first, 3-6 in the second, 7 failed, 9-11 pending."""
    (tmp_path / "sweep.h5.parts").mkdir()
    directory = tmp_path / "sweep.h5.parts"
    write_sweep(directory / "shard-00001.h5", [*all_trials[:3], all_trials[8]], rank=1)
    write_sweep(directory / "shard-00002.h5", all_trials[3:7], (all_trials[7],), rank=2)
    return tmp_path / "sweep.h5"
