"""Why a cell of a map has no value: a gap is a result too, and each kind is hatched in its own way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from hpcmass.plots.plane import FloatMap, Mask


@dataclass(frozen=True)
class Gap:
    """A reason for missing values, its hatch and its entry in the legend."""

    text: str
    hatch: str


NOT_COMPUTED: Final = Gap("not computed yet", "....")
FAILED: Final = Gap("network run failed", "++++")
SILENT: Final = Gap("network silent", "////")
RAN_AWAY: Final = Gap("model ran away in every trial", "xxxx")
NO_NEURONS: Final = Gap("no neurons of this kind", "")
TOO_FEW_SPIKES: Final = Gap("too few spikes a neuron", "")
UNDEFINED: Final = Gap("not defined", "")


def explain(values: FloatMap, reasons: list[tuple[Gap, Mask]]) -> list[tuple[Gap, Mask]]:
    """Split the cells without a value by reason.

    Parameters
    ----------
    values : array, (λ, p)
        NaN where there is no value.
    reasons : list of (Gap, mask)
        Where each reason holds, the strongest first; what none explains becomes `UNDEFINED`.

    Returns
    -------
    list of (Gap, mask)
        Disjoint, only reasons that occur.
    """
    left: Mask = ~np.isfinite(values)
    found = []
    for gap, holds in [*reasons, (UNDEFINED, np.ones_like(left))]:
        cells = left & holds
        if cells.any():
            found.append((gap, cells))
        left = left & ~holds
    return found
