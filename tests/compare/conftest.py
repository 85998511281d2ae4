"""A small sweep with synthetic traces: an input with a rhythm, and a potential that follows it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from scipy import signal

from hpcmass.compare.pipeline import ComparisonSummary, compare_sweep
from hpcmass.config import Experiment, NetworkParameters
from hpcmass.config.file import parse_experiment
from hpcmass.grid import Trial
from hpcmass.grid import trials as all_trials
from hpcmass.store.writer import Ended, SweepWriter, create_sweep_file

PENDING, FAILED, RUN_AWAY, SILENT = (0, 0, 1), (0, 1, 0), (1, 0, 2), (1, 1)
"""Trials that are not done, failed, and drive the models to infinity, and a point without any input."""

EXPERIMENT = """
title: synthetic
trials: 3
network: {dt_ms: 0.5, duration_ms: 3500.0, transient_ms: 500.0}
grid: {p: [0.1, 0.2], lam: [0.7, 0.8], tau_m_ms: [10.0, 20.0]}
compare: {max_lag_ms: 40.0, band_hz: [0.0, 200.0]}
"""


def synthetic_trial(network: NetworkParameters, seed: int, size: float = 1.0) -> dict[str, np.ndarray | float | int]:
    """Traces with a 15 Hz rhythm and noise (`size` 0: no input at all) and numbers of one trial."""
    rng = np.random.default_rng(seed)
    n, dt = network.n_steps, network.dt_ms
    rhythm = 1 + 0.5 * np.sin(2 * np.pi * 15 * dt * np.arange(n) / 1e3 + rng.uniform(0, 6))
    envelope = signal.lfilter([0.02], [1, -0.98], rng.standard_normal(n)) + 1
    phi = {f"phi_{kind}": (size * mean * rhythm * envelope).clip(0).astype("f4")
           for kind, mean in (("E", 30.0), ("I", 5.0), ("ext", 2.0))}  # fmt: skip
    drive = signal.lfilter([dt / 20], [1, dt / 20 - 1], phi["phi_E"] - 30.0 * size)
    mean_v = (-60 + 0.2 * drive + size * 0.01 * rng.standard_normal(n)).astype("f4")
    mean_i_syn = (-14 - 10 * size + 0.2 * drive).astype("f4")
    numbers = {"spike_contrast": 0.5, "spike_contrast_bin": 10.0, "rate_E": 8.0, "rate_I": 9.0, "cv_isi": 1.0,
               "n_spikes": 100, "n_edges": 10, "n_edges_ext": 10, "silent": int(size == 0),
               "wall_s": 1.0, "kernel_s": 1.0}  # fmt: skip
    return {"mean_v": mean_v, **phi, "mean_i_syn": mean_i_syn, **numbers}


def values_of(experiment: Experiment, trial: Trial) -> dict[str, np.ndarray | float | int]:
    """The synthetic sweep's values of one trial."""
    size = 0.0 if trial.index[:2] == SILENT else 1.0
    values = synthetic_trial(experiment.network, trial.seed[0], size)
    if (*trial.index[:2], trial.number) == RUN_AWAY:
        values["phi_E"] = np.full_like(values["phi_E"], 1e8)
        values["mean_i_syn"] = np.full_like(values["phi_E"], 1e8)
    return values


@pytest.fixture(scope="session")
def experiment() -> Experiment:
    """Give the experiment of the synthetic sweep: 2 x 2 x 2 points, 3 trials."""
    return parse_experiment(EXPERIMENT)


def write_sweep(path: Path, experiment: Experiment) -> Path:
    """Write the synthetic sweep of an experiment."""
    create_sweep_file(path, experiment, driver="serial", provenance={"uuid": "a-sweep"})
    with SweepWriter(path) as writer:
        for trial in all_trials(experiment):
            which = (*trial.index[:2], trial.number)
            if which == FAILED:
                writer.store([Ended(trial, {"rank": 0}, "left the physical regime")])
            elif which != PENDING:
                writer.store([Ended(trial, values_of(experiment, trial) | {"rank": 0})])
    return path


@pytest.fixture(scope="session")
def compared(tmp_path_factory: pytest.TempPathFactory, experiment: Experiment) -> tuple[Path, Path, ComparisonSummary]:
    """Give the synthetic sweep, its comparison, and the summary; do not change the files."""
    directory = tmp_path_factory.mktemp("compared")
    sweep = write_sweep(directory / "sweep.h5", experiment)
    return sweep, directory / "cmp.h5", compare_sweep(sweep, directory / "cmp.h5")


@pytest.fixture
def make_sweep(tmp_path: Path, compared: tuple[Path, ...]) -> Callable[..., Path]:
    """Give `make_sweep(name="sweep.h5", experiment=…)`: a file of the synthetic sweep, to be changed at will."""

    def make(name: str = "sweep.h5", experiment: Experiment | None = None) -> Path:
        if experiment is None:
            return Path(shutil.copy(compared[0], tmp_path / name))
        return write_sweep(tmp_path / name, experiment)

    return make


@pytest.fixture(scope="session")
def trial_values(experiment: Experiment) -> Callable[[tuple[int, ...]], dict[str, np.ndarray | float | int]]:
    """Give `trial_values(index)`: the synthetic sweep's values of the trial at (axes…, trial)."""
    by_index = {trial.index: trial for trial in all_trials(experiment)}
    return lambda index: values_of(experiment, by_index[index])


@pytest.fixture(scope="session")
def same_contents() -> Callable[[Path, Path], None]:
    """Give `same_contents(a, b)`: asserts that two files are equal, bit by bit."""

    def check(a: Path, b: Path) -> None:
        with h5py.File(a) as one, h5py.File(b) as other:
            assert set(one) == set(other)
            for name in one:
                np.testing.assert_array_equal(one[name][()], other[name][()], err_msg=name)

    return check
