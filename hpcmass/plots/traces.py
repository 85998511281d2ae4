"""Example traces: the network's mean potential with the models' over it, and the input that drove them."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hpcmass.plots import style
from hpcmass.plots.regimes import Regime, pick_regimes
from hpcmass.plots.view import View
from hpcmass.store import schema
from hpcmass.store.reader import SweepFile

PERIODS: Final = 12
"""A panel shows about this many periods of the median frequency, if the window holds them."""
SHORTEST_MS: Final = 40.0
INPUT_BIN_MS: Final = 1.0


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
    """Potentials standardised over the time shown: the statistics see neither mean nor amplitude, the legend does."""
    assert regime.point is not None
    row, column = regime.point
    time = _window(view, regime.point)
    lines = [("LIF", view.data["example_v_lif"], style.NETWORK_COLOUR, 2.4)]
    lines += [
        (model, view.data["example_v"].isel(model=i), style.model_colour(i), 1.1) for i, model in enumerate(view.models)
    ]
    for name, data, colour, width in lines:
        v = np.asarray(view.plane.cut(data).values[row, column], dtype=np.float64)[: time.size]
        mean, sd = float(v.mean()), float(v.std())
        text = f"{name}: {style.fixed(mean, 2)} ± {sd:.2f} mV" if np.isfinite(sd) else f"{name}: ran away"
        axes.plot(time, (v - mean) / (sd or 1.0), color=colour, linewidth=width, label=text)
    frequency = view.point("median_frequency_lif")[row, column]
    contrast = view.number("spike_contrast")[row, column]
    axes.set_title(f"{regime.name}\n{view.plane.where(row, column)}: {frequency:.1f} Hz, Spike-contrast {contrast:.2f}")
    axes.set_ylabel("potential, standardised")
    axes.margins(x=0)
    low, high = axes.get_ylim()
    axes.set_ylim(low, high + 0.4 * (high - low))  # room for the legend
    axes.legend(loc="upper left", frameon=False, borderaxespad=0.2, labelspacing=0.2)


def _draw_inputs(axes: Axes, view: View, point: tuple[int, int], sweep: SweepFile) -> None:
    """The recorded Φ_σ of the same trial and time, averaged over `INPUT_BIN_MS`; bursts exceed the rest by far."""
    row, column = point
    time = _window(view, point)
    first = int(np.argmax(np.asarray(view.plane.cut(view.data["status"]).values[row, column]) == schema.DONE))
    recorded = sweep.traces(view.plane.index(row, column, tuple(sweep.axes)), first)
    start = int(np.argmin(np.abs(sweep.time_ms - time[0])))
    width = max(1, round(INPUT_BIN_MS / view.experiment.network.dt_ms))
    bins = time.size // width
    for kind, colour in style.INPUT_COLOURS.items():
        phi = recorded[f"phi_{kind}"][start : start + bins * width].reshape(bins, width).mean(axis=1)
        label = {"E": "Φ$_E$", "I": "Φ$_I$", "ext": "Φ$_{ext}$"}[kind]
        axes.step(time[: bins * width : width], phi, where="post", color=colour, linewidth=1.0, label=label)
    axes.set_yscale("symlog", linthresh=1.0)
    axes.yaxis.set_major_formatter(lambda value, _: style.number(value))
    axes.set_ylabel(f"input Φ (1/ms), {INPUT_BIN_MS:g} ms means")
    axes.margins(x=0)
    axes.set_ylim(0, 10 * axes.get_ylim()[1])  # a decade for the legend
    axes.legend(loc="upper right", frameon=False, ncols=3)


def _window(view: View, point: tuple[int, int]) -> npt.NDArray[np.float64]:
    """Times (ms) to show at a point: the leading part of the example window that holds `PERIODS` periods."""
    time = np.asarray(view.data["window"].values, dtype=np.float64)
    frequency = view.point("median_frequency_lif")[point]
    length = max(SHORTEST_MS, PERIODS * 1e3 / frequency) if np.isfinite(frequency) and frequency > 0 else np.inf
    shown: npt.NDArray[np.float64] = time[time <= time[0] + length]
    return shown
