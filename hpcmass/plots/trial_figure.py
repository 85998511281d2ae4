"""One trial on one page: raster, mean potential with the mass models over it, inputs, spectra, numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import scipy.signal
from matplotlib.axes import Axes

from hpcmass.errors import UserError
from hpcmass.plots import style
from hpcmass.plots.lines import (
    NETWORK,
    PER_DECADE,
    Real,
    Spikes,
    draw_inputs,
    draw_potentials,
    draw_raster,
    draw_spectra,
    log_means,
    window_ms,
)
from hpcmass.plots.saving import Picture
from hpcmass.plots.style import drawable
from hpcmass.store.schema import SWEEP_VARIABLES

LONGEST_MS: Final = 500.0
HIGHEST_HZ: Final = 1000.0


def trial_figure(
    recording: Mapping[str, Any],
    models: Mapping[str, npt.ArrayLike],
    *,
    dt_ms: float,
    transient_ms: float,
    n_neurons: int,
    n_excitatory: int,
    title: str = "",
    shown_ms: tuple[float, float] | None = None,
    standardised: bool = True,
) -> Picture:
    """The figure of one trial.

    Parameters
    ----------
    recording : mapping of str to array or number
        The sweep file's names: `mean_v` (mV), `phi_E`, `phi_I`, `phi_ext` (1/ms), each of shape (n_steps,), and the
        trial's numbers; `spike_neuron` and `spike_time` (ms), if there, make the raster.
    models : mapping of str to array, (n_steps,)
        Name → the model's potential (mV); NaN from where it diverged.
    dt_ms, transient_ms : float
        Step and transient (ms).
    n_neurons, n_excitatory : int
        Size of the network, and how many of the first neurons are excitatory.
    title : str
        What trial this is.
    shown_ms : (float, float), optional
        First and last time (ms) to show; without it about `PERIODS` periods after the transient.
    standardised : bool
        See `draw_potentials`.
    """
    mean_v = np.asarray(recording["mean_v"], dtype=np.float64)
    time: Real = dt_ms * np.arange(mean_v.size, dtype=np.float64)
    after = time >= transient_ms
    potentials = {name: drawable(np.asarray(v, dtype=np.float64)) for name, v in {NETWORK: mean_v, **models}.items()}
    spectra = {name: smooth_spectrum(v[after], dt_ms) for name, v in potentials.items()}
    mean_sd = {name: (float(v[after].mean()), float(v[after].std())) for name, v in potentials.items()}
    strongest = spectra[NETWORK][0][int(np.argmax(spectra[NETWORK][1]))] if spectra[NETWORK][0].size else np.nan
    if shown_ms is None:
        length = window_ms(float(strongest), min(LONGEST_MS, float(after.sum()) * dt_ms))
        start_ms, end_ms = transient_ms, transient_ms + length
        shown = after & (time <= end_ms)
    else:
        start_ms, end_ms = shown_ms
        shown = (time >= start_ms) & (time <= end_ms)
        if not (start_ms >= 0 and end_ms <= mean_v.size * dt_ms and shown.sum() > 1):
            raise UserError(
                f"the window from {start_ms:g} to {end_ms:g} ms is not within the trial; give two times from 0 to "
                f"{mean_v.size * dt_ms:g} ms, the first one first"
            )

    spikes = recording.get("spike_time") is not None and recording.get("spike_neuron") is not None
    figure = Picture(figsize=(12.5, 8.0 if spikes else 6.0))
    rows = 3 if spikes else 2
    grid = figure.add_gridspec(rows, 2, width_ratios=[2.3, 1])
    left = [figure.add_subplot(grid[0, 0])]
    left += [figure.add_subplot(grid[row, 0], sharex=left[0]) for row in range(1, rows)]
    if spikes:
        time_ms, neuron = np.asarray(recording["spike_time"]), np.asarray(recording["spike_neuron"])
        fired = Spikes(time_ms, neuron, n_neurons, n_excitatory)
        draw_raster(left[0], fired, (start_ms, end_ms))
    draw_potentials(left[-2], time[shown], mean_v[shown],
                    {name: potentials[name][shown] for name in models}, mean_sd,
                    "the trial after the transient", standardised=standardised)  # fmt: skip
    inputs = {kind: np.asarray(recording[f"phi_{kind}"])[shown] for kind in style.INPUT_LINES}
    draw_inputs(left[-1], time[shown], inputs, dt_ms)
    left[-1].set_xlabel("time (ms)")
    for axes in left[:-1]:
        axes.tick_params(labelbottom=False)

    right = figure.add_subplot(grid[: rows - 1, 1])
    frequency, power = spectra[NETWORK]
    draw_spectra(right, frequency, power, {name: spectra[name][1] for name in models})
    right.set_title(f"spectra after the transient,\nmeans over 1/{PER_DECADE} decade")
    _write_numbers(figure.add_subplot(grid[-1, 1]), recording)
    figure.suptitle(title or "One trial")
    return figure


def smooth_spectrum(series: Real, dt_ms: float) -> tuple[Real, Real]:
    """Hamming periodogram, averaged by `log_means`, up to `HIGHEST_HZ`.

    Parameters
    ----------
    series : array, (n,)
    dt_ms : float

    Returns
    -------
    frequency, power : array
        Hz, (unit of `series`)²/Hz; power is NaN if the series is not finite.
    """
    frequency, power = scipy.signal.periodogram(series, 1e3 / dt_ms, window="hamming", detrend="constant")
    wanted = (frequency > 0) & (frequency <= HIGHEST_HZ)
    return log_means(frequency[wanted], power[wanted])


def _write_numbers(axes: Axes, recording: Mapping[str, Any]) -> None:
    """The trial's numbers with their units, as a table without lines."""
    axes.set_axis_off()
    names = [name for name, v in SWEEP_VARIABLES.items() if v.role != "trace" and name in recording]
    for k, name in enumerate(names):
        y = 1 - (k + 0.5) / max(len(names), 10)
        unit = SWEEP_VARIABLES[name].unit
        value = np.asarray(recording[name]).item()
        text = style.number(value) if isinstance(value, float) else f"{value}"
        axes.text(0.0, y, name, transform=axes.transAxes, va="center", fontsize=8)
        axes.text(0.72, y, "not defined" if text == "nan" else text, transform=axes.transAxes, va="center", ha="right",
                  fontsize=8)  # fmt: skip
        axes.text(0.75, y, "" if unit in ("1", "flag") else unit, transform=axes.transAxes, va="center", fontsize=8)
