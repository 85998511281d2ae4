"""The fitted linear transfer model: it finds a linear system, and never sees what it predicts."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import signal

from hpcmass.config import MassParameters, NetworkParameters
from hpcmass.mass import FittedModel, models_named
from hpcmass.mass.laguerre import combined, filtered, products
from hpcmass.mass.linear import ORDER, PENALTIES, LinearTransfer, _ridge, pole
from hpcmass.mass.meanfield import synapses
from hpcmass.mass.traces import Traces

NET = NetworkParameters(dt_ms=0.5, duration_ms=6000.0, transient_ms=1000.0)
MASS = MassParameters()
MODEL = LinearTransfer()


def inputs(seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    listed = {}
    for kind, mean in (("E", 30.0), ("I", 8.0), ("ext", 3.0)):
        slow = signal.lfilter([0.05], [1, -0.95], rng.standard_normal(NET.n_steps))
        listed[f"phi_{kind}"] = mean * np.exp(slow + 0.1 * rng.standard_normal(NET.n_steps))
    return listed


def responding(phi: dict[str, np.ndarray], seed: int, noise_mv: float = 0.02) -> Traces:
    """A potential that rings at 25 Hz, and is pulled down by inhibition: linear, but of no form the model knows."""
    ring = signal.iirpeak(25.0, 3.0, fs=1e3 / NET.dt_ms)
    v = -58 + 0.1 * signal.lfilter(*ring, phi["phi_E"] - 30) - 0.05 * signal.lfilter([0.02], [1, -0.98], phi["phi_I"])
    noise = noise_mv * np.random.default_rng(seed).standard_normal(NET.n_steps)
    return Traces(np.roll(v, 1) + noise, **phi)


@pytest.fixture(scope="module")
def trials() -> dict[int, Traces]:
    return {k: responding(inputs(k), 50 + k) for k in (0, 1, 5)}


def predicted(trials: dict[int, Traces], k: int) -> np.ndarray:
    summaries = {number: MODEL.summarise(traces, NET, MASS) for number, traces in trials.items()}
    return MODEL.fit(summaries, k, NET)(trials[k], NET, MASS)


def unexplained(trials: dict[int, Traces], k: int) -> float:
    """Share of the variance of V that the prediction leaves."""
    v = trials[k].mean_v[NET.n_transient :]
    return float(np.var(v - predicted(trials, k)[NET.n_transient :]) / np.var(v))


def test_it_is_a_model_that_is_fitted():
    assert isinstance(models_named(("LIN",))["LIN"], FittedModel)
    assert not isinstance(models_named(("CFM",))["CFM"], FittedModel)


def test_a_linear_system_is_found(trials):
    floor = 0.02**2 / np.var(trials[0].mean_v[NET.n_transient :])
    assert unexplained(trials, 0) < floor + 0.03
    assert unexplained({0: trials[0]}, 0) < floor + 0.05  # one trial alone: from its own halves


def test_what_is_predicted_was_not_fitted_from(trials):
    rng = np.random.default_rng(9)
    spoiled = {k: Traces(rng.standard_normal(NET.n_steps), *(getattr(t, f"phi_{s}") for s in ("E", "I", "ext")))
               for k, t in trials.items()}  # fmt: skip
    same = predicted(trials, 1)
    np.testing.assert_array_equal(predicted({**trials, 1: spoiled[1]}, 1), same)
    assert np.abs(predicted({**trials, 5: spoiled[5]}, 1) - same).max() > 0.1
    # alone: the second half of V decides about the first half of the prediction, and only about it
    half = NET.n_transient + (NET.n_steps - NET.n_transient) // 2
    v = trials[0].mean_v.copy()
    v[half:] = spoiled[0].mean_v[half:]
    changed = Traces(v, trials[0].phi_E, trials[0].phi_I, trials[0].phi_ext)
    before, after = predicted({0: trials[0]}, 0), predicted({0: changed}, 0)
    np.testing.assert_array_equal(after[half:], before[half:])
    assert np.abs(after[:half] - before[:half]).max() > 0.1


def test_an_independent_potential_is_not_predicted():
    independent = {k: responding(inputs(k), 70 + k) for k in range(3)}
    independent = {k: Traces(independent[(k + 1) % 3].mean_v, **inputs(100 + k)) for k in independent}
    for k in independent:
        assert 0.98 < unexplained(independent, k) < 1.1


def test_filters_are_scipys():
    phi = inputs(3)
    jump, decay = synapses(NET)
    rows = filtered(*phi.values(), jump, decay, pole(NET), ORDER, 40, 3)
    for s, kind in enumerate(("E", "I", "ext")):
        g = signal.lfilter([jump[s]], [1, -decay[s]], phi[f"phi_{kind}"])
        a = pole(NET)
        stage = signal.lfilter([np.sqrt(1 - a**2)], [1, -a], g)
        for j in range(ORDER):
            # a row holds what follows from the steps before it
            np.testing.assert_allclose(rows[:, s * ORDER + j], stage[39:-1:3], rtol=1e-8, atol=1e-10)
            stage = signal.lfilter([-a, 1], [1, -a], stage)
    np.testing.assert_allclose(products(rows), rows.T @ rows, rtol=1e-10)
    weights = np.random.default_rng(1).standard_normal((1, 1 + 3 * ORDER))
    sums = combined(*phi.values(), jump, decay, pole(NET), weights, np.array([NET.n_steps]))
    np.testing.assert_allclose(sums[40::3], weights[0, 0] + rows @ weights[0, 1:], rtol=1e-8, atol=1e-8)


def test_filters_are_orthonormal():
    impulse = np.zeros(6000)
    impulse[0] = 1.0
    rows = filtered(impulse, 0 * impulse, 0 * impulse, np.ones(3), np.zeros(3), 0.95, 6, 0, 1)[:, :6]
    np.testing.assert_allclose(rows.T @ rows, np.eye(6), atol=1e-9)


def test_without_penalty_it_is_least_squares():
    rng = np.random.default_rng(4)
    x = rng.standard_normal((300, 3 * ORDER)) * rng.uniform(0.1, 10, 3 * ORDER) + 5
    y = x @ rng.standard_normal(3 * ORDER) + 3 + rng.standard_normal(300)
    sample = np.column_stack((np.ones(300), x, y))
    exact = np.linalg.lstsq(sample[:, :-1], y, rcond=None)[0]
    fits = _ridge(sample.T @ sample)
    np.testing.assert_allclose(fits[0], exact, rtol=1e-4, atol=1e-4)
    size = np.abs(fits[:, 1:] * x.std(axis=0)).sum(axis=1)
    assert (np.diff(size) < 0).all()  # a stronger penalty leaves less
    assert len(fits) == len(PENALTIES)


def test_the_future_does_not_reach_back(trials):
    k = 5000
    phi_E = trials[0].phi_E.copy()
    phi_E[k] += 500.0
    changed = Traces(trials[0].mean_v, phi_E, trials[0].phi_I, trials[0].phi_ext)
    summaries = {number: MODEL.summarise(traces, NET, MASS) for number, traces in trials.items()}
    model = MODEL.fit(summaries, 0, NET)
    difference = model(changed, NET, MASS) - model(trials[0], NET, MASS)
    assert (difference[: k + 1] == 0).all()
    assert difference[k + 1] != 0


def test_absent_input_and_silent_network_are_results():
    quiet = {name: np.zeros(NET.n_steps) for name in inputs(0)}
    only_e = {k: Traces(responding(inputs(k), k).mean_v, **{**quiet, "phi_E": inputs(k)["phi_E"]}) for k in (0, 1)}
    assert 0 < unexplained(only_e, 0) < 0.5
    silent = {k: Traces(np.full(NET.n_steps, -74.0, "f4"), **quiet) for k in (0, 1)}
    assert (predicted(silent, 0) == -74.0).all()


def test_a_kind_that_hardly_fires_elsewhere_gets_no_weight(trials):
    """In the other trials one spike before the transient leaves a trace of 1e-6; here spikes must not move V by mV."""
    rare = {}
    for k, trial in trials.items():
        phi_I = np.zeros(NET.n_steps)
        phi_I[NET.n_transient - 150] = 1e-3
        if k == 0:
            phi_I[NET.n_transient + 100 :: 500] = 1e-3
        rare[k] = Traces(trial.mean_v, trial.phi_E, phi_I, trial.phi_ext)
    absent = {k: Traces(t.mean_v, t.phi_E, np.zeros(NET.n_steps), t.phi_ext) for k, t in rare.items()}
    np.testing.assert_allclose(predicted(rare, 0), predicted(absent, 0), atol=0.01)


def test_run_away_is_nan_from_there_on(trials):
    phi_E = trials[0].phi_E.copy()
    phi_E[8000:] = 1e9
    wild = Traces(trials[0].mean_v, phi_E, trials[0].phi_I, trials[0].phi_ext)
    v = predicted({**trials, 0: wild}, 0)
    first = int(np.flatnonzero(np.isnan(v))[0])
    assert 8000 < first < 8010
    assert np.isnan(v[first:]).all()
