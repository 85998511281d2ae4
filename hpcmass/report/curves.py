"""The curves of every point: potentials and inputs in the stored window, trial by trial, and spectra."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt
import xarray as xr

from hpcmass.config import Experiment
from hpcmass.errors import UserError
from hpcmass.plots.lines import NETWORK, RASTER_NEURONS
from hpcmass.plots.view import View
from hpcmass.report.encoding import BYTES_A_NUMBER, line, packed
from hpcmass.store.parts import SweepParts
from hpcmass.store.schema import DONE

Real = npt.NDArray[np.float64]
Point = tuple[int, ...]

FINEST_MS: Final = 0.5
"""Samples are means over so much time: frequencies up to 1 kHz remain."""
BYTES_A_POINT: Final = 100_000
MOST_BYTES: Final = 16_000_000
"""The curves take at most about so much of the page; on a large grid they are coarser, of fewer trials."""
COARSEST_MS: Final = 1.0
"""Samples become so coarse for the sake of further trials, not coarser: frequencies up to 500 Hz remain."""
FEWEST_SAMPLES: Final = 40
INPUTS: Final = ("phi_E", "phi_I", "phi_ext")


class Solve(Protocol):
    """Solves mass models again: point of the comparison, trial → name → V (mV) over the whole trial."""

    @property
    def models(self) -> tuple[str, ...]: ...

    def __call__(self, point: Point, trial: int) -> Mapping[str, npt.NDArray[Any]]: ...


Solver = Callable[[xr.Dataset, Experiment, SweepParts], Solve | None]
"""Comparison, its experiment, sweep → what solves its models; a page is written without mass models, so it is given."""


@dataclass(frozen=True, eq=False)
class Curves:
    """Curves as text, a line for each point, and what the lines hold.

    Attributes
    ----------
    description : dict
        For the page's script.
    traces, spectra : str
        A line of base64 for each point.
    """

    description: dict[str, Any]
    traces: str
    spectra: str


@dataclass(frozen=True)
class _Plan:
    """How fine and of how many trials the curves are."""

    width: int
    samples: int
    further_trials: int


def curves(view: View, sweep: SweepParts | None, solver: Solver | None = None) -> Curves:
    """The curves of all points of the file; those of the inputs, and of further trials, come from the sweep.

    With a `solver` the models are solved again in further trials.
    """
    data = view.data
    shape = data["n_compared"].shape
    window = np.asarray(data["window"].values, dtype=np.float64)
    n_trials = data.sizes["trial"] if sweep is not None else 1
    every_step = sweep is not None and sweep.experiment.traces.allow_comparison
    solve = (
        solver(data, view.experiment, sweep) if solver and sweep is not None and every_step and n_trials > 1 else None
    )
    names = [NETWORK, *view.models, *(INPUTS if sweep is not None else ())]
    further = [NETWORK, *(solve.models if solve else ()), *INPUTS]
    plan = _plan(int(np.prod(shape)), window, len(names), len(further), n_trials)
    done = np.asarray(data["status"].values) == DONE
    axes = tuple(str(name) for name in data["n_compared"].dims)
    network = data["example_v_lif"].transpose(*axes, "window").values
    models = data["example_v"].transpose(*axes, "model", "window").values
    nothing, steps = np.full(plan.samples, np.nan), _steps(sweep, window)
    lines, scales, trials = [], [], []
    for point in np.ndindex(shape):
        numbers = np.flatnonzero(done[point]).tolist()[: 1 + plan.further_trials]
        own = np.concatenate([network[point][None], models[point]]) if numbers else None
        place = point if sweep is None else tuple(i for name, i in zip(axes, point, strict=True) if name in sweep.axes)
        rows = [nothing if own is None else _block_means(own[k], plan) for k in range(1 + len(view.models))]
        if sweep is not None:
            first = [_window_of(sweep, name, place, numbers[0], window) for name in INPUTS] if numbers else []
            rows += [_block_means(values, plan) for values in first] or [nothing] * len(INPUTS)
            for trial in numbers[1:]:
                potentials = solve(point, trial) if solve else {}
                for name in further:
                    recorded = "mean_v" if name == NETWORK else name
                    in_sweep = name in (NETWORK, *INPUTS)
                    series = _window_of(sweep, recorded, place, trial, window) if in_sweep else potentials[name][steps]
                    rows.append(_block_means(series, plan))
            rows += [nothing] * (len(names) + len(further) * plan.further_trials - len(rows))
        scale, whole = packed(np.array(rows))
        lines.append(line(whole))
        scales.append(scale)
        trials.append([int(data["trial"].values[k]) for k in numbers])
    spectrum_lines, spectrum_scales = _spectra(view, axes, shape)
    step = float(window[1] - window[0]) if window.size > 1 else 1.0
    description = {
        "series": names,
        "further": further,
        "further_trials": plan.further_trials,
        "samples": plan.samples,
        "start": round(float(window[0]) + step * (plan.width - 1) / 2, 6),
        "step": round(step * plan.width, 6),
        "trials": trials,
        "n_trials": int(data.sizes["trial"]),
        "scales": [_short(row) for scale in scales for row in scale.ravel()],
        "frequency": [_short(f) for f in data["frequency"].values],
        "spectrum_scales": [_short(v) for scale in spectrum_scales for v in scale.ravel()],
        "raster": None if sweep is None else _raster(sweep, window),
    }
    return Curves(description, "\n".join(lines), "\n".join(spectrum_lines))


def _plan(n_points: int, window: Real, first: int, further: int, n_trials: int) -> _Plan:
    """Series of the first trial, and of each other one → all trials if there is room, else fewer of fine samples."""
    numbers = min(BYTES_A_POINT, MOST_BYTES / n_points) / BYTES_A_NUMBER
    dt = float(window[1] - window[0]) if window.size > 1 else 1.0
    finest = max(1, round(FINEST_MS / dt))
    for width in range(finest, max(finest, round(COARSEST_MS / dt)) + 1):
        samples = max(1, window.size // width)
        if samples * (first + further * (n_trials - 1)) <= numbers:
            return _Plan(width, samples, n_trials - 1)
    width = finest
    while window.size // width * first > numbers and window.size // (width + 1) >= FEWEST_SAMPLES:
        width += 1
    samples = max(1, window.size // width)
    left = int((numbers - samples * first) / (samples * further))
    return _Plan(width, samples, max(0, min(n_trials - 1, left)))


def _steps(sweep: SweepParts | None, window: Real) -> slice:
    """The window's steps in the sweep's traces."""
    if sweep is None:
        return slice(0)
    start = round(float(window[0]) / sweep.experiment.network.dt_ms)
    return slice(start, start + window.size)


def _window_of(sweep: SweepParts, name: str, point: Point, trial: int, window: Real) -> Real:
    try:
        return np.asarray(sweep.window(name, point, trial, _steps(sweep, window)), dtype=np.float64)
    except ValueError as error:
        raise UserError(f"{sweep.name} does not hold what was compared ({error}); compare it again") from None


def _block_means(values: npt.NDArray[Any], plan: _Plan) -> Real:
    whole = np.asarray(values[: plan.samples * plan.width], dtype=np.float64)
    return np.asarray(whole.reshape(plan.samples, plan.width).mean(axis=1))


def _spectra(view: View, axes: tuple[str, ...], shape: tuple[int, ...]) -> tuple[list[str], list[Real]]:
    """Decades of the power densities of network and models, then of the network's standard error."""
    data = view.data
    stacked = [data["spectrum_lif"].transpose(*axes, "frequency").values[..., None, :]]
    stacked.append(data["spectrum"].transpose(*axes, "model", "frequency").values)
    if view.has("spectrum_lif_se"):
        stacked.append(data["spectrum_lif_se"].transpose(*axes, "frequency").values[..., None, :])
    power = np.concatenate(stacked, axis=-2)
    with np.errstate(divide="ignore", invalid="ignore"):
        decades = np.where(power > 0, np.log10(power), np.nan)
    pairs = [packed(decades[point]) for point in np.ndindex(shape)]
    return [line(whole) for _, whole in pairs], [scale for scale, _ in pairs]


def _raster(sweep: SweepParts, window: Real) -> dict[str, Any] | None:
    """Spikes of some neurons in the window, of a sweep of one trial that has them."""
    file = sweep.file(0)
    if "spike_time" not in file or sweep.status.size > 1:
        return None
    time, neuron = file.variable("spike_time"), file.variable("spike_neuron")
    (values,) = [dict(zip(sweep.axes, (v[0] for v in sweep.axes.values()), strict=True))]
    n_neurons = sweep.experiment.network_at(values).n_neurons
    chosen = np.unique(np.linspace(0, n_neurons - 1, min(RASTER_NEURONS, n_neurons)).round().astype(np.int64))
    row_of = np.full(n_neurons, -1)
    row_of[chosen] = np.arange(chosen.size)
    seen = (time >= window[0]) & (time <= window[-1]) & (row_of[neuron] >= 0)
    excitatory = round(values["lam"] * n_neurons)
    return {
        "time": [round(float(t), 2) for t in time[seen]],
        "row": [int(r) for r in row_of[neuron[seen]]],
        "rows": int(chosen.size),
        "excitatory": int(np.searchsorted(chosen, excitatory)),
        "neurons": n_neurons,
    }


def _short(value: float) -> float | None:
    """Seven significant digits, which is what 16 bits need."""
    return float(f"{value:.7g}") if np.isfinite(value) else None
