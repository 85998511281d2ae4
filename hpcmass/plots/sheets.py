"""Sheets: panels side by side, with their colour bars, one legend and one caption."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from hpcmass.plots import own, panels
from hpcmass.plots.lines import NETWORK, draw_curve
from hpcmass.plots.maps import Panel, draw_map, legend_entries, log_axis, on_two_lines
from hpcmass.plots.plane import FloatMap, Plane
from hpcmass.plots.requested import band
from hpcmass.plots.view import View

SHEETS: dict[str, tuple[str, Callable[[View], list[Panel]]]] = {
    "synchrony": ("Synchrony of the network", panels.synchrony),
    "rates": ("Firing rates", panels.rates),
    "median_frequency": ("Median frequency of the mean potential", panels.median_frequencies),
    "median_frequency_difference": ("Error of the models' median frequency", panels.median_frequency_differences),
    "peak_frequency": ("Frequency of the spectra's peak", panels.peak_frequencies),
    "chi_squared": ("χ² between the models' and the network's spectra: the paper's test", panels.chi_squared),
    "spectral_shape": ("Shapes of the models' spectra against the network's: the calibrated test",
                       panels.spectral_shapes),
    "coherence": ("Coherence of the models with the network", panels.coherence),
    "correlation": ("Correlation of the models with the network", panels.correlation),
    "lag": ("Lag of the models behind the network", panels.lag),
    "mean_error": ("Error of the models' mean potential", panels.mean_errors),
    "variance_error": ("Error of the models' variance", panels.variance_errors),
    "own_statistics": ("Own statistics", own.statistics),
    "best_value": ("Value of the scanned parameter with the largest correlation", own.best_value),
}  # fmt: skip
"""File name → title and panels."""
ON_REQUEST: Final = ("own_statistics", "best_value")
"""Sheets of what a comparison has only on request."""
LEAST_INCHES: Final = 5.8
"""Least width of a figure: its title and its legend have room."""
LINES_INCHES: Final = (5.0, 3.2)
"""Width and height of a plot of lines."""
LEGEND_INCHES: Final = 0.062
"""Width of a letter of the legend, about."""


def sheet(view: View, name: str) -> Figure | None:
    """The figure of one statistic: a row of panels; None if the file has no such statistic."""
    title, make = SHEETS[name]
    shown = make(view)
    return _compose(view, title, shown, columns=len(shown) if len(shown) <= 4 else 3) if shown else None


def overview(view: View) -> Figure:
    """Overview: the network's regimes above, one model's agreement below."""
    model = view.leading_model
    k = view.models.index(model)
    upper = [panels.spike_contrast(view)[0], panels.rates(view)[0], panels.median_frequencies(view)[0]]
    lower = [panels.chi_squared(view)[k], panels.correlation(view)[k], panels.lag(view)[k]]
    titles = ["Spike-contrast", "rate of the excitatory neurons", "median frequency"]
    shown = [replace(p, title=f"network: {t}") for p, t in zip(upper, titles, strict=True)]
    titles = ["spectra", "correlation", "lag"]
    shown += [replace(p, title=f"{model} against network: {t}") for p, t in zip(lower, titles, strict=True)]
    return _compose(view, f"Where the {model} stands for the network", shown, columns=3)


def _compose(view: View, title: str, shown: Sequence[Panel], columns: int) -> Figure:
    if min(view.plane.shape) == 1 < max(view.plane.shape):
        return _as_lines(view, title, shown)
    columns = min(columns, len(shown))
    rows = -(-len(shown) // columns)
    width, height = _panel_inches(view.plane)
    one_scale = all(p.scale is shown[0].scale for p in shown)
    across = columns * width + (0.9 if one_scale else 1.0 * columns)
    figure = Figure(figsize=(max(across, LEAST_INCHES), rows * height + 1.2))
    grid = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    flat: list[Axes] = list(grid.ravel())
    for position, (axes, panel) in enumerate(zip(flat, shown, strict=False)):
        last_row = (position // columns + 2) * columns > len(shown)  # there is not a whole row below
        draw_map(axes, view.plane, panel, label_x=last_row, label_y=position % columns == 0)
        axes.tick_params(labelbottom=last_row)
        if not one_scale:
            panel.scale.bar(figure, [axes])
    for axes in flat[len(shown) :]:
        axes.remove()
    if one_scale:
        shown[0].scale.bar(figure, flat[: len(shown)])
    figure.suptitle(title)
    _foot(figure, view, shown)
    return figure


def _as_lines(view: View, title: str, shown: Sequence[Panel]) -> Figure:
    """The same for a plane of one row or one column: a plot for each scale, a curve for each panel."""
    plane = view.plane
    across = plane.shape[0] == 1
    at = np.array(plane.right_values if across else plane.up_values)
    groups: list[list[Panel]] = []
    for panel in shown:
        same = next((group for group in groups if group[0].scale is panel.scale), None)
        groups.append([panel]) if same is None else same.append(panel)
    columns = min(3, len(groups))
    rows = -(-len(groups) // columns)
    figure = Figure(figsize=(columns * LINES_INCHES[0], rows * LINES_INCHES[1] + 0.7))
    flat = list(figure.subplots(rows, columns, squeeze=False).ravel())
    for axes, group in zip(flat, groups, strict=False):
        network = 0
        for panel in group:
            line = view.line(panel.source)
            if panel.source == NETWORK:
                line = line | {"linestyle": ("solid", "dashed")[network % 2]}
                network += 1
            values, low, high = (each[view.requested] for each in (panel.values, *_band(view, panel)))
            draw_curve(axes, at[view.requested.ravel()], values, [low, high], panel.title, line)
        if isinstance(group[0].scale.norm, LogNorm):
            log_axis(axes)
        axes.set_xlabel(plane.right_label if across else plane.up_label)
        axes.set_ylabel(on_two_lines(group[0].scale.label.removesuffix(", square-root scale")))
        axes.legend(frameon=False)
    for axes in flat[len(groups) :]:
        axes.remove()
    where = plane.at(plane.up, plane.up_values[0]) if across else plane.at(plane.right, plane.right_values[0])
    figure.suptitle(f"{title}, at {where}")
    bars = "; bars: standard errors over the trials" if any(axes.containers for axes in figure.axes) else ""
    figure.supxlabel(view.caption(own.irrelevant(view, shown)) + bars, fontsize=7.5, color="0.35")
    return figure


def _band(view: View, panel: Panel) -> Sequence[FloatMap]:
    """The panel's values less and plus their standard errors; NaN where there is none."""
    if panel.statistic:
        return band(view, panel.statistic, panel.source, panel.values)
    return [np.full(view.plane.shape, np.nan)] * 2


def _panel_inches(plane: Plane) -> tuple[float, float]:
    rows, columns = plane.shape
    return min(max(0.3 * columns, 2.6), 5.0), min(max(0.3 * rows, 2.2), 4.6)


def _foot(figure: Figure, view: View, shown: Sequence[Panel]) -> None:
    entries = legend_entries(shown)
    longest = max((len(str(entry.get_label())) for entry in entries), default=0)
    fitting = int(figure.get_figwidth() / (0.6 + LEGEND_INCHES * longest))
    figure.legend(
        handles=entries,
        title=view.caption(own.irrelevant(view, shown)),
        title_fontsize=8,
        loc="outside lower center",
        ncols=max(1, min(fitting, 3, (len(entries) + 1) // 2)),
        frameon=False,
    )
