"""FOM and CLO against SciPy's integrators, and against a network that obeys their equations."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy import integrate

from hpcmass.config import MassParameters, NetworkParameters
from hpcmass.grid import trial_seed
from hpcmass.mass.meanfield import closure_bound, first_order
from hpcmass.mass.traces import V_BOUND_MV, Traces
from hpcmass.network import simulate

MASS = MassParameters()
KINDS = ("E", "I", "ext")
TAU = {"E": 3.0, "I": 7.0, "ext": 5.0}
PHI = {
    "E": lambda t: 25 * (1 + 0.8 * np.sin(2 * np.pi * 0.016 * t)),
    "I": lambda t: 10 * (1 + 0.8 * np.cos(2 * np.pi * 0.016 * t)),
    "ext": lambda t: 3 * (1 + 0.2 * np.sin(2 * np.pi * 0.04 * t)),
}


def traces(network: NetworkParameters, v_mean: float = -60.0, **current: np.ndarray) -> Traces:
    t = network.dt_ms * np.arange(network.n_steps)
    return Traces(np.full(t.size, v_mean), *(PHI[kind](t) for kind in KINDS), **current)


def test_first_order_converges_to_the_adaptive_solution():
    g = NetworkParameters().g_tilde_ms()
    reversal = NetworkParameters().reversal_mv()

    def slope(t: float, state: np.ndarray) -> list[float]:
        v, *conductance = state
        current = sum(x * (v - reversal[kind]) for x, kind in zip(conductance, KINDS, strict=True))
        return [(-74.0 - v - current) / 20.0,
                *((g[k] * PHI[k](t) - x) / TAU[k] for x, k in zip(conductance, KINDS, strict=True))]  # fmt: skip

    errors = []
    for dt in (0.2, 0.1, 0.05):
        net = NetworkParameters(dt_ms=dt, duration_ms=300.0, transient_ms=0.0)
        t = dt * np.arange(net.n_steps)
        exact = integrate.solve_ivp(slope, (0, 300.0), [-60.0, 0, 0, 0], t_eval=t, rtol=1e-10, atol=1e-10, max_step=1.0)
        errors.append(np.abs(first_order(traces(net), net, MASS) - exact.y[0]).max())
    assert errors[0] < 0.3
    assert errors[1] / errors[0] == pytest.approx(0.5, abs=0.05)  # first order in dt
    assert errors[2] / errors[1] == pytest.approx(0.5, abs=0.05)


def test_closure_bound_is_the_membranes_low_pass_of_the_current():
    net = NetworkParameters(duration_ms=300.0, transient_ms=0.0)
    t = net.dt_ms * np.arange(net.n_steps)
    current = -14 + 3 * np.sin(2 * np.pi * 0.02 * t)

    def slope(t: float, v: float) -> float:
        return (-74.0 - v - (-14 + 3 * np.sin(2 * np.pi * 0.02 * t))) / 20.0

    exact = integrate.solve_ivp(slope, (0, 300.0), [-60.0], t_eval=t, rtol=1e-10, atol=1e-10).y[0]
    np.testing.assert_allclose(closure_bound(traces(net, mean_i_syn=current), net, MASS), exact, atol=0.02)


@pytest.fixture(scope="module")
def subthreshold() -> tuple[NetworkParameters, Traces]:
    """Give a network that never reaches threshold: half of it receives external input, half receives none."""
    net = NetworkParameters(
        n_neurons=400, n_external=100, duration_ms=600.0, transient_ms=200.0, v_threshold_mv=50.0, w_ext=0.4
    )
    recording = simulate(net, 0.1, 0.5, trial_seed(1, {"p": 0.1, "lam": 0.5}, 0))
    assert recording.n_spikes == 0
    names = ("mean_v", *(f"phi_{kind}" for kind in KINDS), "mean_i_syn")
    return net, Traces(*(getattr(recording, name) for name in names))


def test_without_threshold_nothing_but_the_closure_is_missing(subthreshold):
    net, recorded = subthreshold
    after = slice(net.n_transient, None)
    network = recorded.mean_v[after].astype(float)
    assert network.std() > 0.2
    bound = closure_bound(recorded, net, MASS)[after]
    np.testing.assert_allclose(bound, network, atol=5e-3)  # equation (16) is what the network does
    closed = first_order(recorded, net, MASS)[after]
    # ⟨g⟩⟨v - V⟩ overrates the drive, for the neurons with conductance are the ones that are depolarised
    assert 0.2 < closed.mean() - network.mean() < 2


def test_without_differences_between_neurons_the_closure_is_exact():
    """p_ext = 1: every neuron receives all external spikes, g is equal in all, and the mean of the product factors."""
    net = NetworkParameters(
        n_neurons=100, n_external=50, p_ext=1.0, noise_q=0.0, duration_ms=600.0, transient_ms=200.0,
        v_threshold_mv=50.0, w_ext=0.05,
    )  # fmt: skip
    recording = simulate(net, 0.0, 1.0, trial_seed(1, {"p": 0.0, "lam": 1.0}, 0))
    recorded = Traces(recording.mean_v, recording.phi_E, recording.phi_I, recording.phi_ext)
    after = slice(net.n_transient, None)
    found = first_order(recorded, net, MASS)[after]
    np.testing.assert_allclose(found, recording.mean_v[after], atol=2e-3)
    assert found.std() > 0.2


@pytest.mark.parametrize("bad", [1e9, np.inf, np.nan])
def test_run_away_is_nan_from_there_on(bad):
    net = NetworkParameters(duration_ms=100.0, transient_ms=10.0)
    current = np.zeros(net.n_steps)
    current[300] = bad
    quiet = traces(net, mean_i_syn=current)
    phi_E = quiet.phi_E.copy()
    phi_E[300] = bad
    recorded = dataclasses.replace(quiet, phi_E=phi_E)
    for model in (first_order, closure_bound):
        v = model(recorded, net, MASS)
        assert np.isfinite(v[:300]).all()
        assert np.isnan(v[303:]).all()
        assert np.nanmax(np.abs(v)) <= V_BOUND_MV
