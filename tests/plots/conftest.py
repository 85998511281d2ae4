"""A synthetic comparison and the sweep it compares: plausible regimes over the plane, and every kind of gap."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from scipy import stats

from hpcmass.config import Experiment
from hpcmass.config.file import parse_experiment
from hpcmass.grid import shape
from hpcmass.store import schema
from hpcmass.store.layout import Coordinate, axis_coordinates, creating_file
from hpcmass.store.writer import create_sweep_file

P = [0, 0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.6, 0.8, 1]
LAM = [0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 1]
FREQUENCY = np.arange(1.0, 500.0, 2.0)
MODELS = ("CFM", "MFM")
UUID = "6f9619ff-8b86-4d01-b42d-00cf4fc964ff"


def experiment_of(p: list[float], lam: list[float], trials: int = 2, further: str = "") -> Experiment:
    """A short experiment over these axes (`further`: another line of the grid)."""
    return parse_experiment(
        f"trials: {trials}\nnetwork: {{duration_ms: 1500.0, transient_ms: 500.0}}\n"
        f"grid:\n  p: {p}\n  lam: {lam}\n  {further}\n"
    )


def synthetic(experiment: Experiment) -> dict[str, np.ndarray]:
    """Name → values of every comparison variable and the sweep's numbers, all trials done."""
    rng = np.random.default_rng(3)
    axes = experiment.grid.axes()
    points, trials = shape(experiment)[:-1], experiment.trials
    p, lam = np.meshgrid(axes["p"], axes["lam"], indexing="ij")
    extra = (1,) * (len(points) - 2)
    p, lam = (np.broadcast_to(v.reshape(*v.shape, *extra), points) for v in (p, lam))
    fast = 1 / (1 + np.exp(-(p + 6 * lam - 6.4) * 8))
    sync = np.clip(p / 0.25, 0, 1) * np.clip((lam - 0.5) / 0.3, 0, 1) * (1 - 0.6 * fast)
    frequency = 15 + 8 * np.exp(-p * 5) + fast * 250 * p
    data: dict[str, np.ndarray] = {}

    def noisy(values: np.ndarray, size: int | None = None, sd: float = 0.03) -> np.ndarray:
        target = values if size is None else np.repeat(values[..., None], size, axis=-1)
        return target * (1 + sd * rng.standard_normal(target.shape))

    data["status"] = np.full((*points, trials), schema.DONE, "i1")
    data["silent"] = np.zeros((*points, trials), "i1")
    data["spike_contrast"] = noisy(0.05 + 0.9 * sync, trials)
    data["rate_E"] = noisy(2 + 20 * sync + 140 * fast * p, trials)
    data["rate_I"] = np.where(lam[..., None] == 1, np.nan, noisy(1 + 12 * sync, trials))
    data["spike_contrast_bin"] = noisy(900 * (1 - sync) + 12, trials)
    data["cv_isi"] = noisy(0.7 - 0.5 * sync, trials)
    data["synchronised"] = (data["spike_contrast"].mean(axis=-1) >= 0.2).astype("i1")
    data["median_frequency_lif"] = frequency
    data["peak_frequency_lif"] = frequency
    data["peak_frequency"] = np.stack([frequency, frequency], -1)
    data["median_frequency"] = noisy(np.stack([frequency * 0.8, frequency * 0.95], -1), sd=0.1)
    dof = 250
    off = np.stack([0.1 + 2 * (1 - sync) ** 2 + fast, 0.05 + 2 * (1 - sync) ** 2 + 0.5 * fast], -1)
    data["chi2"] = noisy(off * dof, sd=0.2)
    data["chi2_dof"] = np.full(off.shape, dof)
    data["chi2_pvalue"] = stats.chi2.sf(data["chi2"] * 3, dof)
    data["log_ratio_pvalue"] = np.where(off < 0.25, 0.2, 1e-5)
    data["chi2_qvalue"] = np.sqrt(data["chi2_pvalue"])
    data["log_ratio_qvalue"] = np.where(off < 0.3, 0.2, 1e-5)
    data["spectral_distance"] = 10 * off
    data["coherence_mean"] = 1 / (1 + off)
    data["mean_error"] = off - 0.5
    data["log_variance_ratio"] = 2 * off - 1
    data["rho"] = np.clip(1.02 - 0.4 * off, -0.2, 0.99)
    data["rho_agrees"] = (data["rho"] > 0.9).astype("i1")
    data["rho_agrees_bh"] = (data["rho"] > 0.92).astype("i1")
    data["lag"] = np.stack([10 * (sync - 0.3), 6 * (sync - 0.6)], -1) + rng.normal(0, 1, off.shape)
    data["spectrum_lif"] = 1 / (1 + (FREQUENCY - frequency[..., None]) ** 2 / 9)
    data["spectrum"] = np.stack([2 * data["spectrum_lif"], 3 * data["spectrum_lif"]], -2)
    data["n_compared"] = np.full(points, trials)
    data["n_diverged"] = np.zeros(off.shape, "i8")
    window = times(experiment)
    phase = 2 * np.pi * frequency[..., None] * window / 1e3
    data["example_v_lif"] = -60 + np.sin(phase) + 0.05 * rng.standard_normal((*points, window.size))
    models = [-61 + 0.8 * np.sin(phase - 0.5), -60.5 + 0.95 * np.sin(phase - 0.1)]
    data["example_v"] = np.stack(models, axis=-2)
    return data


def times(experiment: Experiment) -> np.ndarray:
    """The example window (ms)."""
    network = experiment.network
    return network.transient_ms + network.dt_ms * np.arange(round(schema.EXAMPLE_MS / network.dt_ms))


def write_comparison(
    path: Path, experiment: Experiment, data: dict[str, np.ndarray], models: Sequence[str] = MODELS
) -> Path:
    """A comparison file with `data`; what is not named keeps the schema's fill value."""
    variables = [*schema.COMPARISON_VARIABLES.values()]
    variables += [schema.SWEEP_VARIABLES[name] for name in (*schema.NUMBERS, "status")]
    with creating_file(
        path,
        filetype=schema.COMPARISON_FILETYPE,
        axes=tuple(experiment.grid.axes()),
        coordinates=[
            *axis_coordinates(experiment.grid.axes()),
            Coordinate("trial", np.arange(experiment.trials, dtype="i4"), "1", "trial"),
            Coordinate("model", tuple(models), "1", "mass model"),
            Coordinate("frequency", FREQUENCY, "Hz", "frequency"),
            Coordinate("window", times(experiment), "ms", "time"),
        ],
        variables=variables,
        attributes={"config_yaml": experiment.text, "sweep_uuid": UUID, "sweep_path": "swept.h5"},
    ) as file:
        for name, values in data.items():
            file[name][...] = values
    return path


def write_sweep(path: Path, experiment: Experiment, uuid: str = UUID) -> Path:
    """A sweep file whose inputs oscillate."""
    rng = np.random.default_rng(5)
    network = experiment.network
    time = network.dt_ms * np.arange(network.n_steps)
    trace = 3 + np.sin(2 * np.pi * time / 60)
    create_sweep_file(path, experiment, driver="serial", provenance={"uuid": uuid})
    with h5py.File(path, "r+", locking=False) as file:
        for name in schema.TRACES:
            file[name][...] = trace * rng.uniform(0.5, 1.5)
        file["status"][...] = schema.DONE
    return path


def with_gaps(data: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The same with pending, failed, silent and diverged cells, and one that diverged in part."""
    data = {name: np.array(values) for name, values in data.items()}
    statistics = [n for n, v in schema.COMPARISON_VARIABLES.items() if n in data and v.dtype in ("f8", "f4")]
    numbers = ["spike_contrast", "spike_contrast_bin", "cv_isi", "rate_E", "rate_I"]

    def blank(names: list[str], index: Any) -> None:
        for name in names:
            data[name][index] = np.nan

    for index, state in (((11, 0), schema.PENDING), ((10, 1), schema.FAILED)):
        blank([*statistics, *numbers], index)
        data["status"][index], data["n_compared"][index], data["rho_agrees"][index] = state, 0, -1
        data["synchronised"][index] = data["rho_agrees_bh"][index] = -1
    data["silent"][0, :3] = 1
    blank(["spike_contrast", "spike_contrast_bin"], (0, slice(0, 3)))
    data["n_diverged"][9:11, 4:7, 1] = 2
    models = [n for n in statistics if schema.COMPARISON_VARIABLES[n].dims[:2] == (schema.AXES, "model")]
    blank(models, (slice(9, 11), slice(4, 7), 1))
    data["rho_agrees"][9:11, 4:7, 1] = -1
    data["n_diverged"][8, 5, 1] = 1
    return data


@pytest.fixture(scope="session")
def experiment() -> Experiment:
    """A plane of as many points as the quickstart's."""
    return experiment_of(P, LAM)


@pytest.fixture(scope="session")
def full(experiment: Experiment) -> dict[str, np.ndarray]:
    """A comparison without gaps."""
    return synthetic(experiment)


@pytest.fixture(scope="session")
def gappy(full: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """A comparison with every kind of gap."""
    return with_gaps(full)


@pytest.fixture(scope="session")
def full_comparison(
    tmp_path_factory: pytest.TempPathFactory, experiment: Experiment, full: dict[str, np.ndarray]
) -> Path:
    """A file of the one without gaps, to be left as it is."""
    return write_comparison(tmp_path_factory.mktemp("full") / "cmp.h5", experiment, full)


@pytest.fixture(scope="session")
def gappy_comparison(
    tmp_path_factory: pytest.TempPathFactory, experiment: Experiment, gappy: dict[str, np.ndarray]
) -> Path:
    """A file of the one with gaps, to be left as it is."""
    return write_comparison(tmp_path_factory.mktemp("gappy") / "cmp.h5", experiment, gappy)


@pytest.fixture
def comparison(tmp_path: Path, experiment: Experiment, full: dict[str, np.ndarray]) -> Callable[..., Path]:
    """Give `comparison(**changed)`: a file of the full comparison with some variables exchanged."""
    return lambda **changed: write_comparison(tmp_path / "cmp.h5", experiment, full | changed)


@pytest.fixture
def written_comparison() -> Callable[..., Path]:
    """Give `written_comparison(path, experiment, data)`: a file with these variables, which it may lack."""
    return write_comparison


@pytest.fixture
def small_comparison(tmp_path: Path) -> Callable[..., Path]:
    """Give `small_comparison(p, lam, further="", blank=False)`: other axes; `blank`: nothing computed yet."""

    def make(p: list[float], lam: list[float], further: str = "", blank: bool = False) -> Path:
        experiment = experiment_of(p, lam, further=further)
        return write_comparison(tmp_path / "small.h5", experiment, {} if blank else synthetic(experiment))

    return make


@pytest.fixture
def large_comparison() -> Callable[[Path], Path]:
    """Give `large_comparison(path)`: 24 x 21 points, six models."""

    def make(path: Path) -> Path:
        p, lam = (np.linspace(0, 1, n).round(4).tolist() for n in (24, 21))
        experiment = experiment_of(p, lam)
        data = synthetic(experiment)
        for name, values in data.items():
            dims = schema.COMPARED_VARIABLES[name].dims
            if "model" in dims:
                data[name] = np.concatenate([values] * 3, axis=dims.index("model") - len(dims))
        return write_comparison(path, experiment, data, ("CFM", "MFM", "CLO", "FOM", "LIN", "OWN"))

    return make


@pytest.fixture(scope="session")
def sweep(tmp_path_factory: pytest.TempPathFactory, experiment: Experiment) -> Path:
    """The sweep that is compared."""
    return write_sweep(tmp_path_factory.mktemp("sweep") / "sweep.h5", experiment)


@pytest.fixture
def commented_sweep(tmp_path: Path, experiment: Experiment) -> Path:
    """The same beside the comparison, its configuration with a comment."""
    return write_sweep(tmp_path / "swept.h5", parse_experiment(f"# Q: the paper's\n{experiment.text}"))


@pytest.fixture
def other_sweep(tmp_path: Path) -> Path:
    """A sweep that is not."""
    return write_sweep(tmp_path / "other.h5", experiment_of([0.1], [0.5]), uuid="another")
