"""Which set of parameters a network has: the examples', with or without exceptions, or the defaults."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hpcmass import Experiment, load_experiment
from hpcmass.cli import main
from hpcmass.config.reference_set import REFERENCE, network_text

CONFIGS = sorted((Path(__file__).parents[2] / "configs").glob("*.yml"))
DEFAULTS = "not the reference set of the examples (`hpcmass config --example quickstart`): "
OTHERS = {
    "small": "the reference set except n_neurons = 1000, n_external = 1000, external_rate_hz = 50, w_E = 0.016555, "
    "w_I = 0.094805",
    "readings": f"{DEFAULTS}p_ext, tau_ext_ms, w_E, w_I, w_ext have their defaults",
}


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_the_shipped_configurations(path: Path) -> None:
    assert network_text(load_experiment(path)) == OTHERS.get(path.stem, "the reference set")


@pytest.mark.parametrize(
    ("network", "text"),
    [
        ({}, "p_ext, noise_unit, tau_ext_ms, w_E, w_I, w_ext have their defaults"),
        ({"n_neurons": 500, "w_E": 0.0007}, "p_ext, noise_unit, tau_ext_ms, w_E, w_I, w_ext have their defaults"),
        ({k: v for k, v in REFERENCE.items() if k != "w_I"}, "w_I has its default"),
        ({k: v for k, v in REFERENCE.items() if k != "noise_unit"}, "noise_unit has its default"),
    ],
)
def test_defaults_that_are_not_the_reference_set(network: dict[str, Any], text: str) -> None:
    assert network_text(Experiment(grid={"p": 0.2, "lam": 0.8}, network=network)) == DEFAULTS + text


@pytest.mark.parametrize(
    ("network", "grid", "text"),
    [
        ({}, {}, ""),
        ({"duration_ms": 500, "transient_ms": 100}, {}, ""),
        ({"noise_q": 500, "noise_unit": "mV^2 ms"}, {}, ""),  # the same noise
        ({}, {"w_I": [0.001, 0.002], "noise_q": [1, 2]}, ""),
        ({"noise_unit": "mV^2 ms"}, {"noise_q": [1, 2]}, ""),
        ({"n_neurons": 500}, {}, " except n_neurons = 500"),
        ({"noise_q": 500}, {}, " except noise_q = 500 V^2 ms"),
        ({"noise_q": 100, "noise_unit": "mV^2 ms"}, {}, " except noise_q = 100 mV^2 ms"),
        ({"noise_q": {"times": "p"}}, {}, " except noise_q = 1 p V^2 ms"),
        ({"p_ext": {"times": "p", "factor": 0.5}}, {}, " except p_ext = 0.5 p"),
        ({"neuron_model": "EIF"}, {}, " except neuron_model = EIF"),
        (
            {"p_EE": 0.1, "p_EI": 0.2, "p_IE": 0.3, "p_II": 0.4, "delay_ms": 1, "w_E": 0.5, "w_I": 0.5, "dt_ms": 0.2},
            {},
            " except dt_ms = 0.2, p_EE = 0.1, p_EI = 0.2, p_IE = 0.3, p_II = 0.4, w_E = 0.5 and 2 more",
        ),
    ],
)
def test_the_reference_set_and_its_exceptions(network: dict[str, Any], grid: dict[str, Any], text: str) -> None:
    experiment = Experiment(grid={"p": 0.2, "lam": 0.8, **grid}, network=REFERENCE | network)
    assert network_text(experiment) == f"the reference set{text}"


def test_a_varied_experiment_says_the_same() -> None:
    """Its text has every key, so that what was given is not known."""
    experiment = Experiment(grid={"p": 0.2, "lam": 0.8}, network={"n_neurons": 500})
    assert network_text(experiment.vary(trials=2)) == network_text(experiment)


def test_validate_says_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "my.yml"
    path.write_text("grid: {p: 0.2, lam: 0.8}\n")
    assert main(["validate", str(path), str(CONFIGS[0])]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4
    assert lines[1].startswith("  network: not the reference set of the examples")
    assert lines[3] == "  network: the reference set"
