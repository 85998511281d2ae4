"""The Freeman models against linear-systems theory and an adaptive solver."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, signal

from hpcmass.config import MassParameters, NetworkParameters
from hpcmass.mass import Traces
from hpcmass.mass.freeman import V_BOUND_MV, cfm, mfm

MASS = MassParameters()
KINDS = ("E", "I", "ext")


def network(dt_ms: float = 0.1, duration_ms: float = 600.0, transient_ms: float = 100.0, **changes: Any) -> Any:
    return NetworkParameters(dt_ms=dt_ms, duration_ms=duration_ms, transient_ms=transient_ms, **changes)


def traces(net: NetworkParameters, phi: dict[str, Callable[[np.ndarray], Any]], v_mean: float = -60.0) -> Traces:
    """Inputs as functions of time (ms), float64 so that nothing is rounded; a constant potential."""
    t = net.dt_ms * np.arange(net.n_steps)
    one = np.ones(net.n_steps)
    return Traces(v_mean * one, *(one * phi[kind](t) for kind in KINDS))


def rhythm(mean: float, depth: float, hz: float) -> Callable[[np.ndarray], np.ndarray]:
    return lambda t: mean * (1 + depth * np.sin(2 * np.pi * hz * t / 1e3))


def drive(net: NetworkParameters, tr: Traces, v: float) -> np.ndarray:
    """J_CFM, equation (20), in one line of NumPy."""
    g, reversal = net.g_tilde_ms(), net.reversal_mv()
    return net.v_leak_mv - sum(g[k] * (v - reversal[k]) * getattr(tr, f"phi_{k}") for k in KINDS)


@pytest.mark.parametrize("model", [cfm, mfm])
def test_constant_input_settles_at_the_analytic_fixed_point(model):
    net = network(duration_ms=1500.0)
    phi = {"E": 20.0, "I": 8.0, "ext": 3.0}
    v_mean = -61.0
    potential = model(traces(net, {k: lambda t, k=k: phi[k] for k in KINDS}, v_mean), net, MASS)
    g, reversal = net.g_tilde_ms(), net.reversal_mv()
    if model is cfm:
        expected = net.v_leak_mv - sum(g[k] * (v_mean - reversal[k]) * phi[k] for k in KINDS)
    else:  # V = V_L - Σ g̃ Φ (V - V_σ), solved for V: the steady state of the membrane itself
        total = 1 + sum(g[k] * phi[k] for k in KINDS)
        expected = (net.v_leak_mv + sum(g[k] * phi[k] * reversal[k] for k in KINDS)) / total
    assert potential[0] == v_mean
    assert potential[-1] == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("hz", [2.0, 10.0, 40.0, 120.0])
def test_cfm_has_the_gain_and_phase_of_two_low_passes(hz):
    dt = 0.02
    net = network(dt_ms=dt, duration_ms=1200.0, transient_ms=200.0)
    tr = traces(net, {"E": rhythm(20.0, 0.5, hz), "I": rhythm(5.0, 0.0, hz), "ext": rhythm(3.0, 0.0, hz)})
    potential = cfm(tr, net, MASS)
    t = dt * np.arange(net.n_steps)
    tail = slice(-25_000, None)  # 500 ms: whole periods of each frequency
    wave = np.exp(-2j * np.pi * hz * t[tail] / 1e3)
    transfer = np.mean(potential[tail] * wave) / np.mean(drive(net, tr, -60.0)[tail] * wave)
    s = 2j * np.pi * hz / 1e3
    analytic = 1 / ((1 + s * net.tau_m_ms) * (1 + s * MASS.tau_s_ms))
    # Forward Euler takes s (1 + s dt / 2) for s; each low-pass passes at most that relative error on.
    tolerance = 1.1 * 2 * abs(s * dt / 2)
    assert abs(transfer / analytic - 1) < tolerance < 0.02


def test_cfm_equals_scipys_linear_system():
    dt = 0.01
    net = network(dt_ms=dt, duration_ms=300.0, transient_ms=50.0)
    tr = traces(net, {"E": rhythm(20.0, 0.8, 15.0), "I": rhythm(8.0, 0.5, 23.0), "ext": rhythm(3.0, 0.3, 60.0)})
    a, b = net.tau_m_ms, MASS.tau_s_ms
    system = signal.TransferFunction([1.0], [a * b, a + b, 1.0])
    t = dt * np.arange(net.n_steps)
    _, response, _ = signal.lsim(system, drive(net, tr, -60.0) + 60.0, t)  # deviation from V(0) = V̄, at rest
    np.testing.assert_allclose(cfm(tr, net, MASS), -60.0 + response, atol=0.02)
    assert np.ptp(response) > 2


def test_mfm_converges_to_the_adaptive_solution():
    phi = {"E": rhythm(25.0, 0.9, 16.0), "I": rhythm(10.0, 0.9, 16.0), "ext": rhythm(3.0, 0.2, 40.0)}
    reference_net = network(duration_ms=400.0)
    g, reversal = reference_net.g_tilde_ms(), reference_net.reversal_mv()
    tau_m, tau_s = reference_net.tau_m_ms, MASS.tau_s_ms

    def slope(t: float, state: np.ndarray) -> list[float]:
        v, dv = state  # the equation as printed: tau_m tau_s V'' + (tau_m + tau_s) V' + V = J
        j = reference_net.v_leak_mv - sum(g[k] * (v - reversal[k]) * phi[k](np.float64(t)) for k in KINDS)
        return [dv, (j - v - (tau_m + tau_s) * dv) / (tau_m * tau_s)]

    errors = []
    for dt in (0.2, 0.1, 0.05):
        net = network(dt_ms=dt, duration_ms=400.0)
        t = dt * np.arange(net.n_steps)
        exact = integrate.solve_ivp(slope, (0, 400.0), [-60.0, 0.0], t_eval=t, rtol=1e-10, atol=1e-10, max_step=1.0)
        errors.append(np.abs(mfm(traces(net, phi), net, MASS) - exact.y[0]).max())
    assert errors[0] < 0.3
    assert errors[1] / errors[0] == pytest.approx(0.5, abs=0.05)  # first order in dt
    assert errors[2] / errors[1] == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("model", [cfm, mfm])
def test_euler_of_freemans_own_equation(model):
    """V'' + (α + β) V' + αβ V = αβ J with α = 1/tau_m, β = 1/tau_s: equation (1), stepped in (V, V')."""
    net = network(duration_ms=300.0)
    rng = np.random.default_rng(2)
    n = net.n_steps
    tr = Traces(np.full(n, -60.0), *(rng.gamma(2.0, size, n).astype("f4") for size in (10.0, 4.0, 1.5)))
    g, reversal = net.g_tilde_ms(), net.reversal_mv()
    alpha, beta, dt = 1 / net.tau_m_ms, 1 / MASS.tau_s_ms, net.dt_ms
    expected = np.empty(n)
    v, slope = -60.0, 0.0
    for k in range(n):
        expected[k] = v
        at = v if model is mfm else -60.0
        j = net.v_leak_mv - sum(g[c] * (at - reversal[c]) * float(getattr(tr, f"phi_{c}")[k]) for c in KINDS)
        v, slope = v + dt * slope, slope + dt * (alpha * beta * (j - v) - (alpha + beta) * slope)
    np.testing.assert_allclose(model(tr, net, MASS), expected, rtol=0, atol=1e-9)


@given(st.integers(5, 40), st.sampled_from(KINDS), st.sampled_from([cfm, mfm]))
def test_the_future_does_not_reach_back(step, kind, model):
    """V[k + 1] follows from step k: an input in step k is first seen at k + 2, through dV/dt."""
    net = network(duration_ms=6.0, transient_ms=1.0)
    quiet = traces(net, {k: lambda t: 1.0 for k in KINDS})
    changed = {f"phi_{k}": getattr(quiet, f"phi_{k}").copy() for k in KINDS}
    changed[f"phi_{kind}"][step] += 50.0
    difference = model(Traces(quiet.mean_v, **changed), net, MASS) - model(quiet, net, MASS)
    assert (difference[: step + 2] == 0).all()
    assert (difference[step + 2 :] != 0).all()


def test_the_reference_potential_is_the_mean_after_the_transient():
    net = network()
    quiet = np.zeros(net.n_steps)
    v = np.where(np.arange(net.n_steps) < net.n_transient, 500.0, -70.0)
    assert cfm(Traces(v, quiet, quiet, quiet), net, MASS)[0] == pytest.approx(-70.0, abs=1e-12)


def test_mean_of_a_float32_trace_is_taken_in_double():
    net = network(duration_ms=3.0e4, transient_ms=100.0)
    quiet = np.zeros(net.n_steps, "f4")
    v = (-60 + 0.01 * np.random.default_rng(1).standard_normal(net.n_steps)).astype("f4")
    exact = v[net.n_transient :].astype("f8").mean()
    assert mfm(Traces(v, quiet, quiet, quiet), net, MASS)[0] == pytest.approx(exact, abs=1e-11)


@pytest.mark.parametrize("bad", [1e9, np.inf, np.nan])
def test_run_away_is_nan_from_there_on(bad):
    net = network()
    ones = np.ones(net.n_steps)
    phi_E = ones.copy()
    phi_E[3000] = bad
    potential = mfm(Traces(-60 * ones, phi_E, ones, ones), net, MASS)
    first = int(np.flatnonzero(np.isnan(potential))[0])
    assert 3001 < first < 3100
    assert np.isnan(potential[first:]).all()
    assert (np.abs(potential[:first]) <= V_BOUND_MV).all()


def test_parametric_forcing_can_run_away_where_the_conventional_model_does_not():
    """A stiffness K ~ 100 makes the MFM resonate at sqrt(K / (tau_m tau_s)) = 1/ms; a swing of K at twice that pumps.

    The step is far below what resolves it, so this is the model's own instability, not that of forward Euler.
    """
    net = network(dt_ms=0.01, duration_ms=600.0, w_E=0.7)
    stiff = {"E": lambda t: 47.0 * (1 + np.sin(2 * t)), "I": lambda t: 0.0, "ext": lambda t: 0.0}
    assert np.isnan(mfm(traces(net, stiff, v_mean=-0.5), net, MASS)[-1])
    assert np.isfinite(cfm(traces(net, stiff, v_mean=-0.5), net, MASS)).all()
