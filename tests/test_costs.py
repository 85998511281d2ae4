"""Expected costs: they order the work sensibly, and do not depend on the block size."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpcmass import costs as module
from hpcmass.config import NetworkParameters
from hpcmass.config.file import parse_experiment
from hpcmass.costs import expected_cost, mean_field_rate_hz, point_costs

unit = st.floats(0, 1)

NETWORK = NetworkParameters()


@given(p=unit, lam=unit)
def test_the_mean_field_rate_is_a_rate(p, lam):
    rate = mean_field_rate_hz(NETWORK, p, lam)
    assert 0 <= rate <= 1e3 / NETWORK.t_ref_ms


def test_the_mean_field_rate_solves_its_equation():
    """Recurrent excitation alone, by hand: r = 1/(t_ref + tau_eff ln(...)) at the returned rate."""
    rate = mean_field_rate_hz(NETWORK, 1.0, 1.0)
    g_e, g_x = 0.0021 * 10_000 * rate / 1e3, 0.0665 * 5.0
    v_inf = -74.0 / (1 + g_e + g_x)
    tau = 20.0 / (1 + g_e + g_x)
    assert rate == pytest.approx(1e3 / (5 + tau * np.log((v_inf + 60) / (v_inf + 54))), rel=1e-6)


def test_a_network_without_input_is_silent():
    quiet = NetworkParameters(external_rate_hz=0.0, w_E=0.0)
    assert mean_field_rate_hz(quiet, 0.5, 0.8) == 0.0


def test_a_strong_drive_reaches_the_rate_of_a_lone_neuron():
    """Without connections the rate follows from the external drive only."""
    driven = NetworkParameters(w_ext=0.05)
    g = 0.05 * 5 * 5.0
    v_inf, tau = -74.0 / (1 + g), 20.0 / (1 + g)
    expected = 1e3 / (5 + tau * np.log((v_inf + 60) / (v_inf + 54)))
    assert mean_field_rate_hz(driven, 0.0, 1.0) == pytest.approx(expected, rel=1e-6)


def test_external_input_to_inhibitory_neurons_drives_like_that_to_excitatory_ones():
    """The rate is that of a neuron with the mean input of all."""
    split = NetworkParameters(w_ext=0.05, p_ext=0.1, p_ext_I=0.02)
    same = NetworkParameters(w_ext=0.05, p_ext=0.1 + 0.02 * 0.3 / 0.7)
    rate = mean_field_rate_hz(split, 0.1, 0.7)
    assert rate == pytest.approx(mean_field_rate_hz(same, 0.1, 0.7), rel=1e-6)
    assert rate > mean_field_rate_hz(NetworkParameters(w_ext=0.05), 0.1, 0.7)


def test_pathways_scale_the_mean_input():
    """Half of the possible edges at twice the factor; inhibition that reaches nobody does not inhibit."""
    factors = {"p_EE": 2.0, "p_EI": 2.0, "p_IE": 2.0, "p_II": 2.0}
    assert mean_field_rate_hz(NetworkParameters(**factors), 0.1, 0.7) == pytest.approx(
        mean_field_rate_hz(NETWORK, 0.2, 0.7), rel=1e-9
    )
    alone = NetworkParameters(p_IE=0.0, p_II=0.0)
    assert mean_field_rate_hz(alone, 0.1, 0.7) == pytest.approx(
        mean_field_rate_hz(NetworkParameters(w_I=0.0), 0.1, 0.7), rel=1e-9
    )
    # one graph more is drawn, and rows are read
    assert expected_cost(NetworkParameters(p_II=0.5), 1.0, 1.0) > expected_cost(NETWORK, 1.0, 1.0)


@given(p=unit, lam=unit)
def test_cost_is_positive_and_grows_with_duration_and_size(p, lam):
    cost = expected_cost(NETWORK, p, lam)
    assert cost > 0
    drawing = 2 * cost - expected_cost(NetworkParameters(duration_ms=6e4), p, lam)
    assert 0 <= drawing < 0.01 * cost
    assert expected_cost(NetworkParameters(n_neurons=20_000), p, lam) > cost


@given(low=st.floats(0, 0.999), high=st.floats(0, 0.999))
def test_cost_grows_with_excitation(low, high):
    """At p = 0.9 the more excitatory network is the faster one; and at λ = 1 the denser one, unless it is complete."""
    low, high = sorted((low, high))
    assert expected_cost(NETWORK, 0.9, low) <= expected_cost(NETWORK, 0.9, high) * (1 + 1e-6)
    assert expected_cost(NETWORK, low, 1.0) <= expected_cost(NETWORK, high, 1.0) * (1 + 1e-6)


def test_a_complete_graph_needs_no_rows():
    assert expected_cost(NETWORK, 1.0, 1.0) < 0.6 * expected_cost(NETWORK, 0.999, 1.0)
    assert expected_cost(NETWORK, 1.0, 1.0) == pytest.approx(expected_cost(NETWORK, 0.0, 1.0))


def test_the_fast_corner_costs_most():
    costs = {(p, lam): expected_cost(NETWORK, p, lam) for p in (0, 0.02, 0.2, 0.9, 1) for lam in (0, 0.5, 0.8, 1)}
    assert max(costs, key=costs.__getitem__) == (0.9, 1)
    assert 1.5 < costs[0.9, 1] / costs[0.02, 0.8] < 4


def test_costs_of_all_points():
    experiment = parse_experiment("grid: {p: [0.1, 1.0], lam: [0.5, 0.8, 1.0], noise_q: [0.0, 0.1]}")
    costs = point_costs(experiment)
    assert costs.shape == (2, 3, 2)
    assert costs[0, 2, 1] == expected_cost(experiment.network_at({"noise_q": 0.1}), 0.1, 1.0)
    other = point_costs(parse_experiment("grid: {p: 0.3, lam: 1.0, noise_q: 0.5}"))
    assert other.tolist() == [[[expected_cost(experiment.network_at({"noise_q": 0.5}), 0.3, 1.0)]]]


def test_costs_of_many_points_are_those_of_each(monkeypatch):
    """Also where they are calculated in several blocks; every parameter that they depend on is an axis here."""
    experiment = parse_experiment(
        "grid: {p: [0, 0.1, 1.0], lam: [0, 0.8, 1], w_E: [0, 0.001], n_neurons: [100, 10000], t_ref_ms: [0, 5], "
        "v_threshold_mv: [-59, -54], p_ext: [0.5, 1], external_rate_hz: [0, 50], tau_m_ms: [10, 20]}"
    )
    whole = point_costs(experiment)
    monkeypatch.setattr(module, "POINTS_AT_ONCE", 100)
    np.testing.assert_array_equal(point_costs(experiment), whole)
    axes = experiment.grid.axes()
    for point in np.random.default_rng(1).integers(whole.size, size=200):
        place = np.unravel_index(point, whole.shape)
        values = {name: axis[i] for (name, axis), i in zip(axes.items(), place, strict=True)}
        assert whole[place] == expected_cost(experiment.network_at(values), values["p"], values["lam"])


def test_the_last_digits_of_a_logarithm_do_not_reach_the_costs(monkeypatch):
    """They differ between processors, and the tasks of a job array on several must divide the trials alike."""
    experiment = parse_experiment("grid: {p: {linspace: [0, 0.99, 40]}, lam: {linspace: [0.5, 1, 30]}}")
    here, log = point_costs(experiment), np.log
    monkeypatch.setattr(module.np, "log", lambda x: log(x) * (1 + 1e-12))
    np.testing.assert_array_equal(point_costs(experiment), here)


def test_a_large_grid_costs_no_loop_over_its_points(monkeypatch):
    """No network is built and validated for each of a million points."""
    experiment = parse_experiment("grid: {p: {linspace: [0, 1, 1000]}, lam: {linspace: [0, 1, 100]}, w_E: [0, 1]}")
    monkeypatch.setattr(type(experiment), "network_at", None)
    assert np.isfinite(point_costs(experiment)).all()
