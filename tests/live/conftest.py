"""Fixtures: sweep files in any state, with invented values."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hpcmass.config.file import parse_experiment
from hpcmass.costs import Part, assign
from hpcmass.grid import Trial, trials
from hpcmass.store.provenance import provenance
from hpcmass.store.schema import NUMBERS, SWEEP_VARIABLES, TRACES
from hpcmass.store.writer import Ended, SweepWriter, create_sweep_file

Write = Callable[..., Path]


def result(trial: Trial, rank: int, n_steps: int) -> Ended:
    """What a simulation could have returned; the rate of the excitatory neurons is 100 p."""
    random = np.random.default_rng(trial.seed)
    values: dict[str, Any] = {name: random.normal(size=n_steps).astype(np.float32) for name in TRACES}
    for name in NUMBERS:
        values[name] = 0 if SWEEP_VARIABLES[name].dtype.startswith("i") else float(random.normal())
    return Ended(trial, values | {"rate_E": 100 * trial.values["p"], "wall_s": 1.5, "kernel_s": 1.0, "rank": rank})


@pytest.fixture
def write_sweep(tmp_path: Path) -> Write:
    """Give `write_sweep(p=…, lam=…, done=…, failed=…, part=…)`: the path of a sweep file.

    `done` and `failed` choose trials by a function of the trial; a second call with `more=True` adds to the file.
    """

    def write(
        name: str = "sweep.h5",
        *,
        p: Sequence[float] = (0.1, 0.2, 0.4),
        lam: Sequence[float] = (0.5, 0.8),
        n_trials: int = 2,
        further: str = "",
        done: Callable[[Trial], bool] = lambda trial: True,
        failed: Callable[[Trial], bool] = lambda trial: False,
        part: Part | None = None,
        rank: int = 1,
        uuid: str = "0f",
        more: bool = False,
    ) -> Path:
        experiment = parse_experiment(
            f"title: tiny\nroot_seed: 11\ntrials: {n_trials}\n"
            "network: {n_neurons: 10, n_external: 5, duration_ms: 400.0, transient_ms: 100.0}\n"
            f"compare: {{max_lag_ms: 10.0}}\ngrid:\n  p: {list(p)}\n  lam: {list(lam)}\n{further}"
        )
        path = tmp_path / name
        if not more:
            create_sweep_file(
                path,
                experiment,
                driver="serial",
                provenance={"uuid": uuid, **provenance(n_ranks=1, mpi_library="none")},
                assignment=assign(experiment, part) if part else None,
            )
        chosen = trials(experiment)
        ended = [
            Ended(trial, {"rank": rank, "wall_s": 0.5}, "it did not converge") if failed(trial)
            else result(trial, rank, experiment.network.n_steps)
            for trial in chosen
            if done(trial) or failed(trial)
        ]  # fmt: skip
        with SweepWriter(path) as writer:
            writer.store(ended)
        return path

    return write
