"""Mass models by name."""

from __future__ import annotations

import sys

import numpy as np
import pytest

import hpcmass.mass
from hpcmass.errors import UserError
from hpcmass.mass import known_models, mass_model, models_named, registry


def test_both_freeman_models_are_known_in_the_configurations_order():
    assert set(known_models()) >= {"CFM", "MFM"}
    assert list(models_named(("MFM", "CFM"))) == ["MFM", "CFM"]


def test_unknown_and_repeated_names_are_refused():
    with pytest.raises(UserError, match=r"no mass model 'cfm'; known models: .*CFM.*MFM"):
        models_named(("cfm",))
    with pytest.raises(UserError, match="'CFM' is given twice"):
        models_named(("CFM", "MFM", "CFM"))


def test_a_name_belongs_to_one_model():
    known_models()
    with pytest.raises(ValueError, match="two mass models named CFM"):
        mass_model("CFM")(lambda traces, network, mass: np.zeros(1))


@pytest.mark.parametrize("name", ["", " A", "A,B", "$A$", "_A", "A\nB", "A\0", "A\ud800"])
def test_a_name_that_options_files_or_figures_cannot_hold(name: str):
    with pytest.raises(ValueError, match="cannot name a mass model"):
        mass_model(name)(lambda traces, network, mass: np.zeros(1))


def test_one_more_file_is_one_more_model(tmp_path, monkeypatch):
    (tmp_path / "leaky.py").write_text(
        "from hpcmass.mass.registry import mass_model\n"
        "@mass_model('leaky')\n"
        "def leaky(traces, network, mass):\n"
        "    return 0 * traces.mean_v + network.v_leak_mv\n"
    )
    monkeypatch.setattr(registry.MODELS, "entries", dict(registry.MODELS.entries))
    monkeypatch.setattr(hpcmass.mass, "__path__", [*hpcmass.mass.__path__, str(tmp_path)])
    try:
        assert "leaky" in known_models()
        assert list(models_named(("leaky", "CFM"))) == ["leaky", "CFM"]
    finally:
        sys.modules.pop("hpcmass.mass.leaky", None)
