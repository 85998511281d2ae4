"""The curves of every point: potentials and inputs in the stored window, trial by trial, and spectra."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

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
BYTES_A_POINT: Final = 32_000
MOST_BYTES: Final = 16_000_000
"""The curves take at most about so much of the page; on a large grid they are coarser, of fewer trials."""
FEWEST_SAMPLES: Final = 40
INPUTS: Final = ("phi_E", "phi_I", "phi_ext")


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


def curves(view: View, sweep: SweepParts | None) -> Curves:
    """The curves of all points of the file; those of the inputs, and of further trials, come from the sweep."""
    data = view.data
    shape = data["n_compared"].shape
    window = np.asarray(data["window"].values, dtype=np.float64)
    n_trials = data.sizes["trial"] if sweep is not None else 1
    plan = _plan(int(np.prod(shape)), window, len(view.models), n_trials, sweep is not None)
    names = [NETWORK, *view.models, *(INPUTS if sweep is not None else ())]
    further = [NETWORK, *INPUTS] * plan.further_trials
    done = np.asarray(data["status"].values) == DONE
    axes = tuple(str(name) for name in data["n_compared"].dims)
    network = data["example_v_lif"].transpose(*axes, "window").values
    models = data["example_v"].transpose(*axes, "model", "window").values
    lines, scales, trials = [], [], []
    for point in np.ndindex(shape):
        numbers = np.flatnonzero(done[point]).tolist()[: 1 + plan.further_trials]
        own = np.concatenate([network[point][None], models[point]]) if numbers else None
        place = point if sweep is None else tuple(i for name, i in zip(axes, point, strict=True) if name in sweep.axes)
        rows = list(_rows(own, sweep, place, numbers, window, plan, len(view.models)))
        scale, whole = packed(np.array(rows))
        lines.append(line(whole))
        scales.append(scale)
        trials.append([int(data["trial"].values[k]) for k in numbers])
    spectrum_lines, spectrum_scales = _spectra(view, axes, shape)
    step = float(window[1] - window[0]) if window.size > 1 else 1.0
    description = {
        "series": names,
        "further": further,
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


def _plan(n_points: int, window: Real, n_models: int, n_trials: int, inputs: bool) -> _Plan:
    numbers = min(BYTES_A_POINT, MOST_BYTES / n_points) / BYTES_A_NUMBER
    dt = float(window[1] - window[0]) if window.size > 1 else 1.0
    first, further = 1 + n_models + len(INPUTS) * inputs, 1 + len(INPUTS)
    width = max(1, round(FINEST_MS / dt))
    while window.size // width * first > numbers and window.size // (width + 1) >= FEWEST_SAMPLES:
        width += 1
    samples = max(1, window.size // width)
    left = int((numbers - samples * first) / (samples * further))
    return _Plan(width, samples, max(0, min(n_trials - 1, left)))


def _rows(
    own: Real | None,
    sweep: SweepParts | None,
    point: Point,
    trials: Sequence[int],
    window: Real,
    plan: _Plan,
    models: int,
) -> Iterator[Real]:
    """Series of one point: of the first trial network, models and inputs, of the others network and inputs."""
    nothing = np.full(plan.samples, np.nan)
    for k in range(1 + models):
        yield nothing if own is None else _block_means(own[k], plan)
    if sweep is None:
        return
    for slot in range(1 + plan.further_trials):
        for name in INPUTS if slot == 0 else ("mean_v", *INPUTS):
            if slot >= len(trials):
                yield nothing
            else:
                yield _block_means(_window_of(sweep, name, point, trials[slot], window), plan)


def _window_of(sweep: SweepParts, name: str, point: Point, trial: int, window: Real) -> Real:
    start = round(float(window[0]) / sweep.experiment.network.dt_ms)
    try:
        return np.asarray(sweep.window(name, point, trial, slice(start, start + window.size)), dtype=np.float64)
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
