"""CFM-closed: a mass model that predicts its own spikes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from scipy import signal

from hpcmass.cli import main
from hpcmass.compare.point import compare_point
from hpcmass.compare.recorded import compare_recording
from hpcmass.config import CompareParameters, MassParameters, NetworkParameters
from hpcmass.errors import UserError
from hpcmass.mass import FittedModel, Traces, models_named
from hpcmass.mass.closed_loop import ClosedLoop, _grouped, fitted

NET = NetworkParameters(dt_ms=0.5, duration_ms=2500.0, transient_ms=500.0, w_E=0.002, w_I=0.004)
MASS = MassParameters(models=("CFM-closed",))
N = NET.n_steps
SIGMOIDS = {"E": (30.0, -61.0, 1.5), "I": (9.0, -60.0, 2.5)}


def transfer(kind: str, v: float) -> float:
    most, theta, slope = SIGMOIDS[kind]
    return most / (1 + np.exp(-(v - theta) / slope))


def closed(phi_ext: np.ndarray, v_mean: float) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """V and Φ of the model with SIGMOIDS, step by step."""
    g, reversal = NET.g_tilde_ms(), NET.reversal_mv()
    v = y = v_mean
    potential, phi = np.empty(N), {"E": np.empty(N), "I": np.empty(N), "ext": phi_ext}
    for k in range(N):
        potential[k] = v
        for kind in SIGMOIDS:
            phi[kind][k] = transfer(kind, v)
        j = NET.v_leak_mv - sum(g[kind] * (v_mean - reversal[kind]) * phi[kind][k] for kind in g)
        v, y = v + NET.dt_ms / MASS.tau_s_ms * (y - v), y + NET.dt_ms / NET.tau_m_ms * (j - y)
    return potential, phi


@pytest.fixture(scope="module")
def trials() -> list[Traces]:
    """Give three trials of a network that is such a model, with the mean that it has."""
    made = []
    v_mean = -56.0
    for seed in (0, 0, 0, 0, 0, 0, 1, 2):
        noise = signal.lfilter([0.3], [1, -0.95], np.random.default_rng(seed).standard_normal(N))
        v, phi = closed(np.clip(2.5 + noise, 0, None), v_mean)
        v_mean = v[NET.n_transient :].mean() if seed == 0 else v_mean
        made.append(Traces(v, *(phi[kind] for kind in ("E", "I", "ext"))))
    return made[-3:]


def model_of(trials: list[Traces], held_out: int) -> Callable[..., np.ndarray]:
    model = ClosedLoop()
    summaries = {k: model.summarise(traces, NET, MASS) for k, traces in enumerate(trials)}
    return model.fit(summaries, held_out, NET)


def test_it_is_a_fitted_model() -> None:
    assert isinstance(models_named(["CFM-closed"])["CFM-closed"], FittedModel)


def test_it_finds_the_transfer_functions_and_predicts_the_held_out_trial(trials: list[Traces]) -> None:
    ready = model_of(trials, 1)
    for (most, theta, slope), expected in zip(ready.keywords["sigmoids"], SIGMOIDS.values(), strict=True):
        np.testing.assert_allclose((most, slope), expected[::2], rtol=0.03)
        assert abs(theta - expected[1]) < 0.5
    v = ready(trials[1], NET, MASS)
    after = slice(NET.n_transient, None)
    assert np.corrcoef(v[after], trials[1].mean_v[after])[0, 1] > 0.97


def test_it_is_the_equation(trials: list[Traces], monkeypatch: pytest.MonkeyPatch) -> None:
    ready = model_of(trials, 0)
    found = ready(trials[0], NET, MASS)
    for kind, sigmoid in zip(("E", "I"), ready.keywords["sigmoids"], strict=True):
        monkeypatch.setitem(SIGMOIDS, kind, sigmoid)
    expected, _ = closed(np.asarray(trials[0].phi_ext, dtype=float), ready.keywords["mean_v"])
    np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_of_the_predicted_trial_it_sees_the_external_input_alone(trials: list[Traces]) -> None:
    other = Traces(trials[0].mean_v + 7, 3 * trials[0].phi_E, 0 * trials[0].phi_I, trials[0].phi_ext)
    expected = model_of(trials, 0)(trials[0], NET, MASS)
    np.testing.assert_array_equal(model_of([other, *trials[1:]], 0)(other, NET, MASS), expected)
    silent = Traces(trials[0].mean_v, trials[0].phi_E, trials[0].phi_I, 0 * trials[0].phi_ext)
    assert not np.array_equal(model_of(trials, 0)(silent, NET, MASS), expected)


@pytest.mark.parametrize("level", [0.0, 2.0])
def test_a_network_that_does_not_move(level: float) -> None:
    flat = np.full(N, level)
    ready = model_of([Traces(np.full(N, -60.0), flat, flat, 0 * flat) for _ in range(2)], 0)
    assert np.isfinite(ready(Traces(flat, flat, flat, 0 * flat), NET, MASS)).all()
    most, theta, slope = fitted(np.full(5, -60.0), np.full(5, level))
    assert most / (1 + np.exp(-(-60.0 - theta) / slope)) == level


def test_groups_are_means_of_neighbours() -> None:
    samples = np.random.default_rng(1).standard_normal((1234, 3))
    groups = _grouped(samples)
    assert groups.shape == (100, 3)
    assert (np.diff(groups[:, 0]) > 0).all()
    np.testing.assert_allclose(groups.mean(axis=0), samples.mean(axis=0), atol=0.01)


def test_one_trial_alone_is_refused(trials: list[Traces], tmp_path: Path, capsys) -> None:
    message = "CFM-closed needs at least 2 trials of each point, because it is fitted to the others, and there is 1"
    with pytest.raises(UserError, match=f"^models: {message}"):
        compare_recording(np.full(N, -60.0), 1.0, 1.0, 1.0, dt_ms=0.5, models=["CFM-closed"])
    (tmp_path / "c.yml").write_text("trials: 1\ngrid: {p: 0.1, lam: 0.8}\nmass: {models: [CFM-closed]}\n")
    assert main(["validate", str(tmp_path / "c.yml")]) == 2
    assert message in capsys.readouterr().err


def test_a_point_with_one_trial_so_far_has_no_result(trials: list[Traces]) -> None:
    settings = CompareParameters(max_lag_ms=30.0, band_hz=(0.0, 100.0))
    mass = MassParameters(models=("CFM", "CFM-closed"))
    result = compare_point([(2, trials[2])], 3, NET, mass, settings)
    assert np.isfinite(result["rho"][0])
    assert np.isnan([result[name][1] for name in ("rho", "chi2", "mean_v_model", "lag", "coherence_mean")]).all()
    assert result["n_diverged"].tolist() == [0, 0], "it has not diverged"
    result = compare_point(list(enumerate(trials)), 3, NET, mass, settings)
    assert result["rho"][1] > 0.97


@pytest.mark.long
def test_it_is_in_a_comparison_of_a_sweep(tmp_path: Path) -> None:
    config = """
trials: 3
network: {n_neurons: 300, n_external: 300, w_ext: 0.5, duration_ms: 1000.0, transient_ms: 200.0}
grid: {p: [0.1, 0.3], lam: 0.8}
mass: {models: [CFM, CFM-closed]}
compare: {bin_hz: 5.0}
"""
    (tmp_path / "c.yml").write_text(config)
    assert main(["run", str(tmp_path / "c.yml"), "-o", str(tmp_path / "s.h5")]) == 0
    assert main(["compare", str(tmp_path / "s.h5"), "-o", str(tmp_path / "c.h5")]) == 0
    with h5py.File(tmp_path / "c.h5") as file:
        assert (file["n_diverged"][()] == 0).all()
        assert np.isfinite(file["rho"][()]).all()
        # the recorded spikes say more than the external input alone
        assert (file["rho"][..., 0] > file["rho"][..., 1]).all()
