"""The network's regimes: which points belong to which, and the clearest example of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from hpcmass.plots.plane import FloatMap, Mask
from hpcmass.plots.view import View

MIN_RATE_HZ: Final = 1.0
"""Quieter points are not used as examples."""
SPIKING_HZ: Final = 0.1
"""Mean rate of all neurons from which a network counts as spiking."""
SLOW_HZ: Final = 30.0
"""Synchrony is of low frequency up to this median frequency."""
FAST_HZ: Final = 80.0
"""Synchrony is fast above this one."""


@dataclass(frozen=True)
class Example:
    """A point chosen as an example.

    Attributes
    ----------
    name, criterion : str
        What it shows and how it was chosen; empty where the user chose it.
    point : (row, column) of the plane, or None
        None: no point qualifies.
    """

    name: str
    criterion: str
    point: tuple[int, int] | None


def pick_regimes(view: View) -> list[Example]:
    """De-synchronised, low-frequency synchrony, fast synchrony; each the clearest example of its `regime_masks`.

    Where everything is synchronised, the first is the least so, and is called that. A plane of one point is its own
    example.

    Only points with an example window, connections (p > 0) and a mean rate above `MIN_RATE_HZ` compete.
    """
    if view.plane.shape == (1, 1):
        return [Example("", "", (0, 0))]
    contrast = view.number("spike_contrast")
    usable = np.isfinite(contrast) & view.shown & (mean_rate(view) > MIN_RATE_HZ) & (view.plane.coordinate("p") > 0)
    _, slow, _, fast = regime_masks(view).values()
    quiet = _best(usable, -contrast)
    name = "least synchronised" if quiet is not None and view.synchronised[quiet] else "de-synchronised"
    return [
        Example(name, "least Spike-contrast", quiet),
        _synchronised_example("low-frequency synchrony", f"up to {SLOW_HZ:g} Hz", _best(usable & slow, contrast)),
        _synchronised_example("fast synchrony", f"above {FAST_HZ:g} Hz", _best(usable & fast, contrast)),
    ]


def _synchronised_example(name: str, frequencies: str, point: tuple[int, int] | None) -> Example:
    return Example(name, f"greatest Spike-contrast where synchronised, {frequencies}", point)


def regime_masks(view: View) -> dict[str, Mask]:
    """Name → points; the regimes partition the points whose network spikes.

    The synchronised ones are divided by median frequency; those between slow and fast are a separate regime.
    """
    spiking = spiking_points(view)
    frequency, synchronised = view.point("median_frequency_lif"), view.synchronised & spiking
    return {
        "de-synchronised": spiking & ~synchronised,
        f"synchronised, up to {SLOW_HZ:g} Hz": synchronised & (frequency <= SLOW_HZ),
        f"synchronised, {SLOW_HZ:g} to {FAST_HZ:g} Hz": synchronised & (frequency > SLOW_HZ) & (frequency <= FAST_HZ),
        f"synchronised, above {FAST_HZ:g} Hz": synchronised & (frequency > FAST_HZ),
    }


def spiking_points(view: View) -> Mask:
    """Points whose network spikes, at a mean rate of `SPIKING_HZ` or more, or at one that was not recorded."""
    return np.asarray(view.spiking & ~(mean_rate(view) < SPIKING_HZ))


def _best(candidates: Mask, score: FloatMap) -> tuple[int, int] | None:
    if not candidates.any():
        return None
    row, column = np.unravel_index(int(np.argmax(np.where(candidates, score, -np.inf))), candidates.shape)
    return int(row), int(column)


def mean_rate(view: View) -> FloatMap:
    """Mean rate (Hz) of all neurons, see `rate_of_all`."""
    return rate_of_all(view.number("rate_E"), view.number("rate_I"), view.plane.coordinate("lam"))


def rate_of_all(rate_e: FloatMap, rate_i: FloatMap, share: FloatMap) -> FloatMap:
    """Mean rate of all neurons, of which `share` are excitatory; NaN without any rate.

    A kind that does not exist has no rate and no weight.
    """
    known = np.isfinite(rate_e) | np.isfinite(rate_i)
    return np.where(known, np.nan_to_num(rate_e) * share + np.nan_to_num(rate_i) * (1 - share), np.nan)
