"""Regions of the plane in numbers: how large, where, and what the network does there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hpcmass.plots import panels
from hpcmass.plots.plane import FloatMap, Mask
from hpcmass.plots.regimes import regime_masks
from hpcmass.plots.style import number
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


def _range(values: FloatMap, inside: Mask, digits: int = 4) -> str:
    chosen = values[inside & np.isfinite(values)]
    if not chosen.size:
        return "–"
    low, high = (number(float(f"{v:.{digits}g}")) for v in (chosen.min(), chosen.max()))
    return low if low == high else f"{low} … {high}"
