"""The files in `configs/`: every number with its unit and its origin, and what each of them is meant to be."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from hpcmass.config import CompareParameters, Experiment, MassParameters, NetworkParameters
from hpcmass.config.derived import Tie
from hpcmass.config.file import load_experiment, parse_experiment
from hpcmass.config.network import ADDED
from hpcmass.config.reference_set import REFERENCE

CONFIGS = sorted((Path(__file__).parent.parent / "configs").glob("*.yml"))

SMALL = "grid: {p: 0.1, lam: 0.8}\n"


def fields() -> dict[str, Any]:
    """`section.key` → its field, for every key that a file may hold."""
    grid = type(parse_experiment(SMALL).grid)
    sections = {"": Experiment, "network.": NetworkParameters, "grid.": grid, "mass.": MassParameters,
                "compare.": CompareParameters}  # fmt: skip
    return {s + name: f for s, m in sections.items() for name, f in m.model_fields.items() if f.json_schema_extra}


def commented_keys(path: Path) -> dict[str, tuple[str, str]]:
    """`section.key` → unit and origin, from the comment at the end of the key's value."""
    found = {}
    section, key = "", ""
    for line in path.read_text().splitlines():
        if started := re.match(r"(\s*)(\w+):", line):
            section = section if started[1] else ""
            key = section + started[2]
            if not started[1] and line.strip().endswith(":"):
                section = f"{started[2]}."
        if comment := re.search(r"  # ([^;]+); (paper|related literature|choice|reading)(: .+)?$", line):
            found[key] = (comment[1], comment[2])
    return found


def leaves(document: dict[str, Any]) -> dict[str, Any]:
    sections = ("network", "grid", "mass", "compare")
    top = {k: v for k, v in document.items() if k not in (*sections, "title")}
    return top | {f"{s}.{k}": v for s in sections for k, v in document.get(s, {}).items()}


def test_there_are_configurations():
    assert {"quickstart.yml", "paper.yml"} <= {path.name for path in CONFIGS}


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_number_of_a_configuration_has_unit_and_origin(path: Path):
    experiment = load_experiment(path)
    known, comments = fields(), commented_keys(path)
    given_keys = leaves(experiment.model_dump(exclude_unset=True))
    assert set(given_keys) == set(comments)
    stated = {f"network.{k}" for k in NetworkParameters.model_fields if k not in ADDED}
    assert stated <= set(given_keys), "a file states its network"
    for key, value in given_keys.items():
        extra = known[key].json_schema_extra
        unit, origin = comments[key]
        expected = experiment.network.noise_unit if key.endswith(".noise_q") else extra["unit"].split(";")[0]
        assert unit == expected, key
        default = known[key].default
        if value == default:
            assert origin == extra["origin"], key
        else:
            assert origin in ("choice", "reading"), f"{key} departs from its default"


def configuration(name: str) -> Experiment:
    return load_experiment(next(path for path in CONFIGS if path.stem == name))


def departures(experiment: Experiment, reference: NetworkParameters) -> set[str]:
    """The network's keys with another value than in the reference."""
    expected = reference.model_dump()
    return {key for key, value in experiment.network.model_dump().items() if value != expected[key]}


def test_paper_is_the_reference_set():
    experiment = configuration("paper")
    network = experiment.network
    assert network.model_dump() == NetworkParameters().model_dump() | REFERENCE
    assert network.ties == {"p_ext": Tie(times="p", factor=1.0)}
    assert experiment.network_at({"p": 0.5, "lam": 0.5}).noise_q == pytest.approx(500)
    assert experiment.compare == CompareParameters()
    assert experiment.mass == MassParameters()
    assert experiment.trials == 10
    for values in experiment.grid.axes().values():
        assert (values[0], values[-1]) == (0.0, 1.0)


@pytest.mark.parametrize("name", ["quickstart", "medium", "silent-onset", "inhibition"])
def test_others_differ_from_the_paper_in_length_and_grid_alone(name: str):
    experiment, reference = configuration(name), configuration("paper").network
    assert departures(experiment, reference) == {"duration_ms", "transient_ms"}
    varied = [axis for axis, values in experiment.grid.axes().items() if len(values) > 1]
    assert varied == {"silent-onset": ["p", "external_rate_hz"], "inhibition": ["lam", "w_I"]}.get(name, ["p", "lam"])


def test_a_neuron_of_the_small_network_receives_what_one_of_the_whole_network_does():
    small, whole = (configuration(name).network_at({"p": 0.2, "lam": 0.8}) for name in ("small", "quickstart"))
    shrunk = {"n_neurons", "n_external", "external_rate_hz", "w_E", "w_I", "duration_ms"}
    assert departures(configuration("small"), configuration("quickstart").network) == shrunk
    for weight in ("w_E", "w_I"):
        assert small.n_neurons * getattr(small, weight) == pytest.approx(whole.n_neurons * getattr(whole, weight))
    assert small.n_external * small.external_rate_hz == whole.n_external * whole.external_rate_hz


@pytest.mark.parametrize("name", ["small", "quickstart", "medium"])
def test_planes_are_whole_and_finer_at_the_onset(name: str):
    experiment = configuration(name)
    for values in experiment.grid.axes().values():
        assert (values[0], values[-1]) == (0.0, 1.0)
    p, lam = experiment.grid.axes().values()
    assert {0.1, 0.15, 0.2, 0.25} <= set(p), "spikes and synchrony begin here"
    assert 0.8 in lam, "used by the documentation"


def test_a_changed_copy_does_not_keep_the_text_it_contradicts():
    text = "trials: 3\ngrid: {p: [0.5], lam: [0.5]}\n"
    experiment = parse_experiment(text)
    assert experiment.model_copy().text == text
    changed = experiment.model_copy(update={"trials": 7})
    assert parse_experiment(changed.text).trials == 7
    assert experiment.text == text
