"""YAML: anchors and merge keys work, and what YAML parsers read differently is refused."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from hpcmass.cli import main
from hpcmass.config import Experiment
from hpcmass.config.file import load_experiment, parse_experiment
from hpcmass.config.yaml_text import MOST_LEVELS, Document, Refused, meaning_of, written
from hpcmass.errors import ConfigError

SMALL = "grid: {p: [0.1, 0.2], lam: 0.8}\n"

AMBIGUOUS = {
    "010": "010 is 10 to some YAML parsers and 8 to others; write 10 or 8",
    "-010": "write -10 or -8",
    "0123": "write 123 or 83",
    "08": "08 has a zero in front; write 8",
    "007": "007 has a zero in front; write 7",
    "30:00": "30:00 is 1800 to some YAML parsers and a string to others; write 1800, or '30:00' in quotes",
    "-1:30.5": "write -90.5, or '-1:30.5' in quotes",
    "12:30:45": "write 45045",
    "1_000": "1_000 is 1000 to some YAML parsers and a string to others; write 1000",
    "1_0.5": "write 10.5",
    "0b11": "0b11 is not a decimal number; write 3",
    "0x1F": "write 31",
    "-0x1_F": "write -31",
    "0o17": "write 15",
    "on": "on is true to some YAML parsers and a string to others; write true, or 'on' in quotes",
    "OFF": "write false, or 'OFF' in quotes",
    "Yes": "write true",
    "no": "write false",
    "2024-01-01": "2024-01-01 is a date to some YAML parsers and a string to others; write '2024-01-01' in quotes",
    "2024-13-45": "in quotes",
    "2024-1-1 10:00:00": "in quotes",
    "": "has no value; give one, or leave the key out",
    "1e-999": "1e-999 is too small for a number; write 0",
    "9" * 500: "a number of 500 digits is too long; write it with an exponent",
    "0" * 5000: "a number of 5000 digits is too long",
    "!!int 10": "the tag !!int changes what a value means; write the value alone",
    "!!float 010": "the tag !!float changes",
}
"""A word → the message."""

PLAIN = {
    "0": 0, "12": 12, "-3": -3, "+5": 5, "0.5": 0.5, ".5": 0.5, "5.": 5.0, "-.5": -0.5, "1e3": 1000.0, "5E-4": 5e-4,
    "1.5e+3": 1500.0, "1.e5": 1e5, "0e-999": 0.0, "010.5": 10.5, ".inf": math.inf, "-.INF": -math.inf, "true": True,
    "False": False, "null": None, "~": None, "abc": "abc", "1.2.3": "1.2.3", "12a": "12a", "1:99": "1:99",
    "4_state": "4_state", "'010'": "010", '"on"': "on", "'2024-01-01'": "2024-01-01", "!!str 010": "010", "y": "y",
    "2024-1-1": "2024-1-1", "''": "", "MFM": "MFM", "+": "+", "_1": "_1", "=": "=",
}  # fmt: skip


def problems(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        parse_experiment(text, "my.yml", strict=True)
    return list(caught.value.problems)


# Words ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("word", AMBIGUOUS)
@pytest.mark.parametrize(
    ("place", "path"),
    [("{}", ""), ("a: {}", "a"), ("a:\n  b:\n  - 1\n  - {}", "a.b.1"), ("a: {{linspace: [0, 1, {}]}}", "a.linspace.2")],
)
def test_ambiguous_words_are_found_in_any_position(word: str, place: str, path: str):
    found = Document(place.format(word)).ambiguous
    if not word and path in ("", "a.linspace.2"):
        return  # an empty text is not a document, and nothing behind a comma is not a value
    ((where, problem),) = found.items()
    assert ".".join(map(str, where)) == path
    assert AMBIGUOUS[word] in problem


@pytest.mark.parametrize("word", PLAIN)
def test_words_that_everybody_reads_alike(word: str):
    document = Document(f"a: [{word}]")
    assert document.ambiguous == {}
    (value,) = document.value["a"]
    assert (value, type(value)) == (PLAIN[word], type(PLAIN[word]))


def test_not_a_number():
    assert math.isnan(meaning_of(".nan")[0])


@given(st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(10**300), 10**300))
def test_every_number_that_python_writes_is_read_as_it_is(value: float):
    assert Document(f"[{value!r}]").value == [value]
    assert Document(f"[{value!r}]").ambiguous == {}


@given(st.text(alphabet="0123456789abox_:.+-eE ", max_size=8))
def test_what_yaml_1_1_and_1_2_read_differently_is_ambiguous(word: str):
    """PyYAML reads YAML 1.1. A number or date there that is not a JSON number here has a problem."""
    try:
        theirs = yaml.safe_load(f"a: {word}")
        ours = Document(f"a: {word}")
    except (yaml.YAMLError, ValueError):
        return
    if not isinstance(theirs, dict) or theirs["a"] == ours.value["a"]:
        return
    assert ours.ambiguous or isinstance(ours.value["a"], float)


@pytest.mark.parametrize("word", ["010", "30:00", "1_000", "0x1F", "0b11"])
def test_what_was_accepted_once_is_read_as_it_was(word: str):
    """A sweep file carries its configuration: its numbers are still those that it was run with."""
    assert Document(f"[{word}]").value == yaml.safe_load(f"[{word}]")
    assert parse_experiment(SMALL + f"root_seed: {word}").root_seed == yaml.safe_load(word)


@pytest.mark.parametrize("text", [*AMBIGUOUS, *PLAIN, "1e3", "-.5", "08", "0o17"])
def test_a_text_that_is_written_is_read_as_that_text(text: str):
    again = Document(written({"title": text, "n": 1, "x": 1e-300}))
    assert again.value == {"title": text, "n": 1, "x": 1e-300}
    assert again.ambiguous == {}


def test_an_experiment_of_any_title_can_be_written():
    made = Experiment.model_validate({"title": "1e3", "grid": {"p": 0.5, "lam": 0.8}, "network": {"w_E": 1e-5}})
    again = load(made.text)
    assert (again.title, again.network) == ("1e3", made.network)


# Configurations ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (SMALL + "trials: 010", "trials: 010 is 10 to some"),
        (SMALL + "network: {transient_ms: 30:00}", "network.transient_ms: 30:00 is 1800 to some"),
        (SMALL + "compare: {band_hz: [0.0, 1_00]}", "compare.band_hz: 1_00 is 100 to some"),
        (SMALL + "title: 2024-01-01", "title: 2024-01-01 is a date"),
        (SMALL + "compare:", "compare: has no value"),
        ("grid: {p: [0, 01], lam: 0.8}", "grid.p: 01 has a zero in front; write 1"),
        ("grid: {p: {linspace: [0, 1, 0b11]}, lam: 0.8}", "grid.p.linspace: 0b11 is not a decimal number; write 3"),
        ("grid: {p: 0.1, lam: 0.8, w_E: }", "grid.w_E: has no value"),
        ("trials: 1\ntrials: 2\n" + SMALL, "trials: the key 'trials' is given twice, again in line 2"),
        ("grid: {p: 0.1, lam: 0.8, p: 0.2}", "grid.p: the key 'p' is given twice, again in line 1"),
    ],
)
def test_one_problem_and_no_second_one_that_follows_from_it(text: str, line: str):
    (found,) = problems(text)
    assert found.startswith(line)


def test_ambiguous_values_are_reported_with_all_other_problems():
    lines = problems("grid: {p: [0, 1.5], lam: 010}\ntrials: 0x10\ntitel: on\nroot_seed: -1\n")
    paths = [line.split(":")[0] for line in lines]
    assert sorted(paths) == ["grid.lam", "grid.p", "root_seed", "titel", "trials"]


def test_files_are_read_strictly(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    path = tmp_path / "my.yml"
    path.write_text(SMALL + "trials: 010\n")
    with pytest.raises(ConfigError, match="write 10 or 8"):
        load_experiment(path)
    assert main(["validate", str(path)]) == 2
    assert "write 10 or 8" in capsys.readouterr().err


def test_explicit_nulls_are_values():
    assert load(SMALL + "compare: {histogram_count: null}").compare.histogram_count is None


def load(text: str) -> Any:
    return parse_experiment(text, strict=True)


# Anchors -------------------------------------------------------------------------------------------------------------


def test_anchors_aliases_and_merge_keys():
    experiment = load(
        """
x-sizes: &small {n_neurons: 100, n_external: 300, w_E: 0.5}
x-times: &short {duration_ms: 400.0, transient_ms: 100.0, n_neurons: 7}
grid:
  p: &axis {linspace: [0, 1, 3]}
  lam: *axis
network:
  w_E: 0.25
  <<: [*small, *short]
"""
    )
    network = experiment.network
    assert experiment.grid.axes()["lam"] == (0.0, 0.5, 1.0)
    assert (network.w_E, network.n_neurons, network.n_external) == (0.25, 100, 300)  # own key, then the first merged
    assert (network.duration_ms, network.transient_ms) == (400.0, 100.0)
    assert experiment.physics_sha256() == load(experiment.text).physics_sha256()


def test_a_merge_of_merges():
    document = Document("a: &a {k: 1, l: 1}\nb: &b {<<: *a, l: 2}\nc: {<<: *b, m: 3}\nd: {'<<': 1}")
    assert document.value["c"] == {"k": 1, "l": 2, "m": 3}
    assert document.value["d"] == {"<<": 1}
    assert document.twice == document.ambiguous == {}


def test_a_merged_value_that_is_ambiguous_is_reported_once():
    (line,) = problems("x-base: &base {n_neurons: 0100}\nnetwork: {<<: *base}\n" + SMALL)
    assert line.startswith("x-base.n_neurons: 0100 is")


def test_only_the_file_itself_has_keys_that_are_not_read():
    assert problems(SMALL + "network: {x-notes: 1}")[0].startswith("network.x-notes: unknown key")


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("a: &a {<<: *a}", "my.yml has an alias in line 1 that contains itself"),
        ("a: &a [1, *a]", "contains itself"),
        ("a: &a\n  b: {<<: [*a]}", "contains itself"),
        ("<<: 5", "my.yml merges something in line 1 that has no keys"),
        ("<<: [{a: 1}, 5]", "has no keys"),
        ("<<:", "has no keys"),
        ("? [1, 2]\n: 3", "my.yml has a key in line 1 that is not a name"),
        ("a: !!set {b, c}", "my.yml is not YAML: the tag 'tag:yaml.org,2002:set' is not understood"),
        ("a: !mine b", "the tag '!mine' is not understood"),
        ("a: !!python/name:os.system", "is not understood"),
        ("a: 1\n---\nb: 2", "my.yml is not YAML: expected a single document"),
    ],
)
def test_what_cannot_be_a_configuration_is_one_sentence(text: str, printed: str):
    with pytest.raises(ConfigError) as caught:
        parse_experiment(text, "my.yml")
    assert printed in str(caught.value)
    assert str(caught.value).count("\n") == 0


# Bombs ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("levels", [MOST_LEVELS, 5_000, 200_000])
@pytest.mark.parametrize("nest", [lambda n: "[" * n + "]" * n, lambda n: "{a: " * n + "1" + "}" * n], ids=["[", "{"])
def test_deep_nesting_is_one_sentence(levels: int, nest: Any):
    with pytest.raises(
        ConfigError, match=f"^my.yml is nested more than {MOST_LEVELS} levels deep in line 2;"
    ) as caught:
        parse_experiment(SMALL + "title: " + nest(levels), "my.yml")
    assert "\n" not in str(caught.value)


def test_nesting_in_lines_is_counted_too():
    with pytest.raises(Refused, match="in line 20"):
        Document("".join("  " * k + f"k{k}:\n" for k in range(30)))


@pytest.mark.parametrize("kind", ["lists", "merges", "maps"])
def test_aliases_of_aliases_of_aliases_are_not_written_out(kind: str):
    """Thirty lines that would be more values than there are atoms."""
    lines = ["x-0: &l0 {k: 1}"]
    for k in range(1, 30):
        ten = [f"*l{k - 1}"] * 10
        keys = ", ".join(f"k{i}: {alias}" for i, alias in enumerate(ten))
        inside = {"lists": f"[{', '.join(ten)}]", "merges": f"{{<<: [{', '.join(ten)}]}}", "maps": f"{{{keys}}}"}[kind]
        lines.append(f"x-{k}: &l{k} {inside}")
    with pytest.raises(ConfigError, match=r"^my\.yml holds more than 1000000 values when its aliases are written out;"):
        parse_experiment("\n".join(lines) + "\n" + SMALL, "my.yml")


def test_a_long_axis_is_no_bomb():
    assert len(Document("[" + "0.5, " * 20_000 + "1]").value) == 20_001
