"""Example traces: the network's mean potential with the models' over it, and the input that drove them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hpcmass.plots import style
from hpcmass.plots.lines import draw_inputs, draw_potentials, window_ms
from hpcmass.plots.regimes import Regime, pick_regimes
from hpcmass.plots.view import View
from hpcmass.store import schema
from hpcmass.store.reader import SweepFile


def traces(view: View, sweep: SweepFile | None = None) -> Figure | None:
    """The figure of three regimes; None if no point of the plane shows any.

    Parameters
    ----------
    view : View
    sweep : SweepFile, optional
        The sweep that was compared; with it a second row shows the recorded input Φ.
    """
    regimes = pick_regimes(view)
    if all(r.point is None for r in regimes):
        return None
    rows = 1 if sweep is None else 2
    figure = Figure(figsize=(11.5, 1.2 + 2.5 * rows))
    grid = figure.subplots(rows, len(regimes), squeeze=False, sharex="col")
    for column, regime in enumerate(regimes):
        if regime.point is None:
            for axes in grid[:, column]:
                axes.set_axis_off()
            grid[0, column].set_title(regime.name)
            grid[0, column].text(0.5, 0.5, f"no point qualifies:\n{regime.criterion}", ha="center", va="center")
            continue
        _draw_potentials(grid[0, column], view, regime)
        if sweep is not None:
            _draw_inputs(grid[1, column], view, regime.point, sweep)
        grid[-1, column].set_xlabel("time (ms)")
    figure.suptitle("Mean potential in three regimes: the network and the models that its input drives")
    criteria = "; ".join(f"{r.name}: {r.criterion}" for r in regimes)
    figure.supxlabel(f"{view.caption()}\nexamples: {criteria}", fontsize=7.5, color="0.35")
    return figure


def _draw_potentials(axes: Axes, view: View, regime: Regime) -> None:
    assert regime.point is not None
    row, column = regime.point
    time = _window(view, regime.point)
    network = view.plane.cut(view.data["example_v_lif"]).values[row, column, : time.size]
    potentials = view.plane.cut(view.data["example_v"]).values[row, column, :, : time.size]
    draw_potentials(axes, time, network, dict(zip(view.models, potentials, strict=True)))
    frequency = view.point("median_frequency_lif")[row, column]
    contrast = view.number("spike_contrast")[row, column]
    axes.set_title(f"{regime.name}\n{view.plane.where(row, column)}: {frequency:.1f} Hz, Spike-contrast {contrast:.2f}")


def _draw_inputs(axes: Axes, view: View, point: tuple[int, int], sweep: SweepFile) -> None:
    """The recorded Φ_σ of the same trial and time."""
    row, column = point
    time = _window(view, point)
    first = int(np.argmax(np.asarray(view.plane.cut(view.data["status"]).values[row, column]) == schema.DONE))
    recorded = sweep.traces(view.plane.index(row, column, tuple(sweep.axes)), first)
    start = int(np.argmin(np.abs(sweep.time_ms - time[0])))
    inputs = {kind: recorded[f"phi_{kind}"][start : start + time.size] for kind in style.INPUT_LINES}
    draw_inputs(axes, time, inputs, view.experiment.network.dt_ms)


def _window(view: View, point: tuple[int, int]) -> npt.NDArray[np.float64]:
    """Times (ms) to show at a point: the leading part of the example window."""
    time = np.asarray(view.data["window"].values, dtype=np.float64)
    length = window_ms(view.point("median_frequency_lif")[point], np.inf)
    shown: npt.NDArray[np.float64] = time[time <= time[0] + length]
    return shown
