"""Regions of the plane in numbers: size, position, and what the network and the models do there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import pandas as pd

from hpcmass.plots import panels
from hpcmass.plots.plane import FloatMap, Mask, symbol
from hpcmass.plots.regimes import regime_masks
from hpcmass.plots.style import LARGEST, fixed, number
from hpcmass.plots.view import View


def _regions(view: View) -> Iterator[tuple[str, str, Mask]]:
    """Subject (`network` or a model), name and points of each region.

    The network's regimes, then for each model where it agrees, by every criterion that the file has.
    """
    for name, inside in regime_masks(view).items():
        yield "network", name, inside
    for k, model in enumerate(view.models):
        for make in (panels.chi_squared, panels.spectral_shapes, panels.correlation):
            for outline in make(view)[k].outlines[:-1]:  # the last one is the border of synchrony
                yield model, outline.text, outline.inside
        diverged = view.model("n_diverged", model) > 0
        if diverged.any():
            yield model, "diverged in some trial", diverged


def regions_table(view: View) -> pd.DataFrame:
    """The regions in numbers.

    Returns
    -------
    DataFrame
        A row per region, indexed by subject and region: number of points, their share of the points compared (%),
        share synchronised (%), and (least, greatest) value of each other quantity, NaN where there is none.
    """
    compared = int((view.point("n_compared") > 0).sum())
    quantities = {
        symbol(view.plane.right): view.plane.coordinate(view.plane.right),
        symbol(view.plane.up): view.plane.coordinate(view.plane.up),
        "Spike-contrast": view.number("spike_contrast"),
        "rate E (Hz)": view.number("rate_E"),
        "median f (Hz)": view.point("median_frequency_lif"),
    }
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for subject, name, inside in _regions(view):
        row = {"points": int(inside.sum()), "share (%)": 100 * inside.sum() / compared if compared else np.nan}
        row["synchronised (%)"] = 100 * view.synchronised[inside].mean() if inside.any() else np.nan
        rows[subject, name] = row | {quantity: _range(v[inside]) for quantity, v in quantities.items()}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis(["", "region"])


_MEDIANS: Final = {
    "ρ": "rho",
    "lag (ms)": "lag",
    "spectral distance (dB)": "spectral_distance",
    "χ²/dof": "chi2",
    "coherence": "coherence_mean",
    "median f, model / network": "median_frequency",
    "error of the mean (mV)": "mean_error",
    "variance, model / network": "log_variance_ratio",
}
"""Column → variable of `medians_table`."""

DECIMALS: Final = {"ρ": 2, "χ²/dof": 2, "coherence": 2, "median f, model / network": 2}
"""Of medians; one in the other columns. Shares have none."""

DIGITS: Final = {"Spike-contrast": 2, "rate E (Hz)": 3, "median f (Hz)": 3}
"""Significant digits of ranges; four in the other columns."""


def medians_table(view: View) -> pd.DataFrame:
    """For each of the network's regimes and each model, medians over the regime's points.

    Returns
    -------
    DataFrame
        Indexed by regime and model; the share of points inside the correlation's contour (%), then the medians of the
        statistics that the file has.
    """
    columns = {column: name for column, name in _MEDIANS.items() if view.has(name)}
    rows: dict[tuple[str, str], dict[str, float]] = {}
    for regime, inside in regime_masks(view).items():
        for model in view.models:
            agrees = view.model("rho_agrees", model)[inside] == 1
            row = {"agrees (%)": 100 * float(agrees.mean()) if agrees.size else np.nan}
            for column, name in columns.items():
                values = _of_model(view, name, model)[inside]
                finite = values[np.isfinite(values)]
                row[column] = float(np.median(finite)) if finite.size else np.nan
            rows[regime, model] = row
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis(["regime", "model"])


def as_text(table: pd.DataFrame) -> pd.DataFrame:
    """A table's numbers as they are shown; its index becomes columns, with each first name once."""
    shown = table.reset_index()
    for column in table.columns:
        shown[column] = [_cell(value, str(column)) for value in table[column]]
    first = shown.columns[0]
    shown[first] = shown[first].mask(shown[first].duplicated(), "")
    return shown


def _cell(value: Any, column: str) -> str:
    if isinstance(value, tuple):
        low, high = (number(float(f"{v:.{DIGITS.get(column, 4)}g}")) for v in value)
        return "–" if np.isnan(value[0]) else low if low == high else f"{low} … {high}"
    if isinstance(value, int):
        return str(value)
    if np.isnan(value):
        return "–"
    return fixed(value, 0 if column.endswith("(%)") else DECIMALS.get(column, 1))


def _of_model(view: View, variable: str, model: str) -> FloatMap:
    """A statistic as the table shows it: related to the network's where that is what matters."""
    values = view.model(variable, model)
    if variable == "chi2":
        dof = view.model("chi2_dof", model)
        return values / np.where(dof > 0, dof, np.nan)
    if variable == "median_frequency":
        network = view.point("median_frequency_lif")
        return values / np.where(network > 0, network, np.nan)
    return np.exp(np.minimum(values, np.log(LARGEST))) if variable == "log_variance_ratio" else values


def _range(values: FloatMap) -> tuple[float, float]:
    finite = values[np.isfinite(values)]
    return (float(finite.min()), float(finite.max())) if finite.size else (np.nan, np.nan)
