"""Parameters that follow others: multiples of an axis, weights scaled by the mean degree, the unit of the noise."""

from __future__ import annotations

import jsonschema
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpcmass import Experiment
from hpcmass.config import NetworkParameters
from hpcmass.config.file import parse_experiment
from hpcmass.config.network import TIEABLE
from hpcmass.config.reference import differences, schema
from hpcmass.config.yaml_text import Document
from hpcmass.costs import expected_cost, point_costs
from hpcmass.errors import ConfigError
from hpcmass.grid import trial_seed, trials
from hpcmass.network.simulation import simulate

TIED = "grid: {p: [0.1, 0.25, 0.5], lam: [0.6, 0.8]}\nnetwork: {p_ext: {times: p, factor: 0.5}}"
SMALL = NetworkParameters(
    n_neurons=200, n_external=200, duration_ms=60, transient_ms=10, p_ext=0.4, w_ext=0.1, external_rate_hz=50
)


def test_a_tied_parameter_has_its_value_at_each_point():
    experiment = parse_experiment(TIED)
    assert [experiment.network_at({"p": p, "lam": 0.8}).p_ext for p in (0.1, 0.25)] == [0.05, 0.125]
    assert experiment.network_at({"p": 0.1, "lam": 0.8}).ties == {}


def test_a_tie_to_a_further_axis():
    experiment = parse_experiment(
        "grid: {p: 0.1, lam: 0.8, w_E: [0.001, 0.002]}\nnetwork: {w_I: {times: w_E, factor: 4}}"
    )
    at = experiment.network_at({"p": 0.1, "lam": 0.8, "w_E": 0.002})
    assert (at.w_E, at.w_I) == (0.002, 0.008)


def test_the_factor_is_one_unless_given():
    experiment = parse_experiment("grid: {p: 0.3, lam: 0.8}\nnetwork: {p_ext: {times: p}}")
    assert experiment.network_at({"p": 0.3, "lam": 0.8}).p_ext == 0.3


@pytest.mark.parametrize(
    ("network", "message"),
    [
        ("p_ext: {times: q}", "network.p_ext: times must be an axis of the grid, not 'q'; the axes are p, lam"),
        ("p_ext: {times: λ}", "network.p_ext: times must be an axis of the grid, not 'λ'; did you mean 'lam'?"),
        ("p_ext: {times: p, factor: 3}", "grid: at p = 0.5: p_ext should be less than or equal to 1"),
        ("p_ext: {times: p, factor: -1}", "p_ext should be greater than or equal to 0"),
        ("p_ext: {factor: 3}", "network: p_ext: give a number, or {times: AXIS, factor: NUMBER}"),
        ("p_ext: {times: p, factor: x}", "network: p_ext: give a number, or {times: AXIS, factor: NUMBER}"),
        ("n_neurons: {times: p}", "network.n_neurons: should be a valid integer"),
        ("t_ref_ms: {times: p}", "network.t_ref_ms: should be a valid number"),
        ("tau_x: {times: p}", "network.tau_x: unknown key"),
        ("noise_unit: V2", "network.noise_unit: should be 'mV^2 ms' or 'V^2 ms', not 'V2'"),
        ("weight_scaling: k", "network.weight_scaling: should be 'none', '1/k' or '1/sqrt(k)', not 'k'"),
        ("reference_degree: 0", "network.reference_degree: should be greater than 0"),
    ],
)
def test_mistakes_are_told(network, message):
    with pytest.raises(ConfigError) as caught:
        parse_experiment(f"grid: {{p: [0.1, 0.5], lam: 0.8}}\nnetwork: {{{network}}}")
    assert message in str(caught.value)


def test_a_swept_parameter_cannot_follow_an_axis_too():
    with pytest.raises(
        ConfigError, match=r"network.p_ext: follows p, but the grid sweeps it; leave out one of the two"
    ):
        parse_experiment("grid: {p: 0.1, lam: 0.8, p_ext: [0.1, 0.2]}\nnetwork: {p_ext: {times: p}}")


def test_a_tie_survives_its_text_and_a_copy():
    experiment = parse_experiment(TIED)
    again = parse_experiment(experiment.vary(trials=3).text)
    assert again.trials == 3
    assert again.network.ties == experiment.network.ties
    assert again.physics_sha256() == experiment.physics_sha256()
    assert experiment.vary(p_ext=0.2).network.ties == {}
    assert Experiment(grid={"p": 0.1, "lam": 0.8}).vary(p_ext={"times": "lam"}).network.ties["p_ext"].times == "lam"
    assert [key.value for key in differences(experiment) if key.name == "p_ext"] == ['{"times": "p", "factor": 0.5}']
    assert "p_ext=Tie(times='p', factor=0.5)" in repr(experiment.network)


def test_the_schema_takes_a_tie_where_the_program_does():
    validator = jsonschema.Draft202012Validator(schema())
    validator.validate(Document(TIED).value)
    keys = schema()["$defs"]["NetworkParameters"]["properties"]
    assert {name for name, key in keys.items() if "anyOf" in key} == set(TIEABLE)
    with pytest.raises(jsonschema.ValidationError):
        validator.validate(Document(TIED.replace("times", "time")).value)
    with pytest.raises(jsonschema.ValidationError):
        validator.validate(Document("grid: {p: 0.1, lam: 0.8}\nnetwork: {p_ext: 2}").value)


@given(degree=st.floats(1, 9999), factor=st.sampled_from([("none", 0.0), ("1/k", 1.0), ("1/sqrt(k)", 0.5)]))
def test_scaled_weights(degree, factor):
    scaling, power = factor
    network = NetworkParameters(weight_scaling=scaling, reference_degree=500)
    at = network.at({"p": degree / network.n_neurons, "lam": 0.8})
    expected = (500 / degree) ** power
    assert at.w_E == pytest.approx(network.w_E * expected, rel=1e-12)
    assert at.w_I == pytest.approx(network.w_I * expected, rel=1e-12)
    assert at.w_ext == network.w_ext
    assert at.at({"p": 0.5, "lam": 0.8}) == at  # a scaled weight is not scaled again


def test_weights_without_connections_are_not_scaled():
    network = NetworkParameters(weight_scaling="1/k")
    assert network.at({"p": 0.0, "lam": 0.8}).w_E == network.w_E


def test_the_mean_input_of_scaled_weights_is_the_same_at_every_degree():
    """What 1/k is for: k w stays."""
    network = NetworkParameters(weight_scaling="1/k", reference_degree=1000)
    inputs = [network.at({"p": p, "lam": 0.8}).g_tilde_ms()["E"] * p for p in (0.05, 0.1, 0.7)]
    assert inputs == pytest.approx([inputs[1]] * 3)
    assert inputs[1] == pytest.approx(network.w_E * network.tau_E_ms * 0.1)


def test_noise_in_volts():
    network = NetworkParameters(noise_q=5e-4, noise_unit="V^2 ms").at({})
    assert (network.noise_q, network.noise_unit) == (pytest.approx(500), "mV^2 ms")


def test_swept_noise_has_the_unit_of_the_key():
    experiment = parse_experiment("grid: {p: 0.1, lam: 0.8, noise_q: [1.0e-4, 5.0e-4]}\nnetwork: {noise_unit: V^2 ms}")
    assert experiment.axis_units() == {"noise_q": "V^2 ms"}
    assert experiment.network_at({"p": 0.1, "lam": 0.8, "noise_q": 1e-4}).noise_q == pytest.approx(100)


def test_without_its_axis_there_is_no_value():
    with pytest.raises(ValueError, match="the network depends on p; give a value"):
        parse_experiment(TIED).network_at({"lam": 0.8})


KEYS = ({}, {"p_ext": {"times": "p"}, "weight_scaling": "1/sqrt(k)", "w_E": {"times": "w_I", "factor": 0.2}})


@pytest.mark.parametrize("network", KEYS)
def test_costs_of_all_points_are_those_of_each(network):
    experiment = Experiment(network=network, grid={"p": [0, 0.1, 0.4], "lam": [0.5, 0.8], "w_I": [0.004, 0.005]})
    costs = point_costs(experiment)
    for trial in trials(experiment, [0]):
        at = trial.values
        assert costs[trial.index[:-1]] == expected_cost(experiment.network_at(at), at["p"], at["lam"])


def test_a_trial_of_tied_scaled_parameters_is_the_trial_of_their_values():
    """Bit for bit, and from a seed that neither tie nor unit changes."""
    base = SMALL.model_dump()
    tied = NetworkParameters.model_validate(
        base | {"p_ext": {"times": "p", "factor": 2.0}, "weight_scaling": "1/k", "reference_degree": 80.0}
        | {"noise_q": 1e-5, "noise_unit": "V^2 ms"}
    )  # fmt: skip
    scale = 80 / 40
    plain = SMALL.model_copy(update={"w_E": SMALL.w_E * scale, "w_I": SMALL.w_I * scale, "noise_q": 1e-5 * 1e6})
    seed = trial_seed(1, {"p": 0.2, "lam": 0.8}, 0)
    one, other = simulate(tied, 0.2, 0.8, seed), simulate(plain, 0.2, 0.8, seed)
    assert one.n_spikes == other.n_spikes > 0
    np.testing.assert_array_equal(one.mean_v, other.mean_v)
    unscaled = simulate(SMALL, 0.2, 0.8, seed)
    assert not np.array_equal(one.mean_v, unscaled.mean_v)


REFERENCE_HASH = "36ee99ba0513a7afce11d0961078e9822387458c84e2d8c4f978e10f26e23593"


def test_new_keys_at_their_defaults_leave_the_identity_of_a_sweep_as_it_was():
    """A file of an earlier version has no such keys, and is continued."""
    experiment = parse_experiment("grid: {p: [0.1, 0.5], lam: 0.8}")
    assert experiment.physics_sha256() == REFERENCE_HASH
    for key in ("noise_unit: V^2 ms", "weight_scaling: 1/k", "reference_degree: 10", "p_ext: {times: p}"):
        other = parse_experiment(f"grid: {{p: [0.1, 0.5], lam: 0.8}}\nnetwork: {{{key}}}")
        assert other.physics_sha256() != REFERENCE_HASH
