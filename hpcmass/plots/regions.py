"""Regions of the plane in numbers: how large, where, and what the network does there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from hpcmass.plots import panels
from hpcmass.plots.drawable import LARGEST
from hpcmass.plots.plane import FloatMap, Mask
from hpcmass.plots.regimes import regime_masks
from hpcmass.plots.style import fixed, number
from hpcmass.plots.view import View


@dataclass(frozen=True, eq=False)
class Region:
    """Points with something in common.

    Attributes
    ----------
    subject : str
        `network`, or a model's name.
    name : str
        What they have in common.
    inside : array of bool, (up, right)
    """

    subject: str
    name: str
    inside: Mask


def regions(view: View) -> list[Region]:
    """The network's regimes, then for each model where it agrees, by every criterion that the file has."""
    found = [Region("network", name, mask) for name, mask in regime_masks(view).items()]
    for k, model in enumerate(view.models):
        for make in (panels.chi_squared, panels.spectral_shapes, panels.correlation):
            outlines = make(view)[k].outlines[:-1]  # the last one is the border of synchrony
            found += [Region(model, outline.text, outline.inside) for outline in outlines]
        diverged = view.model("n_diverged", model)
        if (diverged > 0).any():
            found.append(Region(model, "ran away in some trial", diverged > 0))
    return found


COLUMNS = ("points", "share", "right", "up", "synchronised", "Spike-contrast", "rate E (Hz)", "median f (Hz)")
"""Heads of `describe`; `right` and `up` stand for the plane's axes."""


def describe(view: View, region: Region) -> tuple[str, ...]:
    """A region's row under `COLUMNS`: a range over its points where there is more than one value."""
    inside = region.inside
    count, compared = int(inside.sum()), int((view.point("n_compared") > 0).sum())
    share = f"{100 * count / compared:.0f} %" if compared else "–"
    if not count:
        return (str(count), share, *["–"] * (len(COLUMNS) - 2))
    return (
        str(count),
        share,
        _range(view.plane.coordinate(view.plane.right), inside),
        _range(view.plane.coordinate(view.plane.up), inside),
        f"{100 * float(view.synchronised[inside].mean()):.0f} %",
        _range(view.number("spike_contrast"), inside, 2),
        _range(view.number("rate_E"), inside, 3),
        _range(view.point("median_frequency_lif"), inside, 3),
    )


_MEDIANS: Final[dict[str, tuple[str, int]]] = {
    "ρ": ("rho", 2),
    "lag (ms)": ("lag", 1),
    "spectra's distance (dB)": ("spectral_distance", 1),
    "χ²/dof": ("chi2", 2),
    "coherence": ("coherence_mean", 2),
    "median f, model / LIF": ("median_frequency", 2),
    "error of the mean (mV)": ("mean_error", 1),
    "variance, model / LIF": ("log_variance_ratio", 1),
}
"""Head → variable and decimals of `medians`."""


def medians(view: View) -> tuple[list[str], list[tuple[str, ...]]]:
    """Heads and rows: for each of the network's regimes and each model, medians over the regime's points.

    The share that agrees is that of the points inside the correlation's contour.
    """
    shown = {head: what for head, what in _MEDIANS.items() if view.has(what[0])}
    rows = []
    for name, inside in regime_masks(view).items():
        for model in view.models:
            cells = [_median(_of_model(view, variable, model)[inside], digits) for variable, digits in shown.values()]
            agrees = view.model("rho_agrees", model)[inside] == 1
            share = f"{100 * float(agrees.mean()):.0f} %" if agrees.size else "–"
            rows.append((name, model, share, *cells))
    return ["regime", "model", "agrees", *shown], rows


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


def _median(values: FloatMap, decimals: int) -> str:
    finite = values[np.isfinite(values)]
    return fixed(float(np.median(finite)), decimals) if finite.size else "–"


def _range(values: FloatMap, inside: Mask, digits: int = 4) -> str:
    chosen = values[inside & np.isfinite(values)]
    if not chosen.size:
        return "–"
    low, high = (number(float(f"{v:.{digits}g}")) for v in (chosen.min(), chosen.max()))
    return low if low == high else f"{low} … {high}"
