"""A configuration: all problems are reported at once, with path and range; axes and hashes depend on values."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path
from typing import Any, get_args

import h5py
import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from hpcmass.config.axes import canonical
from hpcmass.config.experiment import Experiment
from hpcmass.config.file import load_experiment, parse_experiment
from hpcmass.config.network import ADDED, SWEEPABLE, NetworkParameters
from hpcmass.config.settings import CompareParameters, MassParameters
from hpcmass.errors import ConfigError, UserError
from hpcmass.recordings.describe import given_keys

SMALL = "grid: {p: [0.1, 0.2], lam: 0.8}\n"


def problems(text: str) -> list[str]:
    """The lines of the error, without the first, which counts them."""
    with pytest.raises(ConfigError) as caught:
        parse_experiment(text, "my.yml")
    first, *rest = str(caught.value).splitlines()
    assert first == f"my.yml has {len(rest)} problem{'s' if len(rest) > 1 else ''}:"
    return [line.strip() for line in rest]


def only_problem(text: str) -> str:
    (line,) = problems(text)
    return line


# Everything at once -------------------------------------------------------------------------------------------------


def test_all_errors_of_a_file_are_reported_at_once():
    lines = problems(
        "trials: 0\n"
        "titel: x\n"
        "network: {n_neurons: 1, tau_m_ms: -20.0, w_e: 0.001, v_threshold_mv: high}\n"
        "grid: {p: [0.5, 1.5], lam: [0.5, -0.1]}\n"
        "mass: {models: []}\n"
        "compare: {alpha: 1.0, band_hz: [10.0, 5.0]}\n"
    )
    paths = [line.split(":")[0] for line in lines]
    assert sorted(paths) == sorted(
        ["trials", "titel", "network.n_neurons", "network.tau_m_ms", "network.w_e", "network.v_threshold_mv",
         "grid.p", "grid.lam", "mass.models", "compare.alpha", "compare.band_hz"]
    )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "path", "printed"),
    [
        (SMALL + "trials: 0", "trials", ["0", "allowed: [1, 1e+06]"]),
        (SMALL + "trials: 2.5", "trials", ["2.5"]),
        (SMALL + "trials: true", "trials", ["integer"]),
        (SMALL + "root_seed: -1", "root_seed", ["-1", "allowed: [0, "]),
        ("grid: {p: [0, 1.2], lam: 0.8}", "grid.p", ["1.2", "[0, 1]"]),
        ("grid: {p: 0.1, lam: -0.2}", "grid.lam", ["-0.2", "[0, 1]"]),
        ("grid: {p: 0.1}", "grid.lam", ["missing"]),
        ("trials: 2", "grid", ["missing"]),
        ("grid: {p: 0.1, lam: 0.8, n_neurons: [100, 250.5]}", "grid.n_neurons", ["250.5", "whole"]),
        ("grid: {p: 0.1, lam: 0.8, n_neurons: [1, 100]}", "grid.n_neurons", ["[2, 65535]"]),
        ("grid: {p: 0.1, lam: 0.8, w_E: [-1, 1]}", "grid.w_E", ["-1", ">= 0"]),
        ("grid: {p: 0.1, lam: 0.8, duration_ms: [100, 200]}", "grid.duration_ms", ["unknown key"]),
        ("grid: {p: 0.1, lam: 0.8, v_threshold_mv: [-70, -54]}", "grid", ["-70", "above v_reset_mv"]),
        ("grid: {p: 0.1, lam: 0.8, v_reset_mv: [-60, -50]}", "grid", ["-50", "v_threshold_mv must be above"]),
        ("grid: {p: 0.1, lam: 0.8, v_reset_mv: [-60, -55], v_threshold_mv: [-57, -50]}", "grid", ["-55", "-57"]),
        (SMALL + "network: {transient_ms: 500.0, duration_ms: 500.0}", "network.transient_ms", ["500", "shorter"]),
        (SMALL + "network: {transient_ms: 499.9, duration_ms: 500.0}", "network.transient_ms", ["two steps"]),
        (SMALL + "network: {v_threshold_mv: -61.0}", "network.v_threshold_mv", ["above v_reset_mv = -60"]),
        (SMALL + "network: {tau_E_ms: 0.1}", "network.tau_E_ms", ["two steps of dt_ms"]),
        (SMALL + "network: {p_ext: 1.5}", "network.p_ext", ["1.5", "allowed: [0, 1]"]),
        (SMALL + "network: {dt_ms: 0}", "network.dt_ms", ["0", "allowed: > 0"]),
        (SMALL + "network: {noise_q: .nan}", "network.noise_q", ["finite"]),
        (SMALL + "network: {noise_q: '0.1'}", "network.noise_q", ["number", "'0.1'"]),
        (SMALL + "network: 5", "network", ["5"]),
        (SMALL + "compare: {alpha: 0}", "compare.alpha", ["0", "(0, 1)"]),
        (SMALL + "mass: {models: CFM}", "mass.models", ["CFM"]),
    ],
)
def test_each_problem_names_path_value_and_range(text: str, path: str, printed: list[str]):
    line = only_problem(text)
    assert line.startswith(f"{path}: "), line
    for words in printed:
        assert words in line


@pytest.mark.parametrize(
    ("text", "key", "hint"),
    [
        (SMALL + "trails: 3", "trails", "trials"),
        (SMALL + "network: {n_neuron: 3}", "network.n_neuron", "n_neurons"),
        (SMALL + "network: {w_e: 0.1}", "network.w_e", "w_E"),
        (SMALL + "compare: {rhomin: 0.1}", "compare.rhomin", "rho_min"),
        ("grid: {p: 0.1, lam: 1, lambda: 0.5}", "grid.lambda", "lam"),
        ("grid: {p: 0.1, lam: 1, Lambda: 0.5}", "grid.Lambda", "lam"),
        ("grid: {p: 0.1, lam: 1, LAMBDA: 0.5}", "grid.LAMBDA", "lam"),
        ("grid: {p: 0.1, lam: 1, λ: 0.5}", "grid.λ", "lam"),
        ("grid: {p: 0.1, lam: 1, Λ: 0.5}", "grid.Λ", "lam"),
    ],
)
def test_a_misspelt_key_gets_the_right_one_as_a_hint(text: str, key: str, hint: str):
    assert only_problem(text) == f"{key}: unknown key; did you mean '{hint}'?"


@pytest.mark.parametrize(
    ("given", "path"),
    [("duration_ms: 500.0", "transient_ms"), ("dt_ms: 2.0", "tau_E_ms"), ("v_reset_mv: -50.0", "v_threshold_mv")],
)
def test_a_default_that_does_not_fit_what_is_given(given: str, path: str):
    """Every condition between two parameters holds, whichever of them is in the file."""
    line = only_problem(SMALL + f"network: {{{given}}}\n")
    assert line.startswith(f"network.{path}: must be ")
    assert f"not {getattr(NetworkParameters(), path)}, its default" in line


@pytest.mark.parametrize("key", ["trials", "root_seed"])
def test_a_wrong_value_of_any_length_is_a_short_sentence(key: str):
    assert len(only_problem(SMALL + f"{key}: 1{'0' * 400}")) < 200
    assert len(only_problem(SMALL + f"{key}: '{'x' * 400}'")) < 200
    assert len(only_problem(SMALL + f"{key}{'s' * 900}: 1")) < 200


def test_a_key_like_no_other_gets_the_list():
    assert "known keys: title, root_seed, trials" in only_problem(SMALL + "xyzzy: 1")


@pytest.mark.parametrize("text", ["", "[1, 2]", "just words", "42"])
def test_a_document_without_keys(text: str):
    with pytest.raises(ConfigError, match=r"my\.yml holds no keys"):
        parse_experiment(text, "my.yml")


@pytest.mark.parametrize(
    ("text", "printed"),
    [("grid: {p: [0.1", "is not YAML"), ("trials: 1\ntrials: 2\n" + SMALL, "'trials' is given twice"),
     ("grid: !!python/object:os.system {}", "is not YAML"), ("? [1, 2]\n: 3\n", "my.yml"), ("a: *b", "is not YAML")],
)  # fmt: skip
def test_what_is_not_yaml_is_one_sentence(text: str, printed: str):
    with pytest.raises(ConfigError, match=r"my\.yml") as caught:
        parse_experiment(text, "my.yml")
    assert printed in str(caught.value)


def test_unreadable_files(tmp_path: Path):
    with pytest.raises(UserError, match=r"cannot read the configuration .*none\.yml"):
        load_experiment(tmp_path / "none.yml")
    with pytest.raises(UserError, match="cannot read the configuration"):
        load_experiment(tmp_path)
    binary = tmp_path / "binary.yml"
    binary.write_bytes(b"\x89HDF\xff\xfe")
    with pytest.raises(UserError, match="not UTF-8"):
        load_experiment(binary)


json_like = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(
    section=st.sampled_from(["title", "root_seed", "trials", "network", "grid", "mass", "compare"]),
    key=st.sampled_from([*SWEEPABLE, *CompareParameters.model_fields, *MassParameters.model_fields]),
    value=json_like,
    nested=st.booleans(),
)
def test_any_file_gives_an_experiment_or_one_sentence(section, key, value, nested):
    """No value of any key escapes as another exception than ConfigError."""
    document: dict[str, Any] = {"grid": {"p": 0.1, "lam": 0.8}}
    if nested and section in ("network", "grid", "mass", "compare"):
        document.setdefault(section, {})[key] = value
    else:
        document[section] = value
    text = yaml.safe_dump(document, allow_unicode=True)
    try:
        parse_experiment(text)
    except ConfigError:
        with pytest.raises(ConfigError, match=r"^configuration (has \d+ problem|is not YAML|holds no keys)"):
            parse_experiment(text)


# Axes ----------------------------------------------------------------------------------------------------------------


def axis(spec: Any) -> tuple[float, ...]:
    return parse_experiment(yaml.safe_dump({"grid": {"p": spec, "lam": 0.8}})).grid.axes()["p"]


def test_axes_from_a_number_a_list_linspace_logspace():
    assert axis(0.25) == (0.25,)
    assert axis([0, 0.5, 1]) == (0.0, 0.5, 1.0)
    assert axis({"linspace": [0, 1, 5]}) == (0.0, 0.25, 0.5, 0.75, 1.0)
    assert axis({"logspace": [0.001, 1, 4]}) == (0.001, 0.01, 0.1, 1.0)
    assert axis({"linspace": [0.5, 0.5, 1]}) == (0.5,)


@given(first=st.floats(0, 0.4), last=st.floats(0.5, 1), n=st.integers(2, 60))
def test_linspace_has_its_ends_and_its_length(first: float, last: float, n: int):
    values = axis({"linspace": [first, last, n]})
    assert len(values) == n
    assert values[0] == canonical(first)
    assert values[-1] == canonical(last)
    np.testing.assert_allclose(np.diff(values), (last - first) / (n - 1), rtol=1e-6)


@given(first=st.floats(1e-4, 0.1), last=st.floats(0.5, 1), n=st.integers(2, 40))
def test_logspace_has_equal_ratios(first: float, last: float, n: int):
    values = axis({"logspace": [first, last, n]})
    assert (values[0], values[-1]) == (canonical(first), canonical(last))
    np.testing.assert_allclose(np.diff(np.log(values)), np.log(last / first) / (n - 1), rtol=1e-6)


@pytest.mark.parametrize(
    ("spec", "printed"),
    [
        ([], "give a number"),
        ([0.5, 0.5], "increase strictly"),
        ([0.5, 0.4], "increase strictly"),
        ([0.1, 0.1 + 1e-15], "increase strictly"),
        (["a"], "give a number"),
        ([True], "give a number"),
        ("0.1", "give a number"),
        ({"linspace": [0, 1]}, "linspace takes [first, last, n]"),
        ({"linspace": [0, 1, 2.5]}, "whole number"),
        ({"linspace": [0, 1, 0]}, "whole number"),
        ({"linspace": [0, 1, 10**9]}, "whole number"),
        ({"linspace": [1, 0, 3]}, "increase strictly"),
        ({"linspace": [0, 1, 10**400]}, "linspace takes [first, last, n]"),
        ({"linspace": [-1e308, 1e308, 3]}, "too far apart"),
        (10**400, "give a number"),
        ({"logspace": [0, 1, 3]}, "above 0"),
        ({"arange": [0, 1, 3]}, "give a number"),
        ({"linspace": [0, 1, 3], "logspace": [0.1, 1, 3]}, "give a number"),
    ],
)
def test_axes_that_are_refused(spec: Any, printed: str):
    assert printed in only_problem(yaml.safe_dump({"grid": {"p": spec, "lam": 0.8}}))


@pytest.mark.parametrize(
    ("grid", "line"),
    [
        ("p: [0.5, 0.2, 1.2], lam: 0.8",
         "grid.p: values must increase strictly, but 0.2 follows 0.5; 1.2 is outside the allowed range, [0, 1]"),
        ("p: [-0.1, 0.5, 0.5, 0.5, 7, 8, 9], lam: 0.8",
         "grid.p: values must increase strictly, but 0.5 follows 0.5, 0.5 follows 0.5; "
         "-0.1, 7, 8 and 1 more are outside the allowed range, [0, 1]"),
        ("p: 0.5, lam: 0.8, n_neurons: [300, 200.5, 1, 1.5]",
         "grid.n_neurons: values must increase strictly, but 200.5 follows 300, 1 follows 200.5; "
         "200.5, 1.5 are not whole numbers; 1, 1.5 are outside the allowed range, [2, 65535]"),
        ("p: '0.5', lam: 0.8", "grid.p: give a number, a list of numbers, {linspace: [first, last, n]} or {logspace: "
         "[first, last, n]}, not '0.5'"),
        ("p: 1.0000001, lam: 0.8", "grid.p: 1.0000001 is outside the allowed range, [0, 1]"),
        ("p: {linspace: [2, 0, 3]}, lam: 0.8",
         "grid.p: values must increase strictly, but 1 follows 2, 0 follows 1; "
         "2 is outside the allowed range, [0, 1]"),
    ],
)  # fmt: skip
def test_all_problems_of_an_axis_are_reported(grid: str, line: str):
    assert only_problem(f"grid: {{{grid}}}") == line


def test_further_axes_follow_p_and_lam_whatever_the_order_of_the_file():
    experiment = parse_experiment("grid: {w_I: [0.001, 0.002], lam: 0.8, n_neurons: [100, 200], p: 0.1}")
    assert list(experiment.grid.axes()) == ["p", "lam", "n_neurons", "w_I"]
    at = experiment.network_at({"p": 0.1, "lam": 0.8, "n_neurons": 200.0, "w_I": 0.002})
    assert (at.n_neurons, type(at.n_neurons), at.w_I) == (200, int, 0.002)
    assert at.w_E == experiment.network.w_E


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_canonical_values_are_stable_and_close(value: float):
    once = canonical(value)
    assert canonical(once) == once
    assert once == pytest.approx(value, rel=1e-11)


def test_canonical_joins_what_arithmetic_separates():
    assert canonical(0.1 + 0.2) == 0.3
    assert canonical(-0.0).hex() == (0.0).hex()
    assert canonical(0.3) != canonical(0.3 + 1e-11)


# Identity ------------------------------------------------------------------------------------------------------------


def sha(text: str) -> str:
    return parse_experiment(text).physics_sha256()


def test_only_physics_enters_the_hash():
    base = sha(SMALL)
    same = ["trials: 3\n", "title: other\n", "compare: {alpha: 0.05}\n", "mass: {tau_s_ms: 6.0}\n", "# comment\n",
            "network: {n_neurons: 10000}\n"]  # fmt: skip
    assert {sha(SMALL + text) for text in same} == {base}
    assert sha("grid: {p: [0.1, 0.15, 0.9], lam: [0.5, 0.8]}") == base  # a refinement shares trials
    other = ["root_seed: 1\n", "network: {w_E: 0.0008}\n", "network: {dt_ms: 0.05}\n", "network: {duration_ms: 29e3}\n"]
    assert len({base, *(sha(SMALL + text) for text in other)}) == 5


@pytest.mark.parametrize("name", [*NetworkParameters.model_fields])
def test_every_network_parameter_enters_the_hash(name: str):
    value = getattr(NetworkParameters(), name)
    if isinstance(value, str):
        changed = next(other for other in get_args(NetworkParameters.model_fields[name].annotation) if other != value)
    else:
        changed = value + 1 if isinstance(value, int) else value * 0.999 + (0.5 if value == 0 else 0.0)
    assert sha(SMALL + f"network: {{{name}: {changed}}}") != sha(SMALL)


def test_keys_that_were_added_do_not_change_the_hash_of_earlier_files():
    """A key that is said to mean nothing has no influence: earlier files can be continued, and share trials."""
    first = {
        "n_neurons": 10_000, "n_external": 10_000, "dt_ms": 0.1, "duration_ms": 3e4, "transient_ms": 3e3,
        "noise_q": 5e-4, "external_rate_hz": 5.0, "p_ext": 0.1, "tau_m_ms": 20.0, "v_leak_mv": -74.0,
        "v_reset_mv": -60.0, "v_threshold_mv": -54.0, "t_ref_ms": 5.0, "v_exc_mv": 0.0, "v_inh_mv": -80.0,
        "v_ext_mv": 0.0, "tau_E_ms": 3.0, "tau_I_ms": 7.0, "tau_ext_ms": 5.0, "w_E": 0.0007, "w_I": 0.004,
        "w_ext": 0.0133,
    }  # fmt: skip
    assert {*first, *ADDED} == {*NetworkParameters.model_fields}
    experiment = Experiment(root_seed=20_210_114, grid={"p": 0.2, "lam": 0.8}, network=first | ADDED)
    assert experiment.physics_sha256().startswith("36ee99ba0513a7af")


def test_a_swept_parameters_own_entry_has_no_influence():
    swept = "grid: {p: 0.1, lam: 0.8, w_E: [0.001, 0.002]}\n"
    assert sha(swept) == sha(swept + "network: {w_E: 0.5}\n")
    assert sha(swept) != sha(SMALL)


def test_conditions_hold_at_the_grids_own_points():
    """A threshold below the fixed set's reset is right where the reset is swept below it."""
    axes = parse_experiment("grid: {p: 0.1, lam: 0.8, v_reset_mv: [-80, -70], v_threshold_mv: [-65, -62]}").grid.axes()
    assert axes["v_threshold_mv"] == (-65.0, -62.0)


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("grid: {p: [0.1, 0.8], lam: 0.8}\nnetwork: {p_EI: 2}", "p_EI = 2 times p = 0.8 is a probability above 1"),
        ("grid: {p: 0.5, lam: 0.8, p_II: [1, 1.5, 2.5]}", "give p_II of at most 2, or p of at most 0.4"),
    ],
)
def test_a_connection_probability_above_one_is_refused(text: str, printed: str):
    assert printed in only_problem(text)


@pytest.mark.parametrize(
    ("network", "printed"),
    [
        ("neuron_model: LIFE", "network.neuron_model"),
        ("neuron_model: EIF, v_cutoff_mv: -54", "network.v_cutoff_mv: must be above v_threshold_mv = -54"),
        ("neuron_model: QIF, v_leak_mv: -50", "must be LIF or EIF while v_threshold_mv = -54 is not above v_leak_mv"),
    ],
)
def test_neuron_models_that_are_refused(network: str, printed: str):
    assert printed in only_problem(SMALL + f"network: {{{network}}}")


def test_a_leaky_neuron_needs_no_cutoff():
    assert parse_experiment(SMALL + "network: {v_reset_mv: 5, v_threshold_mv: 10}").network.v_cutoff_mv == 0


def test_connection_probabilities_of_pathways():
    network = parse_experiment("grid: {p: [0.1, 0.5], lam: 0.8}\nnetwork: {p_EI: 2, p_IE: 0.5}").network
    assert network.pathway_probabilities(0.4) == {"EE": 0.4, "EI": 0.8, "IE": 0.2, "II": 0.4}
    # twelve digits of an axis: 3 times a third
    assert parse_experiment("grid: {p: 0.333333333334, lam: 0.8}\nnetwork: {p_EE: 3}").network.p_EE == 3


def test_an_experiment_cannot_be_changed():
    experiment = parse_experiment(SMALL)
    with pytest.raises(ValueError, match="frozen"):
        experiment.network.w_E = 1.0  # type: ignore[misc]


def test_text_is_kept_and_can_be_made():
    text = SMALL + "# a comment\n"
    assert parse_experiment(text).text == text
    made = Experiment.model_validate(yaml.safe_load(SMALL + "trials: 3\nmass: {models: [MFM]}"))
    again = parse_experiment(made.text)
    assert again.model_dump() == made.model_dump()
    assert again.physics_sha256() == made.physics_sha256()


def test_numbers_may_be_written_without_a_point():
    assert parse_experiment(SMALL + "network: {noise_q: 5e-4, duration_ms: 3e4}").network == NetworkParameters()


def test_derived_quantities():
    network = NetworkParameters()
    assert (network.n_steps, network.n_transient) == (300_000, 30_000)
    assert network.g_tilde_ms() == pytest.approx({"E": 0.0021, "I": 0.028, "ext": 0.0665})
    assert network.reversal_mv() == {"E": 0.0, "I": -80.0, "ext": 0.0}


@pytest.mark.parametrize("text", ["1e3", "1.0e3", "1000"])
def test_whole_numbers_may_have_an_exponent(text: str) -> None:
    experiment = parse_experiment(f"network: {{n_neurons: {text}}}\ngrid: {{p: 0.5, lam: 0.5}}\n")
    assert experiment.network.n_neurons == 1000
    assert type(experiment.network.n_neurons) is int


def test_other_numbers_are_no_whole_numbers() -> None:
    for text in ("1000.5", "true", "'1000'"):
        with pytest.raises(ConfigError, match=r"network\.n_neurons"):
            parse_experiment(f"network: {{n_neurons: {text}}}\ngrid: {{p: 0.5, lam: 0.5}}\n")


# Made in place --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keys", "lines"),
    [
        ({"network": {"tau_e": 3}}, ["network.tau_e: unknown key; did you mean 'tau_ext_ms'?"]),
        ({"grid": {"p": 0.2}}, ["grid.lam: required, but missing"]),
        ({"grid": {"p": [0.5, 0.1], "lam": 1}}, ["grid.p: values must increase strictly, but 0.1 follows 0.5"]),
        ({"trials": 0}, ["trials: should be greater than or equal to 1, not 0 (allowed: [1, 1e+06])"]),
        ({"points": [[1, 1]]}, ["points: p = 1 of [1, 1], lam = 1 of [1, 1] is not on its axis"]),
        (
            {"titel": "x", "network": {"duration_ms": 100}},
            [
                "network.transient_ms: must be shorter than duration_ms = 100, not 3000.0, its default (allowed: >= 0)",
                "titel: unknown key; did you mean 'title'?",
            ],
        ),
    ],
)
def test_what_is_wrong_in_place_is_said_as_of_a_file(keys: dict[str, Any], lines: list[str]):
    with pytest.raises(ConfigError) as caught:
        Experiment(**{"grid": {"p": 0.2, "lam": 0.8}, **keys})
    assert list(caught.value.problems) == lines
    assert str(caught.value) == "\n  ".join(
        [f"the experiment has {len(lines)} problem{'s' if len(lines) > 1 else ''}:", *lines]
    )
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__, "pydantic's own message is not shown"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: NetworkParameters(tau_e=3), "the section network has 1 problem:\n  network.tau_e: unknown key"),
        (lambda: MassParameters(modls=("CFM",)), "the section mass has 1 problem:\n  mass"),
        (lambda: CompareParameters(alpha=2), r"compare\.alpha: .*, not 2"),
    ],
)
def test_a_section_that_is_wrong_in_place(make: Any, message: str):
    with pytest.raises(ConfigError, match=message):
        make()


def test_an_experiment_in_place_is_an_ordinary_model():
    """Validation of a file does not pass through the constructor; copies and pickles do not either."""
    experiment = Experiment(grid={"p": [0.1, 0.2], "lam": 0.8}, network={"p_ext": {"times": "p"}, "dt_ms": 0.2})
    parsed = parse_experiment(experiment.text)
    for same in (parsed, pickle.loads(pickle.dumps(experiment)), copy.deepcopy(experiment), experiment.model_copy()):
        assert same.model_dump() == experiment.model_dump()
        assert same.network.ties == experiment.network.ties
        assert same.text == experiment.text
    assert Experiment.model_validate(experiment) is experiment
    with pytest.raises(ValidationError):
        Experiment.model_validate({"grid": {"p": 0.2}})
    with pytest.raises(ValidationError):
        experiment.network_at({"p": 0.1, "tau_m_ms": -1})


# Keys in another section, other files ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("noise_q: 3", "noise_q: unknown key; noise_q belongs under network"),
        ("rho_min: 3", "rho_min: unknown key; rho_min belongs under compare"),
        ("p: 0.3", "p: unknown key; p belongs under grid"),
        ("lambda: 0.3", "lambda: unknown key; lam belongs under grid"),
        ("network: {trials: 3}", "network.trials: unknown key; trials belongs at the top level"),
        ("network: {lam: 0.3}", "network.lam: unknown key; lam belongs under grid"),
        ("compare: {tau_s_ms: 3}", "compare.tau_s_ms: unknown key; tau_s_ms belongs under mass"),
        ("noise_Q: 3", "noise_Q: unknown key; did you mean 'network.noise_q'?"),
        ("netwrk: {}", "netwrk: unknown key; did you mean 'network'?"),
        ("network: {N: 100}", "network.N: unknown key; did you mean 'n_neurons'?"),
        ("network: {Q: 100}", "network.Q: unknown key; did you mean 'noise_q'?"),
        ("N: 100", "N: unknown key; n_neurons belongs under network"),
    ],
)
def test_a_key_of_another_section_says_where_it_belongs(text: str, line: str):
    assert only_problem(f"{SMALL}{text}\n") == line


def test_a_result_file_in_place_of_a_configuration(tmp_path: Path):
    path = tmp_path / "b.h5"
    with h5py.File(path, "w"):
        pass
    for read in (lambda: load_experiment(path), lambda: given_keys(path, [])):
        with pytest.raises(UserError, match=rf"^{path} is an HDF5 file; give a configuration \(YAML\)$"):
            read()
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(UserError, match=r"cannot read the configuration .*b\.h5: it is not UTF-8 text$"):
        load_experiment(path)
