"""Changed copies of an experiment: every name goes to its place, and no typing error is lost."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hpcmass import Experiment
from hpcmass.config.file import parse_experiment
from hpcmass.errors import ConfigError, UserError

TEXT = """
title: a sweep of 1e3  # with a remark
trials: 2
grid: {p: [0.1, 0.2], lam: 0.8, noise_q: [0.1, 0.2]}
"""
EXPERIMENT = parse_experiment(TEXT)


@pytest.mark.parametrize(
    ("keys", "path", "value"),
    [
        ({"tau_E_ms": 5}, "network.tau_E_ms", 5.0),
        ({"n_neurons": np.int64(500)}, "network.n_neurons", 500),
        ({"trials": 3}, "trials", 3),
        ({"title": "another"}, "title", "another"),
        ({"title": "1e3"}, "title", "1e3"),
        ({"p": [0.1, 0.5]}, "grid.p", (0.1, 0.5)),
        ({"p": np.linspace(0, 1, 3)}, "grid.p", (0.0, 0.5, 1.0)),
        ({"lam": {"linspace": [0, 1, 3]}}, "grid.lam", (0.0, 0.5, 1.0)),
        ({"tau_s_ms": np.float32(4)}, "mass.tau_s_ms", 4.0),
        ({"models": ("MFM", "CLO")}, "mass.models", ("MFM", "CLO")),
        ({"band_hz": (1, 100)}, "compare.band_hz", (1.0, 100.0)),
        ({"network.tau_E_ms": 5}, "network.tau_E_ms", 5.0),
        ({"w_I": range(1, 3)}, "grid.w_I", (1.0, 2.0)),
        ({"noise_q": 0.3}, "grid.noise_q", (0.3,)),
        ({"noise_q": None}, "grid.noise_q", None),
        ({"network.noise_q": 0.3}, "network.noise_q", 0.3),
        ({"network.w_I": None}, "network.w_I", 0.004),
    ],
)
def test_a_name_goes_to_its_place(keys: dict[str, Any], path: str, value: Any) -> None:
    for changed in (EXPERIMENT.vary(keys), *([] if "." in "".join(keys) else [EXPERIMENT.vary(**keys)])):
        found: Any = changed
        for name in path.split("."):
            found = getattr(found, name)
        assert found == value
        assert parse_experiment(changed.text) == changed
        section, *_ = path.split(".")
        rest = {name for name in Experiment.model_fields if getattr(changed, name) != getattr(EXPERIMENT, name)}
        assert rest <= {section}


def test_several_at_once_and_the_original_stays() -> None:
    changed = EXPERIMENT.vary({"compare.alpha": 0.05}, p=0.3, tau_E_ms=5, duration_ms=100, transient_ms=10)
    assert (changed.compare.alpha, changed.grid.p, changed.network.duration_ms) == (0.05, (0.3,), 100.0)
    assert EXPERIMENT.text == TEXT
    assert EXPERIMENT.vary().model_dump() == EXPERIMENT.model_dump()


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"tau_e_ms": 5}, "there is no key 'tau_e_ms'; did you mean 'tau_E_ms'"),
        ({"λ": 0.5}, "did you mean 'lam'"),
        ({"qqqqq": 5}, "lists all keys"),
        ({"network": {"tau_E_ms": 5}}, "network is a section"),
        ({"grid.p": 0.5, "p": 0.3}, "grid.p is given twice"),
        ({"title.x": 0.5}, "title is not a section"),
        ({"w_I": EXPERIMENT}, "w_I must be a number, a text or a sequence of them, not Experiment"),
    ],
)
def test_a_wrong_name_is_one_sentence(keys: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        EXPERIMENT.vary(keys)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"tau_E_ms": -1}, r"network\.tau_E_ms: should be greater than 0"),
        ({"tau_E_ms": "5 ms"}, r"network\.tau_E_ms"),
        ({"tau_E_ms": float("nan")}, r"network\.tau_E_ms"),
        ({"transient_ms": 1e6}, "must be shorter than duration_ms"),
        ({"network.tau_e_ms": 5}, r"network\.tau_e_ms: unknown key; did you mean 'tau_E_ms'"),
        ({"netwrk.tau_E_ms": 5}, "netwrk: unknown key; did you mean 'network'"),
        ({"p": [0.5, 0.1]}, r"grid\.p: values must increase"),
        ({"p": None}, r"grid\.p: required"),
        ({"trials": 2.5}, "trials"),
    ],
)
def test_a_wrong_value_is_as_in_a_file(keys: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=rf"the changed experiment has 1 problem:\n  .*{message}"):
        EXPERIMENT.vary(keys)
