"""The example configurations are listed, printed and valid."""

from __future__ import annotations

from pathlib import Path

import pytest

from hpcmass.cli import main
from hpcmass.config.examples import examples
from hpcmass.config.file import load_experiment, parse_experiment

ROOT = Path(__file__).resolve().parents[2]


def test_all_are_listed_and_valid(capsys: pytest.CaptureFixture[str]) -> None:
    assert sorted(path.stem for path in (ROOT / "configs").glob("*.yml")) == list(examples())
    assert main(["config", "--example"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(examples())
    for (_, path), line in zip(examples().items(), lines, strict=True):
        assert line.endswith(load_experiment(path).title)


def test_one_is_printed_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "--example", "small"]) == 0
    printed = capsys.readouterr().out
    assert printed == (ROOT / "configs" / "small.yml").read_text(encoding="utf-8")
    assert parse_experiment(printed).network.n_neurons == 1000


def test_a_misspelt_name_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "--example", "quikstart"]) == 2
    assert capsys.readouterr().err == "hpcmass: there is no example 'quikstart'; did you mean 'quickstart'?\n"
