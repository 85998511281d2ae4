"""Panels over time or frequency: rasters, potentials, inputs, spectra. Plain arrays in, artists out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes

from hpcmass.plots import style

Real = npt.NDArray[np.float64]
Lines = Mapping[str, dict[str, Any]]
"""Name of a curve → its colour, dashes and width."""

NETWORK: Final = "network"
"""Name of the network's own series, beside the models'."""
PERIODS: Final = 12
"""A panel shows about this many periods of the median frequency, if it has them."""
SHORTEST_MS: Final = 40.0
INPUT_BIN_MS: Final = 1.0
RASTER_NEURONS: Final = 200
"""Trains that a raster shows: enough to see a population burst, few enough to see a spike."""
DECADES: Final = 6
"""Power is shown down to this many decades below its largest value."""
FARTHEST_DECADES: Final = 12
"""Power is shown down to the network's smallest power, within this many decades."""
PER_DECADE: Final = 25
"""Points of a smoothed spectrum per decade of frequency."""
TRIANGLE_WIDTH: Final = 0.03
"""Width of a median frequency's mark, as a part of the panel's."""


def window_ms(median_frequency_hz: float, longest_ms: float) -> float:
    """How much time (ms) to show: `PERIODS` periods, within [`SHORTEST_MS`, `longest_ms`]."""
    if not (np.isfinite(median_frequency_hz) and median_frequency_hz > 0):
        return longest_ms
    return min(longest_ms, max(SHORTEST_MS, PERIODS * 1e3 / median_frequency_hz))


def stated(name: str, series: npt.ArrayLike, mean_sd: tuple[float, float]) -> str:
    """A potential's entry in a legend, wherever it is drawn: mean ± standard deviation (mV), if they are known."""
    if not np.isfinite(series).all():
        return f"{name}: diverged"
    mean, sd = mean_sd
    return f"{name}: {style.fixed(mean, 2)} ± {style.fixed(sd, 2)} mV" if np.isfinite(sd) else name


def draw_potentials(
    axes: Axes,
    time_ms: Real,
    network: npt.ArrayLike,
    models: Mapping[str, npt.ArrayLike],
    mean_sd: Mapping[str, tuple[float, float]],
    of: str,
    *,
    standardised: bool = True,
    lines: Lines | None = None,
) -> None:
    """Potentials standardised over the time shown: the statistics see neither mean nor amplitude, the legend does.

    Parameters
    ----------
    axes : matplotlib Axes
    time_ms : array, (n,)
    network : array, (n,)
        The network's mean potential (mV).
    models : mapping of str to array, (n,)
        Name → potential (mV); NaN where a model diverged.
    mean_sd : mapping of str to (float, float)
        Name (`network` or a model) → mean and standard deviation (mV) for the legend: for the time shown they would
        differ from the tables.
    of : str
        The time over which mean and standard deviation are computed.
    standardised : bool
        False draws them in mV.
    lines : mapping of str to dict, optional
        Model → how its curve looks; without it by the order of `models`.
    """
    curves: list[tuple[str, npt.ArrayLike, dict[str, Any]]] = [(NETWORK, network, style.NETWORK_LINE)]
    curves += [(name, v, (lines or {}).get(name, style.model_line(i))) for i, (name, v) in enumerate(models.items())]
    for name, series, line in curves:
        v = np.asarray(series, dtype=np.float64)
        text = stated(name, v, mean_sd.get(name, (np.nan, np.nan)))
        axes.plot(time_ms, (v - v.mean()) / (v.std() or 1.0) if standardised else v, label=text, **line)
    axes.set_ylabel("potential, standardised" if standardised else "potential (mV)")
    axes.margins(x=0)
    low, high = axes.get_ylim()
    axes.set_ylim(low, high + (0.22 + 0.09 * len(curves)) * (high - low))  # room for the legend
    axes.legend(loc="upper left", frameon=False, borderaxespad=0.2, labelspacing=0.2, alignment="left",
                title=f"mean ± sd over {of}", title_fontsize=7.5)  # fmt: skip


def draw_inputs(axes: Axes, time_ms: Real, inputs: Mapping[str, npt.ArrayLike], dt_ms: float) -> None:
    """The recorded Φ_σ, averaged over `INPUT_BIN_MS`, on a scale that also resolves the input between bursts.

    Parameters
    ----------
    axes : matplotlib Axes
    time_ms : array, (n,)
    inputs : mapping of str to array, (n,)
        `E`, `I`, `ext` → spikes/ms per neuron.
    dt_ms : float
    """
    width = max(1, round(INPUT_BIN_MS / dt_ms))
    bins = time_ms.size // width
    for kind, line in style.INPUT_LINES.items():
        if kind not in inputs:
            continue
        phi = np.asarray(inputs[kind], dtype=np.float64)[: bins * width].reshape(bins, width).mean(axis=1)
        label = {"E": "Φ$_E$", "I": "Φ$_I$", "ext": "Φ$_{ext}$"}[kind]
        axes.step(time_ms[: bins * width : width], phi, where="post", linewidth=1.0, label=label, **line)
    axes.set_yscale("symlog", linthresh=1.0)
    axes.yaxis.set_major_formatter(lambda value, _: style.number(value))
    axes.set_ylabel(f"input Φ (1/ms), {INPUT_BIN_MS:g} ms means")
    axes.margins(x=0)
    axes.set_ylim(0, 10 * max(axes.get_ylim()[1], 1.0))  # a decade for the legend
    axes.legend(loc="upper right", frameon=False, ncols=3)


def draw_spectra(
    axes: Axes,
    frequency_hz: Real,
    network: npt.ArrayLike,
    models: Mapping[str, npt.ArrayLike],
    medians_hz: Mapping[str, float] | None = None,
    *,
    legend: bool = True,
    lines: Lines | None = None,
) -> None:
    """Power densities on logarithmic axes; a triangle marks each median frequency, without overlap.

    Parameters
    ----------
    axes : matplotlib Axes
    frequency_hz : array, (n,)
    network : array, (n,)
        Power density (mV²/Hz) of the network.
    models : mapping of str to array, (n,)
    medians_hz : mapping of str to float, optional
        Name (`network` or a model) → median frequency.
    legend : bool
        Name the curves.
    lines : mapping of str to dict, optional
        As for `draw_potentials`.
    """
    curves: list[tuple[str, npt.ArrayLike, dict[str, Any]]] = [(NETWORK, network, style.NETWORK_LINE)]
    curves += [
        (name, power, (lines or {}).get(name, style.model_line(i))) for i, (name, power) in enumerate(models.items())
    ]
    top, bottom = 0.0, np.inf
    marked: list[tuple[float, int]] = []
    for name, power, line in curves:
        density = np.asarray(power, dtype=np.float64)
        top = max(top, float(np.nanmax(density, initial=0.0)))
        bottom = min(bottom, float(np.min(density[density > 0], initial=np.inf)))  # NaN is not above zero
        axes.plot(frequency_hz, density, label=name, **line)
        median = (medians_hz or {}).get(name, np.nan)
        if np.isfinite(median) and median > 0:
            marked.append((median, _free_row(median, marked, frequency_hz)))
            height = 0.03 + 0.042 * marked[-1][1]
            axes.plot([median], [height], marker="^", markersize=6, color=line["color"], markeredgecolor="white",
                      markeredgewidth=0.5, transform=axes.get_xaxis_transform(), clip_on=False, zorder=5)  # fmt: skip
    axes.set(xscale="log", xlabel="frequency (Hz)", ylabel="power density (mV²/Hz)")
    if top > 0:
        own = np.asarray(network, dtype=np.float64)
        least = 0.7 * float(np.min(own[own > 0], initial=np.inf))
        everything = bottom * (bottom / top) ** 0.05  # with matplotlib's margin
        lowest = min(max(everything, top / 10**DECADES), max(least, top / 10**FARTHEST_DECADES))
        axes.set_ylim(lowest, 3 * top)
        axes.set_yscale("log")
    axes.xaxis.set_major_formatter(lambda value, _: style.number(value))
    axes.margins(x=0)
    if legend:
        axes.legend(loc="lower left", frameon=False, labelspacing=0.2)


def log_means(frequency_hz: Real, power: Real) -> tuple[Real, Real]:
    """A spectrum averaged within `PER_DECADE` steps a decade: a readable line even for thousands of points.

    Parameters
    ----------
    frequency_hz : array, (n,)
        Positive, ascending.
    power : array, (..., n)

    Returns
    -------
    frequency, power : array, (steps,) and (..., steps)
    """
    if not frequency_hz.size:
        return frequency_hz, power
    step = np.floor(PER_DECADE * np.log10(frequency_hz / frequency_hz[0])).astype(np.int64)
    _, first, count = np.unique(step, return_index=True, return_counts=True)
    return np.add.reduceat(frequency_hz, first) / count, np.add.reduceat(power, first, axis=-1) / count


def _free_row(median_hz: float, marked: Sequence[tuple[float, int]], frequency_hz: Real) -> int:
    """The lowest row in which no other triangle stands within a triangle's width of `median_hz`."""
    positive = frequency_hz[frequency_hz > 0]
    width = TRIANGLE_WIDTH * np.log(positive[-1] / positive[0]) if positive.size else 0.0
    near = {row for other, row in marked if abs(np.log(median_hz / other)) < width}
    return next(row for row in range(len(near) + 1) if row not in near)


@dataclass(frozen=True, eq=False)
class Spikes:
    """All spikes of one trial.

    Attributes
    ----------
    time_ms, neuron : array, (n_spikes,)
    n_neurons, n_excitatory : int
        Neurons 0 … `n_excitatory` − 1 are the excitatory ones.
    """

    time_ms: npt.NDArray[np.float64]
    neuron: npt.NDArray[np.int32]
    n_neurons: int
    n_excitatory: int


def draw_curve(
    axes: Axes, at: Real, values: Real, band: Sequence[npt.ArrayLike], label: str, line: Mapping[str, Any]
) -> None:
    """A statistic along an axis, with a bar from the lower to the upper end of `band` where these are known."""
    axes.plot(at, values, marker="o", markersize=2.5, label=label, **line)
    low, high = (np.asarray(end, dtype=np.float64) for end in band)
    errors = np.stack([values - low, high - values])
    if np.isfinite(errors).any():
        axes.errorbar(at, values, np.nan_to_num(errors), fmt="none", ecolor=line["color"], elinewidth=0.8, capsize=1.5)


def draw_raster(axes: Axes, spikes: Spikes, shown_ms: tuple[float, float]) -> None:
    """Spikes of at most `RASTER_NEURONS` neurons, evenly spaced: in the network's proportion of both kinds."""
    time, neuron, n_neurons = spikes.time_ms, spikes.neuron, spikes.n_neurons
    chosen = np.unique(np.linspace(0, n_neurons - 1, min(RASTER_NEURONS, n_neurons)).round().astype(np.int64))
    row_of = np.full(n_neurons, -1)
    row_of[chosen] = np.arange(chosen.size)
    seen = (time >= shown_ms[0]) & (time <= shown_ms[1])
    time, neuron = time[seen], neuron[seen]
    split = int(np.searchsorted(chosen, spikes.n_excitatory))
    ticks: dict[str, float] = {}
    for kind, first, last in (("E", 0, split), ("I", split, chosen.size)):
        rows = row_of[neuron]
        mine = (rows >= first) & (rows < last)
        axes.plot(time[mine], rows[mine], marker="|", linestyle="none", markersize=2.2, markeredgewidth=0.7,
                  color=style.INPUT_LINES[kind]["color"], rasterized=True)  # fmt: skip
        if last > first:
            ticks[kind] = (first + last - 1) / 2
    if 0 < split < chosen.size:
        axes.axhline(split - 0.5, color="0.4", linewidth=0.6)
    axes.set(xlim=shown_ms, ylim=(-0.5, chosen.size - 0.5))
    axes.set_yticks(list(ticks.values()), list(ticks), fontsize=9, weight="bold")
    axes.tick_params(axis="y", length=0)
    axes.set_ylabel(f"{chosen.size} of {n_neurons} neurons")
