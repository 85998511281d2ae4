"""Three points that stand for three regimes, picked from the data by fixed criteria."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from hpcmass.plots.plane import FloatMap, Mask
from hpcmass.plots.view import View

MIN_RATE_HZ: Final = 1.0
"""Quieter points show nothing."""
SLOW_HZ: Final = (10.0, 30.0)
FAST_HZ: Final = 80.0


@dataclass(frozen=True)
class Regime:
    """A regime, the criterion that picks its example, and the example (None: no point qualifies).

    Attributes
    ----------
    name, criterion : str
    point : (row, column) of the plane, or None
    """

    name: str
    criterion: str
    point: tuple[int, int] | None


def pick_regimes(view: View) -> list[Regime]:
    """De-synchronised, low-frequency synchrony, fast synchrony; each the clearest example that the plane offers.

    Only points with an example window, connections (p > 0) and a mean rate above `MIN_RATE_HZ` compete.
    """
    contrast, frequency = view.number("spike_contrast"), view.point("median_frequency_lif")
    usable = np.isfinite(contrast) & _shows(view) & (_rate(view) > MIN_RATE_HZ) & (np.array(view.plane.p) > 0)
    low, high = SLOW_HZ
    slow = usable & (frequency >= low) & (frequency <= high)
    fast = usable & (frequency > FAST_HZ)
    return [
        Regime("de-synchronised", "least Spike-contrast", _best(usable, -contrast)),
        Regime("low-frequency synchrony", f"greatest Spike-contrast at {low:g} to {high:g} Hz", _best(slow, contrast)),
        Regime("fast synchrony", f"greatest Spike-contrast above {FAST_HZ:g} Hz", _best(fast, contrast)),
    ]


def _best(candidates: Mask, score: FloatMap) -> tuple[int, int] | None:
    if not candidates.any():
        return None
    row, column = np.unravel_index(int(np.argmax(np.where(candidates, score, -np.inf))), candidates.shape)
    return int(row), int(column)


def _rate(view: View) -> FloatMap:
    """Mean rate (Hz) of all neurons; a kind that does not exist has no rate and no weight."""
    share = np.array(view.plane.lam)[:, None]
    total: FloatMap = np.nan_to_num(view.number("rate_E")) * share + np.nan_to_num(view.number("rate_I")) * (1 - share)
    return total


def _shows(view: View) -> Mask:
    window = np.asarray(view.plane.cut(view.data["example_v_lif"]).values)
    finite: Mask = np.isfinite(window).any(axis=-1)
    return finite
