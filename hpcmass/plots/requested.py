"""Maps by the name of their statistic and model, such as `rho:MFM`, with colour limits of the user's choice."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from matplotlib.colors import LogNorm, Normalize, PowerNorm

from hpcmass.errors import UserError
from hpcmass.nearest import did_you_mean
from hpcmass.plots import maps, own, panels, style
from hpcmass.plots.lines import NETWORK
from hpcmass.plots.maps import Panel, Scale
from hpcmass.plots.plane import FloatMap
from hpcmass.plots.view import View
from hpcmass.store.labelled import best_values
from hpcmass.store.schema import COMPARED_VARIABLES, own_statistics

Limits = Mapping[str, tuple[float, float]]
"""Statistic → lower and upper end of its colours."""

Make = Callable[[View], list[Panel]]


def _rate(view: View, kind: int) -> list[Panel]:
    """The rate of one kind of neurons; a map alone says of which."""
    panel = panels.rates(view)[kind]
    label = f"rate of {panel.title} (Hz), square-root scale"
    return [replace(panel, scale=replace(panel.scale, label=label))]


OF_MODELS: Final[dict[str, Make]] = {
    "rho": panels.correlation,
    "lag": panels.lag,
    "chi2": panels.chi_squared,
    "spectral_distance": panels.spectral_shapes,
    "coherence_mean": panels.coherence,
    "mean_error": panels.mean_errors,
    "log_variance_ratio": panels.variance_errors,
    own.BEST: own.best_value,
}
OF_BOTH: Final[dict[str, Make]] = {
    "median_frequency": panels.median_frequencies,
    "peak_frequency": panels.peak_frequencies,
}
OF_NETWORK: Final[dict[str, Make]] = {
    "spike_contrast": panels.spike_contrast,
    "spike_contrast_bin": panels.bin_width,
    "cv_isi": panels.irregularity,
    "rate_E": lambda view: _rate(view, 0),
    "rate_I": lambda view: _rate(view, 1),
}
"""Statistics that have a map of their own: of mass models, of network and models, of the network."""

LINE_LABELS: Final = {
    "rho": "ρ",
    "lag": "lag (ms)",
    "chi2": "χ² / dof",
    "spectral_distance": "spectral distance (dB)",
    "coherence_mean": "coherence",
    "mean_error": "mean error (mV)",
    "log_variance_ratio": "log₁₀ variance ratio",
    "median_frequency": "median f (Hz)",
    "peak_frequency": "peak f (Hz)",
    "spike_contrast": "Spike-contrast",
    "spike_contrast_bin": "bin width (ms)",
    "cv_isi": "CV of intervals",
    "rate_E": "rate E (Hz)",
    "rate_I": "rate I (Hz)",
}
"""Statistic → what stands beside its lines; of the others their names."""


@dataclass(frozen=True, eq=False)
class Requested:
    """One map that was asked for.

    Attributes
    ----------
    statistic : str
    source : str
        A mass model, or `network`.
    panel : Panel
    low, high : array, (up, right)
        The value less and plus its standard error; NaN where there is none.
    """

    statistic: str
    source: str
    panel: Panel
    low: FloatMap
    high: FloatMap


def requested(view: View, names: Sequence[str], limits: Limits | None = None) -> list[Requested]:
    """The maps of `names` in this order; those of one statistic share a scale.

    Parameters
    ----------
    view : View
    names : sequence of str
        `STATISTIC:MODEL`, `STATISTIC:network`, or `STATISTIC` for all that have it.
    limits : mapping of str to (float, float), optional
        Statistic → ends of its colours.

    Raises
    ------
    UserError
        If there is no such statistic or model, or the limits do not suit the statistic.
    """
    asked: dict[str, list[str]] = {}
    order: list[tuple[str, str]] = []
    for name in names:
        statistic, _, source = (part.strip() for part in name.partition(":"))
        known = _sources(view, statistic)
        if source and source not in known:
            hint = did_you_mean(source, known) or f"it has {', '.join(known)}"
            raise UserError(f"{statistic} has no '{source}'; {hint}")
        for each in [source] if source else known:
            order.append((statistic, each))
            asked.setdefault(statistic, []).append(each)
    if not order:
        raise UserError("give at least one map, such as rho:MFM")
    for name in limits or {}:
        if name not in asked:
            raise UserError(f"there are colour limits for {name}, which is not drawn; it is {', '.join(asked)}")
    made = {name: _limited(_panels(view, name, sources), name, limits or {}) for name, sources in asked.items()}
    return [
        Requested(
            statistic, source, made[statistic][source], *band(view, statistic, source, made[statistic][source].values)
        )
        for statistic, source in order
    ]


def statistics_of(view: View) -> list[str]:
    """Names of all statistics that have a map."""
    own_names = [each.name for each in own_statistics(view.data.attrs)]
    named = [name for name in (*OF_MODELS, *OF_BOTH, *OF_NETWORK, *own_names) if name == own.BEST or view.has(name)]
    best = best_values(view.data)
    if best is None or not own.models_of(best):
        named.remove(own.BEST)
    return list(dict.fromkeys([*named, *(str(name) for name in view.data.data_vars if _is_map(view, str(name)))]))


def _is_map(view: View, name: str) -> bool:
    """Whether a variable has a number for each point, of the network or of each model."""
    swept, dims = set(view.data["n_compared"].dims), set(view.data[name].dims)
    numbers = view.data[name].dtype.kind in "fiu"
    return numbers and swept <= dims and dims - swept in ({"model"}, {"trial"}, set())


def _sources(view: View, statistic: str) -> list[str]:
    """Who has this statistic: the network, each model, or both."""
    known = statistics_of(view)
    if statistic not in known:
        hint = did_you_mean(statistic, known) or f"it has {', '.join(known)}"
        raise UserError(f"{view.path} has no statistic '{statistic}'; {hint}")
    if statistic == own.BEST and (best := best_values(view.data)) is not None:
        return own.models_of(best)
    single = {each.name: each.single for each in own_statistics(view.data.attrs)}
    if statistic in OF_BOTH or single.get(statistic):
        return [NETWORK, *view.models]
    if statistic in OF_MODELS or "model" in view.data[statistic].dims:
        return list(view.models)
    return [NETWORK]


def _panels(view: View, statistic: str, sources: Sequence[str]) -> dict[str, Panel]:
    """Source → its map, titled with its name."""
    models = [source for source in sources if source != NETWORK]
    shown = view.of_models(models) if models else view
    names = [NETWORK, *shown.models] if NETWORK in _sources(view, statistic) else list(shown.models)
    make = {**OF_MODELS, **OF_BOTH, **OF_NETWORK}.get(statistic)
    mine = next((each for each in own_statistics(view.data.attrs) if each.name == statistic), None)
    made = own.panels_of(shown, mine) if mine is not None else make(shown) if make else _plain(shown, statistic)
    if not made:
        raise UserError(f"{view.path} has no map of {statistic} in this plane; show other axes, or another statistic")
    titled = zip(names, made, strict=False)
    return {name: replace(panel, title=name) for name, panel in titled}


def line_label(view: View, shown: Requested) -> str:
    """What stands beside the lines of a statistic: short, for it must fit along a small panel."""
    if shown.statistic == own.BEST:
        return shown.panel.scale.label
    unit = _unit(view, shown.statistic)
    return LINE_LABELS.get(shown.statistic, shown.statistic + ("" if unit == "1" else f" ({unit})"))


def _unit(view: View, name: str) -> str:
    return str(view.data[name].attrs.get("units", "1")).replace("flag", "1").replace("^2", "²")


def _plain(view: View, name: str) -> list[Panel]:
    """The map of a variable that has none of its own."""
    unit = _unit(view, name)
    text = str(view.data[name].attrs.get("long_name", name))
    label = text if unit == "1" else f"{text} ({unit})"
    schema = COMPARED_VARIABLES.get(name)

    def known(values: FloatMap) -> FloatMap:
        return np.where(values == -1, np.nan, values) if schema is not None and schema.fill == -1 else values

    if "model" in view.data[name].dims:
        models = {model: known(view.model(name, model)) for model in view.models}
        return panels.model_panels(view, models, maps.linear(label, *models.values()))
    values = view.number(name) if "trial" in view.data[name].dims else known(view.point(name))
    return [panels.network_panel(view, "network", values, maps.linear(label, values))]


def _limited(made: dict[str, Panel], statistic: str, limits: Limits) -> dict[str, Panel]:
    """The same with the colours between the limits that the user gave."""
    if statistic not in limits:
        return made
    low, high = limits[statistic]
    scale = limited(next(iter(made.values())).scale, statistic, low, high, [panel.values for panel in made.values()])
    return {source: replace(panel, scale=scale) for source, panel in made.items()}


def limited(scale: Scale, statistic: str, low: float, high: float, values: Sequence[FloatMap]) -> Scale:
    """`scale` from `low` to `high`; arrows at its ends where values are beyond them.

    Raises
    ------
    UserError
        If the ends are not in order, a logarithmic scale would reach zero, or zero would leave the middle of colours
        for two signs.
    """
    name = f"the colour limits of {statistic}"
    if not (np.isfinite(low) and np.isfinite(high) and low < high):
        raise UserError(f"{name} are {low:g} and {high:g}; give a lower and an upper one, such as {statistic}=0:1")
    if isinstance(scale.norm, LogNorm) and low <= 0:
        raise UserError(f"{name} begin at {low:g}, but its scale is logarithmic; begin above 0")
    colours = scale.colours
    if scale.signed and low < 0 < high and low != -high:
        end = max(-low, high)
        give = f"{statistic}={-end:g}:{end:g}"
        raise UserError(f"{name} are not equal, but 0 is the middle of blue and red; give {give}")
    if scale.signed and not low < 0 < high:
        colours = style.SEQUENTIAL
    norm: Normalize
    if isinstance(scale.norm, PowerNorm):
        norm = PowerNorm(scale.norm.gamma, low, high)
    else:
        norm = LogNorm(low, high) if isinstance(scale.norm, LogNorm) else Normalize(low, high)
    return Scale(scale.label, norm, colours, maps.extend(maps.finite(values), low, high))


def band(view: View, statistic: str, source: str, values: FloatMap) -> tuple[FloatMap, FloatMap]:
    """Values of a map less and plus their standard errors, in the map's unit; NaN where there is none."""
    error = _error(view, statistic, source)
    if statistic == "rho":  # the error is of Fisher's z
        z = np.arctanh(np.clip(values, -1 + 1e-15, 1 - 1e-15))
        return np.tanh(z - error), np.tanh(z + error)
    if statistic == "log_variance_ratio":
        error = error / np.log(10)
    if statistic == "chi2":
        degrees = view.model("chi2_dof", source)
        error = error / np.where(degrees > 0, degrees, np.nan)
    return values - error, values + error


def _error(view: View, statistic: str, source: str) -> FloatMap:
    """The standard error over trials, (up, right); NaN without one."""
    if source == NETWORK and statistic in view.data and "trial" in view.data[statistic].dims:
        return view.number_error(statistic)
    name = f"{statistic}_lif_se" if source == NETWORK and view.has(f"{statistic}_lif") else f"{statistic}_se"
    name = "rho_se_trials" if statistic == "rho" else name
    if not view.has(name):
        return np.full(view.plane.shape, np.nan)
    return view.point(name) if source == NETWORK else view.model(name, source)
