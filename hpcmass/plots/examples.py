"""Examples: for some points of the plane, one column each, spikes, potentials, inputs and spectra."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hpcmass.errors import UserError
from hpcmass.plots import style
from hpcmass.plots.lines import (
    NETWORK,
    Spikes,
    draw_inputs,
    draw_potentials,
    draw_raster,
    draw_spectra,
    log_means,
    window_ms,
)
from hpcmass.plots.regimes import Example, pick_regimes
from hpcmass.plots.view import View
from hpcmass.store import schema
from hpcmass.store.parts import SweepParts

Point = tuple[int, int]
"""Row and column of the plane."""

COLUMN_INCHES: Final = 3.9
LEAST_INCHES: Final = 6.2
"""Least width of the figure: its title and its foot have room."""
ROW_INCHES: Final = 2.45
LETTERS: Final = 34
"""Letters in a line of a column."""


def traces(
    view: View,
    sweep: SweepParts | None = None,
    *,
    examples: Sequence[Example] | None = None,
    spikes: Mapping[Point, Spikes] | None = None,
) -> Figure | None:
    """The figure of some points; None if there is nothing to show at any.

    Parameters
    ----------
    view : View
    sweep : SweepParts, optional
        The sweep that was compared; with it a row shows the recorded input Φ.
    examples : sequence of Example, optional
        Points to show; without it one of each of three regimes, or the only point.
    spikes : mapping of point to Spikes, optional
        Spikes of the first compared trial; with it a row shows rasters.
    """
    examples = pick_regimes(view) if examples is None else examples
    if all(e.point is None or not view.shown[e.point] for e in examples):
        return None
    rows = ["raster"] * bool(spikes) + ["potential"] + ["input"] * (sweep is not None) + ["spectrum"]
    heights = [1 + (0.1 * len(view.models) if name == "potential" else 0) for name in rows]  # its legend
    figure = Figure(figsize=(max(LEAST_INCHES, COLUMN_INCHES * len(examples)), 1.2 + ROW_INCHES * sum(heights)))
    grid = figure.subplots(len(rows), len(examples), squeeze=False, height_ratios=heights)
    for column, example in enumerate(examples):
        by_row = dict(zip(rows, grid[:, column], strict=True))
        if example.point is None or not view.shown[example.point]:
            _say_missing(by_row, example)
            continue
        time = _window(view, example.point)
        last = "input" if sweep is not None else "potential"
        for name in [name for name in rows if name != "spectrum"]:
            by_row[name].sharex(by_row[last])
            by_row[name].tick_params(labelbottom=name == last)
        if spikes and example.point in spikes:
            draw_raster(by_row["raster"], spikes[example.point], (time[0], time[-1]))
        _draw_potentials(by_row["potential"], view, example.point, time)
        if sweep is not None:
            _draw_inputs(by_row["input"], view, example.point, sweep, time)
        by_row[last].set_xlabel("time (ms)")
        _draw_spectra(by_row["spectrum"], view, example.point)
        by_row[rows[0]].set_title(_title(view, example))
    figure.suptitle("The network and the models that its input drives")
    criteria = "; ".join(f"{e.name}: {e.criterion}" for e in examples if e.name)
    lines = [f"{view.caption()}; spectra smoothed, triangles: median frequencies", *([criteria] if criteria else [])]
    figure.supxlabel("\n".join(lines), fontsize=7.5, color="0.35")
    return figure


def _say_missing(by_row: Mapping[str, Axes], example: Example) -> None:
    for axes in by_row.values():
        axes.set_axis_off()
    axes = next(iter(by_row.values()))
    axes.set_title(example.name)
    text = (
        "nothing was compared here"
        if example.point is not None
        else f"no point qualifies:\n{textwrap.fill(example.criterion, LETTERS)}"
    )
    axes.text(0.5, 0.5, text, ha="center", va="center", transform=axes.transAxes)


def _title(view: View, example: Example) -> str:
    assert example.point is not None
    row, column = example.point
    frequency = view.point("median_frequency_lif")[row, column]
    contrast = view.number("spike_contrast")[row, column]
    where = view.plane.where(row, column)
    shown = f"median f {style.fixed(frequency, 1)} Hz, Spike-contrast {style.fixed(contrast, 2)}"
    return "\n".join(filter(None, (example.name, where, shown)))


def _draw_potentials(axes: Axes, view: View, point: Point, time: npt.NDArray[np.float64]) -> None:
    network = view.plane.cut(view.data["example_v_lif"]).values[*point, : time.size]
    potentials = view.plane.cut(view.data["example_v"]).values[*point, :, : time.size]
    models = dict(zip(view.models, potentials, strict=True))
    draw_potentials(axes, time, network, models, view.mean_sd(*point), "the time of all trials",
                    lines=_lines(view))  # fmt: skip


def _draw_inputs(axes: Axes, view: View, point: Point, sweep: SweepParts, time: npt.NDArray[np.float64]) -> None:
    """The recorded Φ_σ of the same trial and time."""
    place, trial = view.plane.index(*point, tuple(sweep.axes)), first_trial(view, point)
    dt_ms = view.experiment.network.dt_ms
    first = round(float(time[0]) / dt_ms)
    steps = slice(first, first + time.size)
    try:
        inputs = {kind: sweep.window(f"phi_{kind}", place, trial, steps) for kind in style.INPUT_LINES}
    except ValueError as error:
        raise UserError(f"{sweep.name} does not hold what was compared ({error}); compare it again") from None
    draw_inputs(axes, time, inputs, dt_ms)


def _draw_spectra(axes: Axes, view: View, point: Point) -> None:
    network = view.plane.cut(view.data["spectrum_lif"]).values[point]
    powers = view.plane.cut(view.data["spectrum"]).values[point]
    medians = {model: float(view.model("median_frequency", model)[point]) for model in view.models}
    medians[NETWORK] = float(view.point("median_frequency_lif")[point])
    frequency = np.asarray(view.data["frequency"].values, dtype=np.float64)
    stacked = np.concatenate([network[None], powers])[:, frequency > 0]
    frequency, (network, *powers) = log_means(frequency[frequency > 0], stacked)
    models = dict(zip(view.models, powers, strict=True))
    draw_spectra(axes, frequency, network, models, medians, legend=False, lines=_lines(view))


def _lines(view: View) -> dict[str, dict[str, Any]]:
    return {model: view.line(model) for model in view.models}


def first_trial(view: View, point: Point) -> int:
    """Number of the trial that the example window shows: the first that is done."""
    status = np.asarray(view.plane.cut(view.data["status"]).values[point])
    return int(np.argmax(status == schema.DONE))


def _window(view: View, point: Point) -> npt.NDArray[np.float64]:
    """Times (ms) to show at a point: the leading part of the example window."""
    time = np.asarray(view.data["window"].values, dtype=np.float64)
    length = window_ms(view.point("median_frequency_lif")[point], np.inf)
    return np.asarray(time[time <= time[0] + length])
