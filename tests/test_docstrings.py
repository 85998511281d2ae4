"""The examples in the docstrings of what a notebook uses."""

from __future__ import annotations

import doctest
import importlib

import pytest

from hpcmass.compare.own import STATISTICS
from hpcmass.mass.registry import MODELS, known_models


@pytest.mark.parametrize(
    "name",
    [
        "compare.own",
        "compare.recorded",
        "config.experiment",
        "mass.registry",
        "recordings.importing",
        "recordings.phi",
        "statistics",
        "sweep.run",
        "trial",
    ],
)
def test_the_examples_hold(name: str, tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    known_models()  # loads those of hpcmass, which stay
    for registry in (MODELS, STATISTICS):  # what an example registers is not there for other tests
        monkeypatch.setattr(registry, "entries", dict(registry.entries))
    outcome = doctest.testmod(importlib.import_module(f"hpcmass.{name}"), optionflags=doctest.ELLIPSIS)
    assert outcome.attempted
    assert not outcome.failed
