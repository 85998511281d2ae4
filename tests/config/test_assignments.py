"""`--set KEY=VALUE`: every key goes to its place, every mistake is one sentence that names it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from command_line import refused
from hpcmass import Experiment
from hpcmass.cli import main
from hpcmass.config.file import load_experiment, parse_experiment
from hpcmass.errors import ConfigError, UserError

TEXT = """
x-note: &axis [0.1, 0.2]
title: a sweep of 1e3  # with a remark
trials: 2
grid: {p: *axis, lam: *axis, noise_q: [0.1, 0.2]}
network: {duration_ms: 500.0, transient_ms: 100.0}
compare: {max_lag_ms: 10.0}
"""


def with_set(*texts: str, text: str = TEXT) -> Experiment:
    return parse_experiment(text, "my.yml", strict=True, assignments=texts)


@pytest.mark.parametrize(
    ("text", "path", "value"),
    [
        ("network.tau_E_ms=5", "network.tau_E_ms", 5.0),
        ("tau_E_ms=5", "network.tau_E_ms", 5.0),
        ("trials=3", "trials", 3),
        (" trials = 3 ", "trials", 3),
        ("title=another one", "title", "another one"),
        ("title='run #3'", "title", "run #3"),
        ("title=a=b", "title", "a=b"),
        ("grid.p=[0.1,0.5]", "grid.p", (0.1, 0.5)),
        ("p={linspace: [0, 1, 3]}", "grid.p", (0.0, 0.5, 1.0)),
        ("lam=0.8", "grid.lam", (0.8,)),
        ("w_I=[0.001, 0.002]", "grid.w_I", (0.001, 0.002)),
        ("grid.w_I=[0.001, 0.002]", "grid.w_I", (0.001, 0.002)),
        ("noise_q=0.3", "grid.noise_q", (0.3,)),
        ("grid.noise_q=null", "grid.noise_q", None),
        ("mass.models=[MFM]", "mass.models", ("MFM",)),
        ("compare.histogram_count=1e3", "compare.histogram_count", 1000.0),
    ],
)
def test_a_key_goes_to_its_place_and_the_rest_stays(text: str, path: str, value: Any) -> None:
    plain, changed = parse_experiment(TEXT), with_set(text)
    found: Any = changed
    for name in path.split("."):
        found = getattr(found, name)
    assert found == value
    assert changed.assignments == (text,)
    assert parse_experiment(changed.text).model_dump() == changed.model_dump(), (
        "the text in a file is the resulting configuration"
    )
    before, after = plain.model_dump(), changed.model_dump()
    section, _, key = path.partition(".")
    for document in (before, after):
        (document[section] if key else document).pop(key or section)
    assert before == after


def test_without_any_the_text_is_the_file_s() -> None:
    assert with_set().text == TEXT
    assert with_set().assignments == ()


def test_a_file_may_lack_or_have_wrong_what_is_set() -> None:
    changed = with_set("grid.p=0.5", "lam=0.9", "network.duration_ms=50", "network.transient_ms=10", text="trials: 3\n")
    assert (changed.trials, changed.grid.lam, changed.network.duration_ms) == (3, (0.9,), 50.0)
    assert with_set("trials=3", text=TEXT.replace("trials: 2", "trials: many")).trials == 3


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("nettwork.tau_E_ms=5", "--set nettwork.tau_E_ms: unknown key; did you mean 'network.tau_E_ms'?"),
        ("network.tauE=5", "--set network.tauE: unknown key; did you mean 'network.tau_E_ms'?"),
        ("network.trials=5", "--set network.trials: unknown key; did you mean 'trials'?"),
        ("trial=5", "--set trial: unknown key; did you mean 'trials'?"),
        ("lambda=0.5", "--set lambda: unknown key; did you mean 'grid.lam'?"),
        ("grid.λ=0.5", "--set grid.λ: unknown key; did you mean 'grid.lam'?"),
        ("x-note=5", "--set x-note: unknown key; `hpcmass config --defaults` lists all keys"),
        ("network=5", "--set network: network is a section; set a key of it, such as network.n_neurons"),
        ("grid.p.linspace=[0, 1, 3]", "--set grid.p.linspace: grid.p is one value; set the whole of it"),
        ("trials", "--set takes KEY=VALUE, such as network.tau_E_ms=5, not 'trials'"),
        ("=5", "--set takes KEY=VALUE, such as network.tau_E_ms=5, not '=5'"),
        ("trials=", "--set trials: has no value; give one"),
        ("trials=010", "--set trials: 010 is 10 to some YAML parsers and 8 to others; write 10 or 8"),
        ("title=run #3", "--set title: YAML reads the value only up to the #; write the value in quotes"),
        ("network.noise_q=3", "--set network.noise_q has no effect, because the grid sweeps noise_q; set grid.noise_q"),
    ],
)
def test_a_mistake_is_one_sentence(text: str, sentence: str) -> None:
    with pytest.raises(UserError) as caught:
        with_set(text)
    assert str(caught.value) == sentence


def test_yaml_that_is_none_and_keys_given_twice() -> None:
    with pytest.raises(UserError, match=r"^--set p: the value is not YAML: while parsing"):
        with_set("p=[0.1")
    with pytest.raises(UserError, match=r"^--set p: the value is nested"):
        with_set(f"p={'[' * 30}{']' * 30}")
    with pytest.raises(UserError, match=r"^--set grid.p: grid.p is given twice"):
        with_set("p=0.1", "grid.p=0.2")


def test_a_value_that_is_not_allowed_is_told_with_what_was_set() -> None:
    with pytest.raises(ConfigError) as caught:
        with_set("trials=0", "network.tau_E_ms=-5")
    first, *problems = str(caught.value).splitlines()
    assert first == "my.yml --set trials=0 --set network.tau_E_ms=-5 has 2 problems:"
    assert [problem.split(":")[0].strip() for problem in problems] == ["trials", "network.tau_E_ms"]


# ------------------------------------------------------------------------------------------ on the command line


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "my.yml"
    path.write_text(TEXT)
    return path


def test_validate(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["validate", str(config), "--set", "p=[0.1, 0.2, 0.3]", "--set", "trials=5"]) == 0
    assert "axes p (3), lam (2), noise_q (2), 12 points, 60 trials" in capsys.readouterr().out
    assert "did you mean 'trials'?" in refused(capsys, "validate", config, "--set", "trails=5")
    said = refused(capsys, "validate", config, "--set", "trials=0", "--set", "mass.models=[CFN]")
    assert "2 problems" in said
    assert "did you mean 'CFM'?" in said


@pytest.mark.parametrize("command", ["plan", "trial", "run"])
def test_a_mistake_ends_every_command(command: str, config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    more = {"plan": (), "trial": ("--p", 0.1, "--lam", 0.5), "run": ("-o", config.with_suffix(".h5"))}[command]
    said = refused(capsys, command, config, *more, "--set", "tau_e_ms=5")
    assert said == "hpcmass: --set tau_e_ms: unknown key; did you mean 'tau_E_ms'?\n"
    assert [path.name for path in config.parent.iterdir()] == ["my.yml"]


def test_the_experiment_of_a_file_knows_what_was_set(config: Path) -> None:
    experiment = load_experiment(config, ["trials=3"])
    assert experiment.text.startswith("# --set trials=3\n")
    assert load_experiment(config).text == TEXT
