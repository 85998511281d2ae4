"""All configuration keys: the commented defaults and the schema agree with the validation."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from hpcmass.cli import main
from hpcmass.config.experiment import Experiment
from hpcmass.config.file import load_experiment, parse_experiment
from hpcmass.config.network import SWEEPABLE, NetworkParameters
from hpcmass.config.reference import all_keys, defaults, differences, schema, values_in_use
from hpcmass.config.settings import CompareParameters, MassParameters
from hpcmass.config.yaml_text import Document

CONFIGS = sorted((Path(__file__).parents[2] / "configs").glob("*.yml"))


def document(**changed: Any) -> dict[str, Any]:
    return {"grid": {"p": 0.1, "lam": [0.5, 1.0]}, **changed}


def test_the_defaults_are_the_defaults():
    experiment = parse_experiment(defaults())
    assert experiment.network == NetworkParameters()
    assert experiment.mass == MassParameters()
    assert experiment.compare == CompareParameters()
    plain = Experiment(grid={"p": 0.0, "lam": 0.0})
    assert (experiment.trials, experiment.root_seed, experiment.title) == (plain.trials, plain.root_seed, plain.title)
    assert len(experiment.grid.p) == len(experiment.grid.lam) == 11


def test_every_key_is_there_and_explained():
    listed = {(key.section, key.name) for key in all_keys()}
    for section, model in (("network", NetworkParameters), ("mass", MassParameters), ("compare", CompareParameters)):
        assert {name for s, name in listed if s == section} == set(model.model_fields)
    assert {name for s, name in listed if not s} == {"title", "root_seed", "trials", "points"}
    assert all(key.meaning for key in all_keys())
    inner = [key for key in all_keys() if key.section]
    assert all(key.unit and key.origin in ("paper", "related literature", "choice") for key in inner)
    text = defaults()
    assert all(name in text for name in SWEEPABLE)
    assert "v_leak_mv: -74.0  # mV; related literature: leak reversal potential\n" in text
    assert max(map(len, text.splitlines())) <= 120


def test_values_in_use_are_complete_and_mark_the_defaults():
    network = {"tau_m_ms": 12.5, "noise_unit": "V^2 ms", "w_I": 0.5}
    experiment = parse_experiment(json.dumps({
        "title": "Größe", "network": network, "compare": {"rho_min": 0.9, "alpha": 0.05},
        "grid": {"p": 0.1, "lam": [0.5, 1.0], "w_I": [0.1, 0.2]},
    }))  # fmt: skip
    text = values_in_use(experiment)
    lines = text.splitlines()
    assert "  tau_m_ms: 12.5  # ms: membrane time constant" in lines
    assert "  v_leak_mv: -74.0  # mV, default (related literature): leak reversal potential" in lines
    assert "  rho_min: 0.9  # 1, default (choice): correlation that counts as agreement" in lines
    assert "  alpha: 0.05  # 1: level of every test" in lines
    assert [line for line in lines if line.startswith("  w_I:")] == [
        "  w_I: [0.1, 0.2]  # 1: a further axis: jump of the conductance (leak = 1) at an inhibitory spike"
    ]
    assert any(line.startswith("  noise_q: 0.0005  # V^2 ms, default") for line in lines)
    again = parse_experiment(text)
    assert again.model_dump(exclude={"network"}) == experiment.model_dump(exclude={"network"})
    assert again.network.model_copy(update={"w_I": 0.5}) == experiment.network


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_ready_configurations_are_valid_by_both(path):
    load_experiment(path)
    jsonschema.Draft202012Validator(schema()).validate(Document(path.read_text()).value)


@pytest.mark.parametrize(
    "wrong",
    [
        {"titel": "x"},
        {"grid": {"p": 0.1}},
        {"grid": {"p": {"linspace": [0, 1]}, "lam": 1}},
        {"grid": {"p": "all", "lam": 1}},
        {"grid": {"p": 0.1, "lam": 1, "dt_ms": [0.1, 0.2]}},
        {"network": {"n_neurons": 1}},
        {"network": {"n_neurons": "many"}},
        {"network": {"tau_m_ms": 0}},
        {"mass": {"models": []}},
        {"compare": {"band_hz": [1.0]}},
        {"trials": 0},
    ],
    ids=str,
)
def test_what_is_wrong_is_wrong_by_both(wrong):
    validator = jsonschema.Draft202012Validator(schema())
    validator.validate(document())
    parse_experiment(yaml.safe_dump(document()))
    assert not validator.is_valid(document(**wrong))
    with pytest.raises(Exception, match="has 1 problem"):
        parse_experiment(yaml.safe_dump(document(**wrong)))


def test_the_schema_carries_units_and_origins():
    assert jsonschema.Draft202012Validator.check_schema(schema()) is None
    tau = schema()["$defs"]["NetworkParameters"]["properties"]["tau_m_ms"]
    assert (tau["unit"], tau["origin"], tau["description"]) == ("ms", "related literature", "membrane time constant")


def test_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "--schema"]) == 0
    assert json.loads(capsys.readouterr().out) == schema()
    assert main(["config", "--defaults"]) == 0
    assert capsys.readouterr().out == defaults()
    with pytest.raises(SystemExit):
        main(["config"])


def test_a_notebook_shows_what_is_not_the_default():
    experiment = Experiment(
        title="<b> & λ",
        grid={"p": [k / 20 for k in range(21)], "lam": 0.8, "w_I": [0.002, 0.004]},
        network={"tau_E_ms": 5, "n_external": 10_000},
        mass={"models": ["MFM"]},
    )
    assert {key.path: key.value for key in differences(experiment)} == {
        "grid.p": "0, 0.05 … 1 (21 values)",
        "grid.lam": "0.8",
        "grid.w_I": "0.002, 0.004",
        "network.tau_E_ms": "5.0",
        "mass.models": '["MFM"]',
    }
    shown = experiment._repr_html_()
    assert "<b>&lt;b&gt; &amp; λ</b>: axes p (21), lam (1), w_I (2), 42 points, 420 trials of 30 s" in shown
    assert "<td>network.tau_E_ms</td><td>5.0</td><td>ms</td>" in shown
