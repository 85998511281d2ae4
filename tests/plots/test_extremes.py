"""Extreme but finite statistics are drawn: huge, tiny, all equal, subnormal, over hundreds of decades."""

from __future__ import annotations

import base64
import io
import json
import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from hpcmass.config import NetworkParameters
from hpcmass.plots import maps, style
from hpcmass.plots.figures import all_figures
from hpcmass.plots.maps import Panel
from hpcmass.plots.sheets import ON_REQUEST, SHEETS
from hpcmass.plots.style import LARGEST, LEAST, drawable, fixed, house_style
from hpcmass.plots.trial_figure import trial_figure
from hpcmass.plots.view import open_view
from hpcmass.report.page import report_html
from hpcmass.store import schema
from slow_cases import slow_except

MAX, SUBNORMAL = float(np.finfo("f8").max), 5e-324

KINDS: dict[str, list[float]] = {
    "huge": [MAX],
    "huge of both signs": [1e200, -1e200, MAX, -MAX, 1e300],
    "equal": [1e16],
    "subnormal": [SUBNORMAL, 3 * SUBNORMAL, 0.0],
    "from tiny to huge": [1e-300, 1.0, 1e300, SUBNORMAL, MAX, -1e-300],
    "infinite": [np.inf, -np.inf, 1.0],
}


def extreme(path: Path, values: list[float]) -> None:
    """Every statistic of a comparison takes these values in turn."""
    with h5py.File(path, "r+") as file:
        for name, variable in {**schema.COMPARISON_VARIABLES, **schema.SWEEP_VARIABLES}.items():
            if name in file and variable.dtype in ("f4", "f8"):
                with np.errstate(over="ignore"):
                    found = np.resize(values, file[name].shape).astype(variable.dtype)
                file[name][...] = found if variable.dtype == "f8" else np.clip(found, -3e38, 3e38)


def only_finite(name: str) -> Any:
    raise AssertionError(f"{name} is no JSON")


def embedded(page: str) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert found is not None
    data: dict[str, Any] = json.loads(found[1], parse_constant=only_finite)
    return data


@pytest.mark.parametrize("kind", slow_except(KINDS, "from tiny to huge"))
def test_every_figure_and_the_page_are_drawn(
    kind: str, small_comparison: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(style._RC, "figure.dpi", 20)
    monkeypatch.setitem(style._RC, "savefig.dpi", 20)
    path = small_comparison([0.1, 0.5, 1.0], [0.5, 0.8])
    extreme(path, KINDS[kind])
    with warnings.catch_warnings(), open_view(path) as view, house_style():
        warnings.simplefilter("error", RuntimeWarning)
        warnings.simplefilter("error", UserWarning)
        drawn = []
        for name, figure in all_figures(view):
            figure.savefig(io.BytesIO(), format="png")
            drawn.append(name)
        every = [name for name in SHEETS if name not in ON_REQUEST]
        assert drawn[: 1 + len(every)] == ["overview", *every]  # traces only where a point is an example
        page = report_html(view)
    data = embedded(page)
    shown = np.frombuffer(base64.b64decode(re.findall(r'id="numbers">([^<]*)<', page)[0]), "<f8")
    assert np.isfinite(shown).any()
    assert not np.isinf(shown).any()
    assert np.nanmax(np.abs(shown)) <= LARGEST
    assert all(np.isfinite(scale) for scale in data["curves"]["scales"])
    words = re.sub(r"<(script|style).*?</\1>", "", page, flags=re.DOTALL).split()
    assert max(map(len, words)) < 3000  # no number of 100 digits
    svg = " ".join(re.findall(r"<svg.*?</svg>", page, re.DOTALL))
    assert not re.search(r'="[^"]*\b(nan|inf)\b', svg)


@given(arrays("f8", (2, 3), elements=st.floats(allow_nan=True, allow_infinity=True)))
def test_any_values_have_a_scale_with_colours_and_ticks(values):
    shown = drawable(values)
    for scale in (
        maps.linear("x", shown),
        maps.linear("x", shown, low=0, power=0.5),
        maps.linear("x", shown, low=min(0.0, float(np.nanmin(shown, initial=0.0))), high=1.0),
        maps.logarithmic("x", shown),
        maps.centred("x", shown),
    ):
        low, high = float(scale.norm.vmin), float(scale.norm.vmax)
        assert np.isfinite([low, high]).all()
        assert low < high
        assert len(scale.ticks()) < 30
        colours = Panel("x", shown, scale).colours
        assert ((colours >= 0) & (colours <= 1)).all()


@given(arrays("f8", 4, elements=st.floats(allow_nan=True, allow_infinity=True)))
def test_drawable_changes_nothing_but_extremes(values):
    found = drawable(values)
    usual = (np.abs(values) >= LEAST) & (np.abs(values) <= LARGEST) | (values == 0)
    np.testing.assert_array_equal(found[usual], values[usual])
    assert np.isnan(found[~np.isfinite(values)]).all()
    beyond = np.isfinite(values) & (np.abs(values) > LARGEST)
    np.testing.assert_array_equal(found[beyond], np.sign(values[beyond]) * LARGEST)
    assert (found[(np.abs(values) < LEAST)] == 0).all()


def test_what_needs_no_change_is_not_copied():
    for values in (np.arange(3), np.array([1.0, np.nan, -5e3]), np.array([1e-45, 3e38], "f4")):
        assert drawable(values) is values
    assert np.isnan(drawable(np.array([np.inf, 1], "f4"))).tolist() == [True, False]


def test_nearly_equal_large_values_have_a_scale():
    scale = maps.linear("x", np.array([[1e16, 1e16 + 2]]))
    assert (scale.norm.vmin, scale.norm.vmax) == (1e16, 1.001e16)
    assert maps.linear("x", np.full((2, 2), 7.0)).norm.vmax == 8.0


def test_a_large_number_is_short():
    assert fixed(-1e100, 2) == "\N{MINUS SIGN}1e+100"
    assert fixed(123456.789, 2) == "123456.79"
    assert fixed(float("nan"), 2) == "nan"


@pytest.mark.parametrize("value", [1e200, -MAX, SUBNORMAL, np.inf])
def test_a_trial_with_an_extreme_model_is_drawn(value):
    """In Python anything may be given as a model's potential."""
    network = NetworkParameters(duration_ms=200.0, transient_ms=50.0)
    rng = np.random.default_rng(1)
    recording = {name: rng.gamma(2.0, 1.0, network.n_steps) for name in ("mean_v", "phi_E", "phi_I", "phi_ext")}
    models = {"ONE": np.where(np.arange(network.n_steps) % 2, value, 0.0), "ALL": np.full(network.n_steps, value)}
    with warnings.catch_warnings(), house_style():
        warnings.simplefilter("error", RuntimeWarning)
        figure = trial_figure(recording, models, dt_ms=0.1, transient_ms=50.0, n_neurons=10, n_excitatory=8)
        figure.savefig(io.BytesIO(), format="png", dpi=20)
